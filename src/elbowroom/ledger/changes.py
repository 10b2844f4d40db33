"""What each latent unit changes in x: by how much, in which columns, and as pictures."""

import base64
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import known_mean, require
from elbowroom.numerics import CapabilityError, Given, in_parts
from elbowroom.records import ChangesRecord, PicturesRecord, UnitChangeRecord
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["changes"]

_UNITS, _EXAMPLES, _COLUMNS = 6, 32, 3  # the units that carry most, examples that are moved, columns that are named
_STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations, in the pictures
_LARGEST = 3 * 64 * 64  # elements of a picture


class _Unit(NamedTuple):
    """A unit's block, its place there, and how much it varies over examples."""

    number: int
    block: str
    place: int
    spread: float


@torch.no_grad()
def changes(vae: VAE, data: Dataset, examples: Examples, kl: Sequence[float] | None, seed: int) -> ChangesRecord:
    """What the mean of p(x | z) does where a unit moves from one deviation below an example's own mean to one above.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        What the examples are of: names of columns, and the shape of images.
    examples : Examples
        All say how much a unit varies, and the first few are moved.
    kl : sequence of float, optional
        Of each unit: those of the greatest are looked at; without it those that vary most.
    seed : int
        Of the draws of z, and of the noise of the preprocessing.

    Returns
    -------
    ChangesRecord
        Of at most six units.

    Raises
    ------
    CapabilityError
        Where p(x | z) has no mean, or a block is of no real numbers.
    """
    other = [name for name, block in vae.posterior.items() if block.over != "real numbers" or block.form == "classes"]
    if other:
        raise CapabilityError(
            f"Block {other[0]!r} is over {vae.posterior[other[0]].over}: it has no deviation to move by."
        )
    some, few = examples.batch(), examples[:_EXAMPLES]
    units = _most(_drawn(vae, examples, seed), kl)
    with evaluating(vae):
        y = vae.given(some, vae.keyed_noise(0, some.index, seed))[0]["x"][0].double()
        given = vae.at_means(few, seed=seed)
        ends = [[_moved(vae, given, unit, by) for by in (-1.0, 1.0)] for unit in units]
    deviation = (y if some.seen is None else y.where(some.seen, math.nan)).flatten(1).cpu().numpy()
    deviation = np.nanstd(deviation, axis=0)
    moved = [(up - down).double().flatten(1).cpu().numpy() for down, up in ends]
    found = [_change(unit, one, deviation, kl, data) for unit, one in zip(units, moved, strict=True)]
    return ChangesRecord(tuple(found), len(few), _pictures(vae, data, some.x, given, units))


def _drawn(vae: VAE, examples: Examples, seed: int) -> dict[str, Tensor]:
    """A draw of every block for every example, [n, units]."""
    parts: dict[str, list[Tensor]] = {name: [] for name in vae.posterior}
    with evaluating(vae):
        for part in in_parts(examples):
            terms = vae(part, vae.keyed_noise(1, part.index, seed), lay_out=False)
            for name, found in parts.items():
                found.append(terms.z[name].expand(1, len(part), *terms.z[name].shape[2:])[0].flatten(1))
    return {name: torch.cat(found) for name, found in parts.items()}


def _most(drawn: dict[str, Tensor], kl: Sequence[float] | None) -> list[_Unit]:
    """The units that carry most, those that carry more first."""
    spreads = [(name, place, float(one)) for name, z in drawn.items() for place, one in enumerate(z.double().std(0))]
    units = [_Unit(number, *one) for number, one in enumerate(spreads)]
    carried = [one.spread for one in units] if kl is None else kl
    return sorted(units, key=lambda one: -carried[one.number])[:_UNITS]


def _moved(vae: VAE, given: Given, unit: _Unit, by: float) -> Tensor:
    """The mean of p(x | z), as preprocessed, with one unit moved from the examples' means, [n, *event]."""
    z = given[unit.block].clone()
    z.flatten(2)[..., unit.place] += by * unit.spread
    p_x = vae.likelihood({**given, unit.block: z})
    require(p_x, "mean")
    return known_mean(p_x)[0]


def _change(
    unit: _Unit, moved: NDArray[np.float64], deviation: NDArray[np.float64], kl: Sequence[float] | None, data: Dataset
) -> UnitChangeRecord:
    """Differences [n, columns] in words: how much, and where."""
    varies = deviation > 0
    scaled = np.divide(moved, deviation, out=np.zeros_like(moved), where=varies)
    mean, size = scaled.mean(0), float(np.sqrt(np.square(scaled[:, varies]).mean())) if varies.any() else 0.0
    first = np.argsort(-np.abs(mean), kind="stable")[:_COLUMNS]
    names = [str(place + 1) if data.columns is None else data.columns[place] for place in first]
    return UnitChangeRecord(
        unit.number,
        unit.spread,
        None if kl is None else kl[unit.number],
        size,
        tuple(names),
        tuple(mean[first].tolist()),
    )


def _pictures(vae: VAE, data: Dataset, x: Tensor, given: Given, units: Sequence[_Unit]) -> PicturesRecord | None:
    """The first example with each unit moved by several steps; None where the data are no images, or large ones."""
    shape = data.image_shape
    if shape is None or int(np.prod(shape)) > _LARGEST:
        return None
    first = {name: value[:, :1] for name, value in given.items()}
    with evaluating(vae):
        means = torch.cat([_moved(vae, first, unit, by) for unit in units for by in _STEPS])
        rows = vae.preprocess.mean_back(means)
    low, high = (0.0, float(data.levels - 1)) if data.levels else (float(x.min()), float(x.max()))
    grey = ((rows.double() - low) / max(high - low, 1e-12) * 255).round().clamp(0, 255).to(torch.uint8)
    pixels = base64.b64encode(grey.cpu().numpy().tobytes()).decode("ascii")
    return PicturesRecord((len(units), len(_STEPS), *shape), _STEPS, low, high, pixels)
