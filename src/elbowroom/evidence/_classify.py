"""Bayes' rule over the classes of a context: a conditional density as a classifier."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.data import Dataset
from elbowroom.data.given import known_contexts
from elbowroom.numerics import Batch, Estimate, InputError, Rows, as_rows, one_of, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE
from elbowroom.vae.meanings import refuse_other_classes

from .classification import Classification
from .estimators import registered
from .memory import MEMORY, Memory

__all__ = ["classify"]

_ESTIMATORS = ("iwae", "defended-iwae", "ais", "elbo", "prior")
_FREQUENCIES = "frequencies"
_SUMS_TO_ONE = 1e-6


@own_modes
@plain_arguments
def classify(
    vae: VAE,
    data: Dataset,
    *,
    examples: Any = None,
    context: str | None = None,
    prior: str | Sequence[float] = _FREQUENCIES,
    estimator: str = "iwae",
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
    **settings: Any,
) -> Classification:
    """Classify by Bayes' rule: the classes of a context that the model reads, by log p(x | class) + log p(class).

    Nothing is trained for it. log p(x | class) is estimated for every class; what an ELBO lacks of it differs by class,
    so that the ELBO decides by its gaps too, which importance weights and annealing close.

    Parameters
    ----------
    vae : VAE
        A trained model that reads a context of classes.
    data : Dataset
        Its data: they know the names of the classes and how often each occurs in training.
    examples : part of a data set, array, tensor, DataFrame or Batch, default data.test
        What is classified, [n, *event]; its classes are the truth that decisions are compared with, where it has them.
    context : str, optional
        Which context: by default the one of classes that the model reads. Others that it reads must come with the
        examples, and stay.
    prior : "frequencies", "uniform" or sequence of float, default "frequencies"
        p(class): the share of training rows, or all alike, or numbers that sum to 1, in the order of the classes.
    estimator : {"iwae", "defended-iwae", "ais", "elbo", "prior"}, default "iwae"
        How log p(x | class) is estimated.
    seed : int, default 0
        Seed of all noise. Classes share it: the same noise is added to x where preprocessing adds any.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take.
    progress : bool, default False
        Whether to show progress on standard error.
    **settings : Any
        Settings of the estimator, such as draws=500.

    Returns
    -------
    Classification
        Probabilities with errors, decisions, and which of them fall inside their errors.

    Raises
    ------
    InputError
        For a model that reads no context of classes, or several and none is named; for probabilities that are none.

    Notes
    -----
    p(class) is taken not to depend on other contexts. Errors are those of the draws, as if classes had noise of their
    own; that of a difference is mostly smaller.

    References
    ----------
    Ng & Jordan, "On discriminative vs. generative classifiers" (2001).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits", context="label")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = classify(vae, digits, examples=digits.test[:5], draws=10)
    >>> found.probabilities.shape, found.estimator
    ((5, 10), 'IWAE-10')
    """
    one_of("estimator", estimator, _ESTIMATORS)
    entry = registered(estimator)
    strange = [name for name in settings if name not in entry.settings]
    if strange:
        raise InputError(f"{estimator} has no setting {strange[0]!r}; it has {', '.join(entry.settings)}.")
    name, classes = _classes(vae, data, context)
    weights = _prior(prior, data, name, classes)
    rows = as_rows(data.test if examples is None else examples)
    refuse_other_classes({name: classes}, dict(getattr(rows, "coding", ())))
    found: list[Estimate] = []
    with Progress(f"log p(x | {name})", len(classes), show=progress) as bar:
        for one_hot in torch.eye(len(classes)):
            under = _Under(rows, name, classes, one_hot)
            found.append(entry.estimator(vae, under, **settings, seed=seed, memory=memory))
            bar.advance(1)
    with np.errstate(divide="ignore"):
        log_joint = np.stack([one.values for one in found], 1) + np.log(weights)
    return Classification(
        log_joint=log_joint,
        mc_variance=np.stack([one.mc_variance for one in found], 1),
        classes=classes,
        index=found[0].index,
        truth=_truth(rows, name),
        quantity=found[0].quantity,
        estimator=found[0].estimator,
        missed=sum(one.missed for one in found),
        notes=_notes(vae, name, classes, weights),
    )


class _Under:
    """Examples as if all were of one class, in words as the data have them."""

    def __init__(self, rows: Rows, name: str, classes: Sequence[str], one_hot: Tensor) -> None:
        self.inner, self.name, self.one_hot = rows, name, one_hot
        self.index = rows.index
        self.data, self.table = getattr(rows, "data", ""), getattr(rows, "table", ())
        self.observed = getattr(rows, "observed", {})
        self.coding = tuple({**dict(getattr(rows, "coding", ())), name: tuple(classes)}.items())

    def __len__(self) -> int:
        return len(self.inner)

    def rows(self, positions: Tensor | slice) -> Batch:
        """The examples at these positions, under the class."""
        batch = self.inner.rows(positions)
        context = {**batch.context, self.name: self.one_hot.to(batch.x.device).expand(len(batch), -1)}
        return dataclasses.replace(batch, context=context)


def _classes(vae: VAE, data: Dataset, context: str | None) -> tuple[str, list[str]]:
    """The context that is classified, and the names of its classes."""
    known = {name: words for name, (_, words) in known_contexts(data.summary()).items() if words}
    read = [name for name in vae.conditions if name in known]  # what q alone reads moves no density of x
    there = ", ".join(vae.conditions) or "none"
    if not read:
        raise InputError(
            f"Bayes' rule needs a model of log p(x | class), and p of this one reads no context of classes (it reads: "
            f"{there}): train one on data loaded with context=, as context='label'."
        )
    if context is None and len(read) > 1:
        raise InputError(f"The model reads several contexts of classes: say which, context= one of {', '.join(read)}.")
    if context is not None and context not in read:
        raise InputError(f"The model reads no context of classes {context!r}; it reads: {', '.join(read)}.")
    return context or read[0], known[context or read[0]]


def _prior(prior: str | Sequence[float], data: Dataset, name: str, classes: Sequence[str]) -> NDArray[np.float64]:
    if isinstance(prior, str):
        one_of("prior", prior, (_FREQUENCIES, "uniform"), otherwise="or probabilities")
        if prior == "uniform":
            return np.full(len(classes), 1 / len(classes))
        return np.asarray(data.train.context[name].double().mean(0).numpy())
    weights = np.asarray(prior, dtype=np.float64)
    if weights.shape != (len(classes),) or not (weights >= 0).all() or abs(weights.sum() - 1) > _SUMS_TO_ONE:
        raise InputError(
            f"prior is {len(classes)} probabilities that sum to 1, one for each class; got {weights.size} that sum to "
            f"{weights.sum():.6g}."
        )
    return weights


def _truth(rows: Rows, name: str) -> NDArray[np.int64] | None:
    batch = rows.rows(slice(None))
    if name not in batch.context:
        return None
    return np.asarray(batch.context[name].argmax(1).cpu().numpy())


def _notes(vae: VAE, name: str, classes: Sequence[str], weights: NDArray[np.float64]) -> list[str]:
    absent = [one for one, weight in zip(classes, weights, strict=True) if weight == 0]
    others = [one for one in vae.context_names if one != name]
    notes = [f"No training row is of {', '.join(absent)}, so that nothing is decided for it."] if absent else []
    return notes + [f"p({name}) is taken not to depend on {', '.join(others)}."] * bool(others)
