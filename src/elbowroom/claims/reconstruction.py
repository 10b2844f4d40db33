"""The part of a loss that moves with the reconstruction: which density of x it is the negative logarithm of."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forms import kind_of_form
from .location import is_location
from .probe import Probe, Sizes

__all__ = ["OF_DIFFERENCES", "Reconstruction", "of_bits", "read_reconstruction"]

Array = NDArray[np.float64]
_WIDE = ((-1.7, -0.6, 0.15, 0.35, 0.62, 0.88, 1.9), (-1.2, 0.1, 0.45, 0.8, 1.6))
_HALF = ((-0.9, -0.4, 0.15, 0.35, 0.62, 0.88), (-0.8, -0.1, 0.1, 0.45, 0.8))
_UNIT = ((0.15, 0.27, 0.36, 0.62, 0.74, 0.88), (0.1, 0.25, 0.45, 0.8))
_BITS = ((0.15, 0.27, 0.36, 0.62, 0.74, 0.88), (0.0, 1.0))
_WIDE_BITS = (_WIDE[0], (0.0, 1.0))
_COUNTS = (_BITS[0], (0.0, 1.0, 2.0, 5.0))
OF_DIFFERENCES = ("location", "correlated Gaussian")  # families of x − recon that have no formula of their own
_FACTORIALS = "log x! of the counts is in it"
_FARTHEST = 60.0  # difference that a shape is to reach
_SMALL = (1e-4, 1e-3, 1e-2)  # differences at which absolute values have their corner
_PLACES = 48  # elements whose weights are measured one by one
_NEAR = 0.1  # of 1 and 2, how a mean and a sum over the batch grow with it
_AT = (0.0, 1.0)  # mu and spread while the reconstruction moves


def _bce(r: Array, x: Array) -> Array:
    return -(x * np.log(r) + (1 - x) * np.log1p(-r))


def _sigmoid(r: Array) -> Array:
    return 1 / (1 + np.exp(-r))


def _log_c(r: Array) -> Array:
    """Log of the constant that the continuous Bernoulli has and the Bernoulli has not."""
    off = r - 0.5
    near = np.abs(off) < 0.02
    far = np.where(near, 0.25, off)
    exact = np.log(2 * np.arctanh(-2 * far) / (-2 * far))
    return np.where(near, math.log(2) + 4 / 3 * off**2 + 104 / 45 * off**4, exact)


@dataclass(frozen=True)
class Shape:
    """A term of one element of x, with the coefficient 1."""

    family: str
    of: str
    rho: Callable[[Array, Array], Array]


_SHAPES = (
    Shape("Gaussian", "x − recon", lambda r, x: (x - r) ** 2),
    Shape("Laplace", "x − recon", lambda r, x: np.abs(x - r)),
    Shape("Bernoulli", "probabilities", _bce),
    Shape("Bernoulli", "logits", lambda r, x: np.logaddexp(0, r) - x * r),
    Shape("continuous Bernoulli", "probabilities", lambda r, x: _bce(r, x) - _log_c(r)),
    Shape("continuous Bernoulli", "logits", lambda r, x: np.logaddexp(0, r) - x * r - _log_c(_sigmoid(r))),
    Shape("Gaussian", "x − sigmoid(recon)", lambda r, x: (x - _sigmoid(r)) ** 2),
    Shape("Gaussian", "x − tanh(recon)", lambda r, x: (x - np.tanh(r)) ** 2),
    Shape("Laplace", "x − sigmoid(recon)", lambda r, x: np.abs(x - _sigmoid(r))),
    Shape("Laplace", "x − tanh(recon)", lambda r, x: np.abs(x - np.tanh(r))),
    Shape("Bernoulli", "probabilities on [−1, 1]", lambda r, x: _bce((r + 1) / 2, (x + 1) / 2)),
    Shape("Poisson", "rates", lambda r, x: r - x * np.log(r)),
    Shape("Poisson", "log-rates", lambda r, x: np.exp(r) - x * r),
)


_CALLED = {
    "Gaussian": "Squares of {of}",
    "Laplace": "Absolute values of {of}",
    "Bernoulli": "A cross-entropy of {of}",
    "continuous Bernoulli": "A continuous Bernoulli of {of}",
    "Poisson": "A Poisson of {of}",
    "correlated Gaussian": "A quadratic form of {of} that mixes elements",
}


@dataclass(frozen=True)
class Reconstruction:
    """What the reconstruction's part of a loss is.

    Parameters
    ----------
    family : str
        "Gaussian", "Laplace", "Bernoulli", "continuous Bernoulli", "Poisson", "location" (a density of the difference
        of a shape of its own), "correlated Gaussian" (a quadratic form of the difference), "norm" (of it, another than
        the next), "root of squares" (of one example), "root of all squares" (of the batch), "none" (it does not move),
        "no density" or "unknown".
    of : str
        What it is of, in words.
    coefficient : float
        Of one element's term in the loss as returned; 0 where there is none.
    words : str
        What else was seen.
    rho : callable, optional
        An element's term with the coefficient 1.
    each : tuple of float, optional
        Where elements weigh differently: the least and the greatest coefficient among those tried.
    """

    family: str
    of: str
    coefficient: float
    words: str = ""
    rho: Callable[[Array, Array], Array] | None = None
    each: tuple[float, float] | None = None

    @property
    def called(self) -> str:
        """Its terms, in words."""
        return _CALLED.get(self.family, "Terms of {of}").format(of=self.of)

    def term(self, recon: Array, x: Array) -> float:
        """What the model of this part says that the loss holds, up to a constant."""
        return 0.0 if self.rho is None else self.coefficient * float(self.rho(recon, x).sum())


_LOCATION = Reconstruction("location", "x − recon", 1.0)
_FORMS = {
    "quadratic": Reconstruction("correlated Gaussian", "x − recon", 1.0),
    "norm": Reconstruction("norm", "x − recon", 0.0),
    "root": Reconstruction("root of squares", "x − recon", 0.0),
    "root of all": Reconstruction("root of all squares", "x − recon", 0.0),
}


def read_reconstruction(probe: Probe) -> Reconstruction:
    """Find what the reconstruction's part of a loss is, from its values on constant and on random images.

    Parameters
    ----------
    probe : Probe
        The loss.

    Returns
    -------
    Reconstruction
        What it is.
    """
    for grid in (_WIDE, _COUNTS, _HALF, _UNIT, _WIDE_BITS, _BITS):
        values = _on_grid(probe, grid)
        if not np.isfinite(values).all():
            continue
        found = _fitted(probe, grid, values)
        between = grid in (_WIDE, _HALF, _UNIT)  # of bits alone, nothing is known of small differences
        if found is not None and between and not _is_sharp(probe, found):
            found = None
        if found is not None and grid == _WIDE and not _reaches(probe, found):
            found = None
        if found is not None:
            return _checked(probe, found, grid)
        if grid == _WIDE and _adds(probe, grid) and is_location(probe):
            return _LOCATION
    return _without_shape(probe)


def _on_grid(probe: Probe, grid: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """The loss of constant images, [recon, x]."""
    rows = []
    for r in grid[0]:
        rows.append([probe.at(r, x, *_AT) for x in grid[1]])
        if not np.isfinite(rows[-1]).all():
            return np.array([np.nan])
    return np.array(rows)


def _fitted(probe: Probe, grid: Any, values: Array) -> Reconstruction | None:
    """The shape that explains the values on a grid, with its coefficient."""
    r, x = (np.asarray(axis, np.float64) for axis in grid)
    moved = float(np.ptp(values, axis=0).max())
    if moved <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return Reconstruction("none", "", 0.0)
    for shape in _SHAPES:
        with np.errstate(all="ignore"):
            rho = np.asarray(shape.rho(r[:, None], x[None, :]))
        if not np.isfinite(rho).all():
            continue
        # A part of x alone is no part of what is learned: every column has a constant of its own.
        centred, target = rho - rho.mean(0), values - values.mean(0)
        scale = float((centred * target).sum() / (centred**2).sum())
        if probe.close(float(np.abs(target - scale * centred).max()), moved, float(np.abs(values).max())):
            count = probe.sizes.batch * probe.sizes.elements
            found = Reconstruction(shape.family, shape.of, scale / count, rho=shape.rho)
            return _with_factorials(probe, found) if shape.family == "Poisson" else found
    return None


def _reaches(probe: Probe, found: Reconstruction) -> bool:
    """Whether a shape of reals is the same at large differences, where a Huber's is another."""
    far = [(r, x) for x in (-_FARTHEST, _FARTHEST) for r in (0.15, 0.62)]
    full = np.ones((probe.sizes.batch, *probe.sizes.event))
    actual = np.array([probe.at(*one, *_AT) for one in far])
    said = np.array([found.term(r * full, x * full) for r, x in far])
    errors, moved = np.abs(np.diff(actual - said)[::2]), np.abs(np.diff(said)[::2])
    return bool(probe.close(float(errors.max()) / 30, float(moved.max()), float(np.abs(actual).max())))


