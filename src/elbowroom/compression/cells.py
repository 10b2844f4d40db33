"""Cells of x as whole numbers 0 … levels − 1, and back: what a file holds are these."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom import likelihoods as lik
from elbowroom import preprocess as pre
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import CapabilityError, InputError
from elbowroom.vae import VAE

from .masses import Whole

__all__ = ["CONTINUOUS", "Cells", "Spans", "families_in"]

_MOST_DECIMALS = 9
_HALF = 0.5 + 1e-6
_MOST_LEVELS, _MOST_COUNTS, _BEYOND = 2**24, 2**53, 2.0**60
_COUNTS = (lik.Poisson, lik.NegativeBinomial, lik.ZeroInflatedNegativeBinomial)
_OF_GRIDS = (lik.Bernoulli, lik.Detection, lik.Categorical, lik.DiscretisedLogistic, lik.DiscretisedNormal)
CONTINUOUS = (
    lik.Normal, lik.Laplace, lik.TruncatedNormal, lik.ContinuousBernoulli, lik.LogitNormal,
)  # fmt: skip
_AFTER = (pre.Affine, pre.Standardise, pre.Identity)


@dataclass(frozen=True)
class Spans:
    """Where the whole numbers of each cell lie in the data of a file, and on which steps real numbers are told."""

    low: Whole
    high: Whole
    step: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Column:
    """How one cell is written: x = (start + unit · k) / scale, or the k-th of a few values."""

    start: float
    unit: float
    scale: float
    values: tuple[float, ...] = ()
    levels: int | None = None
    """None: as many as the data of the file have."""
    from_zero: bool = False
    """Whether these begin at 0 whatever the data of the file are, as counts do."""
    stated: bool = False
    """Whether the data are real numbers, which are rounded to this step."""


class Cells:
    """Cells of x as whole numbers, and back.

    Parameters
    ----------
    vae : VAE
        In 64 bits. Its preprocessing says on which grid x lies, its likelihood how many levels it has.
    spans : Spans or None, default None
        Of the file; None before they are known.
    step : array or None, default None
        [D], on the user's scale: to what real numbers are rounded, where spans do not say it. Cells on grids of their
        own read nothing of it.

    Raises
    ------
    CapabilityError
        For cells that lie on no grid.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> cells = Cells(er.models.build({"latents": 2, "widths": [8]}, digits).double())
    >>> x = torch.full((1, 64), 3.0)
    >>> cells.whole(x)[0, :3].tolist(), cells.x(cells.whole(x))[0, :3].tolist()
    ([3, 3, 3], [3.0, 3.0, 3.0])
    """

    def __init__(self, vae: VAE, spans: Spans | None = None, *, step: NDArray[np.float64] | None = None) -> None:
        self.event, self.preprocess = vae.likelihood.event, vae.preprocess
        self.step = step if spans is None else spans.step
        columns = _columns(vae, self.step)
        self._columns = columns
        self.stated = np.array([one.stated for one in columns])
        self.start, self.unit, self.scale = (
            np.array([getattr(one, name) for one in columns]) for name in ("start", "unit", "scale")
        )
        self.open = np.array([one.levels is None for one in columns])
        fixed = np.array([one.levels or 1 for one in columns], np.int64)
        self.counted = counts = np.array([one.from_zero for one in columns])
        moved = self.open & ~counts
        low = np.zeros(len(columns), np.int64) if spans is None else np.where(moved, spans.low, 0)
        high = fixed - 1 if spans is None else np.where(self.open, spans.high, fixed - 1)
        self.low, self.levels = low, high - low + 1
        wide = (self.levels < 1) | (~counts & (self.levels > _MOST_LEVELS))
        if wide.any():
            raise _too_wide(vae, int(wide.argmax()), self)
        far = (np.abs(low) >= _MOST_COUNTS) | (self.levels >= _MOST_COUNTS)
        if spans is not None and far.any():
            raise InputError(
                f"{_called(vae, int(far.argmax()))} of these data holds numbers beyond 2⁵³ steps, which 64-bit floats "
                f"do not tell apart: leave those rows out."
            )

    def whole(self, x: Tensor) -> Whole:
        """x [n, *event] as whole numbers [n, D]; what a missing cell holds means nothing."""
        values = x.reshape(len(x), -1).numpy(force=True).astype(np.float64)
        with np.errstate(over="ignore"):
            steps = np.rint((np.nan_to_num(values) * self.scale - self.start) / self.unit)
        found = np.clip(steps, -_BEYOND, _BEYOND).astype(np.int64) - self.low
        for place, column in self._of_values():
            found[:, place] = np.abs(values[:, place, None] - np.array(column.values)).argmin(1)
        return found

    def x(self, whole: Whole) -> Tensor:
        """Whole numbers [n, D] as x [n, *event], on the user's scale, 64 bits."""
        values = (self.start + self.unit * (whole + self.low)) / self.scale
        for place, column in self._of_values():
            values[:, place] = np.array(column.values)[np.clip(whole[:, place], 0, len(column.values) - 1)]
        return torch.from_numpy(values).reshape(-1, *self.event)

    @torch.no_grad()
    def y(self, whole: Whole, seen: NDArray[np.bool_] | None = None) -> Tensor:
        """What networks read of them, [n, *event]: preprocessed from the middle of each cell; 0 where missing."""
        x = self.x(whole)
        noise = None if self.preprocess.noise_shape is None else torch.full_like(x, 0.5)
        y = self.preprocess(x, noise)[0]
        return y if seen is None else torch.where(torch.from_numpy(seen).reshape(y.shape), y, 0.0)

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where cell 0 begins on the scale of y, and how wide each is: [D]."""
        zero = np.zeros((1, len(self.levels)), np.int64)
        first, second = (self.y(k).reshape(-1).numpy() for k in (zero, zero + 1))
        width = second - first
        if not (width > 0).all():
            raise CapabilityError("The preprocessing of this model turns its data round, which files do not hold.")
        return first - 0.5 * width, width

    def off(self, x: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which cells [n, D] of real numbers come back further away than half their step."""
        if self.step is None:
            return np.zeros(x.shape, bool)
        return self.stated & (np.abs(x - other) > _HALF * self.step)

    def _of_values(self) -> Iterator[tuple[int, _Column]]:
        return ((place, one) for place, one in enumerate(self._columns) if one.values)


