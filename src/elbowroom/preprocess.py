# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps from the user's scale to the network's, with log-Jacobians: log p(x) stays on the user's scale."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError, Support
from elbowroom.runs import described

__all__ = ["Affine", "Binarise", "Chain", "Columns", "Dequantise", "Identity", "Logit", "Preprocess", "Standardise"]

_PLAIN = "log p(x)"


class Preprocess(nn.Module):
    """A map y = f(x) with log |dy/dx|, cell by cell; the base is what a step is unless it says otherwise.

    noise_shape: None for a deterministic map, else the shape of the uniforms it wants per example; step: the
    grid's step after the map, where the map itself makes one; invertible: whether `inverse` gives x back;
    estimand: what log p(y) + log |dy/dx| is a log-density of.
    """

    noise_shape: tuple[int, ...] | None = None
    step: float | None = None
    invertible: bool = True
    estimand: str = _PLAIN

    def forward(self, x: Tensor, noise: Tensor | None = None, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y [batch, *event] and log |dy/dx| [batch] in nats, for x [batch, *event] and uniforms like x.

        seen: [batch, *event], False where a cell is missing, which then has no part in log |dy/dx|. Both come in the
        type of x where that is floating; steps that shift or scale compute in 64 bits, whatever it is.
        """
        x = _floating(x)
        y, log_slope = self.cells(x, noise)
        return y, _summed(log_slope, y, seen)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y and log |dy/dx| of every cell, for floating x; the second of any shape that broadcasts to y's."""
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """Back to the user's scale (onto the grid, where there is one); y [..., *event].

        In 64 bits where the map shifts or scales by numbers of its own: the user's scale may need them.
        """
        raise NotImplementedError

    def support(self, before: Support) -> Support:
        """Where y lies when x lies in `before`; InputError where the map cannot take it."""
        raise NotImplementedError

    def step_after(self, before: float | None) -> float | None:
        """The grid's step after this map, given the step before it."""
        return before if self.step is None else self.step


@described("identity")
class Identity(Preprocess):
    """y = x.

    >>> y, log_jacobian = Identity()(torch.tensor([[3.0, 4.0]]))
    >>> y.tolist(), log_jacobian.tolist()
    ([[3.0, 4.0]], [0.0])
    """

    def __init__(self) -> None:
        super().__init__()

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, _constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y

    def support(self, before: Support) -> Support:
        return before


@described("affine")
class Affine(Preprocess):
    """y = scale · x + shift, with two numbers; log |dy/dx| = D log |scale|.

    >>> Affine(2.0, -1.0)(torch.tensor([[0.0, 1.0]]))[0].tolist()      # [0, 1] to [−1, 1]
    [[-1.0, 1.0]]
    """

    def __init__(self, scale: float, shift: float = 0.0) -> None:
        super().__init__()
        if not (math.isfinite(scale) and math.isfinite(shift)) or scale == 0:
            raise InputError(f"Affine needs a finite scale other than 0 and a finite shift; got {scale}, {shift}.")
        self.scale, self.shift = scale, shift

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x.double() * self.scale + self.shift).to(x.dtype), _constant(math.log(abs(self.scale)), x)

    def inverse(self, y: Tensor) -> Tensor:
        return (y.double() - self.shift) / self.scale

    def support(self, before: Support) -> Support:
        return before if (self.scale, self.shift) == (1, 0) else Support("real")

    def step_after(self, before: float | None) -> float | None:
        return None if before is None else before * abs(self.scale)


