"""Images whose pixels depend on their neighbours: any family of independent elements, made autoregressive."""

import copy
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import one_hot, pad

from elbowroom import distributions
from elbowroom.distributions.sparse_precision_normal import fronts, later_neighbours
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .image_shape import image_of
from .likelihood import Likelihood

__all__ = ["Autoregressive"]


@described("autoregressive")
class Autoregressive(Likelihood):
    """Any family of independent elements, made autoregressive over an image: Π_i p(x_i | z, its later neighbours).

    Log-probabilities and samples are exact; samples are drawn from the last pixel back, and there is no mean in closed
    form. The more the neighbours explain, the less is left to z: keep the radius small, warm β up (`Elbo(warmup=)`),
    and check the rate.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns the numbers that the family needs, in its order. None where
        another likelihood brings the network (`Mixed`, `Autoregressive`).
    family : Likelihood
        A likelihood without a network, as in `DiscretisedLogistic(None, 784, levels=256, components=5)`.
    image_shape : sequence of int or None, default None
        (C, H, W) or (H, W) where events are flat; None where the event is (C, H, W).
    radius : int, default 2
        Of the window of neighbours, in pixels.
    hidden : int, default 32
        Width of the hidden layer of the network that reads the neighbours.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For a family that has a network, a radius or width below 1, or shapes that are no image.

    Notes
    -----
    A network of one hidden layer, the same at every pixel, reads the numbers of an element and the values of its
    neighbours, and adds its output to these numbers before the family reads them. The neighbours are, in raster order,
    the pixels that come later within `radius`, all channels of them, and the later channels of the element's own pixel.
    Its output starts at zero, where the elements are independent. Given ("x",), with a network whose numbers are the
    same for every x, it is a density without a latent: log p(x) itself, a PixelCNN of one layer.

    References
    ----------
    Salimans et al., "PixelCNN++" (2017).
    Chen et al., "Variational lossy autoencoder" (2017): why the window should be small.
    Dorta et al., "Structured uncertainty prediction networks" (2018): its Gaussian relative, `SparsePrecisionNormal`.

    Examples
    --------
    >>> from elbowroom.likelihoods import Bernoulli
    >>> p = Autoregressive(nn.Linear(2, 64), Bernoulli(None, 64), image_shape=(8, 8), radius=1)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([64])
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        family: Likelihood,
        *,
        image_shape: Sequence[int] | None = None,
        radius: int = 2,
        hidden: int = 32,
        given: Sequence[str] = ("z",),
    ) -> None:
        if family.network is not None:
            raise InputError(
                f"An Autoregressive likelihood has the network: make the {type(family).__name__} with None."
            )
        if min(radius, hidden) < 1:
            raise InputError(f"radius and hidden must be 1 or more; got {radius} and {hidden}.")
        super().__init__(family.event, given=given, network=network, beside=family.beside)
        self.family, self.parts = family, family.parts
        self.image = image_of(self.event, image_shape, "An Autoregressive likelihood")
        self.radius = radius
        channels = self.image[0]
        reads = _neighbours(self.image, radius).shape[1] + self.parts + (channels if channels > 1 else 0)
        self.inner = nn.Linear(reads, hidden)
        self.activation = nn.SiLU()
        self.outer = nn.Linear(hidden, self.parts)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> distributions.Autoregressive:
        """p(x | z) from the network's numbers."""
        numbers = torch.stack([part.flatten(2) for part in raw], -1)

        def conditional(value: Tensor, at: Tensor | None) -> Distribution:
            own = numbers if at is None else numbers[:, :, at]
            parts = self.given_neighbours(value, own, at).unbind(-1)
            return cast(Independent, _some_of(self.family, at).distribution(parts, given)).base_dist

        lead = numbers.shape[:2]
        return distributions.Autoregressive(conditional, self.fronts, lead, torch.Size(self.event), numbers)

    @property
    def fronts(self) -> list[Tensor]:
        """Positions in the flat event, in an order of drawing: those of a front do not read one another."""
        return _order(self.image, self.radius)

    def given_neighbours(self, value: Tensor, numbers: Tensor, at: Tensor | None) -> Tensor:
        """The family's numbers of the elements at these positions, given the elements that they read.

        Parameters
        ----------
        value : Tensor
            x [draws or 1, batch, *event], of which the elements' neighbours are read.
        numbers : Tensor
            [draws, batch, n, parts]: what the network returned for these elements.
        at : Tensor or None
            Positions [n] in the flat event; None: all.

        Returns
        -------
        Tensor
            Of the shape of `numbers`.
        """
        flat = (value.flatten(value.dim() - len(self.event)) - self.centre) / self.spread
        near = _neighbours(self.image, self.radius).to(numbers.device)
        channel = torch.arange(len(near), device=numbers.device) // math.prod(self.image[1:])
        if at is not None:
            near, channel = near[at], channel[at]
        read = [pad(flat, (0, 1))[..., near], numbers]
        if self.image[0] > 1:
            read.append(one_hot(channel, self.image[0]).to(numbers))
        lead = torch.broadcast_shapes(flat.shape[:-1], numbers.shape[:2])
        read = [part.expand(*lead, *part.shape[-2:]) for part in read]
        correction: Tensor = self.outer(self.activation(self.inner(torch.cat(read, -1))))
        return numbers + correction

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the family from the training data y [n, *event], and the scale on which neighbours are read."""
        self.centre.fill_(y.double().mean().item())
        self.spread.fill_(max(y.double().std().item(), torch.finfo(y.dtype).tiny))
        return self.family.settle(y, step, latents)

    def settle_beside(self, y: Tensor, beside: Given) -> list[str]:
        """As the family."""
        return self.family.settle_beside(y, beside)

    def outside(self, y: Tensor) -> Tensor:
        """As the family."""
        return self.family.outside(y)

    def holds(self, place: int = 0) -> str:
        """As the family, in words."""
        return self.family.holds(place)

    def check(self, support: Support) -> None:
        """Raise InputError where the family is no density of such data."""
        self.family.check(support)


def _some_of(family: Likelihood, at: Tensor | None) -> Likelihood:
    """The family over some of its elements alone (None: all), in one row, sharing its tensors."""
    some = copy.copy(family)
    tensors = {**family._parameters, **family._buffers}
    rows = {k: t.flatten() for k, t in tensors.items() if t is not None and t.shape == family.event}
    some.event = (math.prod(family.event) if at is None else len(at),)
    some._parameters, some._buffers = {}, {**tensors, **{k: t if at is None else t[at] for k, t in rows.items()}}
    return some


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # the cached tensor is used in training too
def _neighbours(image: tuple[int, ...], radius: int) -> Tensor:
    """Positions [C·H·W, k] of what each element reads; C·H·W where there is none."""
    channels, height, width = image
    nothing = channels * height * width
    where = np.full((2 * channels, height + radius, width + 2 * radius), nothing)
    where[:channels, :height, radius : radius + width] = np.arange(nothing).reshape(image)
    c, y, x = np.indices(image)
    later = [where[k, y + dy, radius + x + dx] for _, dy, dx in later_neighbours(radius, 1) for k in range(channels)]
    own = [where[c + dc, y, radius + x] for dc in range(1, channels)]
    return torch.from_numpy(np.stack([near.reshape(-1) for near in (*later, *own)], 1))


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _order(image: tuple[int, ...], radius: int) -> list[Tensor]:
    """Positions in an order of drawing: fronts of pixels that do not see each other, the last channel first."""
    channels, height, width = image
    order, starts, _ = fronts(height, width, radius)
    pixels = torch.from_numpy(order)
    return [
        pixels[here] + c * height * width for here in map(slice, starts, starts[1:]) for c in reversed(range(channels))
    ]
