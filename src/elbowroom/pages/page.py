"""The report: one HTML file from a study's record, with nothing fetched and nothing run but a few lines of script."""

import base64
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.atomic import write_atomic
from elbowroom.numerics import Estimate, aligned, count, places, rounded, with_error
from elbowroom.records import DataRecord, ModelRecord, StudyRecord, Summary, read_study

from . import panels, verdicts
from .estimators import evidence_panel
from .records import for_panels
from .strips import decoded_grid
from .tables import table_looks
from .variances import ink_figure, variance_figure

__all__ = ["report"]

_MACHINE = ("elbowroom", "torch", "python", "processor", "threads")
_LONG = ("train", "measure", "contest", "total")  # what takes time
_TEMPLATES = Path(__file__).parent / "templates"


def report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of a study, from its saved records alone: no model is loaded.

    Parameters
    ----------
    folder : str or Path
        Of a study that has got as far as `measure`; of stages after it that have not been run, the page says so.
    path : str or Path, optional
        Where the page goes; default report.html in the folder.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        Where a record is missing, damaged or of another version.
    """
    study = read_study(folder)
    target = Path(path) if path is not None else study.folder / "report.html"
    write_atomic(target, _render(study))
    return target


def _render(study: StudyRecord) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The figures escape their own text; everything else is escaped by the template.
    environment.filters["svg"] = Markup
    page = environment.get_template("report.html").render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **_content(study)
    )
    return page.replace(" ± ", "\u00a0±\u00a0")  # a value and its error stay on one line


def _content(study: StudyRecord) -> dict[str, Any]:
    record = for_panels(study)
    verdict = study.account.verdict if study.account else None
    pictured, models = study.data.image_shape is not None, study.sweep.models
    looks = [panels.reconstructions(record), panels.samples(record)] if pictured else table_looks(record)
    pictures = [panels.panel(record, model) for model in record.study["models"]]
    return {
        "study": study,
        "sentence": verdicts.sentence(study),
        "verdict_figures": verdict.figures[:4] if verdict else (),
        "next": verdict.next if verdict else None,
        "ladder": panels.ladder(record),
        "evidence": _evidence_rows(study),
        "estimators": evidence_panel(record),
        "has_squares": study.reconstruction.why_none is None,
        "left_out": study.contest.left_out if study.contest else None,
        "estimands": sorted({row.estimate.quantity for row in study.rows}),
        "looks": looks,
        "plane": panels.plane(record),
        "models": [
            {"index": i, "label": one.label, "chosen": one.name == study.choice.name} for i, one in enumerate(models)
        ],
        "panels": pictures if all(pictures) else [],
        "sweep": _sweep_rows(study),
        "sweep_head": _axis(study) or "model",
        "model_notes": [(study.chosen.label, note) for note in study.chosen.notes],
        "variances": [f for f in (variance_figure(record), ink_figure(record)) if f],
        "kl": panels.kl(record),
        "map": panels.latent_map(record),
        "grid": decoded_grid(record),
        "grid_axis": _grid_axis(study),
        "curves": panels.curves(record),
        "diagram": panels.diagram(record),
        "factors": _factors(study),
        "recipe": _recipe_text(study),
        "facts": _facts(study),
    }


def _evidence_rows(study: StudyRecord) -> list[dict[str, str]]:
    rows = []
    for name, kind, setting, e in study.rows:
        digits = places(e.se_total)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "estimate": panels.estimate_words(name, e),
                "value": ("≥ " if e.direction == "lower" else "") + rounded(e.mean, digits),
                "draws": "none: exact" if e.direction == "exact" else _error(e.se_mc),
                "points": _error(e.se_points, digits) if math.isfinite(e.se_points) else "one example has none",
                "bits": _bits(e, study.data),
                "setting": setting,
                "warning": "; ".join(e.warnings),
            }
        )
    for key in ("value", "draws", "points"):
        for row, text in zip(rows, aligned([r[key] for r in rows]), strict=True):
            row[key] = text
    return rows


def _error(error: float, digits: int | None = None) -> str:
    return rounded(error, max(places(error), digits or 0) if error else digits or 2)


def _bits(e: Estimate, data: DataRecord) -> str:
    if not data.in_bits:
        return "not on a grid"
    bits = e.bits_per_dimension(data.dimensions)
    return ("≤ " if e.direction == "lower" else "") + with_error(bits.mean, math.hypot(bits.se_mc, bits.se_points))


def _axis(study: StudyRecord) -> str:
    """The one axis of the sweep; nothing where there are several, or none."""
    axes = list(study.chosen.axes)
    return axes[0] if len(axes) == 1 else ""


def _sweep_rows(study: StudyRecord) -> list[dict[str, Any]]:
    axis = _axis(study)
    return [
        {
            "index": index,
            "chosen": one.name == study.choice.name,
            "symbol": axis,
            "label": one.axes[axis] if axis else one.label,
            "active": f"{one.active}/{one.latents}",
            "squared_error": verdicts.significant(one.squared_error),
            "psnr": f"{one.psnr:.1f}" if one.psnr is not None and math.isfinite(one.psnr) else "no range",
            "epochs": f"{one.best_epoch}/{one.epochs}",
            **{name: with_error(bound.mean, bound.se_total) for name, bound in _bounds(one).items()},
        }
        for index, one in enumerate(study.sweep.models)
    ]


def _bounds(one: ModelRecord) -> dict[str, Summary]:
    return {"rate": one.rate, "distortion": one.distortion, "elbo": one.elbo, "iwae": one.iwae}


def _grid_axis(study: StudyRecord) -> str:
    axis = study.pictures.get("decoded_grid_axis")
    return "" if axis is None else f"{rounded(float(axis[0]), 1)} to {rounded(float(axis[-1]), 1)}"


def _factors(study: StudyRecord) -> list[tuple[str, str]]:
    """Each factor of the model with the kind of its component: ("p(z)", "standard-normal, 16 values")."""
    if study.recipe is None:
        return []
    factors = []
    for letter, part in (("p", "prior"), ("q", "posterior"), ("p", "likelihood")):
        blocks = study.recipe[part]
        blocks = {("x" if part == "likelihood" else "z"): blocks} if "kind" in blocks else blocks
        default = {"prior": (), "posterior": ("x",), "likelihood": ("z",)}[part]
        for name, component in blocks.items():
            given = component.get("given", default)
            given = [given] if isinstance(given, str) else list(given or ())
            bar = f" | {', '.join(map(str, given))}" if given else ""
            factors.append((f"{letter}({name}{bar})", _component_words(component)))
    return factors


def _component_words(component: Mapping[str, Any]) -> str:
    said = [str(component.get("kind", "a module of the maker's"))]
    event = component.get("event")
    if event is not None:
        said.append(("×".join(map(str, event)) if isinstance(event, list) else f"{event}") + " dimensions")
    if isinstance(component.get("scale"), str | int | float):
        said.append(f"scale {component['scale']}")
    network = component.get("network")
    if isinstance(network, Mapping):
        sizes = network.get("sizes")
        dashes = " " + "–".join(map(str, sizes)) if isinstance(sizes, list) else ""
        said.append(f"network {network.get('kind', network.get('module', 'of the maker'))}{dashes}")
    return ", ".join(said)


def _recipe_text(study: StudyRecord) -> str:
    import yaml

    return "" if study.recipe is None else yaml.safe_dump(dict(study.recipe), sort_keys=False, allow_unicode=True)


def _facts(study: StudyRecord) -> list[tuple[str, list[tuple[str, str]]]]:
    data, chosen = study.data, study.chosen
    sizes = ", ".join(f"{count(size)} {part}" for part, size in data.sizes.items())
    shape = " × ".join(map(str, data.image_shape or data.event))
    facts = [
        ("name", data.name),
        ("source", data.source),
        ("examples", sizes),
        ("shape", f"{shape}, {count(data.dimensions, 'dimension')}"),
        ("support", data.support),
        ("split seed", str(data.split_seed)),
        ("SHA-256", data.sha256),
    ]
    versions = [(name, str(getattr(study.last, name))) for name in _MACHINE]
    times = [(f"time, {stage}", verdicts.seconds(value)) for stage, value in study.seconds.items() if stage in _LONG]
    training = [
        *chosen.axes.items(),
        ("parameters", count(chosen.parameters)),
        ("epochs", f"{chosen.epochs}, epoch {chosen.best_epoch} kept"),
        ("training", verdicts.seconds(chosen.seconds)),
    ]
    notes = [("note", note) for note in data.notes]
    return [("Data", facts + notes), ("Chosen model", training), ("Machine and versions", versions + times)]
