"""How much a full audit and a quick one spend, and how much less of a model whose passes are dear."""

from typing import Any, NamedTuple

from elbowroom.numerics import rounded

from ._context import ContextBudget
from .aggregate import AggregateBudget
from .prices import PriceBudget
from .symptoms_budget import SymptomBudget

__all__ = ["FULL", "QUICK", "AuditBudget", "Spending", "within"]


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
    pass_size : float
        Multiplications of a pass of one example up to which nothing is cut: above it, examples, draws and steps are so
        much fewer that all passes together cost the same.
    """

    n: int
    identity: dict[str, Any]
    context: ContextBudget
    symptoms: SymptomBudget
    prices: PriceBudget
    pass_size: float


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
    pass_size=8e6,
)
"""Under five minutes of two cores for a model 784-200-200-50, whose pass takes 0.4 million multiplications."""

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
    prices=PriceBudget(train=500, validation=100, test=500, draws=8, components=1, steps=0, widest=1_024),
    pass_size=2e6,
)
"""Under fifteen seconds for such a model; a few minutes of one core at most."""

_ANNEALED, _SEARCHED = 8.0, 1_000.0  # times the size up to which there is annealing, and a search for the best q
_FEWEST, _PAIR = 8, 2  # examples, and the least of examples or draws that have an error
_LEAST_STEPS = 100  # of training q


class Spending(NamedTuple):
    """A budget as a model can afford it.

    Attributes
    ----------
    budget : AuditBudget
        What is spent.
    searched : bool
        Whether best q are searched for, without which there are no identity and no verdict.
    said : tuple of str
        Sentences on what is left out and what is less precise.
    """

    budget: AuditBudget
    searched: bool
    said: tuple[str, ...]


def within(budget: AuditBudget, multiplications: int) -> Spending:
    """The same budget where a pass is small; else fewer examples, draws and steps, and without what cannot be afforded.

    Parameters
    ----------
    budget : AuditBudget
        Of a small model.
    multiplications : int
        In a pass of one example.

    Returns
    -------
    Spending
        All factors of what costs are divided alike, so that it follows from the model alone and from no clock.

    Examples
    --------
    >>> within(QUICK, 400_000).budget == QUICK, within(QUICK, 63_000_000).budget.n
    (True, 8)
    """
    times = multiplications / budget.pass_size
    if times <= 1:
        return Spending(budget, True, ())
    dear = f"A pass of one example takes {rounded(multiplications / 1e6, 0)} million multiplications"
    more = f"{rounded(times, 0 if times > 10 else 1)} times what this audit is made for"
    said = [f"Precision: {dear}, {more}, so that examples, draws and steps are fewer."]
    if times > _ANNEALED:
        said.append(
            f"Annealing: {dear}, so that log p(x) is an importance-weighted bound, and the true posterior unknown."
        )
    if times > _SEARCHED:
        said.append(f"Identity and verdict: {dear}, and a search for the best q takes thousands of them.")
    two, three = times**0.5, times ** (1 / 3)
    less = AuditBudget(
        n=_less(budget.n, three, _FEWEST),
        identity=_identity(budget.identity, three, times <= _ANNEALED),
        context=_context(budget.context, two),
        symptoms=_symptoms(budget.symptoms, three, times <= _ANNEALED),
        prices=_prices(budget.prices, two, times),
        pass_size=budget.pass_size,
    )
    return Spending(less, times <= _SEARCHED, tuple(said))


def _less(number: int, by: float, least: int) -> int:
    """A number divided, but not below the least."""
    return min(number, max(least, round(number / by)))


def _identity(options: dict[str, Any], by: float, anneal: bool) -> dict[str, Any]:
    least = {"temperatures": 20, "chains": 4, "leapfrog": 2, "steps": 20, "draws": 16}
    fewer = {name: _less(options[name], by, one) for name, one in least.items()}
    return {**options, **fewer, "anneal": anneal, "longest": _less(8, by, 2), "refine_draws": _less(8, by, 2)}


def _context(one: ContextBudget, by: float) -> ContextBudget:
    told = one.aggregate
    return one._replace(
        bounds=_less(one.bounds, by, _FEWEST),
        draws=_less(one.draws, by, _PAIR),
        units=_less(one.units, by * by, 100),
        samples=0 if one.samples / by < 200 else round(one.samples / by),
        aggregate=told._replace(fitted=_less(told.fitted, by * by, 1_000), choosing=_less(told.choosing, by * by, 200)),
    )


def _symptoms(one: SymptomBudget, by: float, anneal: bool) -> SymptomBudget:
    return one._replace(
        annealed=_less(one.annealed, by, _FEWEST) if anneal else 0,
        temperatures=_less(one.temperatures, by, 10),
        chains=_less(one.chains, by, 4),
        leapfrog=_less(one.leapfrog, by, 2),
        bounds=_less(one.bounds, by, _FEWEST),
        steps=_less(one.steps, by, 10),
        refine_draws=_less(one.refine_draws, by, 2),
        draws=_less(one.draws, by, 2),
    )


def _prices(one: PriceBudget, by: float, times: float) -> PriceBudget:
    steps = round(one.steps / times)
    return one._replace(
        train=_less(one.train, by, 50),
        validation=_less(one.validation, by, _PAIR),
        test=_less(one.test, by, _FEWEST),
        draws=_less(one.draws, by, _PAIR),
        steps=steps if steps >= _LEAST_STEPS else 0,
    )
