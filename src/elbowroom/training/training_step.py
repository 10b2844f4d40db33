"""The one module that is wrapped, stacked or distributed."""

import torch
from torch import Generator, Tensor, nn

from elbowroom.numerics import Batch, Noise, keyed_normal
from elbowroom.objectives import Loss, Objective
from elbowroom.procedures import Phase, Procedure
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

from .inference_tensors import leave_inference

__all__ = ["TrainingStep"]

_STREAM = 8_192  # of keyed noise: what objectives want beside the model's


class TrainingStep(nn.Module):
    """A model and its procedure as one module: forward(batch, noise, step, phase) → Loss.

    It is what is stacked or wrapped; its state holds the model and all objectives.

    Parameters
    ----------
    vae : VAE
        The model.
    objective : Objective or Procedure
        What it is trained by; an objective alone becomes a procedure of one phase.
    """

    def __init__(self, vae: VAE, objective: Objective | Procedure) -> None:
        super().__init__()
        self.vae = vae
        self.procedure = objective if isinstance(objective, Procedure) else Procedure({"objective": Phase(objective)})
        self.procedure.to(vae.device)
        leave_inference(self)

    def forward(self, batch: Batch, noise: Noise, step: Tensor, phase: str | None = None) -> Loss:
        """A phase's loss on a batch; `logged` holds all that is logged, detached.

        The main phase logs "objective", "rate" and "distortion" beside what the objective logs; another phase has its
        name before everything.

        Parameters
        ----------
        batch : Batch
            Examples.
        noise : dict of Tensor
            As `draw_noise` gives it.
        step : Tensor
            The number of the step, which schedules read.
        phase : str, optional
            By default the main one.

        Returns
        -------
        Loss
            Nats per example.
        """
        phase = phase or self.procedure.main
        objective = self.procedure[phase].objective
        if objective.draws < self.procedure.draws:
            noise = {name: value if name == "x" else value[: objective.draws] for name, value in noise.items()}
        loss: Loss = objective(self.vae, batch, noise, step)
        logged = {"objective": loss.total.detach(), **{name: value.detach() for name, value in loss.logged.items()}}
        if phase == self.procedure.main:
            logged |= self._rate_and_distortion(loss.terms, batch, noise)
        else:
            logged = {f"{phase}.{name}": value for name, value in logged.items()}
        return Loss(self._with_penalties(loss.total), None, logged, loss.moved)

    def _with_penalties(self, total: Tensor) -> Tensor:
        """The total, and what components have against their weights."""
        for part in self.vae.prior.values():
            penalty = part.weight_penalty()
            total = total if penalty is None else total + penalty
        return total

    def moved_by(self, phase: str) -> dict[str, nn.Parameter]:
        """The parameters that a phase moves, by name; one that stands in several places has its first name."""
        prefixes = tuple(self.prefix(phase, part) for part in self.procedure[phase].parts)
        every = self.named_parameters(remove_duplicate=False)
        found = {id(parameter) for name, parameter in every if f"{name}.".startswith(prefixes)}
        return {name: p for name, p in self.named_parameters() if p.requires_grad and id(p) in found}

    def prefix(self, phase: str, part: str) -> str:
        """How the names of a part's parameters begin.

        Parameters
        ----------
        phase : str
            Of the procedure.
        part : str
            "objective", "vae" or a part of the model, such as "likelihood".

        Returns
        -------
        str
            Such as "vae.likelihood.".
        """
        if part == "objective":
            return f"procedure.phases.{phase}.objective."
        return "vae." if part == "vae" else f"vae.{part}."

    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the normals of a draw for an example: the model's by block, then the objectives' by their names."""
        blocks = {name: block.noise_shape for name, block in self.vae.posterior.items()}
        return blocks | self.procedure.noise_shapes(self.vae)

    def draw_noise(self, draws: int, batch: int, generator: Generator) -> Noise:
        """Draw the noise of an update: the model's, then what the objectives need beside it.

        Parameters
        ----------
        draws : int
            Of z, per example.
        batch : int
            Examples.
        generator : Generator
            The source of the noise.

        Returns
        -------
        dict of Tensor
            Block → [draws, batch, *noise_shape]; "x" → [batch, *event].
        """
        noise = self.vae.draw_noise(draws, batch, generator)
        device, dtype = generator.device, self.vae.dtype
        for name, shape in self.procedure.noise_shapes(self.vae).items():
            noise[name] = torch.randn(draws, batch, *shape, generator=generator, device=device, dtype=dtype)
        return noise

    def keyed_noise(self, draws: int, index: Tensor, seed: int) -> Noise:
        """The same noise, determined by (seed, example) alone.

        Parameters
        ----------
        draws : int
            Of z, per example.
        index : Tensor
            [batch] int64, the place of each example in the data set.
        seed : int
            Keys the noise.

        Returns
        -------
        dict of Tensor
            Block → [draws, batch, *noise_shape]; "x" → [batch, *event].
        """
        noise = self.vae.keyed_noise(draws, index, seed)
        for own, (name, shape) in enumerate(self.procedure.noise_shapes(self.vae).items(), _STREAM):
            normals = keyed_normal(shape, draws, index, seed, stream=own)
            noise[name] = normals.to(self.vae.device, self.vae.dtype)
        return noise

    @torch.no_grad()
    def _rate_and_distortion(self, terms: Terms | None, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        terms = self.vae(batch, noise) if terms is None else terms
        return {"rate": terms.rate().mean(), "distortion": -terms.log_likelihood.mean()}
