"""A search over the words of a recipe, jointly: what Optuna asks for is trained and scored, then one is chosen."""

import dataclasses
import hashlib
import importlib.util
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elbowroom import models
from elbowroom.atomic import one_at_a_time, write_atomic
from elbowroom.data import Dataset
from elbowroom.models.recipe import as_recipe
from elbowroom.models.zoo import words_of
from elbowroom.numerics import InputError, count, one_of, plain, plain_arguments, rounded

from ._choose import _TARGETS, Choice, _check_asked, choose
from .default_space import default_space
from .goals import GOALS
from .space import Space
from .swept import Swept
from .tried import Trial
from .usual import usual_training

if TYPE_CHECKING:
    from .searching import Searching

__all__ = ["Searched", "search"]

_SAMPLERS = ("tpe", "random")
_DATABASE, _ABOUT = "search.db", "search.json"
_INSTALL = 'A search needs Optuna: pip install "elbowroom[search]".'


@dataclass(frozen=True)
class Searched:
    """What a search has found.

    Printed: why the model was chosen, and what became of the trials.

    Parameters
    ----------
    swept : tuple of Swept
        The models of the finished trials, as `choose` reads them, in the order in which they were tried.
    choice : Choice
        Which of them was chosen, and why.
    trials : tuple of Trial
        All trials, those among them that were pruned, diverged or refused, with the reason.
    notes : tuple of str, default ()
        What a person should know.
    """

    swept: tuple[Swept, ...]
    choice: Choice
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        states = [one.state for one in self.trials]
        became = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return "\n".join([f"{count(len(states), 'trial')} ({became}). {self.choice.reason}", *self.notes])

    __repr__ = __str__


@plain_arguments
def search(
    recipe: models.Recipe | Mapping[str, Any],
    data: Dataset,
    space: Mapping[str, Any] | None = None,
    *,
    trials: int = 24,
    seconds: float | None = None,
    goal: str = "density",
    target: float | None = None,
    sampler: Literal["tpe", "random"] = "tpe",
    prune: bool = True,
    runs: str | Path | None = None,
    storage: str | None = None,
    draws: int = 100,
    seed: int = 0,
    progress: bool = True,
    **settings: Any,
) -> Searched:
    """Search over latents, depth, width, prior, decoder and β jointly, and choose among the models that were trained.

    Each trial is one recipe, trained into a run folder of its own. What is tried next depends on what the trials before
    it have reached. The same call on the same folder goes on where it was stopped; a trial that was interrupted is
    tried again from its last checkpoint. One that diverges, or whose words do not go together, is marked with the
    reason and ends nothing. The first trial is the recipe itself, where the space holds it.

    Parameters
    ----------
    recipe : Recipe or mapping
        What all trials have in common: a `models.Recipe`, or the words in which it differs from the default one.
    data : Dataset
        As `er.load_data` returns it.
    space : mapping of str to list or Range, optional
        Word → the values to try, {"latents": [2, 8], "beta": er.sweeps.Range(0.1, 5.0)}: fields of the recipe, options
        of its objective, settings of training, and "depth" and "width", how many hidden layers of how many units. By
        default latents, depth, width, prior, likelihood and β, as far as they suit the data and the recipe's words do
        not say them.
    trials : int, default 24
        How many are trained, those of other processes and of earlier calls among them.
    seconds : float, optional
        After which no trial is begun, and a running one stands in line for the next call; one at least is finished.
    goal : {"density", "compression", "samples", "representation", "rate", "distortion"}, default "density"
        What is searched for, as for `choose`.
    target : float, optional
        Nats per example, for "rate" and "distortion".
    sampler : {"tpe", "random"}, default "tpe"
        How the next trial is chosen: by a tree-structured Parzen estimator (the first eight at random), or at random.
    prune : bool, default True
        Stop a trial whose calibrated ELBO on validation, after an eighth, a quarter, a half or three quarters of the
        epochs, is below the median of others at that point, once five have finished. Calibrated, with the noise at its
        best, models of every β compare. Only for "density" and "compression", of which the bound says something early.
    runs : str or Path, optional
        A folder, in which each trial gets a run folder; by default nothing is written.
    storage : str, optional
        URL of a database that several processes or machines share, "postgresql://USER@HOST/DATABASE"; each of them
        makes the same call. By default an SQLite file in `runs`, which processes of one machine can share.
    draws : int, default 100
        Of z, per validation example, for the bounds.
    seed : int, default 0
        Of what is tried and of all noise of measurements; one process with the same seed tries the same. Models are
        trained by the recipe's seed.
    progress : bool, default True
        Whether standard error shows how far it is.
    **settings : Any
        Settings of `fit`, such as epochs, batch_size and lr, where the recipe does not say otherwise. By default
        models are trained as those of a study: as many epochs as make 4,000 steps of 100 rows, or 3,000 of 32 where
        there are fewer than 1,000, at most 400, with a learning rate that falls from 0.003 to 0.0003 and gradients
        clipped to a norm of 10.

    Returns
    -------
    Searched
        The finished models, the choice among them and its reason, and what became of every trial.

    Raises
    ------
    InputError
        For a space that means nothing, before anything is trained; for a folder of another search; for a database that
        cannot be opened; where Optuna is not installed; and where no trial finished.

    References
    ----------
    Akiba, Sano, Yanase, Ohta & Koyama, "Optuna: a next-generation hyperparameter optimization framework" (2019).
    Bergstra, Bardenet, Bengio & Kégl, "Algorithms for hyper-parameter optimization" (2011).
    Golovin, Solnik, Moitra, Kochanski, Karro & Sculley, "Google Vizier" (2017), of the rule of the median.

    Examples
    --------
    >>> import elbowroom as er
    >>> words = {"latents": 2, "widths": [8], "epochs": 1}
    >>> found = er.search(words, er.load_data("digits"), {"lr": [1e-9, 1e-2]}, trials=2, draws=2, progress=False)
    >>> found.choice.model.label, [trial.state for trial in found.trials]
    ('lr = 0.01', ['finished', 'finished'])
    """
    one_of("goal", goal, (*GOALS, *_TARGETS))
    one_of("sampler", sampler, _SAMPLERS)
    _check_asked(goal, data, target)
    if trials < 1 or draws < 1:
        raise InputError(f"trials and draws must be 1 or more; got {trials} and {draws}.")
    common = as_recipe(recipe).sized(data)
    said = {**settings, **common.training}
    common = dataclasses.replace(common, training=usual_training(said, len(data.train), axes=space or ()))
    if seconds is not None and not seconds >= 0:
        raise InputError(f"seconds must be 0 or more, 0 to begin no trial; got {seconds:g}.")
    searched = default_space(common, data, _said(recipe)) if space is None else Space(common, space)
    searched.check(data)
    if storage is not None and runs is None:
        raise InputError("A shared search needs a folder for its run folders: name it by runs=.")
    if importlib.util.find_spec("optuna") is None:
        raise InputError(_INSTALL)
    from .database import open_study
    from .searching import Searching
    from .trial_run import Asked

    how = {"goal": goal, "target": target, "sampler": sampler, "prune": prune, "draws": draws, "seed": seed}
    whose = {"data": data.sha256, "examples": _examples(data)}
    what = {"recipe": common.to_dict(), "space": searched.to_dict(), **whose, **how}
    folder = None if runs is None else Path(runs)
    place = storage if storage is not None or folder is None else folder / _DATABASE
    about = {**what, "database": "elsewhere" if storage else _DATABASE}
    _check_same(folder, about)
    study = open_study(place, f"{data.name} {_digest(what)}", sampler, seed)
    _keep(folder, about)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    asked = Asked(searched, data, goal, target, trials, deadline, folder, draws, seed, prune)
    searching = Searching(asked, study)
    searching.run(progress)
    return _found(searching, goal, target, seed)


