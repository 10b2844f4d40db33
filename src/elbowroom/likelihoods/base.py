"""What every likelihood is: a component over x that knows which data it is a density of."""

from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.numerics import Support

__all__ = ["Likelihood"]


class Likelihood(Component):
    """A component over x that knows which data it is a density of."""

    def check(self, support: Support) -> None:
        """Raise InputError where data with this support (after preprocessing) are outside the density's own."""
        raise NotImplementedError

    def remarks(self, p_x: Distribution) -> list[str]:
        """What a person should know of the fitted p(x | z), in sentences."""
        return []
