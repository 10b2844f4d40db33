"""The estimators by name, for the command line, run folders and pages; a new one needs one line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from elbowroom.numerics import Estimate, InputError

__all__ = ["ESTIMATORS", "SETTINGS", "Registered", "registered"]

SETTINGS = {
    "draws": "Draws per example",
    "temperatures": "Annealing steps",
    "chains": "Chains per example",
    "leapfrog": "Leapfrog steps per transition",
    "start": "Where chains start: both, posterior or prior",
    "schedule": "How temperatures are spread: sigmoid, linear or adaptive",
    "warm_up": "Transitions at the posterior before the first draw",
    "density": "Density fitted to the draws: normal or kernel",
    "betas": "Where the curve is evaluated; give it several times",
    "distortion": "How distortion is measured: negative log-likelihood or squared error",
}
"""What the settings mean, for the command line's help."""


@dataclass(frozen=True)
class Registered:
    """An estimator that the command line, run folders and pages offer.

    Parameters
    ----------
    name : str
        Name of the function in `elbowroom.evidence`, which is imported on first use.
    settings : mapping
        The settings that a command may give, each with its default. Examples are grouped by "draws", or else by
        "chains".
    estimates : callable, default the result itself
        Takes the function's result and returns its Estimates, a tuple.
    outcome : str, optional
        Class in `elbowroom.evidence` that is made of all of the Estimates, if they print as one.
    simulates : bool, default False
        Whether the Estimates are of examples simulated from the model.
    """

    name: str
    settings: Mapping[str, Any]
    estimates: Callable[[Any], tuple[Estimate, ...]] = lambda found: (found,)
    outcome: str | None = None
    simulates: bool = False

    @property
    def estimator(self) -> Callable[..., Any]:
        """The function: takes a VAE and examples, or a Target, and settings."""
        return _of_this_room(self.name)

    def together(self, estimates: tuple[Estimate, ...]) -> Any:
        """The function's result made again from its Estimates, if they print as one; else None."""
        return None if self.outcome is None else _of_this_room(self.outcome)(*estimates)


def registered(name: str) -> Registered:
    """Look up an estimator by name.

    Parameters
    ----------
    name : str
        A key of `ESTIMATORS`.

    Returns
    -------
    Registered
        The estimator.

    Raises
    ------
    InputError
        If there is none of that name; the message lists the names.

    Examples
    --------
    >>> registered("iwae").settings
    {'draws': 1000}
    """
    if name not in ESTIMATORS:
        raise InputError(f"There is no estimator {name!r}; there are {', '.join(ESTIMATORS)}.")
    return ESTIMATORS[name]


def _of_this_room(name: str) -> Any:
    from elbowroom import evidence

    return getattr(evidence, name)


def _curve_estimates(curve: Any) -> tuple[Estimate, ...]:
    """Rate and distortion at every beta, with the beta in the name of their quantity."""
    rows = zip(curve.betas, curve.rates, curve.distortions, strict=True)
    return tuple(replace(one, quantity=f"{one.quantity} at β = {beta:g}") for beta, *both in rows for one in both)


_DRAWS = {"draws": 1_000}
_CHAINS = {"temperatures": 500, "chains": 16, "leapfrog": 10}
_ANNEALING = {**_CHAINS, "start": "both", "schedule": "sigmoid"}
_REVERSE = {**_ANNEALING, "warm_up": 200}
_POSTERIOR = {"draws": 1_000, "chains": 32, "warm_up": 100, "leapfrog": 10, "density": "normal"}
_CURVE = {"betas": [0.1, 0.3, 1.0, 3.0, 10.0], "distortion": "negative log-likelihood", **_CHAINS}

ESTIMATORS: Mapping[str, Registered] = {
    "elbo": Registered("elbo", _DRAWS),
    "iwae": Registered("iwae", _DRAWS),
    "defended-iwae": Registered("defended_iwae", _DRAWS),
    "iwae-curve": Registered("iwae_curve", _DRAWS, lambda found: found.estimates),
    "prior": Registered("prior_sampling", _DRAWS),
    "ais": Registered("ais", _ANNEALING),
    "bdmc": Registered("bdmc", _ANNEALING, lambda found: (found.lower, found.upper), "BdmcBounds", simulates=True),
    "reverse-ais": Registered("reverse_ais", _REVERSE, lambda found: (found.lower, found.upper), "BdmcBounds"),
    "reciprocal": Registered("reciprocal_sampling", _POSTERIOR),
    "rate-distortion": Registered("rate_distortion", _DRAWS, tuple),
    "rate-distortion-curve": Registered("rate_distortion_curve", _CURVE, _curve_estimates),
    "conditional": Registered("conditional_log_likelihood", {"draws": 64}, lambda found: (found.per_example,)),
}
"""Every estimator that has a name."""
