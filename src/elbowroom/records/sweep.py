"""What the stages `train` and `choose` leave: the models of the sweep on validation, and which of them was chosen."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import InputError

from .values import Number, Summary

__all__ = ["CalibrationRecord", "ChoiceRecord", "ModelRecord", "SeedSpread", "SweepRecord"]

SEED = "seed"
"""The axis along which models differ by chance alone."""

_BETA = "β"


@dataclass(frozen=True)
class CalibrationRecord:
    """What the best noise scale, or temperature, of p(x | z) wins, the networks as they are: the rate stays.

    Parameters
    ----------
    gain : Number
        Nats per validation example, of the ELBO, and so of the distortion; paired by example.
    what : {"noise scale", "temperature"}
        What was chosen, on training examples.
    value : float
        The scale, on the scale of preprocessed x; or the factor on the logits.
    n : int
        Validation examples that the gain was measured on.
    elbo : Number, optional
        The ELBO after it, on the same examples; None in older records.
    """

    gain: Number
    what: str
    value: float
    n: int
    elbo: Number | None = None

    @property
    def pays(self) -> bool:
        """Whether it wins more than its standard error."""
        return self.gain.value > (self.gain.se or 0.0)


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
    behind : Number, optional
        What its setting, its seed left out, lacks of the best bound of the sweep, and the standard error of that
        difference over examples and seeds; None where its bound is no finite number.
    bound : Number, optional
        The bound of its setting, a mean over seeds, and its standard error over examples and seeds; None likewise, and
        in older records.
    calibrated : CalibrationRecord, optional
        What calibration wins; None where there is no one scale or temperature to choose.
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
    behind: Number | None = None
    bound: Number | None = None
    calibrated: CalibrationRecord | None = None

    @property
    def family(self) -> str:
        """What it has in common with the models that differ from it in β and seed alone; empty where that is all."""
        return _words_but(self, _BETA, SEED)

    @property
    def diverged(self) -> bool:
        """Whether its rate or its distortion is not a finite number."""
        return not math.isfinite(self.rate.mean + self.distortion.mean)


@dataclass(frozen=True)
class SeedSpread:
    """How far trainings lie apart that differ in their seed alone, by the bound that chooses among them.

    Parameters
    ----------
    label : str
        What they have in common, "β = 0.5"; empty where that is everything.
    seeds : int
        How many there are, two or more.
    mean, deviation : float
        Of the bound on validation, over seeds, in nats per example; the deviation is the standard deviation of one
        training, with one less than the seeds in its denominator, and no standard error of the mean.
    se_points : float
        Standard error of such a bound over validation examples, which is another thing: the root of its mean square.
    estimator : str
        Of the bound, as "IWAE-100".
    """

    label: str
    seeds: int
    mean: float
    deviation: float
    se_points: float
    estimator: str


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
    def spreads(self) -> list[SeedSpread]:
        """The spread of every setting of which several seeds have a finite bound, in the order of the models."""
        groups: dict[str, list[ModelRecord]] = {}
        for one in self.models:
            if math.isfinite(one.iwae.mean):
                groups.setdefault(_words_but(one, SEED), []).append(one)
        return [_spread(label, group) for label, group in groups.items() if len(group) > 1]

    def spread_of(self, model: ModelRecord) -> SeedSpread | None:
        """The spread of the trainings that differ from a model in their seed alone.

        Parameters
        ----------
        model : ModelRecord
            Of this sweep.

        Returns
        -------
        SeedSpread or None
            With the model itself; None where it was trained with one seed.
        """
        return next((one for one in self.spreads if one.label == _words_but(model, SEED)), None)

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


def _words_but(model: ModelRecord, *left_out: str) -> str:
    return ", ".join(f"{name} = {value}" for name, value in model.axes.items() if name not in left_out)


def _spread(label: str, models: list[ModelRecord]) -> SeedSpread:
    bounds = [one.iwae for one in models]
    means = [one.mean for one in bounds]
    points = math.sqrt(statistics.fmean(one.se_total**2 for one in bounds))
    return SeedSpread(label, len(models), statistics.fmean(means), statistics.stdev(means), points, bounds[0].estimator)


@dataclass(frozen=True)
class ChoiceRecord:
    """What `choose` leaves: the smallest model that is not behind the best bound by more than a standard error.

    Parameters
    ----------
    name, label : str
        Of the chosen model.
    by : str
        The bound that decided, "IWAE-100 on validation".
    among : int
        How many models there were.
    reason : str, default ""
        Why this one, in a sentence.
    """

    name: str
    label: str
    by: str
    among: int
    reason: str = ""

    @property
    def words(self) -> str:
        """What was tuned, in words."""
        if self.among == 1:
            return "nothing: one model was trained"
        return f"{self.label}, chosen from the sweep by {self.by}"
