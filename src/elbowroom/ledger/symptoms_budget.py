"""How much the symptoms may cost."""

from typing import NamedTuple

__all__ = ["SymptomBudget"]


class SymptomBudget(NamedTuple):
    """How much the symptoms may cost.

    Attributes
    ----------
    annealed : int
        Test examples whose true posterior is annealed to; 0 leaves it out.
    temperatures, chains, leapfrog : int
        Of the annealing.
    bounds : int
        Training examples, and test examples, whose q is fitted, and whose log p(x) and residuals are compared.
    steps : int
        Of the search for the best q of each of these.
    refine_draws : int
        Of z, per example and step of it.
    draws : int
        Of z, for each bound.
    """

    annealed: int = 64
    temperatures: int = 50
    chains: int = 8
    leapfrog: int = 5
    bounds: int = 400
    steps: int = 100
    refine_draws: int = 8
    draws: int = 64
