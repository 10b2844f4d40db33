"""What evidence is asked of: a VAE with examples, or any object that is a `Target`."""

from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elbowroom.numerics import CapabilityError, InputError, Rows
from elbowroom.vae import VAE, VAETarget, check_readings

__all__ = ["Subject", "Target", "capability", "subject_of"]

_MEMBERS = ("index", "dim", "log_prior", "log_likelihood", "draw_posterior", "log_posterior", "draw_prior", "rows")

_OFFERS = {
    "simulate": "simulate(generator) -> (Target, z [1, batch, dim]), as many examples of the model's own and their z",
    "decoded": "decoded(z) -> (Distribution, x [1, batch, *event]), p(x | z) and what it is evaluated at",
}


@runtime_checkable
class Target(Protocol):
    """A model at fixed examples, over flat unconstrained latents z [draws, batch, dim]: all that evidence asks for.

    No class has to inherit from it. Log-densities are in nats, [draws, batch] (or [1, batch] where all draws have the
    same), and have gradients in z where Hamiltonian chains are to follow them. What is drawn depends on
    (seed, example, draw) alone, as `numerics.keyed_normal` makes it, so that neither memory nor batching changes a
    number. Floating type and device are those of the draws.

    Some estimators ask for more, by name, and say so where it is missing:
    `simulate(generator) -> (Target, z [1, batch, dim])`, as many examples drawn from the model, and the z that they
    came from (`bdmc`, `simulated_against_real`); `decoded(z) -> (Distribution, x [1, batch, *event])`, p(x | z) and
    what it is evaluated at (`conditional_log_likelihood`, squared error in `rate_distortion_curve`); `quantity`, a
    word for what log p(x) is of, "log p(x)" where there is none.

    Attributes
    ----------
    index : Int64[Tensor, "batch"]
        The place of each example in its data set, which keys its noise.
    dim : int
        Number of latent dimensions.

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
    >>> print(iwae(Sum(torch.tensor([0.0, 2.0]), torch.arange(2)), draws=2))      # log N(x; 0, 2)
    −1.77 nats ±0.00 (draws) ±0.50 (2 points), lower bound on log p(x), IWAE-2
    """

    index: Int64[Tensor, "batch"]
    dim: int

    def log_prior(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log p(z)."""
        ...

    def log_likelihood(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log p(x | z)."""
        ...

    def log_posterior(self, z: Float[Tensor, "draws batch dim"]) -> Float[Tensor, "_draws batch"]:
        """log q(z | x), of any z."""
        ...

    def draw_posterior(
        self, draws: int, seed: int, first_draw: int = 0
    ) -> tuple[Float[Tensor, "draws batch dim"], Float[Tensor, "_draws batch"]]:
        """z ~ q(z | x) and log q(z | x): draws first_draw, first_draw + 1, … of the run that the seed keys."""
        ...

    def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Float[Tensor, "draws batch dim"]:
        """z ~ p(z), draws of its own for every example: first_draw, first_draw + 1, … of the run that the seed keys."""
        ...

    def rows(self, rows: slice) -> "Target":
        """The same model at some of the examples."""
        ...


@dataclass(frozen=True)
class Subject:
    """What an estimator measures: a VAE and its examples, or a Target (then `vae` is None); either serves slices.

    parts: has `index`, and rows(slice) → a Batch or a Target; nothing holds more of it than the slice at work.
    """

    parts: Rows | Target
    vae: VAE | None
    quantity: str
    data: str | None = None

    @property
    def index(self) -> Int64[Tensor, "n"]:
        """The place of every example in its data set."""
        return self.parts.index

    def __len__(self) -> int:
        return len(self.index)

    def target(self, seed: int) -> Target:
        """As a target; seed: of a VAE's stochastic preprocessing."""
        return cast(Target, self.parts) if self.vae is None else VAETarget(self.vae, cast(Rows, self.parts), seed=seed)


def subject_of(model: Any, examples: Any = None) -> Subject:
    """A VAE with its examples, or a Target alone, made sure to be one.

    Raises InputError, in one sentence, for a VAE without examples, one whose p(z) or p(x | z) reads x, a Target with
    examples, and what is neither.
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
            f"Evidence is measured of a VAE with examples or of a Target, and this {type(model).__name__} has no "
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
    """What is bounded: log p(x, y) where the block y is known for some examples."""
    known = ", ".join(rows.rows(slice(0, 1)).observed)
    return vae.quantity.replace("p(x", f"p(x, {known}", 1) if known else vae.quantity


def _hash_of(rows: Rows | Target) -> str | None:
    data = getattr(rows, "data", None)
    return data if isinstance(data, str) and data else None


def capability(target: Target, name: str, caller: str) -> Any:
    """What a target may offer beside the Protocol. Raises CapabilityError, in words, where it does not."""
    if not hasattr(target, name):
        raise CapabilityError(
            f"evidence.{caller} asks a target for {_OFFERS[name]}, which this {type(target).__name__} does not have: "
            f"add it, or take evidence.ais, which needs none."
        )
    return getattr(target, name)


@torch.no_grad()
def _try_out(target: Target) -> None:
    """Refuse what would broadcast to wrong numbers, by three draws at the first example."""
    first, each = target.rows(slice(0, 1)), (3, 1)
    z, log_q = first.draw_posterior(3, 0)
    _check_shape("draw_posterior's z", z, (*each, target.dim))
    _check_shape("draw_prior", first.draw_prior(3, 0), (*each, target.dim))
    _check_shape("draw_posterior's log q", log_q, each, (1, 1))
    for name in ("log_prior", "log_likelihood", "log_posterior"):
        _check_shape(name, getattr(first, name)(z), each, (1, 1))
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
    """The second example has the densities that it has beside the first."""
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


def _check_keyed(name: str, run: Tensor, last: Tensor) -> None:
    if not torch.allclose(run[2:], last, rtol=1e-3, atol=1e-6):
        raise InputError(
            f"A target's {name} gives another third draw when it is asked for alone (first_draw=2): draws are to "
            f"depend on (seed, example, draw) alone, as numerics.keyed_normal makes them."
        )