def _said(recipe: models.Recipe | Mapping[str, Any]) -> set[str]:
    """The words that were asked for, those of a model of the literature among them."""
    if isinstance(recipe, models.Recipe):
        return {name for name, value in vars(recipe).items() if value != getattr(models.Recipe(), name)}
    return {*recipe, *(words_of(recipe["model"]) if "model" in recipe else ())}


def _examples(data: Dataset) -> str:
    """Which examples are in which part, and what is made of their values: trials of others do not compare."""
    about = data.summary()
    return _digest({name: _short(about[name]) for name in ("parts", "support", "preprocess")})


def _short(value: Any) -> Any:
    """Plain values with six digits, which two machines have in common."""
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    return f"{value:.6g}" if isinstance(value, float) else value


def _check_same(folder: Path | None, about: Mapping[str, Any]) -> None:
    """Refuse a folder of another search; processes that share one say the same."""
    if folder is None or not (folder / _ABOUT).exists():
        return
    before = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    different = [name for name, value in json.loads(_json(about)).items() if before.get(name) != value]
    if different:
        raise InputError(f"The folder {folder} holds another search (its {different[0]} differs): name another.")


def _keep(folder: Path | None, about: Mapping[str, Any]) -> None:
    """Write down what makes a search this one."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder):
        _check_same(folder, about)
        write_atomic(folder / _ABOUT, _json(about, indent=1))


def _json(about: Mapping[str, Any], **how: Any) -> str:
    return json.dumps(plain(about), **how)


def _digest(what: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(what, sort_keys=True).encode()).hexdigest()[:12]


def _found(searching: "Searching", goal: str, target: float | None, seed: int) -> Searched:
    trials, swept = searching.trials(), searching.swept()
    if not swept:
        why = next((one.why for one in reversed(trials) if one.why), "none was begun.")
        raise InputError(f"No trial of the search finished here; of the last one is known: {why}")
    choice = choose(swept, goal=goal, data=searching.asked.data, target=target, seed=seed)
    return Searched(tuple(swept), choice, tuple(trials), tuple(_notes(searching, trials, swept, choice)))


def _notes(searching: "Searching", trials: list[Trial], swept: list[Swept], choice: Choice) -> list[str]:
    finished, here = [one for one in trials if one.state == "finished"], {one.name for one in swept}
    away = [one for one in finished if one.name not in here]
    found = []
    if away:
        found.append(f"{count(len(away), 'finished trial')} of other folders could not be chosen; {_best_of(away)}.")
    if all(one is not choice.model for one in swept):
        found.append(
            f"Chosen calibrated, as {choice.model.label}: the run folder holds the model as it was trained, and "
            f"`elbowroom fix` calibrates it."
        )
    if searching.exhausted:
        found.append("Every point of the space has been tried.")
    return found


def _best_of(away: list[Trial]) -> str:
    scored = {one.value: one.where for one in away if one.value is not None}
    if not scored:
        return "none of them is within the target"
    best = max(scored)
    return f"the best of them, at {rounded(best)}, is in {scored[best]}"
