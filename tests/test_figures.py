"""Figures: digits by the error, positions that can be computed by hand, and graphs read off recipes."""

import base64
import io
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from elbowroom import figures
from elbowroom.figures.svg import Scale, document, element, escape, fit, key_places, nice_ticks, path, tick_texts, words
from elbowroom.numerics import InputError

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing):
    root = ET.fromstring(drawing)
    assert root.tag == SVG + "svg"
    return root


def of_class(root, name):
    return [node for node in root.iter() if name in node.get("class", "").split()]


def texts(root):
    return [node.text for node in root.iter(SVG + "text")]


def text_extents(root):
    """Horizontal reach of every text that stands directly in page coordinates, by the generous guess of its width."""
    for node in root.iter(SVG + "text"):
        wide = 0.5 * float(node.get("font-size")) * len(node.text)
        x = float(node.get("x"))
        shift = {"end": -wide, "middle": -wide / 2}.get(node.get("text-anchor"), 0.0)
        yield x + shift, x + shift + wide


# Worked by hand: the error's second significant digit decides the last digit of the value.
@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (3.14159, 0.0123, "3.142 ± 0.012"),
        (-86.4123, 0.24, "−86.41 ± 0.24"),
        (12.4, 0.9, "12.40 ± 0.90"),
        (1234.5, 56.0, "1,234 ± 56"),
        (1234.5, 562.0, "1,230 ± 560"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (0.5, 0.0994, "0.500 ± 0.099"),
        (7.0, 9.96, "7 ± 10"),
        (0.00012345, 0.0000012, "0.0001234 ± 0.0000012"),
        (5.0, 0.0, "5.00 ± 0.00"),
        (5.0, None, "5.00"),
        (5.0, math.nan, "5.00"),
        (math.nan, 0.1, "not available"),
        (None, 0.1, "not available"),
        (-0.001, 0.3, "0.00 ± 0.30"),
    ],
)
def test_the_error_decides_the_digits(value, error, said):
    assert figures.with_error(value, error) == said


def test_decimal_points_align():
    column = figures.aligned(["62.1", "≥ 73.25", "7", "none: exact"])
    assert len({len(text.split(".")[-1]) for text in column[:2]}) == 1
    assert column[2] == "7\u2008\u2007\u2007"
    assert column[3] == "none: exact"


def test_ticks_are_round_and_inside():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low = rng.normal() * 10.0 ** rng.integers(-3, 4)
        high = low + 10.0 ** rng.uniform(-3, 4)
        ticks = nice_ticks(low, high, 5)
        assert 2 <= len(ticks) <= 12
        assert low - 1e-9 <= ticks[0]
        assert ticks[-1] <= high + 1e-9
        step = ticks[1] - ticks[0]
        assert round(step / 10.0 ** math.floor(math.log10(step) + 1e-9)) in (1, 2, 5, 10)
        assert len(set(tick_texts(ticks))) == len(ticks)


def test_pieces_of_svg():
    assert Scale(0.0, 10.0, 100.0, 200.0)(2.5) == 125.0
    assert Scale(0.0, 10.0, 200.0, 100.0)(2.5) == 175.0
    assert element("rect", x=-0.01, rx=None) == '<rect x="0"/>'
    assert path([(0, 0), (1.25, -3)]).startswith('<path d="M0 0L1.2 -3"')
    assert escape('<a b="\x00">') == "&lt;a b=&quot;\ufffd&quot;&gt;"
    assert fit("Gaussian mixture", 60, 12) == "Gaussia…"
    assert [y for _, y in key_places(["validation", "training", "kept: epoch 181", "schedule running"], 348)] == [
        8,
        8,
        8,
        28,
    ]
    ET.fromstring(document(10, 10, "a < b", "c & d", words(0, 0, '"<>&\ud800'.encode("utf-8", "replace").decode())))


