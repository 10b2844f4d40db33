"""A normal beside values that have a probability each."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Normal, constraints

from elbowroom.numerics import plain_arguments

from ._draw import simulate
from .capabilities import declare, detached

__all__ = ["ATOM", "NormalWithAtoms"]

ATOM = 1e-5
"""How near to an atom a value is the atom."""


@plain_arguments
class NormalWithAtoms(Distribution):
    """An atom with its probability, or else a draw from a normal; its log-density is with respect to both measures.

    Parameters
    ----------
    loc : Tensor
        Mean of the normal.
    scale : Tensor
        Standard deviation of the normal, of the same shape.
    logits : Tensor
        [*loc.shape, atoms]: log-odds of each atom against the normal.
    atoms : sequence of float
        The values with a probability.

    Examples
    --------
    >>> p = NormalWithAtoms(torch.tensor(0.0), torch.tensor(1.0), torch.tensor([0.0]), [3.0])
    >>> p.log_prob(torch.tensor([3.0, 0.0])).exp().tolist()                  # 1/2, and 1/2 of the normal's density
    [0.5, 0.1994711...]
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real

    def __init__(self, loc: Tensor, scale: Tensor, logits: Tensor, atoms: Sequence[float]) -> None:
        self.normal, self.logits, self.atoms = Normal(loc, scale, validate_args=False), logits, list(atoms)
        super().__init__(loc.shape, validate_args=False)

    @property
    def scale(self) -> Tensor:
        """Standard deviation of the normal."""
        return self.normal.scale

    @property
    def mean(self) -> Tensor:
        """Mean, atoms included."""
        return (self._probabilities() * self._means()).sum(-1)

    @property
    def variance(self) -> Tensor:
        """Variance, atoms included."""
        p, means = self._probabilities(), self._means()
        return p[..., 0] * self.normal.variance + (p * (means - self.mean[..., None]).square()).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-probability of an atom, log-density of any other value, in nats."""
        log_p = self._log_probabilities()
        found = log_p[..., 0] + self.normal.log_prob(value)
        for k, atom in enumerate(self.atoms):
            found = torch.where((value - atom).abs() <= ATOM, log_p[..., k + 1], found)
        return found

    def _log_probabilities(self) -> Tensor:
        """Of the normal, then of the atoms, [*batch, 1 + atoms]."""
        return torch.cat([torch.zeros_like(self.logits[..., :1]), self.logits], -1).log_softmax(-1)

    def _probabilities(self) -> Tensor:
        return self._log_probabilities().exp()

    def _means(self) -> Tensor:
        places = torch.tensor(self.atoms).to(self.logits).expand(self.logits.shape)
        return torch.cat([self.normal.loc[..., None], places], -1)


declare(NormalWithAtoms, "mean", "variance", "stack")


@simulate.register
def _(distribution: NormalWithAtoms, generator: Generator) -> Tensor:
    p = distribution._probabilities().detach()
    flat = torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=generator).view(p.shape[:-1])
    between = simulate(distribution.normal, generator)
    places = torch.tensor([0.0, *distribution.atoms]).to(between)
    return torch.where(flat == 0, between, places[flat])


@detached.register
def _(distribution: NormalWithAtoms) -> NormalWithAtoms:
    normal = distribution.normal
    loc, scale, logits = (one.detach() for one in (normal.loc, normal.scale, distribution.logits))
    return NormalWithAtoms(loc, scale, logits, distribution.atoms)
