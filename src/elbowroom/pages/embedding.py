"""Plots inside the page: SVG whose text stays text, whose colours follow light and dark, and whose points answer."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import matplotlib
from matplotlib.text import Text

from elbowroom.plots.style import ACCENT, BAND, INK, LABELS, PAPER, RULE, SOFT, Sheet

__all__ = ["NARROW", "WIDE", "both_widths"]

WIDE, NARROW = 760, 348
"""Pixels that a figure is drawn for: a page or a sheet of A4, and a telephone of 380 pixels with its margins."""

_COLOURS = {"ink": INK, "soft": SOFT, "rule": RULE, "accent": ACCENT, "paper": PAPER, "band": BAND}
_COLOURS |= {f"label-{number}": colour for number, colour in enumerate(LABELS)}
_VARIABLES = {colour: f"var(--{name},{colour})" for name, colour in _COLOURS.items()}
_HALO = f"paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; stroke: {_VARIABLES[PAPER]}"
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTSIDE = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|(?<=>)\s+(?=<)", re.DOTALL)
_OF_THIS_MACHINE = re.compile(r' xmlns(:\w+)?="[^"]*"|xlink:|font-family: [^;"]*;? ?| transform="rotate\(-0 [^"]*"')


def both_widths(draw: Callable[[Sheet], Any], key: str, title: str) -> tuple[str, ...]:
    """The drawing for the wide and for the narrow page; `draw` gets an empty sheet, `key` is unique on the page."""
    return tuple(_drawing(draw, f"{key}-{width}", width, title) for width in (WIDE, NARROW))


def _drawing(draw: Callable[[Sheet], Any], salt: str, width: int, title: str) -> str:
    """One SVG, the same for the same record whatever settings of matplotlib are in force."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser has other fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": salt})
        sheet, file = Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained"), io.StringIO()
        draw(sheet)
        for text in sheet.findobj(Text):
            if text.get_path_effects():  # they would turn text into outlines
                text.set(path_effects=[], gid=f"{text.get_gid() or ''} halo")
        sheet.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    dots = sheet.findobj(lambda one: str(one.get_gid()).endswith(".dot"))
    drawn = ET.fromstring(re.sub(r"<[^>]*>", _rewritten, _OUTSIDE.sub("", _UNPRINTABLE.sub("\ufffd", file.getvalue()))))
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": drawn.attrib["viewBox"], "class": "plot"})
    svg.attrib |= {"role": "group" if dots else "img", "font-family": "system-ui, sans-serif"}
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "desc").text = " ".join(str(ax.get_label()) for ax in sheet.axes if ax.get_label())
    svg.extend(drawn)
    for dot in dots:
        _gather_point(svg, str(dot.get_gid()).partition(".")[0], str(dot.get_label()))
    for group in svg.iter("g"):  # a style that all marks of a line have stands once
        marks = group.findall("use")
        if len({mark.get("style") for mark in marks}) == 1:
            group.set("style", marks[0].get("style", ""))
            for mark in marks:
                mark.attrib.pop("style", None)
    markup = _UNPRINTABLE.sub("\ufffd", ET.tostring(svg, encoding="unicode"))
    used = set(re.findall(r'(?:href="|url\()#(\w+)', markup))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", markup)


def _rewritten(found: re.Match[str]) -> str:
    """A tag with variables for colours, two decimals, a rim where text had one, and nothing of this machine."""
    tag = " ".join(_OF_THIS_MACHINE.sub("", found[0]).split())
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub("#[0-9a-f]{6}", lambda colour: _VARIABLES.get(colour[0], colour[0]), tag)
    return tag.replace(' halo"', f'" style="{_HALO}"')


def _gather_point(svg: Element, name: str, said: str) -> None:
    """One group for a model, with its words, a disc that is easy to hit, and a ring for the page's style."""
    parts = [(parent, part) for parent in svg.iter("g") for part in parent if part.get("id", "").startswith(f"{name}.")]
    dot = next(use.attrib for _, part in parts if part.get("id") == f"{name}.dot" for use in part.iter("use"))
    answers = {"data-model": name.removeprefix("point-"), "tabindex": "0", "role": "img"}
    group = ET.SubElement(svg, "g", {"class": f"point {name}", **answers})
    ET.SubElement(group, "title").text = said
    place = {"cx": dot["x"], "cy": dot["y"], "fill-opacity": "0"}
    ring = {"class": "halo", "r": "10", "stroke-width": "1.5", "style": dot["style"].partition("; ")[2]}
    for look in ({"r": "16"}, ring):
        ET.SubElement(group, "circle", place | look)
    for parent, part in parts:
        parent.remove(part)
        group.append(part)