RUNGS = [
    figures.Rung("PCA", "exact", 37.0, 0.0, 1.0, "exact", bold=False),
    figures.Rung("mixture", "exact", 64.0, 0.0, 1.5, "exact", bold=False),
    figures.Rung("VAE", "IWAE-500", 74.6, 0.05, 1.2, "lower", bold=True),
    figures.Rung("VAE", "ELBO", 71.0, 0.1, 1.2, "lower", bold=True),
]


class TestLadder:
    @pytest.mark.parametrize("width", [760, 348])
    def test_best_is_at_the_top_and_bounds_are_arrows(self, width):
        root = parsed(figures.ladder(RUNGS, width=width, title="A ladder"))
        rows = list(of_class(root, "tabular"))
        assert [next(row.iter(SVG + "text")).text for row in rows] == ["VAE", "VAE", "mixture", "PCA"]
        for row, exact in zip(rows, (False, False, True, True), strict=True):
            assert len(of_class(row, "dot")) == exact
            assert len(of_class(row, "bound")) == (not exact)
            assert len(list(row.iter(SVG + "polygon"))) == (not exact)
        for row in rows[:2]:
            (bound,) = of_class(row, "bound")
            assert float(bound.get("x2")) > float(bound.get("x1"))
        assert "≥ 74.6 ± 1.2" in texts(root)
        assert "64.0 ± 1.5" in texts(root)

    def test_intervals_come_before_points_and_have_their_length(self):
        root = parsed(figures.ladder(RUNGS, width=760, title="A ladder"))
        row = of_class(root, "tabular")[2]
        kinds = [child.tag.removeprefix(SVG) for child in row if child.tag != SVG + "text"]
        assert kinds == ["line", "line", "circle"]
        lines = list(row.iter(SVG + "line"))
        centre = float(row.find(SVG + "circle").get("cx"))
        low, high = float(lines[0].get("x1")), float(lines[0].get("x2"))
        assert (low + high) / 2 == pytest.approx(centre, abs=0.1)
        other = of_class(root, "tabular")[3].find(SVG + "circle")
        per_nat = (centre - float(other.get("cx"))) / (64.0 - 37.0)
        assert (high - low) / 2 == pytest.approx(1.96 * 1.5 * per_nat, abs=0.15)

    def test_a_hopeless_row_does_not_squeeze_the_others(self):
        bad = figures.Rung("broken", "exact", -4212.0, 0.0, 9.0, "exact", bold=False)
        root = parsed(figures.ladder([*RUNGS, bad], width=760, title="A ladder"))
        spread = [float(c.get("cx")) for c in root.iter(SVG + "circle")]
        assert len(spread) == 2
        assert max(spread) - min(spread) > 150
        assert "−4,212.0 ± 9.0" in texts(root)

    @pytest.mark.parametrize("width", [760, 348])
    def test_no_label_is_clipped(self, width):
        rungs = [figures.Rung("a very long name of a model " * 3, "detail " * 12, 1e5, 1.0, 2.0, "lower", True), *RUNGS]
        for left, right in text_extents(parsed(figures.ladder(rungs, width=width, title="A ladder"))):
            assert left >= -1
            assert right <= width + 1

    def test_one_row_without_an_error(self):
        alone = figures.Rung("VAE", "ELBO", 3.0, 0.0, math.nan, "lower", bold=True)
        drawing = figures.ladder([alone], width=348, title="A ladder")
        assert "nan" not in drawing
        assert "≥ 3.00" in texts(parsed(drawing))


SPLITS = [
    figures.Bar("VAE, β = 1", (84.0, 16.0), "84.0 ± 0.5 % latent", bold=True),
    figures.Bar("mixture & <co>", (70.0, 60.0), "53.8 % latent"),
]
SPLIT_KEY = ("latent", "noise", "covariance")


def reach(node):
    return float(node.get("x")), float(node.get("x")) + float(node.get("width"))