def _is_sharp(probe: Probe, found: Reconstruction) -> bool:
    """Whether absolute values are so at small differences too, where a smooth L1 or a Charbonnier is another."""
    if found.family != "Laplace":
        return True
    r = np.full((probe.sizes.batch, *probe.sizes.event), 0.4)
    mean = {"x − recon": r, "x − sigmoid(recon)": _sigmoid(r), "x − tanh(recon)": np.tanh(r)}[found.of]
    start = probe.at(r, mean, *_AT)
    for d in _SMALL:
        said = found.term(r, mean + d)
        if abs(probe.at(r, mean + d, *_AT) - start - said) > 0.02 * abs(said) + probe.rounding * abs(start):
            return False
    return True


def _with_factorials(probe: Probe, found: Reconstruction) -> Reconstruction:
    """Whether a Poisson has log x! of its counts, which is log 120 for 5."""
    shape = (probe.sizes.batch, *probe.sizes.event)
    rates = np.full(shape, 0.62)
    none, five = (probe.at(0.62, x, *_AT) - found.term(rates, np.full(shape, x)) for x in (0.0, 5.0))
    whole = found.coefficient * rates.size * math.log(120)
    return replace(found, words=_FACTORIALS if abs(five - none - whole) < 0.01 * abs(whole) else "")


