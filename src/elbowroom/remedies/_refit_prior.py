"""A prior fitted to what q makes of the data, with encoder and decoder as they are."""

import math
import time
import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from elbowroom import likelihoods, posteriors, priors
from elbowroom.components import Component
from elbowroom.data import Dataset, Examples
from elbowroom.networks import MLP
from elbowroom.numerics import InputError, Support, derived_seed, one_of, own_modes, plain_arguments
from elbowroom.numerics.seeded import seeded
from elbowroom.preprocess import Identity
from elbowroom.training import fit
from elbowroom.training.descent import descend
from elbowroom.vae import VAE

from .draws_of_q import MOST, draws_of_q
from .parts import one_row, own_prior, with_parts
from .remedied import Remedied, remedied

__all__ = ["refit_prior"]

_KINDS = ("mixture", "flow", "two-stage")
_DRAWN = 0xA66  # a stream of its own: the prior is fitted to other draws than it is measured on
_FEWEST = 10_000  # draws that a prior is fitted to, where there are fewer examples
_LADDER, _ROUNDS = (1, 4, 16, 64), 50
_MOST_FULL = 128  # latents, up to which covariances are full
_FLOOR = 0.01  # least deviation, in units of that of z over the examples
_HIDDEN, _STEPS, _BATCH, _EPOCHS, _PATIENCE = (64, 64), 1_500, 256, 40, 5

Drawn = tuple[Tensor, Tensor]
"""Draws of q on training and on validation examples, [n, *event]."""
Parts = tuple[dict[str, Component], dict[str, Component], str]
"""New blocks of p(z), new blocks of q, and what was chosen, in words."""


