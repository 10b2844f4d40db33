"""Densities without a latent by the chain rule: the house's likelihoods, whose networks read x itself in order."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elbowroom.data import Dataset
from elbowroom.distributions.flows import zuko
from elbowroom.likelihoods import Autoregressive, DiscretisedLogistic, Mixed
from elbowroom.likelihoods._auto import family_of
from elbowroom.likelihoods.likelihood import Likelihood
from elbowroom.networks import Standardised
from elbowroom.numerics import Support, count
from elbowroom.numerics.seeded import seeded
from elbowroom.preprocess import Codes
from elbowroom.training.descent import descend, scored

from .candidates import WIDE, Array, Axis, Family, Fitted, Learned, Setting

__all__ = ["Cells", "autoregressive_families", "cells_of"]

_WIDTHS, _RADII = (128, 512), (3, 5)
_UNITS, _LOGISTICS = 32, 5
_FEWEST_ROWS, _FEWEST_STEPS, _MOST_STEPS = 60, 60, 400
_LR, _LR_PIXELS = 3e-3, 2e-2
_MOST = 30.0  # billions of multiplications of one training
_PER_NUMBER = 40  # multiplications, what a number of a family costs beside the network
_CELLS = 2**16  # elements that are scored at once
_EVEN = (
    "The autoregressive networks give every level a probability, spread evenly over its cell of the grid: no smooth "
    "density of dequantised data reaches the edges of these cells, and one of levels does, as a VAE with "
    "preprocess='none' and likelihood='discretised-logistic'."
)


@dataclass(frozen=True)
class Cells:
    """What the elements of the data are, as a chain rule goes through them.

    Attributes
    ----------
    support : Support
        Of the values that are read.
    image_shape : tuple of int or None
        (H, W) or (C, H, W) of images.
    read : callable
        Rows [n, dimensions] on the network's scale to the values [n, dimensions].
    log_step : float
        Log of the width, on the network's scale, of the cell that a level was spread over by dequantisation; 0 where
        values are as they are.
    """

    support: Support
    image_shape: tuple[int, ...] | None
    read: Callable[[Array], Tensor]
    log_step: float = 0.0


def cells_of(data: Dataset) -> Cells | None:
    """The elements of a data set whose values have probabilities; None where all are real numbers, or some missing.

    A density that is constant within every cell of a grid is one of the dequantised data, and its log is the
    log-probability of the levels, whatever the noise.

    Parameters
    ----------
    data : Dataset
        Of the study.

    Returns
    -------
    Cells or None
        The elements.
    """
    support, step = data.preprocess.support(data.support), data.preprocess.step
    if data.train.fill is not None:
        return None
    if not support.continuous:
        return Cells(support, data.image_shape, _as_they_are)
    if data.support.kind != "grid" or step is None:
        return None
    values = data.support.values

    def levels(rows: Array) -> Tensor:
        x = data.preprocess.inverse(torch.from_numpy(np.asarray(rows, np.float64)).unflatten(1, data.event)).flatten(1)
        return (Codes(values)(x)[0] if values else x).float()

    return Cells(Support("grid", data.support.levels), data.image_shape, levels, float(np.log(step)))


def _as_they_are(rows: Array) -> Tensor:
    return torch.from_numpy(np.asarray(rows, np.float32))


def autoregressive_families(
    cells: Cells | None, train: Learned, validation: Array, seed: int
) -> tuple[list[Family], list[str]]:
    """A masked network over columns and, of images, one over windows of neighbours.

    Parameters
    ----------
    cells : Cells or None
        What the elements are; None where there is nothing for these families.
    train : Learned
        The rows that they learn from.
    validation : array
        Rows [n, dimensions], by which training is stopped.
    seed : int
        Of the weights, and of the batches.

    Returns
    -------
    list of Family
        The setting is (width,) of the first, (radius,) of the second.
    list of str
        What is left out, in sentences.

    References
    ----------
    Germain, Gregor, Murray & Larochelle, "MADE: Masked autoencoder for distribution estimation" (2015).
    van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks" (2016).
    """
    if cells is None:
        return [], []
    why_not = _why_none(train)
    if why_not is not None:
        return [], [why_not]
    dimensions = train.dimensions
    widths = tuple(sorted({max(width, dimensions) for width in _WIDTHS}))  # fewer units would pass columns over
    batch = int(np.clip(2**13 // dimensions, 32, 128))
    chains = [_Chain("masked autoregressive network (MADE)", widths, cells, masked, _LR, batch)]
    if cells.image_shape is not None:
        batch = int(np.clip(2**11 // dimensions, 16, 32))
        chains.append(_Chain("PixelCNN of one layer", _RADII, cells, windowed, _LR_PIXELS, batch))
    found = [one for one in chains if one.steps(one.sizes[0], dimensions) >= _FEWEST_STEPS]
    dear = [f"The {one.name} is left out: it would take longer than all other baselines." for one in chains]
    said = [sentence for one, sentence in zip(chains, dear, strict=True) if one not in found]
    said += [_EVEN] if found and cells.log_step else []
    return [one.family(train, validation, seed) for one in found], said


def _why_none(train: Learned) -> str | None:
    out = "The masked autoregressive network (MADE) is left out:"
    if train.dimensions > WIDE:
        return f"{out} over {WIDE:,} columns it would take longer than all other baselines together."
    if train.n < _FEWEST_ROWS:
        return f"{out} it is trained on {_FEWEST_ROWS} rows or more, and there are {train.n}."
    return f"{out} a single column leaves it nothing to mask." if train.dimensions < 2 else None


@dataclass(frozen=True)
class _Chain:
    """A kind of chain rule and how it is trained."""

    name: str
    sizes: tuple[int, ...]
    cells: Cells
    made: Callable[[Cells, int, int], Likelihood]  # elements, their number and a size
    lr: float
    batch: int

    def steps(self, size: int, dimensions: int) -> int:
        """Steps of Adam that the budget of one training holds."""
        return int(min(_MOST / self._per_step(size, dimensions), _MOST_STEPS))

    def _per_step(self, size: int, dimensions: int) -> float:
        """Billions of multiplications: forward, and twice as many backward."""
        model = self.made(self.cells, dimensions, size)
        numbers = getattr(model, "family", model).numbers
        inner = sum(p.numel() for n, p in model.named_parameters() if n.endswith("weight"))
        each = inner * (dimensions if isinstance(model, Autoregressive) else 1) + _PER_NUMBER * numbers
        return 3 * self.batch * each / 1e9

    def family(self, train: Learned, validation: Array, seed: int) -> Family:
        """Its sizes as a ladder."""

        def cost(setting: Setting) -> float:
            return self._per_step(setting[0], train.dimensions) * self.steps(setting[0], train.dimensions)

        def fit(setting: Setting, learned: Learned) -> Fitted:
            return self.fitted(setting[0], learned, validation, seed)

        name = "width" if self.made is masked else "radius"
        starts = tuple((size,) for size in self.sizes)
        ladder = (Axis(name, self.sizes),)
        return Family(self.name, ladder, starts, fit, self._words(train.dimensions), cost, by_folds=False, copied=False)

    def _words(self, dimensions: int) -> Callable[[Setting], str]:
        spread = ", a probability for every level, spread evenly over its cell" if self.cells.log_step else ""

        def words(setting: Setting) -> str:
            size, steps = setting[0], self.steps(setting[0], dimensions)
            nets = f"{count(size, 'unit')} in one layer"
            if self.made is windowed:
                nets = f"{_UNITS} units over the later pixels within {size}"
            return f"{nets}, stopped by validation within {steps} steps of Adam{spread}"

        return words

    def fitted(self, size: int, train: Learned, validation: Array, seed: int) -> Fitted:
        """A density without a latent, so all variance is within."""
        model = self.trained(size, train, validation, seed)
        log_prob, at_once = log_prob_of(model), _CELLS // train.dimensions + 1
        log_cell = self.cells.log_step * train.dimensions

        def scores(rows: Array) -> NDArray[np.float64]:
            return scored(log_prob, self.cells.read(rows), at_once).double().numpy() - log_cell

        return Fitted(scores, (0.0, float(np.var(train.single.rows, axis=0).sum())))

    def trained(self, size: int, train: Learned, validation: Array, seed: int) -> Likelihood:
        """The likelihood with its networks trained."""
        rows, watched = self.cells.read(train.single.rows), self.cells.read(validation[: max(256, 4 * self.batch)])
        with seeded(seed):
            model = self.made(self.cells, train.dimensions, size)
            model.settle(rows, None, 0)
            if isinstance(model.network, Standardised):
                model.network.settle(rows)
            steps = self.steps(size, train.dimensions)
            descend(model, log_prob_of(model), rows, watched, lr=self.lr, steps=steps, batch=self.batch)
        return model


def log_prob_of(model: Likelihood) -> Callable[[Tensor], Tensor]:
    """log p of rows [n, dimensions], [n]: the likelihood of each given itself, which its network reads in order."""

    def log_prob(x: Tensor) -> Tensor:
        found: Tensor = model({"x": x[None]}).log_prob(x[None])[0]
        return found

    return log_prob


def masked(cells: Cells, dimensions: int, width: int) -> Likelihood:
    """A likelihood whose network has masks: the numbers of a column read the columns before it alone.

    Parameters
    ----------
    cells : Cells
        What the columns hold.
    dimensions : int
        How many there are.
    width : int
        Units of its one hidden layer, as many as there are columns or more.

    Returns
    -------
    Likelihood
        That reads "x".
    """
    columns = cells.support.columns or (cells.support,) * dimensions
    classes = [one.levels or 0 if one.kind == "categorical" else 0 for one in columns]
    read = [i for i, k in enumerate(classes) if not k] + [i for i, k in enumerate(classes) for _ in range(k)]

    owners = _owners(family_of(cells.support, None, dimensions, ("x",)))
    before = torch.tensor(owners)[:, None] > torch.tensor(read)
    network: Any = zuko().nn.MaskedMLP(before, (width,), activation=nn.SiLU)
    scaled = Standardised(network, event=(dimensions,), classes=classes if any(classes) else ())
    return family_of(cells.support, scaled, dimensions, ("x",))


def windowed(cells: Cells, dimensions: int, radius: int) -> Likelihood:
    """The house's autoregressive likelihood of images, whose elements beside their neighbours know their place alone.

    Parameters
    ----------
    cells : Cells
        What the elements hold.
    dimensions : int
        How many there are.
    radius : int
        Of the window, in pixels.

    Returns
    -------
    Likelihood
        That reads "x".
    """
    levels = cells.support.levels or 2
    family = (
        DiscretisedLogistic(None, dimensions, levels, components=_LOGISTICS)
        if cells.support.kind == "grid"
        else family_of(cells.support, None, dimensions, ())
    )
    about: dict[str, Any] = {"image_shape": cells.image_shape, "radius": radius, "hidden": _UNITS}
    return Autoregressive(_Places(family.numbers), family, given=("x",), **about)


def _owners(likelihood: Likelihood) -> list[int]:
    """The column of each number that a likelihood's network returns, in its order."""
    parts: Any = likelihood.families if isinstance(likelihood, Mixed) else [likelihood]
    owners: list[int] = []
    at = 0
    for one in parts:
        size = math.prod(one.event)
        owners += list(range(at, at + size)) * one.parts
        at += size
    return owners


class _Places(nn.Module):
    """The numbers of every element, learned, whatever is read."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(numbers))

    def forward(self, x: Tensor) -> Tensor:
        """The same for every row, [n, numbers]."""
        return self.start.expand(len(x), -1)
