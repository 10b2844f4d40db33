"""A prior over a grid of cells, each of one of several classes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Component, as_event, at_least_two
from elbowroom.distributions.categorical_grid import categorical_grid, classes_last
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

from .categorical import check_probabilities

__all__ = ["CategoricalGrid"]


@described("categorical-grid-prior")
class CategoricalGrid(Component):
    """p(z) over a grid of independent cells, each of one of several classes; z is [*cells, classes].

    It is one-hot along its last dimension. The class probabilities are fixed and the same everywhere, learned for each
    cell, or returned by a network.

    Parameters
    ----------
    cells : int or sequence of int
        Shape of the grid; a number n stands for (n,).
    per_cell : int, default 2
        Number of classes of a cell, 2 or more.
    probabilities : sequence of float or None, default None
        Fixed positive probabilities of all cells, one per class, that add to 1. None learns those of each cell,
        starting at equal ones, or takes them from the network.
    network : nn.Module or None, default None
        Reads the tensors named in `given` and returns a logit for each class and cell: [N, classes, *cells], or flat in
        that order.
    given : sequence of str, default ()
        Names of the tensors that the network reads, in the order of its arguments: contexts and earlier blocks. Empty
        without a network.

    Raises
    ------
    InputError
        For an empty grid, fewer than 2 classes, probabilities that do not fit, or a network without `given` or beside
        probabilities.

    Examples
    --------
    >>> CategoricalGrid(2, probabilities=[0.25, 0.75])({}).mean
    tensor([[[[0.2500, 0.7500],
              [0.2500, 0.7500]]]])
    """

    form = "grid of classes"
    over = "a grid of classes"

    logits: Tensor

    def __init__(
        self,
        cells: int | Sequence[int],
        *,
        per_cell: int = 2,
        probabilities: Sequence[float] | None = None,
        network: nn.Module | None = None,
        given: Sequence[str] = (),
    ) -> None:
        shape = (*as_event(cells, "A grid of classes"), at_least_two(per_cell))
        super().__init__(shape, given=given, network=network)
        if (network is None) != (not given) or (network is not None and probabilities is not None):
            raise InputError(
                "A CategoricalGrid prior has a network that reads what is in `given`, or neither of the two."
            )
        if probabilities is not None:
            check_probabilities(probabilities, per_cell, "CategoricalGrid")
            logits = torch.tensor(probabilities).log().expand(1, 1, *shape).contiguous()
            self.register_buffer("logits", logits, persistent=False)
        elif network is None:
            self.logits = nn.Parameter(torch.zeros(1, 1, *shape))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [draws or 1, batch] of what the network reads."""
        if self.network is None:
            return categorical_grid(self.logits)
        return categorical_grid(classes_last(self.numbers_from(given, math.prod(self.event)), self.event))