def _checked(probe: Probe, found: Reconstruction, grid: Any) -> Reconstruction:
    """The same, if it foretells the loss of random images; else what stands against it."""
    if found.family == "none" and not _moves(probe, grid):
        return found
    errors, moved = [], []
    fields = [_images(probe.sizes, grid, seed) for seed in range(4)]
    actual = [probe.at(r, x, *_AT) for r, x in fields]
    foretold = [found.term(r, x) for r, x in fields]
    for seed in (1, 2, 3):
        errors.append(
            abs((actual[seed] - actual[0]) - (foretold[seed] - foretold[0]) - _of_x(probe, fields, seed, found))
        )
        moved.append(abs(foretold[seed] - foretold[0]))
    if probe.close(max(errors) / 30, max(moved), max(map(abs, actual))):
        return found
    return _without_shape(probe, grid, found)


def _of_x(probe: Probe, fields: list[Any], seed: int, found: Reconstruction) -> float:
    """What the loss changes by with x alone and the shape does not say, as the entropy of x in a divergence."""
    half = np.full_like(fields[0][0], 0.5)
    alone = [probe.at(half, fields[i][1], *_AT) - found.term(half, fields[i][1]) for i in (seed, 0)]
    return alone[0] - alone[1]


def _images(sizes: Sizes, grid: Any, seed: int) -> tuple[Array, Array]:
    """Random reconstructions and x inside a grid."""
    generator = np.random.default_rng(seed)
    shape = (sizes.batch, *sizes.event)
    recon = generator.uniform(min(grid[0]), max(grid[0]), shape)
    whole = set(grid[1]) <= {0.0, 1.0, 2.0, 5.0}
    x = generator.choice(grid[1], shape) if whole else generator.uniform(min(grid[1]), max(grid[1]), shape)
    return recon, x


def _moves(probe: Probe, grid: Any) -> bool:
    (r, x), (other, _) = _images(probe.sizes, grid, 0), _images(probe.sizes, grid, 1)
    one, two = probe.at(r, x, *_AT), probe.at(other, x, *_AT)
    return not abs(one - two) <= 1e-9 * max(1.0, abs(one))


# --- what has none of the shapes ------------------------------------------------------------------------------------


def _without_shape(probe: Probe, grid: Any = _UNIT, near: Reconstruction | None = None) -> Reconstruction:
    """No shape foretold the loss: does it add over elements, is it one of the difference, does it normalise?"""
    grid = next((g for g in (_WIDE, _UNIT, _BITS) if np.isfinite(_images_value(probe, g))), grid)
    if _adds(probe, grid):
        return _weighted(probe, grid, near) or (_LOCATION if is_location(probe) else of_bits(probe))
    if near is not None and near.family == "none":
        return Reconstruction("no density", "", 0.0, "it moves with the images and not with their level")
    if kind := kind_of_form(probe):
        return _FORMS[kind]
    return Reconstruction("no density", "", 0.0, "the terms of its elements do not add")


