"""Terms that mix the elements of the difference x − recon: quadratic forms of it, norms of it, or neither."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .probe import Probe

__all__ = ["Form", "is_quadratic", "kind_of_form", "read_form"]

Array = NDArray[np.float64]
_AT = (0.0, 1.0)  # mu and spread while the reconstruction moves
_CENTRE = 0.5  # an x at which differences are tried
_TIMES = (-1.0, 0.01, 0.3, 30.0)  # of a difference, at which a form or a norm is to be as foretold
_MOST = 64  # elements for which the whole form is read
_PLACES = 48  # elements whose weights are measured one by one
_SINGULAR = 1e-6  # share of its greatest weight below which a direction has none
_LOST = 1e-3  # nats that rounding may take of log det
_SAME = 0.01  # share by which lengths may differ
_LENIENT = 30.0  # beside the tolerance of a grid


@dataclass(frozen=True)
class Form:
    """A quadratic form ½ dᵀA d of the difference d of one example, in nats.

    Parameters
    ----------
    positive : bool
        Whether it rises in every direction that was tried.
    deviation : float
        1 / √(mean of A's diagonal): of an element's noise, were the other elements known.
    log_det : float or None
        Of A, where it was read.
    whole : bool, default True
        Whether all of it was read, so that it rises in every direction there is.
    """

    positive: bool
    deviation: float
    log_det: float | None
    whole: bool = True


def kind_of_form(probe: Probe) -> str:
    """What a loss is of the difference of an example, whose elements it mixes.

    Parameters
    ----------
    probe : Probe
        A loss whose terms do not add over elements.

    Returns
    -------
    str
        "quadratic", "root" (of a sum of squares), "norm" (another one), "root of all" (of the whole batch), or "".
    """
    generator = np.random.default_rng(6)
    shape = (probe.sizes.batch, *probe.sizes.event)
    one, two = 0.4 * generator.normal(size=(2, *shape))
    if not _of_difference(probe, one):
        return ""
    add = _examples_add(probe, one)
    if add and is_quadratic(probe, one) and _sums_of_squares(probe, one, two):
        return "quadratic"
    if not _is_homogeneous(probe, one) or not _obeys_triangles(probe, one, two):
        return ""
    lengths = [_rise(probe, _of_length(d)) for d in (one, np.ones(shape), _first_alone(shape), _halves(shape))]
    if min(lengths) < _SINGULAR * max(lengths):
        return ""
    if np.ptp(lengths) < _SAME * max(lengths):
        return "root" if add else "root of all"
    return "norm" if add else ""


def is_quadratic(probe: Probe, d: Array) -> bool:
    """Whether a multiple of a difference rises by the square of that.

    Parameters
    ----------
    probe : Probe
        The loss.
    d : array
        The difference.

    Returns
    -------
    bool
        Whether it does.
    """
    base = _rise(probe, d)
    return bool(base) and all(_close(probe, _rise(probe, t * d), t**2 * base) for t in _TIMES)


def _rise(probe: Probe, d: Array, x: float | Array = _CENTRE) -> float:
    return probe.at(x + d, x, *_AT) - probe.at(np.zeros_like(d) + x, x, *_AT)


def _close(probe: Probe, found: float, said: float, more: float = 0.0) -> bool:
    """Whether a rise is as foretold, beside its own rounding and that of the value from which it rises."""
    level = abs(said) + abs(more) + abs(probe.at(_CENTRE, _CENTRE, *_AT))
    return probe.close(abs(found - said) / _LENIENT, abs(said) + abs(more), level)


def _of_difference(probe: Probe, d: Array) -> bool:
    generator = np.random.default_rng(7)
    base = _rise(probe, d)
    return bool(base) and all(_close(probe, _rise(probe, d, x), base) for x in (0.0, generator.random(d.shape)))


def _is_homogeneous(probe: Probe, d: Array) -> bool:
    """Whether a multiple of a difference rises by as much, whatever its sign; but for a corner that is rounded off."""
    base = _rise(probe, d)
    rises = [(_rise(probe, t * d), abs(t) * base) for t in _TIMES if abs(t) >= 0.3]
    return base > 0 and all(abs(found - said) < _SAME * said for found, said in rises)


def _examples_add(probe: Probe, d: Array) -> bool:
    """Whether an example's term is its own, and the same in every place of the batch."""
    single = np.zeros_like(d)
    single[0] = d[0]
    rest, moved = d - single, np.roll(single, 2, 0)
    whole, part = _rise(probe, d), _rise(probe, single)
    return _close(probe, part + _rise(probe, rest), whole) and _close(probe, _rise(probe, moved), part, whole)


def _sums_of_squares(probe: Probe, one: Array, two: Array) -> bool:
    """The law of parallelograms, at dense and at sparse differences."""
    for other in (two, _halves(one.shape), _first_alone(one.shape)):
        apart = 2 * _rise(probe, one) + 2 * _rise(probe, other)
        if not _close(probe, _rise(probe, one + other) + _rise(probe, one - other), apart):
            return False
    return True


def _obeys_triangles(probe: Probe, one: Array, two: Array) -> bool:
    pairs = [(one, two), (one, _halves(one.shape)), (one, -0.7 * one + two), (two, _first_alone(one.shape))]
    return all(_rise(probe, a + b) <= (1 + _SAME) * (_rise(probe, a) + _rise(probe, b)) for a, b in pairs)


def _of_length(d: Array) -> Array:
    """Of length 1 in every example."""
    flat = d.reshape(len(d), -1)
    return (flat / np.sqrt((flat**2).sum(1, keepdims=True))).reshape(d.shape)


def _first_alone(shape: tuple[int, ...]) -> Array:
    found = np.zeros((shape[0], math.prod(shape[1:])))
    found[:, 0] = 1.0
    return found.reshape(shape)


def _halves(shape: tuple[int, ...]) -> Array:
    found = np.zeros((shape[0], math.prod(shape[1:])))
    found[:, ::2] = 1.0
    return found.reshape(shape)


# --- the form itself ------------------------------------------------------------------------------------------------


def read_form(probe: Probe, factor: float) -> Form:
    """Read what is to be had of a quadratic form: all of it where x is small.

    Parameters
    ----------
    probe : Probe
        A loss that is one of the difference.
    factor : float
        From the loss as returned, summed over its batch, to nats of one example.

    Returns
    -------
    Form
        In nats.
    """
    scale, size = factor / probe.sizes.batch, probe.sizes.elements

    def rise(direction: Array) -> float:
        d = np.broadcast_to(direction.reshape(probe.sizes.event), (probe.sizes.batch, *probe.sizes.event))
        return 2 * scale * _rise(probe, d)

    places = np.random.default_rng(3).permutation(size)[:_PLACES].tolist()
    diagonal = float(np.mean([rise(_unit(size, place)) for place in places]))
    weights = np.array([rise(one) / (one @ one) for one in _directions(probe)])
    deviation = 1 / math.sqrt(diagonal) if diagonal > 0 else math.nan
    if not weights.min() > _SINGULAR * weights.max():
        return Form(False, deviation, None)
    if size > _MOST:
        return Form(True, deviation, None, whole=False)
    values = np.linalg.eigvalsh(_matrix(rise, size))
    noise = probe.rounding * (values[-1] + abs(2 * scale * probe.at(_CENTRE, _CENTRE, *_AT)))
    if not values[0] > max(_SINGULAR * values[-1], 4 * noise):
        return Form(False, deviation, None)
    return Form(True, deviation, float(np.log(values).sum()) if noise * (1 / values).sum() < _LOST else None)


def _unit(size: int, place: int) -> Array:
    return np.eye(1, size, place)[0]


def _matrix(rise: Callable[[Array], float], size: int) -> Array:
    """A of dᵀA d, from its values at units and at their sums."""
    units = np.eye(size)
    found = np.diag([rise(one) for one in units])
    for i in range(size):
        for j in range(i):
            found[i, j] = found[j, i] = (rise(units[i] + units[j]) - found[i, i] - found[j, j]) / 2
    return found


def _directions(probe: Probe) -> Iterator[Array]:
    """Differences in which forms of images have no weight, if in any: levels, slopes, stripes, checks; and any."""
    event = probe.sizes.event
    generator = np.random.default_rng(8)
    at = np.indices(event)
    yield np.ones(math.prod(event))
    for axis, size in enumerate(event):
        if size > 1:
            yield (at[axis] - (size - 1) / 2).ravel()
            for every in (1, 2):
                yield np.where(at[axis] // every % 2, 1.0, -1.0).ravel()
    yield np.where(at.sum(0) % 2, 1.0, -1.0).ravel()
    yield np.where(at[-2:].sum(0) % 2, 1.0, -1.0).ravel()
    for _ in range(8):
        yield generator.normal(size=math.prod(event))
    for place in generator.permutation(math.prod(event))[:_PLACES].tolist():
        yield _unit(math.prod(event), place)