class TestVarianceBars:
    @pytest.mark.parametrize("width", [760, 348])
    def test_parts_are_as_long_as_their_share_of_the_data(self, width):
        root = parsed(figures.variance_bars(SPLITS, SPLIT_KEY[:2], width=width, title="Bars", axis="%"))
        zero, hundred = reach(of_class(root, "data")[0])
        whole = [float(node.get(end)) for node in of_class(root, "whole") for end in ("x1", "x2")]
        assert whole == pytest.approx([hundred] * 4, abs=0.2)
        found = [reach(node) for node in of_class(root, "part")]
        ends = [(0.0, 84.0), (84.0, 100.0), (0.0, 70.0), (70.0, 130.0)]
        for (left, right), (low, high) in zip(found, ends, strict=True):
            assert left == pytest.approx(zero + low / 100 * (hundred - zero), abs=0.2)
            assert right == pytest.approx(zero + high / 100 * (hundred - zero), abs=0.2)
        assert {"84.0 ± 0.5 % latent", "100 %", "130 %", "mixture & <co>"} <= set(texts(root))
        assert all(low >= -1 and high <= width + 1 for low, high in text_extents(root))

    def test_shades_differ_in_grey_print(self):
        """Relative luminance on white paper, from the fallback colours and their opacity."""
        bar = figures.Bar("a", (50.0, 20.0, 10.0), "")
        root = parsed(figures.variance_bars([bar], SPLIT_KEY, width=760, title="Bars", axis="%"))
        greys = []
        for node in of_class(root, "part"):
            colour = re.search(r"#(\w{6})", node.get("fill")).group(1)
            red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
            grey, opacity = 0.299 * red + 0.587 * green + 0.114 * blue, float(node.get("fill-opacity", 1))
            greys.append(1 - opacity * (1 - grey))
        assert greys == sorted(greys)
        assert min(np.diff(greys)) > 0.15
        assert of_class(root, "part")[2].get("stroke-dasharray")

    def test_what_is_taken_away_ends_the_bar_earlier(self):
        bar = figures.Bar("a", (60.0, 30.0, -10.0), "")
        root = parsed(figures.variance_bars([bar], SPLIT_KEY, width=760, title="Bars", axis="%"))
        unit = (reach(of_class(root, "data")[0])[1] - reach(of_class(root, "data")[0])[0]) / 100
        _, noise, covariance = (reach(node) for node in of_class(root, "part"))
        assert covariance[1] == pytest.approx(noise[1], abs=0.2)
        assert covariance[1] - covariance[0] == pytest.approx(10 * unit, abs=0.2)
        assert "80 %" in texts(root)

    def test_an_endless_bar_does_not_squeeze_the_others(self):
        wild = figures.Bar("wild", (10.0, 5_000.0), "0.2 % latent")
        root = parsed(figures.variance_bars([*SPLITS, wild], SPLIT_KEY[:2], width=348, title="Bars", axis="%"))
        zero, hundred = reach(of_class(root, "data")[0])
        assert hundred - zero > 348 / 4
        assert len(list(root.iter(SVG + "polygon"))) == 1
        assert "5,010 %" in texts(root)
        assert max(reach(node)[1] for node in of_class(root, "part")) <= 348
        assert all(low >= -1 and high <= 349 for low, high in text_extents(root))

    def test_no_total_stands_on_the_line_of_the_data(self):
        bars = [figures.Bar(f"{v}", (float(v), 0.0), "latent") for v in range(70, 130, 3)]
        root = parsed(figures.variance_bars(bars, SPLIT_KEY[:2], width=348, title="Bars", axis="%"))
        line_at = float(of_class(root, "whole")[0].get("x1"))
        for node in root.iter(SVG + "text"):
            if re.fullmatch(r"\d+ %", node.text):
                left = float(node.get("x"))
                assert not left < line_at < left + 0.5 * 11 * len(node.text)


