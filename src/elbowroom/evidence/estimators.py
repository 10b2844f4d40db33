"""The estimators by name: what the command line, run folders and pages know of each. A line here is all one needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from elbowroom.numerics import Estimate, InputError

__all__ = ["ESTIMATORS", "SETTINGS", "Registered", "registered"]

SETTINGS = {
    "draws": "Per example",
    "temperatures": "Annealing steps",
    "chains": "Side by side",
    "leapfrog": "Gradients per transition",
    "start": "From the posterior or the prior",
    "schedule": "How temperatures are spread: sigmoid, linear or adaptive",
    "warm_up": "Transitions before any is kept",
    "density": "What is fitted to the draws: normal or kernel",
    "betas": "Where a curve is noted; give it several times",
    "distortion": "What is lost: negative log-likelihood or squared error",
}
"""What the settings mean, for the command line's help."""


@dataclass(frozen=True)
class Registered:
    """An estimator as it is registered.

    Parameters
    ----------
    name : str
        Of the function in `elbowroom.evidence`, which is imported when it is asked for.
    settings : mapping
        Its settings that a command may give, each with its default. By "draws", else "chains", examples are grouped.
    estimates : callable
        Its outcome → Estimates.
    outcome : str, optional
        The class in `elbowroom.evidence` that all of its Estimates together make, and that prints as one.
    simulates : bool, default False
        Whether its Estimates are of examples that the model draws.
    """

    name: str
    settings: Mapping[str, Any]
    estimates: Callable[[Any], tuple[Estimate, ...]] = lambda found: (found,)
    outcome: str | None = None
    simulates: bool = False

    @property
    def estimator(self) -> Callable[..., Any]:
        """The function: a VAE and examples, or a Target, and settings → its outcome."""
        return _of_this_room(self.name)

    def together(self, estimates: tuple[Estimate, ...]) -> Any:
        """Its outcome again, where it is more than its Estimates; else None."""
        return None if self.outcome is None else _of_this_room(self.outcome)(*estimates)


def registered(name: str) -> Registered:
    """The estimator of that name. Raises InputError, which names those that there are."""
    if name not in ESTIMATORS:
        raise InputError(f"There is no estimator {name!r}; there are {', '.join(ESTIMATORS)}.")
    return ESTIMATORS[name]


def _of_this_room(name: str) -> Any:
    from elbowroom import evidence

    return getattr(evidence, name)


def _along(curve: Any) -> tuple[Estimate, ...]:
    """Rate and distortion at every beta, which their quantity names."""
    rows = zip(curve.betas, curve.rates, curve.distortions, strict=True)
    return tuple(replace(one, quantity=f"{one.quantity} at β = {beta:g}") for beta, *both in rows for one in both)


_DRAWS = {"draws": 1_000}
_CHAINS = {"temperatures": 500, "chains": 16, "leapfrog": 10}
_ANNEALING = {**_CHAINS, "start": "posterior", "schedule": "sigmoid"}
_POSTERIOR = {"draws": 1_000, "chains": 32, "warm_up": 100, "leapfrog": 10, "density": "normal"}
_CURVE = {"betas": [0.1, 0.3, 1.0, 3.0, 10.0], "distortion": "negative log-likelihood", **_CHAINS}

ESTIMATORS: Mapping[str, Registered] = {
    "elbo": Registered("elbo", _DRAWS),
    "iwae": Registered("iwae", _DRAWS),
    "iwae-curve": Registered("iwae_curve", _DRAWS, lambda found: found.estimates),
    "prior": Registered("prior_sampling", _DRAWS),
    "ais": Registered("ais", _ANNEALING),
    "bdmc": Registered("bdmc", _ANNEALING, lambda found: (found.lower, found.upper), "BdmcBounds", simulates=True),
    "reciprocal": Registered("reciprocal_sampling", _POSTERIOR),
    "rate-distortion": Registered("rate_distortion", _DRAWS, tuple),
    "rate-distortion-curve": Registered("rate_distortion_curve", _CURVE, _along),
    "conditional": Registered("conditional_log_likelihood", {"draws": 64}, lambda found: (found.per_example,)),
}
"""Every estimator that has a name."""
