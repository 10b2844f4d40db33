"""The training loop: epochs, validation, the choice of a checkpoint, and what is written on the way."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import Batch, Noise
from elbowroom.numerics.seeded import seeded
from elbowroom.progress import Progress
from elbowroom.runs.history import History
from elbowroom.runs.run_folder import Checkpoint, RunFolder

from .engines import Engine, Tensors
from .lanes import Batches
from .selection import Values
from .settings import Settings
from .split import Split
from .stream import Stream, steps_per_epoch

__all__ = ["Loop", "Member"]

_ROWS_AT_ONCE, _CELLS_AT_ONCE = 1_000, 2**22
_CHECKPOINT_EVERY = 30.0
_ELSEWHERE = (
    "After epoch {}, which was trained on another device, training went on on {}: order and noise are drawn anew there."
)


class Member:
    """What is kept for one model: its history, its best state, and its folder.

    Parameters
    ----------
    value : callable
        (train row, validation row) → the number by which epochs are chosen; smaller is better.
    folder : RunFolder or None
        Where the run is written.
    notes : list of str
        What the history says beside its numbers.
    settings : Settings
        What the loop does.
    """

    def __init__(self, value: Values, folder: RunFolder | None, notes: list[str], settings: Settings) -> None:
        self.value, self.folder, self.settings = value, folder, settings
        self.history = History(selected_by=settings.select, notes=notes)
        self.best_value, self.best_state = math.inf, dict[str, Tensor]()

    @property
    def stopped(self) -> bool:
        """Whether its numbers are no longer finite or its patience is spent; later epochs are not its own."""
        rows, patience = self.history.rows, self.settings.patience
        if not rows:
            return False
        if not math.isfinite(rows[-1]["validation"]["objective"]):
            return True
        after = (row for row in rows if row["epoch"] > self.history.best_epoch)
        return patience is not None and sum(map(self._after_schedule, after)) >= patience

    def see(self, row: dict[str, Any], state: Callable[[], dict[str, Tensor]]) -> None:
        """Take in an epoch; keep its state where it is the best that could be chosen."""
        self.history.rows.append(row)
        value = float(self.value(row["train"], row["validation"]))
        if self.settings.select == "last" and math.isfinite(value):
            value = -row["epoch"]
        if self._after_schedule(row) and math.isfinite(value) and value < self.best_value:
            self.best_value, self.best_state = value, state()
            self.history.best_epoch = row["epoch"]
        if self.folder is not None:
            self.folder.append(row)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint stopped."""
        self.history = History(**checkpoint.history)
        self.best_value, self.best_state = checkpoint.best_value, checkpoint.best_state

    def _after_schedule(self, row: dict[str, Any]) -> bool:
        """Whether every schedule had ended with this epoch."""
        return bool(row["step"] >= self.settings.schedule_steps)