def _called(vae: VAE, place: int) -> str:
    """What sentences call a cell: its column by name, where it has one."""
    return f"Column {vae.table[place][0]!r}" if vae.table else f"Column {place + 1:,}"


def _too_wide(vae: VAE, place: int, cells: Cells) -> InputError:
    own = "leave out the rows whose values lie far off, or train on data in coarser steps"
    way_out = "compress it with a coarser step" if cells.stated[place] else own
    most, step = _MOST_LEVELS, cells.unit[place] / cells.scale[place]
    return InputError(
        f"{_called(vae, place)} of these data takes more than {most:,} steps of {step:.6g} from its least value to its "
        f"greatest: {way_out}."
    )


def families_in(likelihood: Likelihood) -> list[Any]:
    """The families of a likelihood: those of a mixed table, or itself."""
    return list(likelihood.families) if isinstance(likelihood, lik.Mixed) else [likelihood]


def _grouped(vae: VAE) -> Iterator[tuple[Likelihood, list[tuple[pre.Preprocess, int]]]]:
    """Each family with the maps of its cells, and how many cells each map has."""
    likelihood = vae.likelihood
    families = families_in(likelihood)
    whole: Any = vae.preprocess
    columns = isinstance(whole, pre.Columns)
    steps = list(zip(whole.steps, whole.sizes, strict=True)) if columns else [(whole, int(np.prod(likelihood.event)))]
    for family in families:
        assert isinstance(family, Likelihood)
        family = family.family if isinstance(family, lik.Autoregressive) else family
        wanted, taken = int(np.prod(family.event)), list[tuple[pre.Preprocess, int]]()
        while wanted:
            step, size = steps.pop(0)
            now = min(size, wanted)
            if size > now and not isinstance(step, pre.Identity):
                raise CapabilityError("Two families of this model share a map of its columns, which files do not hold.")
            if size > now:
                steps.insert(0, (step, size - now))
            taken.append((step, now))
            wanted -= now
        yield family, taken


