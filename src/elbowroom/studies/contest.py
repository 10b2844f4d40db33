"""The stage `contest`: the classics on the same data, whatever was measured of a VAE."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from elbowroom.data import Dataset
from elbowroom.numerics import Budget, Estimate, Support, count
from elbowroom.progress import Progress
from elbowroom.records import ClassicRecord, ContestRecord
from elbowroom.vae.vae_target import of_seen_cells

from .autoregressive import autoregressive_families, cells_of
from .candidates import WIDE, Array, Family, Learned, hardly_varies
from .classes import class_families
from .classics import BUDGET, copies_of, families, most_rows
from .normal_families import gaussian_with_gaps
from .seen import centred_rows, moments_seen, seen_rows, variance_seen
from .sized import given_size, sized_rivals
from .tuning import FAILURES, FEW, FOLDS, finite, in_words, quietly, tuned

__all__ = ["classics", "classics_left_out", "contest", "learned"]

_PLURAL = {
    "binary": "zeros and ones",
    "grid": "whole numbers on a grid",
    "counts": "counts",
    "categorical": "classes without an order",
}
_MOST_TEST = 2_000
_CELLS_OF_ONE_THREAD = 2**22
_CELLS_OF_MOMENTS = 2**27  # training rows × columns, of which mean and covariance are taken


def contest(data: Dataset, *, seed: int, progress: bool) -> ContestRecord:
    """Tune the classics on validation and measure them on test.

    A family that cannot be fitted to the data, or whose likelihood has no maximum on them, is left out and said.

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
    found, said, how = rivals(data, seed, progress)
    return ContestRecord(tuple(found), " ".join(said) or None, variance_seen(data, seed), how)


def classics(data: Dataset, seed: int = 0, progress: bool = True) -> list[ClassicRecord]:
    """Probabilistic PCA, mixtures, kernel density and what has no latent, on the data as the VAE sees them.

    All get the same preprocessing (dequantised with the noise that evidence uses for the same seed, training rows
    several times where they are few) and are scored on the user's scale. Settings move until the best by held-out
    log-likelihood is inside what was tried. Data that are not continuous get the independence model and the latent
    class model instead, whose log p(x) is of the same kind as the VAE's. Levels, bits and mixed columns also get a
    masked autoregressive network, and images a PixelCNN. Of large data the first training rows are
    used, but for mean and covariance, which is all that probabilistic PCA and factor analysis need.

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
        One of each that could be fitted.
    """
    return rivals(data, seed, progress)[0]


def rivals(data: Dataset, seed: int, progress: bool) -> tuple[list[ClassicRecord], list[str], str]:
    """The classics that could be fitted, what was left out and why, and how they were tuned.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation, and of what draws anything.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    list of ClassicRecord
        Each tuned on held-out rows and measured on test.
    list of str
        Sentences.
    str
        Sentences.
    """
    if given_size(data):
        return sized_rivals(data, seed, progress)
    train = learned(data, seed)
    held_out, tested = (part.some(_MOST_TEST) for part in (data.validation, data.test))
    validation = _stacked([seen_rows(data, held_out, seed, _MOST_TEST, copy)[0] for copy in range(train.copies)])
    validated = validation.shape[0] // train.copies
    test, log_jacobian = seen_rows(data, tested, seed, _MOST_TEST)
    tested = tested[: len(log_jacobian)]
    estimand = data.preprocess.estimand
    about: dict[str, Any] = {"direction": "exact", "data": tested.data}
    about["quantity"] = of_seen_cells(estimand) if _gaps(data) else estimand
    tried, why_not = _families(data, train, validation, seed)
    chains = autoregressive_families(cells_of(data), train, validation[:validated], seed)
    tried, why_not = tried + chains[0], why_not + chains[1]
    found: list[ClassicRecord] = []
    said, settings = [one for one in (classics_left_out(data), _rows_used(data, train), *why_not) if one], 0
    with Progress("baselines", None, show=progress) as bar, quietly(), _threads(train):
        for family in tried:
            try:
                best = tuned(family, train, validation, bar, budget=BUDGET, validated=validated)
                values = finite(best.fitted.scores(test) + log_jacobian)
            except FAILURES as error:
                said.append(_why_failed(family.name, error))
                continue
            budget = Budget(draws=0, seed=seed)
            estimate = Estimate.of(values, index=tested.index.numpy(), estimator=family.name, budget=budget, **about)
            found.append(ClassicRecord(family.name, best.setting, estimate, *best.fitted.split, best.search))
            settings += best.tried
    halved = any(one.halved for one in tried) and hardly_varies(train)
    return found, said, _how(train, validated, settings, halved)


