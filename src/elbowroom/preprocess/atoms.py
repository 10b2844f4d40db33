# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Columns some of whose values have a probability of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.distributions import Masses
from elbowroom.distributions.normal_with_atoms import ATOM
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess

__all__ = ["Atoms"]


@described("atoms")
class Atoms(Preprocess):
    """A map of columns with atoms: values that occur again and again keep their probability, others have a density.

    An atom's log-slope is 0, as a probability is the same on every scale; all other values are mapped by `inner`.

    Parameters
    ----------
    inner : Preprocess
        The map of the values between, which shifts or scales.
    atoms : sequence of float
        The values with a probability, on the scale of x.

    Raises
    ------
    InputError
        For no atoms.

    Notes
    -----
    A value that is no atom is kept 2 · 10⁻⁵ away from every atom, on the scale of y, so that the two are not confused
    where y is in 32 bits.

    Examples
    --------
    >>> from elbowroom.preprocess import Affine
    >>> rain = Atoms(Affine(2.0), [0.0])
    >>> y, log_jacobian = rain(torch.tensor([[0.0], [3.0]]))
    >>> y.tolist(), log_jacobian.exp().tolist()
    ([[0.0], [6.0]], [1.0, 2.0])
    """

    inner: Preprocess

    def __init__(self, inner: Preprocess, atoms: Sequence[float]) -> None:
        super().__init__()
        self.inner = inner
        self.atoms = [float(one) for one in atoms]
        if not self.atoms:
            raise InputError("Atoms needs the values that have a probability; got none.")
        self.noise_shape = inner.noise_shape

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, log_slope = self.inner.cells(x, noise)
        log_slope = log_slope.expand(y.shape)
        for atom, place in zip(self.atoms, self.places(), strict=True):
            away = torch.where(y < place, -2 * ATOM, 2 * ATOM)
            y = torch.where((y - place).abs() < 2 * ATOM, place + away, y)
            there = self._at(x, atom)
            y, log_slope = torch.where(there, place, y), torch.where(there, 0.0, log_slope)
        return y.to(x.dtype), log_slope

    def inverse(self, y: Tensor) -> Tensor:
        x = self.inner.inverse(y)
        for atom, place in zip(self.atoms, self.places(), strict=True):
            x = torch.where((y - place).abs() <= ATOM, atom, x)
        return x

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """As of the values between, which `inner` shifts and scales; columns whose atom lies elsewhere need masses."""
        x = self.inner.mean_back(y)
        if masses is None:
            return x
        for atom, place in zip(self.atoms, self.places(), strict=True):
            x = x + masses(place, slice(None)) * (atom - self.inner.mean_back(torch.full_like(x, place)))
        return x

    def outside(self, x: Tensor) -> Tensor:
        found = self.inner.outside(x)
        for atom in self.atoms:
            found = found & ~self._at(x, atom)
        return found

    def holds(self, place: int = 0) -> str:
        return f"{self.inner.holds(place)}, or one of {', '.join(f'{atom:.10g}' for atom in self.atoms)}"

    def support(self, before: Support) -> Support:
        return Support("real", atoms=tuple(self.places()))

    def places(self) -> list[float]:
        """Where the atoms lie on the scale of y, without the noise of the map."""
        half = torch.full((), 0.5, dtype=torch.float64, device=next(self.buffers(), torch.empty(0)).device)
        found = []
        for atom in self.atoms:
            x = half.new_full((1, *(self.noise_shape or (1,))), atom)
            found.append(float(self.inner.cells(x, half.expand(x.shape))[0].flatten()[0]))
        return found

    def _at(self, x: Tensor, atom: float) -> Tensor:
        return x == torch.tensor(atom, dtype=x.dtype, device=x.device)
