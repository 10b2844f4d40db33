"""Somebody's loss as a plain function of four arrays: called in the way, the type and the shapes that it takes."""

import contextlib
import copy
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elbowroom.numerics import InputError
from elbowroom.numerics.seeded import seeded

from .roles import ROLES, Outputs, Plan, plans_of

__all__ = ["Probe", "Sizes", "first_fields", "kept_state", "make_probe"]

_BATCH = 6  # not to be unpacked as three or four
_EVENTS = ((784,), (1, 28, 28), (3, 32, 32), (3, 64, 64), (12,), (3,))
_LATENTS = ((5,), (4, 3, 3))
_TOTALS = ("loss", "total", "elbo", "objective", "nelbo", "neg_elbo")
_PLACES = ((0.4, 0.4), (0.99, 1.0), (0.62, 1.0), (0.4, 0.0))  # recon and x all over
_NOISY_SEEDS, _NOISY_BATCH = 8, 192  # over which a loss that draws noise of its own is averaged
_CANNOT = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError, KeyError, ArithmeticError)

Fields = tuple[Any, Any, Any, Any]  # recon, x, mu and spread


@dataclass(frozen=True)
class Sizes:
    """What a loss is called with: examples, the shape of one, and that of its latents."""

    batch: int
    event: tuple[int, ...]
    latents: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Numbers in one x."""
        return math.prod(self.event)

    @property
    def dim(self) -> int:
        """Latent dimensions."""
        return math.prod(self.latents)

    def doubled(self, what: str) -> "Sizes":
        """With twice the batch, the elements (by their last axis but one, as images grow) or the latents."""
        if what == "batch":
            return replace(self, batch=2 * self.batch)
        if what == "event":
            return replace(self, event=_doubled(self.event))
        return replace(self, latents=_doubled(self.latents))


def _doubled(shape: tuple[int, ...]) -> tuple[int, ...]:
    at = -2 if len(shape) > 1 else 0
    return tuple(2 * size if place == at % len(shape) else size for place, size in enumerate(shape))


class Probe:
    """A loss whose value can be had for any reconstruction, x, mu and spread of one set of sizes.

    Parameters
    ----------
    fn : callable
        The loss.
    plan : Plan
        How it is called.
    others : dict
        Further arguments.
    sizes : Sizes
        As it was first called.
    kind : {"torch", "numpy"}
        The arrays that it takes.
    dtype : dtype of numpy
        float64, or float32 where it takes no other.
    """

    def __init__(
        self, fn: Callable[..., Any], plan: Plan, others: dict[str, Any], sizes: Sizes, kind: str, dtype: Any
    ) -> None:
        self.fn, self.plan, self.others, self.sizes, self.kind, self.dtype = fn, plan, others, sizes, kind, dtype
        self.seeds, self.words, self.noisy = 1, "", False
        self.single = dtype != np.float64

    def averaged(self) -> None:
        """From now on, take the mean over the noise that the loss draws."""
        self.seeds, self.sizes = _NOISY_SEEDS, replace(self.sizes, batch=_NOISY_BATCH)

    @property
    def tolerance(self) -> float:
        """The share of a change that rounding, or noise, may make."""
        return 0.05 if self.seeds > 1 else 1e-4 if self.single else 1e-6

    @property
    def rounding(self) -> float:
        """The share of its value that a loss may be off by rounding."""
        return 1e-6 if self.single else 1e-12

    def close(self, error: float, moved: float, level: float) -> bool:
        """Whether an error is none beside what moved, or beside the rounding of a value of this level."""
        return error <= self.tolerance * moved + self.rounding * level

    def readable(self, moved: float, level: float) -> bool:
        """Whether a change stands clear of the rounding of a value of this level, by two digits."""
        return abs(moved) > 100 * self.rounding * level

    def change(self, one: Fields, other: Fields, *, sizes: Sizes | None = None) -> float:
        """What the loss rises by from one set of fields to another; NaN where rounding hides it."""
        before, after = self.at(*one, sizes=sizes), self.at(*other, sizes=sizes)
        return after - before if self.readable(after - before, max(abs(before), abs(after))) else math.nan

    def quiet(self) -> tuple[float, float]:
        """A reconstruction and an x, all over, at which the loss is small, so that it hides little of the KL."""
        levels = {place: abs(self.at(*place, 0.0, 1.0)) for place in _PLACES}
        finite = {place: level for place, level in levels.items() if math.isfinite(level)}
        return min(finite, key=lambda place: finite[place], default=_PLACES[0])

    def whole(self, given: Mapping[str, Any], seed: int = 0) -> Any:
        """What the loss returns, from one state of torch's and NumPy's generators."""
        values = {name: self._as(value) for name, value in given.items()}
        if any(role == "q" for _, role in self.plan.places):
            mu, spread = (torch.from_numpy(np.array(given[name], self.dtype)) for name in ("mu", "spread"))
            values["q"] = torch.distributions.Normal(mu, (spread / 2).exp())
        with seeded(seed), torch.no_grad(), _numpy_seed(seed), np.errstate(all="ignore"):
            return self.plan(self.fn, values, self.others)

    def _as(self, value: Any) -> Any:
        array = np.array(value, dtype=self.dtype)
        return torch.from_numpy(array) if self.kind == "torch" else array

    def at(self, recon: Any, x: Any, mu: Any, spread: Any, sizes: Sizes | None = None) -> float:
        """The value, a float; NaN where the loss cannot be had. Numbers stand for constant arrays."""
        sizes = sizes or self.sizes
        wide, deep = (sizes.batch, *sizes.event), (sizes.batch, *sizes.latents)
        shapes = dict(zip(ROLES, (wide, wide, deep, deep), strict=True))
        fields = dict(zip(ROLES, (recon, x, mu, spread), strict=True))
        given = {name: np.broadcast_to(np.asarray(value, np.float64), shapes[name]) for name, value in fields.items()}
        try:
            return float(np.mean([self._value(given, seed) for seed in range(self.seeds)]))
        except _CANNOT:
            return math.nan

    def _value(self, given: dict[str, NDArray[Any]], seed: int) -> float:
        batch = len(given["recon"])
        if not self.draws:
            return self.number(self.whole(given | self._drawn(given, 0.0), seed), batch)
        # A difference of Gaussian log-densities is quadratic in each z: two nodes are its exact mean.
        both = [self.whole(given | self._drawn(given, e), seed) for e in (-1.0, 1.0)]
        return float(np.mean([self.number(one, batch) for one in both]))

    @property
    def draws(self) -> bool:
        """Whether the loss is given z."""
        return any(role == "z" for _, role in self.plan.places)

    def _drawn(self, given: Mapping[str, NDArray[Any]], noise: float) -> dict[str, Any]:
        return {"z": given["mu"] + noise * np.exp(given["spread"] / 2)}

    def number(self, found: Any, batch: int = _BATCH) -> float:
        """The loss in what was returned: a number, one per example, the total among parts, or parts without a total."""
        if isinstance(found, Mapping):
            keys = [str(key) for key in found]
            total = next((k for t in _TOTALS for k in keys if k.lower().replace("total_loss", "loss") == t), None)
            found = list(found.values()) if total is None else found[total]
        elif not isinstance(found, tuple | list) and hasattr(found, "loss"):
            found = found.loss
        if isinstance(found, tuple | list):
            return self._of_parts([float(np.asarray(_plain(one)).mean()) for one in found if _is_number(one)])
        array = np.asarray(_plain(found), dtype=np.float64)
        if array.size > 1 and array.shape[0] != batch:
            raise TypeError("no number")
        return float(array.mean())

    parts_of: str = "first"

    def _of_parts(self, parts: list[float]) -> float:
        if not parts:
            raise TypeError("no number")
        return parts[0] if self.parts_of == "first" else sum(parts)


def _plain(value: Any) -> Any:
    return value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.generic | torch.Tensor)


@contextlib.contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@contextlib.contextmanager
def kept_state(fn: Callable[..., Any]) -> Iterator[None]:
    """Set back afterwards what a loss counts while it is asked: numbers, lists and mappings that it holds.

    Parameters
    ----------
    fn : callable
        The loss.

    Yields
    ------
    None
        Nothing.
    """
    holder = getattr(fn, "__self__", None) or (fn if not inspect.isfunction(fn) else None)
    inner = getattr(fn, "__func__", fn)
    cells = [cell for cell in getattr(inner, "__closure__", None) or () if _has(cell)]
    before = [(cell, copy.deepcopy(cell.cell_contents)) for cell in cells if _is_state(cell.cell_contents)]
    spaces = [vars(one) for one in (holder, inner) if hasattr(one, "__dict__")]
    held = [(space, {k: copy.deepcopy(v) for k, v in space.items() if _is_state(v)}) for space in spaces]
    weights = copy.deepcopy(holder.state_dict()) if isinstance(holder, nn.Module) else None
    try:
        yield
    finally:
        for cell, value in before:
            cell.cell_contents = _back(cell.cell_contents, value)
        for space, values in held:
            for name, value in values.items():
                space[name] = _back(space.get(name), value)
        if isinstance(holder, nn.Module) and weights is not None:
            holder.load_state_dict(weights)


def _has(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_state(value: Any) -> bool:
    if isinstance(value, list | dict):
        inside = value.values() if isinstance(value, dict) else value
        return all(_is_state(one) for one in inside)
    return isinstance(value, int | float | str)


def _back(now: Any, before: Any) -> Any:
    """The same list or mapping with its old entries, or the old number."""
    if isinstance(before, dict) and isinstance(now, dict):
        now.clear()
        now.update(before)
        return now
    if isinstance(before, list) and isinstance(now, list):
        now[:] = before
        return now
    return before


def make_probe(
    fn: Callable[..., Any],
    others: dict[str, Any],
    event: tuple[int, ...] | None,
    latents: tuple[int, ...] | None,
    values: tuple[float, ...] = (0.0, 1.0),
) -> Probe:
    """Find how a loss is called: the first way, type and shapes for which it gives a finite number.

    Parameters
    ----------
    fn : callable
        The loss.
    others : dict
        Further arguments.
    event : tuple of int or None
        The shape of one x; None tries common ones.
    latents : tuple of int or None
        The shape of one z; None tries common ones.
    values : tuple of float, default (0.0, 1.0)
        Values that an element of x may have.

    Returns
    -------
    Probe
        The loss to be asked.

    Raises
    ------
    InputError
        Where no way of calling gives a number.
    """
    plans, _ = plans_of(fn, others)
    first: Exception | None = None
    kinds = [("torch", np.float64), ("torch", np.float32), ("numpy", np.float64)]
    shapes = itertools.product(_EVENTS if event is None else (event,), _LATENTS if latents is None else (latents,))
    for plan, (one, z), (kind, dtype) in itertools.product(plans, list(shapes), kinds):
        probe = Probe(fn, plan, others, Sizes(_BATCH, one, z), kind, dtype)
        try:
            found = probe.whole(first_fields(probe.sizes, values))
            if any(isinstance(role, tuple) for _, role in plan.places) and not plan.used & {"recon"}:
                continue
            if not math.isfinite(probe.number(found)):
                raise ArithmeticError("its value is no finite number")
        except Exception as error:  # whatever somebody's function raises when it is called wrongly
            first = first or error
            continue
        return _settled(probe, found)
    raise InputError(_refusal(fn, first))


def first_fields(sizes: Sizes, values: tuple[float, ...]) -> dict[str, Any]:
    """Numbers that every usual loss takes: x among its values, the reconstruction in (0, 1), a spread above 0.

    Parameters
    ----------
    sizes : Sizes
        Of the arrays.
    values : tuple of float
        Of an element of x.

    Returns
    -------
    dict of str to array
        By role.
    """
    generator = np.random.default_rng(0)
    wide, deep = (sizes.batch, *sizes.event), (sizes.batch, *sizes.latents)
    z = generator.normal(size=deep)
    return {
        "recon": generator.uniform(0.2, 0.8, wide),
        "x": generator.choice(values, wide),
        "mu": z,
        "spread": generator.uniform(0.4, 1.2, deep),
        "z": z,
    }


def _settled(probe: Probe, found: Any) -> Probe:
    """Whether the first of several numbers is the total, and whether the loss draws noise of its own."""
    fields = first_fields(probe.sizes, (0.0, 1.0))
    if isinstance(found, tuple | list) or (isinstance(found, Mapping) and not isinstance(found, Outputs)):
        other = fields | {"mu": 2 * fields["mu"], "z": 2 * fields["mu"]}
        recon = fields | {"recon": fields["recon"] ** 2}
        moved = [_moves(probe, fields, one) for one in (recon, other)]
        if len(moved[0]) > 1 and not (moved[0][0] and moved[1][0]) and any(moved[1][1:]) and any(moved[0]):
            probe.parts_of = "sum"
            probe.words = "It returns its parts and no total, which are read as their sum."
    values = {probe.number(probe.whole(fields, seed)) for seed in (0, 1, 2)}
    again = {probe.number(probe.whole(fields, seed)) for seed in (0, 0, 0)}
    if len(values) > 1 and len(again) == 1:
        probe.noisy = True
    return probe


def _moves(probe: Probe, one: dict[str, Any], other: dict[str, Any]) -> list[bool]:
    """Which of the numbers that are returned change."""
    both = [probe.whole(fields) for fields in (one, other)]
    lists = [list(b.values()) if isinstance(b, Mapping) else list(b) for b in both]
    flat = [[float(np.asarray(_plain(v)).mean()) for v in values if _is_number(v)] for values in lists]
    return [not math.isclose(a, b, rel_tol=1e-9) for a, b in zip(*flat, strict=False)]


def _refusal(fn: Callable[..., Any], error: Exception | None) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    said = " ".join(str(error).split())[:160] if error is not None else "it returned no number"
    if isinstance(error, KeyError):
        return (
            f"The loss {name} asks for {said}, which is no reconstruction, x, mu or logvar: give it in "
            f"others={{{said}: …}}."
        )
    kind = f"{type(error).__name__}: " if error is not None else ""
    return (
        f"The loss {name} gave no finite number for any usual shape of x and z ({kind}{said}): say event= and "
        f"latents=, give "
        f"its further arguments in others=, or wrap it as `lambda recon, x, mu, logvar: …`."
    )
