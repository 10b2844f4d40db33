"""A posterior over a grid of cells, each of one of several classes."""

import math
from collections.abc import Sequence

from torch import nn
from torch.distributions import Distribution

from elbowroom.components import Component, as_event, at_least_two
from elbowroom.distributions.categorical_grid import categorical_grid, classes_last
from elbowroom.numerics import Given
from elbowroom.recipes import described

__all__ = ["CategoricalGrid"]


@described("categorical-grid-posterior")
class CategoricalGrid(Component):
    """q(z | x) over a grid of cells, each of one of several classes, independent given x; z is [*cells, classes].

    One-hot along its last dimension: a segmentation where the cells are those of an image, binary latents where each
    has two classes. There are too many grids to lay them all out, so one is drawn, and its draw carries no gradient:
    train it by `Elbo(gradient="score")` or `Iwae(gradient="vimco")`. The KL from `priors.CategoricalGrid` is in closed
    form, cell by cell.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns a logit for each class and cell: [N, classes, *cells], or flat in
        that order.
    cells : int or sequence of int
        Shape of the grid; a number n stands for (n,).
    per_cell : int, default 2
        Number of classes of a cell, 2 or more.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.

    Raises
    ------
    InputError
        For an empty grid, or fewer than 2 classes.

    References
    ----------
    Mnih & Gregor, "Neural variational inference and learning in belief networks" (2014): of two classes.

    Examples
    --------
    >>> import torch
    >>> q = CategoricalGrid(nn.Conv2d(1, 3, 1), (8, 8), per_cell=3)
    >>> q({"x": torch.zeros(1, 5, 1, 8, 8)}).mean.shape
    torch.Size([1, 5, 8, 8, 3])
    """

    form = "grid of classes"
    over = "a grid of classes"

    def __init__(
        self,
        network: nn.Module,
        cells: int | Sequence[int],
        *,
        per_cell: int = 2,
        given: Sequence[str] = ("x",),
    ) -> None:
        shape = as_event(cells, "A grid of classes")
        super().__init__((*shape, at_least_two(per_cell)), given=given, network=network)

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        return categorical_grid(classes_last(self.numbers_from(given, math.prod(self.event)), self.event))
