"""Drawings of pages kept while the tests run: what is drawn of equal values twice is drawn once."""

import html
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import matplotlib

from elbowroom.pages import embedding
from elbowroom.plots.style import Sheet

AFRESH = embedding._drawing
"""As pages draw outside the tests."""
_KEPT: dict[Any, str] = {}
_SKETCHED: list[Any] = []


def drawn_once(draw: Callable[[Any], Any], salt: str, width: int, title: str) -> str:
    """The drawing that the same code made of the same values before, byte for byte what it would be now."""
    plain = inspect.unwrap(draw)  # of the run-time type checker
    try:
        values = pickle.dumps([cell.cell_contents for cell in plain.__closure__ or ()])
    except (pickle.PicklingError, TypeError, AttributeError):
        return AFRESH(draw, salt, width, title)
    key = (plain.__code__, values, salt, width, title)
    if key not in _KEPT:
        _KEPT[key] = AFRESH(draw, salt, width, title)
    return _KEPT[key]


def sketched(draw: Callable[[Any], Any], salt: str, width: int, title: str) -> str:
    """A drawing whose parts are all made and said, as the plot makes them, but not set down as lines and letters.

    What was made for the wide page stands on the narrow one too.
    """
    if width == embedding.NARROW and _SKETCHED and _SKETCHED[0] is draw:
        return str(_SKETCHED[1])
    with matplotlib.rc_context():
        sheet = Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained")
        draw(sheet)
    assert sheet.axes
    said = " ".join(str(ax.get_label()) for ax in sheet.axes if ax.get_label())
    svg = f'<svg class="plot"><title>{html.escape(title)}</title><desc>{html.escape(said)}</desc></svg>'
    _SKETCHED[:] = draw, svg
    return svg