@contextmanager
def _threads(train: Learned) -> Iterator[None]:
    """One thread for small tables, on which several wait longer than they work; else as many as there were."""
    if math.prod(train.rows.shape) > _CELLS_OF_ONE_THREAD:
        yield
        return
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def learned(data: Dataset, seed: int) -> Learned:
    """The training rows as the classics learn from them.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation.

    Returns
    -------
    Learned
        With several copies where noise is added to few rows, and the moments of all where rows are left out.
    """
    dimensions = math.prod(data.event)
    most = most_rows(dimensions)
    rows, _ = seen_rows(data, data.train, seed, most)
    if not _real(data) or dimensions > WIDE:
        return Learned(rows)
    n, whole = len(rows), None
    if n < len(data.train):
        whole = moments_seen(data, seed, max(_CELLS_OF_MOMENTS // dimensions, n))
    centred = centred_rows(data, data.train, n) if whole is None else None
    copies = copies_of(n, dimensions) if data.preprocess.noise_shape is not None else 1
    rows = _stacked([rows, *(seen_rows(data, data.train, seed, n, copy)[0] for copy in range(1, copies))])
    centres, noise = centred or (None, None)
    return Learned(rows, copies, centres, noise, whole)


def _stacked(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _families(data: Dataset, train: Learned, validation: Array, seed: int) -> tuple[list[Family], list[str]]:
    if _real(data):
        return families(train, validation, seed)
    support = data.preprocess.support(data.support)
    found = class_families(support.columns or (support,) * train.dimensions, train.rows, seed)
    return found + (gaussian_with_gaps(train.dimensions) if support.continuous else []), []


def _real(data: Dataset) -> bool:
    """Whether the rows are real numbers, all of which are seen."""
    return data.preprocess.support(data.support).continuous and not _gaps(data)


def _gaps(data: Dataset) -> bool:
    """Whether cells may be missing."""
    return data.train.fill is not None


def _rows_used(data: Dataset, train: Learned) -> str | None:
    """Of how many training rows the classics learn where it is not all, in words."""
    if train.n >= len(data.train):
        return None
    of_all = train.whole and f", but for the mean and covariance of {count(train.whole.rows, 'row')}"
    also = f"{of_all}, from which probabilistic PCA and factor analysis are fitted" if of_all else ""
    return (
        f"To bound their cost, the baselines learn from the first {train.n:,} training rows of {len(data.train):,}, as "
        f"there are {count(train.dimensions, 'column')}{also}."
    )


def _how(train: Learned, validated: int, settings: int, halved: bool) -> str:
    """How the settings were chosen, and what they were fitted to."""
    few = validated < FEW and train.n >= 4 * FOLDS
    folds = f", and by {FOLDS}-fold cross-validation over the training rows as these are few" if few else ""
    judged = f"{count(validated, 'validation row')}{folds}"
    if halved and not few:
        judged += (
            ", mixtures by both halves of the training rows too, each by the other, as a column hardly varies there"
        )
    noise = f", dequantised {train.copies} times with different noise" if train.copies > 1 else ""
    return f"{count(settings, 'setting')} of baselines were judged by {judged}; each is fitted to training rows{noise}."


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
    if _real(data):
        return None
    if support.continuous:
        return _left_out_for_gaps(math.prod(data.event))
    left_out = "Probabilistic PCA, factor analysis, mixtures of normals, the kernel density and the flow are left out"
    stand_in = (
        "The independence model (every column by itself) and the latent class model (columns independent within a "
        "class) stand in, and a masked autoregressive network where rows suffice, whose log p(x) is of the same kind "
        "as the VAE's."
    )
    if support.kind == "mixed":
        kinds = ", ".join(dict.fromkeys(_plural(one) for one in support.columns if not one.continuous))
        why = (
            f"they are densities of real numbers, and this table holds {kinds} as well, whose part of log p(x) is a "
            "log-probability"
        )
    else:
        why = (
            f"these data are {_plural(support)}, so the VAE's log p(x) is a log-probability and theirs would be a "
            "log-density, which can be made as large as one likes on values that repeat"
        )
    return f"{left_out}: {why}. {stand_in}"


def _plural(support: Support) -> str:
    return "numbers that have a probability" if support.atoms else _PLURAL[support.kind]


def _left_out_for_gaps(dimensions: int) -> str:
    gaussian = gaussian_with_gaps(dimensions)
    also = f", and a {gaussian[0].name}, fitted by expectation–maximisation," if gaussian else ""
    return (
        "Probabilistic PCA, factor analysis, mixtures of normals, the kernel density, the flow and the autoregressive "
        "networks are left out: they take rows without missing cells. The independence model (every column by "
        "itself), the latent class model "
        f"(columns independent within a class){also} stand in, which score log p of the cells that are seen."
    )


def _why_failed(name: str, error: BaseException) -> str:
    the = f"{name[0].upper()}{name[1:]}" if name.endswith(("PCA", "analysis")) else f"The {name}"
    return f"{the} is left out: {in_words(error)}."
