"""The training loop: epochs, validation, the choice of a checkpoint, and what is written on the way."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from elbowroom.data import Examples
from elbowroom.numerics import Batch, Noise
from elbowroom.runs import Progress

from .engines import Engine, Record
from .folder import Checkpoint, RunFolder
from .history import History

__all__ = ["Select", "Settings", "Split", "Values", "train"]

Select = Literal["objective", "calibrated", "last"]
Values = Callable[[dict[str, float], dict[str, float]], float]
"""(train row, validation row) → the number by which epochs are chosen; smaller is better."""

_ROWS_AT_ONCE = 1_000
_CHECKPOINT_EVERY = 30.0


@dataclass(frozen=True)
class Settings:
    """What the loop does. Epochs before `schedule_steps` are never chosen and never stop a run."""

    epochs: int
    batch_size: int
    seed: int
    patience: int | None
    select: Select
    draws: int
    schedule_steps: int
    progress: bool = True
    rank: int = 0
    ranks: int = 1


class Split:
    """Examples on the training device, served by rows."""

    def __init__(self, examples: Examples, names: Sequence[str], device: torch.device, dtype: torch.dtype) -> None:
        self.x = examples.x.to(device, dtype)
        self.index = examples.index
        self.context = {name: examples.context[name].to(device, dtype) for name in names}

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: Tensor) -> Batch:
        """The examples at these rows."""
        return Batch(self.x[rows], self.index[rows], {name: value[rows] for name, value in self.context.items()})


class Member:
    """What is kept for one model: its history, its best state, and its folder."""

    def __init__(self, value: Values, folder: RunFolder | None, notes: list[str], select: Select) -> None:
        self.value, self.folder = value, folder
        self.history = History(selected_by=select, notes=notes)
        self.best_value, self.best_state = math.inf, dict[str, Tensor]()

    def see(self, row: dict[str, Any], eligible: bool, select: Select, state: Callable[[], dict[str, Tensor]]) -> None:
        """Take in an epoch; keep its state where it is the best that could be chosen."""
        self.history.rows.append(row)
        value = -row["epoch"] if select == "last" else self.value(row["train"], row["validation"])
        if eligible and math.isfinite(value) and value < self.best_value:
            self.best_value, self.best_state = value, state()
            self.history.best_epoch = row["epoch"]
        if self.folder is not None:
            self.folder.append(row)


def train(
    engine: Engine,
    draw_noise: Callable[[int, int, Generator], Noise],
    training: Split,
    validation: Split,
    validation_noise: Noise,
    members: Sequence[Member],
    settings: Settings,
    checkpoints: Sequence[Checkpoint] | None = None,
) -> None:
    """Train until the epochs or the patience of every member are spent; fills the members' histories."""
    generator = Generator(training.x.device).manual_seed(settings.seed)
    epoch, step, before = 0, 0, 0.0
    if checkpoints:
        epoch, step, before = _restore(engine, members, checkpoints, generator)
    start = last_write = time.monotonic()
    with Progress("training", settings.epochs, settings.progress) as progress:
        progress.advance(epoch)
        while epoch < settings.epochs and _hopeful(members, step, settings):
            epoch += 1
            for group in engine.optimizer.param_groups:
                group["lr"] = engine.adam.rate_at(epoch, settings.epochs)
            totals, steps = _epoch(engine, draw_noise, training, generator, settings, step)
            step += steps
            checked = _validate(engine, validation, validation_noise)
            seconds = before + time.monotonic() - start
            _record(engine, members, totals, checked, epoch, step, seconds, settings)
            shown = members[0].history.rows[-1]["validation"]
            progress.advance(rate=shown["rate"], distortion=shown["distortion"])
            if time.monotonic() - last_write > _CHECKPOINT_EVERY:
                _write(engine, members, epoch, step, seconds, generator)
                last_write = time.monotonic()
        if members[0].history.rows:
            _write(engine, members, epoch, step, members[0].history.seconds, generator)