MODELS = [
    figures.Tradeoff("β = 0.1", (30.0, 0.5), (-100.0, 1.0)),
    figures.Tradeoff("β = 1", (18.0, 0.3), (-85.0, 1.0), chosen=True),
    figures.Tradeoff("β = 4", (8.0, 0.2), (-60.0, 1.0)),
]


class TestPlane:
    @pytest.mark.parametrize("width", [760, 348])
    def test_lines_of_equal_elbo_have_equal_elbo(self, width):
        root = parsed(figures.rate_distortion(MODELS, width=width, title="A plane"))
        dots = {m.label: of_class(root, f"point-{i}")[0] for i, m in enumerate(MODELS)}
        places = [
            next(float(c.get(a)) for c in dots[m.label].iter(SVG + "circle")) for m in MODELS for a in ("cx", "cy")
        ]
        (x0, y0), (x2, y2) = places[:2], places[4:]
        right, up = (x0 - x2) / (30.0 - 8.0), (y0 - y2) / (-100.0 + 60.0)
        lines = [n for n in root.iter(SVG + "line") if n.get("stroke-dasharray") == "2 5"]
        assert len(lines) >= 4
        sums = []
        for node in lines:
            ends = [(float(node.get("x" + e)) - x0) / right + 30.0 for e in "12"]
            ups = [(float(node.get("y" + e)) - y0) / up - 100.0 for e in "12"]
            assert ends[0] + ups[0] == pytest.approx(ends[1] + ups[1], abs=0.4)
            sums.append(round(ends[0] + ups[0]))
        named = {int(t) for t in texts(root) if re.fullmatch(r"\d+", t)}
        assert {-s for s in sums if -s > 0} & named

    def test_models_carry_their_numbers_and_words(self):
        root = parsed(figures.rate_distortion(MODELS, width=760, title="A plane"))
        points = of_class(root, "point")
        assert sorted(p.get("data-model") for p in points) == ["0", "1", "2"]
        assert points[-1].get("data-model") == "1"
        said = of_class(root, "point-1")[0].find(SVG + "title").text
        assert said == "β = 1: rate 18.00 ± 0.30, distortion −85.0 ± 1.0, ELBO 67.0 nats"
        assert "β = 1 (chosen)" in texts(root)

    def test_labels_do_not_cover_each_other(self):
        crowd = [
            figures.Tradeoff(f"β = {b}", (20 + 0.1 * i, 0.1), (-90 - 0.1 * i, 0.1)) for i, b in enumerate(range(12))
        ]
        root = parsed(figures.rate_distortion(crowd, width=348, title="A crowd"))
        boxes = []
        for node in root.iter(SVG + "text"):
            if node.text.startswith("β"):
                wide, x, y = 0.5 * 12 * len(node.text), float(node.get("x")), float(node.get("y"))
                left = x - wide if node.get("text-anchor") == "end" else x
                boxes.append((left, y - 9, left + wide, y))
        assert boxes
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]

    def test_a_diverged_model_keeps_its_number(self):
        lost = figures.Tradeoff("β = 9", (math.nan, math.nan), (math.inf, 1.0))
        drawing = figures.rate_distortion([lost, *MODELS], width=760, title="A plane")
        points = of_class(parsed(drawing), "point")
        assert sorted(p.get("data-model") for p in points) == ["1", "2", "3"]

    def test_models_that_do_not_follow_from_each_other_are_not_joined(self):
        drawn = [figures.rate_distortion(MODELS, width=760, title="T", joined=joined) for joined in (True, False)]
        lines, fewer = (len(list(parsed(one).iter(SVG + "path"))) for one in drawn)
        assert lines - fewer == 1

    def test_a_single_model(self):
        parsed(figures.rate_distortion(MODELS[:1], width=348, title="One"))


def epochs(n, beta=lambda e: 1.0):
    def part(e, extra):
        return {"objective": 100.0 / e + extra, "rate": 5.0 - 1.0 / e, "distortion": 95.0 / e + extra}

    def row(e):
        return {"epoch": e, "train": part(e, 0) | {"beta": beta(e)}, "validation": part(e, 2)}

    return [row(e) for e in range(1, n + 1)]


