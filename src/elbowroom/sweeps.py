"""Sweeps over the words of a recipe: a model per combination, each measured on validation, and one of them chosen."""

import copy
import dataclasses
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elbowroom import evidence, models
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset, Examples
from elbowroom.metrics import latent_use, reconstruction_error
from elbowroom.models.recipe import as_recipe, plain
from elbowroom.models.words import text
from elbowroom.numerics import CapabilityError, Estimate, InputError
from elbowroom.records import ModelRecord
from elbowroom.runs import History, read_run
from elbowroom.training import fit_stacked
from elbowroom.vae import VAE
from elbowroom.vae._save_model import model_recipe

__all__ = ["Swept", "choose", "sweep"]

_LONGEST = 80  # characters of a folder's name


@dataclass(frozen=True)
class Swept:
    """One model of a sweep and what it measures on validation, in nats per example.

    name: safe as the name of a folder; label: for people, "β = 0.5"; settings: its value on every axis. elbo and iwae
    are bounds on log p(x) whatever was trained; rate + distortion = −elbo. squared_error: None where p(x | z) has no
    mean, as over classes without an order.
    """

    name: str
    label: str
    settings: Mapping[str, Any]
    vae: VAE
    history: History
    rate: Estimate
    distortion: Estimate
    elbo: Estimate
    iwae: Estimate
    active: int
    squared_error: float | None


@dataclass(frozen=True)
class _Member:
    """One combination before it is trained."""

    name: str
    settings: Mapping[str, Any]
    recipe: models.Recipe
    vae: VAE
    folder: Path | None

    def state(self, resume: bool) -> str:
        """Whether its run is "finished", "begun" or "new"."""
        if not resume or self.folder is None:
            return "new"
        if (self.folder / "summary.json").exists():
            return "finished"
        return "begun" if (self.folder / "recipe.yaml").exists() else "new"

    @property
    def training(self) -> dict[str, Any]:
        """What `fit_stacked` is told once for all that it trains together."""
        return {**self.recipe.training, "seed": self.recipe.seed}


