"""Plots leave nothing out in silence: units, what is not finite, series without a shade, text cut off, dark styles."""

import math
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from test_plots import IWAE, LADDER, arrows, estimate, history, model, of_label, row_of, sheet, texts

from elbowroom import plots
from elbowroom.numerics import Estimate, InputError
from elbowroom.plots.style import ACCENT, PAPER, SOFT
from elbowroom.records.values import Summary

KIND = {"quantity": "log p(x)", "estimator": "IWAE-10", "direction": "lower"}
NAMES = ("IWAE-500", "ELBO", "mixture", "PCA")


class TestLadderOfUnits:
    def test_fewest_bits_are_best(self):
        bits = [e.bits_per_dimension(10) for e in LADDER]
        ax = plots.ladder(bits, rivals=[0, 1], ax=sheet().subplots())
        assert [text for text in texts(ax) if text in NAMES] == list(NAMES)
        assert ax.get_xlabel().endswith("bits per example (left is better)")
        (line,) = [line for line in ax.get_lines() if line.is_dashed()]
        assert line.get_xdata() == pytest.approx([bits[1].mean] * 2)
        assert arrows(ax)[0] < 0
        low, high = ax.get_xlim()
        assert low < bits[2].mean - 1.96 * bits[2].se_total
        assert high > bits[0].mean + 1.96 * bits[0].se_total

    def test_far_more_bits_stand_at_the_right_edge(self):
        bits = [e.bits_per_dimension(10) for e in (*LADDER, estimate(-4212.0, 90.0, "broken", "exact"))]
        ax = plots.ladder(bits, ax=sheet().subplots())
        assert not row_of(ax, -4)
        assert arrows(ax).get(-4) == -30 or [t.get_position()[0] for t in ax.texts if t.xy == (1, -4)][-1] == -30

    @pytest.mark.parametrize("other", [IWAE.bits_per_dimension(10), IWAE - LADDER[0]])
    def test_other_units_and_quantities_are_refused(self, other):
        with pytest.raises(InputError, match="need a ladder each"):
            plots.ladder([IWAE, other])

    def test_nothing_is_refused(self):
        with pytest.raises(InputError, match="none was given"):
            plots.ladder([])

    def test_only_examples_that_all_measured_are_compared(self):
        long = Estimate.of([-1.0, -3.0, -500.0], **KIND)
        short = Estimate.of([-2.0, -5.0], **KIND | {"estimator": "ELBO"})
        ax = plots.ladder([short, long], ax=sheet().subplots())
        dots = {line.get_ydata()[0]: line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "|"}
        assert dots == {0: -2.0, -1: -3.5}
        assert ax.get_xlabel() == "log p(x), nats per example, n = 2, measured by all"
        with pytest.raises(InputError, match="no example in common"):
            plots.ladder([short, Estimate.of([1.0], index=[9], **KIND)])

    def test_summaries_have_no_index_and_are_drawn_as_they_are(self):
        ax = plots.ladder([Summary.of(e) for e in LADDER], ax=sheet().subplots())
        assert ax.get_xlabel() == "log p(x), nats per example"


LONG = [estimate(mean, 3400.0, name, "lower") for mean, name in ((-8680.0, "IWAE-5000"), (-9000.0, "ELBO"))]
SPLIT = SimpleNamespace(data=4.0, latent=3.0, noise=1.0, latent_share_se=0.01)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.ladder(LONG, ax=ax),
        lambda ax: plots.variance_bars({"a model with a name": SPLIT}, ax=ax),
        lambda ax: plots.class_shares({"colour": {"a long class": (0.5, 0.5)}}, ("data", "samples"), ax=ax),
        lambda ax: plots.quantile_strips({"data": [[-123456.0], [123456.0]]}, ["a column with a name"], ax=ax),
    ],
    ids=["ladder", "variance", "classes", "quantiles"],
)
def test_words_beside_plain_axes_are_inside_the_figure(draw):
    figure = Figure(figsize=(10, 4))
    ax = draw(figure.subplots())
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


