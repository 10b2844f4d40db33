"""Plots inside the page and on disk: text is text, colours are variables, the same record gives the same bytes."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from test_plots import LADDER, MODELS, sheet

from elbowroom import plots
from elbowroom.pages.embedding import both_widths

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = r"<script>alert(1)</script> $x^2_i$ \frac{1}{2} & 'q' \"d\" xlink:href #1b1f24 1.23456"


def plane(box):
    plots.rate_distortion(MODELS, chosen=MODELS[1], ax=box.subplots())


def many(box):
    plots.latent_map(np.random.default_rng(0).normal(size=(2000, 2)), np.arange(2000) % 10, ax=box.subplots())


def embedded(draw, key="plane"):
    return both_widths(draw, key, "A figure")


def texts(drawing):
    return ["".join(node.itertext()) for node in ET.fromstring(drawing).iter(SVG + "text")]


def test_both_widths_are_xml_with_text_that_stays_text():
    for width, drawing in zip((760, 348), embedded(plane), strict=True):
        root = ET.fromstring(drawing)
        assert root.get("viewBox").startswith(f"0 0 {width} ")
        assert root[0].text == "A figure"
        assert root[1].text.endswith("Chosen: β = 1.")
        assert {"β = 1 (chosen)", "rate, nats per example", "−80", "ELBO"} <= set(texts(drawing))
        assert "<style" not in drawing
        assert "metadata" not in drawing
        assert "DejaVu" not in drawing


def test_every_colour_is_a_variable_with_a_light_fallback():
    for draw in (plane, many, lambda box: plots.ladder(LADDER, rivals=[0], ax=box.subplots())):
        for drawing in embedded(draw):
            bare = re.sub(r"var\(--[a-z0-9-]+,#[0-9a-f]{6}\)", "", drawing)
            assert "var(--" in drawing
            assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(href="|url\()#\w+', "", bare))


def test_the_same_record_gives_the_same_bytes_under_any_settings():
    first = embedded(plane)
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 7, "svg.fonttype": "path", "text.usetex": True}):
        assert embedded(plane) == first


def test_identities_are_unique_and_lead_somewhere():
    drawings = [*embedded(plane, "a"), *embedded(plane, "b"), *embedded(many, "c")]
    found = [identity for drawing in drawings for identity in re.findall(r' id="([^"]*)"', drawing)]
    assert len(found) == len(set(found))
    for drawing in drawings:
        used = set(re.findall(r'(?:href="|url\()#(\w+)', drawing))
        assert used
        assert "point-0." not in drawing
        assert used == set(re.findall(r' id="([^"]*)"', drawing))


@pytest.mark.parametrize("name", [HOSTILE, "\u0000 \ufffe", "$unbalanced", "数据 😀", "two\nlines", "  "])
def test_names_from_users_are_shown_as_they_are(name):
    def draw(box):
        model = plots.Model(name, plots.Value(1.0, 0.1), plots.Value(2.0, 0.1))
        plots.rate_distortion([model], chosen=model, ax=box.subplots())

    for drawing in embedded(draw):
        root = ET.fromstring(drawing)
        kept = name.replace("\u0000", "\ufffd").replace("\ufffe", "\ufffd")
        (point,) = [node for node in root.iter(SVG + "g") if "point" in node.get("class", "")]
        assert point.find(SVG + "title").text.startswith(kept)
        assert not list(root.iter(SVG + "script"))
        if name == HOSTILE:
            said = texts(
                both_widths(lambda box: plots.class_shares({name[:30]: {}}, "ab", ax=box.subplots()), "s", "t")[0]
            )
            assert name[:30] in said


def test_all_rows_show_hostile_names_literally():
    name = r"<b>$a_1^$\x&"
    table = np.arange(10.0)[:, None]
    draws = [
        lambda box: plots.ladder(LADDER, names=[name] * 4, details=[name] * 4, ax=box.subplots()),
        lambda box: plots.stacked_bars([plots.Bar(name, (50.0,), name)], (name,), ax=box.subplots()),
        lambda box: plots.quantile_strips({name: table}, [name], ax=box.subplots()),
        lambda box: plots.class_shares({name: {name: (1.0,)}}, (name,), ax=box.subplots()),
        lambda box: plots.latent_map([[0, 0], [1, 1]], [0, 1], names=[name, "b"], axes=name, ax=box.subplots()),
        lambda box: plots.lines([plots.Series(name, [1, 2], [1, 2])], across=name, up=name, ax=box.subplots()),
    ]
    for draw in draws:
        for drawing in embedded(draw):
            assert sum(text.startswith(name) for text in texts(drawing)) >= 2


def test_points_answer_to_pointer_and_keyboard():
    for drawing in embedded(plane):
        root = ET.fromstring(drawing)
        points = [node for node in root.iter(SVG + "g") if "point" in node.get("class", "").split()]
        assert root.get("role") == "group"
        assert sorted(point.get("data-model") for point in points) == ["0", "1", "2"]
        assert points[-1].get("class") == "point point-1"  # the chosen one lies on top
        for point in points:
            assert point.get("tabindex") == "0"
            mark = next(point.iter(SVG + "use"))
            disc, ring = point.findall(SVG + "circle")
            assert float(disc.get("r")) >= 12
            assert ring.get("class") == "halo"
            assert [(c.get("cx"), c.get("cy")) for c in (disc, ring)] == [(mark.get("x"), mark.get("y"))] * 2
        assert points[-1].find(SVG + "title").text.startswith("β = 1: rate 18.00 ± 0.30")


def test_a_full_map_is_small():
    wide, narrow = embedded(many)
    assert wide.count("<use") >= 2000
    assert len(wide) + len(narrow) < 350_000


def test_every_reference_is_local():
    drawing = "".join(embedded(plane)).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in drawing
    assert "xlink" not in drawing
    assert set(re.findall(r"url\((.)", drawing)) <= {"#"}


@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_a_notebook_saves_what_it_sees(tmp_path, suffix):
    path = tmp_path / f"ladder.{suffix}"
    plots.ladder(LADDER, ax=sheet().subplots()).figure.savefig(path)
    assert path.read_bytes().startswith({"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[suffix])


def run(code, **environment):
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PATH": "", "PYTHONPATH": ":".join(sys.path)} | environment
    )


def test_drawing_loads_neither_torch_nor_pyplot_until_a_figure_is_asked_for(tmp_path):
    code = """
import sys
import elbowroom as er
from elbowroom.plots.style import Sheet
assert "matplotlib.pyplot" not in sys.modules
from elbowroom.numerics import Estimate
e = Estimate.of([-1.0, -3.0], quantity="log p(x)", estimator="IWAE-10", direction="lower")
er.plots.ladder([e], ax=Sheet().subplots())
assert not {"torch", "matplotlib.pyplot"} & set(sys.modules)
ax = er.plots.ladder([e])
assert ax.figure.number == 1
assert "torch" not in sys.modules
"""
    run(code, HOME=str(tmp_path), MPLCONFIGDIR=str(tmp_path))


def test_a_home_that_cannot_be_written_is_no_hindrance(tmp_path):
    code = """
from elbowroom import plots
from elbowroom.plots.style import Sheet
import io
ax = plots.lines([plots.Series("a", [1, 2], [1, 2])], across="x", up="y", ax=Sheet().subplots())
ax.figure.savefig(io.BytesIO(), format="png")
"""
    run(code, HOME="/proc/nowhere", TMPDIR=str(tmp_path))
