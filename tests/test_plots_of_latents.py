"""Plots of latents, variance, tables, images, curves and weights, and the plate diagram."""

import base64
import io
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Circle, FancyArrowPatch
from test_plots import WIDTHS, estimate, of_label, sheet, texts

from elbowroom import plots
from elbowroom.numerics import Estimate, InputError
from elbowroom.plots.style import INK, LABELS, PAPER, RULE, SOFT, interval_of

NORMAL = np.random.default_rng(0).normal


class TestLatents:
    def test_the_map_has_one_scale_both_ways_and_its_points(self):
        points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        figure = sheet()
        ax = plots.latent_map(points, None, ax=figure.subplots())
        figure.draw_without_rendering()
        (line,) = ax.get_lines()
        assert line.get_xydata().tolist() == points.tolist()
        (a, b), (c, d), (e, f) = ax.transData.transform(points)
        assert c - a == pytest.approx(f - b)
        assert (d, e) == pytest.approx((b, a))

    @WIDTHS
    def test_labels_keep_their_colours_and_names(self, width):
        spots, labels = NORMAL(size=(60, 2)), np.repeat([-1, 2, 5], 20)
        ax = plots.latent_map(spots, labels, names=["a", "b", "<c>", "d", "e", "f"], ax=sheet(width).subplots())
        assert [line.get_color() for line in ax.get_lines()] == [SOFT, LABELS[2], LABELS[5]]
        assert texts(ax) == ["<c>", "f"]
        assert ax.texts[0].xy == pytest.approx(np.median(spots[labels == 2], axis=0))
        assert (ax.get_legend() is None) == (width == 348)

    @WIDTHS
    def test_groups_on_one_another_are_named_beside_and_not_in_the_plane(self, width):
        ax = plots.latent_map(NORMAL(size=(20, 2)), np.arange(20) % 2, at_medians=False, ax=sheet(width).subplots())
        assert texts(ax) == []
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0 (10)", "1 (10)"]

    def test_what_is_not_finite_does_not_stand_in_the_way(self):
        spots = np.array([[0.0, 1.0], [2.0, 3.0], [math.nan, 5.0]])
        assert plots.latent_map(spots, [0, 0, 0], ax=sheet().subplots()).texts[0].xy == pytest.approx([1.0, 2.0])
        use = SimpleNamespace(kl=[math.inf, 2.0, math.nan], active=[True] * 3)
        assert plots.kl_per_latent(use, ax=sheet().subplots()).get_ylim()[1] == 10.0

    def test_names_at_one_place_move_apart(self):
        figure = sheet()
        ax = plots.latent_map(np.zeros((3, 2)), [0, 1, 2], names=["one", "two", "three"], ax=figure.subplots())
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(box.count_overlaps(boxes[:i]) for i, box in enumerate(boxes))

    def test_points_beyond_the_limit_are_left_out(self):
        (line,) = plots.latent_map(NORMAL(size=(3000, 2)), None, ax=sheet().subplots()).get_lines()
        assert len(line.get_xdata()) == plots.MAP_LIMIT

    def test_kl_sorted_filled_where_active(self):
        use = SimpleNamespace(kl=[0.5, 2.0, 0.001, 0.0], active=[True, True, False, False])
        ax = plots.kl_per_latent(use, threshold=0.01, ax=sheet().subplots())
        stems, dots = ax.collections
        assert dots.get_offsets().tolist() == [[1, 2.0], [2, 0.5], [3, 0.001]]
        assert [to_hex(colour) for colour in dots.get_facecolors()] == [INK, INK, PAPER]
        assert [segment[1, 1] for segment in stems.get_segments()] == [2.0, 0.5, 0.001]
        assert of_label(ax, "threshold 0.01 nats").get_ydata() == [0.01, 0.01]
        assert [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() == "v"] == [[4]]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "1", "3", "4"]
        assert ax.get_yscale() == "log"

    def test_no_threshold_no_line_and_no_kl_no_figure(self):
        ax = plots.kl_per_latent(SimpleNamespace(kl=[0.5], active=[True]), ax=sheet(348).subplots())
        assert not ax.get_lines()
        with pytest.raises(InputError, match="not divided"):
            plots.kl_per_latent(SimpleNamespace(kl=None, active=[True]))


SPLITS = [plots.Bar("VAE", (84.0, 16.0), "84.0 ± 0.5 % latent", bold=True), plots.Bar("mixture & <co>", (70.0, 60.0))]