@described("standardise")
class Standardise(Preprocess):
    """y = (x − mean) / std per element of the event, settled by `fit`; constant elements keep scale 1.

    mean and std stay in 64 bits, whatever the model computes in: 5,411,000.1 less its mean is a number of its own
    there, and none in 32 bits.

    >>> scaler = Standardise((2,)).fit(torch.tensor([[0.0, 5.0], [4.0, 5.0]]))
    >>> scaler(torch.tensor([[4.0, 5.0]]))[0].tolist()
    [[1.0, 0.0]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, event: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tuple(event), dtype=torch.float64))
        self.register_buffer("std", torch.ones(tuple(event), dtype=torch.float64))

    def fit(self, x: Tensor | Iterable[Tensor]) -> "Standardise":
        """Take mean and standard deviation (divisor n) from training data x [n, *event], whole or in pieces.

        NaN is a missing cell and left out.
        """
        moments = _Moments(self.mean)
        for piece in [x] if isinstance(x, Tensor) else x:
            if tuple(piece.shape[1:]) != tuple(self.mean.shape) or not len(piece):
                raise InputError(
                    f"Standardise was made for events {tuple(self.mean.shape)}; got data {tuple(piece.shape)}."
                )
            moments.add(piece)
        self.mean.copy_(moments.mean)
        self.std.copy_(moments.std())
        return self

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return ((x - self.mean) / self.std).to(x.dtype), -self.std.log()

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.std + self.mean

    def support(self, before: Support) -> Support:
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The finest step of any element."""
        return None if before is None else before / float(self.std.max())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Goes where the model goes, but keeps its 64 bits when the model is made to compute in fewer."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, kept in before.items():
            moved = self._buffers[name]
            self._buffers[name] = kept if kept is None or moved is None else kept.to(moved.device)
        return self


class _Moments:
    """Means and squares about them, of pieces that are added one by one (Chan, Golub & LeVeque, 1983)."""

    def __init__(self, like: Tensor) -> None:
        self.count, self.mean, self.squares = (torch.zeros_like(like) for _ in range(3))
        self.low, self.high = torch.full_like(like, math.inf), torch.full_like(like, -math.inf)

    def add(self, x: Tensor) -> None:
        """Take in x [n, *event]; NaN is left out."""
        values = x.to(self.mean)
        seen = ~values.isnan()
        n = seen.sum(0)
        mean = torch.where(seen, values, 0.0).sum(0) / n.clamp_min(1)
        squares = torch.where(seen, values - mean, 0.0).square().sum(0)
        total = (self.count + n).clamp_min(1)
        apart = mean - self.mean
        self.squares += squares + apart.square() * self.count * n / total
        self.mean += apart * n / total
        self.count += n
        self.low = torch.minimum(self.low, torch.where(seen, values, math.inf).amin(0))
        self.high = torch.maximum(self.high, torch.where(seen, values, -math.inf).amax(0))

    def std(self) -> Tensor:
        """Standard deviations (divisor n); 1 where there is one value alone, or none."""
        return torch.where(self.high > self.low, (self.squares / self.count.clamp_min(1)).sqrt(), 1.0)


