"""Student's t, exact at many degrees of freedom."""

import math

import torch
from torch import Generator, Tensor
from torch.distributions import StudentT as TorchStudentT

from ._draw import simulate
from .capabilities import declare

__all__ = ["StudentT"]


class StudentT(TorchStudentT):
    """torch's StudentT with its log-density formed in float64.

    The difference of two log-gammas loses 0.005 nats in float32 at 10⁴ degrees of freedom.

    >>> p = StudentT(torch.tensor(1e4), torch.tensor(0.0), torch.tensor(1.0))
    >>> round(p.log_prob(torch.tensor(0.0)).item(), 5)
    -0.91896
    """

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self._df = df  # as given: a log-gamma per element would be most of the work
        super().__init__(df, loc, scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, nats."""
        df, scale = self._df.double(), self.scale.double()
        z = (value.double() - self.loc.double()) / scale
        normaliser = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * (df * math.pi).log()
        log_density = normaliser - scale.log() - 0.5 * (df + 1) * torch.log1p(z**2 / df)
        return log_density.to(self.loc.dtype)


@simulate.register
def _(distribution: TorchStudentT, generator: Generator) -> Tensor:
    df, loc = distribution.df.detach(), distribution.loc.detach()
    noise = torch.randn(df.shape, generator=generator, device=generator.device, dtype=loc.dtype)
    half_chi_square = torch._standard_gamma((df / 2).double().contiguous(), generator=generator)
    return loc + distribution.scale.detach() * noise * (df / 2 / half_chi_square).sqrt().to(loc.dtype)


declare(TorchStudentT, "mean", "variance", "stack")
