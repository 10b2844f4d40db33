"""Draws of z from p(z | x_seen): weighted draws of the encoder, or annealed ones where their weights are unreliable."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.evidence.annealed import draw_start, frozen_plan, in_groups, path_from, transition_noise
from elbowroom.evidence.importance import log_mean_exp, pareto_shape
from elbowroom.evidence.memory import Memory
from elbowroom.evidence.model_passes import Pass, run_passes
from elbowroom.evidence.target import Subject, Target
from elbowroom.numerics import Batch, CapabilityError, Rows, derived_seed, keyed_uniform
from elbowroom.numerics.streams import IMPUTATION, PRIOR
from elbowroom.progress import Progress
from elbowroom.sampling.annealing import annealing
from elbowroom.sampling.resampling import Resampling, systematic
from elbowroom.vae import VAE, check_readings

from .imputations import UNRELIABLE

__all__ = ["Group", "Posterior"]

_FEWEST_EFFECTIVE = 50  # draws that carry the weight; k̂ is an estimate too, and may miss what these show
_CHAINS, _LEAPFROG = 64, 5
_FEWEST_CHAINS = 10  # that carry the weight at every temperature, for draws that are spread as p(z | x_seen) is
_TOO_FEW = (
    f"Fewer than {_FEWEST_CHAINS} of {_CHAINS} annealed chains carry the weight of some examples at some temperature, "
    "so that their draws may lie too close together: say more temperatures than {:,}."
)


@dataclass(frozen=True)
class Group:
    """Some examples with missing cells, and draws of their z.

    Parameters
    ----------
    places : array [n]
        Where they stand among all examples.
    batch : Batch
        The examples.
    z : Tensor
        Draws from p(z | x_seen), [samples, n, dim], float64 on the CPU: every latent block, in the prior's order.
    khat : Tensor
        Of the encoder's weights, [n].
    annealed : Tensor
        Whether z come from annealing, [n] bool.
    unreliable : Tensor
        Whether z should have come from annealing and could not, or too few annealed chains count, [n] bool.
    notes : list of str
        What a person should know.
    """

    places: NDArray[np.int64]
    batch: Batch
    z: Tensor
    khat: Tensor
    annealed: Tensor
    unreliable: Tensor
    notes: list[str]


class _Some:
    """Rows of examples at some places."""

    def __init__(self, rows: Rows, places: NDArray[np.int64]) -> None:
        self.all, self.places = rows, torch.from_numpy(places)
        self.index = rows.index[self.places]

    def __len__(self) -> int:
        return len(self.places)

    def rows(self, positions: Tensor | slice) -> Batch:
        """The examples at these of the places."""
        return self.all.rows(self.places[positions])


@dataclass(frozen=True)
class Posterior:
    """How z are drawn from p(z | x_seen).

    Parameters
    ----------
    vae : VAE
        The model.
    draws : int
        Draws of the encoder that are weighted, per example.
    samples : int
        How many are kept.
    temperatures : int
        Annealing steps, where they are needed.
    seed : int
        Keys all noise, by example.
    memory : int or str
        What a pass may hold.
    """

    vae: VAE
    draws: int
    samples: int
    temperatures: int
    seed: int
    memory: Memory

    def of(self, rows: Rows, places: NDArray[np.int64], bar: Progress) -> Iterator[Group]:
        """Draws for the examples at these places, in groups that fit the memory, in order."""
        if not len(places):
            return
        some, first = _Some(rows, places), 0
        check_readings(self.vae, some)
        subject = Subject(some, self.vae, "log p(x_seen)")
        for log_weights, z in run_passes(subject, self._pass(), self.draws, self.memory, bar):
            here = places[first : first + z.shape[1]]
            batch = some.rows(slice(first, first + len(here)))
            khat = pareto_shape(log_weights)
            poor = (khat > UNRELIABLE) | (log_mean_exp(log_weights).ess < min(_FEWEST_EFFECTIVE, self.draws / 4))
            kept = resampled(log_weights, z, batch.index, self.samples, self.seed)
            kept, annealed, unreliable, notes = self._repaired(rows, here, kept, poor)
            yield Group(here, batch, kept, khat, annealed, unreliable, notes)
            first += len(here)

    def _pass(self) -> Pass:
        """Log-weights [draws, batch] and z [draws, batch, dim] of draws of the encoder."""
        vae, seed = self.vae, self.seed

        def one_pass(batch: Any, draws: int, first: int) -> tuple[Tensor, ...]:
            noise = vae.keyed_noise(draws, batch.index, seed, first)
            terms = vae(batch, noise, lay_out=False)
            z = torch.cat([terms.z[name].expand(draws, -1, *one.event).flatten(2) for name, one in self._blocks], -1)
            unknown = vae.mask_of(batch)[1]
            if unknown is not None and bool(unknown.any()):  # its posterior is the prior
                given, _ = vae.given(batch, noise)
                given = vae.keyed_prior(given, draws, batch.index, seed, first, PRIOR, batch.observed)
                drawn = torch.cat([given[name].flatten(2) for name, _ in self._blocks], -1)
                z = torch.where(unknown.unsqueeze(-1), drawn, z)
            return terms.log_weight, z

        return one_pass

    @property
    def _blocks(self) -> Any:
        return self.vae.prior.items()

    def _repaired(
        self, rows: Rows, places: NDArray[np.int64], z: Tensor, poor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """z with annealed draws where the weights are unreliable; which those are, and which still are; and notes."""
        if not bool(poor.any()):
            return z, poor, poor, []
        try:
            target = self.vae.target(_Some(rows, places[poor.numpy()]), seed=self.seed)
            drawn, effective = self._annealed(target)
        except CapabilityError as error:
            return z, torch.zeros_like(poor), poor, [f"z could not be annealed: {error}"]
        z, few = z.clone(), poor.clone()
        z[:, poor], few[poor] = drawn, effective < _FEWEST_CHAINS
        return z, poor, few, [_TOO_FEW.format(self.temperatures)] * bool(few.any())

    def _annealed(self, target: Target) -> tuple[Tensor, Tensor]:
        """Draws from p(z | x_seen), [samples, n, dim], of chains that begin at p(z), and how many always counted."""
        seed, found, effective = derived_seed(self.seed, IMPUTATION), [], []
        for part in in_groups(target, lambda one: path_from(one, "prior"), _CHAINS, self.memory):
            plan = frozen_plan(part, "prior", "sigmoid", self.temperatures, _LEAPFROG, seed)
            z = draw_start(part, "prior", _CHAINS, seed)
            noise = transition_noise(part, z, seed, len(plan.step_sizes))
            uniforms = keyed_uniform((len(plan.betas) - 1,), part.index.cpu(), derived_seed(seed, IMPUTATION))
            again = Resampling(uniforms.mT.to(z))
            (last,) = deque(annealing(path_from(part, "prior"), z, plan, noise, again), maxlen=1)
            z, weights = last.state.z.detach().double().cpu(), last.log_weights.detach().cpu()
            found.append(resampled(weights, z, part.index, self.samples, self.seed))
            effective.append(again.effective.cpu())
        return torch.cat(found, 1), torch.cat(effective)


def resampled(
    log_weights: Float[Tensor, "draws n"],
    z: Float[Tensor, "draws n dim"],
    index: Tensor,
    samples: int,
    seed: int,
) -> Float[Tensor, "samples n dim"]:
    """Draws chosen in proportion to their weights, by systematic resampling, in an order that is shuffled.

    Parameters
    ----------
    log_weights : Tensor
        [draws, n], in nats.
    z : Tensor
        [draws, n, dim].
    index : Tensor
        The place of each example in its data set, [n], which keys the one uniform that it takes.
    samples : int
        How many are chosen.
    seed : int
        Of the uniforms.

    Returns
    -------
    Tensor
        [samples, n, dim].

    Examples
    --------
    >>> z = torch.arange(3.0).view(3, 1, 1)
    >>> sure = torch.tensor([[0.0], [0.0], [-torch.inf]])
    >>> sorted(resampled(sure, z, torch.zeros(1, dtype=torch.int64), 4, 0).flatten().tolist())
    [0.0, 0.0, 1.0, 1.0]
    """
    uniform = keyed_uniform((1,), index.cpu(), derived_seed(seed, IMPUTATION))[:, 0].double()
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(samples))
    chosen = systematic(log_weights, uniform, samples)[order]
    return z.take_along_dim(chosen.unsqueeze(-1), 0)