class TestNotFinite:
    def test_examples_without_a_likelihood_are_named(self):
        e = Estimate.of([-1.0, -2.0, -math.inf, -3.0], index=[4, 5, 7, 9], **KIND)
        ax = plots.log_likelihoods(e, lowest=1, ax=sheet().subplots())
        assert ax.get_title("left") == "examples; 1 of 4 has no finite value: example 7"
        assert "the lowest: 7 (not finite), 9" in ax.get_label()
        with pytest.raises(InputError, match="no finite value"):
            plots.log_likelihoods(Estimate.of([math.nan], **KIND))

    def test_weights_are_counted_among_those_drawn(self):
        parts = {"khat": [0.9, math.nan, 0.1], "ess": [2.0, 50.0, math.nan]}
        e = Estimate.of([-1.0, -2.0, -3.0], **parts, **KIND)
        ax = plots.khat(e, ax=sheet().subplots())
        assert ax.get_lines()[0].get_xydata().tolist() == [[1, 0.1], [2, 0.9]]
        assert ax.get_title("left") == "k̂, above 0.7 on 1 of 2 examples; not finite on 1 more"
        said = plots.effective_sample_size(e, ax=sheet().subplots()).get_title("left")
        assert said == "effective sample size, below 10 on 1 of 2 examples; not finite on 1 more"
        with pytest.raises(InputError, match="not finite for any"):
            plots.khat(Estimate.of([-1.0], khat=[math.nan], **KIND))

    def test_latents_without_a_kl_are_named(self):
        use = SimpleNamespace(kl=[math.inf, 2.0, math.nan], active=[True] * 3)
        ax = plots.kl_per_latent(use, ax=sheet().subplots())
        assert ax.get_title("left") == "KL, nats (logarithmic); not finite: latent 1, 3"
        for kl in ([], [math.nan]):
            with pytest.raises(InputError, match="finite KL"):
                plots.kl_per_latent(SimpleNamespace(kl=kl, active=[True] * len(kl)))

    def test_points_of_the_map_are_counted(self):
        ax = plots.latent_map([[0.0, 1.0], [math.nan, 1.0], [2.0, 3.0]], [0, 0, 1], ax=sheet().subplots())
        assert ax.get_xlabel() == "z1, z2 (1 of 3 points not drawn, because not finite)"
        assert ax.get_label().startswith("2 points")
        assert ax.get_lines()[0].get_label() == "0 (1)"
        with pytest.raises(InputError, match="No point"):
            plots.latent_map([[math.nan, 0.0]], None)

    @pytest.mark.parametrize("labels", [[0.5, 1.0], ["a", "b"], [0, math.nan], [0], [0, -2]])
    def test_labels_are_whole_numbers(self, labels):
        with pytest.raises(InputError, match="whole numbers"):
            plots.latent_map(np.zeros((2, 2)), labels)

    def test_an_epoch_that_is_not_finite_breaks_the_line(self):
        run = history(6)
        run.rows[2]["train"]["objective"] = math.nan
        run.rows[3]["validation"] = None
        run.rows[4]["train"]["objective"] = math.inf
        ax = plots.learning_curves(run, figure=sheet())[0]
        line = of_label(ax, "training")
        assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False, True, False]
        assert (line.get_marker(), line.get_markevery()) == ("o", [3, 5])
        assert of_label(ax, "validation").get_xdata().tolist() == [1, 2, 3, 5, 6]

    def test_no_epoch_kept_no_line(self):
        ax = plots.learning_curves(history(3, best=0), figure=sheet())[0]
        assert [line.get_label() for line in ax.get_lines()] == ["training", "validation"]
        assert "at the last epoch 3" in ax.get_label()

    def test_pixels_that_are_not_finite_have_a_colour_of_their_own(self):
        x = np.array([[0.0, 0.5, 1.0, math.inf], [0.0, math.nan, 1.0, 1.0]])
        ax = plots.images(x, image_shape=(2, 2), ax=sheet().subplots())
        drawn = ax.images[0].get_array()
        assert [to_hex(drawn[1, 1] / 255), to_hex(drawn[0, 4] / 255)] == [ACCENT] * 2
        assert drawn[0, 1].tolist() == [128, 128, 128, 255]
        assert "2 pixels not finite" in ax.get_label()
        assert plots.grey_range([-2.0, math.inf, math.nan, 4.0, -math.inf], None) == (-2.0, 4.0)
        assert plots.grey_range([math.nan], None) == (0.0, 1.0)


