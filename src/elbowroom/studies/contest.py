"""The stage `contest`: the classics on the same data, whatever was measured of a VAE."""

import numpy as np
import torch

from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods.likelihood import CONTINUOUS
from elbowroom.numerics import Budget, Estimate, Support, keyed_uniform
from elbowroom.progress import Progress
from elbowroom.records import ClassicRecord, ContestRecord

from .classics import Array, Candidate, Fitted, class_families, families

__all__ = ["classics", "classics_left_out", "contest"]

_PLURAL = {
    "binary": "zeros and ones",
    "grid": "whole numbers on a grid",
    "counts": "counts",
    "categorical": "classes without an order",
}
_MOST_TRAIN, _MOST_TEST = 5_000, 2_000


def contest(data: Dataset, *, seed: int, progress: bool) -> ContestRecord:
    """Tune the classics on validation and measure them on test.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation, and of the classics that draw anything.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    ContestRecord
        The record of the stage.
    """
    seen, _ = _as_seen(data, data.validation, seed)
    return ContestRecord(
        classics=tuple(classics(data, seed, progress)),
        left_out=classics_left_out(data),
        variance=float(seen.var(0, ddof=1).sum()),
    )


def classics(data: Dataset, seed: int = 0, progress: bool = True) -> list[ClassicRecord]:
    """Probabilistic PCA, factor analysis, Gaussian mixture and kernel density, on the data as the VAE sees them.

    All get the same preprocessing (dequantised with the noise that evidence uses for the same seed) and are scored on
    the user's scale. Settings are chosen by validation log-likelihood. Data that are not continuous get the
    independence model and the latent class model instead, whose log p(x) is of the same kind as the VAE's. On large
    data the first 5,000 training rows are used.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int, default 0
        Of dequantisation, and of what draws anything.
    progress : bool, default True
        Whether a line says how far it is.

    Returns
    -------
    list of ClassicRecord
        One of each.
    """
    train, _ = _as_seen(data, data.train[:_MOST_TRAIN], seed)
    validation, _ = _as_seen(data, data.validation[:_MOST_TEST], seed)
    tested = data.test[:_MOST_TEST]
    test, log_jacobian = _as_seen(data, tested, seed)
    support = data.preprocess.support(data.support)
    if _continuous(support):
        rivals = families(len(train), train.shape[1], seed)
    else:
        rivals = class_families(support.columns or (support,) * train.shape[1], train, seed)
    found = []
    with Progress("baselines", sum(len(candidates) for _, candidates in rivals), show=progress) as bar:
        for name, candidates in rivals:
            setting, fitted = _tuned(candidates, train, validation, bar)
            values = fitted.scores(test) + log_jacobian
            budget = Budget(draws=0, seed=seed)
            estimate = Estimate.of(
                values,
                index=tested.index.numpy(),
                quantity=data.preprocess.estimand,
                estimator=name,
                direction="exact",
                budget=budget,
                data=tested.data,
            )
            found.append(ClassicRecord(name, setting, estimate, *fitted.split))
    return found


def classics_left_out(data: Dataset) -> str | None:
    """Why scikit-learn's densities do not stand beside the VAE on these data, in words; None where they do.

    Parameters
    ----------
    data : Dataset
        Of the study.

    Returns
    -------
    str or None
        Two sentences.
    """
    support = data.preprocess.support(data.support)
    if _continuous(support):
        return None
    left_out = "Probabilistic PCA, factor analysis, the Gaussian mixture and the kernel density are left out"
    stand_in = (
        "The independence model (every column by itself) and the latent class model (columns independent within a "
        "class) stand in, whose log p(x) is of the same kind as the VAE's."
    )
    if support.kind == "mixed":
        kinds = ", ".join(dict.fromkeys(_PLURAL[one.kind] for one in support.columns if one.kind not in CONTINUOUS))
        why = (
            f"they are densities of real numbers, and this table holds {kinds} as well, whose part of log p(x) is a "
            "log-probability"
        )
    else:
        why = (
            f"these data are {_PLURAL[support.kind]}, so the VAE's log p(x) is a log-probability and theirs would be a "
            "log-density, which can be made as large as one likes on values that repeat"
        )
    return f"{left_out}: {why}. {stand_in}"


def _continuous(support: Support) -> bool:
    return all(one.kind in CONTINUOUS for one in support.columns or (support,))


def _as_seen(data: Dataset, examples: Examples, seed: int) -> tuple[Array, Array]:
    """Preprocessed rows [n, dimensions] and the log-Jacobian [n]."""
    shape = data.preprocess.noise_shape
    noise = None if shape is None else keyed_uniform(shape, examples.index, seed)
    with torch.no_grad():
        y, log_jacobian = data.preprocess(examples.x, noise)
    return y.flatten(1).double().numpy(), log_jacobian.double().numpy()


def _tuned(candidates: list[Candidate], train: Array, validation: Array, bar: Progress) -> tuple[str, Fitted]:
    best, kept = -np.inf, (candidates[0].setting, candidates[0].fit(train))
    for candidate in candidates:
        fitted = candidate.fit(train)
        value = float(fitted.scores(validation).mean())
        bar.advance(validation=value)
        if value > best:
            best, kept = value, (candidate.setting, fitted)
    return kept