def reach(patch):
    return patch.get_x(), patch.get_x() + patch.get_width()


class TestBars:
    @WIDTHS
    def test_parts_are_as_long_as_their_share_of_the_data(self, width):
        ax = plots.stacked_bars(SPLITS, ("latent", "noise"), ax=sheet(width).subplots())
        ends = [(0.0, 100.0), (0.0, 84.0), (84.0, 100.0), (0.0, 70.0), (70.0, 130.0)]
        assert np.allclose([reach(patch) for patch in ax.patches], ends)
        assert {"84.0 ± 0.5 % latent", "100 %", "130 %", "mixture & <co>"} <= set(texts(ax))
        assert all(segment[:, 0].tolist() == [100, 100] for c in ax.collections for segment in c.get_segments())

    def test_shades_differ_in_grey_print(self):
        """Relative luminance on white paper, from the colours and their opacity."""
        ax = plots.stacked_bars([plots.Bar("a", (50.0, 20.0, 10.0))], ("a", "b", "c"), ax=sheet().subplots())
        greys = []
        for patch in ax.patches[1:]:
            *colour, opacity = to_rgba(patch.get_facecolor())
            greys.append(1 - opacity * (1 - np.dot(colour, (0.299, 0.587, 0.114))))
        assert greys == sorted(greys)
        assert min(np.diff(greys)) > 0.15

    def test_what_is_taken_away_ends_the_bar_earlier(self):
        ax = plots.stacked_bars([plots.Bar("a", (60.0, 30.0, -10.0))], ("a", "b", "c"), ax=sheet().subplots())
        assert reach(ax.patches[-1]) == pytest.approx((80.0, 90.0))
        assert "80 %" in texts(ax)

    def test_an_endless_bar_does_not_squeeze_the_others(self):
        wild = plots.Bar("wild", (10.0, 5_000.0))
        ax = plots.stacked_bars([*SPLITS, wild], ("a", "b"), ax=sheet(348).subplots())
        assert ax.get_xlim()[1] < 251
        assert reach(ax.patches[-1]) == pytest.approx((10.0, 250.0))
        assert [line.get_marker() for line in ax.get_lines()] == [">"]
        assert "5,010 %" in texts(ax)

    @WIDTHS
    def test_no_total_stands_on_the_line_of_the_data(self, width):
        bars = [plots.Bar(f"{v}", (float(v), 0.0)) for v in range(70, 130, 3)]
        ax = plots.stacked_bars(bars, ("a", "b"), ax=sheet(width).subplots())
        ax.figure.draw_without_rendering()
        line = ax.transData.transform((100, 0))[0]
        totals = [text.get_window_extent() for text in ax.texts if text.get_text().endswith(" %")]
        assert len(totals) == 21
        assert all(box.x0 > line for box in totals)

    def test_budgets_become_bars(self):
        budget = SimpleNamespace(data=4.0, latent=3.0, noise=1.5, latent_share_se=0.01, ink_data=10.0, ink_latent=5.0,
                                 ink_noise_diagonal=2.0, ink_noise_covariance=-1.0)  # fmt: skip
        ax = plots.variance_bars({"VAE": budget}, own="VAE", ax=sheet().subplots())
        assert np.allclose([reach(patch) for patch in ax.patches[1:]], [(0.0, 75.0), (75.0, 112.5)])
        assert "66.7 ± 1.0 % latent" in texts(ax)
        ink = plots.ink_bars({"VAE": budget}, ax=sheet().subplots())
        assert np.allclose([reach(patch) for patch in ink.patches[1:]], [(0.0, 50.0), (50.0, 70.0), (60.0, 70.0)])
        assert "60.0 %" in texts(ink)


