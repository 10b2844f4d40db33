"""Classics of counts that are given the size of each row, as the VAE of such data is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln, logsumexp

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import Budget, Estimate, count
from elbowroom.progress import Progress
from elbowroom.records import ClassicRecord, SearchRecord

from .classics import most_rows
from .seen import seen_rows

__all__ = ["given_size", "sized_rivals"]

_Array = NDArray[np.float64]

_CLASSES = (2, 4, 8, 16, 32, 64, 128)
_ROWS_OF_A_CLASS, _STEPS, _MOST_TEST = 20, 40, 2_000
_DISPERSIONS = np.array([*np.geomspace(0.02, 2_000, 21), np.inf])  # infinite: a Poisson
_LEAST = 1e-3
_CELLS_AT_ONCE = 2**21
_BATCH, _SIZE = "batch", "size"


@dataclass(frozen=True, eq=False)
class _Rows:
    """Counts with the size of each row, and its batch."""

    x: Any  # CSR
    size: _Array
    batch: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Shares:
    """Means of every class and batch at size 1, weights of the classes, and a dispersion of each column."""

    weights: _Array  # [classes]
    means: _Array  # [classes, columns]
    of_batch: _Array  # [batches, columns]
    dispersion: _Array  # [columns]

    def log_prob(self, rows: _Rows) -> _Array:
        """log p(x | size, batch) of rows."""
        found = np.zeros((rows.x.shape[0], len(self.weights)))
        for part in _columns(rows.x.shape):
            x = rows.x[:, part].toarray()
            fixed = rows.size[:, None] * self.of_batch[rows.batch][:, part]
            for number, means in enumerate(self.means[:, part]):
                found[:, number] += _log_counts(x, fixed * means, self.dispersion[part]).sum(1)
        return np.asarray(logsumexp(found + np.log(self.weights), axis=1))


def given_size(data: Dataset) -> bool:
    """Whether models of these data are given the size of each row."""
    return data.size_factor not in (None, "latent") and data.support.kind == "counts"


def sized_rivals(data: Dataset, seed: int, progress: bool) -> tuple[list[ClassicRecord], list[str], str]:
    """Independent counts and latent classes, given the size (and the batch) of each row, tuned on validation.

    Parameters
    ----------
    data : Dataset
        Of which `given_size` is true.
    seed : int
        Of where the classes begin.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    list of ClassicRecord
        Poissons, negative binomials, and classes of these.
    list of str
        What is left out, in sentences.
    str
        How they were tuned.
    """
    by_batch = _BATCH in data.conditions
    most = most_rows(math.prod(data.event))
    held_out, tested = (part.some(_MOST_TEST) for part in (data.validation, data.test))
    train, validation, test = (
        _rows(data, part, seed, some)
        for part, some in ((data.train, most), (held_out, _MOST_TEST), (tested, _MOST_TEST))
    )
    index = tested.index[: len(test.size)].numpy()
    names = ", ".join([_BATCH] * by_batch + [_SIZE])
    about: dict[str, Any] = {"quantity": f"log p(x | {names})", "direction": "exact", "data": data.test.data}
    found = []
    tried: dict[str, list[tuple[int, bool, bool]]] = {
        "Poisson independence model": [(1, own, False) for own in sorted({by_batch, False})],
        "independence model": [(1, own, True) for own in sorted({by_batch, False})],
        "latent class model": [(k, by_batch, True) for k in _CLASSES if k * _ROWS_OF_A_CLASS <= len(train.size)],
    }
    every = 0
    with Progress("baselines", sum(map(len, tried.values())), show=progress) as bar:
        for name, settings in tried.items():
            scores: list[float] = []
            fits: list[_Shares] = []
            for number, setting in enumerate(settings, 1):
                bar.doing(f"{name}, {_words(setting, by_batch)}")
                fits.append(_fitted(train, *setting, seed))
                scores.append(float(fits[-1].log_prob(validation).mean()))
                bar.advance()
                if setting[0] > 1 and scores[-1] < max(scores):
                    bar.advance(len(settings) - number)
                    break  # more classes are worse from here on
            every += len(fits)
            if not fits:
                continue
            best = int(np.argmax(scores))
            estimate = Estimate.of(
                fits[best].log_prob(test), index=index, estimator=name, budget=Budget(draws=0, seed=seed), **about
            )
            inside = best < len(settings) - 1 or settings[best][0] == 1
            edge = f"The {name} had its best setting at the most classes tried."
            search = SearchRecord("" if inside else edge, inside)
            found.append(ClassicRecord(name, _words(settings[best], by_batch), estimate, math.nan, math.nan, search))
    said = [
        f"All of them are given what the VAE is given, {' and '.join(names.split(', '))}: scores of log p(x | {names}) "
        "are ranked among themselves alone. Gaussian models of log(1 + x), PCA and factor analysis among them, score "
        "another quantity, a density of transformed values, and are left out."
    ]
    rows = f"{count(len(train.size), 'training row')}{_of_all(train, data)}"
    how = (
        f"{count(every, 'setting')} of baselines were judged by {count(len(validation.size), 'validation row')}; each "
    )
    return found, said, f"{how}is fitted to {rows}."


def _of_all(train: _Rows, data: Dataset) -> str:
    return f" of {len(data.train):,}" if len(train.size) < len(data.train) else ""


def _words(setting: tuple[int, bool, bool], by_batch: bool) -> str:
    classes, own, dispersed = setting
    said = ["a negative binomial per gene" if dispersed else "a Poisson per gene"]
    if classes > 1:
        said.insert(0, f"{classes} classes")
    if by_batch:
        said.append("means of each batch" if own else "one mean for all batches")
    return ", ".join(said)


def _rows(data: Dataset, examples: Examples, seed: int, most: int) -> _Rows:
    x, _ = seen_rows(data, examples, seed, most)
    n = x.shape[0]
    one_hot = examples.context.get(_BATCH) if _BATCH in data.conditions else None
    batch = np.zeros(n, np.int64) if one_hot is None else one_hot[:n].argmax(1).numpy()
    return _Rows(sparse.csr_matrix(x), examples.context[_SIZE][:n].double().numpy().reshape(-1), batch)


def _fitted(train: _Rows, classes: int, by_batch: bool, dispersed: bool, seed: int) -> _Shares:
    """Means by expectation–maximisation of Poissons, then a dispersion per column about them."""
    total, columns = train.size.sum(), train.x.shape[1]
    floor = _LEAST / len(train.size)
    alone = (np.asarray(train.x.sum(0)).ravel() + floor * len(train.size)) / total
    of_batch = np.ones((int(train.batch.max()) + 1, columns))
    if by_batch:
        for batch in range(len(of_batch)):
            mine = train.batch == batch
            added = 1.0  # a row as the average one, so that what a small batch lacks is not impossible in it
            seen = np.asarray(train.x[mine].sum(0)).ravel()
            of_batch[batch] = (seen + added * alone) / (train.size[mine].sum() + added) / alone
    weights, means, held = np.ones(1), alone[None], np.zeros(len(train.size), np.int64)
    if classes > 1:
        weights, means, held = _classes(train, classes, of_batch, alone, seed)
    dispersion = np.full(columns, np.inf)
    if dispersed:
        dispersion = _dispersions(
            train, lambda part: train.size[:, None] * of_batch[train.batch][:, part] * means[held][:, part]
        )
    return _Shares(weights, means, of_batch, dispersion)


def _classes(
    train: _Rows, classes: int, of_batch: _Array, alone: _Array, seed: int
) -> tuple[_Array, _Array, NDArray[np.int64]]:
    """Weights and means of Poisson classes, and the likeliest class of each row."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD

    scaled = sparse.diags(1 / train.size.clip(1e-6)) @ train.x
    scaled.data = np.log1p(scaled.data)
    few = TruncatedSVD(min(20, min(scaled.shape) - 1), random_state=seed).fit_transform(scaled)
    held = KMeans(classes, n_init=1, random_state=seed).fit_predict(few)
    shares = np.eye(classes)[held]
    expected = np.stack([train.size * (train.batch == batch) for batch in range(len(of_batch))], 1)
    weights, means = np.ones(classes) / classes, np.tile(alone, (classes, 1))
    for _ in range(_STEPS):
        weights = (shares.sum(0) + 1) / (len(shares) + classes)
        exposure = shares.T @ expected @ of_batch  # [classes, columns]
        means = (np.asarray((train.x.T @ shares).T) + alone) / (exposure + 1)  # a row as the average one beside
        scores = train.x @ np.log(means).T - expected @ (of_batch @ means.T) + np.log(weights)
        new = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        moved = np.abs(new - shares).sum(1).mean()
        shares = new
        if moved < 1e-4:
            break
    return weights, means, shares.argmax(1)


