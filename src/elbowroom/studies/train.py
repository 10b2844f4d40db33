"""The stage `train`: a sweep over the words of a recipe, and its models by name."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import capabilities
from elbowroom.likelihoods._auto import SCALES, has_scale
from elbowroom.metrics import psnr
from elbowroom.models import Recipe
from elbowroom.models.sizes import AUTO, sizes_for
from elbowroom.models.words import shown
from elbowroom.numerics import Support, plain
from elbowroom.records import DataRecord, ModelRecord, Number, Summary, SweepRecord
from elbowroom.runs import read_run
from elbowroom.sweeps import Swept, sweep
from elbowroom.sweeps._choose import entry_of, setting_of
from elbowroom.sweeps._sweep import weights_and_code
from elbowroom.sweeps.goals import Scored
from elbowroom.sweeps.standings import of_whole_settings, standings
from elbowroom.sweeps.usual import usual_training
from elbowroom.vae import VAE
from elbowroom.vae._save_model import model_recipe
from elbowroom.vae.vae import evaluating

from .calibrated import calibration_of
from .count_checks import many_counts
from .spending import CHOICE_DRAWS, trained

__all__ = [
    "Models",
    "Training",
    "axes_of",
    "decibels",
    "record_of",
    "train",
    "training_of",
    "why_no_squares",
]


_OF_FIT = ("epochs", "batch_size", "patience", "lr", "lr_final", "clip")


class Training(NamedTuple):
    """What a study trains.

    Attributes
    ----------
    recipe : Recipe or VAE
        What the models have in common.
    axes : mapping of str to sequence
        What is swept over.
    epochs, batch_size : int
        Of every model whose recipe does not say otherwise.
    seed : int
        Of the evidence on validation.
    patience : int or None
        Epochs without a better validation value after which a model stops, if its recipe does not say otherwise.
    lr, lr_final : float
        Learning rates of the first and of the last epoch, likewise; the second may be None.
    clip : float or None
        Largest norm of a step's gradient, likewise.
    draws : int
        Of z per validation example, by which a model is chosen.
    """

    recipe: Recipe | VAE
    axes: Mapping[str, Any]
    epochs: int
    batch_size: int
    seed: int
    patience: int | None
    lr: float
    lr_final: float | None
    clip: float | None
    draws: int = CHOICE_DRAWS

    @property
    def of_fit(self) -> dict[str, Any]:
        """Settings of `fit` for every model whose recipe does not say otherwise."""
        return {name: getattr(self, name) for name in _OF_FIT}

    @property
    def settings(self) -> dict[str, Any]:
        """The same in plain values."""
        ready = isinstance(self.recipe, VAE)
        what = model_recipe(self.recipe) if isinstance(self.recipe, VAE) else self.recipe.to_dict()
        said = {
            **self._asdict(),
            "recipe": what,
            "ready": ready and weights_and_code(self.recipe),
        }
        return {**said, "axes": {name: plain(values) for name, values in self.axes.items()}}


class Models:
    """The models of a sweep by name: those that were trained just now, others from their run folders.

    Parameters
    ----------
    runs : Path
        Folder of the run folders.
    ready : VAE, optional
        The model that all are copies of, but for their weights, where the sweep is of one: modules that no recipe can
        make stand in it.
    """

    def __init__(self, runs: Path, ready: VAE | None = None) -> None:
        self.runs, self._ready = runs, ready
        self._found: dict[str, VAE] = {}

    def hold(self, record: SweepRecord) -> bool:
        """Whether the runs of all models of a sweep that are models are there, and finished."""
        return all(one.diverged or (self.runs / one.name / "summary.json").exists() for one in record.models)

    def keep(self, swept: Sequence[Swept]) -> None:
        """Hold models that were just trained."""
        self._found |= {one.name: one.vae for one in swept}

    def __getitem__(self, name: str) -> VAE:
        if name not in self._found:
            self._found[name] = self._read(self.runs / name)
        return self._found[name]

    def _read(self, run: Path) -> VAE:
        if self._ready is None:
            return read_run(run)[0]
        vae = copy.deepcopy(self._ready)
        vae.load_state_dict(load_file(run / "model.safetensors"))
        return vae.eval()


def training_of(
    recipe: Recipe | Mapping[str, Any] | VAE | None,
    axes: Mapping[str, Any] | None,
    epochs: int | None,
    data: Dataset,
    seed: int,
) -> Training:
    """What a study trains, its defaults filled in.

    Parameters
    ----------
    recipe : Recipe, mapping or VAE, optional
        As `sweep` takes it; default the default recipe.
    axes : mapping of str to sequence, optional
        Default what the recipe leaves open, as `axes_of` says.
    epochs : int, optional
        Default as many as make 4,000 steps of 100 rows, or 3,000 of 32 where there are fewer than 1,000; at most 400.
        Cells have fewer, and fewer models where those are not enough, as `spending.trained` says.
    data : Dataset
        Of the study.
    seed : int
        Of the weights, where `recipe` is no `Recipe`.

    Returns
    -------
    Training
        With nothing left to be filled in.
    """
    if not isinstance(recipe, Recipe | VAE):
        recipe = Recipe(seed=seed).where(**(recipe or {}))
    own = axes is None
    if axes is None:
        axes = {} if isinstance(recipe, VAE) else axes_of(recipe, data)
    draws = CHOICE_DRAWS
    if dear := trained(recipe, axes, data, own):
        axes, draws = dear.axes if own else axes, dear.draws
        epochs = dear.epochs if epochs is None else epochs
    said = {} if isinstance(recipe, VAE) else recipe.training
    usual = usual_training(said, len(data.train), axes=axes, epochs=epochs)
    return Training(recipe, axes, seed=seed, draws=draws, **{name: usual[name] for name in _OF_FIT})


def axes_of(recipe: Recipe, data: Dataset) -> dict[str, list[Any]]:
    """What a study sweeps over with no word said: the latent sizes and the noise that the recipe leaves open.

    Parameters
    ----------
    recipe : Recipe
        What the models have in common.
    data : Dataset
        Of the study.

    Returns
    -------
    dict of str to list
        Empty where the recipe says both, or the data have no noise to be chosen.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> axes_of(Recipe(), digits)["latents"], axes_of(Recipe(latents=8, likelihood="normal"), digits)
    ([10, 20], {})
    """
    axes: dict[str, list[Any]] = {}
    if recipe.latents == AUTO:
        axes["latents"] = sizes_for(data)
    if recipe.likelihood == AUTO and has_scale(data.preprocess.support(data.support)):
        axes["likelihood"] = [{"kind": AUTO, "scale": scale} for scale in SCALES]
    return axes


def train(
    data: Dataset,
    about: DataRecord,
    training: Training,
    models: Models,
    *,
    resume: bool,
    device: str = "cpu",
    progress: bool,
) -> SweepRecord:
    """Train a model for every combination on the axes, and measure each on validation.

    Parameters
    ----------
    data : Dataset
        Of the study.
    about : DataRecord
        The record of `load`.
    training : Training
        What is trained.
    models : Models
        Where the models go.
    resume : bool
        Read runs that are finished, and go on with those that were interrupted.
    device : str, default "cpu"
        Where they are trained and measured, as `sweep` takes it.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    SweepRecord
        The record of the stage.

    Raises
    ------
    InputError
        As `sweep` and `fit` do.
    """
    swept = sweep(
        training.recipe,
        data,
        training.axes,
        draws=training.draws,
        seed=training.seed,
        runs=models.runs,
        resume=resume and (models.runs / "sweep.json").exists(),
        device=device,
        progress=progress,
        **training.of_fit,
    )
    models.keep(swept)
    return record_of(swept, about, data, seed=training.seed)


def record_of(swept: Sequence[Swept], about: DataRecord, data: Dataset, *, seed: int = 0) -> SweepRecord:
    """The record of trained and measured models.

    Parameters
    ----------
    swept : sequence of Swept
        The models.
    about : DataRecord
        The record of `load`.
    data : Dataset
        Of the study.
    seed : int, default 0
        Of the noise by which calibration is measured.

    Returns
    -------
    SweepRecord
        The record of the stage.
    """
    some, stands = data.validation[:2], _stands(swept)
    records = (_model_record(one, about, why_no_squares(one.vae, data.support, some)) for one in swept)
    found = {one.name: calibration_of(one.vae, data, seed) for one in swept if not one.history.diverged}
    return SweepRecord(
        tuple(replace(one, **stands.get(one.name, {}), calibrated=found.get(one.name)) for one in records)
    )


def _stands(swept: Sequence[Swept]) -> dict[str, dict[str, Any]]:
    """The bound of each model's setting, and what that lacks of the best, by the model's name, where it is judged."""
    finite = [place for place, one in enumerate(swept) if math.isfinite(one.iwae.mean)]
    judged = [swept[place] for place in of_whole_settings([setting_of(one) for one in swept], finite)]
    entries = [entry_of(Scored(one, one.iwae.mean, one.iwae.se_total, one.iwae.values)) for one in judged]
    found = {one.label: one for one in standings(entries)} if entries else {}
    mine = [found[entry.label] for entry in entries]
    return {
        one.name: {"behind": Number(at.behind, at.se_behind), "bound": Number(at.value, at.se)}
        for one, at in zip(judged, mine, strict=True)
    }


def decibels(squared_error: float | None, about: DataRecord) -> float | None:
    """PSNR of a squared error per example, where the data have a fixed range.

    Parameters
    ----------
    squared_error : float, optional
        On the network's scale.
    about : DataRecord
        The data that it is of.

    Returns
    -------
    float or None
        In dB.
    """
    if squared_error is None or about.seen not in ("unit", "binary"):
        return None
    return psnr(squared_error, about.dimensions)


def _model_record(one: Swept, about: DataRecord, why_no_squares: str | None) -> ModelRecord:
    squared_error = None if why_no_squares else one.squared_error
    return ModelRecord(
        name=one.name,
        label=one.label,
        settings=plain(one.settings),
        axes=shown(one.settings),
        epochs=len(one.history.rows),
        best_epoch=one.history.best_epoch,
        seconds=one.history.seconds,
        parameters=sum(p.numel() for p in one.vae.parameters()),
        latents=one.vae.latents,
        active=one.active,
        rate=Summary.of(one.rate),
        distortion=Summary.of(one.distortion),
        elbo=Summary.of(one.elbo),
        iwae=Summary.of(one.iwae),
        squared_error=squared_error,
        psnr=decibels(squared_error, about),
        why_no_squares=why_no_squares,
        notes=tuple(one.history.notes),
    )


@torch.no_grad()
def why_no_squares(vae: VAE, support: Support, examples: Examples) -> str | None:
    """Why squared errors and variances mean nothing of a model.

    Parameters
    ----------
    vae : VAE
        The model.
    support : Support
        Of the data.
    examples : Examples
        Some of the data.

    Returns
    -------
    str or None
        A sentence; None where they mean something.
    """
    support, said = vae.preprocess.support(support), "There is no squared error and no split of the variance"
    if support.kind == "categorical":
        return f"{said}: the data are classes without an order, which have no mean."
    if support.kind == "mixed":
        classes = any(one.kind == "categorical" for one in support.columns)
        also = ", and classes without an order have no mean" if classes else ""
        return f"{said}: the columns are of different kinds, whose squares have no unit in common{also}."
    if many_counts(support, examples.event):
        return f"{said}: those of counts are nearly all of the few largest genes, and say nothing of the others."
    batch = examples.batch()
    if batch.seen is not None:
        return f"{said}: cells are missing, so that every example would sum over others."
    with evaluating(vae):
        p_x = vae(batch, vae.keyed_noise(1, batch.index, 0), lay_out=False).p_x
    return None if "mean" in capabilities(p_x) else f"{said}: the model's p(x | z) has no mean."
