"""Plots of likelihoods, of the plane and of training: what is drawn against the record it is drawn from."""

import math
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.transforms import Bbox
from scipy import stats

from elbowroom import plots
from elbowroom.numerics import Budget, Estimate, InputError
from elbowroom.plots.style import ACCENT, INK, Sheet
from elbowroom.runs import History

WIDTHS = pytest.mark.parametrize("width", [760, 348])


def sheet(width=760):
    return Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained")


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def of_label(ax, label):
    """The line of a label."""
    return next(line for line in ax.get_lines() if line.get_label() == label)


def estimate(mean, spread, estimator, direction, mc=0.0, n=100):
    values = mean + spread * np.tile([-1.0, 1.0], n // 2)
    kind = {"quantity": "log p(x)", "estimator": estimator, "direction": direction}
    return Estimate.of(values, mc, budget=Budget(8, 0), **kind)


PCA = estimate(37.0, 10.0, "PCA", "exact")
MIXTURE = estimate(64.0, 15.0, "mixture", "exact")
IWAE = estimate(74.6, 12.0, "IWAE-500", "lower", mc=2.0)
ELBO = estimate(71.0, 12.0, "ELBO", "lower", mc=8.0)
LADDER = [PCA, MIXTURE, IWAE, ELBO]


def row_of(ax, level):
    """Lines of one row of a ladder."""
    return [line for line in ax.get_lines() if set(line.get_ydata()) == {level}]


def arrows(ax):
    """Level and sideways reach in points of every arrow."""
    drawn = [text for text in ax.texts if isinstance(text.arrow_patch, FancyArrowPatch)]
    return {text.xy[1]: text.get_position()[0] for text in drawn}


class TestLadder:
    @WIDTHS
    def test_best_is_at_the_top_and_bounds_are_arrows(self, width):
        ax = plots.ladder(LADDER, rivals=[0, 1], ax=sheet(width).subplots())
        names = [name for name in texts(ax) if name in ("IWAE-500", "ELBO", "mixture", "PCA")]
        assert names == ["IWAE-500", "ELBO", "mixture", "PCA"]
        assert arrows(ax).keys() == {0, -1}
        assert all(reach > 0 for reach in arrows(ax).values())
        assert [line.get_marker() for line in row_of(ax, -2)][-1] == "o"
        assert "≥ 74.6 ± 1.2" in texts(ax)
        assert "64.0 ± 1.5" in texts(ax)

    def test_the_interval_of_the_mean_over_points_is_student_s_and_that_of_the_draws_the_normal_s(self):
        ax = plots.ladder(LADDER, ax=sheet().subplots())
        for level, e in enumerate([IWAE, ELBO, MIXTURE, PCA]):
            thin, thick = row_of(ax, -level)[:2]
            for line, half in ((thin, stats.t.ppf(0.975, len(e) - 1) * e.se_total), (thick, 1.96 * e.se_mc)):
                assert line.get_xdata() == pytest.approx([e.mean - half, e.mean + half])
            assert thin.get_linewidth() < thick.get_linewidth()

    def test_an_upper_bound_points_the_other_way(self):
        upper = estimate(80.0, 1.0, "reverse", "upper")
        assert arrows(plots.ladder([upper, IWAE], ax=sheet().subplots()))[0] < 0

    def test_the_dashed_line_is_the_best_rival(self):
        (line,) = [
            line for line in plots.ladder(LADDER, rivals=[0, 1], ax=sheet().subplots()).get_lines()
            if line.is_dashed()
        ]  # fmt: skip
        assert line.get_xdata() == [64.0, 64.0]
        assert not any(line.is_dashed() for line in plots.ladder(LADDER, ax=sheet().subplots()).get_lines())

    def test_what_is_not_finite_is_named_and_not_drawn(self):
        lost = estimate(math.nan, 0.0, "lost", "lower")
        ax = plots.ladder([lost, *LADDER], ax=sheet().subplots())
        assert "lost" in texts(ax)
        assert "not available" in texts(ax)
        assert not row_of(ax, -4)
        with pytest.raises(InputError, match="finite number"):
            plots.ladder([lost])

    def test_a_hopeless_row_does_not_squeeze_the_others(self):
        bad = estimate(-4212.0, 90.0, "broken", "exact")
        ax = plots.ladder([*LADDER, bad], ax=sheet().subplots())
        assert ax.get_xlim()[0] > 30
        assert not row_of(ax, -4)
        assert arrows(ax)[-4] == 30  # from there to the edge
        assert "−4,212.0 ± 9.0" in texts(ax)

    @WIDTHS
    def test_no_label_is_clipped(self, width):
        figure = sheet(width)
        long = ["a very long name of a model " * 3, *"abc"]
        plots.ladder(LADDER, names=long, details=["detail " * 12] * 4, ax=figure.subplots())
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert min(box.x0 for box in boxes) >= -1
        assert max(box.x1 for box in boxes) <= width + 1

    def test_one_example_without_an_error(self):
        alone = Estimate.of([3.0], quantity="log p(x)", estimator="ELBO", direction="lower")
        assert "≥ 3.00" in texts(plots.ladder([alone], ax=sheet().subplots()))


def model(label, rate, distortion, errors=(0.3, 1.0)):
    return plots.Model(label, plots.Value(rate, errors[0]), plots.Value(distortion, errors[1]))


MODELS = [model("β = 0.1", 30.0, -100.0), model("β = 1", 18.0, -85.0), model("β = 4", 8.0, -60.0)]


def marks(ax, part):
    """Lines of one part of every point, by the number of its model."""
    return {
        int(line.get_gid().split("-")[1].split(".")[0]): line
        for line in ax.get_lines()
        if str(line.get_gid()).endswith("." + part)
    }


class TestPlane:
    def test_dots_stand_at_rate_and_distortion_and_crosses_at_1_96_errors(self):
        ax = plots.rate_distortion(MODELS, chosen=MODELS[1], ax=sheet().subplots())
        for i, m in enumerate(MODELS):
            assert marks(ax, "dot")[i].get_xydata().tolist() == [[m.rate.mean, m.distortion.mean]]
            across, up = marks(ax, "rate")[i].get_xdata(), marks(ax, "distortion")[i].get_ydata()
            assert np.ptp(across) == pytest.approx(2 * 1.96 * 0.3)
            assert np.ptp(up) == pytest.approx(2 * 1.96 * 1.0)

    @WIDTHS
    def test_lines_of_equal_elbo_have_equal_elbo_and_its_name(self, width):
        figure = sheet(width)
        ax = plots.rate_distortion(MODELS, ax=figure.subplots())
        dashed = [line.get_xydata() for line in ax.get_lines() if line.is_dashed()]
        assert len(dashed) >= 4
        named = {text.xy: text.get_text() for text in ax.texts}
        for ends in dashed:
            assert ends.sum(1) == pytest.approx(ends.sum(1)[0])
            name = named.get(tuple(ends[-1]))
            assert name is None or float(name.replace("−", "-")) == pytest.approx(-ends[0].sum())
        assert sum(tuple(ends[-1]) in named for ends in dashed) >= 4
        figure.draw_without_rendering()
        assert all(figure.bbox.x1 >= text.get_window_extent().x1 for text in ax.texts)

    def test_the_chosen_one_is_set_apart_and_every_point_says_its_numbers(self):
        ax = plots.rate_distortion(MODELS, chosen=MODELS[1], ax=sheet().subplots())
        assert [marks(ax, "dot")[i].get_color() for i in range(3)] == [INK, ACCENT, INK]
        said = marks(ax, "dot")[1].get_label()
        assert said == "β = 1: rate 18.00 ± 0.30, distortion −85.0 ± 1.0, ELBO 67.0 nats"
        assert "β = 1 (chosen)" in texts(ax)

    @WIDTHS
    def test_labels_do_not_cover_each_other(self, width):
        crowd = [model(f"β = {b}", 20 + 0.1 * b, -90 - 0.1 * b, (0.1, 0.1)) for b in range(12)]
        figure = sheet(width)
        ax = plots.rate_distortion(crowd, ax=figure.subplots())
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text().startswith("β")]
        assert boxes
        for i, box in enumerate(boxes):
            assert not Bbox.count_overlaps(box, boxes[:i])

    def test_a_diverged_model_is_named_and_keeps_its_number(self):
        lost = model("β = 9", math.nan, math.inf)
        ax = plots.rate_distortion([lost, *MODELS], ax=sheet().subplots())
        assert marks(ax, "dot").keys() == {1, 2, 3}
        assert "not finite: β = 9" in texts(ax)
        with pytest.raises(InputError, match="no plane"):
            plots.rate_distortion([lost])

    def test_a_sweep_is_drawn_as_it_comes(self):
        swept = [SimpleNamespace(label=e.estimator, rate=e, distortion=e) for e in LADDER]
        ax = plots.rate_distortion(swept, chosen=swept[0], ax=sheet().subplots())
        assert marks(ax, "dot")[2].get_xdata() == [IWAE.mean]
        few = stats.t.ppf(0.975, len(IWAE) - 1) * IWAE.se_total
        assert marks(ax, "rate")[2].get_xdata() == pytest.approx([IWAE.mean - few, IWAE.mean + few])
        lost = estimate(math.nan, 0.0, "lost", "lower")
        ax = plots.rate_distortion([*swept, SimpleNamespace(label="gone", rate=lost, distortion=lost)])
        assert "not finite: gone" in texts(ax)