class TestTables:
    def test_quantiles_stand_where_they_should(self):
        data = np.linspace(0.0, 100.0, 1001)[:, None]
        ax = plots.quantile_strips({"data": data, "samples": data / 2}, ["age"], ax=sheet().subplots())
        # The axis runs from the least 5 % quantile (2.5, of the samples) to the greatest 95 % quantile (95).
        thin, thick, median = ax.get_lines()[:3]
        assert thin.get_xdata() == pytest.approx([2.5 / 92.5, 1.0])
        assert thick.get_xdata() == pytest.approx([22.5 / 92.5, 72.5 / 92.5])
        assert median.get_xdata() == pytest.approx([47.5 / 92.5])
        assert {"2.5", "95", "age"} <= set(texts(ax))

    @WIDTHS
    def test_hostile_constant_and_empty_columns(self, width):
        table = np.array([[1.0, np.nan], [1.0, np.nan]])
        ax = plots.quantile_strips({"data": table}, ["<b>", "void"], ax=sheet(width).subplots())
        assert {"<b>", "no finite values"} <= set(texts(ax))
        assert "void: data unknown" in ax.get_label()

    def test_no_more_columns_than_can_be_read(self):
        ax = plots.quantile_strips({"data": NORMAL(size=(10, 99))}, [f"c{i}" for i in range(99)], ax=sheet().subplots())
        assert len([text for text in texts(ax) if text.startswith("c")]) == plots.COLUMN_LIMIT

    def test_shares_are_as_long_as_they_are(self):
        columns = {"$colour_": {"red": (0.5, 0.25), "blue": (0.5, 0.75)}, "b": {"x": (1.0, 0.0)}}
        ax = plots.class_shares(columns, ("data", "samples"), ax=sheet().subplots())
        assert [patch.get_width() for patch in ax.patches] == [0.5, 0.25, 0.5, 0.75, 1.0, 0.0]
        assert {"$colour_", "50.0 % / 25.0 %", "red"} <= set(texts(ax))
        levels = [text.xy[1] for text in ax.texts if text.get_text() in ("$colour_", "red", "blue", "b", "x")]
        assert all(above > below for above, below in itertools.pairwise(levels))


@WIDTHS
@pytest.mark.filterwarnings("error")
def test_long_names_leave_room_to_draw(width):
    long, figures = "a very long name of a class or a column " * 3, [sheet(width) for _ in range(3)]
    plots.class_shares({long: {long: (0.5, 0.5)}}, ("data", "samples"), ax=figures[0].subplots())
    plots.quantile_strips({"data": NORMAL(size=(9, 1))}, [long], ax=figures[1].subplots())
    plots.stacked_bars([plots.Bar(long, (50.0,), "50.0 ± 0.1 % latent")], ("latent",), ax=figures[2].subplots())
    for figure in figures:
        figure.draw_without_rendering()
        (ax,) = figure.axes
        assert ax.bbox.width > 0.3 * width
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
        assert min(box.x0 for box in boxes) >= -1
        assert max(box.x1 for box in boxes) <= width + 1


class TestPictures:
    def decoded(self, address):
        from PIL import Image

        assert address.startswith("data:image/png;base64,")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))))

    def test_grey_levels_by_hand(self):
        x = np.array([[0.0, 8.0, 16.0, 20.0]])
        assert plots.to_bytes(x, [2, 2], (0.0, 16.0)).ravel().tolist() == [0, 128, 255, 255]

    def test_channels_come_last(self):
        x = np.arange(12.0).reshape(1, 3, 2, 2)
        assert plots.to_bytes(x, [3, 2, 2], (0.0, 255.0))[0, 0, 1].tolist() == [1, 5, 9]

    def test_channels_of_another_number_stand_side_by_side(self):
        x = np.arange(16.0).reshape(1, 4, 2, 2)
        x[0, 3, 1, 0] = np.nan
        picture = plots.to_bytes(x, [4, 2, 2], (0.0, 255.0))
        assert picture[0, :, :, 0].tolist() == [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 0, 15]]
        drawn = plots.images(x, image_shape=[4, 2, 2]).images[0].get_array()
        assert drawn[1, 6, :3].tolist() != drawn[1, 5, :3].tolist()

    def test_a_mosaic_at_twice_its_size_with_clear_gaps(self):
        rows = [np.full((3, 2, 2, 1), 10, np.uint8), np.full((2, 2, 2, 1), 200, np.uint8)]
        picture = self.decoded(plots.mosaic(rows, gap=1))
        assert picture.shape == (2 * 5, 2 * 8, 2)
        assert picture[:4, :4].reshape(-1, 2).tolist() == [[10, 255]] * 16
        assert not picture[4:6, :, 1].any()
        assert not picture[6:, 12:, 1].any()
        assert picture[9, 0].tolist() == [200, 255]
        assert self.decoded(plots.mosaic([np.zeros((2, 3, 4, 3), np.uint8)], gap=0)).shape == (6, 16, 4)

    def test_ranges(self):
        assert plots.grey_range([3.0], 17) == (0.0, 16.0)
        assert plots.grey_range([0.0, 0.2], None) == (0.0, 1.0)
        assert plots.grey_range([-2.0, 4.0], None) == (-2.0, 4.0)
        assert plots.grey_range([5.0, 5.0], None) == (5.0, 6.0)

    @pytest.mark.parametrize("shape", [[4], [2, 2, 2], [3, 3], [1, 1, 2, 2]])
    def test_what_is_no_picture_is_refused(self, shape):
        with pytest.raises(InputError, match="are no images"):
            plots.to_bytes(np.zeros((2, 4)), shape, (0.0, 1.0))

    def test_images_stand_side_by_side_on_an_axes(self):
        x = np.stack([np.full(4, value) for value in (0.0, 0.5, 1.0)])
        drawn = plots.images(x, image_shape=(2, 2), across=2, ax=sheet().subplots()).images[0].get_array()
        assert drawn.shape == (5, 5, 4)
        assert drawn[0, 3].tolist() == [128, 128, 128, 255]
        assert drawn[3, 0].tolist() == [255, 255, 255, 255]
        assert drawn[3, 3, 3] == 0  # there is no fourth image
        colour = plots.images(np.ones((1, 3, 2, 2)), image_shape=(3, 2, 2), ax=sheet().subplots())
        assert colour.images[0].get_array().shape == (2, 16 + 7, 4) or colour.images[0].get_array().shape[2] == 4


