"""`study`: one call takes data to a chosen, measured VAE and a page."""

import datetime
import importlib.metadata
import json
import math
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elbowroom import evidence, likelihoods, networks
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset, Examples, load_data
from elbowroom.metrics import ACTIVE, latent_use, neighbour_accuracy, psnr, reconstruction_error
from elbowroom.models import Recipe
from elbowroom.models._build import class_counts
from elbowroom.models.words import shown
from elbowroom.numerics import CapabilityError, Estimate, InputError
from elbowroom.pages import report
from elbowroom.pages.records import VERSION
from elbowroom.runs._measure_run import shuffled
from elbowroom.runs.saved_estimates import keep_estimates
from elbowroom.sweeps import Swept, choose, sweep
from elbowroom.vae import VAE

from .beforehand import check_parts, no_squares
from .classics import Classic, classics, classics_left_out
from .pictures import draw_pictures
from .variance import variance_record
from .verdict import difference_to, verdict

__all__ = ["AXES", "Study", "study"]

AXES: Mapping[str, Sequence[Any]] = {"beta": (0.1, 0.3, 0.5, 1.0, 2.0, 5.0)}
"""What a study sweeps over, where its objective has it."""

_TRAINING_STEPS = 5_000
_PICTURES = 16
_BATCH = 100
_ANNEALING: dict[str, Any] = {"temperatures": 100, "chains": 8, "leapfrog": 5}


@dataclass(frozen=True)
class Study:
    """What a study leaves: the chosen model, its evidence on test, the verdict in one sentence, and the page."""

    vae: VAE
    chosen: Swept
    evidence: list[tuple[str, Estimate]]
    sentence: str
    page: Path

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.page}"


