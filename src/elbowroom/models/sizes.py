"""What "auto" means of latents and widths: sizes that the shape of the data bears."""

import math

from elbowroom.data import Dataset

__all__ = ["AUTO", "latents_for", "sizes_for", "widths_for"]

AUTO = "auto"
_SIZES = (2, 5, 10, 20)
_LARGE = 10  # the fewest that are tried for wide data, each of whose trainings takes long
_MOST = 16
_NARROW, _WIDE = 128, 256
_COLUMNS = 64


def latents_for(data: Dataset) -> int:
    """Latents of a model that is trained alone: half the columns, 16 at most, and fewer than rows."""
    return max(min(math.prod(data.event) // 2, len(data.train) - 1, _MOST), 1)


def sizes_for(data: Dataset) -> list[int]:
    """Numbers of latents among which a study chooses: fewer than columns and rows, the larger ones for wide data."""
    columns = math.prod(data.event)
    least, bound = _LARGE if columns >= _COLUMNS else 1, min(columns, len(data.train))
    fitting = [size for size in _SIZES if size < bound]
    return [size for size in fitting if size >= least] or fitting[-1:] or [1]


def widths_for(data: Dataset) -> tuple[int, int]:
    """Widths of the two hidden layers: narrow for tables of few columns."""
    width = _WIDE if math.prod(data.event) >= _COLUMNS else _NARROW
    return width, width
