"""How much a full audit and a quick one spend."""

from typing import Any, NamedTuple

from ._context import ContextBudget
from .aggregate import AggregateBudget
from .prices import PriceBudget
from .symptoms_budget import SymptomBudget

__all__ = ["FULL", "QUICK", "AuditBudget"]


class AuditBudget(NamedTuple):
    """How much an audit spends.

    Attributes
    ----------
    n : int
        Test examples of the identity.
    identity : dict
        Options of `identity`.
    context : ContextBudget
        Of what stands beside it.
    symptoms : SymptomBudget
        Of what the verdict is reached from.
    prices : PriceBudget
        Of what remedies would win.
    """

    n: int
    identity: dict[str, Any]
    context: ContextBudget
    symptoms: SymptomBudget
    prices: PriceBudget


FULL = AuditBudget(
    n=100,
    identity={"temperatures": 100, "chains": 12, "leapfrog": 5, "steps": 400, "draws": 256},
    context=ContextBudget(
        bounds=10_000,
        draws=16,
        units=2_000,
        samples=1_000,
        aggregate=AggregateBudget(
            fitted=10_000, choosing=2_000, told=1_000, among=5_000, pairs=500_000_000, components=32
        ),
    ),
    symptoms=SymptomBudget(),
    prices=PriceBudget(train=5_000, validation=500, test=1_000, draws=16, components=None, steps=1_000),
)
"""Under five minutes of two cores for a model 784-200-200-50."""

QUICK = AuditBudget(
    n=20,
    identity={"temperatures": 50, "chains": 9, "leapfrog": 4, "steps": 100, "draws": 64},
    context=ContextBudget(
        bounds=1_000,
        draws=8,
        units=500,
        samples=0,
        aggregate=AggregateBudget(fitted=8_000, choosing=1_000, told=500, among=1_000, pairs=25_000_000, components=2),
    ),
    symptoms=SymptomBudget(annealed=16, temperatures=20, chains=8, leapfrog=4, bounds=100, steps=50, draws=16),
    prices=PriceBudget(train=500, validation=100, test=500, draws=8, components=1, steps=0),
)
"""Under fifteen seconds."""
