"""The report: one HTML file from a study's record, with nothing fetched and nothing run but a few lines of script."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from elbowroom.atomic import write_atomic
from elbowroom.numerics import rounded
from elbowroom.records import Pictures, StudyRecord, read_study
from elbowroom.runs.saved_estimates import read_estimates

from . import words
from .advice import advice
from .estimators import evidence_panel
from .images import image_figures
from .ladder import about_bits, evidence_rows, ladder
from .latents import kl, latent_map
from .plane import model_figures, plane, sweep_rows
from .strips import decoded_grid
from .tables import table_figures
from .training import curves, diagram, factors, facts, recipe_text
from .variances import ink_figure, variance_figure

__all__ = ["report"]

_OPTION = re.compile(r"(?<=\s)(--[a-z][a-z-]*)")  # which no line is to break after its first dash
_TEMPLATES = Path(__file__).parent / "templates"


def report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of a study, from its saved records alone: no model is loaded.

    Parameters
    ----------
    folder : str or Path
        Of a study that has got as far as `measure`; of stages after it that have not been run, the page says so.
    path : str or Path, default None
        Where the page goes; None: report.html in the folder.

    Returns
    -------
    Path
        Of the page: one file of HTML, which fetches nothing.

    Raises
    ------
    InputError
        Where there is no such study, or a record is missing, damaged or of another version.

    Examples
    --------
    >>> report("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no study folder no-such-folder: give the folder that \
`elbowroom study` wrote.
    """
    study = read_study(folder)
    target = Path(path) if path is not None else study.folder / "report.html"
    write_atomic(target, _render(study))
    return target


def _render(study: StudyRecord) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

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
    environment.filters["command"] = lambda text: Markup(
        _OPTION.sub(r'<span class="whole">\1</span>', str(escape(text)))
    )
    page = environment.get_template("report.html").render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **_content(study)
    )
    # A value stays on one line with its error and with its per cent.
    return re.sub(r"(?<=\d) %", "\u00a0%", page.replace(" ± ", "\u00a0±\u00a0"))


def _content(study: StudyRecord) -> dict[str, Any]:
    verdict, models = study.account.verdict if study.account else None, study.sweep.models
    return {
        "study": study,
        "sentence": words.sentence(study),
        "verdict_figures": verdict.figures if verdict else (),
        "advice": advice(study),
        "spread_notes": words.spread_notes(study),
        "ladder": ladder(study),
        "evidence": evidence_rows(study),
        "estimators": evidence_panel(read_estimates(study.run / "evidence.json"), study.evidence.not_measured),
        "about_bits": about_bits(study.data, study.evidence.best),
        "has_squares": study.reconstruction.why_none is None,
        "left_out": study.contest.said if study.contest else None,
        "estimands": sorted({row.estimate.quantity for row in study.rows}),
        "looks": image_figures(study) if study.data.image_shape is not None else table_figures(study),
        "plane": plane(study),
        "models": [{"index": i, "label": one.label, "chosen": one is study.chosen} for i, one in enumerate(models)],
        "model_figures": model_figures(study),
        "sweep": sweep_rows(study),
        "sweep_head": study.axis or "model",
        "variances": [figure for figure in (variance_figure(study), ink_figure(study)) if figure],
        "kl": kl(study),
        "map": latent_map(study),
        "grid": decoded_grid(study),
        "grid_axis": _grid_axis(study.pictures),
        "curves": curves(study),
        "diagram": diagram(study),
        "factors": factors(study),
        "recipe": recipe_text(study),
        "facts": facts(study),
    }


def _grid_axis(pictures: Pictures) -> str:
    axis = pictures.decoded_grid_axis
    return "" if axis is None else f"{rounded(float(axis[0]), 1)} to {rounded(float(axis[-1]), 1)}"