def lower(mean, mc=4.0):
    return estimate(mean, 5.0, "IWAE", "lower", mc=mc)


class TestCurvesAndWeights:
    def test_the_bound_against_draws_has_intervals_from_draws_alone(self):
        curve = SimpleNamespace(draws=(1, 10, 100), estimates=(lower(-90.0), lower(-88.0), lower(-87.5)))
        ax = plots.iwae_curve(curve, ax=sheet().subplots())
        assert np.allclose(ax.get_lines()[0].get_xydata(), [[1, -90.0], [10, -88.0], [100, -87.5]])
        halves = [np.ptp(segment[:, 1]) / 2 for segment in ax.collections[0].get_segments()]
        assert halves == pytest.approx([1.96 * e.se_mc for e in curve.estimates])

    def test_the_rate_distortion_curve_may_stand_on_the_plane(self):
        curve = SimpleNamespace(rates=(lower(20.0), lower(10.0)), distortions=(lower(-90.0), lower(-70.0)))
        models = [plots.Model("β", plots.Value(25.0, 1.0), plots.Value(-80.0, 1.0))]
        plane = plots.rate_distortion(models, ax=sheet().subplots())
        ax = plots.rate_distortion_curve(curve, ax=plane)
        assert ax is plane
        assert any(np.allclose(line.get_xydata(), [[20.0, -90.0], [10.0, -70.0]]) for line in ax.get_lines()
                   if len(line.get_xdata()) == 2)  # fmt: skip
        spans = [np.ptp(s, axis=0).max() for c in ax.collections for s in c.get_segments()]
        assert spans == pytest.approx([2 * interval_of(lower(0.0))] * 4)

    def test_residual_correlations_are_a_picture_with_lag_nought_in_the_middle(self):
        by_lag = np.linspace(-1.0, 1.0, 25).reshape(5, 5)
        ax = plots.residual_correlation(SimpleNamespace(by_lag=by_lag, n=10), ax=sheet().subplots())
        (picture,) = ax.images
        assert np.asarray(picture.get_array()).tolist() == by_lag.tolist()
        assert picture.get_extent() == [-2.5, 2.5, 2.5, -2.5]
        assert picture.get_clim() == (-1, 1)

    def test_weights_are_sorted_and_those_not_to_be_trusted_counted(self):
        e = Estimate.of([-1.0, -2.0, -3.0], quantity="log p(x)", estimator="IWAE", direction="lower",
                        khat=[0.9, 0.1, 0.8], ess=[2.0, 50.0, 30.0])  # fmt: skip
        ax = plots.khat(e, ax=sheet().subplots())
        assert ax.get_lines()[0].get_ydata().tolist() == [0.1, 0.8, 0.9]
        assert ax.get_title("left") == "k̂, above 0.7 on 2 of 3 examples"
        size = plots.effective_sample_size(e, ax=sheet().subplots())
        assert size.get_lines()[0].get_ydata().tolist() == [2.0, 30.0, 50.0]
        assert size.get_title("left") == "effective sample size, below 10 on 1 of 3 examples"
        with pytest.raises(InputError, match="no k̂"):
            plots.khat(lower(0.0))

    def test_the_histogram_counts_every_example_and_names_the_lowest(self):
        values = np.r_[NORMAL(-90.0, 1.0, 200), -140.0, math.nan]
        e = Estimate.of(values, index=np.arange(202) + 1000, quantity="log p(x)", estimator="AIS", direction="lower")
        ax = plots.log_likelihoods(e, lowest=1, ax=sheet().subplots())
        assert sum(patch.get_height() for patch in ax.patches) == 201
        assert texts(ax) == ["1200"]
        assert ax.get_lines()[0].get_xdata() == [-140.0]


