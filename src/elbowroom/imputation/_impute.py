"""Missing cells filled in by draws from p(x_missing | x_seen)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data import Dataset
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import CapabilityError, InputError, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE

from .decoding import classes_of, decode_missing
from .imputations import Imputations, joined
from .latents import Posterior
from .left_out import LeftOut

__all__ = ["impute"]

_FEWEST_DRAWS = 25  # below, importance weights have no k̂


@own_modes
@plain_arguments
def impute(
    vae: VAE,
    examples: Any,
    *,
    columns: Sequence[str | int] | None = None,
    imputations: int = 10,
    samples: int = 200,
    draws: int = 500,
    temperatures: int = 200,
    data: Dataset | None = None,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Imputations:
    """Fill in missing cells, or predict some columns from the others, by draws from p(x_missing | x_seen).

    z is drawn from q(z | x_seen), weighted by p(x_seen, z) / q(z | x_seen) and drawn again by these weights; x_missing
    is then drawn from p(x | z), given the seen cells where they depend on one another. Where the weights' Pareto shape
    k̂ is above 0.7, or fewer than 50 draws carry the weight, the encoder misses too much of the posterior, and z come
    from annealing instead: chains from p(z) that are drawn again by their weights on the way.

    Parameters
    ----------
    vae : VAE
        A trained model.
    examples : Dataset, part of a data set, array, tensor, DataFrame or Batch
        What is completed, [n, *event] on the user's scale, NaN where a cell is missing; of a whole `Dataset` all rows,
        in the order of its source.
    columns : sequence of str or int, optional
        Columns, by name or number, that are predicted from the others: they are left out in every row, and the draws
        compared with what they hold (`scores`). Of a whole `Dataset` it is then the test rows that are completed.
    imputations : int, default 10
        How many completed tables `values` has.
    samples : int, default 200
        Draws of every missing cell, of which median, mean and intervals are taken; the completed tables are the first
        of them. 200 draws of 10,000 cells take 16 MB.
    draws : int, default 500
        Draws of z per example that are weighted, 25 or more.
    temperatures : int, default 200
        Annealing steps for the examples that need it.
    data : Dataset, optional
        Whose names of columns and words of classes the completed table has; by default those of `examples`, where it is
        a `Dataset`.
    seed : int, default 0
        Seed of all noise. An example's draws depend on the seed and its place in the data set only.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take. Results do not depend on it beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    Imputations
        Completed tables, medians, means and intervals on the user's scale; seen cells are exactly as they were.

    Raises
    ------
    InputError
        For fewer draws than 25, fewer samples than imputations, or a column that there is not.
    CapabilityError
        Where preprocessing has no way back, or p(x | z) cannot leave these cells out.

    References
    ----------
    Mattei & Frellsen, "MIWAE: Deep generative modelling and imputation of incomplete data sets" (2019).
    Nazábal et al., "Handling incomplete heterogeneous data using VAEs" (2020).
    Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling" (2024).
    Del Moral, Doucet & Jasra, "Sequential Monte Carlo samplers" (2006).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...              er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = impute(vae, [[0.5, float("nan")], [1.0, 2.0]], imputations=3)
    >>> found.values.shape, found.values[:, :, 0].tolist()
    ((3, 2, 2), [[0.5, 1.0], [0.5, 1.0], [0.5, 1.0]])
    """
    if draws < _FEWEST_DRAWS or not 1 <= imputations <= samples:
        raise InputError(
            f"impute needs {_FEWEST_DRAWS} draws or more, and as many samples as imputations or more; got "
            f"draws={draws}, samples={samples} and imputations={imputations}."
        )
    if not vae.preprocess.invertible:
        raise CapabilityError(
            f"{type(vae.preprocess).__name__} has no way back to the scale of the data, so that nothing can be imputed "
            f"there: take a preprocessing that has."
        )
    posterior = Posterior(vae, draws, samples, temperatures, seed, memory)
    if columns is not None:
        if isinstance(examples, Dataset):
            examples, data = examples.test, data or examples
        left_out = LeftOut(vae, examples, columns, None if data is None else data.columns)
        found = _completed(vae, left_out, posterior, imputations, data, progress)
        return dataclasses.replace(found, truth=left_out.truth(found.rows, found.cells))
    if not isinstance(examples, Dataset):
        return _completed(vae, examples, posterior, imputations, data, progress)
    parts = [part for part in examples.parts.values() if len(part)]
    return joined([_completed(vae, part, posterior, imputations, examples, progress) for part in parts])


def _completed(
    vae: VAE, examples: Any, posterior: Posterior, imputations: int, data: Dataset | None, progress: bool
) -> Imputations:
    rows = vae.examples(examples)
    whole = rows.rows(slice(None))
    seen = np.ones(whole.x.shape, bool) if whole.seen is None else whole.seen.cpu().numpy()
    x = np.where(seen, whole.x.double().cpu().numpy(), np.nan)
    gaps = np.flatnonzero(~seen.reshape(len(x), -1).all(1))
    khat, annealed, unreliable = np.full(len(x), np.nan), np.zeros(len(x), bool), np.zeros(len(x), bool)
    drawn: list[NDArray[np.float64]] = []
    notes: list[str] = []
    with Progress("impute", len(gaps), show=progress) as bar:
        for group in posterior.of(rows, gaps, bar):
            khat[group.places], annealed[group.places] = group.khat.numpy(), group.annealed.numpy()
            unreliable[group.places] = group.unreliable.numpy()
            drawn += decode_missing(vae, group.batch, group.z, posterior.seed)
            notes += group.notes
    flat = ~seen.reshape(len(x), -1)
    where, cells = np.nonzero(flat)
    return Imputations(
        x=x,
        drawn=np.concatenate(drawn, 1) if drawn else np.zeros((posterior.samples, 0)),
        rows=where,
        cells=cells,
        imputations=imputations,
        index=whole.index.cpu().numpy(),
        khat=khat,
        annealed=annealed,
        unreliable=unreliable,
        categorical=classes_of(vae, whole.rows(slice(0, 1))),
        columns=None if data is None else data.columns,
        classes={} if data is None else data.classes,
        notes=list(dict.fromkeys(notes)),
    )
