"""The stage `contest`: the classics on the same data, whatever was measured of a VAE."""

import math
from typing import Any

from elbowroom.data import Dataset
from elbowroom.numerics import Budget, Estimate, Support
from elbowroom.progress import Progress
from elbowroom.records import ClassicRecord, ContestRecord
from elbowroom.vae.vae_target import of_seen_cells

from .classics import Array, Candidate, class_families, families, gap_families, why_fewer
from .seen import seen_rows, variance_seen
from .tuning import FAILURES, finite, in_words, quietly, tuned

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
    found, said = rivals(data, seed, progress)
    return ContestRecord(tuple(found), " ".join(said) or None, variance_seen(data, seed))


def classics(data: Dataset, seed: int = 0, progress: bool = True) -> list[ClassicRecord]:
    """Probabilistic PCA, factor analysis, Gaussian mixture and kernel density, on the data as the VAE sees them.

    All get the same preprocessing (dequantised with the noise that evidence uses for the same seed) and are scored on
    the user's scale. Settings are chosen by validation log-likelihood. Data that are not continuous get the
    independence model and the latent class model instead, whose log p(x) is of the same kind as the VAE's. On large
    data the first 5,000 training rows are used, on wide ones fewer.

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


def rivals(data: Dataset, seed: int, progress: bool) -> tuple[list[ClassicRecord], list[str]]:
    """The classics that could be fitted, and what was left out and why.

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
        Each tuned on validation and measured on test.
    list of str
        Sentences.
    """
    train, _ = seen_rows(data, data.train, seed, _MOST_TRAIN)
    validation, _ = seen_rows(data, data.validation, seed, _MOST_TEST)
    test, log_jacobian = seen_rows(data, data.test, seed, _MOST_TEST)
    tested = data.test[: len(log_jacobian)]
    estimand = data.preprocess.estimand
    quantity = of_seen_cells(estimand) if _gaps(data) else estimand
    about: dict[str, Any] = {"quantity": quantity, "direction": "exact", "data": tested.data}
    tried = _families(data, train, seed)
    found: list[ClassicRecord] = []
    said = [one for one in (classics_left_out(data), _fewer_tried(data, train.shape[0])) if one]
    with Progress("baselines", sum(len(candidates) for _, candidates in tried), show=progress) as bar, quietly():
        for name, candidates in tried:
            try:
                setting, fitted = tuned(name, candidates, train, validation, bar)
                values = finite(fitted.scores(test) + log_jacobian)
            except FAILURES as error:
                said.append(_why_failed(name, error))
                continue
            budget = Budget(draws=0, seed=seed)
            estimate = Estimate.of(values, index=tested.index.numpy(), estimator=name, budget=budget, **about)
            found.append(ClassicRecord(name, setting, estimate, *fitted.split))
    return found, said


def _families(data: Dataset, train: Array, seed: int) -> list[tuple[str, list[Candidate]]]:
    support = data.preprocess.support(data.support)
    rows, dimensions = train.shape
    if support.continuous and not _gaps(data):
        return families(rows, dimensions, seed)
    found = class_families(support.columns or (support,) * dimensions, train, seed)
    return found + (gap_families(rows, dimensions) if support.continuous else [])


def _gaps(data: Dataset) -> bool:
    """Whether cells may be missing."""
    return data.train.fill is not None


def _fewer_tried(data: Dataset, learned: int) -> str | None:
    """What is tried less of because there are many columns, in words."""
    dimensions = math.prod(data.event)
    said = [
        f"The baselines learn from the first {learned:,} training rows, as there are {dimensions:,} columns."
        if learned < min(_MOST_TRAIN, len(data.train))
        else None,
        why_fewer(dimensions) if data.preprocess.support(data.support).continuous and not _gaps(data) else None,
    ]
    return " ".join(one for one in said if one) or None


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
    if support.continuous and not _gaps(data):
        return None
    if support.continuous:
        return _left_out_for_gaps(math.prod(data.event))
    left_out = "Probabilistic PCA, factor analysis, the Gaussian mixture and the kernel density are left out"
    stand_in = (
        "The independence model (every column by itself) and the latent class model (columns independent within a "
        "class) stand in, whose log p(x) is of the same kind as the VAE's."
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
    gaussian = [name for name, _ in gap_families(1, dimensions)]
    also = f", and a {gaussian[0]}, fitted by expectation–maximisation," if gaussian else ""
    return (
        "Probabilistic PCA, factor analysis, the Gaussian mixture and the kernel density are left out: they take rows "
        "without missing cells. The independence model (every column by itself), the latent class model (columns "
        f"independent within a class){also} stand in, which score log p of the cells that are seen."
    )


def _why_failed(name: str, error: BaseException) -> str:
    the = f"{name[0].upper()}{name[1:]}" if name.endswith(("PCA", "analysis")) else f"The {name}"
    return f"{the} is left out: {in_words(error)}."
