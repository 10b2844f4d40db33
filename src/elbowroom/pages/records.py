"""A study's record as the panels of the page read it that do not read `StudyRecord` yet: mappings by name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from elbowroom.numerics import Estimate
from elbowroom.records import InkRecord, ModelRecord, ReconstructionRecord, StudyRecord, VarianceRecord
from elbowroom.runs.saved_estimates import KeptEstimate, read_estimates

__all__ = ["Record", "for_panels"]

_BOUNDS = ("rate", "distortion", "elbo", "iwae")


@dataclass(frozen=True)
class Record:
    """A study as panels read it: `study` by names, `pictures` by name, and the chosen model's run."""

    folder: Path
    study: Mapping[str, Any]
    pictures: Mapping[str, NDArray[Any]]
    history: list[dict[str, Any]]
    recipe: Mapping[str, Any] | None
    estimates: list[KeptEstimate] = field(default_factory=list)

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The chosen model's entry in the sweep."""
        return next(m for m in self.study["models"] if m["name"] == self.study["chosen"])

    @property
    def evidence(self) -> list[tuple[Mapping[str, Any], Estimate]]:
        """Every row of the last table with its estimate, best first."""
        return [(row, row["estimate"]) for row in self.study["evidence"]]

    @property
    def direction(self) -> str:
        """Direction of the VAE's best estimate."""
        return str(self.study["direction"])

    @property
    def reconstruction(self) -> ReconstructionRecord:
        """How near reconstructions come."""
        return ReconstructionRecord(**self.study["reconstruction"])


def for_panels(study: StudyRecord) -> Record:
    """The record of a study as panels read it."""
    found = study.evidence
    latents = asdict(found.latents)
    said = {
        "data": {**asdict(study.data), "dimensions": study.data.dimensions, "classes": _classes(study)},
        "chosen": study.choice.name,
        "models": [_model(one) for one in study.sweep.models],
        "evidence": [row._asdict() for row in study.rows],
        "direction": study.direction,
        "difference": study.difference,
        "not_measured": list(found.not_measured),
        "latents": {**latents, "knn": latents.pop("neighbours")},
        "reconstruction": asdict(found.reconstruction),
        "leak": found.leak,
        "variance": [_variance(one) for one in study.variances],
        "ink": None if found.ink is None else _ink(found.ink),
        "draws": {"seed": found.seed, "n": found.pictured},
    }
    estimates = read_estimates(study.run / "evidence.json")
    return Record(study.folder, said, study.pictures, study.history, study.recipe, estimates)


def _classes(study: StudyRecord) -> dict[str, list[str]]:
    return {str(column): list(names) for column, names in study.data.classes.items()}


def _model(one: ModelRecord) -> dict[str, Any]:
    bounds = {name: (getattr(one, name).mean, getattr(one, name).se_total) for name in _BOUNDS}
    return {**asdict(one), "validation": bounds, "n": len(one.iwae), "draws": one.iwae.budget.draws}


def _variance(one: VarianceRecord) -> dict[str, Any]:
    return {**asdict(one), "latent_share": one.latent_share.value, "latent_share_se": one.latent_share.se}


def _ink(one: InkRecord) -> dict[str, Any]:
    parts = {name: getattr(one, name) for name in ("data", "latent", "noise_diagonal", "noise_covariance")}
    values = {name: part.value for name, part in parts.items()}
    return {**values, "se": {name: part.se for name, part in parts.items()}, "draws": one.draws}