def _columns(vae: VAE, steps: NDArray[np.float64] | None) -> list[_Column]:
    found = list[_Column]()
    for likelihood, maps in _grouped(vae):
        for one, size in maps:
            found += _of_map(likelihood, one, size, None if steps is None else steps[len(found) : len(found) + size])
    return found


def _of_map(likelihood: Likelihood, one: pre.Preprocess, size: int, steps: NDArray[np.float64] | None) -> list[_Column]:
    first, *rest = list(one.steps) if isinstance(one, pre.Chain) else [one]
    name = type(likelihood).__name__
    if isinstance(likelihood, (lik.BetaBinomial, *_OF_GRIDS, *_COUNTS)) and not rest:
        if getattr(likelihood, "unnormalised", False):
            raise CapabilityError("Grey levels under a Bernoulli have a score and no probability, so no file is made.")
        levels = 2 if isinstance(likelihood, lik.Bernoulli | lik.Detection) else getattr(likelihood, "levels", None)
        if isinstance(first, pre.Codes):
            return [_Column(0.0, 1.0, 1.0, tuple(first.values), levels)] * size
        if isinstance(first, pre.Identity):
            return [_Column(0.0, 1.0, 1.0, (), levels, levels is None)] * size
    if isinstance(likelihood, CONTINUOUS) and all(isinstance(after, _AFTER) for after in rest):
        if isinstance(first, pre.Dequantise):
            levels = None if first.higher else first.levels
            return [_Column(0.0, 1.0, 1.0, (), levels, first.higher)] * size
        if isinstance(first, pre.Rounded) and all(first.steps):
            return [_in_decimals(*pair) for pair in zip(first.steps, first.offsets, strict=True)]
        if steps is not None and isinstance(first, pre.Rounded):
            told = zip(first.steps, first.offsets, steps.tolist(), strict=True)
            return [_in_decimals(own, offset) if own else _in_steps(stated) for own, offset, stated in told]
        if steps is not None and isinstance(first, _AFTER):
            return [_in_steps(stated) for stated in steps.tolist()]
    if isinstance(likelihood, CONTINUOUS):
        raise CapabilityError(
            f"The {name} likelihood of this model is a density of continuous numbers, which have no probability and "
            f"take endless bits: state the step that they are to be rounded to (step=), or load data rounded "
            f"to one, and train again."
        )
    raise CapabilityError(
        f"A {name} likelihood behind {type(first).__name__} has no masses of single values that are the same on every "
        f"machine: take one of bits, levels, classes or counts, or a normal on dequantised levels."
    )


def _in_steps(step: float) -> _Column:
    """A column of real numbers, in whole steps from 0; of decimals where the step has an end in them."""
    try:
        return replace(_in_decimals(step, 0.0), stated=True)
    except CapabilityError:
        return _Column(0.0, step, 1.0, stated=True)


def _in_decimals(step: float, offset: float) -> _Column:
    """A column in steps of 0.1 or 0.05, as whole numbers of its last decimal place."""
    for places in range(_MOST_DECIMALS + 1):
        scale = 10.0**places
        unit, start = (float(np.rint(one * scale)) for one in (step, offset))
        if unit > 0 and max(abs(unit - step * scale), abs(start - offset * scale)) < 1e-6 * unit:
            return _Column(start, unit, scale)
    raise CapabilityError(
        f"A column of this model is in steps of {step:.10g}, which has no end in decimals: round its data to decimal "
        f"places and train again."
    )
