"""`fit` and `fit_stacked`: check, settle, train, keep the best."""

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from elbowroom.data import Dataset
from elbowroom.numerics import InputError
from elbowroom.objectives import Elbo, Objective
from elbowroom.procedures import Procedure
from elbowroom.runs.history import History
from elbowroom.vae import VAE

from .engines import Adam
from .groups import groups, reason_alone
from .loop import Settings
from .selection import Select
from .training_plan import TrainingPlan
from .training_step import TrainingStep

__all__ = ["fit", "fit_stacked"]


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
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.MLP([64, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.MLP([2, 64]), 64), preprocess=digits.preprocess)
    >>> er.fit(vae, digits, epochs=2, progress=False).best_epoch
    2
    """
    step = TrainingStep(vae, objective or Elbo())
    settings = Settings(
        epochs, batch_size, seed, patience, select, step.procedure.draws, step.procedure.schedule_steps, progress
    )
    plan = TrainingPlan([step], data, Adam(lr, lr_final, betas, clip), settings)
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
        plans.append((group, TrainingPlan([steps[i] for i in group], data, adam, settings)))
    histories: dict[int, History] = {}
    for group, plan in plans:
        plan.begin([folders[i] for i in group], resume)
    for group, plan in plans:
        histories |= zip(group, plan.train(), strict=True)
    return [histories[i] for i in range(len(vaes))]
