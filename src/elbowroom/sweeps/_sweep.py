"""A model for every combination of the words of a recipe, each measured on validation."""

import copy
import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from elbowroom import models
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.models.recipe import as_recipe
from elbowroom.models.words import text
from elbowroom.numerics import InputError, count, plain, plain_arguments
from elbowroom.progress import Progress, say, within
from elbowroom.runs import History, read_run
from elbowroom.runs.run_folder import check_same_run
from elbowroom.training import fit_stacked
from elbowroom.training.device import device_named, standing_on
from elbowroom.training.placement import threads_for
from elbowroom.training.training_plan import WAY_OUT
from elbowroom.vae import VAE
from elbowroom.vae._save_model import model_recipe

from .axes import axis_values
from .swept import Swept
from .swept_of import swept_of

__all__ = ["sweep", "weights_and_code"]

_BATCH = 100  # a usual step, by which a model is small, and measured on one thread, or not
_LONGEST = 80  # characters of a folder's name
_OF_EACH = ("seed", "lr", "lr_final", "patience")  # what `fit_stacked` takes for each model


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
        return {name: value for name, value in self.recipe.training.items() if name not in _OF_EACH}


@plain_arguments
def sweep(
    recipe: models.Recipe | Mapping[str, Any] | VAE,
    data: Dataset,
    axes: Mapping[str, Any],
    *,
    draws: int = 100,
    seed: int = 0,
    runs: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    processes: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> list[Swept]:
    """Train a model for every combination of values on the axes, and measure each on data.validation.

    Small models that differ in numbers, seeds and latent sizes only are trained as one (see `fit_stacked`), the others
    side by side. A model
    that diverges is marked (its `history` says so, its bounds are NaN, and `choose` leaves it out), the others are
    what they would be without it.

    Parameters
    ----------
    recipe : Recipe, mapping or VAE
        What all models have in common: a `models.Recipe`, or the words in which it differs from the default one, such
        as {"latents": 8, "epochs": 20}; or a ready VAE, which is copied for every combination and can vary in its
        objective and training only.
    data : Dataset
        As `er.load_data` returns it.
    axes : mapping of str to list
        Word → values, {"beta": [0.1, 1.0], "latents": [2, 8]}: fields of the recipe, options of its objective, or
        settings of training. An empty one trains the recipe alone.
    draws : int, default 100
        Of z, per validation example, for the bounds.
    seed : int, default 0
        Of the bounds' noise, and of the training of a ready VAE; other models are trained by the recipe's seed.
    runs : str or Path, optional
        A folder, in which each model gets a run folder; by default nothing is written.
    resume : bool, default False
        Read the finished runs in that folder, continue those that were interrupted, and train the others.
    device : str, default "cpu"
        Where models are trained and measured: "cpu", "cuda" or "auto" (the best there is); they come back on the
        CPU. On a GPU all that differ in numbers only are one stack.
    processes : int, optional
        In how many processes models are trained side by side, as for `fit_stacked`; by default as many as make it
        faster. It changes no number.
    progress : bool, default True
        Whether standard error shows how far it is.
    **settings : Any
        Settings of `fit`, such as epochs, batch_size and lr, where the recipe does not say otherwise.

    Returns
    -------
    list of Swept
        One per combination, the last axis changing fastest. Each has the fields `name`, `label`, `settings` (its value
        on every axis), `vae` (trained), `history`, and, measured on data.validation, the Estimates `rate`,
        `distortion`, `elbo` and `iwae`, the number of `active` latents and the `squared_error` of reconstructions,
        and the `recipe` of its own.

    Raises
    ------
    InputError
        For axes that mean nothing, for a folder of another sweep, and as `models.build` and `fit` do.

    Examples
    --------
    >>> import elbowroom as er
    >>> words = {"latents": 2, "widths": [8], "epochs": 1}
    >>> swept = er.sweep(words, er.load_data("digits"), {"beta": [0.1, 1.0]}, draws=2, progress=False)
    >>> [one.label for one in swept], er.choose(swept).model.label
    (['β = 0.1', 'β = 1'], 'β = 0.1')
    """
    ready = isinstance(recipe, VAE)
    common = models.Recipe(seed=seed) if ready else as_recipe(recipe)  # type: ignore[arg-type]
    common = dataclasses.replace(common, training={**settings, **common.training})
    where = device_named(device)
    if resume:
        _check_begun(runs)
    members = _members(common, recipe if isinstance(recipe, VAE) else None, data, axes, runs)
    what = common.to_dict()
    if isinstance(recipe, VAE):  # of which copies are trained: a recipe says nothing of its weights
        what |= {"model": model_recipe(recipe), "weights": weights_and_code(recipe)}
    together: dict[str, list[_Member]] = {}
    for one in members:
        together.setdefault(f"{one.state(resume)} {json.dumps(one.training)}", []).append(one)
    trained: dict[str, tuple[VAE, History]] = {}
    with _swept_in(runs, {"axes": list(axes), "recipe": what, "data": data.sha256}):
        for number, group in enumerate(together.values(), start=1):
            with within(f"part {number} of {len(together)}") if len(together) > 1 else nullcontext():
                trained |= _trained(group, data, group[0].state(resume), device, processes, progress)
    if all(history.diverged for _, history in trained.values()):
        raise InputError(f"All models of the sweep diverged: {WAY_OUT}.")
    with Progress("measuring on validation", len(members), show=progress) as bar:
        found = []
        for one in members:
            bar.doing(models.label(one.settings) or "the only model")
            vae = trained[one.name][0]
            with standing_on(where, [vae]), threads_for(vae, data, _BATCH):
                own = swept_of(
                    one.name, one.settings, *trained[one.name], data=data, draws=draws, seed=seed, recipe=one.recipe
                )
                found.append(own)
            bar.advance(IWAE=found[-1].iwae.mean)
    return found


def _members(
    common: models.Recipe, ready: VAE | None, data: Dataset, axes: Mapping[str, Any], runs: str | Path | None
) -> list[_Member]:
    points = itertools.product(*(axis_values(name, values) for name, values in axes.items()))
    combinations = [dict(zip(axes, point, strict=True)) for point in points]
    found = []
    for name, settings in zip(_names(combinations), combinations, strict=True):
        mine = common.where(**settings)
        if ready is not None and mine.model != common.model:
            raise InputError(f"A ready model can vary in its training alone, not in {models.label(settings)}.")
        mine = mine.sized(data)
        models.goal(mine)  # refused before anything is trained
        vae = models.build(mine, data) if ready is None else copy.deepcopy(ready)
        found.append(_Member(name, settings, mine, vae, None if runs is None else Path(runs) / name))
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


def _trained(
    members: Sequence[_Member], data: Dataset, state: str, device: str, processes: int | None, progress: bool
) -> dict[str, tuple[VAE, History]]:
    """Models and histories by name: read where they are finished, else trained."""
    names, folders = [one.name for one in members], [one.folder for one in members if one.folder]
    if state == "finished":
        say(f"{count(len(members), 'finished model')} read from the runs", show=progress)
        for one in members:
            if one.folder is not None:  # the model, and the split and preprocessing that it was trained with
                check_same_run(one.folder, {"model": model_recipe(one.vae), "data": data.summary()})
        return dict(zip(names, map(read_run, folders), strict=True))
    vaes, goals = [one.vae for one in members], [models.goal(one.recipe) for one in members]
    settings = {**members[0].training, "runs": folders or None, "resume": state == "begun", "progress": progress}
    settings |= {"device": device, "processes": processes, "seed": [one.recipe.seed for one in members]}
    for name in _OF_EACH[1:]:
        if own := [one.recipe.training for one in members if name in one.recipe.training]:
            settings[name] = [training[name] for training in own]
    return dict(zip(names, zip(vaes, fit_stacked(vaes, data, goals, **settings), strict=True), strict=True))


def _check_begun(runs: str | Path | None) -> None:
    if runs is None:
        raise InputError("A sweep is resumed in its folder: name it by runs=, or leave resume= out.")
    if not (Path(runs) / "sweep.json").exists():
        raise InputError(f"{runs} holds no sweep, so there is nothing to resume: leave resume= out to begin one.")


def weights_and_code(vae: Any) -> str:
    """Fingerprint of what a recipe leaves open of a ready model: its weights, and modules of one's own."""
    state = sorted(vae.state_dict().items())
    said = hashlib.sha256(torch.nn.Module.__repr__(vae).encode())
    for name, tensor in state:
        said.update(name.encode() + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return said.hexdigest()[:16]


@contextmanager
def _swept_in(folder: str | Path | None, what: Mapping[str, Any]) -> Iterator[None]:
    """Keep what the runs have in common, so that another sweep is not taken for this one when it is resumed.

    A sweep that is refused before a run is begun leaves nothing.
    """
    if folder is None:
        yield
        return
    runs = Path(folder)
    path, said = runs / "sweep.json", json.loads(json.dumps(plain(what)))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != said:
        raise InputError(f"{runs} holds runs of another recipe, other axes or other data: name another folder.")
    write_atomic(path, json.dumps(said, indent=1))
    try:
        yield
    except Exception:
        if not any(runs.glob("*/recipe.yaml")):
            path.unlink()
            if not any(runs.iterdir()):
                runs.rmdir()
        raise
