"""Gaussian likelihoods whose elements are correlated given z: their samples need no smoothing to look right."""

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom import distributions
from elbowroom.distributions.matern_field import likeliest_field
from elbowroom.distributions.sparse_precision_normal import later_neighbours
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

from .scaled import Scale, Scaled, pca_residuals

__all__ = ["LowRankNormal", "MaternNormal", "SparsePrecisionNormal"]

_FACTOR_TO_SCALE = 0.3  # where it begins
_MOST_LEANING = 2.0
_MOST_MIXING = 30.0
_GAIN = 5.0  # of the few numbers that one model has of its own: at the networks' learning rate they would lag behind
_SHORTEST, _LONGEST = 0.25, 4.0
_UNSETTLED = 2.0  # pixels
_GRID = 40


class Correlated(Scaled):
    """A Gaussian with a mean and a scale as `Normal` has them, whose network returns numbers for its ties after these.

    Says in words where its covariance is not positive definite in the arithmetic at hand.
    """

    symbol = "σ"

    def remarks(self, p_x: Distribution) -> list[str]:
        """Says whether the covariance is positive definite, and which elements sit at the floor of the scale."""
        try:
            cast(distributions.CorrelatedNormal, p_x).check()
        except InputError as error:
            return [str(error)]
        return super().remarks(p_x)


