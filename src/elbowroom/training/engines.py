"""Engines: how an update is made. One model alone, many stacked as one, or one wrapped by Lightning Fabric."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim.adam import adam as adam_update

from elbowroom.numerics import Batch, InputError, Noise

from .step import TrainingStep

__all__ = ["Adam", "Alone", "Engine", "Stacked"]

Record = dict[str, Tensor]


@dataclass(frozen=True)
class Adam:
    """Settings of the optimizer. clip: largest norm of a model's gradient; None does not clip.

    lr_final: where the learning rate ends, falling by the same factor every epoch; None keeps it.
    """

    lr: float = 1e-3
    lr_final: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("lr", self.lr), ("lr_final", self.lr_final), ("clip", self.clip)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} must be a positive number; got {value}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas of Adam are two numbers from 0 to below 1; got {self.betas}.")

    def rate_at(self, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch (from 1): `lr` in the first, `lr_final` in the last.

        >>> [round(Adam(1e-3, 1e-5).rate_at(epoch, 3), 6) for epoch in (1, 2, 3)]
        [0.001, 0.0001, 1e-05]
        """
        if self.lr_final is None or epochs == 1:
            return self.lr
        return float(self.lr * (self.lr_final / self.lr) ** ((epoch - 1) / (epochs - 1)))

    def over(self, parameters: Sequence[Tensor]) -> torch.optim.Adam:
        """The fused optimizer over these parameters."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, fused=True)


@runtime_checkable
class Engine(Protocol):
    """Updates one or more members; records have one leading dimension of members, or none where there is one."""

    members: int
    adam: Adam
    optimizer: torch.optim.Optimizer

    def update(self, batch: Batch, noise: Noise, step: Tensor, share: float) -> Record:
        """One optimizer step; the batch means before it, [members] each.

        share: of this process in the batch, times the number of processes: 1 where all have equally many examples.
        """
        ...

    def over_processes(self, totals: Record) -> Record:
        """Sums over all processes."""
        ...

    def evaluate(self, batch: Batch, noise: Noise) -> Record:
        """Batch means after every schedule has ended, without gradient, [members] each."""
        ...

    def state(self, member: int) -> dict[str, Tensor]:
        """Parameters and buffers of the member's model, by name."""
        ...

    def optimizer_state(self, member: int) -> dict[str, Tensor]:
        """The optimizer's state for the member: "exp_avg.<name>", "exp_avg_sq.<name>", "step"."""
        ...

    def restore(self, states: Sequence[Mapping[str, Tensor]], optimizers: Sequence[Mapping[str, Tensor]]) -> None:
        """Continue from states that `state` and `optimizer_state` gave, one of each per member."""
        ...


