"""One call of `fit` or `fit_stacked`: checked before anything is written, then begun, then trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elbowroom.data import Dataset
from elbowroom.likelihoods import Normal, leak
from elbowroom.numerics import InputError
from elbowroom.procedures import Phase, Procedure
from elbowroom.progress import say
from elbowroom.recipes import recipe_of
from elbowroom.runs.history import History
from elbowroom.runs.run_folder import Checkpoint, RunFolder
from elbowroom.vae import VAE, check_readings
from elbowroom.vae._save_model import model_recipe
from elbowroom.vae.evaluating import evaluating

from .checks import check, reason, two_examples
from .engines import Adam, Alone, Engine, Stacked, Tensors
from .groups import reason_alone
from .loop import Loop, Member
from .placement import threads_for
from .selection import values_by
from .settings import Settings
from .split import Split
from .stream import Stream
from .training_step import TrainingStep

__all__ = ["WAY_OUT", "Kept", "TrainingPlan"]

_ROWS_AT_ONCE = 1_000
WAY_OUT = "lower the learning rate, clip gradients (clip=10), or raise the floors of the scales"
_CELLS_SETTLED, _CELLS_LOOKED_AT = 2**24, 2**22  # of training data in memory, and of validation data
_WORTH_SAYING = 0.001


class Kept(NamedTuple):
    """What a training leaves of one model.

    Attributes
    ----------
    history : History
        Its epochs.
    best_state : dict of Tensor
        Parameters and buffers of the kept epoch; empty where there is none.
    """

    history: History
    best_state: Tensors


class TrainingPlan:
    """One call of `fit` or `fit_stacked`, checked before anything is written; `begin` opens the folders.

    Parameters
    ----------
    steps : sequence of TrainingStep
        What is trained as one.
    data : Dataset
        What it is trained on.
    adams : sequence of Adam
        Settings of the optimizer, one for each step.
    each : sequence of Settings
        What the loop does, one for each step; they may differ in seed, patience and the end of the schedule.
    """

    folders: list[RunFolder | None]
    checkpoints: list[Checkpoint]

    def __init__(
        self,
        steps: Sequence[TrainingStep],
        data: Dataset,
        adams: Sequence[Adam],
        each: Sequence[Settings],
    ) -> None:
        check(steps, data, each)
        for step in steps:
            for _, phase in step.procedure.items():
                phase.objective.weigh_against(step.vae, data.train)
        self.steps, self.data, self.adams, self.each = list(steps), data, list(adams), list(each)
        self.settings = self.each[0]

    def begin(self, folders: Sequence[str | Path | None], resume: bool, writes: bool = True) -> None:
        """Open the run folders, and read the checkpoints to continue from.

        Parameters
        ----------
        folders : sequence of str, Path or None
            One for each step, or Nones.
        resume : bool
            Whether the runs in them are continued.
        writes : bool, default True
            Whether this process writes, and does not only read the checkpoints.
        """
        opened = [RunFolder(Path(folder)) for folder in folders if folder is not None]
        if resume and not opened:
            raise InputError("resume=True continues a run folder: name it with run=.")
        found: list[Checkpoint | None]
        if writes:
            found = (
                [f.open(recipe, resume) for f, recipe in zip(opened, self._recipes(), strict=True)] if opened else []
            )
        else:
            found = [folder.checkpoint() for folder in opened] if resume else []
        self.folders = list(opened) if opened and writes else [None] * len(self.steps)
        # A stack that was stopped while it wrote has checkpoints of two epochs: beginning again gives the same bits.
        together = len({c.epoch if c is not None else 0 for c in found}) == 1
        self.checkpoints = [c for c in found if c is not None and together]
        if resume and writes:
            histories = [c.history["rows"] for c in self.checkpoints] or [[] for _ in opened]
            for folder, rows in zip(opened, histories, strict=True):
                folder.rewind(rows)

    def train(self, fabric: Any = None, tick: Callable[[int], None] = lambda epoch: None) -> list[History]:
        """Run it; the models end with their best parameters."""
        found = self.run(fabric, tick)
        if not all(self.finish(found)):
            raise InputError(f"Training gave no finite validation value after the schedule: {WAY_OUT}.")
        return [one.history for one in found]

    def run(self, fabric: Any = None, tick: Callable[[int], None] = lambda epoch: None) -> list[Kept]:
        """Train, and say what is to be kept; the models themselves are left as the last step left them.

        Parameters
        ----------
        fabric : Fabric, optional
            Where several processes share every batch, or the device is not the CPU.
        tick : callable, default nothing
            Told of every epoch when it is over.

        Returns
        -------
        list of Kept
            One for each step.
        """
        settings = self.settings
        if self.checkpoints:
            say(f"going on after epoch {self.checkpoints[0].epoch:,} of {settings.epochs:,}", show=settings.progress)
        if fabric is not None:
            settings = replace(settings, rank=fabric.global_rank, ranks=fabric.world_size)
        if settings.rank > 0:
            self.folders = [None] * len(self.steps)
        for step in self.steps:
            step.vae.table, step.vae.coding = self.data.train.table, self.data.train.coding
        settle = settings.settle and not self.checkpoints
        notes: list[list[str]] = [self._settle(step.vae) if settle else [] for step in self.steps]
        members = [
            Member(values_by(settings.select, step.vae, step.procedure, self.data, own.seed), folder, noted, own)
            for step, folder, noted, own in zip(self.steps, self.folders, notes, self.each, strict=True)
        ]
        with threads_for(self.steps[0].vae, self.data, settings.batch_size * settings.draws):
            self._loop(members, settings, fabric).run(tick)
        return [Kept(member.history, member.best_state) for member in members]

    def finish(self, found: Sequence[Kept]) -> list[bool]:
        """Give models and objectives their best state and write the models; False where there is none.

        Parameters
        ----------
        found : sequence of Kept
            What `run` returned.

        Returns
        -------
        list of bool
            One for each step.
        """
        every = zip(self.steps, self.folders, self.each, found, strict=True)
        return [self._finish(step, folder, own, *one) for step, folder, own, one in every]

    def is_plain(self) -> bool:
        """Whether there is one phase, whose objective moves no buffer."""
        step = self.steps[0]
        batch, noise = two_examples(step, self.data, self.settings.draws, self.settings.seed)
        with torch.no_grad(), evaluating(step):
            moved = step(batch, noise, torch.tensor(torch.inf)).moved
        return len(step.procedure.phases) == 1 and not moved

    def _loop(self, members: list[Member], settings: Settings, fabric: Any) -> Loop:
        steps = [step.train() for step in self.steps]
        vae, engine = steps[0].vae, self._engine(steps, fabric)
        where = (vae.context_names, vae.device, vae.dtype)
        training, validation = Split(self.data.train, *where), Split(self.data.validation, *where)
        loop = Loop(engine, self._streams(steps, training), validation, members, settings)
        if self.checkpoints:
            try:
                loop.restore(self.checkpoints)
            except (RuntimeError, KeyError) as error:
                raise InputError(
                    f"The run's checkpoint does not fit this model ({reason(error)}): build the model that was trained."
                ) from error
        return loop

    def _streams(self, steps: list[TrainingStep], training: Split) -> list[Stream]:
        """One for each step; those that draw as many numbers by the same seed are served the same."""
        found: dict[Any, Stream] = {}
        keys = [(own.seed, *step.noise_shapes().items()) for step, own in zip(steps, self.each, strict=True)]
        for key, step, own in zip(keys, steps, self.each, strict=True):
            if key not in found:
                found[key] = Stream(step, own, training, self.data.validation)
        return [found[key] for key in keys]

    def _engine(self, steps: list[TrainingStep], fabric: Any) -> Engine:
        if len(steps) > 1:
            return Stacked(steps, self.adams)
        if fabric is None:
            recorded = steps[0].vae.device.type == "cuda" and reason_alone(steps[0], self.data) is None
            return Stacked(steps, self.adams) if recorded else Alone(steps[0], self.adams[0])
        from .wrapped import Wrapped  # which few need

        return Wrapped(steps[0], self.adams[0], fabric)

    def _finish(
        self, step: TrainingStep, folder: RunFolder | None, own: Settings, history: History, best: Tensors
    ) -> bool:
        vae, seed = step.vae, own.seed
        if not best:
            _spoil(vae)
            history.notes.append(f"Training diverged: {WAY_OUT}.")
            if folder is not None:
                folder.abandon()
            return False
        if not math.isfinite(history.rows[-1]["validation"]["objective"]):
            history.notes.append(
                f"The objective was no longer finite at epoch {len(history.rows)}; epoch {history.best_epoch} was kept."
            )
        elif len(history.rows) < own.epochs:
            history.notes.append(
                f"Training stopped after epoch {len(history.rows)}: for {own.patience} epochs the validation "
                f"value had not improved on that of epoch {history.best_epoch}."
            )
        step.load_state_dict(best)
        step.zero_grad(set_to_none=True)
        step.eval()
        self._pool(vae, seed)
        history.notes += [said for _, phase in step.procedure.items() for said in phase.objective.remarks()]
        history.notes += self._remarks(vae, seed) + self._readings(vae, seed)
        if folder is not None:
            folder.finish(vae, history)
        return True

    def _readings(self, vae: VAE, seed: int) -> list[str]:
        """Whether anything but q has learned to read x: a gate that was shut at the start may have opened."""
        try:
            check_readings(vae, self.data.validation, seed=seed)
        except InputError as error:
            return [str(error)]
        return []

    def _recipes(self) -> list[dict[str, Any]]:
        """What makes each run what it is; epochs are left out, so that a run can be continued for longer."""
        chosen = ["batch_size", "seed", "patience", "select"]
        falls = ["epochs"]  # where the rate falls, their number shapes every step
        return [
            {
                "model": model_recipe(step.vae),
                "objective": _recipe(step.procedure),
                "training": {n: getattr(own, n) for n in chosen + falls * (adam.lr_final is not None)} | asdict(adam),
                "data": self.data.summary(),
            }
            for step, own, adam in zip(self.steps, self.each, self.adams, strict=True)
        ]

    @torch.no_grad()
    def _settle(self, vae: VAE) -> list[str]:
        """Let the components take from the training data what was left to them."""
        train_set = self.data.train
        most = _ROWS_AT_ONCE
        if train_set.values.in_memory:
            most = max(_CELLS_SETTLED // math.prod(self.data.event), 2)
        if len(train_set) > most:
            train_set = train_set[torch.linspace(0, len(train_set) - 1, most).long()]
        beside = vae.likelihood.beside
        batch = Split(train_set, beside, vae.device, vae.dtype).batch(torch.arange(len(train_set), device=vae.device))
        given = vae.given(batch, vae.keyed_noise(0, batch.index, 0))[0]
        y = given["x"][0]
        y = y if batch.seen is None else _with_neighbours(y, batch.seen)
        notes: list[str] = []
        for part in (vae.likelihood, *vae.prior.values(), *vae.posterior.values()):
            if not _is_kept(part):
                notes += part.settle(y, vae.preprocess.step, vae.latents)
        if not _is_kept(vae.likelihood):
            notes += vae.likelihood.settle_beside(y, {name: given[name][0] for name in beside if name in batch.context})
        for part in (*vae.prior.values(), *vae.posterior.values()):
            part.weigh_against(len(self.data.train))
        for part in (*vae.prior.values(), *vae.posterior.values(), vae.likelihood):
            part.settle_contexts(self.data.train.context)
        return notes

    @torch.no_grad()
    def _remarks(self, vae: VAE, seed: int) -> list[str]:
        """What the likelihood says of itself on some validation examples."""
        most = min(1_000, max(_CELLS_LOOKED_AT // math.prod(self.data.event), 4))
        split = Split(self.data.validation.some(most), vae.context_names, vae.device, vae.dtype)
        batch = split.batch(torch.arange(len(split), device=vae.device))
        p_x = vae(batch, vae.keyed_noise(1, batch.index, seed), lay_out=False).p_x
        remarks = vae.likelihood.remarks(p_x)
        share = leak(p_x, vae.preprocess.support(self.data.support))
        if share is not None and share > _WORTH_SAYING:
            name = type(vae.likelihood).__name__
            remarks.append(f"{name}: {share:.1%} of its mass lies outside [0, 1], where the data cannot be.")
        return remarks

    @torch.no_grad()
    def _pool(self, vae: VAE, seed: int) -> None:
        """A scale that is optimal in closed form is taken over all training data at the parameters that are kept."""
        if not isinstance(vae.likelihood, Normal) or vae.likelihood.scale != "optimal":
            return
        split = Split(self.data.train, vae.context_names, vae.device, vae.dtype)
        with vae.likelihood.pooling():
            for rows in torch.arange(len(split), device=vae.device).split(_ROWS_AT_ONCE):
                batch = split.batch(rows)
                vae(batch, vae.keyed_noise(1, batch.index, seed))


def _is_kept(part: nn.Module) -> bool:
    """Whether a part was trained before and stays as it is."""
    parameters = list(part.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


@torch.no_grad()
def _spoil(vae: VAE) -> None:
    """Make it plain that there is no model: nobody is to measure what the last step happened to leave."""
    vae.zero_grad(set_to_none=True)
    for parameter in vae.eval().parameters():
        parameter.fill_(torch.nan)


def _with_neighbours(y: Tensor, seen: Tensor) -> Tensor:
    """y [n, *event] with, in each missing cell, the last value seen above it in its column, or else the first one seen.

    Every column keeps a distribution like its own, so that what is settled from it is of what was seen.
    """
    place = torch.arange(len(y), device=y.device).view(-1, *[1] * (y.dim() - 1)).expand(y.shape)
    above = torch.where(seen, place, -1).cummax(0).values
    first = torch.where(seen, place, len(y) - 1).amin(0)
    return y.gather(0, torch.where(above < 0, first, above))


def _recipe(procedure: Procedure) -> Any:
    """The procedure in plain values; that of the objective where it is nothing more."""
    objective = procedure[procedure.main].objective
    alone = Procedure({"objective": Phase(objective)})
    plain = type(procedure) is Procedure and recipe_of(procedure) == recipe_of(alone)
    return recipe_of(objective if plain else procedure)
