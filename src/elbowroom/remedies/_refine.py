"""A q of its own for each example, from the encoder's on: what the encoder loses by amortisation."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from elbowroom import evidence
from elbowroom.evidence.memory import Bytes
from elbowroom.networks import PerExample
from elbowroom.numerics import Batch, Estimate, InputError, Noise, Rows, derived_seed, own_modes, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.numbers import numbers_of, with_numbers

from .steps_of_q import Steps, fresh_noise, steps_of

__all__ = ["Refinement", "refine"]

_ROWS_AT_ONCE, _BYTES = 1_000, 2**30
_REFINED = 0x2EF  # a stream of its own: the noise by which q is refined is not that by which it is measured
_BETAS, _EPSILON = (0.9, 0.9), 1e-8  # slopes fall by the powers of ten that q was off: old ones are forgotten
_COMPARED = 32  # fresh draws by which the end of an example's steps is held against their start


@dataclass(frozen=True)
class Refinement:
    """A model whose q is refined for some examples, and its bounds on them before and after, in nats per example.

    Parameters
    ----------
    vae : VAE
        A new model with the same p, whose posterior has numbers of its own for each of these examples and for no other.
    elbo_before : Estimate
        ELBO with the encoder's q.
    elbo_after : Estimate
        ELBO with the refined q, of the same family.
    """

    vae: VAE
    elbo_before: Estimate
    elbo_after: Estimate

    @property
    def amortisation_gap(self) -> Estimate:
        """What is lost because one network serves all examples: the refined ELBO minus the encoder's."""
        return self.elbo_after - self.elbo_before

    def __str__(self) -> str:
        gap = self.amortisation_gap
        return (
            f"refined q: ELBO {self.elbo_before.mean:.2f} → {self.elbo_after.mean:.2f} nats; the encoder loses "
            f"{gap.mean:.2f} ± {gap.se_total:.2f} by amortisation"
        )


@own_modes
@plain_arguments
def refine(
    vae: VAE,
    examples: Any,
    *,
    steps: int = 300,
    lr: float = 0.1,
    refine_draws: int = 8,
    draws: int = 64,
    seed: int = 0,
) -> Refinement:
    """Keep p, and give every example a q of its own, which starts where the encoder's is and climbs the ELBO.

    The ELBO that is won is the amortisation gap; what is still missing to log p(x) the family of q loses. An example
    whose ELBO the steps did not raise keeps the encoder's q.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    examples : Rows, Batch, array, tensor, DataFrame or list
        [n, *event] on the user's scale.
    steps : int, default 300
        Steps of Adam on the numbers of each example: means and raw spreads of a normal, the context of a flow.
    lr : float, default 0.1
        Learning rate, in units of q's own spread at each example. Means that are far off begin with longer steps; the
        last step of all is a hundredth of it.
    refine_draws : int, default 8
        Of z, per example and step.
    draws : int, default 64
        Of z, per example, for the bounds reported, whose noise the steps have not seen.
    seed : int, default 0
        Keys all noise. Where x is dequantised or binarised at random, q is refined for the x of this seed.

    Returns
    -------
    Refinement
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For settings below their least values, or an example that is given twice.
    CapabilityError
        Where a block of q reads another's draws, or has no network.

    References
    ----------
    Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018).
    Hoffman, Blei, Wang & Paisley, "Stochastic variational inference" (2013).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = refine(vae, digits.test[:20], steps=20, draws=8)
    >>> found.amortisation_gap.mean > 0, found.vae.posterior["z"].given
    (True, ('index',))
    """
    if min(steps, refine_draws, draws) < 1 or not lr > 0:
        raise InputError(
            f"refine needs steps and draws of 1 or more and a positive lr; got {steps}, {refine_draws}, {draws}, {lr}."
        )
    rows, after = vae.examples(examples), copy.deepcopy(vae).eval().requires_grad_(False)
    found: dict[str, list[Tensor]] = {name: [] for name in vae.posterior}
    at_once = _rows_at_once(after, rows, refine_draws, seed)
    for part, start in enumerate(range(0, len(rows), at_once)):
        batch = rows.rows(slice(start, start + at_once))
        generator = Generator(vae.device).manual_seed(derived_seed(derived_seed(seed, _REFINED), part))
        for name, numbers in _refined(after, batch, steps, lr, refine_draws, seed, generator).items():
            found[name].append(numbers)
    for name, block in list(after.posterior.items()):
        numbers = torch.cat(found[name])
        table = PerExample(*numbers.shape).to(numbers).of(rows.index.to(numbers.device), numbers)
        after.posterior[name] = block.with_network(table, ("index",))
    after.requires_grad_(True)
    return Refinement(after, *(evidence.elbo(model, rows, draws=draws, seed=seed) for model in (vae, after)))