class TestCurves:
    @pytest.mark.parametrize("width", [760, 348])
    def test_the_kept_epoch_stands_in_every_panel(self, width):
        root = parsed(figures.learning_curves(epochs(100), 60, width=width, title="Curves"))
        kept = [n for n in root.iter(SVG + "line") if n.get("stroke-dasharray") == "3 3" and n.get("x1") == n.get("x2")]
        assert len(kept) == 3
        assert "kept: epoch 60" in texts(root)
        assert "schedule running" not in texts(root)
        first = kept[0]
        panels = list(root.iter(SVG + "svg"))[1:]
        left, wide = float(panels[0].get("x")), float(panels[0].get("width"))
        assert float(first.get("x1")) == pytest.approx(left + wide * (60 - 0.5) / 100, abs=0.1)

    def test_a_number_that_moves_to_the_end_is_no_schedule(self):
        for moving in (lambda e: 1.0 / e, lambda e: None):
            root = parsed(figures.learning_curves(epochs(100, moving), 60, width=760, title="Curves"))
            assert "schedule running" not in texts(root)

    def test_a_schedule_is_marked_up_to_where_it_ends(self):
        root = parsed(figures.learning_curves(epochs(100, lambda e: min(1.0, e / 30)), 60, width=760, title="Curves"))
        (band, *_), panel = list(root.iter(SVG + "rect")), list(root.iter(SVG + "svg"))[1]
        assert float(band.get("width")) == pytest.approx(float(panel.get("width")) * (29 - 0.5) / 100, abs=0.1)
        assert "schedule running" in texts(root)

    def test_one_epoch_and_missing_values(self):
        history = epochs(1)
        history[0]["validation"] = {"objective": None}
        drawing = figures.learning_curves(history, 1, width=348, title="Curves")
        assert "nan nan" not in drawing
        parsed(drawing)


class TestPictures:
    def decoded(self, address):
        from PIL import Image

        assert address.startswith("data:image/png;base64,")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))))

    def test_grey_levels_by_hand(self):
        x = np.array([[0.0, 8.0, 16.0, 20.0]])
        assert figures.to_bytes(x, [2, 2], (0.0, 16.0)).ravel().tolist() == [0, 128, 255, 255]

    def test_channels_come_last(self):
        x = np.arange(12.0).reshape(1, 3, 2, 2)
        picture = figures.to_bytes(x, [3, 2, 2], (0.0, 255.0))
        assert picture[0, 0, 1].tolist() == [1, 5, 9]

    def test_a_mosaic_at_twice_its_size_with_clear_gaps(self):
        rows = [np.full((3, 2, 2, 1), 10, np.uint8), np.full((2, 2, 2, 1), 200, np.uint8)]
        picture = self.decoded(figures.mosaic(rows, gap=1))
        assert picture.shape == (2 * 5, 2 * 8, 2)
        assert picture[:4, :4].reshape(-1, 2).tolist() == [[10, 255]] * 16
        assert not picture[4:6, :, 1].any()
        assert not picture[6:, 12:, 1].any()
        assert picture[9, 0].tolist() == [200, 255]

    def test_colour(self):
        assert self.decoded(figures.mosaic([np.zeros((1, 3, 4, 3), np.uint8)])).shape == (6, 8, 4)

    def test_ranges(self):
        assert figures.grey_range([3.0], 17) == (0.0, 16.0)
        assert figures.grey_range([0.0, 0.2], None) == (0.0, 1.0)
        assert figures.grey_range([-2.0, 4.0], None) == (-2.0, 4.0)
        assert figures.grey_range([5.0, 5.0], None) == (5.0, 6.0)

    @pytest.mark.parametrize("shape", [[4], [2, 2, 2], [3, 3], [1, 1, 2, 2]])
    def test_what_is_no_picture_is_refused(self, shape):
        with pytest.raises(InputError, match="are no images"):
            figures.to_bytes(np.zeros((2, 4)), shape, (0.0, 1.0))