class TestShades:
    def test_more_series_than_shades_are_refused(self):
        four = {name: [[1.0]] for name in "abcd"}
        with pytest.raises(InputError, match="draw 3 at most"):
            plots.quantile_strips(four, ["x"])
        with pytest.raises(InputError, match="draw 2 at most"):
            plots.class_shares({"x": {"y": (1.0, 1.0, 1.0)}}, "abc")
        with pytest.raises(InputError, match="2 shares"):
            plots.class_shares({"x": {"y": (1.0, 1.0)}}, ["data"])
        with pytest.raises(InputError, match="draw 3 at most"):
            plots.stacked_bars([plots.Bar("m", (1.0,) * 4)], "abcd")
        for parts in ((1.0, 2.0), (math.nan,)):
            with pytest.raises(InputError, match="bar 'm'"):
                plots.stacked_bars([plots.Bar("m", parts)], "a")

    def test_a_bar_cut_has_its_arrow_wherever_it_ends(self):
        ax = plots.stacked_bars([plots.Bar("m", (300.0, -100.0))], "ab", ax=sheet().subplots())
        assert [line.get_marker() for line in ax.get_lines()] == [">"]

    def test_no_variance_no_bar(self):
        nothing = SimpleNamespace(data=0.0, latent=1.0, noise=1.0, ink_data=0.0)
        for draw in (plots.variance_bars, plots.ink_bars):
            with pytest.raises(InputError, match="is 0"):
                draw({"VAE": nothing})


class TestCurveOnThePlane:
    CURVE = SimpleNamespace(rates=[plots.Value(60.0), plots.Value(2.0)],
                            distortions=[plots.Value(-150.0), plots.Value(90.0)])  # fmt: skip

    def test_the_plane_grows_until_all_points_are_on_it(self):
        plane = plots.rate_distortion([model("a", 18.0, -85.0), model("b", 30.0, -100.0)], ax=sheet().subplots())
        ax = plots.rate_distortion_curve(self.CURVE, ax=plane)
        (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
        assert x0 < 2.0
        assert x1 > 60.0
        assert y0 < -150.0
        assert y1 > 90.0
        named = {text.xy: text.get_text() for text in ax.texts}
        dashed = [line.get_xydata() for line in ax.get_lines() if line.is_dashed()]
        assert len(dashed) >= 3
        for ends in dashed:
            assert ends.sum(1) == pytest.approx(ends.sum(1)[0])
            assert ends[0] == pytest.approx([max(x0, ends[0].sum() - y1), min(y1, ends[0].sum() - x0)])
            name = named.get(tuple(ends[-1]))
            assert name is None or float(name.replace("−", "-")) == pytest.approx(-ends[0].sum())

    def test_points_that_are_not_finite_are_counted(self):
        curve = SimpleNamespace(rates=[plots.Value(math.nan), *self.CURVE.rates],
                                distortions=[plots.Value(1.0), *self.CURVE.distortions])  # fmt: skip
        said = plots.rate_distortion_curve(curve, ax=sheet().subplots()).get_xlabel()
        assert said.endswith("(1 of 3 points not drawn, because not finite)")
        with pytest.raises(InputError, match="No point"):
            plots.rate_distortion_curve(SimpleNamespace(rates=[plots.Value(math.nan)], distortions=[plots.Value(1.0)]))


class TestDarkStyles:
    def test_our_own_figure_is_paper_on_screen_and_on_file(self, tmp_path):
        with pyplot.style.context("dark_background"):
            figure = plots.ladder(LADDER).figure
            figure.savefig(tmp_path / "a.png")
            figure.savefig(tmp_path / "b.png", transparent=True)
        assert to_hex(figure.get_facecolor()) == PAPER
        assert pyplot.imread(tmp_path / "a.png")[0, 0].tolist() == [1, 1, 1, 1]
        assert pyplot.imread(tmp_path / "b.png")[0, 0, 3] == 0
        pyplot.close(figure)

    def test_axes_given_get_a_face_of_paper_and_readable_words_beside(self):
        with matplotlib.rc_context(), pyplot.style.context("dark_background"):
            ax = plots.ladder(LADDER, ax=Figure().subplots())
        assert to_hex(ax.get_facecolor()) == PAPER
        for word in (ax.xaxis.label, *ax.get_xticklabels()):
            assert sum(matplotlib.colors.to_rgb(word.get_color())) > 2.4
        light = plots.ladder(LADDER, ax=Figure(facecolor="white").subplots())
        assert light.xaxis.label.get_color() == SOFT

    def test_the_sheet_of_a_page_stays_clear(self):
        assert plots.ladder(LADDER, ax=sheet().subplots()).get_facecolor()[3] == 0
