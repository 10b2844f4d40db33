"""A p(x | z) whose noise is correlated, fitted to what the decoder's mean leaves."""

import copy
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from elbowroom import likelihoods
from elbowroom.data import Dataset
from elbowroom.distributions.matern_field import likeliest_field
from elbowroom.exact.factor_analysis import factors_of_covariance
from elbowroom.likelihoods import Likelihood
from elbowroom.likelihoods.image_shape import image_of
from elbowroom.numerics import CapabilityError, InputError, one_of, own_modes, plain_arguments
from elbowroom.vae import VAE

from .draws_of_q import MOST, residuals_of
from .parts import with_parts
from .remedied import Remedied, remedied

__all__ = ["structured_residual"]

_RANK, _STEPS, _GRID, _CLIMBED = 10, 60, 40, 2_000
_LENGTHS, _WHITE = (0.3, 3.0), (2e-3, 0.998)  # in pixels, and in sides; shares

Left = list[tuple[Tensor, Tensor]]
"""Residuals and scales, [n, *event] each."""


@own_modes
@plain_arguments
def structured_residual(
    vae: VAE,
    data: Dataset,
    *,
    kind: Literal["low-rank", "matern"] = "low-rank",
    rank: int | None = None,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Keep q and the decoder's mean, and give the Gaussian noise of p(x | z) a covariance, fitted to the residuals.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        At most 10,000 training examples are encoded, and their residuals at a draw of z are fitted; the bounds reported
        are on validation.
    kind : {"low-rank", "matern"}, default "low-rank"
        "low-rank": diag(σ²) + F Fᵀ, the likeliest by factor analysis. "matern": for images, σ ⊙ a Matérn field of the
        likeliest length and white share.
    rank : int, optional
        Directions of "low-rank", below the number of elements of x; by default 10, or half the elements where these are
        few.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Keys all noise, by (seed, example).

    Returns
    -------
    Remedied
        The new model, whose likelihood is a `LowRankNormal` or a `MaternNormal` with a scale per element (or, for
        "matern", the scale of z that it had), and its bounds before and after.

    Raises
    ------
    InputError
        For another word, a rank out of range, or x that are no images where a field is asked for.
    CapabilityError
        For another likelihood than a Normal, for one of scale="predicted" with "low-rank", and where cells are missing.

    References
    ----------
    Dorta, Vicente, Agapito, Campbell & Simpson, "Structured uncertainty prediction networks" (2018).
    Lindgren, Rue & Lindström, "An explicit link between Gaussian fields and Gaussian Markov random fields: the
    stochastic partial differential equation approach" (2011).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> words = {"latents": 2, "widths": [8], "likelihood": {"kind": "normal", "scale": "feature"}}
    >>> found = structured_residual(er.models.build(words, digits), digits, rank=2, draws=2)
    >>> found.name, found.gain.mean > 0
    ('structured_residual (low-rank, 2)', True)
    """
    since = time.monotonic()
    one_of("kind", kind, ("low-rank", "matern"))
    _refuse_others(vae, data, kind)
    size = int(np.prod(vae.likelihood.event))
    rank = min(_RANK, max(size // 2, 1)) if rank is None else rank
    if not 1 <= rank < size:
        raise InputError(f"The rank is at least 1 and below the {size:,} elements of x; got {rank}.")
    left = residuals_of(vae, data.train[:MOST], seed)
    likelihood = _low_rank(vae, left, rank) if kind == "low-rank" else _matern(vae, left, data)
    name = f"structured_residual ({kind}, {rank})" if kind == "low-rank" else f"structured_residual ({kind})"
    after = with_parts(vae, likelihood=likelihood)
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=seed, since=since)
    return found


def _refuse_others(vae: VAE, data: Dataset, kind: str) -> None:
    likelihood = vae.likelihood
    if type(likelihood) is not likelihoods.Normal:
        raise CapabilityError(
            f"structured_residual gives a Normal likelihood a covariance, and this is a {type(likelihood).__name__}."
        )
    if likelihood.scale == "predicted" and kind == "low-rank":
        raise CapabilityError(
            "A scale of z leaves no one covariance to factor: take kind='matern', or train likelihoods.LowRankNormal."
        )
    if any(part.fill is not None for part in data.parts.values()):
        raise CapabilityError("Cells are missing in these data, and a covariance is fitted to complete residuals.")


def _low_rank(vae: VAE, left: Iterator[tuple[Tensor, Tensor, Any]], rank: int) -> Likelihood:
    """diag(σ²) + F Fᵀ, the likeliest for the residuals' second moments about zero."""
    old: Any = vae.likelihood
    rows, squares = 0, torch.zeros(())
    for off, _, _ in left:
        flat = off.flatten(1)
        rows, squares = rows + len(flat), squares + flat.T @ flat
    moments, floor = (squares / rows).cpu().numpy(), float(old.floor_value)
    least = np.minimum(np.full(len(moments), floor**2), np.diag(moments))
    found = factors_of_covariance(np.zeros(len(moments)), moments, rank, floor=least, steps=_STEPS)
    new = likelihoods.LowRankNormal(
        copy.deepcopy(old.network),
        old.event,
        rank,
        factor="shared",
        scale="feature",
        floor=old.floor,
        given=_reads(old),
    ).to(vae.dtype)
    new.take_scale(torch.from_numpy(found.noise).sqrt().to(vae.dtype).view(old.event), old.floor_value)
    new.begin_at(torch.from_numpy(found.loadings.copy()).to(vae.dtype).view(rank, *old.event))
    return new


def _matern(vae: VAE, left: Iterator[tuple[Tensor, Tensor, Any]], data: Dataset) -> Likelihood:
    """σ ⊙ a field: of the residuals' own root mean squares, or of the scale of z, and of the likeliest length."""
    old: Any = vae.likelihood
    image = image_of(old.event, data.image_shape if len(old.event) == 1 else None, "structured_residual")
    parts = list(left)
    off = torch.cat([one / scale if old.scale == "predicted" else one for one, scale, _ in parts])
    sides = torch.linspace(0, 1, _GRID, dtype=off.dtype)
    lengths = torch.exp(sides * np.log(_LENGTHS[1] * max(image[1:]) / _LENGTHS[0]) + np.log(_LENGTHS[0]))
    shares = _WHITE[0] + sides * (_WHITE[1] - _WHITE[0])
    length, share = likeliest_field(off.view(-1, *image), lengths, shares)
    new = likelihoods.MaternNormal(
        copy.deepcopy(old.network),
        old.event,
        image_shape=None if len(old.event) == 3 else image,
        scale="predicted" if old.scale == "predicted" else "feature",
        floor=old.floor,
        given=_reads(old),
    ).to(vae.dtype)
    new.begin_at(length, share)
    if old.scale == "predicted":
        new.floor_value.copy_(old.floor_value)
        new.offset.copy_(old.offset)
    else:
        new.take_scale(off.square().mean(0).sqrt().to(vae.dtype).view(old.event), old.floor_value)
        _climb(new, off[:_CLIMBED].to(vae.dtype).unsqueeze(0))
    return new


def _climb(likelihood: likelihoods.MaternNormal, off: Tensor) -> None:
    """Take scales, length and white share to where these residuals, [1, n, *event], are likeliest together."""
    own = [one for one in likelihood.parameters(recurse=False) if one.requires_grad]
    lbfgs = torch.optim.LBFGS(own, max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        lbfgs.zero_grad()
        total = -likelihood.distribution((torch.zeros_like(off),), {}).log_prob(off).mean()
        total.backward()
        return total

    lbfgs.step(loss)
    likelihood.zero_grad()


def _reads(likelihood: Likelihood) -> list[str]:
    return [name for name in likelihood.given if name not in likelihood.beside]