def sweep(
    recipe: models.Recipe | Mapping[str, Any] | VAE,
    data: Dataset,
    axes: Mapping[str, Any],
    *,
    draws: int = 100,
    seed: int = 0,
    runs: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> list[Swept]:
    """Train a model for every combination of the values on the axes, and measure each on data.validation.

    Models that differ in numbers only are trained as one, the others one after the other, each as `fit` would.

    Parameters
    ----------
    recipe
        What all have in common: a `Recipe`, a mapping of its words, or a ready VAE, which then is copied for every
        combination and varies in its objective and training alone.
    axes
        Values by word, {"beta": [0.1, 1.0], "latents": [2, 8]}: fields of the recipe, options of its objective, or
        settings of training. Without any, the recipe alone is trained.
    draws
        Of IWAE and the other bounds, per validation example.
    seed
        Of the evidence's noise, and of the training of a ready VAE; else that is the recipe's.
    runs
        A folder for one run folder per model; None keeps nothing.
    resume
        Reads the finished runs in it, goes on with those that were interrupted, and trains the others.
    progress
        Whether a line says how far it is.
    settings
        Of `fit`, where the recipe does not say otherwise: epochs, batch_size, lr, ….

    Returns
    -------
    list of Swept
        One per combination, the last axis changing fastest.

    Raises
    ------
    InputError
        For axes that are none, for another sweep in the folder, and as `models.build` and `fit` do.

    >>> from elbowroom import load_data
    >>> words = {"latents": 2, "widths": [8], "epochs": 1}
    >>> swept = sweep(words, load_data("digits"), {"beta": [0.1, 1.0]}, draws=2, progress=False)
    >>> [one.label for one in swept], choose(swept).label
    (['β = 0.1', 'β = 1'], 'β = 0.1')
    """
    ready = isinstance(recipe, VAE)
    common = models.Recipe(seed=seed) if ready else as_recipe(recipe)  # type: ignore[arg-type]
    common = dataclasses.replace(common, training={**settings, **common.training})
    members = _members(common, recipe if isinstance(recipe, VAE) else None, data, axes, runs)
    if runs is not None:
        what = common.to_dict() | ({"model": model_recipe(recipe)} if isinstance(recipe, VAE) else {})
        _say_what_is_swept(Path(runs), {"axes": list(axes), "recipe": what, "data": data.sha256})
    together: dict[str, list[_Member]] = {}
    for one in members:
        together.setdefault(f"{one.state(resume)} {json.dumps(one.training)}", []).append(one)
    trained: dict[str, tuple[VAE, History]] = {}
    for group in together.values():
        trained |= _trained(group, data, group[0].state(resume), progress)
    return [_measure(one, *trained[one.name], data=data, draws=draws, seed=seed) for one in members]


_Model = TypeVar("_Model", Swept, ModelRecord)


def choose(swept: Sequence[_Model]) -> _Model:
    """The model with the best importance-weighted bound on validation; of equal ones the first.

    Parameters
    ----------
    swept : sequence of Swept, or of ModelRecord
        The models of a sweep, or their records.

    Returns
    -------
    Swept or ModelRecord
        One of them.

    Raises
    ------
    InputError
        Where no model has a finite bound, or where they are bounds on different things.
    """
    finite = [one for one in swept if math.isfinite(one.iwae.mean)]
    if not finite:
        raise InputError("No model of the sweep has a finite bound on validation: lower the learning rate.")
    if len({one.iwae.quantity for one in finite}) > 1:
        what = " and ".join(sorted({one.iwae.quantity for one in finite}))
        raise InputError(f"The models of the sweep bound different things, {what}, so none of them is the best.")
    return max(finite, key=lambda one: one.iwae.mean)


def _members(
    common: models.Recipe, ready: VAE | None, data: Dataset, axes: Mapping[str, Any], runs: str | Path | None
) -> list[_Member]:
    points = itertools.product(*(_values(name, values) for name, values in axes.items()))
    combinations = [dict(zip(axes, point, strict=True)) for point in points]
    found = []
    for name, settings in zip(_names(combinations), combinations, strict=True):
        mine = common.where(**settings)
        models.goal(mine)  # refused before anything is trained
        if ready is not None and mine.model != common.model:
            raise InputError(f"A ready model can vary in its training alone, not in {models.label(settings)}.")
        vae = models.build(mine, data) if ready is None else copy.deepcopy(ready)
        found.append(_Member(name, settings, mine, vae, None if runs is None else Path(runs) / name))
    return found


def _values(name: str, values: Any) -> list[Any]:
    """The plain values of an axis, in order."""
    many = isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    found = [plain(value) for value in values] if many else []
    if not found or len(set(map(text, found))) < len(found):
        raise InputError(f"The values of {name} must be a list, at least one and all distinct; got {values!r}.")
    return found


def _names(combinations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of folders, all different even where a disk does not tell small letters from capitals.

    >>> _names([{"beta": 0.5, "likelihood": {"kind": "normal", "scale": "shared"}}, {}])
    ['beta-0.5_likelihood-normal-scale-shared', 'model']
    """
    safe = []
    for settings in combinations:
        words = [f"{name}-{text(value)}" for name, value in settings.items()]
        safe.append("_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", word).strip("-") for word in words) or "model")
    small = [name.lower()[:_LONGEST] for name in safe]
    unique = [len(name) <= _LONGEST and small.count(name.lower()) == 1 for name in safe]
    return [
        name if alone else f"{name[:_LONGEST]}-{_digest(settings)}"
        for name, alone, settings in zip(safe, unique, combinations, strict=True)
    ]


def _digest(settings: Mapping[str, Any]) -> str:
    """Tells settings apart whatever their order in a sweep, so that a resumed one finds its own folders."""
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()[:8]


def _trained(members: Sequence[_Member], data: Dataset, state: str, progress: bool) -> dict[str, tuple[VAE, History]]:
    """Models and histories by name: read where they are finished, else trained."""
    names, folders = [one.name for one in members], [one.folder for one in members if one.folder]
    if state == "finished":
        return dict(zip(names, map(read_run, folders), strict=True))
    vaes, goals = [one.vae for one in members], [models.goal(one.recipe) for one in members]
    settings = {**members[0].training, "runs": folders or None, "resume": state == "begun", "progress": progress}
    return dict(zip(names, zip(vaes, fit_stacked(vaes, data, goals, **settings), strict=True), strict=True))


def _say_what_is_swept(runs: Path, what: Mapping[str, Any]) -> None:
    """Keep what the runs have in common, so that another sweep is not taken for this one when it is resumed."""
    path, said = runs / "sweep.json", json.loads(json.dumps(plain(what)))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != said:
        raise InputError(f"{runs} holds runs of another recipe, other axes or other data: name another folder.")
    runs.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(said, indent=1))


def _measure(one: _Member, vae: VAE, history: History, *, data: Dataset, draws: int, seed: int) -> Swept:
    held_out, label = data.validation, models.label(one.settings) or "the only one"
    rate, distortion, elbo = evidence.rate_distortion(vae, held_out, draws=draws, seed=seed)
    iwae = evidence.iwae(vae, held_out, draws=draws, seed=seed)
    active, squares = int(latent_use(vae, held_out).active.sum()), _squared_error(vae, held_out)
    return Swept(one.name, label, one.settings, vae, history, rate, distortion, elbo, iwae, active, squares)


def _squared_error(vae: VAE, held_out: Examples) -> float | None:
    try:
        return reconstruction_error(vae, held_out)
    except CapabilityError:
        return None
