# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""A few numbers by their rank."""

from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess, constant

__all__ = ["Codes"]

_SLACK = 1e-3  # of the smallest gap: what rounding to 32 bits may move a value by


@described("codes")
class Codes(Preprocess):
    """Codes 0, 1, … for a few numbers in ascending order, as −1 and 1, or the marks 3 … 8.

    A probability is the same under another name, so there is no Jacobian.

    Parameters
    ----------
    values : sequence of float
        The numbers, ascending, 2 or more.

    Raises
    ------
    InputError
        For fewer than two numbers, or in another order.

    Examples
    --------
    >>> codes = Codes([-1.5, 2.5])
    >>> y, log_jacobian = codes(torch.tensor([[2.5], [-1.5]]))
    >>> y.tolist(), log_jacobian.tolist(), codes.inverse(y).tolist()
    ([[1.0], [0.0]], [0.0, 0.0], [[2.5], [-1.5]])
    """

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = [float(value) for value in values]
        if len(self.values) < 2 or self.values != sorted(set(self.values)):
            raise InputError(f"Codes needs two numbers or more, ascending; got {self.values}.")

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._nearest(x)[0].to(x.dtype), constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        table = self._table(y)
        return table[y.round().long().clamp(0, len(self.values) - 1)]

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """Exact, but of values at uneven distances without probabilities: these are read off between two neighbours."""
        table = self._table(y)
        gaps = table.diff()
        if masses is None or bool(((gaps - gaps[0]).abs() <= _SLACK**2 * gaps[0]).all()):
            code = y.double().nan_to_num().floor().clamp(0, len(gaps) - 1).long()
            return table[code] + (y - code) * gaps[code]
        found = sum(
            (value * masses(code, slice(None)).double() for code, value in enumerate(self.values)), 0.0 * table[0]
        )
        return torch.where(y.isnan(), torch.nan, found)

    def outside(self, x: Tensor) -> Tensor:
        _, distance = self._nearest(x)
        gap = min(b - a for a, b in zip(self.values, self.values[1:], strict=False))
        return (distance > _SLACK * gap) & ~x.isnan()

    def holds(self, place: int = 0) -> str:
        shown = [f"{value:.10g}" for value in self.values]
        return (
            f"one of {', '.join(shown)}" if len(shown) <= 10 else f"one of {len(shown)} values {shown[0]}…{shown[-1]}"
        )

    def support(self, before: Support) -> Support:
        if (before.values or tuple(float(i) for i in range(before.levels or 2))) != tuple(self.values):
            raise InputError(f"Codes was made for {len(self.values)} numbers, {self.values}; these data are {before}.")
        return Support("binary") if len(self.values) == 2 else Support("grid", len(self.values))

    def _table(self, x: Tensor) -> Tensor:
        return torch.tensor(self.values, dtype=torch.float64, device=x.device)

    def _nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The code of the number that is nearest to each x, and how far it is."""
        table = self._table(x)
        wide = x.double().nan_to_num().contiguous()
        above = torch.searchsorted(table, wide).clamp(1, len(table) - 1)
        code = above - (wide - table[above - 1] <= table[above] - wide).long()
        return code, (wide - table[code]).abs()
