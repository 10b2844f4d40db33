"""Families with a location and a scale, and the ways to choose the scale."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from elbowroom.numerics import InputError, Support

from .likelihood import CONTINUOUS, Likelihood, refuse

__all__ = ["Scale", "Scaled", "pca_residuals"]

Scale = float | Literal["shared", "feature", "predicted"]
"""A fixed number; one learned for all elements; one learned per element; a function of z."""

_FRACTION_OF_DEVIATION = 0.01
_AT_FLOOR = 1.01
_WORTH_SAYING = 0.001


class Scaled(Likelihood):
    """Base of the likelihoods with a location and a scale.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location; with scale="predicted" 2
        numbers per element, the locations of all elements first, then raw scales r of scale = floor + softplus(r + c),
        with c such that r = 0 gives `start`. None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted"}, default "shared"
        The scale, on the scale of the preprocessed x. A number fixes it; "shared" learns one for all elements;
        "feature" learns one per element; "predicted" makes it a function of z.
    floor : float or None, default None
        Least scale, on the scale of the preprocessed x, where it is not fixed. None settles it from the training data,
        so that the standard deviation is at least that of one grid step's uniform noise (step / √12) where the data are
        on a grid, else 1 % of the data's.
    start : float or None, default None
        Where a scale that is not fixed starts, on the scale of the preprocessed x. None settles it from the training
        data, so that the standard deviation is the one that PCA with as many components as latents leaves, half the
        columns at most: a scale that starts too large collapses the latents before it has shrunk, and one that starts
        at next to nothing does not recover.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Attributes
    ----------
    unit_deviation : float
        Standard deviation of the family at scale 1.
    symbol : str
        What messages call the scale.
    ways : tuple of str
        The words that `scale` may be.
    best_scale : callable or None
        Of a family with a closed form: from residuals x − location of any shape to the likeliest common scale.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive.
    """

    floor_value: Tensor
    offset: Tensor

    unit_deviation: float = 1.0
    """Standard deviation of the family at scale 1."""
    symbol: str = "the scale"
    best_scale: Callable[[Tensor], float] | None = None
    """Of a family with a closed form: the likeliest common scale, given residuals x − location of any shape."""
    ways: tuple[str, ...] = ("shared", "feature", "predicted")
    takes_atoms: bool = False
    """Whether values that occur again and again have a probability of their own."""

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        scale: float | str = "shared",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(event, given=given, network=network)
        if isinstance(scale, str) and scale not in self.ways:
            ways = " or ".join([", ".join(map(repr, self.ways[:-1])), repr(self.ways[-1])])
            raise InputError(f"scale must be a number, {ways}; got {scale!r}.")
        for name, value in (("A fixed scale", scale), ("The floor of a scale", floor), ("The start of a scale", start)):
            if isinstance(value, float | int) and not value > 0:
                raise InputError(f"{name} must be positive; got {value}.")
        self.scale, self.floor, self.start = scale, floor, start
        self.parts = 2 if scale == "predicted" else 1
        self.register_buffer("floor_value", torch.tensor(1e-3 if floor is None else float(floor)))
        self.register_buffer("offset", torch.zeros(() if scale in ("shared", "optimal") else self.event))
        if scale in ("shared", "feature"):
            self.raw = nn.Parameter(torch.zeros_like(self.offset))
        self._start_at(torch.full_like(self.offset, 1.0 if start is None else float(start)))

    def location_and_scale(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Location and scale, [draws, batch, *event] or what broadcasts to it, from the network's numbers."""
        if self.scale == "predicted":
            return raw[0], self.positive(raw[1])
        return raw[0], self.common_scale().expand(self.event)

    def common_scale(self) -> Tensor:
        """The scale where it does not depend on z: a scalar, or one value per element."""
        if isinstance(self.scale, str):
            return self.positive(self.raw)
        return torch.full_like(self.floor_value, self.scale)

    def positive(self, raw: Tensor) -> Tensor:
        """The scale of a raw number, at least the floor."""
        return self.floor_value + softplus(raw + self.offset)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle floor and start from the training data y [n, *event]; returns what was settled."""
        if not isinstance(self.scale, str):
            return []
        flat = y.flatten(1).double().cpu()
        if self.floor is None:
            floor = step / math.sqrt(12) if step else _FRACTION_OF_DEVIATION * flat.std().item()
            self.floor_value.fill_(max(floor / self.unit_deviation, 1e-6))
        if self.start is None:
            residual = (
                torch.as_tensor(np.sqrt((pca_residuals(flat.numpy(), latents) ** 2).mean(0))).to(self.offset)
                / self.unit_deviation
            )
            whole = self.offset.dim() == 0
            left = residual.square().mean().sqrt() if whole else residual.view(self.event)
        else:
            left = torch.full_like(self.offset, float(self.start))
        self._start_at(left)
        floor, start = self.floor_value.item(), left.square().mean().sqrt().item()
        source = " (what PCA leaves)" if self.start is None else ""
        return [f"{type(self).__name__}: {self.symbol} starts at {start:.3g}{source}, floored at {floor:.3g}."]

    @property
    def calibrates(self) -> Literal["noise scale", "temperature"] | None:
        """ "noise scale" where there is one scale for all and a closed form for the best; else None."""
        one = self.best_scale is not None and self.scale not in ("predicted", "feature")
        return "noise scale" if one else None

    def at_scale(self, scale: float) -> "Scaled":
        """A copy at this common scale, or at its floor where that is higher; the network is shared."""
        new = copy.deepcopy(self, {id(self.network): self.network})
        if isinstance(self.scale, str):
            with torch.no_grad():
                for raw in (p for name, p in new.named_parameters(recurse=False) if name == "raw"):
                    raw.zero_()
                new._start_at(torch.full_like(new.offset, scale), above_floor=1e-4)
            return new
        new.scale = scale if self.floor is None else max(scale, self.floor)
        return new

    @torch.no_grad()
    def take_scale(self, scale: Tensor, floor: Tensor) -> None:
        """Take a floor, and one scale per element, [*event], that was found elsewhere; the floor holds."""
        self.floor_value.copy_(floor)
        self.raw.zero_()
        self._start_at(scale, above_floor=1e-4)

    def state_words(self) -> list[str]:
        """The scale as it stands, and its floor."""
        if not isinstance(self.scale, str):
            return []
        floor = f"floored at {self.floor_value.item():.3g}"
        if self.scale == "predicted":
            return [f"{self.symbol} of z {floor}"]
        scale = self.common_scale().detach()
        shown = f"{scale.mean().item():.3g}" + (" on average" if scale.numel() > 1 else "")
        return [f"{self.symbol} {shown}, {floor}"]

    def check(self, support: Support) -> None:
        """Continuous data only: on a grid a density grows without limit."""
        if support.kind not in CONTINUOUS:
            grows = "a density of continuous data, which grows without limit on a grid"
            raise refuse(self, grows, support, alternatives(support))
        if support.atoms and not self.takes_atoms:
            grows = "a density of continuous data, which grows without limit on values that occur again and again"
            raise refuse(self, grows, support, "take likelihoods.NormalWithAtoms")

    def remarks(self, p_x: Distribution) -> list[str]:
        """Says which elements sit at the floor of the scale."""
        if not isinstance(self.scale, str):
            return []
        scale = self._scale_of(p_x)
        share = (scale < _AT_FLOOR * self.floor_value).double().mean().item()
        if share < _WORTH_SAYING:
            return []
        floor = self.floor_value.item()
        return [
            f"{type(self).__name__}: {share:.1%} of the scales (elements × examples) sit at the floor {floor:.3g}; "
            f"where a floor binds, log p(x) depends on it."
        ]

    def _scale_of(self, p_x: Distribution) -> Tensor:
        family: Any = p_x.base_dist if isinstance(p_x, Independent) else p_x
        return family.scale

    def _start_at(self, scale: Tensor, above_floor: float = 0.05) -> None:
        """Place the offset so that a raw number of 0 means this scale, at least so many floors above the floor."""
        above = (scale - self.floor_value).clamp_min(above_floor * self.floor_value.clamp_min(1e-6))
        self.offset.copy_(above + torch.log(-torch.expm1(-above)))  # the inverse of softplus


def alternatives(support: Support) -> str:
    """What to do instead with data of this support, as the end of a sentence."""
    return {
        "binary": "take likelihoods.Bernoulli",
        "grid": "dequantise them (preprocess='dequantise'), or take likelihoods.DiscretisedLogistic on the raw grid",
        "counts": "take likelihoods.NegativeBinomial or likelihoods.Poisson",
        "categorical": "take likelihoods.Categorical",
    }.get(support.kind, "scale them to [0, 1], or take likelihoods.Normal")


def pca_residuals(flat: np.ndarray, components: int, most: int = 10_000) -> np.ndarray:
    """What PCA leaves of the first rows, in sample.

    Parameters
    ----------
    flat : np.ndarray
        [n, columns].
    components : int
        Number of components; half the rows or columns at most, since more would leave next to nothing.
    most : int, default 10000
        How many rows are used.

    Returns
    -------
    np.ndarray
        Residuals [n or most, columns].
    """
    from sklearn.decomposition import PCA

    rows = flat[:most]
    k = min(components, len(rows) // 2, rows.shape[1] // 2)
    if k < 1:
        return rows - rows.mean(0)
    if len(rows) < rows.shape[1]:
        centred = rows - rows.mean(0)
        _, vectors = np.linalg.eigh(centred @ centred.T)
        centred -= vectors[:, -k:] @ (vectors[:, -k:].T @ centred)
        return centred
    pca = PCA(k, random_state=0).fit(rows)
    return rows - pca.inverse_transform(pca.transform(rows))
