"""Gaussian likelihoods whose elements are correlated given z, so that samples have realistic noise."""

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

from .image_shape import image_of
from .scaled import Scale, Scaled, pca_residuals

__all__ = ["LowRankNormal", "MaternNormal", "SparsePrecisionNormal"]

_FACTOR_TO_SCALE = 0.3  # at the start
_MOST_LEANING = 2.0
_MOST_MIXING = 30.0
_GAIN = 5.0  # speeds up the few parameters outside networks, which would lag behind at the networks' learning rate
_SHORTEST, _LONGEST = 0.25, 4.0
_UNSETTLED = 2.0  # pixels
_GRID = 40


class Correlated(Scaled):
    """A Gaussian whose network returns mean and scale as for `Normal`, and after them numbers for its correlations.

    `remarks` says in words where its covariance is not positive definite in the arithmetic at hand.
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
    """A Gaussian with covariance diag(σ²) + F Fᵀ: a few directions in which residuals move together.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns per element 1 number, the mean, or 2 with scale="predicted", the
        means of all elements first, then raw scales r of scale = floor + softplus(r + c), with c such that r = 0 gives
        `start`; after these, with factor="predicted", `rank` more, the columns of F one after the other. None only to
        ask for `numbers`.
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    rank : int
        Number of columns of F, 1 or more.
    factor : {"predicted", "shared"}, default "predicted"
        Whether F is a function of z or learned, one for all. It starts small beside σ.
    scale : float or {"shared", "feature", "predicted"}, default "feature"
        The standard deviation σ of the diagonal part, on the scale of the preprocessed x. A number fixes it; "shared"
        learns one for all elements; "feature" learns one per element; "predicted" makes it a function of z.
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
        For another word, or a scale, floor or start that is not positive, or a rank below 1.

    Examples
    --------
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
        """Settle floor and start of σ from the training data, and with them where F starts."""
        notes = super().settle(y, step, latents)
        self._settle_unit()
        return notes

    @torch.no_grad()
    def begin_at(self, factor: Tensor) -> None:
        """Take a shared factor that was fitted elsewhere, [rank, *event]."""
        self.raw_factor.copy_(factor / self.unit)

    @torch.no_grad()
    def _settle_unit(self) -> None:
        start = self.positive(torch.zeros_like(self.offset)) if isinstance(self.scale, str) else self.common_scale()
        self.unit.copy_(_FACTOR_TO_SCALE * start.square().mean().sqrt())


@described("sparse-precision-normal")
class SparsePrecisionNormal(Correlated):
    """A Gaussian over images with a sparse precision: each pixel depends on its later neighbours.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns per element 1 number, the mean, or 2 with scale="predicted", the
        means of all elements first, then raw scales r of scale = floor + softplus(r + c), with c such that r = 0 gives
        `start`; after these, with neighbours="predicted", one weight per neighbour, each for all elements before the
        next. None only to ask for `numbers`.
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    image_shape : sequence of int or None, default None
        (C, H, W) or (H, W) where events are flat; None where the event is (C, H, W).
    radius : int, default 1
        Of the window of neighbours, in pixels.
    neighbours : {"predicted", "shared"}, default "predicted"
        Whether the weights of the neighbours are functions of z, or learned: one stencil per channel, the same at every
        pixel. Weights are smoothly bounded to ±2; learned ones start at 0.
    scale : float or {"shared", "feature", "predicted"}, default "predicted"
        The standard deviation σ of an element given all later ones, on the scale of the preprocessed x. A number fixes
        it; "shared" learns one for all elements; "feature" learns one per element; "predicted" makes it a function of
        z.
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
        For another word, or a scale, floor or start that is not positive, a radius below 1, or shapes that are no
        image.

    Notes
    -----
    With r = x − mean, element i given all later ones (raster order) has mean Σ_n w_in r_n, over its later neighbours
    within `radius` in its own channel and the later channels of its pixel, and standard deviation σ_i.

    References
    ----------
    Dorta, Vicente, Agapito, Campbell & Simpson, "Structured uncertainty prediction networks" (2018).

    Examples
    --------
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
    """A Gaussian over images, x = mean(z) + σ ⊙ f, with f a Matérn field of learned length and white share.

    Beside σ it has few parameters: the length scale, the white share of the variance, and for C channels the C (C − 1)
    / 2 numbers of their correlation.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns per element 1 number, the mean, or 2 with scale="predicted", the
        means of all elements first, then raw scales r of scale = floor + softplus(r + c), with c such that r = 0 gives
        `start`; after these, with white="predicted", one more, whose mean over the image shifts the logit of the white
        share. None only to ask for `numbers`.
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    image_shape : sequence of int or None, default None
        (C, H, W) or (H, W) where events are flat; None where the event is (C, H, W).
    scale : float or {"shared", "feature", "predicted"}, default "predicted"
        The standard deviation σ, on the scale of the preprocessed x. A number fixes it; "shared" learns one for all
        elements; "feature" learns one per element; "predicted" makes it a function of z.
    order : {1, 2}, default 1
        The smoothness ν of the field.
    length : float or None, default None
        Where the length scale starts, in pixels, between a quarter of a pixel and four times the image's longer side,
        between which it stays. None settles length and white share at those under which what PCA leaves of the training
        data is likeliest.
    nugget_floor : float, default 1e-3
        Least white share, from 1e-6 to 0.5: below, float32 is not positive definite.
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
    white : {"shared", "predicted"}, default "shared"
        Whether the white share is learned, one for all images, or a function of z.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive, an order, length or nugget_floor outside its
        range, or shapes that are no image.

    Notes
    -----
    Elements of an image that are constant but for dequantisation noise get the same white share as the others.

    References
    ----------
    Lindgren, Rue & Lindström, "An explicit link between Gaussian fields and Gaussian Markov random fields: the
    stochastic partial differential equation approach" (2011).

    Examples
    --------
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
        self.begin_at(_UNSETTLED if length is None else length, 0.5)
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
        """The white share of the field's variance; where it is predicted, given a number of the network."""
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
        self.begin_at(length, nugget)
        return [*notes, f"MaternNormal: length starts at {length:.3g} pixels, white share at {nugget:.1%} (likeliest)."]

    @torch.no_grad()
    def begin_at(self, length: float, nugget: float) -> None:
        """Take a field that was fitted elsewhere.

        Parameters
        ----------
        length : float
            In pixels, between the limits of the field's length.
        nugget : float
            White share of the variance, between its floor and one less that floor.
        """
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
