"""The database of a search: Optuna's, in a file of the folder or at a URL that several machines share."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from elbowroom.numerics import InputError, derived_seed

__all__ = ["RETRIED", "SeededSampler", "fail_stale", "open_study", "place_of", "quiet", "requeue", "retried"]

RETRIED = "retry_of"
"""What a trial that is tried again says: the number of the one that was interrupted."""

_STARTS = 8  # trials at random before the sampler has something to learn from
_PRUNED_AFTER = 5  # finished trials
_BEAT = 20  # seconds between two signs of life of a trial; after three without one another process tries it again
_TIMEOUT = 60  # seconds that a process waits for another to write
_TRIES = 5  # to make the tables, which another process may be making
_DRIVER = "postgresql+psycopg"


class SeededSampler(BaseSampler):
    """A sampler whose draws depend on a seed, the place of the trial and the trials before, and on no process.

    So a search that was stopped goes on as it would have gone on.

    Parameters
    ----------
    how : {"tpe", "random"}
        Tree-structured Parzen estimator, or at random.
    seed : int
        Of the search.
    """

    def __init__(self, how: str, seed: int) -> None:
        self._how, self._seed = how, seed
        self._now: BaseSampler = RandomSampler(seed=0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin a stream of its own for the trial; one that is tried again takes no place."""
        seed = derived_seed(self._seed, place_of(study, trial.number))
        tpe = self._how == "tpe"
        self._now = TPESampler(n_startup_trials=_STARTS, seed=seed) if tpe else RandomSampler(seed=seed)
        self._now.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        """What is sampled jointly."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> Any:
        """Sample it."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Sample one axis."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Tell the sampler how it ended."""
        self._now.after_trial(study, trial, state, values)


def retried(study: optuna.Study) -> set[int]:
    """Numbers of the trials that were interrupted and stand in line again, or have been tried again."""
    return {trial.user_attrs[RETRIED] for trial in study.get_trials(deepcopy=False) if RETRIED in trial.user_attrs}


def place_of(study: optuna.Study, number: int) -> int:
    """Which of the trials one is, those left out that were interrupted: the same where none was."""
    return number - sum(one < number for one in retried(study))


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a trial that was interrupted in line again, with what is known of it, for whoever asks next."""
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**trial.user_attrs, RETRIED: trial.number},
            intermediate_values=trial.intermediate_values,
        )
    )


def fail_stale(study: optuna.Study) -> None:
    """Put trials in line again whose process has died without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def open_study(storage: str | Path | None, name: str, how: str, seed: int) -> optuna.Study:
    """The study of that name, a new one where there is none.

    Parameters
    ----------
    storage : str, Path or None
        A URL; the file of an SQLite database; or None for memory.
    name : str
        Of the study, by which processes find the one they share.
    how : {"tpe", "random"}
        The sampler.
    seed : int
        Of its draws.

    Returns
    -------
    Study
        That maximises.

    Raises
    ------
    InputError
        Where there is no such database.
    """
    if isinstance(storage, Path):
        storage.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        return optuna.create_study(
            storage=None if storage is None else _opened(storage),
            study_name=name,
            sampler=SeededSampler(how, seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_PRUNED_AFTER),
            direction="maximize",
            load_if_exists=True,
        )


def _opened(storage: str | Path) -> Any:
    url = _url(storage)
    timeout = {"timeout": _TIMEOUT} if url.get_backend_name() == "sqlite" else {"connect_timeout": _TIMEOUT // 4}
    for left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.storages.RDBStorage(
                    url.render_as_string(hide_password=False),
                    engine_kwargs={"connect_args": timeout},
                    heartbeat_interval=_BEAT,
                    grace_period=3 * _BEAT,
                    heartbeat_stale_trial_callback=requeue,
                )
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError) as error:
            if not left:
                raise InputError(_refusal(url, error)) from error
            time.sleep(0.2)
        except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError, TypeError) as error:
            raise InputError(_refusal(url, error)) from error
    return None


def _url(storage: str | Path) -> sqlalchemy.URL:
    if isinstance(storage, Path):
        return sqlalchemy.URL.create("sqlite", database=str(storage))
    try:
        url = sqlalchemy.make_url(storage)
    except sqlalchemy.exc.ArgumentError as error:
        raise InputError(
            f"{storage!r} is no URL of a database: write postgresql://USER@HOST/DATABASE, or leave storage= out for a "
            f"file in the search's folder."
        ) from error
    return url.set(drivername=_DRIVER) if url.drivername in ("postgres", "postgresql") else url


def _refusal(url: sqlalchemy.URL, error: Exception) -> str:
    """In one sentence, without the password."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".:")
    return (
        f"The database {url.render_as_string()} cannot be opened ({said}): start it, correct storage=, or leave it out "
        f"for a file in the search's folder."
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing on standard error, where the bar is."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
