"""Symptom of a condition that does not reach x: what moves in the model's x with the context, against the data's."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import known_mean
from elbowroom.numerics import CapabilityError, InputError, derived_seed
from elbowroom.records import Number
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .symptoms_of_posterior import mean_and_error

__all__ = ["condition_lost"]

Array = NDArray[np.float64]
_DRAWS = 16  # of z, for each of two means that share none
_MOST_FITTED = 2_000
_PENALTIES = np.logspace(-3, 4, 15)
_LEAST = 0.01  # of the variance: below, a straight line finds nothing that could be lost
_ERRORS = 2.0


def condition_lost(vae: VAE, data: Dataset, test: Examples, seed: int) -> tuple[Number, Number, Number, bool]:
    """Of what contexts explain of x in the data, the share that they do not explain in the model.

    In the data it is what a straight line from the contexts (ridge regression, fitted to training rows) explains of the
    variance of preprocessed x on test rows; in the model, the variance over these rows' contexts of the mean of x given
    the context alone, z being drawn from the prior.

    Parameters
    ----------
    vae : VAE
        A model whose p(z) or p(x | z) reads contexts.
    data : Dataset
        Training rows fit the line.
    test : Examples
        Rows that tell.
    seed : int
        Keys the draws.

    Returns
    -------
    tuple of Number, and bool
        The share lost, in percent; what contexts explain of the variance of x, in percent: by the line, and in the
        model; and whether p(x | z) reads a context itself, and not only p(z).

    Raises
    ------
    InputError
        Where p reads no context or cells are missing, and where the line finds nothing in the contexts.
    CapabilityError
        Where p(x | z) has no mean.
    """
    if not vae.conditions:
        names = ", ".join(vae.context_names)
        only = f"Only q(z | x) reads {names}: x that the model draws is the same whatever that is."
        raise InputError(only if names else "The model reads no context.")
    if any(part.fill is not None for part in data.parts.values()):
        raise InputError("With missing cells, what a context explains is not compared.")
    one, other = (_means(vae, test, derived_seed(seed, half)) for half in (1, 2))
    told = ~np.isnan(one).any(0)
    if not told.any():
        raise CapabilityError("p(x | z) has no mean, as over classes without an order.")
    y, line = (values[:, told] for values in _line(vae, data, test, seed))
    one, other = one[:, told], other[:, told]
    spread = y - y.mean(0)
    total = float(np.square(spread).sum(1).mean())
    in_data = np.square(spread).sum(1) - np.square(y - line).sum(1)
    in_model = ((one - one.mean(0)) * (other - other.mean(0))).sum(1)
    held, shown = _percent(in_data, total), _percent(in_model, total)
    if held.value - _ERRORS * (held.se or 0.0) < 100 * _LEAST:
        raise InputError("A straight line from the contexts explains next to nothing of x.")
    ratio = shown.value / held.value
    error = _percent(in_model - ratio * in_data, total).se  # of a ratio of means over the same rows
    lost = Number(100 * (1 - ratio), None if error is None else 100 * error / held.value)
    return lost, held, shown, bool(set(vae.conditions) & set(vae.likelihood.given))


def _percent(values: Array, total: float) -> Number:
    found = mean_and_error(values)
    return Number(100 * found.value / total, None if found.se is None else 100 * found.se / total)


@torch.no_grad()
def _means(vae: VAE, rows: Examples, seed: int) -> Array:
    """E[y | context] of each row, by draws of z from the prior, [n, D]; NaN in columns without a mean."""
    batch, total = rows.batch(), torch.zeros(())
    with evaluating(vae):
        for draw in range(_DRAWS):
            given = vae.draw_prior(len(batch), derived_seed(seed, draw), batch.context)
            mean = known_mean(vae.likelihood(given))[0].flatten(1).double().cpu()
            total = total + mean.expand(len(batch), -1)
    return np.asarray((total / _DRAWS).numpy())


def _line(vae: VAE, data: Dataset, test: Examples, seed: int) -> tuple[Array, Array]:
    """Preprocessed x of the test rows, and a ridge regression's values for them, [n, D] each."""
    from sklearn.linear_model import RidgeCV

    train = data.train[:_MOST_FITTED]
    (y, c), (y_test, c_test) = (_preprocessed(vae, part, seed) for part in (train, test))
    std = c.std(0)
    centre, scale = c.mean(0), np.where(std > 0, std, 1.0)
    fitted = RidgeCV(_PENALTIES).fit((c - centre) / scale, y)
    return y_test, np.asarray(fitted.predict((c_test - centre) / scale)).reshape(y_test.shape)


@torch.no_grad()
def _preprocessed(vae: VAE, rows: Examples, seed: int) -> tuple[Array, Array]:
    """Preprocessed x [n, D] and the contexts that p reads, side by side [n, d]."""
    batch = rows.batch()
    y: Tensor = vae.given(batch, vae.keyed_noise(0, batch.index, seed))[0]["x"][0]
    contexts = [batch.context[name].flatten(1).double() for name in vae.conditions]
    return np.asarray(y.flatten(1).double().cpu().numpy()), np.asarray(torch.cat(contexts, 1).numpy())
