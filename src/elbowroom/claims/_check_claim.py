"""What a printed number is, of a model that is at hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.numerics import Estimate, InputError, Rows, in_parts, own_modes, plain_arguments, rounded
from elbowroom.records.values import Number
from elbowroom.vae import VAE, check_readings

from .claim_check import ClaimCheck
from .claim_text import Claim, claim_of
from .evaluation import Evaluation, faults_of_evaluation
from .measured import Measured, in_training_mode, measure
from .mistakes import Mistake, log_means, mistakes_of, noise_of

__all__ = ["check_claim"]

_DRAWS = 64  # of each example, for the terms that mistakes are made of
_MOST_DRAWS = 2_000
_BOUNDED = 16  # examples whose log p(x) is bounded from above
_MANY = 2  # rank of mistakes of which there are so many that one of them fits many numbers
_NAMED = 4  # mistakes at most
_ERRORS = 3.0  # standard errors that a number may lie away


@own_modes
@plain_arguments
def check_claim(
    model: VAE,
    data: Any,
    claim: str,
    *,
    evaluate: Callable[..., Any] | None = None,
    n: int = 1_000,
    draws: int = 500,
    seed: int = 0,
) -> ClaimCheck:
    """Say what a printed number is not: which mistake would print it, that it holds, or that no bound can be there.

    The model is measured on the data as it should be, and as some forty mistakes would measure it: at the mean of q,
    without the KL or constants, with the KL averaged, on the training set, in training mode, on one batch, with another
    divisor, in another unit. What lies within the errors of the claim is named. Where none does and the number is above
    the model's bound, log p(x) is bounded from above.

    Parameters
    ----------
    model : VAE
        The model, ours or by `er.adapters.from_modules`.
    data : Dataset, array, tensor, DataFrame or part of a data set
        A data set, whose test part the claim is about and whose training part is tried too; or the examples themselves.
    claim : str
        What was printed, as "ELBO −98.2", "IWAE-5000 −86.4 ± 0.1", "NLL 92.1 nats", "3.21 bits/dim" or "loss 105.3".
    evaluate : callable, default None
        The function that printed it, of (model, x) or (model, x, draws) → number, with x [n, *event] a tensor: it is
        called with examples, modes and draws of our choice, on copies of the model.
    n : int, default 1000
        Examples that are measured, at most. The claim is of all of them if there are no more.
    draws : int, default 500
        Draws of z from q(z | x) per example for log p(x) from below.
    seed : int, default 0
        Keys all noise.

    Returns
    -------
    ClaimCheck
        The outcome, a sentence, the mistakes that print the number, each with its own, and faults of `evaluate`.

    Raises
    ------
    InputError
        For a claim without a number, quantity or K; a model that is no VAE; data that it cannot take.

    Notes
    -----
    A number between the model's bound and its importance-weighted bound of `draws` draws may be that of a better q,
    whatever mistake prints it too, and is called possible. Several mistakes may print one number: mistakes of formulas
    are named before those of the part of the data that was measured, and each kind in the order of their distance. The
    claim is taken for one draw of z per example, with the noise that this has. Log p(x) from above is by
    `evidence.reverse_ais`, an upper bound if its chains have mixed.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
    Grosse, Ancha & Roy, "Measuring the reliability of MCMC inference with bidirectional Monte Carlo" (2016).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> torch.manual_seed(0) # doctest: +ELLIPSIS
    <torch._C.Generator object at 0x...>
    >>> q = er.posteriors.DiagonalNormal(torch.nn.Linear(4, 4), 2)
    >>> vae = er.VAE(er.priors.StandardNormal(2), q, er.likelihoods.Normal(torch.nn.Linear(2, 4), 4, scale=0.5))
    >>> x = torch.randn(50, 4)
    >>> bound = er.evidence.elbo(vae, x, draws=100).mean
    >>> er.check_claim(vae, x, f"ELBO {bound:.2f}").outcome
    'holds'
    >>> best = er.evidence.iwae(vae, x, draws=500).mean
    >>> found = er.check_claim(vae, x, f"log p(x) {best + 2 * 1.8379:.2f}")
    >>> found.outcome, found.mistakes[0].name
    ('mistaken', 'without 2π')
    """
    if not isinstance(model, VAE):
        raise InputError(f"check_claim takes a VAE, as of er.adapters.from_modules; got a {type(model).__name__}.")
    if n < 2 or draws < 2:
        raise InputError(f"n and draws are 2 or more; got {n} and {draws}.")
    dimensions = math.prod(model.likelihood.event)
    said = claim_of(claim, dimensions)
    test, train = _parts(model, data, n)
    try:
        check_readings(model, test)
    except InputError as error:
        return ClaimCheck(said, "no bound", f"{_said(said)} is no bound on log p(x): {error}", None)
    terms = measure(model, test, min(_MOST_DRAWS, max(_DRAWS, 2 * (said.draws or 1))), seed)
    right = _measured(model, test, said, draws, seed)
    ask = None if evaluate is None else Evaluation(evaluate, model, said, dimensions)
    faults = () if ask is None else tuple(faults_of_evaluation(ask, _tensor(test), terms))
    whole = len(test) == _length(data)
    close = _close(said, terms, right, whole)
    if _holds(said, right, close):
        return ClaimCheck(said, "holds", _held(said, right, dimensions, close), right, faults=faults)
    learned = None if train is None else measure(model, train, 8, seed)
    tried = mistakes_of(said, right, terms, learned, in_training_mode(model, test, seed))
    mistakes = _near(said, tried, terms, close, right)
    tighter = _reached(model, test, said, right, draws, seed)
    if tighter is not None:
        found = ClaimCheck(said, "possible", _within(said, right, tighter, dimensions), right, mistakes)
    elif mistakes and (mistakes[0].rank < _MANY or faults or said.value < right.mean):
        words = f"{_said(said)} is not the {said.name} of this model, {_as(said, right.mean, dimensions)}"
        found = ClaimCheck(said, "mistaken", f"{words}. {mistakes[0].sentence}", right, mistakes)
    else:
        found = _unexplained(model, test, said, right, mistakes, close, seed, dimensions)
    return replace(found, faults=faults)


def _reached(model: VAE, test: Rows, said: Claim, right: Estimate, draws: int, seed: int) -> Estimate | None:
    """The importance-weighted bound of many draws, where a number above what was measured is not above it too."""
    if said.quantity == "log-likelihood" or said.value <= right.mean:
        return None
    tighter = evidence.iwae(model, test, draws=draws, seed=seed)
    return tighter if said.value <= tighter.mean + _ERRORS * tighter.se_mc + said.step else None


def _within(said: Claim, right: Estimate, tighter: Estimate, dimensions: int) -> str:
    return (
        f"{_said(said)} is {rounded(said.value - right.mean)} nats above the {said.name} of this model, "
        f"{_as(said, right.mean, dimensions)}, and not above its {tighter.estimator}, "
        f"{_as(said, tighter.mean, dimensions)}, thus below log p(x): a better q, or more draws, may have it."
    )


def _parts(model: VAE, data: Any, n: int) -> tuple[Rows, Rows | None]:
    """Test and training examples, n of each at most."""
    if isinstance(data, Dataset):
        return model.examples(data.test.some(n)), model.examples(data.train.some(n))
    return _some(model.examples(data), n), None


def _some(rows: Rows, n: int) -> Rows:
    if isinstance(rows, Examples):
        return rows.some(n)
    return rows if len(rows) <= n else rows.rows(slice(0, n))


def _length(data: Any) -> int:
    return len(data.test) if isinstance(data, Dataset) else len(data)


def _tensor(rows: Rows) -> Tensor:
    return torch.cat([batch.x for batch in in_parts(rows)])


def _measured(model: VAE, test: Rows, said: Claim, draws: int, seed: int) -> Estimate:
    if said.quantity == "ELBO":
        return evidence.elbo(model, test, draws=_DRAWS, seed=seed)
    return evidence.iwae(model, test, draws=said.draws or draws, seed=seed)


def _close(said: Claim, terms: Measured, right: Estimate, whole: bool) -> float:
    """How far from what was measured the claim may lie: noise of both, rounding, and examples not measured."""
    own = noise_of(terms.elbo) if said.quantity == "ELBO" else max(right.se_mc, noise_of(log_means(terms, said.draws)))
    points = 0.0 if whole else right.se_points
    noise = math.sqrt(own**2 + right.se_mc**2 + points**2 + said.error**2)
    return _ERRORS * noise + said.step + 1e-5 * abs(right.mean)


def _holds(said: Claim, right: Estimate, close: float) -> bool:
    return abs(said.value - right.mean) <= close


def _near(said: Claim, tried: Any, terms: Measured, close: float, right: Estimate) -> tuple[Mistake, ...]:
    """The mistakes whose number the claim is, by their distance in errors."""
    found: list[tuple[int, float, Mistake]] = []
    for one in tried:
        noise = math.sqrt(one.se**2 * (1 + 1 / len(terms.elbo)) + said.error**2)
        away = abs(one.value - said.value)
        if away <= _ERRORS * noise + said.step + 1e-5 * abs(one.value) and abs(one.value - right.mean) > 0.5 * close:
            found.append((one.rank, away, one))
    likely = [each for each in found if each[0] < _MANY] or found
    return tuple(one for _, _, one in sorted(likely, key=lambda each: each[:2]))[:_NAMED]


def _as(said: Claim, nats: float, dimensions: int) -> str:
    """A number in the unit of the claim."""
    unit = {"nats": "nats", "bits": "bits", "bits per dimension": "bits per dimension"}[said.unit]
    digits = 3 if said.unit == "bits per dimension" else 2
    return f"{rounded(said.as_said(nats, dimensions), digits)} {unit}"


def _said(said: Claim) -> str:
    return f"{said.text.strip()!r}"


def _held(said: Claim, right: Estimate, dimensions: int, close: float) -> str:
    return (
        f"{_said(said)} holds: the {said.name} of this model is {_as(said, right.mean, dimensions)} "
        f"(±{rounded(close)} nats would still hold), over {len(right):,} examples."
    )


def _unexplained(
    model: VAE,
    test: Rows,
    said: Claim,
    right: Estimate,
    mistakes: tuple[Mistake, ...],
    close: float,
    seed: int,
    dimensions: int,
) -> ClaimCheck:
    """A number that no mistake prints: below the bound, between it and log p(x), or above both."""
    off = said.value - right.mean
    side = "above" if off > 0 else "below"
    right_said = _as(said, right.mean, dimensions)
    start = f"{_said(said)} is {rounded(abs(off))} nats {side} the {said.name} of this model, {right_said}"
    if off < 0:
        words = f"{start}, and no simple mistake that was tried prints it: is it of another model, or of other data?"
        return ClaimCheck(said, "unexplained", words, right)
    upper = _from_above(model, test, right, seed)
    end = f"log p(x), which is {_as(said, upper.value, dimensions)} at most if the chains of annealing have mixed"
    if said.value > upper.value + _ERRORS * (upper.se or 0.0) + close:
        words = f"{start}, and above {end}: no bound of this model on these data can be there."
        return ClaimCheck(said, "too high", words, right, mistakes, upper)
    words = f"{start}, and below {end}: a better q, or more draws, may have it."
    return ClaimCheck(said, "possible", words, right, upper=upper)


def _from_above(model: VAE, test: Rows, right: Estimate, seed: int) -> Number:
    """log p(x) of all examples from above: what is measured, and how far above it the upper end lies on some."""
    some = _some(test, _BOUNDED)
    ends = evidence.reverse_ais(
        model, some, temperatures=40, chains=8, leapfrog=4, start="posterior", warm_up=30, seed=seed
    )
    gap = ends.upper - right
    return Number(right.mean + gap.mean, math.hypot(gap.se_total, right.se_mc))
