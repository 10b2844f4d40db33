"""A figure of the page: what it shows in words with a number, how to read it, and its drawing for two widths."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .strips import Strip

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """One figure: a drawing, or rows of pictures, or why there is neither.

    Attributes
    ----------
    key : str
        Unique on the page.
    title, how, foot : str
        What it shows, how to read it, and its n and draws.
    svg : tuple of str
        The drawing for the wide and for the narrow page.
    strips : sequence of Strip
        Rows of pictures in its place.
    missing : str
        Why there is neither.
    """

    key: str
    title: str
    how: str
    foot: str = ""
    svg: tuple[str, ...] = ()
    strips: Sequence[Strip] = field(default_factory=tuple)
    missing: str = ""
