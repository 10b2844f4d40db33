"""`fit` and `fit_stacked`: check, settle, train, keep the best."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from elbowroom.data import Dataset
from elbowroom.numerics import InputError, own_modes, plain_arguments
from elbowroom.objectives import Elbo, Objective
from elbowroom.procedures import Procedure
from elbowroom.progress import Progress, within
from elbowroom.runs.history import History
from elbowroom.vae import VAE
from elbowroom.vae.coarse import refuse_coarse

from .device import device_named, standing_on
from .engines import Adam
from .groups import groups, joined, reason_alone, reason_by_seed
from .placement import processes_for, shared, worth_stacking
from .selection import Select
from .settings import Settings
from .stream import steps_per_epoch
from .training_plan import Kept, TrainingPlan
from .training_step import TrainingStep

__all__ = ["fit", "fit_stacked"]


@own_modes
@plain_arguments
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
    settle: bool = True,
    after_epoch: Callable[[int], None] | None = None,
    progress: bool = True,
) -> History:
    """Train a VAE on data.train, and keep the parameters of the epoch that is best on data.validation.

    `vae` is changed in place and ends in evaluation mode, with the parameters of the epoch kept.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        As `er.load_data` returns it.
    objective : Objective or Procedure, optional
        What is minimised, from `er.objectives`, or a procedure of several phases, from `er.procedures`; by default the
        negative ELBO, `Elbo()`. Parameters and buffers of its own end at the kept epoch too.
    epochs : int, default 100
        Passes over the training data.
    batch_size : int, default 100
        Examples per step of the optimizer.
    lr : float, default 1e-3
        Learning rate of Adam. A phase of a procedure that has a rate of its own keeps it; so for lr_final, betas, clip.
    lr_final : float, optional
        Learning rate of the last epoch; it falls by the same factor every epoch. By default it stays.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of Adam's two moments.
    clip : float, optional
        Largest norm of the gradient of a step; by default there is none.
    patience : int, optional
        Epochs without a better validation value after which training stops; by default it does not.
    select : {"objective", "calibrated", "last"}, default "objective"
        What the kept epoch is chosen by: "objective" by the objective on validation, of epochs after its schedule (such
        as the warm-up of β); "calibrated", for a Normal likelihood with a fixed scale, by the negative ELBO on
        validation at the scale that fits the training data best; "last" keeps the last epoch.
    seed : int, default 0
        Of shuffling and noise; the same seed gives the same bits on the same machine. Weights are drawn earlier, where
        the model is made.
    run : str or Path, optional
        A folder for recipe, history, checkpoint and the trained model, read by `er.runs.read_run`; by default nothing
        is written.
    resume : bool, default False
        Continue the interrupted run in that folder; the result is that of a run without interruption, bit for bit.
    device : str, default "cpu"
        Where it is trained: "cpu", "cuda", "mps", "tpu" or "auto" (the best there is), but for one CUDA device by
        Lightning Fabric; the model comes back on the CPU.
    processes : int, default 1
        Number of processes, each on a share of every batch. With more than one, the script that calls `fit` needs the
        guard `if __name__ == "__main__":`.
    precision : str, default "32-true"
        Of the arithmetic: "32-true"; "bf16-mixed" or "16-mixed" (half precision where it is safe); "bf16-true" or
        "16-true" (half precision throughout, after which the model comes back in 32 bits); "64-true".
    settle : bool, default True
        Whether components first take from the training data what was left open, such as where a noise scale starts;
        False goes on with a model that was trained or calibrated before, as it stands.
    after_epoch : callable, optional
        Called with the number of every epoch when it is over, to measure `vae` as it is then; training goes on
        unchanged, or stops there with the exception that it raises. On the CPU in one process.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    History
        Rows per epoch, the epoch kept, and notes.

    Raises
    ------
    InputError
        Where data, model, objective and settings do not fit together, which is found before training, or no epoch has a
        finite validation value.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.MLP([64, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.MLP([2, 64]), 64), preprocess=digits.preprocess)
    >>> er.fit(vae, digits, epochs=2, progress=False).best_epoch
    2
    """
    refuse_coarse(vae)
    step = TrainingStep(vae, objective or Elbo())
    settings = Settings(
        epochs,
        batch_size,
        seed,
        patience,
        select,
        step.procedure.draws,
        step.procedure.schedule_steps,
        progress,
        settle=settle,
    )
    with Progress("fit", None, show=progress):
        plan = TrainingPlan([step], data, [Adam(lr, lr_final, betas, clip)], [settings])
        if device == "cpu" and processes == 1 and precision == "32-true":
            plan.begin([run], resume)
            return plan.train(tick=after_epoch or (lambda epoch: None))[0]
    if after_epoch is not None:
        raise InputError("after_epoch= works on the CPU, in one process: leave device, processes and precision out.")
    if device in ("cuda", "gpu", "auto") and torch.cuda.is_available() and processes == 1 and precision == "32-true":
        plan.begin([run], resume)
        with standing_on(torch.device("cuda"), [step]):
            return plan.train()[0]
    from .fabric import train_with_fabric

    return train_with_fabric(plan, run, resume, device, processes, precision)


@own_modes
@plain_arguments
def fit_stacked(
    vaes: Sequence[VAE],
    data: Dataset,
    objectives: Sequence[Objective | Procedure],
    *,
    epochs: int = 100,
    batch_size: int = 100,
    lr: float | Sequence[float] = 1e-3,
    lr_final: float | Sequence[float | None] | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    patience: int | Sequence[int | None] | None = None,
    select: Select = "objective",
    seed: int | Sequence[int] = 0,
    runs: Sequence[str | Path] | None = None,
    resume: bool = False,
    device: str = "cpu",
    processes: int | None = None,
    progress: bool = True,
) -> list[History]:
    """Train several models at once; each ends as `fit` with the same settings would leave it.

    Small models that differ in numbers only (parameters, β, latent sizes, seeds, learning rates) are stacked and
    trained as one, which is faster; the others are trained one by one, side by side in several processes where there
    are cores for it, and `training.why_alone` says of models that are not large why. In a stack a model is what it
    would be alone up to the
    rounding of sums in another order. A model that diverges leaves the others unharmed: its history keeps no epoch
    (`diverged`) and says so, and all its parameters become NaN.

    Parameters
    ----------
    vaes : sequence of VAE
        The models.
    data : Dataset
        For all of them.
    objectives : sequence of Objective or Procedure
        One for each model.
    epochs : int, default 100
        Passes over the training data.
    batch_size : int, default 100
        Examples per step of the optimizer.
    lr : float or sequence of float, default 1e-3
        Learning rate of Adam: for all models, or one for each; so for lr_final, patience and seed.
    lr_final : float or sequence, optional
        Learning rate of the last epoch; by default that of the first.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of Adam's two moments.
    clip : float, optional
        Largest norm of a model's gradient; by default there is none.
    patience : int or sequence, optional
        Epochs without a better validation value after which a model stops; by default it does not.
    select : {"objective", "calibrated", "last"}, default "objective"
        What the kept epoch of each model is chosen by, as for `fit`.
    seed : int or sequence of int, default 0
        Of shuffling and noise.
    runs : sequence of str or Path, optional
        A run folder for each model; by default nothing is written.
    resume : bool, default False
        Continue the interrupted runs in these folders.
    device : str, default "cpu"
        Where they are trained: "cpu", "cuda" or "auto" (the best there is). On a GPU all that are alike are one
        stack, whatever their size; they come back on the CPU.
    processes : int, optional
        In how many processes models that are not stacked are trained side by side; by default in as many as there are
        cores, where that is faster, and in this one alone where there is a GPU, where the data are large (256 MiB), or
        where a part of a model is a class that no other process can import. It changes no number.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    list of History
        One for each model.

    Raises
    ------
    InputError
        As `fit` does, but for models that diverge; or where the sequences differ in length.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vaes = [er.models.build({"latents": 2, "widths": [8], "seed": seed}, digits) for seed in (0, 1)]
    >>> goals = [er.objectives.Elbo(beta) for beta in (0.5, 1.0)]
    >>> [history.best_epoch for history in fit_stacked(vaes, digits, goals, epochs=1, progress=False)]
    [1, 1]
    """
    folders = [None] * len(vaes) if runs is None else list(runs)
    if not vaes or not len(vaes) == len(objectives) == len(folders):
        raise InputError(
            f"Stacking needs one objective, and one run folder if any, per model; got {len(vaes)} models, "
            f"{len(objectives)} objectives, {len(folders)} folders."
        )
    for one in vaes:
        refuse_coarse(one)
    given = [folder for folder in folders if folder is not None]
    if len(set(map(id, vaes))) < len(vaes) or len(set(map(Path, given))) < len(given):
        raise InputError("A model, and a run folder, can stand in a stack once: give copies, and other folders.")
    seeds, patiences = _each("seed", seed, len(vaes)), _each("patience", patience, len(vaes))
    rates = zip(_each("lr", lr, len(vaes)), _each("lr_final", lr_final, len(vaes)), strict=True)
    adams = [Adam(first, last, betas, clip) for first, last in rates]
    own = [copy.deepcopy(goal) if goal in objectives[:i] else goal for i, goal in enumerate(objectives)]
    steps = [TrainingStep(vae, objective) for vae, objective in zip(vaes, own, strict=True)]
    where, plans = device_named(device), []
    for group in _together(steps, seeds, data, batch_size, where):
        each = [
            Settings(
                epochs,
                batch_size,
                seeds[i],
                patiences[i],
                select,
                steps[i].procedure.draws,
                steps[i].procedure.schedule_steps,
                progress,
            )
            for i in group
        ]
        plans.append((group, TrainingPlan([steps[i] for i in group], data, [adams[i] for i in group], each)))
    updates = epochs * steps_per_epoch(len(data.train), batch_size)
    side = 1
    if where.type == "cpu":
        side = processes_for([plan.steps for _, plan in plans], data, batch_size, updates, processes)
    for group, plan in plans:
        plan.begin([folders[i] for i in group], resume)
    histories: dict[int, History] = {}
    with standing_on(where, steps):
        for place, found in _run([plan for _, plan in plans], side, progress):
            group, plan = plans[place]
            plan.finish(found)
            histories |= zip(group, (one.history for one in found), strict=True)
    return [histories[i] for i in range(len(vaes))]


def _each(name: str, value: Any, n: int) -> list[Any]:
    """One value for each of n models, of one for all or one for each."""
    found = list(value) if isinstance(value, Sequence) else [value] * n
    if len(found) != n:
        raise InputError(f"Say one {name} for all models, or one for each; got {len(found)} for {n} models.")
    return found


def _run(plans: Sequence[TrainingPlan], processes: int, progress: bool) -> Iterator[tuple[int, list[Kept]]]:
    """Each plan's place and what it leaves, as they are done."""
    if processes > 1:
        from .side_by_side import side_by_side  # which few need

        with Progress("fit", None, show=progress):
            yield from side_by_side(plans, processes, progress)
        return
    for number, plan in enumerate(plans, start=1):
        place = within(f"group {number} of {len(plans)}") if len(plans) > 1 else nullcontext()
        with place, Progress("fit", None, show=progress):
            yield number - 1, plan.run()


def _together(
    steps: Sequence[TrainingStep],
    seeds: Sequence[int],
    data: Dataset,
    batch_size: int,
    where: torch.device = torch.device("cpu"),  # noqa: B008
) -> Iterator[list[int]]:
    """The groups as they are trained: no more in a stack than memory likes, and on the CPU large models one by one."""
    small, large = list[list[int]](), list[list[int]]()
    for group in groups(steps, partial(reason_alone, data=data)):
        first = steps[group[0]]
        worth = where.type != "cpu" or worth_stacking(first.vae, data, batch_size * first.procedure.draws)
        worth = len(steps) > 1 and worth
        (small if worth else large).append(group)
    for group in joined(small, steps, data):
        for part in _by_seed(group, seeds, steps[group[0]], data):
            yield from shared(part, steps[group[0]], data, batch_size, where)
    yield from ([position] for group in large for position in group)


def _by_seed(group: list[int], seeds: Sequence[int], first: TrainingStep, data: Dataset) -> list[list[int]]:
    """The group, in parts of one seed each where its members cannot be served batches of their own."""
    own = sorted({seeds[i] for i in group})
    if len(own) == 1 or reason_by_seed(first, data) is None:
        return [group]
    return [[i for i in group if seeds[i] == seed] for seed in own]