@torch.no_grad()
def _rows_at_once(vae: VAE, rows: Rows, draws: int, seed: int) -> int:
    """How many examples with all their draws a pass holds for its gradient."""
    one = rows.rows(slice(0, 1))
    with Bytes() as made:
        vae(one, vae.keyed_noise(1, one.index, seed))
    return max(1, min(_ROWS_AT_ONCE, _BYTES // (draws * made.total)))


def _refined(
    vae: VAE, batch: Batch, steps: int, lr: float, draws: int, seed: int, generator: Generator
) -> dict[str, Tensor]:
    """The numbers by which each example's ELBO is greatest, from those of the encoder on."""
    fixed = vae.keyed_noise(0, batch.index, seed)
    with torch.no_grad():
        begun = {name: value.clone() for name, value in numbers_of(vae, batch, fixed).items()}
    sizes = steps_of(vae, batch, begun, fixed, seed, generator)
    numbers = {name: value.clone().requires_grad_() for name, value in begun.items()}
    leaves, adam = list(numbers.values()), _Adam(list(numbers.values()), list(sizes.values()), lr, steps)

    def elbo(of: dict[str, Tensor], noise: Noise) -> Tensor:
        terms = vae(batch, noise, posterior=with_numbers(vae, of))
        return (terms.log_likelihood - terms.rate()).mean(0)

    def drawn() -> Noise:
        return fresh_noise(vae, draws, batch, fixed, generator)

    for _ in range(steps):
        adam.step(torch.autograd.grad(-elbo(numbers, drawn()).sum(), leaves))
    with torch.no_grad():
        noises = [drawn() for _ in range(max(1, _COMPARED // draws))]
        won = torch.stack([elbo(numbers, noise) - elbo(begun, noise) for noise in noises]).mean(0)
        return {name: torch.where((won > 0).unsqueeze(1), value, begun[name]) for name, value in numbers.items()}


class _Adam:
    """The steps of torch.optim.Adam, whose first use loads torch's compiler, a second of every audit."""

    def __init__(self, leaves: Sequence[Tensor], sizes: Sequence[Steps], lr: float, steps: int) -> None:
        self.leaves, self.taken = leaves, 0
        self.rates = [lr * one.first for one in sizes]
        self.decays = [(one.last / one.first) ** (1 / steps) for one in sizes]
        self.units = [one.last for one in sizes]  # in which a gradient is as large whatever the scale of z
        self.moments = [(torch.zeros_like(leaf), torch.zeros_like(leaf)) for leaf in leaves]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the leaves against their gradients; the rates fall by their factors."""
        self.taken += 1
        first, second = (1 - beta**self.taken for beta in _BETAS)
        for k, (leaf, (mean, square)) in enumerate(zip(self.leaves, self.moments, strict=True)):
            gradient = gradients[k] * self.units[k]
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            leaf.addcdiv_(self.rates[k] * mean, (square.sqrt() / second**0.5).add_(_EPSILON), value=-1 / first)
            self.rates[k] *= self.decays[k]
