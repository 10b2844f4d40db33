"""Engines: how a step is made. One model alone, or many stacked as one."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from elbowroom.numerics import Batch, Noise, whole_products
from elbowroom.objectives import Loss
from elbowroom.procedures import Phase

from .adam import MOMENTS, Adam, Moves
from .lanes import Batches, Noises, tensors_of
from .padding import Padding, largest, sizes
from .silu import with_one_pass
from .traced import Traced
from .training_step import TrainingStep

__all__ = ["Adam", "Alone", "Engine", "Tensors", "Stacked"]

Tensors = dict[str, Tensor]


class Engine:
    """Updates one model or several; what it logs has a leading dimension of members, or none where there is one.

    A subclass makes one step of one phase (`move`), evaluates one, and knows where its tensors are; the order of the
    steps is the procedure's.

    Parameters
    ----------
    step : TrainingStep
        The step, or one like those that are stacked.
    adams : sequence of Adam
        Settings of the optimizer, one for each member, for phases without their own.
    parameters : mapping of str to dict
        Phase → the parameters that it moves, by name.
    """

    members: int
    buffers: Tensors
    batches: Callable[[], tuple[Batch, Noise]]
    """Draws a further batch and its noise; the loop, which has the data, sets it."""

    def __init__(self, step: TrainingStep, adams: Sequence[Adam], parameters: Mapping[str, Tensors]) -> None:
        self.step, self.names = step, _first_names(step)
        self.moves = {
            name: Moves(parameters[name], [_settings(phase, adam) for adam in adams])
            for name, phase in step.procedure.items()
        }

    def begin(self, epoch: int, epochs: int) -> None:
        """Set the learning rates of an epoch (from 1)."""
        for moves in self.moves.values():
            moves.begin(epoch, epochs)

    def update(self, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        """One update as the procedure orders it; batch means before each of its steps, [members] each."""
        return self.step.procedure.update(self, batch, noise, clock)

    def another(self) -> tuple[Batch, Noise]:
        """A further batch and its noise, from the loop that trains."""
        return self.batches()

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        """One optimizer step of a phase; the batch means before it, [members] each."""
        raise NotImplementedError

    def evaluate(self, batch: Batch, noise: Noise) -> Tensors:
        """Batch means of all phases after their schedules, in evaluation mode without gradient, [members] each."""
        logged: Tensors = {}
        self.step.eval()
        with torch.no_grad(), whole_products():
            for phase in self.moves:
                logged |= self._evaluate(phase, batch, noise, torch.tensor(torch.inf))
        self.step.train()
        return logged

    def after_epoch(self, means: Mapping[str, Tensor]) -> None:
        """Tell the procedure what was logged on validation; one that listens is trained alone."""
        self.step.procedure.after_epoch({name: float(value[0]) for name, value in means.items()})

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone: one of several that has stopped is to cost nothing."""
        raise NotImplementedError

    def noises(self, noises: Sequence[Noise]) -> Noise:
        """The noise of all members, where each has its own."""
        raise NotImplementedError

    def summed(self, totals: Tensors) -> Tensors:
        """Sums over all processes: these, where there is one."""
        return totals

    def write(self, phase: str, moved: Mapping[str, Tensor]) -> None:
        """Give the buffers of a phase's objective their new values."""
        for name, value in moved.items():
            self.buffers[self.names[self.step.prefix(phase, "objective") + name]].copy_(value.detach())

    def state(self, member: int) -> Tensors:
        """Copies of parameters and buffers of the member's model and objectives, by name."""
        raise NotImplementedError

    def optimizer_state(self, member: int) -> Tensors:
        """Copies of the member's moments: "PHASE.exp_avg.NAME", "PHASE.exp_avg_sq.NAME", "PHASE.step"."""
        found: Tensors = {}
        for phase, moves in self.moves.items():
            for name in moves.parameters:
                if state := moves.state(name):
                    found |= {f"{phase}.{key}.{name}": self._one(name, state[key], member) for key in MOMENTS}
                    found[f"{phase}.step.{name}"] = state["step"].detach().cpu().clone()
        return found

    def restore(self, states: Sequence[Tensors], optimizers: Sequence[Tensors]) -> None:
        """Continue from states that `state` and `optimizer_state` gave, one of each per member."""
        self._load(states)
        for phase, moves in self.moves.items():
            for name in moves.parameters:
                if f"{phase}.step.{name}" in optimizers[0]:
                    state = {
                        key: self._all(name, [one[f"{phase}.{key}.{name}"] for one in optimizers]) for key in MOMENTS
                    }
                    moves.restore(name, state | {"step": optimizers[0][f"{phase}.step.{name}"]})

    def _evaluate(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        raise NotImplementedError

    def _load(self, states: Sequence[Tensors]) -> None:
        raise NotImplementedError

    def _one(self, name: str, tensor: Tensor, member: int) -> Tensor:
        """A copy of a member's part of the tensor of that name."""
        return tensor.detach().cpu().clone()

    def _all(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        """One tensor of the members' parts."""
        return tensors[0]


class Alone(Engine):
    """One model, trained by a plain loop.

    Parameters
    ----------
    step : TrainingStep
        Model and procedure.
    adam : Adam
        Settings of the optimizer.
    """

    members = 1

    def __init__(self, step: TrainingStep, adam: Adam) -> None:
        super().__init__(step, [adam], {name: dict(step.moved_by(name)) for name in step.procedure.phases})
        self.buffers = dict(step.named_buffers())

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        """One optimizer step."""
        moves, loss = self.moves[phase], self.step(batch, noise, clock, phase)
        parameters = list(moves.parameters.values())
        for parameter in parameters:
            parameter.grad = None
        loss.total.backward(inputs=parameters)
        if moves.adam.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, moves.adam.clip)
        moves.optimizer.step()
        self.write(phase, loss.moved)
        return dict(loss.logged)

    def state(self, member: int) -> Tensors:
        """Copies of the step's parameters and buffers."""
        return {name: value.detach().cpu().clone() for name, value in self.step.state_dict().items()}

    def _evaluate(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        return {name: value[None] for name, value in self.step(batch, noise, clock, phase).logged.items()}

    def _load(self, states: Sequence[Tensors]) -> None:
        self.step.load_state_dict(states[0])


class Stacked(Engine):
    """Many models of one structure, trained as one by `vmap`: each gets the noise, and the bits, it would get alone.

    They may differ in their latent sizes: then each has the shape of the largest, with units that it never sees, and is
    what it would be alone up to rounding.

    Parameters
    ----------
    steps : sequence of TrainingStep
        Alike but for their numbers, and latent sizes.
    adams : sequence of Adam
        Settings of the optimizer, one for each step; they may differ in learning rates.
    """

    def __init__(self, steps: Sequence[TrainingStep], adams: Sequence[Adam]) -> None:
        self.members, whole = len(steps), largest(steps)
        ragged = any(sizes(step) != sizes(whole) for step in steps)
        self.paddings = [Padding(step, whole) for step in steps] if ragged else []
        self.parameters, self.buffers = self._stack(steps)
        learned = {phase: whole.moved_by(phase) for phase in whole.procedure.phases}
        super().__init__(
            copy.deepcopy(whole), adams, {p: {name: self.parameters[name] for name in n} for p, n in learned.items()}
        )
        with_one_pass(self.step)
        if ragged:
            self._mask_units()
        self.places = [  # a module in two places is filled once: torch's own tying leaves its tensors behind there
            f"{prefix}.{name}" if prefix else name
            for prefix, part in self.step.named_modules()
            for name, _ in [*part.named_parameters("", False, False), *part.named_buffers("", False, False)]
        ]
        self._shapes = self.step.noise_shapes()
        self._functions: dict[tuple[str, str, tuple[bool, bool]], Traced] = {}

    def _stack(self, steps: Sequence[TrainingStep]) -> tuple[Tensors, Tensors]:
        """Parameters and buffers of all members, [members, ...]."""
        if not self.paddings:
            parameters, buffers = stack_module_state(list(steps))
            return {name: p.detach() for name, p in parameters.items()}, buffers
        learned, fixed = (
            [dict(step.named_parameters()) for step in steps],
            [dict(step.named_buffers()) for step in steps],
        )
        return (
            {name: self._padded(name, [one[name] for one in learned]) for name in learned[0]},
            {name: self._padded(name, [one[name] for one in fixed]) for name in fixed[0]},
        )

    def _padded(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        pairs = zip(self.paddings, tensors, strict=True)
        return torch.stack([padding.pad(name, tensor.detach()) for padding, tensor in pairs])

    def _mask_units(self) -> None:
        """Give the blocks of the one model a place for each member's own units."""
        names, device = self.paddings[0].units, self.step.vae.device
        masks = {name: torch.stack([one.units[name] for one in self.paddings]).to(device) for name in names}
        for name, mask in masks.items():
            self.step.get_submodule(name.rpartition(".")[0]).units = mask[0]
        self.names = _first_names(self.step)
        self.buffers |= {self.names[name]: mask for name, mask in masks.items()}

    def noises(self, noises: Sequence[Noise]) -> Noise:
        """The noise of all members, [members, ...], with zeros for units that are not theirs."""
        return Noises.of(noises, self._shapes)

    def _loss(
        self,
        phase: str,
        learned: Tensors,
        fixed: Tensors,
        buffers: Tensors,
        batch: dict[str, Any],
        noise: Noise,
        clock: Tensor,
    ) -> tuple[Tensor, tuple[Tensors, Tensors]]:
        values = {**learned, **fixed, **buffers}
        placed = {name: values[self.names[name]] for name in self.places}
        arguments = Batch(**batch), noise, clock, phase
        loss: Loss = functional_call(self.step, placed, arguments, tie_weights=False)
        return loss.total, (dict(loss.logged), dict(loss.moved))

    def _mapped(self, kind: str, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Any:
        """A phase's loss of every member ("loss"), or gradients too ("slopes"): of one batch, or each of its own."""
        learned = self.moves[phase].parameters
        fixed = {name: p for name, p in self.parameters.items() if name not in learned}
        own = isinstance(batch, Batches), isinstance(noise, Noises)
        if (kind, phase, own) not in self._functions:
            loss = partial(self._loss, phase)
            function = loss if kind == "loss" else grad_and_value(loss, has_aux=True)
            lanes = (0, 0, 0, *(0 if one else None for one in own), None)
            self._functions[kind, phase, own] = Traced(vmap(function, in_dims=lanes), still=3)
        mapped = self._functions[kind, phase, own]
        clock = clock.to(self.step.vae.device)  # a number of the CPU would be recorded as it is now
        return mapped(learned, fixed, self.buffers, tensors_of(batch), dict(noise), clock)

    def slopes(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> tuple[Tensors, Tensors, Tensors]:
        """Gradients, what is logged, and what buffers become, [members, ...]."""
        found = self._mapped("slopes", phase, batch, noise, clock)
        gradients, (_, (logged, moved)) = found
        return gradients, logged, moved

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        """One optimizer step of every member."""
        moves = self.moves[phase]
        gradients, logged, moved = self.slopes(phase, batch, noise, clock)
        if moves.adam.clip is not None:
            gradients = _clip(gradients, moves.adam.clip)
        moves.along(gradients)
        self.write(phase, moved)
        return {name: value.clone() for name, value in logged.items()}  # as the next step may write there

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone."""
        rows = torch.tensor(members, device=next(iter(self.parameters.values())).device)
        of_them = partial(torch.index_select, dim=0, index=rows)
        self.members = len(members)
        self.paddings = [self.paddings[i] for i in members if self.paddings]
        self.parameters, self.buffers = (
            {name: of_them(value) for name, value in tensors.items()} for tensors in (self.parameters, self.buffers)
        )
        for phase, moves in self.moves.items():
            states = {name: moves.state(name) for name in moves.parameters}
            left = {name: self.parameters[name] for name in moves.parameters}
            self.moves[phase] = moves = Moves(left, [moves.adams[i] for i in members])
            for name, state in states.items():
                if state:
                    moves.restore(name, state | {key: of_them(state[key]) for key in MOMENTS})

    def state(self, member: int) -> Tensors:
        """Copies of one member's parameters and buffers, under the names they have alone."""
        everything = {**self.parameters, **self.buffers}
        return {name: self._one(name, everything[self.names[name]], member) for name in self.step.state_dict()}

    def _evaluate(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Tensors:
        logged: Tensors = self._mapped("loss", phase, batch, noise, clock)[1][0]
        return logged

    def _load(self, states: Sequence[Tensors]) -> None:
        everything = {**self.parameters, **self.buffers}
        with torch.no_grad():
            for name in states[0]:
                everything[self.names[name]].copy_(self._all(name, [state[name] for state in states]))

    def _one(self, name: str, tensor: Tensor, member: int) -> Tensor:
        own = tensor[member].detach()
        return (self.paddings[member].crop(name, own) if self.paddings else own).cpu().clone()

    def _all(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        return self._padded(name, tensors) if self.paddings else torch.stack(list(tensors))


def _settings(phase: Phase, adam: Adam) -> Adam:
    """The phase's own settings, and those of `fit` where it has none."""
    own = {field.name: getattr(phase, field.name) for field in fields(adam)}
    return replace(adam, **{name: value for name, value in own.items() if value is not None})


def _first_names(step: TrainingStep) -> dict[str, str]:
    """For every name of a parameter or buffer the first under which the same stands."""
    every = [*step.named_parameters(remove_duplicate=False), *step.named_buffers(remove_duplicate=False)]
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in every}


def _clip(gradients: Tensors, most: float) -> Tensors:
    """Each member's gradient scaled to norm `most` where it is longer."""
    squares = torch.stack([g.reshape(len(g), -1).square().sum(1) for g in gradients.values()])
    factor = (most / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    return {name: g * factor.view(-1, *[1] * (g.dim() - 1)) for name, g in gradients.items()}
