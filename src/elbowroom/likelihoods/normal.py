"""Gaussian likelihood with independent elements."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as TorchNormal

from elbowroom.numerics import Given
from elbowroom.recipes import described

from .scaled import Scale, Scaled

__all__ = ["Normal"]

_WINDOW = 100


@described("normal")
class Normal(Scaled):
    """Independent Gaussians, for continuous data.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the mean; with scale="predicted" 2 numbers
        per element, the means of all elements first, then raw scales r of scale = floor + softplus(r + c), with c such
        that r = 0 gives `start`. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted", "optimal"}, default "shared"
        The standard deviation σ, on the scale of the preprocessed x. A number fixes it; "shared" learns one for all
        elements; "feature" learns one per element; "predicted" makes it a function of z. "optimal" is the best common σ
        in closed form, the root of the mean squared error.
    floor : float or None, default None
        Least scale, on the scale of the preprocessed x, where it is not fixed. None settles it from the training data,
        so that the standard deviation is at least that of one grid step's uniform noise (step / √12) where the data are
        on a grid, else 1 % of the data's.
    start : float or None, default None
        Where a scale that is not fixed starts, on the scale of the preprocessed x. None settles it from the training
        data, so that the standard deviation is the one that PCA with as many components as latents leaves: a scale that
        starts too large collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive.

    Notes
    -----
    With scale="optimal", σ is in training that of the batch at hand; in evaluation it is that of about the last 100
    training batches, or of what was passed through under `pooling`, and never that of the batch that is evaluated. So x
    is read in training only, as a shortcut of the optimizer to the σ that is best for the parameters it has; every
    log p(x) that is reported has a σ that was fixed before, and only q(z | x) reads the x it is of.

    References
    ----------
    Lucas, Tucker, Grosse & Norouzi, "Don't blame the ELBO!" (2019).
    Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> p = er.likelihoods.Normal(torch.nn.Linear(2, 3), 3, scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).stddev[0, 0]
    tensor([0.1000, 0.1000, 0.1000])
    """

    symbol = "σ"
    ways = ("shared", "feature", "predicted", "optimal")

    squares: Tensor
    count: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        scale: Scale | Literal["optimal"] = "shared",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        self._keep = 1 - 1 / _WINDOW
        if scale == "optimal":
            self.register_buffer("squares", torch.tensor(1.0 if start is None else float(start) ** 2))
            self.register_buffer("count", torch.ones(()))

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        if self.scale == "optimal" and self.training and "x" in given:
            mean, scale = raw[0], self._of_batch(raw[0], given["x"])
        else:
            mean, scale = self.location_and_scale(raw)
        return Independent(TorchNormal(mean, scale, validate_args=False), len(self.event), False)

    def best_scale(self, residual: Tensor) -> float:
        """The root of the mean square."""
        return residual.square().mean().sqrt().item()

    def common_scale(self) -> Tensor:
        """σ where it does not depend on z: a scalar, or one value per element."""
        if self.scale == "optimal":
            return torch.maximum((self.squares / self.count).sqrt(), self.floor_value)
        return super().common_scale()

    @contextmanager
    def pooling(self) -> Iterator[None]:
        """A context in which σ², with scale="optimal", becomes the mean squared error over all that is passed through.

        Pass the training data once.

        Yields
        ------
        None
            Nothing; σ is set when the context ends.

        Examples
        --------
        >>> import torch
        >>> import elbowroom as er
        >>> p = er.likelihoods.Normal(torch.nn.Linear(1, 1), 1, scale="optimal")
        >>> _ = p.network.requires_grad_(False).weight.zero_(), p.network.bias.zero_()
        >>> with p.pooling():
        ...     for x in (2.0, 4.0):
        ...         _ = p({"z": torch.zeros(1, 5, 1), "x": torch.full((1, 5, 1), x)})
        >>> p.eval().common_scale() ** 2
        tensor(10.)
        """
        training, keep = self.training, self._keep
        self.squares.zero_()
        self.count.zero_()
        self._keep, self.training = 1.0, True
        try:
            yield
        finally:
            self._keep, self.training = keep, training

    def _of_batch(self, mean: Tensor, x: Tensor) -> Tensor:
        """The best σ of a batch, which also updates the running one; at the optimum it needs no gradient."""
        error = (x - mean.detach()).square()
        self.squares.mul_(self._keep).add_(error.sum())
        self.count.mul_(self._keep).add_(error.numel())
        return torch.maximum(error.mean().sqrt(), self.floor_value).expand(self.event)

    def _start_at(self, scale: Tensor, above_floor: float = 0.05) -> None:
        super()._start_at(scale, above_floor)
        if "squares" in self._buffers:
            self.squares.copy_(scale**2)
            self.count.fill_(1.0)
