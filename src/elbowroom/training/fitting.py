"""`fit` and `fit_stacked`: check, settle, train, keep the best."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elbowroom.data import Dataset
from elbowroom.likelihoods import Normal, mass_outside
from elbowroom.networks import stackable
from elbowroom.numerics import InputError
from elbowroom.objectives import Elbo, Objective
from elbowroom.runs import recipe_of
from elbowroom.vae import VAE
from elbowroom.vae.files import model_recipe

from .engines import Adam, Alone, Engine, Stacked
from .folder import Checkpoint, RunFolder
from .history import History
from .loop import Member, Select, Settings, Split, Values, train
from .step import TrainingStep

__all__ = ["fit", "fit_stacked"]


def fit(
    vae: VAE,
    data: Dataset,
    objective: Objective | None = None,
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

    objective: default Elbo(). lr, lr_final, betas, clip: of fused Adam; the learning rate falls to lr_final by the same
    factor every epoch (None: it stays); clip is the largest norm of the gradient, None for no clipping. patience:
    epochs without a better validation value before training stops; None trains all epochs. select: "objective" goes by
    the validation value of what is trained, after its schedule; "calibrated" by the bound at the best noise scale (a
    Normal likelihood with a fixed scale), the scale taken from the training data; "last" keeps the last epoch. seed: of
    shuffling and noise; the same seed gives the same bits on the same machine. run: a folder for recipe, history,
    checkpoint and the kept model; resume=True continues it bit for bit. device, processes, precision: through Lightning
    Fabric, which is not even loaded for one process on the CPU.
    Raises InputError where data, likelihood and settings do not fit together.

    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.mlp([64, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.mlp([2, 64]), 64), preprocess=digits.preprocess)
    >>> er.fit(vae, digits, epochs=2, progress=False).best_epoch
    2
    """
    plan = Plan(
        [vae], data, [objective or Elbo()], epochs, batch_size, Adam(lr, lr_final, betas, clip), patience, select, seed
    )
    plan.folders, plan.resume, plan.progress = [run], resume, progress
    if device == "cpu" and processes == 1 and precision == "32-true":
        return plan.train()[0]
    from .fabric import train_with_fabric

    return train_with_fabric(plan, device, processes, precision)