class TestLatents:
    def test_the_same_scale_both_ways(self):
        points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        root = parsed(figures.latent_map(points, [0, 0, 0], None, "z1, z2", width=760, title="Map"))
        (dots,) = [n.get("d") for n in root.iter(SVG + "path")]
        (a, b), (c, d), (e, f) = [tuple(map(float, p.split())) for p in re.findall(r"M([\d. -]+)h0", dots)]
        assert c - a == pytest.approx(b - f, abs=0.2)
        assert (d, e) == pytest.approx((b, a), abs=0.2)

    def test_labels_keep_their_colours_and_names(self):
        rng = np.random.default_rng(1)
        labels = np.repeat([-1, 2, 5], 20)
        names = ["a", "b", "<c>", "d", "e", "f"]
        root = parsed(figures.latent_map(rng.normal(size=(60, 2)), labels, names, "axes", width=348, title="Map"))
        colours = [n.get("stroke") for n in root.iter(SVG + "path")]
        assert [re.search(r"--(soft|label-\d)", c).group(1) for c in colours] == ["soft", "label-2", "label-5"]
        assert {"<c>", "f"} <= set(texts(root))

    def test_points_beyond_the_limit_are_left_out(self):
        drawing = figures.latent_map(
            np.random.default_rng(0).normal(size=(3000, 2)), -np.ones(3000), None, "z", width=348, title="M"
        )
        assert drawing.count("h0") == figures.MAP_LIMIT

    def test_kl_sorted_filled_where_active(self):
        kl, active = [0.5, 2.0, 0.001, 0.0], [True, True, False, False]
        root = parsed(figures.kl_per_latent(kl, active, 0.01, width=760, title="KL"))
        marks = [(float(c.get("cx")), float(c.get("cy")), "ink" in c.get("fill")) for c in root.iter(SVG + "circle")]
        assert [filled for *_, filled in marks] == [True, True, False]
        assert marks[0][0] < marks[1][0] < marks[2][0]
        assert marks[0][1] < marks[1][1] < marks[2][1]
        decade = (marks[2][1] - marks[0][1]) / math.log10(2.0 / 0.001)
        assert marks[1][1] - marks[0][1] == pytest.approx(decade * math.log10(4.0), abs=0.1)
        (level,) = [
            float(n.get("y1")) for n in root.iter(SVG + "line") if n.get("x1") != "166" and n.get("stroke-dasharray")
        ]
        assert level - marks[0][1] == pytest.approx(decade * math.log10(200.0), abs=0.1)
        assert len(list(root.iter(SVG + "polygon"))) == 1
        assert [t for t in texts(root) if t in "1234"][-4:] == ["2", "1", "3", "4"]

    def test_no_threshold_no_line(self):
        root = parsed(figures.kl_per_latent([0.5], [True], None, width=348, title="KL"))
        assert not [n for n in root.iter(SVG + "line") if n.get("stroke-dasharray")]


class TestStrips:
    def test_quantiles_stand_where_they_should(self):
        data = np.linspace(0.0, 100.0, 1001)[:, None]
        root = parsed(figures.quantile_strips([("data", data), ("samples", data / 2)], ["age"], width=760, title="S"))
        (column,) = of_class(root, "tabular")
        thin, thick, median = list(column.iter(SVG + "line"))[:3]
        low, high = float(thin.get("x1")), float(thin.get("x2"))
        # The axis runs from the least 5 % quantile (2.5, of the samples) to the greatest 95 % quantile (95).
        unit = (high - low) / 90.0
        assert float(thick.get("x1")) - low == pytest.approx(20.0 * unit, abs=0.1)
        assert float(median.get("x1")) - low == pytest.approx(45.0 * unit, abs=0.1)
        assert {"2.5", "95"} <= set(texts(column))

    def test_hostile_constant_and_empty_columns(self):
        table = np.array([[1.0, np.nan], [1.0, np.nan]])
        root = parsed(figures.quantile_strips([("data", table)], ["<b>", "void"], width=348, title="S"))
        assert "<b>" in texts(root)
        assert "no finite values" in texts(root)

    def test_no_more_columns_than_can_be_read(self):
        table = np.random.default_rng(0).normal(size=(10, 99))
        root = parsed(figures.quantile_strips([("data", table)], [f"c{i}" for i in range(99)], width=348, title="S"))
        assert len(of_class(root, "tabular")) == figures.COLUMN_LIMIT


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