def _images_value(probe: Probe, grid: Any) -> float:
    recon, x = _images(probe.sizes, grid, 0)
    return probe.at(recon, x, *_AT)


def _adds(probe: Probe, grid: Any) -> bool:
    """Whether a change of two parts of the reconstruction changes the loss by the sum of what each does alone."""
    generator = np.random.default_rng(2)
    for seed, share in itertools.product((0, 2), (0.5, 0.2, 0.05)):
        (base, x), (other, _) = _images(probe.sizes, grid, seed), _images(probe.sizes, grid, seed + 1)
        start = probe.at(base, x, *_AT)
        first = generator.random(base.shape) < share
        second = ~first & (generator.random(base.shape) < 0.5)
        changes = [probe.at(np.where(mask, other, base), x, *_AT) - start for mask in (first, second, first | second)]
        if not probe.close(abs(changes[0] + changes[1] - changes[2]) / 30, max(map(abs, changes)), abs(start)):
            return False
    return True


def _weighted(probe: Probe, grid: Any, near: Reconstruction | None) -> Reconstruction | None:
    """The shape near by, if it holds with other weights for other elements, which are the same for another x."""
    if near is None or near.rho is None:
        return None
    found, again = (_weights(probe, near, *_images(probe.sizes, grid, seed)) for seed in (0, 1))
    low, high = float(found.min()), float(found.max())
    size = float(np.abs(found).max())
    if high - low < 0.01 * size or not np.abs(again - found).max() < 0.01 * size:
        return None
    if low <= 1e-6 * size:
        return Reconstruction("no density", "", 0.0, "some of its elements have no weight, so that it is of no whole x")
    words = f"its elements weigh differently, by a factor {high / low:.3g} among those tried"
    return replace(near, words=words, each=(low * near.coefficient, high * near.coefficient))


def _weights(probe: Probe, near: Reconstruction, base: Array, x: Array) -> Array:
    """What single elements weigh beside the mean, by changing one at a time."""
    start, found = probe.at(base, x, *_AT), []
    for place in np.random.default_rng(3).permutation(probe.sizes.elements)[:_PLACES]:
        flat = base.reshape(len(base), -1).copy()
        flat[:, place] = flat[:, place][::-1] * 0.5 + 0.2
        other = flat.reshape(base.shape)
        unit = near.term(other, x) - near.term(base, x)
        found.append((probe.at(other, x, *_AT) - start) / unit if unit else 1.0)
    return np.array(found)


def of_bits(probe: Probe) -> Reconstruction:
    """Ask whether exp(−loss) sums to the same over x = 0 and 1 for every reconstruction, as a density's does.

    Parameters
    ----------
    probe : Probe
        A loss whose terms add over elements.

    Returns
    -------
    Reconstruction
        A Bernoulli by a link of its own, no density, or unknown.
    """
    r = np.array(_BITS[0])
    count = probe.sizes.batch * probe.sizes.elements
    terms = np.array([[probe.at(one, x, *_AT) for x in (0.0, 1.0)] for one in r])
    examples = _examples(probe)
    if not np.isfinite(terms * examples).all():
        return Reconstruction("unknown", "", 1.0)
    logs = -(terms - terms.min()) / count * examples
    sums = np.logaddexp(*logs.T)
    if np.ptp(sums) < 1e-3 * np.ptp(logs):
        return Reconstruction("Bernoulli", "its own link", 1.0 / examples, "x is read as 0 or 1")
    words = (
        f"e^−loss sums over x = 0 and 1 to other numbers for other reconstructions, by a factor "
        f"{math.exp(np.ptp(sums)):.3g}"
    )
    return Reconstruction("no density", "", 0.0, words)


def _examples(probe: Probe) -> float:
    """The factor from the loss as returned to that of an example, by how it grows with the batch; NaN if by neither."""
    steps = (0.62, 1.0, *_AT), (0.27, 1.0, *_AT)
    growth = probe.change(*steps, sizes=probe.sizes.doubled("batch")) / probe.change(*steps)
    return 1.0 if abs(growth - 2) < _NEAR else float(probe.sizes.batch) if abs(growth - 1) < _NEAR else math.nan
