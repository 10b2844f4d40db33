"""Does anything but q read x? Asked of the functions themselves, as a network can keep what it has seen."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import Autoregressive, draw, simulate
from elbowroom.numerics import Batch, CapabilityError, Given, InputError

from .model import VAE, evaluating

__all__ = ["check_readings"]

_EXAMPLES = 2
_FRONTS = 8
_CLOSE = 1e-5  # of 1 + |log p|: the same computation on the same numbers


@torch.no_grad()
def check_readings(vae: VAE, batch: Batch, seed: int = 0) -> None:
    """Ask whether p(z) and p(x | z) stay as they are while the encoder sees another x, z staying the same.

    An autoregressive p(x | z) reads the earlier elements of the x that it is asked about; that it reads no later one is
    shown by changing these, and by gradients that are zero.

    Parameters
    ----------
    vae : VAE
        Any model; its modes and the random state are left as they were.
    batch : Batch
        Examples of its data; two are used.
    seed : int
        Of the draws of z; default 0.

    Raises
    ------
    InputError
        Where one of the two densities changes, or the order of an autoregressive one is not kept.
    """
    batch = batch.rows(slice(0, _EXAMPLES))
    with evaluating(vae), torch.random.fork_rng([]):
        given, _ = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
        drawn, p_x = _encoded(vae, given, seed, batch)
        y = given["x"]
        before = _densities(vae, drawn, y)
        other = _another(y, p_x, seed)
        _encoded(vae, {**given, "x": other}, seed, batch)
        after = _densities(vae, {**drawn, "x": other}, y)
        for name, value in before.items():
            _compare(name, value, after[name])
        if isinstance(p_x, Autoregressive):
            _check_order(p_x, y, other)


def _encoded(vae: VAE, given: Given, seed: int, batch: Batch) -> tuple[Given, Distribution]:
    """The namespace with z drawn from q, and p(x | z): every network has run on this x."""
    given, noise = dict(given), vae.keyed_noise(1, batch.index, seed)
    for name, block in vae.posterior.items():
        given[name], _ = draw(block(given), noise[name])
        if name in batch.observed:
            value, mask = batch.observed[name]
            given[name] = torch.where(mask.view(1, -1, *[1] * len(block.event)), value.to(given[name]), given[name])
    return given, vae.likelihood(given)


def _densities(vae: VAE, given: Given, y: Tensor) -> dict[str, Tensor]:
    """log p of every block and of y under what is given, [1, batch] each."""
    found = {f"p({name})": block(given).log_prob(given[name]) for name, block in vae.prior.items()}
    return {**found, "p(x | z)": vae.likelihood(given).log_prob(y)}


def _another(y: Tensor, p_x: Distribution, seed: int) -> Tensor:
    """Another x of the same kind: the other examples', or one that the model draws where all are alike."""
    other = y.roll(1, dims=1)
    if not torch.equal(other, y):
        return other
    try:
        return simulate(p_x, torch.Generator(y.device).manual_seed(seed)).to(y)[:1].expand_as(y)
    except CapabilityError:
        return other


def _compare(name: str, before: Tensor, after: Tensor) -> None:
    if not torch.allclose(before, after, rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
        raise InputError(
            f"{name} changes by {(before - after).abs().max().item():.3g} nats when the encoder sees another x and z "
            f"stays the same, and only q(z | x) may read x (is there a skip connection from the encoder?): give what p "
            f"may know of x as a context, or take likelihoods.Autoregressive for a p(x | z) that reads x in order."
        )


def _check_order(p_x: Autoregressive, y: Tensor, other: Tensor) -> None:
    """No element's distribution changes with that element or with what is drawn after it."""
    flat, positions = y.flatten(2), torch.cat(list(p_x.fronts))
    if not torch.equal(positions.sort().values, torch.arange(flat.shape[-1], device=positions.device)):
        raise InputError("The fronts of an autoregressive p(x | z) must name every element of x once.")
    for here, later in _some_fronts(p_x):
        changed = flat.clone()
        changed[..., later] = other.flatten(2)[..., later]
        before, after = (p_x.conditional(value, None).log_prob(flat)[..., here] for value in (y, changed.view(y.shape)))
        same = torch.allclose(before, after, rtol=_CLOSE, atol=_CLOSE, equal_nan=True)
        if not same or _slope(p_x, y, here)[..., later].any():
            raise InputError(
                "An autoregressive p(x | z) reads elements of x that are drawn later, or the element itself: mask what "
                "its conditional reads, or put its fronts in the order that it keeps."
            )


def _some_fronts(p_x: Autoregressive) -> Iterator[tuple[Tensor, Tensor]]:
    """A few fronts, the first and the last among them, each with all positions that are not known there."""
    last = len(p_x.fronts) - 1
    for number in sorted({round(i * last / (_FRONTS - 1)) for i in range(_FRONTS)}):
        yield p_x.fronts[number], torch.cat(list(p_x.fronts[number:]))


@torch.enable_grad()
def _slope(p_x: Autoregressive, y: Tensor, here: Tensor) -> Tensor:
    """Gradient of the log-densities of some elements in the x that they are conditioned on, [1, batch, elements]."""
    value = y.detach().clone().requires_grad_()
    total = p_x.conditional(value, None).log_prob(y.flatten(2))[..., here].sum()
    slope = torch.autograd.grad(total, value, allow_unused=True)[0] if total.requires_grad else None
    return (torch.zeros_like(y) if slope is None else slope).flatten(2)
