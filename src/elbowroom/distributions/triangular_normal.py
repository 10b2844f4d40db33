"""Gaussians with any covariance, by the triangular root of it."""

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import constraints

from elbowroom.numerics import plain_arguments

from .correlated_normal import CorrelatedNormal

__all__ = ["TriangularNormal"]


@plain_arguments
class TriangularNormal(CorrelatedNormal):
    """A Gaussian with any covariance, Σ = L Lᵀ with a lower triangular L.

    Parameters
    ----------
    loc : Tensor
        The mean, [*batch, d].
    scale_tril : Tensor
        L, [*batch, d, d], lower triangular, with a positive diagonal.
    validate_args : bool or None, default None
        Whether to check values, and at construction that Σ is positive definite; None as torch's default says.

    Examples
    --------
    >>> q = TriangularNormal(torch.zeros(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> q.variance.tolist(), round(q.log_prob(torch.zeros(2)).item(), 4)      # Σ = [[1, 1], [1, 2]]
    ([1.0, 2.0], -1.8379)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real_vector,
        "scale_tril": constraints.lower_cholesky,
    }

    def __init__(self, loc: Tensor, scale_tril: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale_tril = loc, scale_tril
        batch = torch.broadcast_shapes(loc.shape[:-1], scale_tril.shape[:-2])
        super().__init__(loc, batch, loc.shape[-1:], Size(loc.shape[-1:]), validate_args)

    def expand(self, batch_shape: Size | list[int] | tuple[int, ...], _instance: None = None) -> "TriangularNormal":
        """The same distributions, repeated to a batch of this shape."""
        loc = self.loc.expand(*batch_shape, *self.event_shape)
        root = self.scale_tril.expand(*batch_shape, *self.scale_tril.shape[-2:])
        return TriangularNormal(loc, root, validate_args=False)

    def log_determinant(self) -> Tensor:
        """log |Σ|, [*batch]."""
        return 2 * self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def whitened(self, residual: Tensor) -> Tensor:
        """L⁻¹ r."""
        root = self.scale_tril.expand(*residual.shape[:-1], *self.scale_tril.shape[-2:])
        return torch.linalg.solve_triangular(root, residual.unsqueeze(-1), upper=False).squeeze(-1)

    def correlated(self, noise: Tensor) -> Tensor:
        """L times the noise."""
        return (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    @property
    def variance(self) -> Tensor:
        """Marginal variances, [*batch, d]."""
        return self.scale_tril.square().sum(-1).expand(self.batch_shape + self.event_shape)
