"""Gaussians over images whose precision has a sparse Cholesky factor: each pixel depends on its neighbourhood."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Size, Tensor
from torch.nn.functional import pad

from elbowroom.numerics import InputError, plain_arguments

from .correlated_normal import CorrelatedNormal

__all__ = ["SparsePrecisionNormal", "fronts", "later_neighbours"]

_NUMBERS_AT_ONCE = 2**24


def later_neighbours(radius: int, channels: int) -> list[tuple[int, int, int]]:
    """Offsets of the elements that come after one in raster order and that it depends on.

    Parameters
    ----------
    radius : int
        Of the window, in pixels.
    channels : int
        Number of channels.

    Returns
    -------
    list of tuple of int
        (channel, row, column): the same channel at the 2 · radius · (radius + 1) later pixels of the window, then the
        later channels of the pixel.

    Examples
    --------
    >>> later_neighbours(1, 2)
    [(0, 0, 1), (0, 1, -1), (0, 1, 0), (0, 1, 1), (1, 0, 0)]
    """
    beside = [(0, 0, x) for x in range(1, radius + 1)]
    below = [(0, y, x) for y in range(1, radius + 1) for x in range(-radius, radius + 1)]
    return beside + below + [(c, 0, 0) for c in range(1, channels)]


@plain_arguments
class SparsePrecisionNormal(CorrelatedNormal):
    """A Gaussian over images with sparse precision L Lᵀ: each pixel depends on its later neighbours.

    L is lower triangular in raster order (channels within a pixel last). Given all later elements, x_i is normal with
    standard deviation 1 / L_ii and mean mean_i − Σ_j (L_ji / L_ii) (x_j − mean_j).

    Parameters
    ----------
    mean : Tensor
        [*batch, C, H, W].
    log_diagonal : Tensor
        log L_ii, [*batch, C, H, W].
    off_diagonals : Tensor
        [*batch, k, C, H, W]; entry [n, i] is L_ji of the n-th of the k = `later_neighbours(radius, C)` j of element i.
        Entries whose j is outside the image are not read.
    image_shape : sequence of int
        (C, H, W).
    radius : int, default 1
        Of the window, in pixels.
    flat : bool, default False
        Whether events are [C·H·W] instead of [C, H, W].
    validate_args : bool or None, default None
        Whether to check values, and at construction that Σ is positive definite; None as torch's default says.

    Raises
    ------
    InputError
        For off-diagonals or an image shape that do not fit.

    Notes
    -----
    All is exact: the log-density in O(n·k) for n elements, marginal variances in O(n·k·band) with band the elements of
    `radius` rows, and a draw, which solves Lᵀ y = noise in W + (radius + 1)(H − 1) steps, each over a front of pixels
    that do not depend on each other.

    References
    ----------
    Dorta, Vicente, Agapito, Campbell & Simpson, "Structured uncertainty prediction networks" (2018).

    Examples
    --------
    >>> ties = torch.zeros(4, 1, 1, 2)
    >>> ties[0] = -0.5                                         # each pixel depends on its neighbour to the right
    >>> p = SparsePrecisionNormal(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), ties, (1, 1, 2), 1)
    >>> p.variance.flatten().tolist()                          # x_0 = 0.5 x_1 + noise
    [1.25, 1.0]
    """

    way_out = "raise the floor of the scale; the pixels lean on each other so much that their variance has no bound"

    def __init__(
        self,
        mean: Tensor,
        log_diagonal: Tensor,
        off_diagonals: Tensor,
        image_shape: Sequence[int],
        radius: int = 1,
        flat: bool = False,
        validate_args: bool | None = None,
    ) -> None:
        image = Size(image_shape)
        if len(image) != 3:
            raise InputError(f"A SparsePrecisionNormal is over images (C, H, W); got {tuple(image)}.")
        self.image_shape, self.radius = image, radius
        self._offsets = later_neighbours(radius, image[0])
        self._log_diagonal = self._as_image(log_diagonal, flat)
        self._off_diagonals = off_diagonals.unflatten(-1, image) if flat else off_diagonals
        if self._off_diagonals.shape[-4:] != (len(self._offsets), *image):
            raise InputError(
                f"Radius {radius} over {tuple(image)} takes {len(self._offsets)} off-diagonals per element, "
                f"[..., {len(self._offsets)}, *event]; got {tuple(off_diagonals.shape)}."
            )
        event = Size([image.numel()]) if flat else image
        mean_batch = mean.shape[: mean.dim() - len(event)]
        batch = torch.broadcast_shapes(mean_batch, self._log_diagonal.shape[:-3], self._off_diagonals.shape[:-4])
        super().__init__(mean, batch, event, event, validate_args)

    @property
    def conditional_scale(self) -> Tensor:
        """Standard deviation of each element given all later ones, 1 / L_ii, [*batch, *event]."""
        return self._as_event((-self._log_diagonal).exp())

    def log_determinant(self) -> Tensor:
        """log |Σ|, [*batch] or what broadcasts to it."""
        return -2 * self._log_diagonal.flatten(-3).sum(-1)

    def whitened(self, residual: Tensor) -> Tensor:
        """Lᵀ r: a stencil."""
        image = self._as_image(residual, len(self.event_shape) == 1)
        c, h, w = self.image_shape
        r = self.radius
        around = pad(image, (r, r, 0, r, 0, c - 1))
        out = self._log_diagonal.exp() * image
        for tie, (dc, dy, dx) in zip(self._off_diagonals.unbind(-4), self._offsets, strict=True):
            out = torch.addcmul(out, tie, around[..., dc : dc + c, dy : dy + h, r + dx : r + dx + w])
        return out.flatten(-3)

    def correlated(self, noise: Tensor) -> Tensor:
        """Solve Lᵀ y = noise from the last pixel back, one front of independent pixels at a time."""
        in_order, starts, near_positions = fronts(*self.image_shape[1:], self.radius)
        order, neighbours = torch.from_numpy(in_order), torch.from_numpy(near_positions)
        dims = max(noise.dim() - len(self.event_shape), len(self.batch_shape))
        # Pixels first and in the order of the fronts: every step then reads and writes whole rows.
        inverse = _pixels_first((-self._log_diagonal).exp(), dims, 1)[order]
        own = _pixels_first(self._as_image(noise, len(self.event_shape) == 1), dims, 1)[order] * inverse
        leaning = _pixels_first(self._off_diagonals, dims, 2)[order] * inverse.unsqueeze(1)
        channels = self.image_shape[0]
        beside = len(self._offsets) - channels + 1
        some = (
            own[0] + leaning[0, 0]
        )  # depends on all inputs, so that under `vmap` tensors made like it have the batch dimension
        solved = some.new_zeros(len(order) + 1, *some.shape)
        for here in map(slice, starts, starts[1:]):
            near = solved[neighbours[here]]
            found = list((own[here] - (leaning[here, :beside] * near).sum(1)).unbind(1))
            for c in reversed(range(channels - 1)):
                for further in range(c + 1, channels):
                    found[c] = found[c] - leaning[here, beside + further - c - 1, c] * found[further]
            solved[here] = torch.stack(found, 1)
        value = solved[order.argsort()].movedim((1, 0), (-2, -1))
        return self._as_event(value.unflatten(-1, self.image_shape[1:]))

    @property
    def variance(self) -> Tensor:
        """Marginal variances, [*batch, *event]."""
        lead = torch.broadcast_shapes(self._log_diagonal.shape[:-3], self._off_diagonals.shape[:-4])
        deviations = (-self._log_diagonal).exp()
        leaning = -self._off_diagonals * deviations.unsqueeze(-4)
        # Elements first, in raster order, and examples in one dimension.
        deviations = deviations.expand(*lead, *self.image_shape).movedim(-3, -1).reshape(lead.numel(), -1).T
        leaning = leaning.expand(*lead, -1, *self.image_shape).movedim(-3, -1).flatten(-3)
        leaning = leaning.reshape(lead.numel(), len(self._offsets), -1).permute(2, 0, 1)
        band, near = _band(*self.image_shape, self.radius)
        parts = [
            _marginals(d, w, band, near)
            for d, w in zip(
                *(t.split(max(1, _NUMBERS_AT_ONCE // band**2), 1) for t in (deviations, leaning)), strict=True
            )
        ]
        image = torch.cat(parts, 1).T.reshape(*lead, *self.image_shape[1:], -1).movedim(-1, -3)
        return self._as_event(image).expand(self.batch_shape + self.event_shape)

    def _as_image(self, value: Tensor, flat: bool) -> Tensor:
        return value.unflatten(-1, self.image_shape) if flat else value

    def _as_event(self, image: Tensor) -> Tensor:
        return image.flatten(-3) if len(self.event_shape) == 1 else image


def _pixels_first(image: Tensor, dims: int, kept: int) -> Tensor:
    """[*lead, *kept, H, W] → [H·W, *kept, *lead], lead filled up to `dims` dimensions."""
    flat = image.flatten(-2)
    lead = flat.dim() - kept - 1
    flat = flat.reshape(*[1] * (dims - lead), *flat.shape)
    return flat.permute(-1, *range(dims, dims + kept), *range(dims))


@lru_cache(maxsize=16)
def fronts(height: int, width: int, radius: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Pixels in an order of solving, in fronts that do not depend on each other.

    Pixel (y, x) waits for those right of it and below it, within the radius: front (W − 1 − x) + (radius + 1)(H − 1 −
    y) holds pixels that wait for earlier fronts alone.

    Parameters
    ----------
    height : int
        H, in pixels.
    width : int
        W, in pixels.
    radius : int
        Of the window, in pixels.

    Returns
    -------
    order : np.ndarray
        Pixels, [H·W], by their place in raster order.
    starts : list of int
        Where each front starts in `order`, and its end.
    near : np.ndarray
        [H·W, k], the positions in `order` of each pixel's neighbours; H·W for one outside the image.
    """
    y, x = np.divmod(np.arange(height * width), width)
    front = (width - 1 - x) + (radius + 1) * (height - 1 - y)
    order = np.argsort(front, kind="stable")
    starts = np.searchsorted(front[order], np.arange(front.max() + 2))
    place = np.full((height + radius, width + 2 * radius), height * width)
    place[y[order], x[order] + radius] = np.arange(height * width)
    near = [place[y[order] + dy, x[order] + radius + dx] for _, dy, dx in later_neighbours(radius, 1)]
    return order, starts.tolist(), np.stack(near, 1)