class Alone:
    """One model, a plain loop; `fabric` wraps the step and the optimizer where it is given."""

    def __init__(self, step: TrainingStep, adam: Adam, fabric: Any = None) -> None:
        self.members, self.step, self.adam, self.fabric = 1, step, adam, fabric
        self.parameters = {name: p for name, p in step.named_parameters() if p.requires_grad}
        self.optimizer: torch.optim.Optimizer = adam.over(list(self.parameters.values()))
        self.wrapped: Any = step
        if fabric is not None:
            self.wrapped, self.optimizer = fabric.setup(step, self.optimizer)
            self.parameters = {name: p for name, p in step.named_parameters() if p.requires_grad}

    def update(self, batch: Batch, noise: Noise, step: Tensor, share: float) -> Record:
        """One optimizer step."""
        loss = self.wrapped(batch, noise, step)
        for parameter in self.parameters.values():
            parameter.grad = None
        if self.fabric is None:
            loss.total.backward()
        else:
            self.fabric.backward(loss.total * share)
        if self.adam.clip is not None:
            self._clip(self.adam.clip)
        if self.fabric is None:
            _advance(self.optimizer)
        else:
            self.optimizer.step()
        return loss.record

    def _clip(self, most: float) -> None:
        if self.fabric is None:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), most)
        else:  # gradients of half precision are scaled, and only Fabric knows by how much
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=most, error_if_nonfinite=False)

    def over_processes(self, totals: Record) -> Record:
        """Sums over the processes of Fabric."""
        if self.fabric is None or self.fabric.world_size == 1:
            return totals
        return {name: self.fabric.all_reduce(value, reduce_op="sum") for name, value in totals.items()}

    @torch.no_grad()
    def evaluate(self, batch: Batch, noise: Noise) -> Record:
        """The record after the schedule, in evaluation mode."""
        self.step.eval()
        record = self.step(batch, noise, torch.tensor(torch.inf)).record
        self.step.train()
        return {name: value[None] for name, value in record.items()}

    def state(self, member: int) -> dict[str, Tensor]:
        """Copies of the model's parameters and buffers."""
        return {name: value.detach().cpu().clone() for name, value in self.step.vae.state_dict().items()}

    def optimizer_state(self, member: int) -> dict[str, Tensor]:
        """Copies of Adam's moments by parameter name."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            moments = self.optimizer.state.get(parameter)
            if moments:
                found[f"exp_avg.{name}"] = moments["exp_avg"].detach().cpu().clone()
                found[f"exp_avg_sq.{name}"] = moments["exp_avg_sq"].detach().cpu().clone()
                found["step"] = moments["step"].detach().cpu().clone()
        return found

    def restore(self, states: Sequence[Mapping[str, Tensor]], optimizers: Sequence[Mapping[str, Tensor]]) -> None:
        """Continue where a checkpoint stopped."""
        self.step.vae.load_state_dict(states[0])
        for name, parameter in self.parameters.items():
            if "step" in optimizers[0]:
                self.optimizer.state[parameter] = _moments(optimizers[0], name, parameter)


class Stacked:
    """Many models of one structure, trained as one by `vmap`: each gets the noise, and the bits, it would get alone."""

    def __init__(self, steps: Sequence[TrainingStep], adam: Adam) -> None:
        self.members, self.adam = len(steps), adam
        parameters, self.buffers = stack_module_state(list(steps))
        learned = {name for name, p in steps[0].named_parameters() if p.requires_grad}
        self.fixed = {name: p.detach() for name, p in parameters.items() if name not in learned}
        self.learned = {name: p.detach().requires_grad_() for name, p in parameters.items() if name in learned}
        self.optimizer: torch.optim.Optimizer = adam.over(list(self.learned.values()))
        self.skeleton = copy.deepcopy(steps[0])
        lanes = (0, 0, 0, None, None, None)
        self._gradients = vmap(grad_and_value(self._loss, has_aux=True), in_dims=lanes)
        self._losses = vmap(self._loss, in_dims=lanes)

    def _loss(
        self, learned: Record, fixed: Record, buffers: Record, batch: Batch, noise: Noise, step: Tensor
    ) -> tuple[Tensor, Record]:
        loss = functional_call(self.skeleton, (learned, fixed, buffers), (batch, noise, step))
        return loss.total, loss.record

    def over_processes(self, totals: Record) -> Record:
        """The sums themselves: a stack trains in one process."""
        return totals

    def update(self, batch: Batch, noise: Noise, step: Tensor, share: float) -> Record:
        """One optimizer step of every member."""
        gradients, (_, record) = self._gradients(self.learned, self.fixed, self.buffers, batch, noise, step)
        if self.adam.clip is not None:
            gradients = _clipped(gradients, self.adam.clip)
        for name, parameter in self.learned.items():
            parameter.grad = gradients[name]
        _advance(self.optimizer)
        return record

    @torch.no_grad()
    def evaluate(self, batch: Batch, noise: Noise) -> Record:
        """The record of every member after its schedule."""
        self.skeleton.eval()
        end = torch.tensor(torch.inf)
        record = self._losses(self.learned, self.fixed, self.buffers, batch, noise, end)[1]
        self.skeleton.train()
        return record

    def state(self, member: int) -> dict[str, Tensor]:
        """Copies of one member's parameters and buffers, under the names they have alone."""
        everything = {**self.learned, **self.fixed, **self.buffers}
        names = self.skeleton.vae.state_dict().keys()
        return {name: everything[f"vae.{name}"][member].detach().cpu().clone() for name in names}

    def optimizer_state(self, member: int) -> dict[str, Tensor]:
        """One member's slice of Adam's moments."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.learned.items():
            moments = self.optimizer.state.get(parameter)
            if moments:
                found[f"exp_avg.{name}"] = moments["exp_avg"][member].detach().cpu().clone()
                found[f"exp_avg_sq.{name}"] = moments["exp_avg_sq"][member].detach().cpu().clone()
                found["step"] = moments["step"].detach().cpu().clone()
        return found

    def restore(self, states: Sequence[Mapping[str, Tensor]], optimizers: Sequence[Mapping[str, Tensor]]) -> None:
        """Continue where the members' checkpoints stopped."""
        stored = {**self.learned, **self.fixed, **self.buffers}
        with torch.no_grad():
            for name in states[0]:
                stored[f"vae.{name}"].copy_(torch.stack([state[name] for state in states]))
        for name, parameter in self.learned.items():
            if "step" in optimizers[0]:
                keys = (f"exp_avg.{name}", f"exp_avg_sq.{name}")
                stacked = {key: torch.stack([optimizer[key] for optimizer in optimizers]) for key in keys}
                self.optimizer.state[parameter] = _moments({**stacked, "step": optimizers[0]["step"]}, name, parameter)


def _advance(optimizer: torch.optim.Optimizer) -> None:
    """One step of fused Adam, with the bits of `optimizer.step()` but not the bookkeeping, a third of its time."""
    group = optimizer.param_groups[0]
    parameters = [p for p in group["params"] if p.grad is not None]
    states = [optimizer.state[p] for p in parameters]
    if not all(states):  # the first step of a parameter makes its state
        optimizer.step()
        return
    averages, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    settings = {name: group[name] for name in ("lr", "weight_decay", "eps", "amsgrad", "maximize", "fused")}
    beta1, beta2 = group["betas"]
    with torch.no_grad():
        gradients = [p.grad for p in parameters]
        adam_update(parameters, gradients, averages, squares, [], steps, beta1=beta1, beta2=beta2, **settings)


def _moments(state: Mapping[str, Tensor], name: str, like: Tensor) -> dict[str, Tensor]:
    return {
        "step": state["step"].clone().to(like.device),
        "exp_avg": state[f"exp_avg.{name}"].to(like.device, copy=True),
        "exp_avg_sq": state[f"exp_avg_sq.{name}"].to(like.device, copy=True),
    }


def _clipped(gradients: Record, most: float) -> Record:
    """Each member's gradient scaled to norm `most` where it is longer."""
    squares = torch.stack([g.reshape(len(g), -1).square().sum(1) for g in gradients.values()])
    factor = (most / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    return {name: g * factor.view(-1, *[1] * (g.dim() - 1)) for name, g in gradients.items()}
