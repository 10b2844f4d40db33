"""Does anything but q read x? Asked of the functions themselves, as a network can keep what it has seen."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import Autoregressive, simulate
from elbowroom.distributions._log_prob_seen import inside
from elbowroom.numerics import Batch, CapabilityError, Given, InputError, Rows, own_modes, plain_arguments

from .coarse import refuse_coarse
from .core import VAECore
from .evaluating import evaluating
from .terms import log_likelihood

__all__ = ["check_cell_by_cell", "check_readings"]

_EXAMPLES = 2
_FRONTS = 8
_CLOSE = 1e-5  # of 1 + |log p|: the same computation on the same numbers
_ALONE = 1e-3  # the same numbers by matrix products of other shapes


@own_modes
@plain_arguments
@torch.no_grad()
def check_readings(vae: VAECore, examples: Rows, *, seed: int = 0) -> None:
    """Check that p(z) and p(x | z) do not read x: another x in the encoder and the same z must leave both as they were.

    An autoregressive p(x | z) reads the earlier elements of x; that it reads no later one is shown by changing these,
    and by gradients that are zero. Networks that answer at random, or by the other examples of a batch, are found on
    the way.

    Parameters
    ----------
    vae : VAE
        Any model; its modes and the random state are left as they were.
    examples : Rows
        Examples of its data, of which two are read.
    seed : int, default 0
        Keys the draws of z.

    Raises
    ------
    InputError
        Where one of the two densities changes, or the order of an autoregressive one is not kept.

    Examples
    --------
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(torch.nn.Linear(3, 4), 2),
    ...           likelihoods.Normal(torch.nn.Linear(2, 3), 3))
    >>> check_readings(vae, Batch(torch.randn(2, 3), torch.arange(2)))
    """
    refuse_coarse(vae)
    batch = examples.rows(slice(0, _EXAMPLES))
    with evaluating(vae), torch.random.fork_rng([]):
        drawn, p_x = _run_networks(vae, batch, seed)
        y, (seen, _) = drawn["x"], vae.mask_of(batch)
        _check_kinds(vae, drawn, p_x, seen)
        before = _densities(vae, drawn, y, seen)
        again, _ = _run_networks(vae, batch, seed)
        _compare_all(vae, again, drawn, seen, before, _CLOSE, _BY_CHANCE)
        _check_alone(vae, batch, seed, drawn, before)
        for other in _others(vae, batch, p_x, seed):
            moved, _ = _run_networks(vae, other, seed)
            for name, value in _densities(vae, {**drawn, "x": moved["x"]}, y, seen).items():
                if _differ(before[name], value):
                    raise InputError(_READS.format(name=name, moved=_most(before[name], value)))
        if isinstance(p_x, Autoregressive):
            _check_order(p_x, y, y.roll(1, dims=1) if len(batch) > 1 else moved["x"])


@torch.no_grad()
def check_cell_by_cell(vae: VAECore, example: Batch) -> None:
    """Check that every cell of preprocessed x, and its slope, comes from its own cell: else none can be missing.

    Cells are replaced by NaN, in sets such that of any two there is one that holds the first and not the second.

    Parameters
    ----------
    vae : VAE
        Any model.
    example : Batch
        One example of its data.

    Raises
    ------
    InputError
        Where preprocessing mixes cells.
    """
    example = example.to(vae.device)
    size, shape = example.x[0].numel(), example.x.shape[1:]
    bits = torch.arange(size) >> torch.arange(max(1, (size - 1).bit_length())).unsqueeze(1) & 1
    gone = torch.cat([bits == 1, bits == 0]).view(-1, *shape).to(example.x.device)
    x = example.x.to(vae.dtype).nan_to_num(0.0)
    noise = vae.keyed_noise(0, example.index, 0).get("x")
    uniforms = None if noise is None else noise.expand(gone.shape)
    try:
        with_gaps, whole = (
            vae.preprocess.cells(one, uniforms) for one in (torch.where(gone, torch.nan, x), x.expand(gone.shape))
        )
        kept = all(
            torch.allclose(torch.where(gone, 0.0, a), torch.where(gone, 0.0, b), rtol=0.0, atol=0.0, equal_nan=True)
            for a, b in zip(with_gaps, whole, strict=True)
        )
    except (NotImplementedError, RuntimeError):
        kept = False
    if not kept:
        raise InputError(
            f"{type(vae.preprocess).__name__} mixes the cells of x, so that where some are missing no other is known "
            f"either: preprocess cell by cell (a Preprocess whose `cells` maps each by itself), or fill the cells in."
        )


def _run_networks(vae: VAECore, batch: Batch, seed: int) -> tuple[Given, Distribution]:
    """The namespace with z drawn from q, and p(x | z): every network has run on these examples."""
    terms = vae(batch, vae.keyed_noise(1, batch.index, seed), lay_out=False)
    return {**terms.context, **terms.z, "x": terms.y}, terms.p_x


def _densities(vae: VAECore, given: Given, y: Tensor, seen: Tensor | None) -> dict[str, Tensor]:
    """log p of every block and of the seen cells of y under what is given, [1, batch] each."""
    found = {f"p({name})": block(given).log_prob(given[name]) for name, block in vae.prior.items()}
    return {**found, "p(x | z)": log_likelihood(vae.likelihood(given), y, seen)}


def _check_kinds(vae: VAECore, drawn: Given, p_x: Distribution, seen: Tensor | None) -> None:
    """Densities and probabilities do not mix: q and p of a block are over the same, and x lies where p(x | z) does."""
    for name, block in vae.posterior.items():
        supports: list[Any] = [part(drawn).support for part in (vae.prior[name], block)]
        both = [bool(support.is_discrete) for support in supports]
        if both[0] != both[1]:
            over = ["classes" if discrete else "real numbers" for discrete in both]
            raise InputError(
                f"The prior of {name!r} is over {over[0]} and its posterior over {over[1]}: take the same."
            )
    with contextlib.suppress(NotImplementedError):
        support: Any = p_x.support
        within = support.check(drawn["x"] if seen is None else inside(p_x, drawn["x"], seen))
        if not getattr(vae.likelihood, "unnormalised", False) and not bool(within.all()):
            raise InputError(
                f"Some x lie outside the support of the {type(vae.likelihood).__name__} likelihood: give data of the "
                f"kind that the model was made for."
            )


def _check_alone(vae: VAECore, batch: Batch, seed: int, drawn: Given, before: dict[str, Tensor]) -> None:
    """The first example has the z and the densities that it has beside the second."""
    first = batch.rows(slice(0, 1))
    beside = {name: value[:, :1] for name, value in drawn.items()}
    densities = {name: value[:, :1] for name, value in before.items()}
    try:
        alone, _ = _run_networks(vae, first, seed)
        _compare_all(vae, alone, beside, vae.mask_of(first)[0], densities, _ALONE, _BY_OTHERS)
    except ValueError as error:  # batch norm without running statistics
        if isinstance(error, InputError):
            raise
        raise InputError(f"The model cannot take one example alone ({error}): {_KEEP_STATISTICS}.") from error


def _compare_all(
    vae: VAECore, given: Given, drawn: Given, seen: Tensor | None, before: dict[str, Tensor], close: float, said: str
) -> None:
    """Refuse another x, z or density than before from the same examples and noise, and name where it came about."""
    names = {"x": "The preprocessing", **{block: f"q({block} | x), the encoder," for block in vae.posterior}}
    for of, name in names.items():
        if _differ(drawn[of], given[of], close):
            raise InputError(said.format(name=name, moved=f"{_most(drawn[of], given[of])} in {of}"))
    for name, value in _densities(vae, given, given["x"], seen).items():
        if _differ(before[name], value, close):
            at_same_z = _densities(vae, {**given, **{block: drawn[block] for block in vae.posterior}}, given["x"], seen)
            own = _differ(before[name], at_same_z[name], close)
            whose = name if own else f"q({', '.join(vae.posterior)} | x), the encoder,"
            raise InputError(said.format(name=whose, moved=f"{_most(before[name], value)} nats"))


_KEEP_STATISTICS = "let networks look at one example at a time in evaluation mode (batch norm with running statistics)"


def _others(vae: VAECore, batch: Batch, p_x: Distribution, seed: int) -> Iterator[Batch]:
    """The same examples with another x of its kind: one example's for all, then another's; or one that the model draws.

    Not merely in another order, so that a mean over the batch changes too.
    """
    rows = [batch.x[:1], batch.x[-1:]]
    if torch.equal(*rows):
        with contextlib.suppress(CapabilityError, InputError):
            y = simulate(p_x, torch.Generator(vae.device).manual_seed(seed))
            rows = [vae.preprocess.inverse(y[0, :1]).to(batch.x)]
    for row in rows:
        yield dataclasses.replace(batch, x=row.expand_as(batch.x))


_BY_OTHERS = (
    "{name} of an example changes with the other examples of its batch, so that it is no number of its own: "
    f"{_KEEP_STATISTICS}."
)
_READS = (
    "{name} changes by {moved} nats when the encoder sees another x and z stays the same, and only q(z | x) may "
    "read x (is there a skip connection from the encoder, or a mean over the batch?): give what p may know of x as a "
    "context, or take likelihoods.Autoregressive for a p(x | z) that reads x in order."
)
_BY_CHANCE = (
    "{name} changes by {moved} when it is asked twice, so it is no density: let its networks draw nothing in "
    "evaluation mode (dropout that is always on?)."
)


def _differ(before: Tensor, after: Tensor, close: float = _CLOSE) -> bool:
    return not torch.allclose(before, after, rtol=close, atol=close, equal_nan=True)


def _most(before: Tensor, after: Tensor) -> str:
    return f"{(before - after).abs().max().item():.3g}"


def _check_order(p_x: Autoregressive, y: Tensor, other: Tensor) -> None:
    """No element's distribution changes with that element or with what is drawn after it."""
    flat, positions = y.flatten(2), torch.cat(list(p_x.fronts))
    if not torch.equal(positions.sort().values, torch.arange(flat.shape[-1], device=positions.device)):
        raise InputError("The fronts of an autoregressive p(x | z) must name every element of x once.")
    for here, later in _some_fronts(p_x, (flat != other.flatten(2)).any(1)[0]):
        changed = flat.clone()
        changed[..., later] = other.flatten(2)[..., later]
        before, after = (p_x.conditional(value, None).log_prob(flat)[..., here] for value in (y, changed.view(y.shape)))
        same = torch.allclose(before, after, rtol=_CLOSE, atol=_CLOSE, equal_nan=True)
        if not same or _slope(p_x, y, here)[..., later].any():
            raise InputError(
                "An autoregressive p(x | z) reads elements of x that are drawn later, or the element itself: mask what "
                "its conditional reads, or put its fronts in the order that it keeps."
            )


def _some_fronts(p_x: Autoregressive, differ: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A few fronts where x differs, each with all positions that are not known there."""
    useful = [number for number, front in enumerate(p_x.fronts) if bool(differ[front].any())]
    last = len(useful) - 1
    for place in sorted({round(i * last / (_FRONTS - 1)) for i in range(_FRONTS)} if useful else ()):
        yield p_x.fronts[useful[place]], torch.cat(list(p_x.fronts[useful[place] :]))


@torch.enable_grad()
def _slope(p_x: Autoregressive, y: Tensor, here: Tensor) -> Tensor:
    """Gradient of the log-densities of some elements in the x that they are conditioned on, [1, batch, elements]."""
    value = y.detach().clone().requires_grad_()
    total = p_x.conditional(value, None).log_prob(y.flatten(2))[..., here].sum()
    slope = torch.autograd.grad(total, value, allow_unused=True)[0] if total.requires_grad else None
    return (torch.zeros_like(y) if slope is None else slope).flatten(2)
