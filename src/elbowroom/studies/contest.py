"""The stage `contest`: the classics on the same data, whatever was measured of a VAE."""

import math
from typing import Any

from elbowroom.data import Dataset
from elbowroom.likelihoods.likelihood import CONTINUOUS
from elbowroom.numerics import Budget, Estimate, Support
from elbowroom.progress import Progress
from elbowroom.records import ClassicRecord, ContestRecord

from .classics import Array, Candidate, class_families, families, why_fewer
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
_MOST_CELLS, _LEAST_ROWS = 2**26, 100  # of the training rows that are held at once, as 32-bit floats where wide


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
    found, failed = rivals(data, seed, progress)
    said = [classics_left_out(data), fewer_tried(data), *failed]
    return ContestRecord(
        classics=tuple(found),
        left_out=" ".join(one for one in said if one) or None,
        variance=variance_seen(data, seed),
    )


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
    """The classics that could be fitted, and why the others could not.

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
        A sentence for every family that is left out.
    """
    most = _rows_at_most(data)
    train, _ = seen_rows(data, data.train[:most], seed)
    validation, _ = seen_rows(data, data.validation[: min(_MOST_TEST, most)], seed)
    tested = data.test[: min(_MOST_TEST, most)]
    test, log_jacobian = seen_rows(data, tested, seed)
    about: dict[str, Any] = {"quantity": data.preprocess.estimand, "direction": "exact", "data": tested.data}
    tried = _families(data, train, seed)
    found: list[ClassicRecord] = []
    failed: list[str] = []
    with Progress("baselines", sum(len(candidates) for _, candidates in tried), show=progress) as bar, quietly():
        for name, candidates in tried:
            try:
                setting, fitted = tuned(name, candidates, train, validation, bar)
                values = finite(fitted.scores(test) + log_jacobian)
            except FAILURES as error:
                failed.append(_why_failed(name, error))
                continue
            budget = Budget(draws=0, seed=seed)
            estimate = Estimate.of(values, index=tested.index.numpy(), estimator=name, budget=budget, **about)
            found.append(ClassicRecord(name, setting, estimate, *fitted.split))
    return found, failed


def _families(data: Dataset, train: Array, seed: int) -> list[tuple[str, list[Candidate]]]:
    support = data.preprocess.support(data.support)
    rows, dimensions = train.shape
    if not _continuous(support) or data.train.fill is not None:
        return class_families(support.columns or (support,) * dimensions, train, seed)
    return families(rows, dimensions, seed)


def fewer_tried(data: Dataset) -> str | None:
    """What is tried less of because there are many columns, in words; None where there are not.

    Parameters
    ----------
    data : Dataset
        Of the study.

    Returns
    -------
    str or None
        Sentences.
    """
    dimensions, most = math.prod(data.event), _rows_at_most(data)
    said: list[str] = []
    if most < min(_MOST_TRAIN, len(data.train)):
        said.append(f"The baselines learn from the first {most:,} training rows, as there are {dimensions:,} columns.")
    if _continuous(data.preprocess.support(data.support)) and data.train.fill is None:
        said += [one for one in (why_fewer(dimensions),) if one]
    return " ".join(said) or None


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


def _rows_at_most(data: Dataset) -> int:
    return min(_MOST_TRAIN, max(_MOST_CELLS // math.prod(data.event), _LEAST_ROWS))


def _why_failed(name: str, error: BaseException) -> str:
    the = f"{name[0].upper()}{name[1:]}" if name.endswith(("PCA", "analysis")) else f"The {name}"
    return f"{the} is left out: {in_words(error)}."