def history(n, beta=lambda e: 1.0, best=1):
    def part(e, extra):
        return {"objective": 100.0 / e + extra, "rate": 5.0 - 1.0 / e, "distortion": 95.0 / e + extra}

    rows = [{"epoch": e, "train": part(e, 0) | {"beta": beta(e)}, "validation": part(e, 2)} for e in range(1, n + 1)]
    return History(rows, best_epoch=best)


def schedule(figure):
    """The end of the grey part, None where there is none."""
    return figure.axes[0].patches[0].get_x() + figure.axes[0].patches[0].get_width() if figure.axes[0].patches else None


class TestCurves:
    @WIDTHS
    def test_every_panel_shows_its_columns_and_the_kept_epoch(self, width):
        run, figure = history(100, best=60), sheet(width)
        axes = plots.learning_curves(run, figure=figure)
        for ax, part in zip(axes, ("objective", "rate", "distortion"), strict=True):
            assert of_label(ax, "training").get_ydata() == pytest.approx(run.column("train", part))
            assert of_label(ax, "validation").get_ydata() == pytest.approx(run.column("validation", part))
            assert list(ax.get_lines()[-1].get_xdata()) == [60, 60]
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "kept: epoch 60"]
        assert len({ax.get_position().y0 for ax in axes}) == (1 if width == 760 else 3)

    def test_the_steep_start_may_leave_the_panel_and_nothing_else(self):
        axes = plots.learning_curves(history(100), figure=sheet())
        low, high = axes[0].get_ylim()
        assert low < 1.0
        assert 100.0 / 6 + 2 < high < 100.0 / 3

    @pytest.mark.parametrize("moving", [lambda e: 1.0 / e, lambda e: None])
    def test_a_number_that_moves_to_the_end_is_no_schedule(self, moving):
        figure = sheet()
        plots.learning_curves(history(100, moving), figure=figure)
        assert schedule(figure) is None

    def test_a_schedule_is_marked_up_to_where_it_ends(self):
        figure = sheet()
        plots.learning_curves(history(100, lambda e: min(1.0, e / 30)), figure=figure)
        assert schedule(figure) == pytest.approx(29)
        assert figure.legends[0].get_texts()[-1].get_text() == "schedule running"

    def test_one_epoch_and_missing_values(self):
        run = history(1)
        run.rows[0]["validation"] = {"objective": None}
        axes = plots.learning_curves(run, figure=sheet())
        assert of_label(axes[0], "training").get_marker() == "o"
        assert not of_label(axes[0], "validation").get_ydata().size
        assert "objective not available" in axes[0].get_label()
        with pytest.raises(InputError, match="no epoch"):
            plots.learning_curves(History())


