"""One trial of a search: a recipe built, trained, pruned where others were better at the same point, and scored."""

import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from elbowroom import evidence, models, remedies
from elbowroom.data import Dataset
from elbowroom.models.words import text
from elbowroom.numerics import CapabilityError, InputError, plain, rounded
from elbowroom.runs import History
from elbowroom.training import fit
from elbowroom.training.placement import threads_for
from elbowroom.vae import VAE

from ._sweep import _BATCH, _Member
from .database import RETRIED, requeue, retried
from .goals import GOALS
from .space import Settings, Space
from .swept import PASS, Swept
from .swept_of import swept_of
from .tried import Trial

__all__ = ["COUNTED", "Asked", "OutOfTime", "Skipped", "TrialRun", "calibrated_bound", "same", "taken", "tried"]

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of the trials that were trained."""

_RUNGS = (1 / 8, 1 / 4, 1 / 2, 3 / 4)  # of the epochs, after which a trial is compared with others
_DRAWS = 8  # of z, per example, for the bounds by which trials are pruned
_PRUNING = ("density", "compression")  # goals of which the calibrated bound says something early
_PENALTY = 10.0  # nats of the score by nat beyond a target: more than any slope that β in use makes
_BEYOND = "beyond"  # what a trial says of its target where it is beyond it; else ""
_EMPTY = ("repeated", "surplus", "interrupted")  # ends of trials that nobody wants to hear of


class Skipped(Exception):
    """A trial of which nothing was trained."""


class OutOfTime(Exception):
    """The time of the search is over in the middle of a trial."""


@dataclass(frozen=True)
class Asked:
    """What a search was asked for.

    Parameters
    ----------
    space : Space
        What is varied.
    data : Dataset
        What is trained on.
    goal : str
        As for `choose`.
    target : float or None
        As for `choose`.
    trials : int
        How many are trained.
    deadline : float
        When no more is begun, by `time.monotonic`.
    runs : Path or None
        Where the run folders go.
    draws : int
        Of z, for the bounds.
    seed : int
        Of the sampler and of all noise of measurements.
    prune : bool
        Whether trials are.
    """

    space: Space
    data: Dataset
    goal: str
    target: float | None
    trials: int
    deadline: float
    runs: Path | None
    draws: int
    seed: int
    prune: bool

    @property
    def prunes(self) -> bool:
        """Whether trials are pruned: by the bound, so where that is what is searched for."""
        return self.prune and self.goal in _PRUNING


class TrialRun:
    """Optuna's objective: called with a trial it returns the score.

    Parameters
    ----------
    asked : Asked
        What the search was asked for.
    study : Study
        Of Optuna.
    """

    def __init__(self, asked: Asked, study: optuna.Study) -> None:
        self.asked, self.study = asked, study
        self.swept: dict[str, Swept] = {}
        self.doing: Callable[[str], None] = lambda what: None
        self.last = ""

    def __call__(self, trial: optuna.Trial) -> float:
        """Try it; where it is interrupted, by whatever, it stands in line again."""
        self.last = "trained"
        try:
            return self._score(trial)
        except (optuna.TrialPruned, InputError):  # over, or nothing that another try would change
            raise
        except Skipped:
            self.last = "skipped"
            raise
        except UpdateFinishedTrialError:  # it was silent for so long that another process took it over
            self.last = "lost"
            raise
        except BaseException:
            requeue(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise

    @property
    def late(self) -> bool:
        """Whether the time is over, and something came of it."""
        over = time.monotonic() >= self.asked.deadline
        return over and any(one.state is TrialState.COMPLETE for one in self.study.get_trials(deepcopy=False))

    def _score(self, trial: optuna.Trial) -> float:
        settings = self.asked.space.suggest(trial)
        name = trial.user_attrs.get("run", f"trial-{trial.number:04d}")
        folder = None if self.asked.runs is None else self.asked.runs / name
        by = f"{platform.node()} {os.getpid()}"
        for what, value in {"run": name, "settings": plain(settings), "where": _place(folder), "by": by}.items():
            trial.set_user_attr(what, value)
        self.doing(f"{name} ({models.label(settings)})")
        self._skip_what_needs_no_training(trial, settings)
        member = self._member(trial, name, settings, folder)
        return self._measured(trial, member, self._train(trial, member))

    def _skip_what_needs_no_training(self, trial: optuna.Trial, settings: Settings) -> None:
        before = [one for one in taken(self.study) if one.number < trial.number]
        if sum(one.state in (*COUNTED, TrialState.RUNNING) for one in before) >= self.asked.trials:
            _skip(trial, "surplus", "other processes had begun enough.")
        like = [one for one in before if same(one, settings)]
        if like and RETRIED not in trial.user_attrs:
            _skip(trial, "repeated", f"the same as {like[0].user_attrs['run']}.")

    def _member(self, trial: optuna.Trial, name: str, settings: Settings, folder: Path | None) -> _Member:
        try:
            recipe = self.asked.space.recipe_at(settings)
            models.goal(recipe)
            return _Member(name, settings, recipe, models.build(recipe, self.asked.data), folder)
        except (InputError, CapabilityError) as error:
            _skip(trial, "refused", str(error))

    def _train(self, trial: optuna.Trial, member: _Member) -> History:
        """Train it into `member.vae`; the sampler is told of one that comes to nothing."""
        begun = member.folder is not None and (member.folder / "recipe.yaml").exists()
        if begun and RETRIED not in trial.user_attrs:
            raise InputError(
                f"{member.folder} holds a run that is not in the search's database: name another folder, or the "
                f"database that it belongs to."
            )
        watch = _Watch(self, trial, member)
        try:
            return fit(
                member.vae,
                self.asked.data,
                models.goal(member.recipe),
                run=member.folder,
                resume=begun,
                after_epoch=watch,
                progress=False,
                seed=member.recipe.seed,
                **member.recipe.training,
            )
        except (InputError, CapabilityError) as error:
            if not watch.epochs:
                _skip(trial, "refused", str(error))
            end(trial, "diverged", str(error), watch.epochs)
        except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:  # as NaN in a distribution raises
            end(trial, "failed", f"{type(error).__name__}: {_line(error)}", watch.epochs)

    def _measured(self, trial: optuna.Trial, member: _Member, history: History) -> float:
        epochs = len(history.rows)
        try:
            swept = measured(member, member.vae, history, self.asked)
            score = _score_of(swept, self.asked)
        except InputError:  # of what was asked for, as where a goal needs more examples
            raise
        except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
            end(trial, "failed", f"{type(error).__name__}: {_line(error)}", epochs)
        if not math.isfinite(score):
            end(trial, "diverged", "its score is no finite number.", epochs)
        self.swept[member.name] = swept
        trial.set_user_attr(_BEYOND, _beyond(swept, self.asked))
        trial.set_user_attr("epochs", epochs)
        trial.set_user_attr("ended", "finished")
        return score


class _Watch:
    """What is looked at after every epoch of a trial: the time, and at some of them the bound."""

    def __init__(self, run: TrialRun, trial: optuna.Trial, member: _Member) -> None:
        self.run, self.trial, self.vae = run, trial, member.vae
        self.last = member.recipe.training["epochs"]
        self.rungs = {max(round(share * self.last), 1) for share in _RUNGS} - {self.last}
        known = run.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self.known = set(known)  # of a trial that is tried again
        self.epochs = 0

    def __call__(self, epoch: int) -> None:
        """Told of an epoch when it is over."""
        self.epochs = epoch
        if self.run.late:
            raise OutOfTime
        per_cent = round(100 * epoch / self.last)
        if self.run.asked.prunes and epoch in self.rungs and per_cent not in self.known:
            bound = calibrated_bound(self.vae, self.run.asked.data, self.run.asked.seed)
            if math.isfinite(bound):
                self._compare(per_cent, bound)

    def _compare(self, per_cent: int, bound: float) -> None:
        self.trial.report(bound, per_cent)
        if self.trial.should_prune():
            said = f"its bound after {per_cent} % of the epochs, {rounded(bound)} nats, was below the median of others."
            end(self.trial, "pruned", said, self.epochs)


def calibrated_bound(vae: VAE, data: Dataset, seed: int) -> float:
    """The ELBO on validation at the noise that suits the model best, so that models of any β compare.

    Parameters
    ----------
    vae : VAE
        As it is in the middle of a training, where it stays.
    data : Dataset
        What it is trained on.
    seed : int
        Of the noise.

    Returns
    -------
    float
        In nats per example.
    """
    try:
        found = remedies.calibrate(vae, data, draws=_DRAWS, seed=seed)
    except CapabilityError:
        return evidence.elbo(vae, data.validation, draws=_DRAWS, seed=seed, memory=PASS).mean
    return max(found.elbo_before.mean, found.elbo_after.mean)


def measured(member: _Member, vae: VAE, history: History, asked: Asked) -> Swept:
    """A trained model with its bounds on validation, as a sweep measures its own."""
    with threads_for(vae, asked.data, _BATCH):
        return swept_of(
            member.name, member.settings, vae, history,
            data=asked.data, draws=asked.draws, seed=asked.seed, recipe=member.recipe,
        )  # fmt: skip


def _score_of(swept: Swept, asked: Asked) -> float:
    """What the sampler makes greater; a model beyond a target is the worse the further, which nobody else hears."""
    if asked.target is None:
        return GOALS[asked.goal].score(swept, asked.data, asked.seed).value
    limited, other = (swept.rate, swept.distortion) if asked.goal == "rate" else (swept.distortion, swept.rate)
    return -other.mean - _PENALTY * max(limited.mean - asked.target, 0.0)


def _beyond(swept: Swept, asked: Asked) -> str:
    """By how much a model is beyond a target, in words; empty where it is not."""
    if asked.target is None:
        return ""
    limited = getattr(swept, asked.goal).mean
    return f"{asked.goal} {rounded(limited)}, beyond the target of {asked.target:g}" if limited > asked.target else ""


def taken(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a point of their own: neither repeated, nor surplus, nor tried again since."""
    again = retried(study)
    trials = study.get_trials(deepcopy=False)
    return [one for one in trials if one.number not in again and one.user_attrs.get("ended") not in _EMPTY]


