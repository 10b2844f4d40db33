"""Plots inside the page: SVG whose text stays text, whose colours follow light and dark, and whose points answer."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
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
        sheet.patch.set_visible(False)
        for text in sheet.findobj(Text):
            text.set_text(_UNPRINTABLE.sub("\ufffd", text.get_text()))
            if text.get_path_effects():  # they would turn text into outlines
                text.set(path_effects=[], gid=f"{text.get_gid() or ''} halo")
        sheet.savefig(file, format="svg", metadata={"Date": None})
    drawn = ET.fromstring(re.sub(r"<[^>]*>", _rewritten, _OUTSIDE.sub("", file.getvalue())))
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": drawn.attrib["viewBox"], "role": "img"})
    svg.attrib |= {"class": "plot", "font-family": "system-ui, sans-serif"}
    about = " ".join(str(ax.get_label()) for ax in sheet.axes if ax.get_label())
    svg.extend([_words("title", title), _words("desc", about), *drawn])
    dots = sheet.findobj(lambda one: str(one.get_gid()).endswith(".dot"))
    _gather_points(svg, {str(dot.get_gid()): str(dot.get_label()) for dot in dots})
    for group in svg.iter("g"):  # a style that all marks of a line have stands once
        styles = {mark.get("style", "") for mark in group.iterfind("use")}
        if len(styles) == 1:
            group.attrib |= {"style": styles.pop()}
            for mark in group.iterfind("use"):
                mark.attrib.pop("style", None)
    markup = ET.tostring(svg, encoding="unicode")
    used = set(re.findall(r'(?:href="|url\()#(\w+)', markup))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", markup)


def _rewritten(found: re.Match[str]) -> str:
    """A tag with variables for colours, two decimals, a rim where text had one, and nothing of this machine."""
    tag = " ".join(_OF_THIS_MACHINE.sub("", found[0]).split())
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub("#[0-9a-f]{6}", lambda colour: _VARIABLES.get(colour[0], colour[0]), tag)
    return tag.replace(' halo"', f'" style="{_HALO}"')


def _words(tag: str, words: str) -> Element:
    node = Element(tag)
    node.text = _UNPRINTABLE.sub("\ufffd", words)
    return node


def _gather_points(svg: Element, said: Mapping[str, str]) -> None:
    """One group for each model, with its words, a disc that is easy to hit, and a ring for the page's style."""
    groups: dict[str, Element] = {}
    for parent in list(svg.iter("g")):
        for child in [child for child in parent if child.get("id", "").startswith("point-")]:
            parent.remove(child)
            name = child.attrib["id"].partition(".")[0]
            answers = {"data-model": name.removeprefix("point-"), "tabindex": "0", "role": "img"}
            group = groups.setdefault(name, Element("g", {"class": f"point {name}", **answers}))
            group.append(child)
            if child.attrib["id"] in said:
                mark = next(child.iter("use")).attrib
                place = {"cx": mark["x"], "cy": mark["y"], "fill-opacity": "0"}
                ring = {"class": "halo", "r": "10", "stroke-width": "1.5", "style": mark["style"].partition("; ")[2]}
                circles = [Element("circle", place | look) for look in ({"r": "16"}, ring)]
                group[:0] = [_words("title", said[child.attrib["id"]]), *circles]
    if groups:
        svg.set("role", "group")
        ET.SubElement(svg, "g").extend(groups.values())