def study(
    data: Dataset | Any,
    folder: str | Path | None = None,
    *,
    recipe: Recipe | Mapping[str, Any] | VAE | None = None,
    axes: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    draws: int = 1_000,
    annealed: int = 50,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> Study:
    """Data → a sweep over words of a recipe → one model chosen on validation → its evidence on test → report.html.

    data: a Dataset, or anything `load_data` takes. folder: for runs, records and page; default runs/study-<name>.
    recipe, axes: of `sweep`; default the default recipe, and `AXES` where its objective has them. epochs: where the
    recipe does not say them, as many as make 5,000 steps. draws: of IWAE on test. annealed: how many test examples AIS
    measures beside it; 0 for none. seed: of all noise, and of the weights where `recipe` is no `Recipe`. overwrite:
    delete what the folder holds; resume: continue an interrupted study. Raises InputError where the folder holds a
    study already, and as `load_data`, `sweep` and `fit` do, all of it before anything is trained.
    """
    begun = time.monotonic()
    if draws < 1 or annealed < 0:
        raise InputError(f"draws must be 1 or more and annealed 0 or more; got {draws} and {annealed}.")
    data = data if isinstance(data, Dataset) else load_data(data, seed=seed)
    check_parts(data)
    folder = Path(folder) if folder is not None else Path("runs") / f"study-{data.name}"
    if not isinstance(recipe, Recipe | VAE):
        recipe = Recipe(seed=seed).where(**(recipe or {}))
    _prepare(folder, overwrite, resume)
    words = Recipe() if isinstance(recipe, VAE) else recipe
    axes = axes if axes is not None else {name: values for name, values in AXES.items() if words.trains_by(name)}
    batch_size = words.training.get("batch_size", _BATCH)
    if epochs is None:
        epochs = math.ceil(_TRAINING_STEPS / math.ceil(len(data.train) / batch_size))
    clock = {"sweep": time.monotonic()}
    settings = {"epochs": epochs, "batch_size": batch_size, "progress": progress}
    swept = sweep(recipe, data, axes, seed=seed, runs=folder / "runs", resume=resume, **settings)
    chosen = choose(swept)
    clock["evidence"] = time.monotonic()
    bounds = {
        "ELBO": evidence.elbo(chosen.vae, data.test, draws=64, seed=seed),
        f"IWAE-{draws}": evidence.iwae(chosen.vae, data.test, draws=draws, seed=seed, progress=progress),
    }
    not_measured = _keep_evidence(chosen, bounds, data, folder / "runs" / chosen.name, annealed, seed, progress)
    rivals = classics(data, seed, progress)
    clock["end"] = time.monotonic()
    seconds = {"sweep": clock["evidence"] - clock["sweep"], "evidence": clock["end"] - clock["evidence"]}
    seconds["total"] = clock["end"] - begun
    squares = no_squares(chosen.vae, data)
    record = {
        "version": VERSION,
        "title": f"A variational autoencoder of {data.name}",
        "command": command or f"elbowroom study {data.name}",
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": _data_record(data),
        "environment": _environment(seconds),
        "chosen": chosen.name,
        "models": [_model_record(one, data, squares) for one in swept],
        **_evidence_record(chosen, bounds, rivals, data),
        "not_measured": not_measured,
        "left_out": classics_left_out(data),
        **_test_record(chosen.vae, data, squares),
        **({} if squares else variance_record(swept, chosen, rivals, data, seed)),
        "draws": {"seed": seed, "n": _PICTURES},
    }
    draw_pictures(swept, chosen, data, folder, _PICTURES, seed)
    write_atomic(folder / "study.json", json.dumps(record, indent=1))
    page = report(folder)
    return Study(chosen.vae, chosen, list(bounds.items()), record["verdict"]["sentence"], page)


def _prepare(folder: Path, overwrite: bool, resume: bool) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return
    ours = (folder / "runs").is_dir() or (folder / "study.json").exists()
    if overwrite and ours:
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
    elif not (resume and ours):
        way_out = "overwrite it, resume it, or name another folder" if ours else "name another folder"
        raise InputError(f"{folder} is not empty: {way_out}.")


def _data_record(data: Dataset) -> dict[str, Any]:
    return {
        **data.summary(),
        "levels": data.levels,
        "dimensions": math.prod(data.event),
        "columns": data.columns,
        "classes": _class_names(data),
    }


def _class_names(data: Dataset) -> dict[str, list[str]]:
    """Of a table, by number of the column: the classes' names, or their codes where they have none."""
    if data.image_shape is not None:
        return {}
    columns = data.columns or [""] * math.prod(data.event)
    kinds = data.support.columns or (data.support,) * len(columns)
    return {
        str(i): data.classes.get(name) or [str(code) for code in range(one.levels or 0)]
        for i, (name, one) in enumerate(zip(columns, kinds, strict=True))
        if one.kind == "categorical"
    }


def _environment(seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "elbowroom": importlib.metadata.version("elbowroom"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "seconds": seconds,
    }


def _pair(estimate: Estimate) -> list[float]:
    return [estimate.mean, estimate.se_total]


def _model_record(one: Swept, data: Dataset, no_squares: str | None) -> dict[str, Any]:
    squared_error = None if no_squares else one.squared_error
    return {
        "name": one.name,
        "label": one.label,
        "settings": dict(one.settings),
        "axes": shown(one.settings),
        "epochs": len(one.history.rows),
        "best_epoch": one.history.best_epoch,
        "seconds": one.history.seconds,
        "parameters": sum(p.numel() for p in one.vae.parameters()),
        "validation": {name: _pair(getattr(one, name)) for name in ("rate", "distortion", "elbo", "iwae")},
        "n": len(data.validation),
        "draws": one.iwae.budget.draws,
        "active": one.active,
        "latents": one.vae.latents,
        "squared_error": squared_error,
        "psnr": _psnr(squared_error, data),
        "notes": one.history.notes,
    }


def _psnr(squared_error: float | None, data: Dataset) -> float | None:
    if squared_error is None or data.preprocess.support(data.support).kind not in ("unit", "binary"):
        return None
    return psnr(squared_error, math.prod(data.event))


def _evidence_record(
    chosen: Swept, bounds: dict[str, Estimate], rivals: list[Classic], data: Dataset
) -> dict[str, Any]:
    best = max(bounds.values(), key=lambda bound: bound.mean)
    won = f"{chosen.label}, chosen from the sweep by IWAE-{chosen.iwae.budget.draws} on validation"
    won = won if chosen.settings else "nothing: one model was trained"
    rows = [("VAE", "vae", won, estimate) for estimate in bounds.values()]
    rows += [(rival.name, "classic", rival.setting, rival.estimate) for rival in rivals]
    difference = difference_to(best, rivals)
    return {
        "evidence": [
            {
                "name": name,
                "kind": kind,
                "setting": setting,
                "estimate": estimate.to_dict(),
                "bits_per_dimension": _bits(estimate, data),
            }
            for name, kind, setting, estimate in rows
        ],
        "difference": difference,
        "verdict": verdict(chosen, bounds, difference, data),
    }


def _keep_evidence(
    chosen: Swept, bounds: dict[str, Estimate], data: Dataset, run: Path, annealed: int, seed: int, progress: bool
) -> list[str]:
    """Write the run's evidence.json, AIS on some test examples included; what could not be measured, in words."""
    for bound in bounds.values():
        keep_estimates(run / "evidence.json", "test", [bound], {"draws": bound.budget.draws, "seed": seed})
    if not annealed:
        return []
    examples = shuffled(data.test, min(annealed, len(data.test)))
    try:
        found = evidence.ais(chosen.vae, examples, **_ANNEALING, seed=seed, progress=progress)
    except (CapabilityError, InputError) as error:  # a bound less is no reason to lose the study
        return [f"AIS was not run: {error}"]
    keep_estimates(run / "evidence.json", "test", [found], {**_ANNEALING, "seed": seed})
    return []


def _bits(estimate: Estimate, data: Dataset) -> list[float] | None:
    if data.support.kind not in ("grid", "binary"):
        return None
    bits = estimate.bits_per_dimension(math.prod(data.event))
    return [bits.mean, bits.se_mc, bits.se_points]


def _test_record(vae: VAE, data: Dataset, no_squares: str | None) -> dict[str, Any]:
    use = latent_use(vae, data.test)
    squared_error = None if no_squares else reconstruction_error(vae, data.test)
    return {
        "latents": {
            "kl": None if use.kl is None else use.kl.tolist(),
            "active": use.active.tolist(),
            "threshold": ACTIVE,
            "n": len(data.test),
            "axes": "z1, z2" if vae.latents == 2 else "first two principal components of the posterior means",
            "knn": _neighbours(vae, data, use.means),
        },
        "reconstruction": {
            "squared_error": squared_error,
            "psnr": _psnr(squared_error, data),
            "n": len(data.test),
            "why_none": no_squares,
        },
        "leak": _leak(vae, data),
    }


def _neighbours(vae: VAE, data: Dataset, test_codes: Any, k: int = 5, most: int = 10_000) -> dict[str, Any] | None:
    train, test = data.train[:most], data.test
    if train.labels is None or test.labels is None:
        return None
    labels, truth = train.labels.numpy(), test.labels.numpy()
    codes = latent_use(vae, train).means
    raw, raw_test = (_comparable(data, part) for part in (train, test))
    return {
        "z": neighbour_accuracy(codes, labels, test_codes, truth, k=k),
        "x": neighbour_accuracy(raw, labels, raw_test, truth, k=k),
        "k": k,
        "n": len(test),
    }


def _comparable(data: Dataset, examples: Examples) -> Any:
    """Rows for distances: the raw ones; of columns of different kinds, and of classes, what an encoder reads."""
    if data.support.kind not in ("mixed", "categorical"):
        return examples.x.flatten(1).numpy()
    scaler = networks.Standardised(
        nn.Identity(), event=data.event, classes=class_counts(data.support, math.prod(data.event))
    )
    scaler.settle(data.train.x)
    return scaler(examples.x).numpy()


@torch.no_grad()
def _leak(vae: VAE, data: Dataset) -> float | None:
    """Share of the likelihood's mass outside [0, 1], where the data are inside and the family has a cdf."""
    batch = data.validation[:1_000].batch()
    p_x = vae(batch, vae.keyed_noise(1, batch.index, 0), lay_out=False).p_x
    return likelihoods.leak(p_x, data.preprocess.support(data.support))