def same(trial: FrozenTrial, settings: Mapping[str, Any]) -> bool:
    """Whether a trial stands at this point."""
    theirs = trial.user_attrs.get("settings")
    return theirs is not None and text(theirs) == text(plain(settings))


def tried(trial: FrozenTrial) -> Trial:
    """A trial of the database in plain words."""
    attrs, running = trial.user_attrs, trial.state in (TrialState.RUNNING, TrialState.WAITING)
    state = "running" if running else attrs.get("ended", "interrupted")
    beyond = attrs.get(_BEYOND, "")
    value = trial.value if trial.state is TrialState.COMPLETE and not beyond else None
    settings = attrs.get("settings", {})
    about = (attrs.get("run", ""), models.label(settings), settings, state, value, attrs.get("epochs", 0))
    return Trial(trial.number, *about, attrs.get("why", beyond), attrs.get("where", ""))


def _skip(trial: optuna.Trial, ended: str, why: str) -> NoReturn:
    trial.set_user_attr("ended", ended)
    trial.set_user_attr("why", why)
    raise Skipped(why)


def end(trial: optuna.Trial, ended: str, why: str, epochs: int) -> NoReturn:
    """Stop a trial, as one that the sampler is to learn from."""
    for what, value in {"ended": ended, "why": why, "epochs": epochs}.items():
        trial.set_user_attr(what, value)
    raise optuna.TrialPruned(why)


def _place(folder: Path | None) -> str:
    return "" if folder is None else f"{platform.node()}:{folder.resolve()}"


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
