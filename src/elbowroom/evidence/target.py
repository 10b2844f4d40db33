"""What the estimators take: a VAE with examples, or any other model as a `Target`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elbowroom.numerics import CapabilityError, InputError, Rows
from elbowroom.vae import VAE, VAETarget, check_readings
from elbowroom.vae.vae_target import of_seen_cells

__all__ = ["Subject", "Target", "capability", "picked", "subject_of"]

_MEMBERS = ("index", "dim", "log_prior", "log_likelihood", "draw_posterior", "log_posterior", "draw_prior", "rows")

_OFFERS = {
    "simulate": "simulate(generator) -> (Target, z [1, batch, dim]), as many examples of the model's own and their z",
    "decoded": "decoded(z) -> (Distribution, x [1, batch, *event]), p(x | z) and what it is evaluated at",
}


@runtime_checkable
class Target(Protocol):
    """What a model of any other kind than VAE needs for the estimators: log-densities and draws, at its examples.

    Any class with these members is a Target, whether or not it inherits from this one, and every function of `evidence`
    takes it in place of a VAE and its examples. z is a flat vector of unconstrained real numbers for each draw and
    example, [draws, batch, dim]. Log-densities are in nats, [draws, batch], or [1, batch] if all draws have the same.

    Attributes
    ----------
    index : Tensor
        The position of each example in its data set, [batch], int64, which seeds its noise.
    dim : int
        Number of latent dimensions.

    Notes
    -----
    `draw_posterior` and `draw_prior` must depend on (seed, example, draw) only, as `numerics.keyed_normal` does, so
    that results do not depend on memory or batches. `ais`, `bdmc` and `reciprocal_sampling` need log-densities with
    gradients in z. Floating type and device are those of the draws.

    Some estimators need one more member, and say so if it is missing:

    - `simulate(generator) -> (Target, z [1, batch, dim])`: as many examples simulated from the model, and the z that
      they came from; for `bdmc` and `simulated_against_real`.
    - `decoded(z) -> (Distribution, x [1, batch, *event])`: p(x | z), and the x to evaluate it at; for
      `conditional_log_likelihood`, and for `rate_distortion_curve` with another distortion than the default.

    An optional `quantity` is what the printed line calls log p(x), and an optional `pick(places)`, which takes places
    [m] and returns the same model at those examples, spares runs of neighbours where some are treated apart.

    Examples
    --------
    z ~ N(0, 1) and x | z ~ N(z, 1), with its exact posterior N(x / 2, 1/2), so that one draw is enough:

    >>> from torch.distributions import Normal
    >>> from elbowroom.evidence import iwae
    >>> from elbowroom.numerics import keyed_normal
    >>> class Sum:
    ...     dim = 1
    ...     def __init__(self, x, index): self.x, self.index = x, index
    ...     def log_prior(self, z): return Normal(0.0, 1.0).log_prob(z).sum(-1)
    ...     def log_likelihood(self, z): return Normal(z[..., 0], 1.0).log_prob(self.x)
    ...     def log_posterior(self, z): return Normal(self.x / 2, 0.5**0.5).log_prob(z[..., 0])
    ...     def draw_posterior(self, draws, seed, first_draw=0):
    ...         z = self.x[:, None] / 2 + 0.5**0.5 * self.draw_prior(draws, seed, first_draw)
    ...         return z, self.log_posterior(z)
    ...     def draw_prior(self, draws, seed, first_draw=0):
    ...         return keyed_normal((1,), draws, self.index, seed, first_draw=first_draw)
    ...     def rows(self, rows): return Sum(self.x[rows], self.index[rows])
    >>> iwae(Sum(torch.tensor([0.0, 2.0]), torch.arange(2)), draws=2)      # log N(x; 0, 2)
    −1.77 nats ±0.00 (draws) ±0.50 (2 points), lower bound on log p(x), IWAE-2; not checked from a second start
    """

    index: Int64[Tensor, "batch"]
    dim: int

    def log_prior(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log p(z) of draws z [draws, batch, dim], in nats, [draws, batch]."""
        ...

    def log_likelihood(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log p(x | z) of each example and draws z [draws, batch, dim], in nats, [draws, batch]."""
        ...

    def log_posterior(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log q(z | x) of each example and any z [draws, batch, dim], in nats, [draws, batch]."""
        ...

    def draw_posterior(
        self, draws: int, seed: int, first_draw: int = 0
    ) -> tuple[Float[Tensor, "draws batch dim"], Float[Tensor, "_draws batch"]]:
        """Draws z ~ q(z | x) for each example.

        Parameters
        ----------
        draws : int
            How many.
        seed : int
            Seed of the noise.
        first_draw : int, default 0
            Number of the first of them: draws 64 to 99 are the same whether asked for alone or with those before.

        Returns
        -------
        tuple of Tensor
            z, [draws, batch, dim], and log q(z | x), [draws, batch], in nats.
        """
        ...

    def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Float[Tensor, "draws batch dim"]:
        """Draws z ~ p(z), other ones for each example.

        Parameters
        ----------
        draws : int
            How many.
        seed : int
            Seed of the noise.
        first_draw : int, default 0
            Number of the first of them, as for `draw_posterior`.

        Returns
        -------
        Tensor
            z, [draws, batch, dim].
        """
        ...

    def rows(self, rows: slice) -> "Target":
        """The same model at a slice of the examples, in their order."""
        ...


@dataclass(frozen=True)
class Subject:
    """A model and its examples, as the estimators use them.

    Parameters
    ----------
    parts : Rows or Target
        The examples of a VAE, or the Target; `rows(slice)` gives some of them, and only those are read.
    vae : VAE or None
        The VAE; None for a Target.
    quantity : str
        What is estimated, "log p(x)".
    data : str, optional
        Hash of the data.
    """

    parts: Rows | Target
    vae: VAE | None
    quantity: str
    data: str | None = None

    @property
    def index(self) -> Int64[Tensor, "n"]:
        """The position of every example in its data set, [n]."""
        return self.parts.index

    def __len__(self) -> int:
        return len(self.index)

    def some(self, rows: slice) -> Any:
        """Some of the examples, a Batch or a Target, where the model is: no pass meets tensors of two devices."""
        part: Any = self.parts.rows(rows)
        return part if self.vae is None else part.to(self.vae.device)

    def target(self, seed: int) -> Target:
        """The model as a Target; the seed is of a VAE's stochastic preprocessing."""
        return cast(Target, self.parts) if self.vae is None else VAETarget(self.vae, cast(Rows, self.parts), seed=seed)


def subject_of(model: Any, examples: Any = None) -> Subject:
    """Check a model and its examples, and hand them to the estimators as one.

    Parameters
    ----------
    model : VAE or Target
        The model.
    examples : Any, default None
        The examples of a VAE; None for a Target.

    Returns
    -------
    Subject
        The model and its examples.

    Raises
    ------
    InputError
        For a VAE without examples, or whose p(z) or p(x | z) reads x; a Target with examples, or with a member that
        gives wrong shapes or numbers; and any other object.
    """
    if isinstance(model, VAE):
        if examples is None:
            raise InputError("There are no examples to measure; give them beside the VAE.")
        rows = model.examples(examples)
        check_readings(model, rows)
        return Subject(rows, model, _quantity(model, rows), _hash_of(rows))
    missing = [name for name in _MEMBERS if not hasattr(model, name)]
    if missing:
        raise InputError(
            f"Estimators take a VAE with examples or a Target, and this {type(model).__name__} has no "
            f"{missing[0]}: see evidence.Target for what it needs."
        )
    if examples is not None:
        raise InputError("A Target has its examples already; give a VAE to measure others.")
    whole = isinstance(model.index, Tensor) and not model.index.is_floating_point()
    if not whole or model.index.dim() != 1:
        raise InputError("A target's index is one whole number per example, in a tensor [batch]; it keys their noise.")
    if not len(model.index):
        raise InputError("There are no examples; give at least one.")
    _try_out(model)
    return Subject(model, None, getattr(model, "quantity", None) or "log p(x)", _hash_of(model))


def _quantity(vae: VAE, rows: Rows) -> str:
    """What is estimated: log p(x, y) if the block y is known (where it is), of x_seen if cells are missing."""
    first = rows.rows(slice(0, 1))
    quantity = vae.quantity if first.seen is None else of_seen_cells(vae.quantity)
    masks = {name: mask for name, (_, mask) in getattr(rows, "observed", first.observed).items() if bool(mask.any())}
    known = ", ".join(name if bool(mask.all()) else f"{name} where known" for name, mask in masks.items())
    what = "p(x" if first.seen is None else "p(x_seen"
    return quantity.replace(what, f"{what}, {known}", 1) if known else quantity


def _hash_of(rows: Rows | Target) -> str | None:
    data = getattr(rows, "data", None)
    return data if isinstance(data, str) and data else None


def capability(target: Target, name: str, caller: str) -> Any:
    """An optional member of a target.

    Parameters
    ----------
    target : Target
        The model at its examples.
    name : {"simulate", "decoded"}
        The member.
    caller : str
        The estimator that needs it, for the message.

    Returns
    -------
    Any
        The member.

    Raises
    ------
    CapabilityError
        If the target has none.
    """
    if not hasattr(target, name):
        raise CapabilityError(
            f"evidence.{caller} asks a target for {_OFFERS[name]}, which this {type(target).__name__} does not have: "
            f"add it, or take evidence.ais, which needs none."
        )
    return getattr(target, name)


def picked(target: Target, chosen: Bool[Tensor, "batch"]) -> Iterator[tuple[Int64[Tensor, "_m"], Target]]:
    """The model at some of its examples, together where the target can pick them, else in runs of neighbours.

    Parameters
    ----------
    target : Target
        The model at its examples.
    chosen : Tensor
        Which of them, [batch] bool.

    Yields
    ------
    tuple of (Tensor, Target)
        Their places, [m], and the model at them.
    """
    places = chosen.nonzero()[:, 0]
    if not len(places):
        return
    if hasattr(target, "pick"):
        yield places, target.pick(places)
        return
    for run in places.tensor_split((places.diff() > 1).nonzero()[:, 0] + 1):
        yield run, target.rows(slice(int(run[0]), int(run[-1]) + 1))


@torch.no_grad()
def _try_out(target: Target) -> None:
    """Refuse members whose shapes would broadcast to wrong numbers, from three draws at the first example."""
    first, each = target.rows(slice(0, 1)), (3, 1)
    z, log_q = first.draw_posterior(3, 0)
    _check_fine("draw_posterior", z)
    _check_shape("draw_posterior's z", z, (*each, target.dim))
    _check_shape("draw_prior", first.draw_prior(3, 0), (*each, target.dim))
    _check_shape("draw_posterior's log q", log_q, each, (1, 1))
    for name in ("log_prior", "log_likelihood", "log_posterior"):
        _check_shape(name, found := getattr(first, name)(z), each, (1, 1))
        _check_fine(name, found)
    if not torch.allclose(log_q.expand(each), first.log_posterior(z).expand(each), rtol=1e-3, atol=1e-3):
        raise InputError(
            "A target's draw_posterior gives another log q(z | x) for its draws than log_posterior does: one is wrong."
        )
    if not torch.equal(first.index, target.index[:1]):
        raise InputError("A target's rows(slice(0, 1)) has another index than its first example.")
    _check_second(target)
    _check_keyed("draw_posterior", z, first.draw_posterior(1, 0, 2)[0])
    _check_keyed("draw_prior", first.draw_prior(3, 0), first.draw_prior(1, 0, 2))


def _check_second(target: Target) -> None:
    """Refuse densities of an example that change with the examples beside it."""
    if len(target.index) < 2:
        return
    both, alone = target.rows(slice(0, 2)), target.rows(slice(1, 2))
    z = both.draw_posterior(3, 0)[0]
    for name in ("log_prior", "log_likelihood", "log_posterior"):
        beside, own = (getattr(part, name)(at) for part, at in ((both, z), (alone, z[:, 1:])))
        if not torch.allclose(beside.expand(3, -1)[:, -1:], own.expand(3, 1), rtol=1e-3, atol=1e-3, equal_nan=True):
            raise InputError(
                f"A target's {name} of its second example changes with the first beside it: each is to be of one "
                f"example, and rows(slice(1, 2)) is to begin at the second."
            )


def _check_shape(name: str, found: Tensor, *allowed: tuple[int, ...]) -> None:
    if tuple(found.shape) not in allowed:
        raise InputError(
            f"A target's {name} of 3 draws at one example has shape {tuple(found.shape)} and needs {allowed[0]}: see "
            f"evidence.Target."
        )


def _check_fine(name: str, found: Tensor) -> None:
    if found.itemsize < 4:
        raise InputError(
            f"A target's {name} is in {found.dtype}, too coarse for log-densities: compute it in 32 bits or more."
        )


def _check_keyed(name: str, run: Tensor, last: Tensor) -> None:
    if not torch.allclose(run[2:], last, rtol=1e-3, atol=1e-6):
        raise InputError(
            f"A target's {name} gives another third draw when it is asked for alone (first_draw=2): draws are to "
            f"depend on (seed, example, draw) alone, as numerics.keyed_normal makes them."
        )
