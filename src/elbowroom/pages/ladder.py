"""Is it any good: held-out log-likelihood beside the baselines, as a figure and as rows of a table."""

import math
import re
from typing import Any

from elbowroom import plots
from elbowroom.numerics import Estimate, InputError, aligned, count, places, rounded, with_error
from elbowroom.plots.style import Sheet
from elbowroom.records import DataRecord, EvidenceRow, StudyRecord

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["about_bits", "about_steps", "evidence_rows", "ladder"]


def ladder(study: StudyRecord) -> Figure:
    """Held-out log-likelihood beside the baselines."""
    rows = study.rows
    title = words.contest(study.difference, study.direction)
    how = (
        "Mean log-likelihood of a test example; further right is better. Dot: an exact value. Arrow: a lower bound, "
        "the truth lies at its foot or to the right of it. Thin interval: 95 % from draws and examples; thick: from "
        "draws alone. Dashed: the best baseline."
    )
    if study.difference:
        how += " The difference in the title is paired by example, so it is surer than the intervals suggest"
        bound = "; the VAE's side of it is a bound, so the truth can only be better for the VAE"
        how += f"{bound if study.direction == 'lower' else ''}."
    if not any(math.isfinite(row.estimate.mean) for row in rows):
        return Figure("ladder", title, how, missing="No ladder: none of the estimates is a finite number.")

    def draw(sheet: Sheet) -> None:
        plots.ladder(
            [row.estimate for row in rows],
            names=[row.name for row in rows],
            details=[words.estimate_words(row.name, row.estimate) for row in rows],
            rivals=[i for i, row in enumerate(rows) if row.kind != "vae"],
            ax=sheet.subplots(),
        )

    try:
        svg = both_widths(draw, "ladder", title)
    except InputError as why:  # rows that do not compare
        return Figure("ladder", title, how, missing=f"No ladder: {why}")
    return Figure("ladder", title, how, _foot(rows), svg=svg)


def _foot(rows: list[EvidenceRow]) -> str:
    n = " or ".join(count(size) for size in sorted({len(row.estimate) for row in rows}))
    drawn = [row.estimate for row in rows if row.estimate.budget.draws]
    said = f"n = {n} test examples"
    if drawn:
        draws = dict.fromkeys(f"{count(e.budget.draws)} ({_family(e.estimator)})" for e in drawn)
        seeds = sorted({e.budget.seed for e in drawn})
        said += f"; draws per example: {', '.join(draws)}; seed {', '.join(map(str, seeds))}"
    lost = [row.name for row in rows if not math.isfinite(row.estimate.mean)]
    return f"{said}." + (f" Not drawn, because not a finite number: {', '.join(lost)}." if lost else "")


def _family(estimator: str) -> str:
    """An estimator's name without its draws: "IWAE" of "IWAE-20", "ELBO" of "ELBO with 64 draws"."""
    return re.split(r"-\d| with \d", estimator)[0]


def evidence_rows(study: StudyRecord) -> list[dict[str, str]]:
    """The same numbers as cells of a table, by the names of its columns."""
    rows = []
    for name, kind, setting, e in study.rows:
        digits = places(e.se_total)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "estimate": words.estimate_words(name, e),
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
        return "cells are missing" if data.on_grid else "not on a grid"
    if "(x, " in e.quantity:
        return "not of x alone"
    bits = e.bits_per_dimension(data.dimensions)
    most = e.direction == "lower" or _dequantised(data)
    return ("≤ " if most else "") + with_error(bits.mean, math.hypot(bits.se_mc, bits.se_points))


def about_bits(data: DataRecord, e: Estimate) -> str:
    """What the bits per dimension are bits of, and in which direction they are bounds."""
    if not data.in_bits:
        why = "cells are missing, and each example has others" if data.on_grid else "the data are not on a grid"
        return f"Bits per dimension are not given, because {why}."
    said = "Fewer bits per dimension are better; a lower bound on log p(x) is an upper bound on them"
    if _dequantised(data):
        said += ", and so is the density of dequantised x, which is exact but bounds the probability of a level"
    if e.quantity == "log p(binarised x)":
        what = "images" if data.image_shape else "data"
        return f"{said}. They are bits of x binarised, and say nothing of the {what}, whose levels are gone."
    if data.kind == "binary":
        return (
            f"{said}. They are bits of zeros and ones, and where these were made of grey levels, not those of the grey."
        )
    return f"{said}."


def about_steps(data: DataRecord) -> str:
    """Of what log p(x) is where columns were recorded in steps, and what it would be as a density; else empty."""
    logs = [math.log(step) for step in _steps_of(data.preprocess)]
    if not logs:
        return ""
    total, many = math.fsum(logs), len(logs)
    columns = f"{count(many, 'column')} recorded in steps"
    away = f"{words.significant(abs(total))} nats {'higher' if total < 0 else 'lower'}" if total else "the same"
    where = " where no cell is missing" if data.missing else ""
    return (
        f"log p(x) of {columns} is of the step and not of a point: as log-densities the numbers would be {away}{where} "
        "(minus the sum of the log steps)."
    )


def _steps_of(preprocess: Any) -> list[float]:
    """Steps from the plain values of a preprocessing, those of its parts among them; 0 is that of no step."""
    if isinstance(preprocess, list):
        return [step for part in preprocess for step in _steps_of(part)]
    if not isinstance(preprocess, dict):
        return []
    if preprocess.get("kind") == "rounded":
        return [step for step in preprocess["steps"] if step]
    return [step for part in preprocess.values() for step in _steps_of(part)]


def _dequantised(data: DataRecord) -> bool:
    """Whether a density of x plus noise stands for the probability of x, which by Jensen's inequality it bounds."""
    return data.kind == "grid" and "dequantise" in str(data.preprocess)