@own_modes
@plain_arguments
def refit_prior(
    vae: VAE,
    data: Dataset,
    *,
    kind: Literal["mixture", "flow", "two-stage"] = "mixture",
    components: int | None = None,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Keep encoder and decoder, and replace p(z) by a density fitted to draws of q on the training data.

    What can be won is KL(q(z) ‖ p(z)) of the aggregate posterior q(z), the mean of q(z | x) over the data: the part of
    the rate that is no information on x.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        At most 10,000 training examples are encoded; validation chooses the size and when to stop, and is measured.
    kind : {"mixture", "flow", "two-stage"}, default "mixture"
        What p(z) becomes. "mixture": Gaussians, of any covariance up to 128 latents, by expectation–maximisation.
        "flow": a spline flow. "two-stage": a second VAE over z, whose latents are a further block of the model.
    components : int, optional
        Number of Gaussians; by default the one of 1, 4, 16 and 64 that is best on validation.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Keys all noise and the starts of what is fitted.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For another word, or fewer than one component.
    CapabilityError
        Where no block has a prior of its own over real numbers, or, for a flow or a second stage, it is not one row.

    Notes
    -----
    With layers of latents the top one's prior is refitted. The ELBO uses the new prior's exact log-density; after a
    second stage it is the bound of a model of one more layer.

    References
    ----------
    Hoffman & Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower bound" (2016).
    Dai & Wipf, "Diagnosing and enhancing VAE models" (2019): the second stage.
    Ghosh, Sajjadi, Vergari, Black & Schölkopf, "From variational to deterministic autoencoders" (2020): density
    estimation after the fact.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = refit_prior(vae, digits, components=1, draws=4)
    >>> found.name, found.gain.mean > 0
    ('refit_prior (mixture of 1)', True)
    """
    since = time.monotonic()
    one_of("kind", kind, _KINDS)
    if components is not None and (components < 1 or kind != "mixture"):
        raise InputError(f"components is the number of Gaussians of a mixture, 1 or more; got {components} ({kind}).")
    block = own_prior(vae, "refit_prior")
    fitted = {"mixture": _mixture, "flow": _flow, "two-stage": _second_stage}[kind]
    if kind != "mixture":
        one_row(vae, block, f"A prior of kind {kind!r}")
    with seeded(derived_seed(seed, _DRAWN)):
        prior, posterior, chosen = fitted(vae, block, _drawn(vae, data, block, seed), components)
    after = with_parts(vae, prior=prior, posterior=posterior)
    name = f"refit_prior ({chosen})"
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=seed, since=since)
    return found


def _drawn(vae: VAE, data: Dataset, block: str, seed: int) -> Drawn:
    own = derived_seed(seed, _DRAWN)
    parts = (data.train[:MOST], _FEWEST), (data.validation.some(MOST), _FEWEST // 4)
    train, validation = (
        draws_of_q(vae, rows, block, max(1, math.ceil(fewest / len(rows))), own).cpu() for rows, fewest in parts
    )
    return train, validation


def _mixture(vae: VAE, block: str, drawn: Drawn, components: int | None) -> Parts:
    """The mixture that is best on validation, of a ladder or of one size."""
    best, best_score = None, -math.inf
    for size in _LADDER if components is None else (components,):
        if size > len(drawn[0]) // 2 and best is not None:
            break
        found = _fitted_mixture(drawn[0], size)
        with torch.no_grad():
            score = float(found({}).log_prob(drawn[1].double().unsqueeze(0)).mean())
        if best is not None and score <= best_score:
            break
        best, best_score = found, score
    assert best is not None
    return {block: best}, {}, f"mixture of {best.means.shape[2]}"


@torch.no_grad()
def _fitted_mixture(z: Tensor, components: int) -> priors.Mixture:
    """By expectation–maximisation from k-means, in float64 and in units of each latent's own deviation."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    event = tuple(z.shape[1:])
    full = len(event) == 1 and event[0] <= _MOST_FULL
    kind, seed = "full" if full else "diag", int(torch.randint(2**31, ()))
    model = GaussianMixture(components, covariance_type=kind, reg_covar=_FLOOR**2, random_state=seed, max_iter=_ROUNDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows, unit = z.flatten(1).double(), _deviations(z.flatten(1)).double()
        model.fit((rows / unit).numpy())
    spreads, means = torch.from_numpy(model.covariances_), torch.from_numpy(model.means_) * unit
    roots = torch.linalg.cholesky(spreads) * unit[:, None] if full else (spreads.sqrt() * unit).unflatten(1, event)
    least = _FLOOR * float(unit.min())
    prior = priors.Mixture(event, components=components, floor=least, covariance="full" if full else "diagonal")
    prior.double().begin_at(torch.from_numpy(model.weights_).clamp_min(1e-12), means.unflatten(1, event), roots)
    return prior


def _deviations(z: Tensor) -> Tensor:
    """Of every latent over the draws; 1 where it does not move."""
    found = z.std(0)
    return torch.where(found > 0, found, 1.0)


def _flow(vae: VAE, block: str, drawn: Drawn, components: int | None) -> Parts:
    """A spline flow behind a normal of the draws' moments, trained until validation stops improving."""
    train, validation = drawn
    prior = priors.Flow(train.shape[1:], flow="nsf", transforms=3, hidden=_HIDDEN, base="diagonal").to(train.dtype)
    with torch.no_grad():
        prior.means.copy_(train.mean(0))
        prior.logs.copy_(_deviations(train).log())
    descend(prior, _log_prob_of(prior), train, validation, lr=2e-3, steps=_STEPS, batch=_BATCH)
    return {block: prior}, {}, "flow"


def _log_prob_of(prior: Component) -> Callable[[Tensor], Tensor]:
    return lambda z: prior({}).log_prob(z.unsqueeze(0))[0]


def _second_stage(vae: VAE, block: str, drawn: Drawn, components: int | None) -> Parts:
    """A VAE over z, whose p(z | u) becomes the prior of the block and whose u a block above it."""
    size, above = drawn[0].shape[1], _new_name(vae, block)
    networks = [MLP([size, *_HIDDEN, 2 * size]) for _ in ("encoder", "decoder")]
    # So that the likelihood's scale, floor + softplus(raw + offset), has no offset: that of priors.Normal has none.
    start = _FLOOR + math.log(2.0)
    second = VAE(
        priors.StandardNormal(size),
        posteriors.DiagonalNormal(networks[0], size),
        likelihoods.Normal(networks[1], size, scale="predicted", floor=_FLOOR, start=start),
    ).to(drawn[0].dtype)
    seed = int(torch.randint(2**31, ()))
    fit(second, _as_data(drawn), epochs=_EPOCHS, patience=_PATIENCE, lr_final=1e-4, seed=seed, progress=False)
    prior = priors.Normal(size, network=networks[1], given=(above,), floor=_FLOOR)
    q = posteriors.DiagonalNormal(networks[0], size, given=(block,))
    return {block: prior, above: priors.StandardNormal(size)}, {above: q}, "two-stage"


def _new_name(vae: VAE, block: str) -> str:
    return next(name for name in (f"{block}{n}" for n in range(2, 100)) if name not in (*vae.prior, *vae.context_names))


def _as_data(drawn: Drawn) -> Dataset:
    """Draws as a data set, for a model over z."""
    train, validation = (Examples(z, torch.arange(len(z))) for z in drawn)
    return Dataset(
        name="draws of q",
        train=train,
        validation=validation,
        test=validation[:1],
        support=Support("real"),
        preprocess=Identity(),
        event=tuple(drawn[0].shape[1:]),
        image_shape=None,
        columns=None,
        label_names=None,
        source="q(z | x)",
        sha256="",
        split_seed=0,
    )