HIERARCHICAL = {
    "prior": {"z2": {"kind": "standard-normal"}, "z1": {"kind": "normal", "given": ["z2", "label"]}},
    "posterior": {"z1": {"given": ["x", "label"]}, "z2": {"given": ["z1"]}},
    "likelihood": {"kind": "normal", "given": ["z1", "label"]},
}
M2 = {
    "prior": {"y": {"kind": "categorical"}, "z": {"kind": "standard-normal"}},
    "posterior": {"y": {"given": ["x"]}, "z": {"given": ["x", "y"]}},
    "likelihood": {"given": ["z", "y"]},
}
DEEP = {
    "prior": {"z4": {}} | {f"z{i}": {"given": [f"z{i + 1}"]} for i in (3, 2, 1)},
    "posterior": {f"z{i}": {"given": ["x", f"z{i - 1}"] if i > 1 else ["x"]} for i in (1, 2, 3, 4)},
    "likelihood": {"given": ["z1", "z2", "z3", "z4"]},
}


class TestPlate:
    def test_edges_of_a_hierarchical_conditional_model(self):
        graph = plots.graph(HIERARCHICAL)
        assert graph.blocks == ("z2", "z1")
        assert graph.context == ("label",)
        assert set(graph.generative) == {("z2", "z1"), ("label", "z1"), ("z1", "x"), ("label", "x")}
        assert set(graph.inference) == {("x", "z1"), ("label", "z1"), ("z1", "z2")}
        assert [graph.depth(name) for name in ("z2", "z1", "x")] == [2, 1, 0]

    @WIDTHS
    @pytest.mark.parametrize("recipe", [HIERARCHICAL, M2, DEEP], ids=["hierarchical", "M2", "deep"])
    def test_every_edge_is_drawn_once_and_touches_no_other_node(self, recipe, width):
        figure, graph = sheet(width), plots.graph(recipe)
        ax = plots.plate_diagram(recipe, n=1200, ax=figure.subplots())
        figure.draw_without_rendering()
        arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
        kinds = [arrow.get_gid() for arrow in arrows]
        assert [kinds.count(kind) for kind in ("generates", "infers")] == [len(graph.generative), len(graph.inference)]
        assert all((arrow.get_gid() == "infers") == (arrow.get_linestyle() not in ("-", "solid")) for arrow in arrows)
        nodes = [ax.transData.transform(patch.center) for patch in ax.patches if isinstance(patch, Circle)]
        assert len(nodes) == len(graph.blocks) + 1 + len(graph.context)
        radius = np.ptp(ax.transData.transform([(0, 0), (23, 0)])[:, 0])
        drawn = set()
        for arrow in arrows:
            places = np.concatenate(ax.transData.transform_path(arrow.get_path()).to_polygons(closed_only=False))
            drawn.add(places.round(3).tobytes())
            for place, node in itertools.product(places, nodes):
                assert math.dist(place, node) > radius - 1
        assert len(drawn) == len(arrows)

    def test_observed_nodes_are_grey(self):
        ax = plots.plate_diagram(HIERARCHICAL, ax=sheet().subplots())
        circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
        assert [to_hex(circle.get_facecolor()) for circle in circles] == [PAPER, PAPER, RULE, RULE]
        assert "N examples" in texts(ax)

    @WIDTHS
    def test_hostile_and_many_names(self, width):
        context = [f"<context {i}>" for i in range(7)]
        recipe = {"prior": {"z": {}}, "posterior": {"z": {"given": ["x", *context]}},
                  "likelihood": {"given": ["z", *context]}}  # fmt: skip
        assert set(context) <= set(texts(plots.plate_diagram(recipe, ax=sheet(width).subplots())))