class Loop:
    """Trains until the epochs are spent or every model has stopped, and fills the models' histories.

    Parameters
    ----------
    engine : Engine
        Makes the steps.
    streams : sequence of Stream
        What each model is served; those that are served the same have one stream.
    validation : Split
        What the epoch is chosen by.
    members : sequence of Member
        One for each model.
    settings : Settings
        What the loop does.
    """

    def __init__(
        self,
        engine: Engine,
        streams: Sequence[Stream],
        validation: Split,
        members: Sequence[Member],
        settings: Settings,
    ) -> None:
        self.engine, self.streams, self.members, self.settings = engine, streams, members, settings
        self.training, self.validation = streams[0].training, validation
        engine.batches = lambda: self._served([stream.another() for stream in self._live()])
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self._going = list(range(len(streams)))  # the members that the engine still moves, in its order
        self._left: dict[int, tuple[Tensors, Tensors]] = {}  # what it had of the others when they stopped

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Continue where the checkpoints, one per member and all of the same epoch, stopped."""
        first = checkpoints[0]
        self.epoch, self.step, self.seconds = first.epoch, first.step, first.seconds
        self.engine.restore([c.state for c in checkpoints], [c.optimizer for c in checkpoints])
        for member, stream, checkpoint in zip(self.members, self.streams, checkpoints, strict=True):
            member.restore(checkpoint)
            if not stream.resume(checkpoint.generator, self.epoch):
                member.history.notes.append(_ELSEWHERE.format(self.epoch, self.training.x.device.type))

    def run(self, tick: Callable[[int], None] = lambda epoch: None) -> None:
        """Train, validate, keep, write.

        Parameters
        ----------
        tick : callable, default nothing
            Told of every epoch when it is over.
        """
        settings, before = self.settings, self.seconds
        start = last_write = time.monotonic()
        with Progress("training", settings.epochs, show=settings.progress) as progress:
            progress.resume(self.epoch)
            self._leave_stopped()
            while self.epoch < settings.epochs and not all(member.stopped for member in self.members):
                self.epoch += 1
                trained, checked = self._train(), self._validate()
                self.seconds = before + time.monotonic() - start
                self._add_rows(trained, checked)
                self.engine.after_epoch(checked)
                self._leave_stopped()
                tick(self.epoch)
                progress.advance(rate=float(checked["rate"][0]), distortion=float(checked["distortion"][0]))
                if time.monotonic() - last_write > _CHECKPOINT_EVERY:
                    self._write()
                    last_write = time.monotonic()
        self._write()

    def _train(self) -> Tensors:
        """One pass over the training data; means over its examples of what is logged, [members]."""
        settings, engine, totals = self.settings, self.engine, Tensors()
        engine.begin(self.epoch, settings.epochs)
        # Of networks that draw for themselves (dropout): by seed, epoch and process.
        with seeded(hash((settings.seed, self.epoch, settings.rank)), self.training.x.device):
            for found, clock in zip(
                zip(*(one.epoch() for one in self._live()), strict=True), self._clock(), strict=False
            ):
                examples = len(found[0][0])
                _add(totals, engine.update(*self._served(found), clock), examples)
                self.step += 1
        return {name: (value / len(self.training)).reshape(-1) for name, value in engine.summed(totals).items()}

    def _live(self) -> list[Stream]:
        """The streams of the members that the engine still moves, each once."""
        return list(dict.fromkeys(self.streams[i] for i in self._going))

    def _served(self, found: Sequence[tuple[Batch, Noise]]) -> tuple[Batch, Noise]:
        """What the engine is handed: what one stream gives, or what the stream of each member does."""
        if len(found) == 1:
            return found[0]
        lanes = self._lanes()
        return Batches.of([found[i][0] for i in lanes]), self.engine.noises([found[i][1] for i in lanes])

    def _lanes(self) -> list[int]:
        """Which of the live streams each member of the engine is served by."""
        places = {stream: place for place, stream in enumerate(self._live())}
        return [places[self.streams[i]] for i in self._going]

    def _clock(self) -> Tensor:
        """The numbers of the epoch's steps, as objectives want them."""
        steps = steps_per_epoch(len(self.training), self.settings.batch_size, self.settings.ranks)
        return torch.arange(self.step, self.step + steps, dtype=torch.float32, device=self.training.x.device)

    def _validate(self) -> Tensors:
        """Means over all validation examples, weighted by example and not by batch."""
        data, totals = self.validation, Tensors()
        at_once = min(max(_CELLS_AT_ONCE // math.prod(data.x.event), 4), _ROWS_AT_ONCE)
        pieces = -(-len(data) // at_once)  # of equal sizes: some numbers mean nothing over one example
        for rows in torch.arange(len(data), device=data.x.device).tensor_split(pieces):
            logged = self.engine.evaluate(data.batch(rows), self._validation_noise(rows))
            _add(totals, {name: value.double() for name, value in logged.items()}, len(rows))
        return {name: value / len(data) for name, value in totals.items()}

    def _validation_noise(self, rows: Tensor) -> Noise:
        found = [stream.validation_noise(rows) for stream in self._live()]
        return found[0] if len(found) == 1 else self.engine.noises([found[i] for i in self._lanes()])

    def _add_rows(self, trained: Tensors, checked: Tensors) -> None:
        """A row for every member that has not stopped."""
        both = [{name: value.tolist() for name, value in part.items()} for part in (trained, checked)]
        for lane, i in enumerate(self._going):
            train, validation = ({name: values[lane] for name, values in part.items()} for part in both)
            row = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds}
            self.members[i].see({**row, "train": train, "validation": validation}, partial(self.engine.state, lane))

    def _leave_stopped(self) -> None:
        """Let the engine go on without the members that have stopped, where there are others."""
        lanes = [lane for lane, i in enumerate(self._going) if not self.members[i].stopped]
        if lanes and len(lanes) < len(self._going):
            for lane in set(range(len(self._going))) - set(lanes):
                self._left[self._going[lane]] = self._state(lane)
            self.engine.keep(lanes)
            self._going = [self._going[lane] for lane in lanes]

    def _state(self, lane: int) -> tuple[Tensors, Tensors]:
        return self.engine.state(lane), self.engine.optimizer_state(lane)

    def _write(self) -> None:
        """A checkpoint for every member with a folder."""
        for i, member in enumerate(self.members):
            if member.folder is None:
                continue
            state, optimizer = self._left.get(i) or self._state(self._going.index(i))
            member.folder.write(
                Checkpoint(
                    epoch=self.epoch,
                    step=self.step,
                    seconds=self.seconds,
                    best_value=member.best_value,
                    history=asdict(member.history),
                    state=state,
                    best_state=member.best_state,
                    optimizer=optimizer,
                    generator=self.streams[i].generator.get_state(),
                )
            )


def _add(totals: Tensors, means: Tensors, examples: int) -> None:
    """Add batch means, times the examples they are over."""
    for name, value in means.items():
        if name in totals:
            totals[name].add_(value, alpha=examples)
        else:
            totals[name] = value * examples
