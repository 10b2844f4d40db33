"""`fit` and `fit_stacked`: check, settle, train, keep the best."""

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from elbowroom.data import Dataset
from elbowroom.likelihoods import Normal, leak
from elbowroom.numerics import InputError, Noise
from elbowroom.objectives import Elbo, Objective
from elbowroom.procedures import Phase, Procedure
from elbowroom.recipes import recipe_of
from elbowroom.runs.history import History
from elbowroom.runs.run_folder import Checkpoint, RunFolder
from elbowroom.vae import VAE, check_readings
from elbowroom.vae.model_files import model_recipe
from elbowroom.vae.vae import evaluating

from .checks import check, reason, two_examples
from .engines import Adam, Alone, Engine, Stacked
from .groups import groups, reason_alone
from .loop import Loop, Member, Settings
from .selection import Select, values_by
from .split import Split
from .training_step import TrainingStep

__all__ = ["fit", "fit_stacked"]

_ROWS_AT_ONCE = 1_000
_WORTH_SAYING = 0.001


def fit(
    vae: VAE,
    data: Dataset,
    objective: Objective | Procedure | None = None,
    *,
    epochs: int = 100,
    batch_size: int = 100,
    lr: float = 1e-3,
    lr_final: float | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    patience: int | None = None,
    select: Select = "objective",
    seed: int = 0,
    run: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    processes: int = 1,
    precision: str = "32-true",
    progress: bool = True,
) -> History:
    """Train `vae` in place on data.train; it ends with the parameters of the epoch that validation chose.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        As `er.load_data` gives it.
    objective : Objective or Procedure, default Elbo()
        What is minimised, or who is updated when. What it learns or moves itself ends at the chosen epoch too.
    epochs : int, default 100
        Passes over the training data.
    batch_size : int, default 100
        Examples per update.
    lr, lr_final, betas : float, float or None, (float, float), default 1e-3, None, (0.9, 0.999)
        Of fused Adam, for phases without settings of their own; the learning rate falls to lr_final by the same factor
        every epoch, or stays.
    clip : float or None, default None
        Largest norm of the gradient of a step.
    patience : int or None, default None
        Epochs without a better validation value before training stops.
    select : {"objective", "calibrated", "last"}, default "objective"
        "objective" keeps an epoch by the validation value of what is trained, after its schedule (each objective says
        which); "calibrated" by the bound at the best noise scale (a Normal likelihood with a fixed scale), the scale
        taken from the training data; "last" keeps the last.
    seed : int, default 0
        Of shuffling and noise; the same seed gives the same bits on the same machine.
    run : str, Path or None, default None
        A folder for recipe, history, checkpoint and the kept model.
    resume : bool, default False
        Continue the run in the folder, bit for bit.
    device, processes, precision : str, int, str, default "cpu", 1, "32-true"
        Through Lightning Fabric, which is not even loaded for one process on the CPU.
    progress : bool, default True
        Show how far it is.

    Returns
    -------
    History
        Rows per epoch, the epoch kept, and notes.

    Raises
    ------
    InputError
        Where data, model, objective and settings do not fit together, or no epoch has a finite value.

    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.mlp([64, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.mlp([2, 64]), 64), preprocess=digits.preprocess)
    >>> er.fit(vae, digits, epochs=2, progress=False).best_epoch
    2
    """
    step = TrainingStep(vae, objective or Elbo())
    settings = Settings(
        epochs, batch_size, seed, patience, select, step.procedure.draws, step.procedure.schedule_steps, progress
    )
    plan = Plan([step], data, Adam(lr, lr_final, betas, clip), settings)
    if device == "cpu" and processes == 1 and precision == "32-true":
        plan.begin([run], resume)
        return plan.train()[0]
    from .fabric import train_with_fabric

    return train_with_fabric(plan, run, resume, device, processes, precision)