LINE = plots.Series("elbo", [1.0, 10.0, 100.0], [0.0, math.inf, 2.0], [0.1, 0.1, math.nan])


class TestLines:
    def test_points_and_intervals_and_what_is_left_out(self):
        ax = plots.lines([LINE], across="cost", up="nats", log_x=True, ax=sheet().subplots())
        assert of_label(ax, "elbo").get_xydata().tolist() == [[1.0, 0.0], [100.0, 2.0]]
        spans = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
        assert np.allclose(spans, [[-0.196, 0.196], [2.0, 2.0]])
        assert ax.get_label() == "nats against cost. elbo: 0.00 at 1, 2.00 at 100."
        assert ax.get_xscale() == "log"

    def test_looks_and_band_and_limits(self):
        series = [plots.Series(look, [1.0, 2.0], [1.0, 2.0], look=look) for look in ("line", "dashed", "points")]
        ax = plots.lines(series, across="", up="", band=(0.25, 0.75), limits=(0.0, 1.0), ax=sheet().subplots())
        assert [of_label(ax, s.name).get_marker() for s in series] == ["o", "None", "o"]
        assert of_label(ax, "dashed").is_dashed()
        assert of_label(ax, "points").get_linestyle() == "None"
        assert ax.patches[0].get_y() + ax.patches[0].get_height() == pytest.approx(0.75)
        assert ax.get_ylim() == (0.0, 1.0)

    def test_what_cannot_be_drawn_is_said(self):
        with pytest.raises(InputError, match="no finite point"):
            plots.lines([plots.Series("a", [1.0], [math.nan])], across="", up="")
        with pytest.raises(InputError, match="logarithmic axis, on which x must be positive"):
            plots.lines([plots.Series("a", [0.0, 1.0], [1.0, 2.0])], across="", up="", log_x=True)


def test_ticks_are_written_as_every_other_number():
    ax = plots.lines([plots.Series("a", [0, 3000], [-1.5, 1.5])], across="", up="", ax=sheet().subplots())
    ax.figure.draw_without_rendering()
    assert "2,000" in [label.get_text() for label in ax.get_xticklabels()]
    up = [label.get_text() for label in ax.get_yticklabels()]
    assert {"−1.0", "0.0", "1.0"} <= set(up) or {"−1", "0", "1"} <= set(up)


@pytest.mark.parametrize(("top", "last"), [(3e6, "3,000,000"), (3e-9, "0.0000000030"), (0.3, "0.30"), (1.0, "1.0")])
def test_ticks_have_the_decimals_of_their_step(top, last):
    series = plots.Series("a", [1, 2], [top / 3, top])
    ax = plots.lines([series], across="", up="", limits=(0.0, top), ax=sheet().subplots())
    ax.figure.draw_without_rendering()
    assert ax.get_yticklabels()[-1].get_text() == last


def test_no_setting_of_matplotlib_is_changed():
    before = dict(matplotlib.rcParams)
    assert isinstance(plots.ladder(LADDER), Axes)
    assert dict(matplotlib.rcParams) == before
