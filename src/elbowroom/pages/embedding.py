"""Plots inside the page: SVG whose text stays text, whose colours follow light and dark, and whose points answer."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import matplotlib
from matplotlib.text import Text

from elbowroom.plots.style import ACCENT, BAND, INK, LABELS, PAPER, RULE, SOFT, Sheet

__all__ = ["NARROW", "WIDE", "both_widths"]

WIDE, NARROW = 760, 348
"""Pixels that a figure is drawn for: a page or a sheet of A4, and a telephone of 380 pixels with its margins."""

_COLOURS = {"ink": INK, "soft": SOFT, "rule": RULE, "accent": ACCENT, "paper": PAPER, "band": BAND}
_COLOURS |= {f"label-{number}": colour for number, colour in enumerate(LABELS)}
_VARIABLES = {colour: f"var(--{name},{colour})" for name, colour in _COLOURS.items()}
_PLACES = ("d", "x", "y", "width", "height", "transform")
_HALO = "paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; stroke: " + _VARIABLES[PAPER]
_POINT = re.compile(r"point-(\d+)\.")
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def both_widths(draw: Callable[[Sheet], Any], key: str, title: str) -> tuple[str, ...]:
    """The drawing for the wide and for the narrow page; `draw` gets an empty sheet, `key` is unique on the page."""
    return tuple(_drawing(draw, f"{key}-{width}", width, title) for width in (WIDE, NARROW))


def _drawing(draw: Callable[[Sheet], Any], salt: str, width: int, title: str) -> str:
    """One SVG, the same for the same record whatever settings of matplotlib are in force."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's browser has other fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": salt})
        sheet = Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained")
        draw(sheet)
        sheet.patch.set_visible(False)
        for text in sheet.findobj(Text):
            _plain(text)
        file = io.StringIO()
        sheet.savefig(file, format="svg", metadata={"Date": None})
    said = {str(one.get_gid()): str(one.get_label()) for one in sheet.findobj(lambda one: bool(one.get_gid()))}
    about = " ".join(str(ax.get_label()) for ax in sheet.axes if ax.get_label())
    return _rewritten(ET.fromstring(file.getvalue()), title, about, said)


def _plain(text: Text) -> None:
    """Characters that XML has, and a mark in place of the rim, which would turn text into outlines."""
    text.set_text(_UNPRINTABLE.sub("\ufffd", text.get_text()))
    if text.get_path_effects():
        text.set_path_effects([])
        text.set_gid(f"{text.get_gid() or ''} halo")


def _rewritten(drawn: Element, title: str, about: str, said: Mapping[str, str]) -> str:
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": drawn.attrib["viewBox"], "role": "img"})
    svg.attrib |= {"class": "plot", "font-family": "system-ui, sans-serif"}
    for tag, words in (("title", title), ("desc", about)):
        SubElement(svg, tag).text = _UNPRINTABLE.sub("\ufffd", words)
    svg.extend(drawn)
    for node in svg.iter():
        _rewrite(node)
    for parent in list(svg.iter()):
        for child in [child for child in parent if child.tag in ("metadata", "style")]:
            parent.remove(child)
    _gather_points(svg, said)
    _share_styles(svg)
    markup = ET.tostring(svg, encoding="unicode")
    used = set(re.findall(r'(?:href="|url\()#(\w+)', markup))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", markup)


def _rewrite(node: Element) -> None:
    """No namespaces, no fonts of this machine, variables for colours, two decimals, a rim where one was."""
    node.tag = node.tag.rpartition("}")[2]
    node.attrib = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
    node.text, node.tail = node.text if node.tag in ("text", "title", "desc") else None, None
    if node.tag == "text":
        node.attrib.pop("transform" if node.get("transform", "").startswith("rotate(-0 ") else "", None)
    if "style" in node.attrib:
        style = re.sub(r"font-family: [^;]*;? ?", "", node.attrib["style"])
        node.set("style", re.sub("#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), style))
    for name in _PLACES:
        if name in node.attrib:
            node.set(name, re.sub(r"-?\d+\.\d+", _shortened, " ".join(node.attrib[name].split())))
    if node.get("id", "").endswith(" halo"):
        node.set("style", _HALO)


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _gather_points(svg: Element, said: Mapping[str, str]) -> None:
    """What belongs to one model stands in one group, which is pointed at and focused as a whole."""
    groups: dict[str, Element] = {}
    for parent in list(svg.iter("g")):
        for child in list(parent):
            found = _POINT.match(child.get("id", ""))
            if not found:
                continue
            parent.remove(child)
            group = groups.setdefault(found[1], Element("g", {"class": f"point point-{found[1]}", "role": "img"}))
            group.append(child)
            if child.attrib["id"].endswith(".dot"):
                _answer(group, child, found[1], said[child.attrib["id"]])
    if groups:
        svg.set("role", "group")
        SubElement(svg, "g").extend(groups.values())


def _answer(group: Element, dot: Element, model: str, words: str) -> None:
    """Name, a disc that is easy to hit and a ring for the page's style to show."""
    group.attrib |= {"data-model": model, "tabindex": "0"}
    mark = next(dot.iter("use"))
    disc = Element("circle", {"cx": mark.attrib["x"], "cy": mark.attrib["y"], "r": "16", "fill-opacity": "0"})
    colour = mark.attrib["style"].rpartition("stroke: ")[2].partition(";")[0]
    ring = Element("circle", disc.attrib | {"class": "halo", "r": "10", "style": f"stroke: {colour}"})
    title = Element("title")
    title.text = _UNPRINTABLE.sub("\ufffd", words)
    group[:0] = [title, disc, ring]


def _share_styles(svg: Element) -> None:
    """A style that all marks of a line have stands once, on their group."""
    for group in svg.iter("g"):
        styles = {child.get("style") for child in group if child.tag == "use"}
        if len(group) > 1 and len(styles) == 1 and all(child.tag == "use" for child in group):
            group.set("style", str(styles.pop()))
            for child in group:
                del child.attrib["style"]
