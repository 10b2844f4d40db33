"""A normal whose numbers are known before training."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as TorchNormal

from elbowroom.components import Component
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["FixedNormal"]


@described("fixed-normal-prior")
class FixedNormal(Component):
    """A normal with independent elements whose means and standard deviations are fixed, the same for all or by class.

    The prior of a latent size factor: its numbers are those of the logarithms of training totals.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    mean : float or sequence
        Means, [*event] or one for all; with `given` [classes, *event] or [classes].
    std : float or sequence
        Standard deviations above 0, of the shape of `mean`.
    given : sequence of str, default ()
        Name of the context, one-hot, whose classes have means and standard deviations of their own; empty for none.

    Raises
    ------
    InputError
        For a standard deviation that is not above 0, numbers that do not fit the event, or several contexts.

    Examples
    --------
    >>> p = FixedNormal(1, mean=[0.0, 3.0], std=[1.0, 0.5], given=("batch",))
    >>> p({"batch": torch.tensor([[[0.0, 1.0]]])}).mean
    tensor([[[3.]]])
    """

    form = "independent normal"

    means: Tensor
    stds: Tensor

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        mean: float | Sequence[Any],
        std: float | Sequence[Any],
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(event, given=given)
        if len(given) > 1:
            raise InputError(f"A FixedNormal prior is by the classes of one context; got {', '.join(given)}.")
        for name, numbers in (("means", mean), ("stds", std)):
            self.register_buffer(name, self._shaped(torch.as_tensor(numbers, dtype=torch.get_default_dtype())))
        if self.means.shape != self.stds.shape:
            raise InputError("A FixedNormal prior has as many standard deviations as means.")
        if not bool(self.means.isfinite().all()) or not bool(((self.stds > 0) & self.stds.isfinite()).all()):
            raise InputError("A FixedNormal prior needs finite means, and standard deviations above 0.")

    def _shaped(self, numbers: Tensor) -> Tensor:
        """[classes or 1, prod event]."""
        size = math.prod(self.event)
        if not self.given:
            numbers = numbers.unsqueeze(0)
        elif not numbers.dim():
            raise InputError("A FixedNormal prior by classes needs numbers for each class.")
        flat = numbers.reshape(len(numbers), -1)
        if flat.shape[1] not in (1, size):
            raise InputError(f"A FixedNormal prior over {self.event} got numbers of shape {tuple(numbers.shape)}.")
        return flat.expand(-1, size).contiguous()

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [1, batch] of the context."""
        mean, std = (self._of_class(numbers, given) for numbers in (self.means, self.stds))
        return Independent(TorchNormal(mean, std, validate_args=False), len(self.event), False)

    def _of_class(self, numbers: Tensor, given: Given) -> Tensor:
        """[1 or draws, 1 or batch, *event]."""
        if not self.given:
            return numbers.view(1, 1, *self.event)
        (one_hot,) = self._inputs(given)
        if one_hot.shape[2:] != (len(numbers),):
            raise InputError(
                f"The prior reads {self.given[0]!r} one-hot over {len(numbers)} classes; got the shape "
                f"{tuple(one_hot.shape[2:])}."
            )
        return (one_hot.to(numbers.dtype) @ numbers).unflatten(-1, self.event)