@described("logit")
class Logit(Preprocess):
    """y = logit(α + (1 − 2α) x) for x in [0, 1].

    Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017.

    >>> Logit(0.05)(torch.tensor([[0.5]]))[0].tolist()
    [[0.0]]
    """

    def __init__(self, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise InputError(f"Logit needs alpha between 0 and 0.5, so that 0 and 1 stay finite; got {alpha}.")
        self.alpha = alpha

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # α + (1 − 2α)(1 − x) is 1 − s without the cancellation near x = 1.
        log_s = (self.alpha + (1 - 2 * self.alpha) * x).log()
        log_rest = (self.alpha + (1 - 2 * self.alpha) * (1 - x)).log()
        return log_s - log_rest, math.log1p(-2 * self.alpha) - log_s - log_rest

    def inverse(self, y: Tensor) -> Tensor:
        return ((y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)).clamp(0, 1)

    def support(self, before: Support) -> Support:
        if before.kind not in ("unit", "binary"):
            raise InputError(f"Logit takes data in [0, 1]; these are {before}. Dequantise or scale them first.")
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The step where the map is flattest, at x = 1/2."""
        return None if before is None else before * 4 * (1 - 2 * self.alpha)


@described("dequantise")
class Dequantise(Preprocess):
    """y = (x + u) / levels on [0, 1], u uniform: grid data 0 … levels − 1 get a density that means something.

    E_u[log p(x + u)] is a lower bound on the log-probability of the grid value. Theis, van den Oord, Bethge,
    "A note on the evaluation of generative models", 2016.

    >>> y, log_jacobian = Dequantise(4, (1,))(torch.tensor([[3.0]]), torch.tensor([[0.5]]))
    >>> y.tolist(), Dequantise(4, (1,)).inverse(y).tolist()
    ([[0.875]], [[3.0]])
    """

    noise_shape: tuple[int, ...]
    step: float

    def __init__(self, levels: int, event: Sequence[int]) -> None:
        super().__init__()
        if levels < 2:
            raise InputError(f"Dequantise needs at least 2 levels; got {levels}.")
        self.levels, self.noise_shape, self.step = levels, tuple(event), 1.0 / levels

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Rounding must not carry x + u into the next cell, here or in the affine step that may follow.
        u = _uniforms(noise, x, "Dequantise")
        edge = 4 * self.levels * max(torch.finfo(kind.dtype).eps for kind in (x, noise) if kind is not None)
        u = u.clamp(edge, 1 - edge)
        return (x + u) / self.levels, _constant(-math.log(self.levels), x)

    def inverse(self, y: Tensor) -> Tensor:
        return (y * self.levels).floor().clamp(0, self.levels - 1)

    def support(self, before: Support) -> Support:
        return _needs_grid(before, self.levels, Support("unit"), "Dequantise")


@described("binarise")
class Binarise(Preprocess):
    """y = 1[u < x / (levels − 1)], drawn afresh each time: grey levels as probabilities of a pixel being on.

    levels=2 serves data in [0, 1]. There is no inverse: `inverse` lays 0 … 1 on 0 … levels − 1. The model's
    log-probability is that of the binarised data. Salakhutdinov, Murray, "On the quantitative analysis of
    deep belief networks", 2008.

    >>> Binarise(256, (2,))(torch.tensor([[0.0, 255.0]]), torch.tensor([[0.5, 0.5]]))[0].tolist()
    [[0.0, 1.0]]
    """

    noise_shape: tuple[int, ...]
    invertible = False
    estimand = "log p(binarised x)"

    def __init__(self, levels: int, event: Sequence[int]) -> None:
        super().__init__()
        if levels < 2:
            raise InputError(f"Binarise needs at least 2 levels; got {levels}.")
        self.levels, self.noise_shape = levels, tuple(event)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        on = _uniforms(noise, x, "Binarise") * (self.levels - 1) < x
        return on.to(x.dtype), _constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y * (self.levels - 1)

    def support(self, before: Support) -> Support:
        if before.kind == "unit" and self.levels == 2:
            return Support("binary")
        return _needs_grid(before, self.levels, Support("binary"), "Binarise")

    def step_after(self, before: float | None) -> float | None:
        return None


@described("chain")
class Chain(Preprocess):
    """Steps one after the other; log-Jacobians add. At most one of them may need noise.

    >>> symmetric = Chain([Dequantise(256, (3,)), Affine(2.0, -1.0)])
    >>> symmetric.noise_shape, symmetric.step
    ((3,), 0.0078125)
    """

    def __init__(self, steps: Sequence[Preprocess]) -> None:
        super().__init__()
        noisy = [step.noise_shape for step in steps if step.noise_shape is not None]
        if not steps or len(noisy) > 1:
            raise InputError(
                f"A Chain needs steps, at most one of them with noise; got {len(steps)}, {len(noisy)} noisy."
            )
        self.steps = nn.ModuleList(steps)
        self.noise_shape = noisy[0] if noisy else None
        self.invertible = all(step.invertible for step in steps)
        self.estimand = next((step.estimand for step in steps if step.estimand != _PLAIN), _PLAIN)

    @property
    def step(self) -> float | None:  # type: ignore[override]
        """The grid's step after the last step, where one of them makes a grid."""
        return self.step_after(None)

    def step_after(self, before: float | None) -> float | None:
        for part in self._parts():
            before = part.step_after(before)
        return before

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, total = x, _constant(0.0, x)
        for part in self._parts():
            y, log_slope = part.cells(y, noise if part.noise_shape is not None else None)
            total = total + log_slope
        return y, total

    def inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self._parts()):
            y = part.inverse(y)
        return y

    def support(self, before: Support) -> Support:
        for part in self._parts():
            before = part.support(before)
        return before

    def _parts(self) -> list[Preprocess]:
        return list(self.steps)  # type: ignore[arg-type]


