"""Symptoms of the fit: training against test, classics on the training data, and what the objective says."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from elbowroom.data import Dataset, Examples
from elbowroom.exact import ProbabilisticPCA, fit_latent_classes
from elbowroom.numerics import Batch, CapabilityError, Estimate, InputError, Noise, Rows, narrow_seed
from elbowroom.objectives import Iwae, Objective, PriorSampling
from elbowroom.procedures import MonteCarloEM, Procedure, SemiAmortised, TotalCorrelation, WakeSleep
from elbowroom.records import Number
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .symptoms_of_posterior import mean_and_error

__all__ = ["beyond_classics", "generalisation", "looseness", "objective_above_elbo"]

Array = NDArray[np.float64]
_FULL = 64  # columns up to which mixtures have full covariances
_COMPONENTS, _CLASSES = (1, 2, 4, 8), (1, 2, 4, 8, 16)
_MOST_FITTED, _AT_ONCE = 2_000, 50
_ALIKE = 1e-4  # relative, of an objective that is the mean of those of its examples
_ROWS_A_COMPONENT = 5  # for each column, at least


def generalisation(train: Estimate, test: Estimate) -> Number:
    """log p(x) of training examples minus that of test examples, in nats.

    Parameters
    ----------
    train, test : Estimate
        Of each, with as many draws.

    Returns
    -------
    Number
        The examples are others, so their errors add.
    """
    error, fewer = math.hypot(train.se_total, test.se_total), min(len(train), len(test))
    return Number(train.mean - test.mean, error, fewer)


def looseness(log_p: Estimate, bound: Estimate) -> Number:
    """What the importance-weighted bound is below log p(x) by annealing, on the examples of both, in nats.

    Parameters
    ----------
    log_p : Estimate
        By annealing, of some test examples.
    bound : Estimate
        Of test examples.

    Returns
    -------
    Number
        A mean over the examples that are in both.

    Raises
    ------
    InputError
        Where none is, or they bound different things.
    """
    both = np.intersect1d(log_p.index, bound.index)
    if not len(both) or log_p.quantity != bound.quantity:
        raise InputError("No example has both an importance-weighted bound and log p(x) by annealing.")
    return mean_and_error(_values_at(log_p, both) - _values_at(bound, both))


def beyond_classics(vae: VAE, data: Dataset, train: Examples, log_p: Estimate, seed: int) -> tuple[Number, str]:
    """By how much a classic fits the training data better than the model does, in nats per example.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        Its other training examples fit the classics, and validation chooses among them.
    train : Examples
        Training examples that are compared, or the first half of all where there are no more: the model has learnt from
        them, and the classics have not.
    log_p : Estimate
        Of these, by the model.
    seed : int
        Of where fits begin, and of the noise of the preprocessing.

    Returns
    -------
    tuple of Number and str
        The difference, and which classic.

    Raises
    ------
    InputError
        Where cells are missing, or p(x) reads a context.
    """
    if "|" in vae.quantity or "score" in vae.quantity:
        raise InputError(
            f"The model's nats are of {vae.quantity}, and the classics that an audit fits are of log p(x): a study's "
            f"contest has its own."
        )
    kept = train[: len(data.train) // 2]
    others = data.train[~torch.isin(data.train.index, kept.index)]
    fitted, _ = _rows_of(vae, others[:_MOST_FITTED], seed)
    judged, jacobian = _rows_of(vae, kept, seed)
    choosing, _ = _rows_of(vae, data.validation.some(_MOST_FITTED), seed)
    scores = [(float(density(choosing).mean()), name, density) for name, density in _classics(vae, data, fitted, seed)]
    if not scores:
        raise InputError(f"{len(data.train):,} training examples are too few to fit a classic.")
    _, name, density = max(scores, key=lambda one: one[0])
    return mean_and_error(density(judged) + jacobian - _values_at(log_p, kept.index)), name


def _values_at(estimate: Estimate, index: Iterable[Any]) -> Array:
    """The values of an estimate in the order of these rows."""
    place = {int(index): at for at, index in enumerate(estimate.index)}
    return estimate.values[[place[int(one)] for one in index]]


@torch.no_grad()
def _rows_of(vae: VAE, examples: Examples, seed: int) -> tuple[Array, Array]:
    """Preprocessed rows [n, columns], and their log-slopes [n]."""
    batch = examples.batch()
    if batch.seen is not None:
        raise InputError("Classics are not held against a model of examples with missing cells.")
    given, slopes = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
    y, log_slope = given["x"][0].flatten(1), slopes.expand(len(batch))
    return y.double().cpu().numpy(), log_slope.double().cpu().numpy()


Density = Callable[[Array], Array]


def _classics(vae: VAE, data: Dataset, rows: Array, seed: int) -> Iterator[tuple[str, Density]]:
    support = vae.preprocess.support(data.support)
    columns = list(support.columns) if support.columns else [support] * rows.shape[1]
    if all(one.kind in ("real", "unit") and not one.atoms for one in columns):
        yield from _normals(vae, rows, seed)
        return
    for classes in _CLASSES:
        if classes <= max(len(rows) // (4 * _ROWS_A_COMPONENT), 1):
            fitted = fit_latent_classes(rows, columns, classes, seed=seed)
            yield ("independent columns" if classes == 1 else f"{classes} latent classes"), fitted.log_prob


def _normals(vae: VAE, rows: Array, seed: int) -> Iterator[tuple[str, Density]]:
    from sklearn.mixture import GaussianMixture

    width = rows.shape[1]
    if vae.latents < width and len(rows) > vae.latents + 1:
        pca = ProbabilisticPCA.fit(rows, vae.latents)
        yield "probabilistic PCA", lambda x: pca.log_prob(torch.from_numpy(x)).numpy()
    for components in _COMPONENTS:
        if width <= _FULL and len(rows) >= components * width * _ROWS_A_COMPONENT:
            ridge = 1e-4 * float(rows.var(0).mean())
            mixture = GaussianMixture(components, reg_covar=ridge, random_state=narrow_seed(seed)).fit(rows)
            name = "a Gaussian" if components == 1 else f"a mixture of {components} Gaussians"
            yield name, mixture.score_samples


def objective_above_elbo(vae: VAE, rows: Rows, objective: Any, seed: int) -> tuple[Number, bool, tuple[str, ...]]:
    """What an objective says in place of the ELBO, minus the ELBO, at the same draws, in nats.

    Parameters
    ----------
    vae : VAE
        The model.
    rows : Rows
        Test examples.
    objective : Objective or Procedure
        What it was trained by; of a procedure its first phase.
    seed : int
        Of the draws.

    Returns
    -------
    tuple of Number, bool and tuple of str
        The difference; whether it bounds log p(x) by how it is made; what the objective says of itself.

    Raises
    ------
    InputError
        Where there is no objective.
    """
    if objective is None:
        raise InputError("It is not known what the model was trained by: give objective=.")
    goal = objective[objective.main].objective if isinstance(objective, Procedure) else objective
    if not isinstance(goal, Objective):
        raise CapabilityError(f"A {type(goal).__name__} is no objective that could be evaluated on examples.")
    remarks = (*goal.remarks(), *(said for kind, said in _NO_BOUND.items() if isinstance(objective, kind)))
    by_design = isinstance(goal, Iwae | PriorSampling) or isinstance(objective, SemiAmortised)
    parts = np.array_split(np.arange(len(rows)), -(-len(rows) // _AT_ONCE))  # of nearly equal sizes
    differences = [_differences(vae, goal, rows, int(part[0]), int(part[-1]) + 1, seed) for part in parts]
    return mean_and_error(np.concatenate(differences)), by_design and not remarks, remarks


_ELBO = "epochs are compared by the ELBO, which does"
_NO_BOUND: dict[type[Procedure], str] = {
    MonteCarloEM: "Its steps descend −log p(x, z) − log q(z | x) at the ends of chains, which bounds no log p(x); "
    f"{_ELBO}.",
    WakeSleep: "Its steps descend −log p(x, z) and, at draws of the model, −log q(z | x), which bound no log p(x); "
    f"{_ELBO}.",
    TotalCorrelation: "The total correlation is a critic's estimate, with which the objective bounds no log p(x); with "
    "the true one it would, further below the ELBO.",
}
"""Of procedures whose steps descend no bound: what is true of them."""


@torch.no_grad()
def _differences(vae: VAE, goal: Objective, rows: Rows, first: int, last: int, seed: int) -> Array:
    """By example where the objective is a mean over examples, [last − first]; else that of the whole batch, [1]."""
    batch = rows.rows(slice(first, last))
    generator = Generator(vae.device).manual_seed(seed + first)
    noise = vae.draw_noise(goal.draws, len(batch), generator)
    for name, shape in goal.noise_shapes(vae).items():
        noise[name] = torch.randn(goal.draws, len(batch), *shape, generator=generator, device=vae.device)
    with evaluating(vae):
        total = float(goal(vae, batch, noise, torch.tensor(math.inf)).total)
        terms = vae(batch, noise)
        elbo = (terms.log_likelihood - terms.rate()).mean(0).double().cpu().numpy()
        alone = [_alone(vae, goal, rows.rows(slice(i, i + 1)), noise, i - first) for i in range(first, last)]
    apart = math.isclose(float(np.mean(alone)), total, rel_tol=_ALIKE, abs_tol=_ALIKE)
    return -np.array(alone) - elbo if apart else np.array([-total - float(elbo.mean())])


def _alone(vae: VAE, goal: Objective, one: Batch, noise: Noise, place: int) -> float:
    """The objective of one example under its own noise; NaN where it needs several."""
    here = slice(place, place + 1)
    own = {name: value[here] if name == "x" else value[:, here] for name, value in noise.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is logged beside it, as a covariance of one row
        try:
            return float(goal(vae, one, own, torch.tensor(math.inf)).total)
        except (RuntimeError, ValueError):
            return math.nan
