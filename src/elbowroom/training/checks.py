"""What is checked before anything is written: data, models, objectives and settings that do not fit together."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elbowroom.data import Dataset
from elbowroom.distributions import Autoregressive
from elbowroom.distributions._log_prob_seen import check_order
from elbowroom.numerics import Batch, InputError, Noise, one_of
from elbowroom.objectives import Loss, Objective
from elbowroom.vae import VAE, check_readings
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.outside import refuse_outside

from .selection import SELECT, fixed_normal
from .settings import Settings
from .split import Split
from .stream import steps_per_epoch
from .training_step import TrainingStep

__all__ = ["check", "reason", "two_examples"]

_ROWS_AT_ONCE = 1_000
_ENOUGH = 10  # rows, from which those that are alike say something
_ROUNDING = 1e-9
_LOGGED = ("objective", "rate", "distortion", "elbo")


def check(steps: Sequence[TrainingStep], data: Dataset, each: Sequence[Settings]) -> None:
    """Refuse, before anything is written, what cannot be trained.

    Parameters
    ----------
    steps : sequence of TrainingStep
        Models and procedures.
    data : Dataset
        What they are trained on.
    each : sequence of Settings
        What the loop does, one for each step.

    Raises
    ------
    InputError
        In one sentence.
    """
    if not isinstance(data, Dataset):
        raise InputError(
            f"fit takes a Dataset, as er.load_data(...) makes it; got an object of type {type(data).__name__}."
        )
    for part in ("train", "validation"):
        if not len(data.parts[part]):
            raise InputError(f"The {part} part of {data.name!r} is empty: load the data with a larger share for it.")
    for step, settings in zip(steps, each, strict=True):
        _check_settings(settings)
        _check_schedule(settings, len(data.train))
        _check_data(step.vae, data)
        _check_parts(step)
        if settings.select == "calibrated" and not fixed_normal(step.vae):
            raise InputError(
                "select='calibrated' is for a Normal likelihood with a fixed scale, and this model's is not: use "
                "select='objective'."
            )
        _try_two_examples(step, data, settings)


def _check_settings(settings: Settings) -> None:
    if settings.epochs < 1 or settings.batch_size < 1:
        raise InputError(f"epochs and batch_size must be 1 or more; got {settings.epochs} and {settings.batch_size}.")
    if settings.patience is not None and settings.patience < 1:
        raise InputError(f"patience is 1 epoch or more, or None for no stopping; got {settings.patience}.")
    one_of("select", settings.select, SELECT)
    if settings.seed < 0:
        raise InputError(f"A seed is a whole number from 0; got {settings.seed}.")


def _check_schedule(settings: Settings, n: int) -> None:
    steps = settings.epochs * steps_per_epoch(n, settings.batch_size)
    if settings.schedule_steps > steps:
        raise InputError(
            f"The objective's schedule takes {settings.schedule_steps:,} steps and the run only {steps:,}, so the "
            f"weight would never reach its value: shorten the warm-up or train for more epochs."
        )


def _check_data(vae: VAE, data: Dataset) -> None:
    after = vae.preprocess.support(data.support)
    if any(one.values for one in after.columns or (after,)):
        raise InputError(
            f"{data.name!r} holds {after}, and likelihoods of levels count them from 0: load it with "
            f"preprocess='auto', which codes them."
        )
    vae.likelihood.check(after)
    event, first = data.train.event, data.train.rows(slice(0, 1))
    if vae.likelihood.event != event:
        way_out = (
            "load the data with flat=True or flat=False"
            if math.prod(event) == math.prod(vae.likelihood.event)
            else ("build the model for data.event")
        )
        raise InputError(f"The likelihood is over {vae.likelihood.event} and examples have shape {event}: {way_out}.")
    for name in vae.context_names:
        if name not in first.context:
            there = ", ".join(first.context) or "none"
            raise InputError(
                f"The model reads the context {name!r}, which the data lack (they have: {there}): give labels or "
                f"context= to load_data."
            )
    _check_contexts(vae, data)
    for part in (data.train, data.validation):
        vae.check_rows(part)
    # The support was compared with every value of the parts that came with it; `settle` sees the training rows alone.
    if not data.sha256 or data.train.data != data.sha256:
        refuse_outside(vae, data.train)
    refuse_outside(vae, data.validation)


def _check_contexts(vae: VAE, data: Dataset) -> None:
    """Refuse a context that says nothing, and one that says x."""
    x = data.train[:_ROWS_AT_ONCE].x.double().flatten(1) if vae.context_names else torch.empty(0)
    for name in vae.context_names:
        values = data.train.context[name].flatten(1)
        if len(values) >= _ENOUGH and bool((values == values[:1]).all()):
            raise InputError(
                f"The context {name!r} is the same in all {len(values):,} training examples, so that it conditions "
                f"nothing: leave it out, or give rows that differ in it."
            )
        if (place := _copy_of(values[:_ROWS_AT_ONCE].double(), x)) is not None:
            what = repr(data.columns[place]) if data.columns else f"element {place + 1} of x"
            raise InputError(
                f"The context {name!r} holds {what} over again, which x given it would be a point in: leave one of the "
                f"two out (context= with the name of a column takes it out of x)."
            )


def _copy_of(context: Tensor, x: Tensor) -> int | None:
    """Which element of x [n, D] is one of the context's numbers [n, d], but for shift and scale."""
    if len(x) < _ENOUGH or len(context.unique()) <= _ENOUGH:  # few values agree by chance
        return None
    ours, theirs = (torch.nn.functional.normalize(one - one.mean(0), dim=0) for one in (context, x))
    alike = (ours.T @ theirs).abs().amax(0)
    found = (alike > 1 - _ROUNDING).nonzero()
    return int(found[0]) if len(found) else None


