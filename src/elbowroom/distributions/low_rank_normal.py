"""Gaussians whose covariance is a diagonal plus a few directions."""

from functools import cached_property
from typing import Any

import torch
from torch import Size, Tensor

from elbowroom.numerics import plain_arguments

from .correlated_normal import CorrelatedNormal

__all__ = ["LowRankNormal"]


class _Gram(torch.autograd.Function):
    """A Aᵀ in float64 for A [*batch, rank, D] of any floating type, with the gradient in A's own type.

    Only the product needs float64: with autograd, float64 throughout, it takes twice the time and memory.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        wide = a.double()
        return wide @ wide.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return (a.mT @ (gradient + gradient.mT).to(a.dtype)).mT


@plain_arguments
class LowRankNormal(CorrelatedNormal):
    """A Gaussian with a low-rank covariance plus a diagonal: Σ = diag(scale²) + Σ_k f_k f_kᵀ.

    Parameters
    ----------
    mean : Tensor
        [*batch, *event].
    scale : Tensor
        Standard deviations of the diagonal part; broadcasts to `mean`.
    factor : Tensor
        [*batch, rank, *event], whose slices are the directions f_k.
    event_dims : int, default 1
        Number of dimensions of the event.
    validate_args : bool or None, default None
        Whether to check values, and at construction that Σ is positive definite; None as torch's default says.

    Notes
    -----
    For D elements, a log-density costs O(D · rank²), or O(D · rank) where factor and scale are shared by the batch; a
    draw takes D + rank standard normals. Torch's class of this structure subtracts two large squares, which in float32
    loses the density where the scale is small beside the factor; here they are added, and the rank × rank matrix is
    formed in float64.

    Examples
    --------
    >>> p = LowRankNormal(torch.zeros(2), torch.tensor(1.0), torch.tensor([[1.0, 1.0]]))
    >>> p.variance.tolist(), round(p.log_prob(torch.zeros(2)).item(), 4)      # Σ = [[2, 1], [1, 2]]
    ([2.0, 2.0], -2.3872)
    """

    def __init__(
        self,
        mean: Tensor,
        scale: Tensor,
        factor: Tensor,
        event_dims: int = 1,
        validate_args: bool | None = None,
    ) -> None:
        event = mean.shape[-event_dims:]
        size, self.rank = event.numel(), factor.shape[-event_dims - 1]
        scale = scale.expand(torch.broadcast_shapes(scale.shape, event))
        batch = torch.broadcast_shapes(
            mean.shape[:-event_dims], scale.shape[:-event_dims], factor.shape[: -event_dims - 1]
        )
        self.scale = scale.flatten(-event_dims)
        self.factor = factor.flatten(-event_dims)
        super().__init__(mean, batch, event, Size([size + self.rank]), validate_args)

    def log_determinant(self) -> Tensor:
        """log |Σ|, [*batch] or what broadcasts to it."""
        small = 2 * self._root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 2 * self.scale.log().sum(-1) + small.to(self.scale.dtype)

    def whitened(self, residual: Tensor) -> Tensor:
        """The residual after the best combination of directions, in units of scale, and its weights."""
        white = residual.flatten(-len(self.event_shape)) / self.scale
        with torch.no_grad():
            first = self._solve(self._along(white))
        # A second solve, for the residual of the first, removes the rounding error of nearly parallel directions. Its
        # result is exact whatever the first one was, so that one needs no gradient.
        weights = first + self._solve(self._along(white - self._combine(first)) - first)
        left = white - self._combine(weights)
        return torch.cat([left, weights.expand(*left.shape[:-1], self.rank)], -1)

    def correlated(self, noise: Tensor) -> Tensor:
        """scale ⊙ noise[..., :D] + Σ_k noise[..., D + k] f_k."""
        own, shared = noise.split([self.event_shape.numel(), self.rank], -1)
        value = own * self.scale + (shared.unsqueeze(-2) @ self.factor).squeeze(-2)
        return value.unflatten(-1, self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Marginal variances, [*batch, *event]."""
        flat = self.scale.square() + self.factor.square().sum(-2)
        return flat.unflatten(-1, self.event_shape).expand(self.batch_shape + self.event_shape)

    # Computed on first use, as a draw needs neither; always with gradients, whoever uses them first.
    @cached_property
    def _loadings(self) -> Tensor:
        with torch.enable_grad():
            return self.factor / self.scale.unsqueeze(-2)

    @cached_property
    def _root(self) -> Tensor:
        """Cholesky factor [*batch, rank, rank] of I + Fᵀ diag(scale²)⁻¹ F in float64."""
        with torch.enable_grad():
            gram: Tensor = _Gram.apply(self._loadings)
            capacitance = gram + torch.eye(self.rank, dtype=gram.dtype, device=gram.device)
            # cholesky_ex, as cholesky waits for the device at every step; a failure becomes NaN, which `check` finds.
            root, failed = torch.linalg.cholesky_ex(capacitance)
            return torch.where(failed[..., None, None] == 0, root, torch.nan)

    def _along(self, white: Tensor) -> Tensor:
        return (white.unsqueeze(-2) @ self._loadings.mT).squeeze(-2)

    def _combine(self, weights: Tensor) -> Tensor:
        return (weights.unsqueeze(-2) @ self._loadings).squeeze(-2)

    def _solve(self, along: Tensor) -> Tensor:
        return torch.cholesky_solve(along.double().unsqueeze(-1), self._root).squeeze(-1).to(along.dtype)