def fit_stacked(
    vaes: Sequence[VAE],
    data: Dataset,
    objectives: Sequence[Objective | Procedure],
    *,
    epochs: int = 100,
    batch_size: int = 100,
    lr: float = 1e-3,
    lr_final: float | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    patience: int | None = None,
    select: Select = "objective",
    seed: int = 0,
    runs: Sequence[str | Path] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> list[History]:
    """Train several models as one; each ends as `fit` with the same arguments would leave it.

    Members that are alike but for their numbers (parameters, β) are stacked; those that are not, or that cannot be,
    are trained one by one, and `training.why_alone` says why.

    Parameters
    ----------
    vaes : sequence of VAE
        The members.
    data : Dataset
        For all of them.
    objectives : sequence of Objective or Procedure
        One per member.
    runs : sequence of str or Path, or None, default None
        A run folder per member.
    epochs, batch_size, lr, lr_final, betas, clip, patience, select, seed, resume, progress
        As for `fit`.

    Returns
    -------
    list of History
        One per member.

    Raises
    ------
    InputError
        As `fit` does, or where the sequences differ in length.
    """
    folders = [None] * len(vaes) if runs is None else list(runs)
    if not vaes or not len(vaes) == len(objectives) == len(folders):
        raise InputError(
            f"Stacking needs one objective, and one run folder if any, per model; got {len(vaes)} models, "
            f"{len(objectives)} objectives, {len(folders)} folders."
        )
    given = [folder for folder in folders if folder is not None]
    if len(set(map(id, vaes))) < len(vaes) or len(set(map(Path, given))) < len(given):
        raise InputError("A model, and a run folder, can stand in a stack once: give copies, and other folders.")
    adam = Adam(lr, lr_final, betas, clip)
    own = [copy.deepcopy(goal) if goal in objectives[:i] else goal for i, goal in enumerate(objectives)]
    steps = [TrainingStep(vae, objective) for vae, objective in zip(vaes, own, strict=True)]
    plans = []
    for group in groups(steps, partial(reason_alone, data=data)):
        first = steps[group[0]].procedure
        settings = Settings(epochs, batch_size, seed, patience, select, first.draws, first.schedule_steps, progress)
        plans.append((group, Plan([steps[i] for i in group], data, adam, settings)))
    histories: dict[int, History] = {}
    for group, plan in plans:
        plan.begin([folders[i] for i in group], resume)
    for group, plan in plans:
        histories |= zip(group, plan.train(), strict=True)
    return [histories[i] for i in range(len(vaes))]


class Plan:
    """One call of fit: what is trained on what, checked before anything is written; `begin`, then `train`."""

    folders: list[RunFolder | None]
    noise: Noise  # of the validation examples, keyed by (seed, example)
    checkpoints: list[Checkpoint]

    def __init__(self, steps: Sequence[TrainingStep], data: Dataset, adam: Adam, settings: Settings) -> None:
        check(steps, data, settings)
        self.steps, self.data, self.adam, self.settings = list(steps), data, adam, settings

    def begin(self, folders: Sequence[str | Path | None], resume: bool, writes: bool = True) -> None:
        """Open the run folders; a process that does not write only reads the checkpoints."""
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

    def train(self, fabric: Any = None) -> list[History]:
        """Run it; the models end with their best parameters."""
        settings = self.settings
        if fabric is not None:
            settings = replace(settings, rank=fabric.global_rank, ranks=fabric.world_size)
        folders = self.folders if settings.rank == 0 else [None] * len(self.steps)
        notes: list[list[str]] = [[] if self.checkpoints else self._settle(step.vae) for step in self.steps]
        members = [
            Member(
                values_by(settings.select, step.vae, step.procedure, self.data, settings.seed), folder, noted, settings
            )
            for step, folder, noted in zip(self.steps, folders, notes, strict=True)
        ]
        self._loop(members, settings, fabric).run()
        kept = [self._finish(step, member) for step, member in zip(self.steps, members, strict=True)]
        if not all(kept):
            which = "Training" if len(kept) == 1 else f"Training of {kept.count(False)} of {len(kept)} stacked models"
            raise InputError(
                f"{which} gave no finite validation value after the schedule: lower the learning rate, or raise the "
                f"floors of the scales."
            )
        return [member.history for member in members]

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
        self.noise = steps[0].keyed_noise(settings.draws, self.data.validation.index, settings.seed)
        loop = Loop(engine, steps[0].draw_noise, training, validation, self.noise, members, settings)
        if self.checkpoints:
            try:
                loop.restore(self.checkpoints)
            except (RuntimeError, KeyError) as error:
                raise InputError(
                    f"The run's checkpoint does not fit this model ({reason(error)}): build the model that was trained."
                ) from error
        return loop

    def _engine(self, steps: list[TrainingStep], fabric: Any) -> Engine:
        if len(steps) > 1:
            return Stacked(steps, self.adam)
        if fabric is None:
            return Alone(steps[0], self.adam)
        from .fabric import Wrapped

        return Wrapped(steps[0], self.adam, fabric)

    def _finish(self, step: TrainingStep, member: Member) -> bool:
        """Give the model and its objectives their best state and write the model; False where there is none."""
        vae, history, folder = step.vae, member.history, member.folder
        if not member.best_state:
            if folder is not None:
                folder.abandon()
            return False
        if not math.isfinite(history.rows[-1]["validation"]["objective"]):
            history.notes.append(
                f"The objective was no longer finite at epoch {len(history.rows)}; epoch {history.best_epoch} was kept."
            )
        step.load_state_dict(member.best_state)
        step.eval()
        self._pool(vae)
        history.notes += self._remarks(vae) + self._readings(vae)
        if folder is not None:
            folder.finish(vae, history)
        return True

    def _readings(self, vae: VAE) -> list[str]:
        """Whether anything but q has learned to read x: a gate that was shut at the start may have opened."""
        try:
            check_readings(vae, self.data.validation, self.settings.seed)
        except InputError as error:
            return [str(error)]
        return []

    def _recipes(self) -> list[dict[str, Any]]:
        """What makes each run what it is; epochs are left out, so that a run can be continued for longer."""
        chosen = ["batch_size", "seed", "patience", "select"]
        if self.adam.lr_final is not None:  # then the number of epochs shapes every step
            chosen.append("epochs")
        settings = {name: getattr(self.settings, name) for name in chosen} | asdict(self.adam)
        return [
            {
                "model": model_recipe(step.vae),
                "objective": _recipe(step.procedure),
                "training": settings,
                "data": self.data.record(),
            }
            for step in self.steps
        ]

    @torch.no_grad()
    def _settle(self, vae: VAE) -> list[str]:
        """Let the components take from the training data what was left to them."""
        train_set = self.data.train
        if not train_set.values.in_memory and len(train_set) > _ROWS_AT_ONCE:
            train_set = train_set[torch.linspace(0, len(train_set) - 1, _ROWS_AT_ONCE).long()]
        batch = Split(train_set, (), vae.device, vae.dtype).batch(torch.arange(len(train_set), device=vae.device))
        y = vae.given(batch, vae.keyed_noise(0, batch.index, 0))[0]["x"][0]
        cells = y if batch.seen is None else y.masked_fill(~batch.seen, torch.nan)  # the likelihood is of seen ones
        notes = vae.likelihood.settle(cells, vae.preprocess.step, vae.latents)
        for part in (*vae.prior.values(), *vae.posterior.values()):
            notes += part.settle(y, vae.preprocess.step, vae.latents)
        return notes

    @torch.no_grad()
    def _remarks(self, vae: VAE) -> list[str]:
        """What the likelihood says of itself on the first validation examples."""
        split = Split(self.data.validation[:1_000], vae.context_names, vae.device, vae.dtype)
        batch = split.batch(torch.arange(len(split), device=vae.device))
        noise = {name: v[:1_000] if name == "x" else v[:1, :1_000] for name, v in self.noise.items()}
        p_x = vae(batch, noise, lay_out=False).p_x
        remarks = vae.likelihood.remarks(p_x)
        share = leak(p_x, vae.preprocess.support(self.data.support))
        if share is not None and share > _WORTH_SAYING:
            name = type(vae.likelihood).__name__
            remarks.append(f"{name}: {share:.1%} of its mass lies outside [0, 1], where the data cannot be.")
        return remarks

    @torch.no_grad()
    def _pool(self, vae: VAE) -> None:
        """A scale that is optimal in closed form is taken over all training data at the parameters that are kept."""
        if not isinstance(vae.likelihood, Normal) or vae.likelihood.scale != "optimal":
            return
        split = Split(self.data.train, vae.context_names, vae.device, vae.dtype)
        with vae.likelihood.pooling():
            for rows in torch.arange(len(split), device=vae.device).split(_ROWS_AT_ONCE):
                batch = split.batch(rows)
                vae(batch, vae.keyed_noise(1, batch.index, self.settings.seed))


def _recipe(procedure: Procedure) -> Any:
    """The procedure in plain values; that of the objective where it is nothing more."""
    objective = procedure[procedure.main].objective
    alone = Procedure({"objective": Phase(objective)})
    plain = type(procedure) is Procedure and recipe_of(procedure) == recipe_of(alone)
    return recipe_of(objective if plain else procedure)