@described("low-rank-normal")
class LowRankNormal(Correlated):
    """p(x | z) = N(mean(z), diag(σ²) + F Fᵀ), F of `rank` columns: a few directions in which residuals move together.

    factor: "predicted" makes F a function of z (`rank` tensors of the event's shape from the network, after mean and
    raw scale); "shared" learns one F. scale, floor, start: of the diagonal σ, as in `Normal`. F begins small beside σ.

    >>> p = LowRankNormal(nn.Linear(2, 5 * 3), 3, rank=4, scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).batch_shape
    torch.Size([1, 4])
    """

    unit: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        rank: int,
        *,
        factor: Literal["predicted", "shared"] = "predicted",
        scale: Scale = "feature",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        one_of("factor", factor, ("predicted", "shared"))
        if rank < 1:
            raise InputError(f"A LowRankNormal needs a rank of 1 or more; got {rank}.")
        self.rank, self.factor = rank, factor
        self.noise_shape = (math.prod(self.event) + rank,)
        self.register_buffer("unit", torch.ones(()))
        self._settle_unit()
        if factor == "shared":
            self.raw_factor = nn.Parameter(torch.randn(rank, *self.event) / math.sqrt(rank))
        else:
            self.parts += rank

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> distributions.LowRankNormal:
        """p(x | z) from the network's numbers."""
        mean, scale = self.location_and_scale(raw)
        factor = torch.stack(raw[-self.rank :], 2) if self.factor == "predicted" else self.raw_factor
        return distributions.LowRankNormal(mean, scale, self.unit * factor, len(self.event), validate_args=False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle floor and start of σ from the training data, and with them where F begins."""
        notes = super().settle(y, step, latents)
        self._settle_unit()
        return notes

    @torch.no_grad()
    def _settle_unit(self) -> None:
        start = self.positive(torch.zeros_like(self.offset)) if isinstance(self.scale, str) else self.common_scale()
        self.unit.copy_(_FACTOR_TO_SCALE * start.square().mean().sqrt())


@described("sparse-precision-normal")
class SparsePrecisionNormal(Correlated):
    """p(x | z) = N(mean(z), (L Lᵀ)⁻¹) over images, L sparse: each element leans on its later neighbours.

    With r = x − mean, element i given all later ones (raster order) has mean Σ_n w_in r_n over its neighbours within
    `radius`, in its own channel, and over the later channels of its pixel, and standard deviation σ_i: `scale`,
    `floor` and `start` are of this σ. neighbours: "predicted" makes the weights w functions of z (one tensor of the
    event's shape per neighbour from the network, after mean and raw scale); "shared" learns one stencil per channel,
    the same at every pixel. Weights lie in ±2 and begin near 0. image_shape: (C, H, W) or (H, W) where events are flat.
    Source: Dorta, Vicente, Agapito, Campbell & Simpson, "Structured uncertainty prediction networks", 2018.

    >>> p = SparsePrecisionNormal(nn.Linear(2, 6 * 64), 64, image_shape=(8, 8), radius=1)   # mean, σ and 4 neighbours
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([64])
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        image_shape: Sequence[int] | None = None,
        radius: int = 1,
        neighbours: Literal["predicted", "shared"] = "predicted",
        scale: Scale = "predicted",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        one_of("neighbours", neighbours, ("predicted", "shared"))
        if radius < 1:
            raise InputError(f"A SparsePrecisionNormal needs a radius of 1 or more; got {radius}.")
        self.radius, self.neighbours = radius, neighbours
        self.image = image_of(self.event, image_shape, "A SparsePrecisionNormal")
        self.count = len(later_neighbours(radius, self.image[0]))
        if neighbours == "shared":
            self.raw_weights = nn.Parameter(torch.zeros(self.count, self.image[0], 1, 1))
        else:
            self.parts += self.count

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> distributions.SparsePrecisionNormal:
        """p(x | z) from the network's numbers."""
        mean, scale = self.location_and_scale(raw)
        weights = torch.stack(raw[-self.count :], 2) if self.neighbours == "predicted" else self._shared_weights()
        ties = -_MOST_LEANING * torch.tanh(weights / _MOST_LEANING) / scale.unsqueeze(-len(self.event) - 1)
        flat = self.event != self.image
        return distributions.SparsePrecisionNormal(
            mean, -scale.log(), ties, self.image, self.radius, flat, validate_args=False
        )

    def _scale_of(self, p_x: Distribution) -> Tensor:
        return cast(distributions.SparsePrecisionNormal, p_x).conditional_scale

    def _shared_weights(self) -> Tensor:
        return (_GAIN * self.raw_weights).expand(self.count, *self.image).reshape(self.count, *self.event)


@described("matern-normal")
class MaternNormal(Correlated):
    """p(x | z): x = mean(z) + σ ⊙ f over images, f a Matérn field with learned length and white share.

    Few parameters: σ (`scale`, `floor`, `start` as in `Normal`), the length scale in pixels (kept between a quarter of
    a pixel and four times the longer side), the white share of the variance (never below `nugget_floor`, so that
    float32 stays positive definite), and for C channels the C (C − 1) / 2 numbers of their correlation. length: where
    it begins; None begins length and white share where what PCA leaves of the training data is likeliest. white:
    "shared" learns one share for all images; "predicted" makes it a function of z, the mean over the image of one more
    tensor of the event's shape from the network. order: the smoothness ν, 1 or 2. image_shape: (C, H, W) or (H, W)
    where events are flat. In an image, elements that are constant but for dequantisation noise have its share too.
    Source: Lindgren, Rue & Lindström, "An explicit link between Gaussian fields and Gaussian Markov random fields: the
    stochastic partial differential equation approach", 2011.

    >>> p = MaternNormal(nn.Linear(2, 64), 64, image_shape=(8, 8), scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape, round(p.length_now().item(), 3)
    (torch.Size([64]), 2.0)
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        image_shape: Sequence[int] | None = None,
        scale: Scale = "predicted",
        order: Literal[1, 2] = 1,
        length: float | None = None,
        nugget_floor: float = 1e-3,
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
        white: Literal["shared", "predicted"] = "shared",
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        one_of("white", white, ("shared", "predicted"))
        self.white, self.length = white, length
        self.parts += white == "predicted"
        self.image = image_of(self.event, image_shape, "A MaternNormal")
        self._lengths = (_SHORTEST, _LONGEST * max(self.image[1:]))
        if order not in (1, 2):
            raise InputError(f"order is the smoothness of the Matérn field, 1 or 2; got {order!r}.")
        if length is not None and not self._lengths[0] < length < self._lengths[1]:
            raise InputError(f"length is in pixels, between {self._lengths[0]} and {self._lengths[1]}; got {length}.")
        if not 1e-6 <= nugget_floor < 0.5:
            raise InputError(
                f"nugget_floor must be at least 1e-6, below which float32 is no longer positive definite, and less "
                f"than 0.5; got {nugget_floor}."
            )
        self.order, self.nugget_floor = order, nugget_floor
        self.raw_length = nn.Parameter(torch.zeros(()))
        self.raw_nugget = nn.Parameter(torch.zeros(()))
        self._begin_at(_UNSETTLED if length is None else length, 0.5)
        channels = self.image[0]
        self.raw_mixing = nn.Parameter(torch.zeros(channels, channels)) if channels > 1 else None

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> distributions.MaternField:
        """p(x | z) from the network's numbers."""
        mean, scale = self.location_and_scale(raw)
        return distributions.MaternField(
            mean,
            scale,
            self.length_now(),
            self.nugget_now(raw[-1].flatten(2).mean(-1) if self.white == "predicted" else 0.0),
            self.image,
            self.order,
            self.mixing_now(),
            self.event != self.image,
            validate_args=False,
        )

    def length_now(self) -> Tensor:
        """The length scale in pixels."""
        low, high = (math.log(end) for end in self._lengths)
        return (low + (high - low) * torch.sigmoid(_GAIN * self.raw_length)).exp()

    def nugget_now(self, raw: Tensor | float = 0.0) -> Tensor:
        """The white share of the field's variance; where it is predicted, at a number of the network."""
        return self.nugget_floor + (1 - 2 * self.nugget_floor) * torch.sigmoid(_GAIN * self.raw_nugget + raw)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle floor and start of σ, and where no length was given, that of the field, from the training data."""
        notes = super().settle(y, step, latents)
        if self.length is not None:
            return notes
        left = torch.from_numpy(pca_residuals(y.flatten(1).double().cpu().numpy(), latents)).view(-1, *self.image)
        low, high = (math.log(end) for end in self._lengths)
        lengths = torch.linspace(low, high, _GRID + 2, dtype=left.dtype)[1:-1].exp()
        nuggets = torch.linspace(self.nugget_floor, 1 - self.nugget_floor, _GRID + 2, dtype=left.dtype)[1:-1]
        length, nugget = likeliest_field(left, lengths, nuggets, self.order)
        self._begin_at(length, nugget)
        return [*notes, f"MaternNormal: length starts at {length:.3g} pixels, white share at {nugget:.1%} (likeliest)."]

    @torch.no_grad()
    def _begin_at(self, length: float, nugget: float) -> None:
        low, high = (math.log(end) for end in self._lengths)
        share = (nugget - self.nugget_floor) / (1 - 2 * self.nugget_floor)
        for raw, place in ((self.raw_length, (math.log(length) - low) / (high - low)), (self.raw_nugget, share)):
            raw.fill_(math.log(place / (1 - place)) / _GAIN)

    def mixing_now(self) -> Tensor | None:
        """Cholesky factor [C, C] of the channels' correlation; None for one channel."""
        if self.raw_mixing is None:
            return None
        below = _MOST_MIXING * torch.tanh(_GAIN * self.raw_mixing / _MOST_MIXING).tril(-1)
        rows = below + torch.eye(self.image[0], dtype=below.dtype, device=below.device)
        return rows / rows.square().sum(-1, keepdim=True).sqrt()

    def remarks(self, p_x: Distribution) -> list[str]:
        """Says what was learned of the field, and which elements sit at the floor of the scale."""
        field = cast(distributions.MaternField, p_x)
        length, nugget = field.length.item(), field.nugget.mean().item()
        note = f"MaternNormal: length scale {length:.3g} pixels, white share of the residual variance {nugget:.1%}"
        if nugget < 1.05 * self.nugget_floor:
            note += f", at its floor nugget_floor={self.nugget_floor:g}: where a floor binds, log p(x) depends on it"
        return [note + ".", *super().remarks(p_x)]


def image_of(event: tuple[int, ...], image_shape: Sequence[int] | None, who: str) -> tuple[int, ...]:
    """(C, H, W) of an event that is an image or, given its shape, flat."""
    image = tuple(event if image_shape is None else image_shape)
    image = (1, *image) if len(image) == 2 and len(event) == 1 else image
    if len(image) != 3 or event not in (image, (math.prod(image),)):
        raise InputError(
            f"{who} is over images: give it an event (C, H, W), or a flat one with its image_shape; got event "
            f"{event} and image_shape {image_shape}."
        )
    return image
