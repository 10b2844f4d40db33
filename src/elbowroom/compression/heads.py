"""What the head of a file says of its coding, written and read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, Spans
from .codec import Codec, Settings
from .container import Reader

__all__ = ["LEAST_STEP", "MOST_DRAWS", "MOST_STEPS", "said", "settings_of", "steps_of"]

LEAST_STEP = 1e-12
_BITS, _FARTHEST = (4, 16), 1e6
MOST_DRAWS, MOST_STEPS = 2**12, 1_000
_CAPS = tuple(2**k for k in range(4, 9))


def said(codec: Codec) -> dict[str, Any]:
    """Settings in plain values.

    Parameters
    ----------
    codec : Codec
        With the settings of the file.

    Returns
    -------
    dict
        Numbers and lists; of cells with a fixed range there is nothing.
    """
    settings, open_cells = codec.settings, codec.cells.open
    several = {"draws": settings.draws} if settings.draws > 1 else {}
    refined = {"refine": settings.refine} if settings.refine else {}
    return {
        "bits": settings.bits,
        "cap": settings.cap,
        "low": settings.spans.low[open_cells].tolist(),
        "high": settings.spans.high[open_cells].tolist(),
        "seen": None if settings.seen is None else settings.seen.tolist(),
        "references": {name: [one.tolist() for one in pair] for name, pair in settings.references.items()},
        **several,
        **refined,
        **({} if codec.cells.step is None else {"step": codec.cells.step.tolist()}),
    }


def settings_of(reader: Reader, cells: Cells, references: dict[str, int]) -> Settings:
    """Settings from the head of a file, every one of them checked.

    Parameters
    ----------
    reader : Reader
        The file.
    cells : Cells
        Of the model, before ranges are known.
    references : dict
        Block → latents, of those whose buckets the file has to say.

    Returns
    -------
    Settings
        As they were when it was written.

    Raises
    ------
    InputError
        For what cannot be.
    """
    held = reader.head.get("settings")
    if not isinstance(held, dict):
        raise reader.damaged("its settings")
    count, size = int(cells.open.sum()), len(cells.levels)
    low, high = (np.zeros(size, np.int64) for _ in range(2))
    low[cells.open] = reader.numbers(held.get("low"), count, int, "the ranges")
    high[cells.open] = reader.numbers(held.get("high"), count, int, "the ranges")
    if (high < low).any() or (high - low >= 2**53).any() or (abs(low) >= 2**53).any():
        raise reader.damaged("the ranges in its head")
    cap = reader.number("cap", 16, 256, held)
    if cap not in _CAPS:
        raise reader.damaged("cap in its head")
    return Settings(
        reader.number("bits", *_BITS, held), cap, Spans(low, high, cells.step), _seen(reader, held.get("seen"), size),
        _references(reader, held.get("references"), references),
        reader.number("draws", 1, MOST_DRAWS, {"draws": 1} | held),
        reader.number("refine", 0, MOST_STEPS, {"refine": 0} | held),
    )  # fmt: skip


def steps_of(reader: Reader) -> NDArray[np.float64] | None:
    """The steps of real numbers, from the head of a file; None where it says none.

    Parameters
    ----------
    reader : Reader
        The file.

    Returns
    -------
    array or None
        [D], above 0.

    Raises
    ------
    InputError
        For what cannot be.
    """
    held = reader.head.get("settings")
    if not isinstance(held, dict) or "step" not in held:
        return None
    steps = np.array(reader.numbers(held["step"], reader.number("cells", 1, 2**24), float, "the steps"))
    if not (steps >= LEAST_STEP).all():
        raise reader.damaged("the steps in its head")
    return steps


def _seen(reader: Reader, values: Any, size: int) -> Any:
    if values is None:
        return None
    seen = np.array(reader.numbers(values, size, int, "seen"), np.int64)
    if ((seen < 1) | (seen > 65_535)).any():
        raise reader.damaged("seen in its head")
    return seen


def _references(reader: Reader, held: Any, wanted: dict[str, int]) -> dict[str, Any]:
    if not isinstance(held, dict) or set(held) != set(wanted):
        raise reader.damaged("the ranges of its latents")
    found = {}
    for name, size in wanted.items():
        pair = held[name]
        if not isinstance(pair, list) or len(pair) != 2:
            raise reader.damaged("the ranges of its latents")
        location, scale = (np.array(reader.numbers(one, size, float, "the ranges of latents")) for one in pair)
        if (abs(location) > _FARTHEST).any() or (scale > _FARTHEST).any() or (scale < 1 / _FARTHEST).any():
            raise reader.damaged("the ranges of its latents")
        found[name] = location, scale
    return found
