"""The loop of a search: one trial after the other, until enough are trained or the time is over."""

import random
import time

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from elbowroom.models.words import text
from elbowroom.numerics import InputError, derived_seed, plain
from elbowroom.progress import Progress
from elbowroom.runs import read_run

from ._sweep import _Member
from .database import fail_stale, place_of, quiet
from .swept import Swept
from .trial_run import COUNTED, Asked, OutOfTime, Skipped, TrialRun, measured, taken, tried
from .tried import Trial

__all__ = ["Searching"]

_MOST_SKIPPED = 200  # trials in a row of which nothing was trained
_WAIT = 1.0  # seconds between two looks at what other processes do
_FILL = 0x5EA  # use of the seed: a point that was not tried, where the sampler comes back to old ones


class Searching:
    """One call of `search`, on a study that is open.

    Parameters
    ----------
    asked : Asked
        What the search was asked for.
    study : Study
        Of Optuna.
    """

    def __init__(self, asked: Asked, study: optuna.Study) -> None:
        self.asked, self.study = asked, study
        self.trial = TrialRun(asked, study)
        self.skipped, self.exhausted = 0, False

    def run(self, progress: bool) -> None:
        """Try until it is over.

        Parameters
        ----------
        progress : bool
            Whether a bar shows how far it is.
        """
        self._begin()
        with quiet(), Progress("searching", self.asked.trials, show=progress) as bar:
            bar.resume(min(len(self._counted()), self.asked.trials))
            try:
                while self._goes_on(bar):
                    self._try_one(bar)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("interrupted; the same command goes on where it was stopped.") from None
            except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
                said = str(error.__cause__ or error).splitlines()[0]
                raise InputError(
                    f"The search's database is gone ({said}): the same call goes on when it is back."
                ) from error

    def _begin(self) -> None:
        """The first trial of all is the recipe itself, where it lies in the space."""
        own = self.asked.space.own()
        if own is not None and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self.asked.space.params(own), skip_if_exists=True)

    def _goes_on(self, bar: Progress) -> bool:
        """Whether another trial is to be begun; waits where others may still fail that are running elsewhere."""
        while True:
            states = [one.state for one in taken(self.study)]
            done, running = sum(state in COUNTED for state in states), states.count(TrialState.RUNNING)
            if done >= self.asked.trials or self.exhausted or self.skipped >= _MOST_SKIPPED or self.trial.late:
                return False
            if done + running < self.asked.trials or TrialState.WAITING in states:
                return True
            bar.doing(f"waiting for {running} of other processes")
            time.sleep(_WAIT)
            fail_stale(self.study)

    def _try_one(self, bar: Progress) -> None:
        self.trial.doing = bar.doing
        try:
            self.study.optimize(self.trial, n_trials=1, catch=(Skipped, OutOfTime))
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            if self.trial.last != "lost":
                raise
        self.skipped = self.skipped + 1 if self.trial.last == "skipped" else 0
        if self.skipped:
            self._fill()
        done = min(len(self._counted()), self.asked.trials)
        bar.advance(done - bar.done, **self._best())

    def _counted(self) -> list[FrozenTrial]:
        return [one for one in taken(self.study) if one.state in COUNTED]

    def _best(self) -> dict[str, float]:
        scores = [one.value for one in self.trials() if one.value is not None]
        return {"best": max(scores)} if scores else {}

    def _fill(self) -> None:
        """Where the sampler came back to a point, ask for one that was not tried, and stop where there is none."""
        every = self.asked.space.every()
        if every is None:
            return
        trials = taken(self.study)
        seen = {text(one.user_attrs["settings"]) for one in trials if "settings" in one.user_attrs}
        left = [point for point in every if text(plain(point)) not in seen]
        self.exhausted = not left
        if left and not any(one.state is TrialState.WAITING for one in trials):
            place = place_of(self.study, len(self.study.get_trials(deepcopy=False)))
            pick = random.Random(derived_seed(derived_seed(self.asked.seed, _FILL), place)).choice(left)
            self.study.enqueue_trial(self.asked.space.params(pick))

    def trials(self) -> list[Trial]:
        """What became of each."""
        return [tried(one) for one in taken(self.study)]

    def swept(self) -> list[Swept]:
        """The finished models that are at hand: trained just now, or read from their folders."""
        finished = [one for one in self.trials() if one.state == "finished"]
        found = [self.trial.swept.get(one.name) or self._read(one) for one in finished]
        return [one for one in found if one is not None]

    def _read(self, one: Trial) -> Swept | None:
        folder = None if self.asked.runs is None else self.asked.runs / one.name
        if folder is None or not (folder / "summary.json").exists():
            return None
        recipe = self.asked.space.recipe_at(one.settings)
        vae, history = read_run(folder)
        return measured(_Member(one.name, one.settings, recipe, vae, folder), vae, history, self.asked)
