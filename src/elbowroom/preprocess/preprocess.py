"""What every preprocessing step is."""

import torch
from torch import Tensor, nn

from elbowroom.distributions import Masses
from elbowroom.numerics import Support

__all__ = ["PLAIN", "Preprocess", "constant"]

PLAIN = "log p(x)"
"""The estimand of a map that changes none."""


class Preprocess(nn.Module):
    """A map y = f(x) from the user's scale to the network's, with log |dy/dx| cell by cell.

    A subclass defines `cells`, `inverse` and `support`; its class attributes say what else it is.

    Attributes
    ----------
    noise_shape : tuple of int or None
        Shape of the uniform noise that the map needs per example; None for a deterministic map.
    step : float or None
        Step of the grid that y lies on, where the map itself makes one.
    invertible : bool
        Whether `inverse` gives x back.
    estimand : str
        What log p(y) + log |dy/dx| is the log-density of.

    Examples
    --------
    >>> class Negate(Preprocess):
    ...     def cells(self, x, noise=None):
    ...         return -x, constant(0.0, x)
    >>> Negate()(torch.tensor([[1.0, 2.0]]))[0].tolist()
    [[-1.0, -2.0]]
    """

    noise_shape: tuple[int, ...] | None = None
    step: float | None = None
    invertible: bool = True
    estimand: str = PLAIN

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor, noise: Tensor | None = None, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Preprocessed data and the log-Jacobian of every example.

        Steps that shift or scale compute in 64 bits, whatever the type of x.

        Parameters
        ----------
        x : Tensor
            [batch, *event], on the user's scale.
        noise : Tensor or None, default None
            Uniform noise in [0, 1] of the shape of x, where the map needs it.
        seen : Tensor or None, default None
            [batch, *event], False where a cell is missing, which then adds nothing to the log-Jacobian. None: all are
            seen.

        Returns
        -------
        y : Tensor
            [batch, *event], in the type of x where that is floating.
        log_jacobian : Tensor
            log |dy/dx|, [batch], in nats.
        """
        x = _floating(x)
        y, log_slope = self.cells(x, noise)
        return y, _sum_over_cells(log_slope, y, seen)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Preprocessed data and the log-slope of every cell.

        Parameters
        ----------
        x : Tensor
            Floating, [batch, *event], on the user's scale.
        noise : Tensor or None, default None
            Uniform noise in [0, 1] of the shape of x, where the map needs it.

        Returns
        -------
        y : Tensor
            [batch, *event].
        log_slope : Tensor
            log |dy/dx| in nats, of any shape that broadcasts to y's.
        """
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """Back to the user's scale, onto the grid where there is one.

        Parameters
        ----------
        y : Tensor
            [..., *event].

        Returns
        -------
        Tensor
            [..., *event], in 64 bits where the map shifts or scales by numbers of its own: the user's scale may need
            them.
        """
        raise NotImplementedError

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """The mean of x, from that of y: it may lie between the values that x takes.

        The same as `inverse` of a map that shifts and scales, which this is by default.

        Parameters
        ----------
        y : Tensor
            [..., *event], means of y; NaN where there is none.
        masses : callable or None, default None
            From a level of y, and which columns, to its probabilities [..., *event], where y has levels.

        Returns
        -------
        Tensor
            [..., *event], in 64 bits where `inverse` is.
        """
        return self.inverse(y)

    def support(self, before: Support) -> Support:
        """The support of y.

        Parameters
        ----------
        before : Support
            The support of x.

        Returns
        -------
        Support
            Where y lies.

        Raises
        ------
        InputError
            Where the map cannot take x.
        """
        raise NotImplementedError

    def outside(self, x: Tensor) -> Tensor:
        """Which cells hold values that cannot be among the data that the map was made for.

        Parameters
        ----------
        x : Tensor
            [..., *event], on the user's scale; NaN is a missing cell, and outside nothing.

        Returns
        -------
        Tensor
            Bool, of the shape of x.
        """
        return torch.zeros_like(x, dtype=torch.bool)

    def holds(self, place: int = 0) -> str:
        """What a cell of x may hold, in words.

        Parameters
        ----------
        place : int, default 0
            Of the cell, counted through a flat x.

        Returns
        -------
        str
            Such as "the whole numbers 0…16".
        """
        return f"what the {type(self).__name__} step was made for"

    def step_after(self, before: float | None) -> float | None:
        """The step of the grid that y lies on.

        Parameters
        ----------
        before : float or None
            The step of the grid that x lies on; None where there is none.

        Returns
        -------
        float or None
            None where y lies on no grid.
        """
        return before if self.step is None else self.step


def _floating(x: Tensor) -> Tensor:
    """Floats as they are; whole numbers in the default type, but in 64 bits where 32 could merge them."""
    if x.is_floating_point():
        return x
    return x.to(torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.get_default_dtype())


def constant(value: float, x: Tensor) -> Tensor:
    """The same log-slope for every cell.

    Parameters
    ----------
    value : float
        The number, in nats.
    x : Tensor
        A tensor on the device of the data.

    Returns
    -------
    Tensor
        A float64 scalar on that device.
    """
    return torch.full((), value, dtype=torch.float64, device=x.device)


def _sum_over_cells(cells: Tensor, y: Tensor, seen: Tensor | None) -> Tensor:
    """The sum over the cells that are seen, [batch], of what broadcasts to y [batch, *event]."""
    if seen is not None:
        cells = torch.where(seen, cells, 0.0)
    if cells.dim() < y.dim():
        return cells.expand(y.shape[1:]).sum().to(y.dtype).expand(y.shape[0])
    return cells.flatten(1).sum(1).to(y.dtype)
