"""Tables whose columns are of different kinds."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.distributions.columns import Columns
from elbowroom.numerics import Given, InputError, Support, infer_support
from elbowroom.recipes import described

from .likelihood import Likelihood

__all__ = ["Mixed"]


@described("mixed")
class Mixed(Likelihood):
    """A family per group of columns, for tables whose columns are of different kinds; log-densities add.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns `numbers` numbers per example: those of the first family in its
        order, then those of the second, and so on. None only to ask for `numbers`.
    families : sequence of Likelihood
        Likelihoods without a network, in the order of the columns, as in `Normal(None, 3, scale="feature")`; each is
        over as many columns as its event says.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For no families, or one that is not over columns or has a network.

    References
    ----------
    Nazábal et al., "Handling incomplete heterogeneous data using VAEs" (2020).

    Examples
    --------
    >>> import torch
    >>> from elbowroom.likelihoods import Bernoulli, Categorical, Normal
    >>> families = [Normal(None, 3, scale="predicted"), Bernoulli(None, 2), Categorical(None, 1, levels=4)]
    >>> Mixed(None, families).numbers
    12
    >>> p = Mixed(nn.Linear(2, 12), families)
    >>> p({"z": torch.zeros(1, 5, 2)}).event_shape
    torch.Size([6])
    """

    def __init__(
        self,
        network: nn.Module | None,
        families: Sequence[Likelihood],
        *,
        given: Sequence[str] = ("z",),
    ) -> None:
        columns = _columns(families)
        beside = tuple(dict.fromkeys(name for family in families for name in family.beside))
        super().__init__(columns, given=given, network=network, beside=beside)
        self.families = nn.ModuleList(families)
        self.sizes = [family.event[0] for family in families]

    @property
    def numbers(self) -> int:
        """Numbers per example that the network returns."""
        return sum(family.numbers for family in self._families())

    def forward(self, given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        families = self._families()
        out = self.numbers_from(given, self.numbers).split([family.numbers for family in families], -1)
        groups = [
            family.distribution(part.unflatten(-1, (family.parts, *family.event)).unbind(2), given)
            for family, part in zip(families, out, strict=True)
        ]
        return Columns(groups)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Check each group's training data y [n, columns] and settle it."""
        notes = []
        for family, part in zip(self._families(), y.split(self.sizes, -1), strict=True):
            family.check(infer_support(part.numpy(force=True), max_levels=getattr(family, "levels", 256)))
            notes += family.settle(part, step, latents)
        return notes

    def settle_beside(self, y: Tensor, beside: Given) -> list[str]:
        """Settle each group by its own columns."""
        parts = zip(self._families(), y.split(self.sizes, -1), strict=True)
        return [note for family, part in parts for note in family.settle_beside(part, beside)]

    def check(self, support: Support) -> None:
        """Accept every support here; `settle` checks the data of each group."""

    def outside(self, y: Tensor) -> Tensor:
        """Of each group in its own columns."""
        parts = zip(self._families(), y.split(self.sizes, -1), strict=True)
        return torch.cat([family.outside(part) for family, part in parts], -1)

    def holds(self, place: int = 0) -> str:
        """What a cell of that column may hold, in words."""
        for family, size in zip(self._families(), self.sizes, strict=True):
            if place < size:
                return family.holds(place)
            place -= size
        return super().holds(place)

    def remarks(self, p_x: Distribution) -> list[str]:
        """What each group says of itself."""
        groups: Any = p_x
        pairs = zip(self._families(), groups.groups, strict=True)
        return [remark for family, group in pairs for remark in family.remarks(group)]

    def _families(self) -> list[Likelihood]:
        return list(self.families)  # type: ignore[arg-type]


def _columns(families: Sequence[Likelihood]) -> int:
    for family in families:
        name = type(family).__name__
        if len(family.event) != 1:
            raise InputError(f"The families of a Mixed likelihood are over columns; a {name} has event {family.event}.")
        if family.network is not None:
            raise InputError(f"In a Mixed likelihood one network serves all: make the {name} with network None.")
    if not families:
        raise InputError("A Mixed likelihood needs at least one family.")
    return sum(family.event[0] for family in families)
