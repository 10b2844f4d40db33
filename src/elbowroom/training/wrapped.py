"""The engine of one model whose step and optimizers Lightning Fabric has wrapped."""

from typing import Any

from torch import Tensor

from elbowroom.numerics import Batch, Noise

from .adam import Adam
from .engines import Alone, Record
from .training_step import TrainingStep

__all__ = ["Wrapped"]


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
