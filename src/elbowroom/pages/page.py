"""The report: one HTML file from a study's record, with nothing fetched and nothing run but a few lines of script."""

import base64
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.numerics import aligned, count, places, rounded, with_error
from elbowroom.runs import write_atomic

from . import panels, verdicts
from .estimators import evidence_panel
from .records import Record, read_record
from .strips import decoded_grid
from .tables import table_looks
from .variances import ink_figure, variance_figure

__all__ = ["report"]

_MACHINE = ("elbowroom", "torch", "python", "processor", "threads")
_TEMPLATES = Path(__file__).parent / "templates"


def report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the study in `folder` to `path` (default: report.html in the folder) and return its path.

    Everything on it comes from the saved record; no model is loaded. Raises InputError where a file of the record is
    missing, damaged or of another version.
    """
    record = read_record(folder)
    target = Path(path) if path is not None else record.folder / "report.html"
    write_atomic(target, _render(record))
    return target


def _render(record: Record) -> str:
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
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **_content(record)
    )
    return page.replace(" ± ", "\u00a0±\u00a0")  # a value and its error stay on one line


def _content(record: Record) -> dict[str, Any]:
    study, pictured = record.study, bool(record.study["data"].get("image_shape"))
    looks = [panels.reconstructions(record), panels.samples(record)] if pictured else table_looks(record)
    pictures = [panels.panel(record, model) for model in study["models"]]
    return {
        "study": study,
        "verdict_figures": study["verdict"]["figures"][:4],
        "ladder": panels.ladder(record),
        "evidence": _evidence_rows(record),
        "estimators": evidence_panel(record),
        "has_bits": any(row.get("bits_per_dimension") for row in study["evidence"]),
        "has_squares": not study["reconstruction"].get("why_none"),
        "left_out": study.get("left_out"),
        "estimands": sorted({estimate.quantity for _, estimate in record.evidence}),
        "looks": looks,
        "plane": panels.plane(record),
        "models": [
            {"index": i, "label": m["label"], "chosen": m["name"] == study["chosen"]}
            for i, m in enumerate(study["models"])
        ],
        "panels": pictures if all(pictures) else [],
        "sweep": _sweep_rows(record),
        "sweep_head": _axis(record) or "model",
        "model_notes": [(record.chosen["label"], note) for note in record.chosen.get("notes", [])],
        "variances": [f for f in (variance_figure(record), ink_figure(record)) if f],
        "kl": panels.kl(record),
        "map": panels.latent_map(record),
        "grid": decoded_grid(record),
        "grid_axis": _grid_axis(record),
        "curves": panels.curves(record),
        "diagram": panels.diagram(record),
        "factors": _factors(record),
        "recipe": _recipe_text(record),
        "facts": _facts(record),
    }


def _evidence_rows(record: Record) -> list[dict[str, str]]:
    rows = []
    for row, e in record.evidence:
        digits = places(e.se_total)
        rows.append(
            {
                "name": str(row["name"]),
                "kind": str(row["kind"]),
                "estimate": panels.estimate_words(str(row["name"]), e),
                "value": ("≥ " if e.direction == "lower" else "") + rounded(e.mean, digits),
                "draws": "none: exact" if e.direction == "exact" else _error(e.se_mc),
                "points": _error(e.se_points, digits) if math.isfinite(e.se_points) else "one example has none",
                "bits": _bits(row.get("bits_per_dimension"), e.direction),
                "setting": str(row["setting"]),
                "warning": "; ".join(e.warnings),
            }
        )
    for key in ("value", "draws", "points"):
        for row, text in zip(rows, aligned([r[key] for r in rows]), strict=True):
            row[key] = text
    return rows


def _error(error: float, digits: int | None = None) -> str:
    return rounded(error, max(places(error), digits or 0) if error else digits or 2)


def _bits(bits: list[float] | None, direction: str) -> str:
    if not bits:
        return "not on a grid"
    return ("≤ " if direction == "lower" else "") + with_error(bits[0], math.hypot(*bits[1:]))


def _axis(record: Record) -> str:
    """The one axis of the sweep; nothing where there are several, or none."""
    axes = list(record.chosen["axes"])
    return axes[0] if len(axes) == 1 else ""


def _sweep_rows(record: Record) -> list[dict[str, Any]]:
    rows, axis = [], _axis(record)
    for index, m in enumerate(record.study["models"]):
        bounds = {
            key: with_error(*m["validation"][key]) if m["validation"].get(key) else "not measured"
            for key in ("rate", "distortion", "elbo", "iwae")
        }
        psnr = m.get("psnr")
        rows.append(
            {
                "index": index,
                "chosen": m["name"] == record.study["chosen"],
                "symbol": axis,
                "label": m["axes"][axis] if axis else m["label"],
                "active": f"{m['active']}/{m['latents']}",
                "squared_error": verdicts.significant(m.get("squared_error")),
                "psnr": f"{psnr:.1f}" if psnr is not None and math.isfinite(psnr) else "no range",
                "epochs": f"{m['best_epoch']}/{m['epochs']}",
                **bounds,
            }
        )
    return rows


def _grid_axis(record: Record) -> str:
    axis = record.pictures.get("decoded_grid_axis")
    return "" if axis is None else f"{rounded(float(axis[0]), 1)} to {rounded(float(axis[-1]), 1)}"


def _factors(record: Record) -> list[tuple[str, str]]:
    """Each factor of the model with the kind of its component: ("p(z)", "standard-normal, 16 values")."""
    if record.recipe is None:
        return []
    factors = []
    for letter, part in (("p", "prior"), ("q", "posterior"), ("p", "likelihood")):
        blocks = record.recipe[part]
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


def _recipe_text(record: Record) -> str:
    import yaml

    return "" if record.recipe is None else yaml.safe_dump(dict(record.recipe), sort_keys=False, allow_unicode=True)


def _facts(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    study = record.study
    data, machine, chosen = study["data"], study["environment"], record.chosen
    sizes = ", ".join(f"{count(size)} {part}" for part, size in data["sizes"].items())
    shape = " × ".join(str(s) for s in data.get("image_shape") or data["event"])
    facts = [
        ("name", str(data["name"])),
        ("source", str(data["source"])),
        ("examples", sizes),
        ("shape", f"{shape}, {count(data['dimensions'], 'dimension')}"),
        ("support", str(data["support"])),
        ("split seed", str(data["split_seed"])),
        ("SHA-256", str(data["sha256"])),
    ]
    versions = [(key, str(machine[key])) for key in _MACHINE if key in machine]
    times = [(f"time, {part}", verdicts.seconds(value)) for part, value in machine["seconds"].items()]
    training = [
        *chosen["axes"].items(),
        ("parameters", count(chosen["parameters"])),
        ("epochs", f"{chosen['epochs']}, epoch {chosen['best_epoch']} kept"),
        ("training", verdicts.seconds(chosen["seconds"])),
    ]
    notes = [("note", str(note)) for note in data.get("notes", [])]
    return [("Data", facts + notes), ("Chosen model", training), ("Machine and versions", versions + times)]