def _marginals(deviations: Tensor, leaning: Tensor, band: int, near: list[tuple[list[int], list[int]]]) -> Tensor:
    """Variances [n, examples] of elements that depend on later ones.

    y_i = Σ_k leaning[i, :, k] y_near + deviations[i] ε, from the last element to the first, with the
    covariances of the `band` elements before it in a ring buffer.
    """
    recent = (deviations[0] + leaning[0, :, 0]).new_zeros(deviations.shape[1], band, band)
    found = []
    for i in reversed(range(len(deviations))):
        which, places = near[i]
        weights = leaning[i][:, which]
        row = (weights.unsqueeze(1) @ recent[:, places]).squeeze(1)
        variance = (row[:, places] * weights).sum(1) + deviations[i].square()
        row[:, i % band] = variance
        recent[:, i % band] = row
        recent[:, :, i % band] = row
        found.append(variance)
    return torch.stack(found[::-1])


@lru_cache(maxsize=16)
def _band(channels: int, height: int, width: int, radius: int) -> tuple[int, list[tuple[list[int], list[int]]]]:
    """Size of the ring and, per element in raster order, which neighbours it has and where in the ring they are."""
    band = (radius * width + radius + 1) * channels
    near: list[tuple[list[int], list[int]]] = []
    for y, x, c in np.ndindex(height, width, channels):
        inside = [
            (n, (((y + dy) * width + x + dx) * channels + c + dc) % band)
            for n, (dc, dy, dx) in enumerate(later_neighbours(radius, channels))
            if y + dy < height and 0 <= x + dx < width and c + dc < channels
        ]
        near.append(([n for n, _ in inside], [place for _, place in inside]))
    return band, near
