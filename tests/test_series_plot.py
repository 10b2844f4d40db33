"""The line figure: places that can be computed by hand, what is left out, and what is refused."""

import math
import xml.etree.ElementTree as ET

import pytest

from elbowroom.figures import Series, series_plot
from elbowroom.numerics import InputError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*series, **settings):
    return ET.fromstring(series_plot(series, width=456, title="a figure", across="cost", up="nats", **settings))


def dots(root):
    """Circles of the inner drawing, (x, y) within the panel."""
    inner = next(root.iter(SVG + "svg")) if root.tag != SVG + "svg" else root.find(SVG + "svg")
    return [(float(c.get("cx")), float(c.get("cy"))) for c in inner.iter(SVG + "circle")]


def test_places_on_a_logarithmic_axis_are_evenly_spaced():
    root = drawn(Series("iwae", [1, 10, 100], [0.0, 1.0, 2.0]), log_x=True, limits=(0.0, 2.0))
    (x0, y0), (x1, y1), (x2, y2) = dots(root)
    # 56 … 440 pixels hold log10 x from −0.08 to 2.08; the panel starts 6 to the left of 56.
    assert x1 - x0 == pytest.approx(384 / 2.16, abs=0.1)
    assert x2 - x1 == pytest.approx(384 / 2.16, abs=0.1)
    assert y0 - y1 == pytest.approx((320 - 62) / 2, abs=0.1)
    assert y2 == pytest.approx(6, abs=0.1)


def test_an_interval_is_drawn_1_96_standard_errors_each_way():
    root = drawn(Series("elbo", [0.0, 1.0], [0.0, 1.0], [0.1, math.nan]), limits=(-1.0, 1.0))
    inner = root.find(SVG + "svg")
    reach = [float(one.get("y2")) - float(one.get("y1")) for one in inner.iter(SVG + "line")]
    assert reach == pytest.approx([2 * 1.96 * 0.1 * 258 / 2, 0.0], abs=0.2)


def test_values_that_are_not_finite_are_left_out_of_the_drawing_and_of_the_words():
    root = drawn(Series("elbo", [1.0, 2.0, 3.0], [1.0, math.inf, 2.0]))
    assert len(dots(root)) == 2
    assert root.find(SVG + "desc").text == "nats against cost. elbo: 1.00 at 1, 2.00 at 3."


def test_a_dashed_series_has_no_dots_and_points_have_no_line():
    root = drawn(Series("a", [1.0, 2.0], [1.0, 2.0], look="dashed"), Series("b", [1.0, 2.0], [1.0, 2.0], look="points"))
    inner = root.find(SVG + "svg")
    assert len(dots(root)) == 2
    assert len(list(inner.iter(SVG + "path"))) == 1


def test_a_band_stands_where_it_says():
    root = drawn(Series("a", [1.0, 2.0], [0.0, 1.0]), band=(0.25, 0.75), limits=(0.0, 1.0))
    band = root.find(SVG + "rect")
    assert float(band.get("height")) == pytest.approx(258 / 2, abs=0.1)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(InputError, match="no finite point"):
        drawn(Series("a", [1.0], [math.nan]))
    with pytest.raises(InputError, match="logarithmic axis, on which x must be positive"):
        drawn(Series("a", [0.0, 1.0], [1.0, 2.0]), log_x=True)