class TestPlate:
    def test_edges_of_a_hierarchical_conditional_model(self):
        graph = figures.graph(HIERARCHICAL)
        assert graph.blocks == ("z2", "z1")
        assert graph.context == ("label",)
        assert set(graph.generative) == {("z2", "z1"), ("label", "z1"), ("z1", "x"), ("label", "x")}
        assert set(graph.inference) == {("x", "z1"), ("label", "z1"), ("z1", "z2")}
        assert [graph.depth(name) for name in ("z2", "z1", "x")] == [2, 1, 0]

    @pytest.mark.parametrize("width", [760, 348])
    @pytest.mark.parametrize("recipe", [HIERARCHICAL, M2], ids=["hierarchical", "M2"])
    def test_every_edge_is_drawn_once_and_touches_no_other_node(self, recipe, width):
        drawing = figures.plate_diagram(recipe, width=width, title="Plate", n=1200)
        root, graph = parsed(drawing), figures.graph(recipe)
        arrows = {kind: of_class(root, kind) for kind in ("generative", "inference")}
        assert len(arrows["generative"]) == len(graph.generative) + 1  # one more in the key
        assert len(arrows["inference"]) == len(graph.inference) + 1
        assert all(a.get("stroke-dasharray") for a in arrows["inference"])
        assert not any(a.get("stroke-dasharray") for a in arrows["generative"])
        nodes = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(SVG + "circle") if float(c.get("r")) > 20]
        assert len(nodes) == len(graph.blocks) + 1 + len(graph.context)
        for arrow in (*arrows["generative"], *arrows["inference"]):
            for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", arrow.get("d")):
                assert all(math.dist((float(x), float(y)), node) > 22.5 for node in nodes)

    def test_observed_nodes_are_grey(self):
        root = parsed(figures.plate_diagram(HIERARCHICAL, width=760, title="Plate"))
        fills = [c.get("fill") for c in root.iter(SVG + "circle") if float(c.get("r")) > 20]
        assert ["rule" in fill for fill in fills] == [False, False, True, True]
        assert "N examples" in texts(root)

    def test_one_component_is_the_block_z(self):
        graph = figures.graph(
            {"prior": {"kind": "standard-normal"}, "posterior": {"kind": "q"}, "likelihood": {"kind": "p"}}
        )
        assert graph.generative == (("z", "x"),)
        assert graph.inference == (("x", "z"),)

    def test_circles_and_missing_parts_are_refused(self):
        circle = {"z1": {"given": ["z2"]}, "z2": {"given": ["z1"]}}
        with pytest.raises(InputError, match="in a circle"):
            figures.graph({"prior": circle, "posterior": {}, "likelihood": {"given": ["z1"]}})
        with pytest.raises(InputError, match="no likelihood"):
            figures.graph({"prior": {}, "posterior": {}})

    def test_hostile_and_many_names(self):
        context = [f"<context {i}>" for i in range(7)]
        recipe = {
            "prior": {"z": {}},
            "posterior": {"z": {"given": ["x", *context]}},
            "likelihood": {"given": ["z", *context]},
        }
        for width in (760, 348):
            parsed(figures.plate_diagram(recipe, width=width, title="Plate"))
