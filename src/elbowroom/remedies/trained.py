"""Training a copy of a model: from fresh weights or from those it has, all of it or q alone, within a time."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from elbowroom.data import Dataset
from elbowroom.numerics import CapabilityError, InputError
from elbowroom.numerics.seeded import seeded
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.training import fit
from elbowroom.training.adam import CLIP
from elbowroom.training.stream import steps_per_epoch
from elbowroom.vae import VAE
from elbowroom.vae._load_model import build_model
from elbowroom.vae._save_model import model_recipe

__all__ = ["Goal", "Training", "fresh", "trained"]

Goal = Callable[[int], Objective | Procedure]
"""From the number of steps of the whole training to what is minimised: a warm-up is a share of it."""

_REHEARSED = 20  # batches


@dataclass(frozen=True)
class Training:
    """How long a remedy trains, and by which steps; gradients are clipped to a norm of 10, as a study clips them.

    Parameters
    ----------
    epochs : int
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, one at least.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth.
    patience : int, optional
        Epochs without a better validation value after which training stops.
    seed : int, default 0
        Of shuffling and noise.
    """

    epochs: int
    seconds: float | None = None
    batch_size: int = 100
    lr: float = 1e-3
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or (self.seconds is not None and not self.seconds > 0):
            raise InputError(
                f"A remedy trains for 1 epoch or more, and seconds above 0; got {self.epochs} and {self.seconds}."
            )


def trained(vae: VAE, data: Dataset, goal: Goal, how: Training, *, settle: bool) -> VAE:
    """Train a model in place; the parameters of the epoch that is best on validation are kept.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        What it is trained on.
    goal : callable
        Number of steps → what is minimised.
    how : Training
        For how long.
    settle : bool
        Whether components take from the data what was left open, as a model that was made anew needs.

    Returns
    -------
    VAE
        The same model, in evaluation mode.
    """
    how = _within(vae, data, goal, how, settle)
    _fit(vae, data, goal, how, settle, lr_final=how.lr / 10)
    return vae


def fresh(vae: VAE, seed: int) -> VAE:
    """The same model with weights drawn anew, of which nothing was taken from the data but the scale of its x.

    Parameters
    ----------
    vae : VAE
        The model, which stays as it is.
    seed : int
        Of the weights.

    Returns
    -------
    VAE
        Another one.

    Raises
    ------
    CapabilityError
        For a network of the user's own that cannot draw its weights anew.
    """
    with seeded(seed):
        other = build_model(model_recipe(vae), _Foreign(vae))
    other.preprocess.load_state_dict(dict(vae.preprocess.named_buffers()), strict=False)  # as the data set fitted it
    for name in ("table", "assumed"):
        if name in vars(vae):
            setattr(other, name, vars(vae)[name])
    return other.to(vae.device, vae.dtype)


class _Foreign(dict[str, nn.Module]):
    """The user's own modules by the names that a recipe gives them, copied, with weights drawn anew."""

    def __init__(self, vae: VAE) -> None:
        parts: dict[str, Any] = {"decoder": vae.likelihood, "preprocess": vae.preprocess}
        alone = len(vae.prior) == 1
        for role, blocks in (("prior", vae.prior), ("encoder", vae.posterior)):
            parts |= {role if alone else f"{role}.{name}": block for name, block in blocks.items()}
        super().__init__({name: _anew(name, part.network) for name, part in parts.items() if _own(part)})


def _own(part: Any) -> bool:
    network = getattr(part, "network", None)
    return network is not None and not hasattr(network, "arguments")


def _anew(name: str, network: nn.Module) -> nn.Module:
    other = copy.deepcopy(network)
    for module in other.modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise CapabilityError(
                f"The {type(module).__name__} in the {name} draws no new weights (it has no reset_parameters), so that "
                f"it cannot be trained again from the start: take lower_beta, which goes on from those it has."
            )
    return other


def _within(vae: VAE, data: Dataset, goal: Goal, how: Training, settle: bool) -> Training:
    """The training with no more epochs than there is time for, by a rehearsal on a few batches."""
    if how.seconds is None:
        return how
    begun, n = time.monotonic(), len(data.train)
    few = replace(data, train=data.train[: _REHEARSED * how.batch_size])
    share = n / len(few.train)
    few = replace(few, validation=data.validation[: max(2, int(len(data.validation) / share))])
    once = replace(how, epochs=1, seconds=None)
    each = _fit(copy.deepcopy(vae), few, goal, once, settle).rows[-1]["seconds"] * share
    left = how.seconds - (time.monotonic() - begun)
    return replace(how, epochs=max(1, min(how.epochs, int(left / max(each, 1e-6)))))


def _fit(vae: VAE, data: Dataset, goal: Goal, how: Training, settle: bool, lr_final: float | None = None) -> Any:
    steps = how.epochs * steps_per_epoch(len(data.train), how.batch_size)
    return fit(
        vae,
        data,
        goal(steps),
        epochs=how.epochs,
        batch_size=how.batch_size,
        lr=how.lr,
        lr_final=lr_final,
        clip=CLIP,
        patience=how.patience,
        seed=how.seed,
        settle=settle,
        progress=False,
    )