def _check_parts(step: TrainingStep) -> None:
    names = [name for name, _ in step.named_modules(remove_duplicate=False)]
    for name, phase in step.procedure.items():
        for part in phase.parts:
            if step.prefix(name, part)[:-1] not in names:
                raise InputError(
                    f"The phase {name!r} moves {part!r}, which this model does not have: name parts of it, as in "
                    f"'prior', 'likelihood' or 'posterior.{next(iter(step.vae.posterior))}'."
                )
        if not step.moved_by(name):
            raise InputError(
                f"The phase {name!r} moves {', '.join(phase.parts)}, where there is no parameter to learn: give it "
                f"others, or leave it out."
            )


def two_examples(step: TrainingStep, data: Dataset, draws: int, seed: int) -> tuple[Batch, Noise]:
    """The first two training examples and their noise, to try things on.

    Parameters
    ----------
    step : TrainingStep
        Model and procedure.
    data : Dataset
        What it is trained on.
    draws : int
        Of z, per example.
    seed : int
        Keys the noise.

    Returns
    -------
    batch : Batch
        Two examples.
    noise : dict of Tensor
        Theirs.
    """
    vae, few = step.vae, data.train[:2]
    split = Split(few, vae.context_names, vae.device, vae.dtype)
    return split.batch(torch.arange(len(split), device=vae.device)), step.keyed_noise(draws, few.index, seed)


def _try_two_examples(step: TrainingStep, data: Dataset, settings: Settings) -> None:
    """One pass in evaluation mode, so that networks of a wrong size are found here and not in a run begun."""
    batch, noise = two_examples(step, data, settings.draws, settings.seed)
    try:
        with evaluating(step):
            _check_gaps(step.vae, data, batch, noise)
            for name, phase in step.procedure.items():
                loss = phase.objective(step.vae, batch, noise, torch.tensor(torch.inf))
                _check_loss(loss, phase.objective)
                _check_gradient(loss, name, step)
                with torch.no_grad():
                    step(batch, noise, torch.tensor(torch.inf), name)
        check_readings(step.vae, batch, seed=settings.seed)
    except InputError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        if "nference tensor" in str(error):  # said by own_modes
            raise
        raise InputError(
            f"The model cannot take examples of shape {tuple(batch.x.shape[1:])} ({reason(error)}): check the sizes of "
            f"its networks."
        ) from error


@torch.no_grad()
def _check_gaps(vae: VAE, data: Dataset, batch: Batch, noise: Noise) -> None:
    """Refuse missing cells that this model would not leave out, in any example."""
    if batch.seen is None:
        return
    if getattr(vae.likelihood, "scale", None) == "optimal":
        raise InputError(
            "scale='optimal' is the mean squared error over all cells, and some are missing: use scale='shared'."
        )
    p_x = vae(batch, noise, lay_out=False).p_x
    for part in (data.train, data.validation) if isinstance(p_x, Autoregressive) else ():
        for rows in torch.arange(len(part)).split(_ROWS_AT_ONCE):
            seen = part.rows(rows).seen
            if seen is not None:
                check_order(p_x, seen)


def _check_loss(loss: Any, objective: Objective) -> None:
    what = type(objective).__name__
    if not isinstance(loss, Loss) or not isinstance(loss.total, Tensor) or loss.total.dim():
        raise InputError(f"{what} is to return a Loss whose total is one number; it returned a {_kind(loss)}.")
    for name, value in loss.logged.items():
        if name in _LOGGED or "." in name:
            raise InputError(f"{what} logs {name!r}, which is logged already or has a dot: choose another name.")
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError(f"{what} logs {name!r} as a {_kind(value)}: log tensors of one number each.")
    buffers = dict(objective.named_buffers())
    for name, value in loss.moved.items():
        if name not in buffers or buffers[name].shape != value.shape:
            raise InputError(f"{what} moves {name!r}, which is no buffer of its own of that shape: register it.")


def _check_gradient(loss: Loss, phase: str, step: TrainingStep) -> None:
    parameters = list(step.moved_by(phase).values())
    found = torch.autograd.grad(loss.total, parameters, allow_unused=True) if loss.total.requires_grad else ()
    if all(gradient is None for gradient in found):
        objective = type(step.procedure[phase].objective).__name__
        raise InputError(
            f"{objective} does not depend on {', '.join(step.procedure[phase].parts)}, which the phase {phase!r} "
            f"moves by it: give the phase other parts."
        )


def _kind(value: object) -> str:
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
    return f"{type(value).__name__}{shape}"


def reason(error: Exception) -> str:
    """The first sentence of an error, to stand inside another.

    >>> reason(ValueError("No such device. Available are: cpu."))
    'No such device'
    """
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".:")