def _dispersions(train: _Rows, mean_of: Callable[[slice], _Array]) -> _Array:
    """Of each column the likeliest of a ladder of dispersions about given means."""
    found = np.empty(train.x.shape[1])
    for part in _columns(train.x.shape):
        x, mean = train.x[:, part].toarray(), mean_of(part)
        scores = np.stack([_log_counts(x, mean, np.full(x.shape[1], r)).sum(0) for r in _DISPERSIONS])
        found[part] = _DISPERSIONS[scores.argmax(0)]
    return found


def _columns(shape: tuple[int, ...]) -> list[slice]:
    step = max(_CELLS_AT_ONCE // max(shape[0], 1), 1)
    return [slice(start, start + step) for start in range(0, shape[1], step)]


def _log_counts(x: _Array, mean: _Array, r: _Array) -> _Array:
    """log p of counts by means [n, columns] and dispersions [columns]; an infinite one is a Poisson."""
    found = np.empty_like(mean)
    plain = np.isinf(r)
    if plain.any():
        found[:, plain] = x[:, plain] * np.log(mean[:, plain]) - mean[:, plain]
    if not plain.all():
        k, m, some = x[:, ~plain], mean[:, ~plain], r[~plain]
        value = -(some + k) * np.log1p(m / some) + k * np.log(m)
        rows, columns = k.nonzero()
        value[rows, columns] += (
            gammaln(some[columns] + k[rows, columns])
            - gammaln(some)[columns]
            - k[rows, columns] * np.log(some[columns])
        )
        found[:, ~plain] = value
    rows, columns = x.nonzero()
    found[rows, columns] -= gammaln(x[rows, columns] + 1)
    return found