def _epoch(
    engine: Engine,
    draw_noise: Callable[[int, int, Generator], Noise],
    data: Split,
    generator: Generator,
    settings: Settings,
    step: int,
) -> tuple[Record, int]:
    """One pass over the data: sums over examples of the record, [members], and the number of steps."""
    totals: Record = {}
    steps = 0
    for rows in _batches(len(data), settings.batch_size, generator):
        noise = draw_noise(settings.draws, len(rows), generator)
        whole = len(rows)
        rows, noise = _share(rows, noise, settings)
        share = len(rows) * settings.ranks / whole
        record = engine.update(data.batch(rows), noise, torch.tensor(float(step + steps)), share)
        steps += 1
        for name, value in record.items():
            totals[name] = totals.get(name, 0.0) + value * len(rows)
    return {name: value / len(data) for name, value in engine.over_processes(totals).items()}, steps


def _batches(n: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Shuffled rows; a last batch of one example joins the one before it, as batch norm cannot train on one."""
    order = torch.randperm(n, generator=generator, device=generator.device)
    chunks = list(order.split(size))
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [torch.cat(chunks[-2:])]
    yield from chunks


def _validate(engine: Engine, data: Split, noise: Noise) -> Record:
    """Means over all validation examples, weighted by example and not by batch."""
    totals: Record = {}
    for rows in torch.arange(len(data), device=data.x.device).split(_ROWS_AT_ONCE):
        part = {name: value[rows] if name == "x" else value[:, rows] for name, value in noise.items()}
        for name, value in engine.evaluate(data.batch(rows), part).items():
            totals[name] = totals.get(name, 0.0) + value.double() * len(rows)
    return {name: value / len(data) for name, value in totals.items()}


def _record(
    engine: Engine,
    members: Sequence[Member],
    totals: Record,
    checked: Record,
    epoch: int,
    step: int,
    seconds: float,
    settings: Settings,
) -> None:
    eligible = step >= settings.schedule_steps
    for i, member in enumerate(members):
        trained, validated = ({name: float(v[i]) for name, v in part.items()} for part in (totals, checked))
        beta = trained.pop("beta", 1.0)
        validated.pop("beta", None)
        row: dict[str, Any] = {"epoch": epoch, "step": step, "beta": beta, "seconds": seconds}
        row |= {"train": trained, "validation": validated}
        member.see(row, eligible, settings.select, lambda i=i: engine.state(i))  # type: ignore[misc]


def _hopeful(members: Sequence[Member], step: int, settings: Settings) -> bool:
    """Whether some member can still improve: its numbers are finite and its patience is not spent."""
    if not members[0].history.rows or step < settings.schedule_steps:
        return True
    alive = [m for m in members if math.isfinite(m.history.rows[-1]["validation"]["objective"])]
    if settings.patience is None:
        return bool(alive)
    return any(_fruitless(m.history, settings) < settings.patience for m in alive)


def _fruitless(history: History, settings: Settings) -> int:
    """Epochs since the best one, not counting those before the end of the schedule."""
    after = (row for row in history.rows if row["epoch"] > history.best_epoch)
    return sum(row["step"] >= settings.schedule_steps for row in after)


def _share(rows: Tensor, noise: Noise, settings: Settings) -> tuple[Tensor, Noise]:
    """This process's share of a batch and of its noise."""
    if settings.ranks == 1:
        return rows, noise
    mine = slice(settings.rank, None, settings.ranks)
    return rows[mine], {name: value[mine] if name == "x" else value[:, mine] for name, value in noise.items()}


def _write(
    engine: Engine, members: Sequence[Member], epoch: int, step: int, seconds: float, generator: Generator
) -> None:
    for i, member in enumerate(members):
        if member.folder is None:
            continue
        history = member.history
        member.folder.write(
            Checkpoint(
                epoch=epoch,
                step=step,
                seconds=seconds,
                best_epoch=history.best_epoch,
                best_value=member.best_value,
                state=engine.state(i),
                best_state=member.best_state,
                optimizer=engine.optimizer_state(i),
                generator=generator.get_state(),
            )
        )


def _restore(
    engine: Engine, members: Sequence[Member], checkpoints: Sequence[Checkpoint], generator: Generator
) -> tuple[int, int, float]:
    engine.restore([c.state for c in checkpoints], [c.optimizer for c in checkpoints])
    generator.set_state(checkpoints[0].generator)
    for member, checkpoint in zip(members, checkpoints, strict=True):
        assert member.folder is not None
        member.history.rows = member.folder.rewind(checkpoint.epoch)
        member.history.best_epoch = checkpoint.best_epoch
        member.best_value, member.best_state = checkpoint.best_value, checkpoint.best_state
    first = checkpoints[0]
    return first.epoch, first.step, first.seconds