def fit_stacked(
    vaes: Sequence[VAE],
    data: Dataset,
    objectives: Sequence[Objective],
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
    """Train models of one structure as one; each ends as `fit` with the same arguments would leave it.

    vaes, objectives: one of each per member, alike but for their numbers (parameters, β). Models that cannot be
    stacked (batch norm, dropout) are trained one by one. With patience, all stop when the last is out of patience;
    what is kept of each is chosen as alone. Other arguments and errors: see `fit`.
    """
    if len(vaes) != len(objectives) or not vaes:
        raise InputError(
            f"Stacking needs one objective per model; got {len(vaes)} models, {len(objectives)} objectives."
        )
    adam = Adam(lr, lr_final, betas, clip)
    folders = list(runs) if runs is not None else [None] * len(vaes)
    together = stackable(vaes[0]) and len(vaes) > 1
    groups = [range(len(vaes))] if together else [[i] for i in range(len(vaes))]
    histories: list[History] = []
    for group in groups:
        models, goals = [vaes[i] for i in group], [objectives[i] for i in group]
        plan = Plan(models, data, goals, epochs, batch_size, adam, patience, select, seed)
        plan.folders, plan.resume, plan.progress = [folders[i] for i in group], resume, progress
        histories += plan.train()
    return histories


class Plan:
    """One call of fit: what is trained on what, checked before anything is written."""

    folders: Sequence[str | Path | None]
    resume = False
    progress = True

    def __init__(
        self,
        vaes: Sequence[VAE],
        data: Dataset,
        objectives: Sequence[Objective],
        epochs: int,
        batch_size: int,
        adam: Adam,
        patience: int | None,
        select: Select,
        seed: int,
    ) -> None:
        self.vaes, self.data, self.objectives, self.adam = vaes, data, objectives, adam
        schedule = max(o.schedule_steps for o in objectives)
        self.settings = Settings(epochs, batch_size, seed, patience, select, objectives[0].draws, schedule)
        self._check()

    def train(self, fabric: Any = None) -> list[History]:
        """Run it; the models end with their best parameters."""
        settings = replace(self.settings, progress=self.progress)
        if fabric is not None:
            settings = replace(settings, rank=fabric.global_rank, ranks=fabric.world_size)
        writes = settings.rank == 0
        folders = [RunFolder(Path(f)) if f is not None and writes else None for f in self.folders]
        recipes = [self._recipe(i) for i in range(len(self.vaes))]
        checkpoints = [
            folder.open(recipe, self.resume) for folder, recipe in zip(folders, recipes, strict=True) if folder
        ]
        goes_on = [c for c in checkpoints if c is not None]
        notes = [[] if goes_on else self._settle(vae) for vae in self.vaes]
        value = self._value()
        members = [Member(value, f, n, settings.select) for f, n in zip(folders, notes, strict=True)]
        self._run(members, settings, goes_on, fabric)
        for vae, member in zip(self.vaes, members, strict=True):
            self._finish(vae, member)
        return [member.history for member in members]

    def _run(self, members: list[Member], settings: Settings, checkpoints: list[Checkpoint], fabric: Any) -> None:
        steps = [TrainingStep(vae, o).train() for vae, o in zip(self.vaes, self.objectives, strict=True)]
        stacked = len(steps) > 1
        engine: Engine = Stacked(steps, self.adam) if stacked else Alone(steps[0], self.adam, fabric)
        vae = self.vaes[0]
        where = (vae.context_names, vae.device, vae.dtype)
        training, validation = Split(self.data.train, *where), Split(self.data.validation, *where)
        noise = vae.keyed_noise(settings.draws, self.data.validation.index, settings.seed)
        train(engine, vae.draw_noise, training, validation, noise, members, settings, checkpoints)

    def _finish(self, vae: VAE, member: Member) -> None:
        history = member.history
        if not member.best_state:
            raise InputError(
                "Training gave no finite validation value: lower the learning rate, or raise the floors of the scales."
            )
        if not math.isfinite(history.rows[-1]["validation"]["objective"]):
            history.notes.append(
                f"The objective was no longer finite at epoch {len(history.rows)}; epoch {history.best_epoch} was kept."
            )
        vae.load_state_dict(member.best_state)
        vae.eval()
        history.notes += self._remarks(vae)
        if member.folder is not None:
            member.folder.finish(vae, history)

    def _recipe(self, member: int) -> dict[str, Any]:
        """What makes the run what it is; epochs are left out, so that a run can be continued for longer."""
        settings = {
            name: value
            for name, value in asdict(self.settings).items()
            if name not in ("epochs", "progress", "rank", "ranks", "draws", "schedule_steps")
        }
        if self.adam.lr_final is not None:  # then the number of epochs shapes every step
            settings["epochs"] = self.settings.epochs
        return {
            "model": model_recipe(self.vaes[member]),
            "objective": recipe_of(self.objectives[member]),
            "training": {**settings, **asdict(self.adam)},
            "data": self.data.record(),
        }

    def _check(self) -> None:
        data, settings = self.data, self.settings
        if settings.epochs < 1 or settings.batch_size < 1:
            raise InputError(f"epochs and batch_size must be 1 or more; got {settings.epochs}, {settings.batch_size}.")
        for vae in self.vaes:
            vae.likelihood.check(vae.preprocess.support(data.support))
            event = tuple(data.train.x.shape[1:])
            if math.prod(vae.likelihood.event) != math.prod(event):
                raise InputError(f"The likelihood is over {vae.likelihood.event}, but examples have shape {event}.")
            for name in vae.context_names:
                if name not in data.train.context:
                    there = ", ".join(data.train.context) or "none"
                    raise InputError(f"The model reads the context {name!r}, which the data lack (they have: {there}).")
        steps = settings.epochs * math.ceil(len(data.train) / settings.batch_size)
        if settings.schedule_steps > steps:
            raise InputError(
                f"The objective's schedule takes {settings.schedule_steps:,} steps and the run only {steps:,}, so the "
                f"weight would never reach its value: shorten the warm-up or train for more epochs."
            )
        if len({o.draws for o in self.objectives}) > 1:
            raise InputError("Stacked objectives must all use the same number of draws.")
        if settings.select == "calibrated" and not all(_fixed_normal(vae) for vae in self.vaes):
            raise InputError(
                "select='calibrated' is for a Normal likelihood with a fixed scale; this model has none: "
                "use select='objective'."
            )

    @torch.no_grad()
    def _settle(self, vae: VAE) -> list[str]:
        """Let the components take from the training data what was left to them."""
        train_set = self.data.train
        y, _ = vae.preprocess(train_set.x.to(vae.dtype), vae.keyed_noise(1, train_set.index, 0).get("x"))
        step = vae.preprocess.step
        parts = [vae.likelihood, *vae.prior.values(), *vae.posterior.values()]
        return [note for part in parts for note in part.settle(y, step, vae.latents)]

    def _value(self) -> Values:
        """The number epochs are chosen by, from their rows."""
        if self.settings.select != "calibrated":
            return lambda _, validation: validation["objective"]
        vae = self.vaes[0]
        dimensions, sigma = math.prod(vae.likelihood.event), float(vae.likelihood.scale)  # type: ignore[arg-type]
        jacobians = [self._mean_log_jacobian(vae, part) for part in (self.data.train, self.data.validation)]
        constant = dimensions * math.log(sigma * math.sqrt(2 * math.pi))

        def squares(row: dict[str, float], jacobian: float) -> float:
            return 2 * sigma**2 * (row["distortion"] + jacobian - constant)

        def calibrated(trained: dict[str, float], validated: dict[str, float]) -> float:
            variance = squares(trained, jacobians[0]) / dimensions
            error = squares(validated, jacobians[1])
            return 0.5 * (error / variance + dimensions * math.log(2 * math.pi * variance)) + validated["rate"]

        return calibrated

    @torch.no_grad()
    def _mean_log_jacobian(self, vae: VAE, examples: Any) -> float:
        noise = vae.keyed_noise(1, examples.index, self.settings.seed).get("x")
        jacobian: Tensor = vae.preprocess(examples.x.to(vae.dtype), noise)[1]
        return jacobian.double().mean().item()

    @torch.no_grad()
    def _remarks(self, vae: VAE) -> list[str]:
        """What the likelihood says of itself on the first validation examples."""
        split = Split(self.data.validation, vae.context_names, vae.device, vae.dtype)
        rows = torch.arange(min(len(split), 1_000))
        batch = split.batch(rows)
        p_x = vae(batch, vae.keyed_noise(1, batch.index, self.settings.seed)).p_x
        remarks = vae.likelihood.remarks(p_x)
        if isinstance(vae.likelihood, Normal) and vae.preprocess.support(self.data.support).kind == "unit":
            share = mass_outside(p_x, 0.0, 1.0)
            remarks.append(f"Normal: {share:.1%} of its mass lies outside [0, 1], where the data cannot be.")
        return remarks


def _fixed_normal(vae: VAE) -> bool:
    return isinstance(vae.likelihood, Normal) and not isinstance(vae.likelihood.scale, str)
