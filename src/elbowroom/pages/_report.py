"""The report: one HTML file from a study's records or from an audit, and nothing else."""

from pathlib import Path
from typing import Any

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError, rounded
from elbowroom.records import AuditRecord, Pictures, StudyRecord, read_fix, read_study
from elbowroom.runs.saved_estimates import not_of, read_estimates

from . import words
from .advice import advice
from .audit import audit_view
from .audit_page import audit_page, fix_page
from .card import card
from .cells import batch_map, cell_figures, gene_rows, size_words
from .estimators import EvidencePanel, evidence_panel
from .figure import Figure
from .files import file_rows
from .images import image_figures
from .ladder import about_bits, about_steps, evidence_rows, ladder
from .latents import kl, latent_map
from .plane import chooser, model_figures, plane, sweep_rows
from .rendering import rendered
from .strips import decoded_grid
from .tables import table_figures
from .training import curves, diagram, factors, facts, recipe_text
from .variances import ink_figure, variance_figure

__all__ = ["report"]


def report(subject: str | Path | AuditRecord, path: str | Path | None = None) -> Path:
    """Write the page of a study, an audit or a fixed run, from its saved records alone: no model is loaded.

    Parameters
    ----------
    subject : str, Path or AuditRecord
        The folder of a study that has got as far as `measure`; of stages after it that have not been run, the page says
        so. Or the run folder that `elbowroom fix` wrote, or what `er.audit` returned.
    path : str or Path, default None
        Where the page goes; None: report.html in a study's folder, fix.html in a fixed run's, audit.html here. The name
        of an audit's page may end in .md: then it is a model card in Markdown.

    Returns
    -------
    Path
        Of the page: one file of HTML, which fetches nothing. Files that `compress` wrote with the model of a
        study, or of the run folder in which an audit's page goes, stand in it with their measured bytes.

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
    if isinstance(subject, AuditRecord):
        target = Path("audit.html" if path is None else path)
        page = card(subject) if target.suffix == ".md" else audit_page(subject, file_rows(target.parent))
        write_atomic(target, page)
        return target
    folder = Path(subject)
    fixed = (folder / "fix.json").is_file()
    target = folder / ("fix.html" if fixed else "report.html") if path is None else Path(path)
    if target.suffix == ".md":
        raise InputError(f"{target}: of a folder there is a page of HTML; a card in Markdown is made of an audit.")
    page = fix_page(read_fix(folder)) if fixed else rendered("report.html", _content(read_study(folder)))
    write_atomic(target, page)
    return target


def _content(study: StudyRecord) -> dict[str, Any]:
    verdict = study.account.verdict if study.account else None
    return {
        "study": study,
        "title": study.title,
        "kicker": f"elbowroom study of {study.data.name}, {study.last.created}",
        "made_by": study.last.elbowroom,
        "sentence": words.sentence(study),
        "verdict_figures": verdict.figures if verdict else (),
        "advice": advice(study),
        "spread_notes": [*words.trained_on(study), *words.spread_notes(study)],
        "ladder": ladder(study),
        "evidence": evidence_rows(study),
        "estimators": _estimators(study),
        "about_steps": about_steps(study.data),
        "about_bits": about_bits(study.data, study.evidence.best),
        "files": file_rows(study.run),
        "has_squares": study.reconstruction.why_none is None,
        "left_out": study.contest.said if study.contest else None,
        "estimands": sorted({row.estimate.quantity for row in study.rows}),
        "looks": _looks(study),
        "genes": gene_rows(study.evidence.cells),
        "batch_map": batch_map(study),
        "size_words": size_words(study),
        "plane": plane(study),
        "models": chooser(study),
        "model_figures": model_figures(study),
        "sweep": sweep_rows(study),
        "sweep_head": study.axis or "model",
        "audit": audit_view(study.audit, latents=False) if study.audit else None,
        "no_audit": words.no_audit(study),
        "variances": _variances(study),
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


def _estimators(study: StudyRecord) -> EvidencePanel | None:
    """Of the weights that the study measured, and what else the run's evidence.json holds."""
    path, evidence = study.run / "evidence.json", study.evidence
    return evidence_panel(read_estimates(path, study.weights), [*evidence.not_measured, *not_of(path, study.weights)])


def _looks(study: StudyRecord) -> list[Figure]:
    """Pictures, checks of cells, or the columns of a table."""
    if study.data.image_shape is not None:
        return image_figures(study)
    return cell_figures(study) or table_figures(study)


def _variances(study: StudyRecord) -> list[Figure]:
    """Where the variance goes, or why that is not said; nothing for cells, whose checks stand in."""
    if study.evidence.cells is not None:
        return []
    return [figure for figure in (variance_figure(study), ink_figure(study)) if figure]


def _grid_axis(pictures: Pictures) -> str:
    axis = pictures.decoded_grid_axis
    return "" if axis is None else f"{rounded(float(axis[0]), 1)} to {rounded(float(axis[-1]), 1)}"
