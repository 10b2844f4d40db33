"""Continuous columns some of whose values have a probability of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions.normal_with_atoms import ATOM
from elbowroom.distributions.normal_with_atoms import NormalWithAtoms as Family
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

from .scaled import Scale, Scaled

__all__ = ["NormalWithAtoms"]


@described("normal-with-atoms")
class NormalWithAtoms(Scaled):
    """A probability for each atom, such as the zeros of rainfall, and a Gaussian density for all other values.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns per element the mean; with scale="predicted" a raw scale after
        it; and a logit for each atom against the Gaussian. All elements of one part come before those of the next.
        None where another likelihood brings the network (`Mixed`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    atoms : sequence of float
        The values that have a probability, as preprocessed.
    scale : float or {"shared", "feature", "predicted"}, default "predicted"
        The standard deviation of the Gaussian, as for `Normal`.
    floor : float or None, default None
        Least standard deviation, as for `Normal`.
    start : float or None, default None
        Where the standard deviation starts, as for `Normal`.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For no atoms, or one twice, and as `Normal` does.

    References
    ----------
    Aitchison, "On the distribution of a positive random variable having a discrete probability mass at the origin"
    (1955).

    Examples
    --------
    >>> rain = NormalWithAtoms(nn.Linear(2, 3), 1, [0.0])
    >>> rain({"z": torch.zeros(1, 4, 2)}).event_shape, rain.numbers
    (torch.Size([1]), 3)
    """

    symbol = "σ"
    takes_atoms = True

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        atoms: Sequence[float],
        *,
        scale: Scale = "predicted",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        self.atoms = [float(one) for one in atoms]
        if not self.atoms or len(set(self.atoms)) < len(self.atoms):
            raise InputError(f"NormalWithAtoms needs the values that have a probability, all distinct; got {atoms}.")
        self._of_normal = self.parts
        self.parts = self._of_normal + len(self.atoms)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        mean, scale = self.location_and_scale(raw[: self._of_normal])
        logits = torch.stack(raw[self._of_normal :], -1)
        return Independent(Family(mean, scale.expand(mean.shape), logits, self.atoms), len(self.event), False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle floor and start from the training data y [n, *event] without the atoms."""
        atom = torch.zeros_like(y, dtype=torch.bool)
        for one in self.atoms:
            atom |= (y - one).abs() <= ATOM
        between = y[~atom]
        return super().settle(torch.where(atom, between.mean(), y) if len(between) else y, step, latents)
