"""What the stages `train` and `choose` leave: the models of the sweep on validation, and which of them was chosen."""

import math
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import InputError

from .values import Summary

__all__ = ["ChoiceRecord", "ModelRecord", "SweepRecord"]


@dataclass(frozen=True)
class ModelRecord:
    """One model of a sweep: what it is, how it was trained, and what it measures on validation.

    Parameters
    ----------
    name : str
        Of its run folder.
    label : str
        For people, "β = 0.5".
    settings : dict
        Its value on every axis of the sweep.
    axes : dict of str to str
        The same as people read them: symbol to value.
    epochs, best_epoch : int
        Trained, and the one that was kept.
    seconds : float
        Of training.
    parameters : int
        Numbers that were trained.
    latents, active : int
        Latent units, and how many of them are active on validation.
    rate, distortion, elbo, iwae : Summary
        On validation, in nats per example; rate + distortion = −elbo.
    squared_error : float, optional
        Of reconstructions on the network's scale; None where it means nothing.
    psnr : float, optional
        In dB; None where the data have no fixed range.
    why_no_squares : str, optional
        Why squared errors and variances mean nothing, in a sentence; None where they mean something.
    notes : tuple of str
        What a person should know about the training.
    """

    name: str
    label: str
    settings: dict[str, Any]
    axes: dict[str, str]
    epochs: int
    best_epoch: int
    seconds: float
    parameters: int
    latents: int
    active: int
    rate: Summary
    distortion: Summary
    elbo: Summary
    iwae: Summary
    squared_error: float | None
    psnr: float | None
    why_no_squares: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether its rate or its distortion is not a finite number."""
        return not math.isfinite(self.rate.mean + self.distortion.mean)


@dataclass(frozen=True)
class SweepRecord:
    """What `train` leaves: the models of the sweep, the last axis changing fastest.

    Parameters
    ----------
    models : tuple of ModelRecord
        At least one.
    """

    models: tuple[ModelRecord, ...]

    @property
    def graded(self) -> bool:
        """Whether the models differ in one number, so that a line from one to the next means something."""
        settings = [list(one.settings.values()) for one in self.models]
        return all(len(values) == 1 and isinstance(values[0], int | float) for values in settings)

    def model(self, name: str) -> ModelRecord:
        """The model of this name.

        Parameters
        ----------
        name : str
            Of its run folder.

        Returns
        -------
        ModelRecord
            The first of that name.

        Raises
        ------
        InputError
            Where the sweep has no such model.
        """
        found = [one for one in self.models if one.name == name]
        if not found:
            raise InputError(f"The sweep has no model {name!r}; it has {', '.join(one.name for one in self.models)}.")
        return found[0]


@dataclass(frozen=True)
class ChoiceRecord:
    """What `choose` leaves: the model with the best bound on validation.

    Parameters
    ----------
    name, label : str
        Of the chosen model.
    by : str
        The bound that decided, "IWAE-100 on validation".
    among : int
        How many models there were.
    """

    name: str
    label: str
    by: str
    among: int

    @property
    def words(self) -> str:
        """What was tuned, in words."""
        if self.among == 1:
            return "nothing: one model was trained"
        return f"{self.label}, chosen from the sweep by {self.by}"
