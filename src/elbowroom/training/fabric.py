"""Devices and processes through Lightning Fabric; imported only where they are asked for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load, save
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.runs.history import History

from .adam import Adam
from .checks import reason
from .engines import Alone, Record
from .training_step import TrainingStep

if TYPE_CHECKING:
    from ._fit import Plan

__all__ = ["train_with_fabric"]


def train_with_fabric(
    plan: Plan, run: str | Path | None, resume: bool, device: str, processes: int, precision: str
) -> History:
    """Train the plan's one model on `device`, split over `processes`; it comes back on the CPU.

    With several processes each works on its share of every batch, gradients are averaged, and the script that calls
    this needs the usual `if __name__ == "__main__":` guard.
    """
    from lightning_fabric import Fabric

    smallest = min(plan.settings.batch_size, len(plan.data.train))
    if not 1 <= processes <= smallest:
        raise InputError(f"processes must be from 1 to the {smallest} examples of a batch; got {processes}.")
    if processes > 1 and not plan.is_plain():
        raise InputError(
            "Several processes share the batches of one objective that moves no buffer of its own; for this procedure "
            "leave processes at 1."
        )
    strategy = "auto" if processes == 1 else ("ddp_spawn" if device == "cpu" else "ddp")
    try:
        fabric = Fabric(accelerator=device, devices=processes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    except Exception as error:
        raise InputError(
            f"Lightning Fabric cannot train on {processes} × {device!r} in {precision!r} ({reason(error)}): choose "
            f"others, or leave them out for one process on the CPU."
        ) from error
    step = plan.steps[0]
    plan.begin([run], resume, writes=fabric.global_rank == 0)
    outcome = _work(fabric, plan) if processes == 1 else fabric.launch(_work, plan)  # type: ignore[arg-type]
    if isinstance(outcome, InputError):
        raise outcome
    history, state = outcome
    tensors = load(state)
    step.vae.to(next((tensors[f"vae.{name}"].dtype for name, _ in step.vae.named_parameters()), None))
    step.load_state_dict(tensors)
    step.eval()
    return history


class Wrapped(Alone):
    """One model whose step and optimizers Fabric has wrapped; each process works on its share of every batch."""

    def __init__(self, step: TrainingStep, adam: Adam, fabric: Any) -> None:
        super().__init__(step, adam)
        self.fabric = fabric
        self.wrapped, *optimizers = fabric.setup(step, *(moves.optimizer for moves in self.moves.values()))
        for moves, optimizer in zip(self.moves.values(), optimizers, strict=True):
            moves.optimizer = optimizer

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> Record:
        """One optimizer step; what it logs is this process's part of the sums over all."""
        moves, fabric, whole = self.moves[phase], self.fabric, len(batch)
        if fabric.world_size > 1:
            mine = slice(fabric.global_rank, None, fabric.world_size)
            batch = batch.rows(mine)
            noise = {name: value[mine] if name == "x" else value[:, mine] for name, value in noise.items()}
        share = len(batch) / whole
        loss = self.wrapped(batch, noise, clock, phase)
        for parameter in self.step.parameters():
            parameter.grad = None
        fabric.backward(loss.total * (share * fabric.world_size))  # gradients are averaged over the processes
        if moves.adam.clip is not None:  # gradients of half precision are scaled, and only Fabric knows by how much
            fabric.clip_gradients(self.wrapped, moves.optimizer, max_norm=moves.adam.clip, error_if_nonfinite=False)
        moves.optimizer.step()
        self.write(phase, loss.moved)
        return {name: value * share for name, value in loss.record.items()}

    def summed(self, totals: Record) -> Record:
        """Sums over all processes."""
        if self.fabric.world_size == 1:
            return totals
        return {name: self.fabric.all_reduce(value, reduce_op="sum") for name, value in totals.items()}


def _work(fabric: Any, plan: Plan) -> tuple[History, bytes] | InputError:
    """Train in this process; what is handed back is plain, as tensors and errors do not leave a process whole."""
    step = plan.steps[0] = copy.deepcopy(plan.steps[0])  # spawned processes would else write to the same parameters
    fabric.to_device(step)
    try:
        history = plan.train(fabric)[0]
    except InputError as error:
        return error
    return history, save({name: tensor.cpu().clone().contiguous() for name, tensor in step.state_dict().items()})