@described("columns")
class Columns(Preprocess):
    """A step for each group of neighbouring columns of a table [n, columns]; log-Jacobians add.

    sizes: how many columns each step takes, in their order.

    >>> y, log_jacobian = Columns([Affine(2.0), Identity()], [1, 2])(torch.tensor([[3.0, 1.0, 0.0]]))
    >>> y.tolist(), log_jacobian.exp().tolist()
    ([[6.0, 1.0, 0.0]], [2.0])
    """

    def __init__(self, steps: Sequence[Preprocess], sizes: Sequence[int]) -> None:
        super().__init__()
        if not steps or len(steps) != len(sizes) or min(sizes) < 1:
            raise InputError(
                f"Columns needs a size of 1 or more for every step; got {len(steps)} steps, {list(sizes)}."
            )
        self.steps, self.sizes = nn.ModuleList(steps), list(sizes)
        self.noise_shape = (sum(sizes),) if any(step.noise_shape is not None for step in steps) else None
        self.invertible = all(step.invertible for step in steps)
        self.estimand = next((step.estimand for step in steps if step.estimand != _PLAIN), _PLAIN)

    def split(self, x: Tensor) -> list[tuple[Preprocess, Tensor]]:
        """Each step with its columns of x [..., columns]."""
        if x.shape[-1] != sum(self.sizes):
            raise InputError(f"Columns was made for {sum(self.sizes)} columns; got data {tuple(x.shape)}.")
        return list(zip(self.steps, x.split(self.sizes, -1), strict=True))  # type: ignore[arg-type]

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        noises = [None] * len(self.sizes) if noise is None else noise.split(self.sizes, -1)
        pairs = zip(self.split(x), noises, strict=True)
        parts = [step.cells(part, None if step.noise_shape is None else u) for (step, part), u in pairs]
        return torch.cat([y for y, _ in parts], -1), torch.cat([slope.expand_as(y) for y, slope in parts], -1)

    def inverse(self, y: Tensor) -> Tensor:
        return torch.cat([step.inverse(part) for step, part in self.split(y)], -1)

    def support(self, before: Support) -> Support:
        columns = before.columns or (before,) * sum(self.sizes)
        if len(columns) != sum(self.sizes):
            raise InputError(f"Columns was made for {sum(self.sizes)} columns; these are {before}.")
        steps = [step for step, size in zip(self.steps, self.sizes, strict=True) for _ in range(size)]
        return Support("mixed", columns=tuple(s.support(one) for s, one in zip(steps, columns, strict=True)))  # type: ignore[operator]


def _floating(x: Tensor) -> Tensor:
    """Floats as they are; whole numbers in the default type, but in 64 bits where 32 could merge them."""
    if x.is_floating_point():
        return x
    return x.to(torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.get_default_dtype())


def _constant(value: float, x: Tensor) -> Tensor:
    """The same number for every cell."""
    return torch.full((), value, dtype=torch.float64, device=x.device)


def _summed(cells: Tensor, y: Tensor, seen: Tensor | None) -> Tensor:
    """The sum over the cells that are seen, [batch], of what broadcasts to y [batch, *event]."""
    if seen is not None:
        cells = torch.where(seen, cells, 0.0)
    if cells.dim() < y.dim():
        return cells.expand(y.shape[1:]).sum().to(y.dtype).expand(y.shape[0])
    return cells.flatten(1).sum(1).to(y.dtype)


def _uniforms(noise: Tensor | None, x: Tensor, who: str) -> Tensor:
    if noise is None or noise.shape != x.shape:
        got = "none" if noise is None else tuple(noise.shape)
        raise InputError(f"{who} needs uniform noise of the data's shape {tuple(x.shape)}; got {got}.")
    return noise.to(x.dtype)


def _needs_grid(before: Support, levels: int, after: Support, who: str) -> Support:
    held = 2 if before.kind == "binary" else before.levels if before.kind == "grid" else None
    if held is None or held > levels:
        raise InputError(f"{who} was made for the integer grid 0…{levels - 1}; these data are {before}.")
    return after
