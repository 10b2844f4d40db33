"""How far the numbers of q move in a step: in units of q's own spread at each example, whatever the scale of z."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from elbowroom.numerics import Batch, Noise
from elbowroom.numerics.streams import PRIOR
from elbowroom.vae import VAE, Terms
from elbowroom.vae.numbers import with_numbers

__all__ = ["Steps", "fresh_noise", "steps_of"]

_ASKED = 8  # passes by which a number is told to move z
_SHIFTS = 0.99  # of a number's effect that is the same for every draw, so that it is a mean
_FARTHEST = 2.0  # a step of a number that is no mean, or itself where it is greater: beyond, it is no small one
_ON_THE_WAY = 3.0  # a mean's first steps are longer by this than slope and curvature say that it is off, to get there
_BENT = 4  # random directions by which the curvature of the ELBO in the means is told
_LAST = 0.01  # the share of the learning rate that is left at the end

Numbers = dict[str, Tensor]


class Steps(NamedTuple):
    """Of every number of one block of q, for each example, [batch, numbers].

    Attributes
    ----------
    first, last : Tensor
        Its first and its last step at a learning rate of 1.
    """

    first: Tensor
    last: Tensor


class _Moved(NamedTuple):
    """By one pass: slopes of z, in units of q's spread and of the wide one, and of the ELBO."""

    own: Tensor
    wide: Tensor
    elbo: Tensor


def steps_of(
    vae: VAE, batch: Batch, numbers: Numbers, fixed: Noise, seed: int, generator: Generator
) -> dict[str, Steps]:
    """The steps of all numbers of q.

    All are as wide as q itself, but for the first ones of means, which are as far from their best place as slope and
    curvature of the ELBO say, at most as wide as p(z), or as z is over the examples.

    Parameters
    ----------
    vae : VAE
        The model.
    batch : Batch
        Examples.
    numbers : dict of Tensor
        Block → [batch, numbers], where the steps begin.
    fixed : dict of Tensor
        Noise of the preprocessing.
    seed : int
        Keys the draws of p(z).
    generator : Generator
        Of the draws of q.

    Returns
    -------
    dict of Steps
        By block.
    """
    with torch.no_grad():
        z = [_pass(vae, batch, numbers, fixed, generator).z for _ in range(_ASKED)]
        given, _ = vae.given(batch, fixed)
        above = vae.keyed_prior(given, _ASKED, batch.index, seed, 0, PRIOR, batch.observed)
    found = {}
    for name, value in numbers.items():
        own, wide = _spreads(torch.cat([one[name].flatten(2) for one in z]), above[name].flatten(2))
        signs = torch.randint(2, own.shape, generator=generator, device=generator.device).mul(2).sub(1)
        moved = []
        for _ in range(_ASKED):
            leaf = value.detach().clone().requires_grad_()
            terms = _pass(vae, batch, numbers | {name: leaf}, fixed, generator)
            moved.append(_moved(terms, name, leaf, signs / own, signs / wide))
        one = _Moved(*map(torch.stack, zip(*moved, strict=True)))
        natural, shifts = _natural(value, one)
        bent = _curvature(vae, batch, numbers, fixed, generator, name, torch.where(shifts, natural, 0.0))
        found[name] = _steps(one, natural, shifts, bent)
    return found


def fresh_noise(vae: VAE, draws: int, batch: Batch, fixed: Noise, generator: Generator) -> Noise:
    """Fresh noise of q, beside that of the preprocessing as it is.

    Parameters
    ----------
    vae : VAE
        The model.
    draws : int
        Of z, per example.
    batch : Batch
        Examples.
    fixed : dict of Tensor
        Noise of the preprocessing.
    generator : Generator
        Of what is drawn.

    Returns
    -------
    dict of Tensor
        What a pass needs.
    """
    return vae.draw_noise(draws, len(batch), generator) | {name: fixed[name] for name in ("x",) if name in fixed}


def _pass(vae: VAE, batch: Batch, numbers: Numbers, fixed: Noise, generator: Generator) -> Terms:
    noise = fresh_noise(vae, 1, batch, fixed, generator)
    return vae(batch, noise, posterior=with_numbers(vae, numbers))


def _spreads(drawn: Tensor, of_p: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations of z [batch, dim]: of q at each example, and of p or of z over the examples, the wider one."""
    tiny = torch.finfo(drawn.dtype).tiny
    own = drawn.std(0).clamp_min(tiny)
    wide = torch.maximum(drawn.flatten(0, 1).std(0), of_p.flatten(0, 1).std(0))
    return own, torch.maximum(own, wide)


def _moved(terms: Terms, name: str, leaf: Tensor, by_own: Tensor, by_wide: Tensor) -> _Moved:
    z = terms.z[name].flatten(2)
    elbo = (terms.log_likelihood - terms.rate()).mean(0).sum()
    targets = [(z * by_own).mean(0).sum(), (z * by_wide).mean(0).sum(), elbo]
    return _Moved(*(_slope(one, leaf) for one in targets))


def _slope(of: Tensor, leaf: Tensor) -> Tensor:
    """0 where nothing depends on the leaf, as z of classes on their logits."""
    if not of.requires_grad:
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(of, leaf, retain_graph=True, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def _natural(value: Tensor, moved: _Moved) -> tuple[Tensor, Tensor]:
    """How much of each number moves z by q's own spread, 1 where none does, and which numbers are means."""
    size = moved.own.square().mean(0).sqrt()
    shifts = (moved.own.mean(0).square() >= _SHIFTS * size.square()) & (size > 0)
    farthest = torch.where(shifts, torch.inf, value.clamp_min(_FARTHEST))
    return torch.where(size > 0, torch.minimum(1 / size, farthest), 1.0), shifts


def _curvature(
    vae: VAE, batch: Batch, numbers: Numbers, fixed: Noise, generator: Generator, name: str, unit: Tensor
) -> Tensor:
    """How the ELBO's slope falls over one unit of a number, in nats; by differences under the same noise."""
    found = []
    for _ in range(_BENT):
        signs = torch.randint(2, unit.shape, generator=generator, device=generator.device).mul(2).sub(1).to(unit)
        noise = fresh_noise(vae, 1, batch, fixed, generator)
        slopes = []
        for shift in (0.0, 1.0):
            leaf = (numbers[name].detach() + shift * signs * unit).requires_grad_()
            terms = vae(batch, noise, posterior=with_numbers(vae, numbers | {name: leaf}))
            slopes.append(_slope((terms.log_likelihood - terms.rate()).mean(0).sum(), leaf))
        found.append((slopes[0] - slopes[1]) * signs * unit)
    return torch.stack(found).mean(0)


def _steps(moved: _Moved, natural: Tensor, shifts: Tensor, bent: Tensor) -> Steps:
    wide = 1 / moved.wide.square().mean(0).sqrt()
    off = torch.where(bent > 0, moved.elbo.mean(0).abs() * natural / bent, torch.inf)  # in units of q's spread
    off = torch.where(shifts, off, 0.0).nan_to_num(torch.inf, torch.inf).amax(1, keepdim=True)
    first = torch.minimum(natural * (_ON_THE_WAY * off).clamp_min(1.0), wide)
    first = torch.where(shifts, torch.maximum(first, natural), natural)
    known = first.isfinite() & natural.isfinite() & (natural > 0)
    return Steps(torch.where(known, first, 1.0), torch.where(known, _LAST * natural, _LAST))
