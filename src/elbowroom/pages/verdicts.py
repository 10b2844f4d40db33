"""The verdict in plain text: what the terminal prints and what the page's words are made of."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.numerics import count, rounded, with_error

from .records import Record, read_record

__all__ = [
    "contest",
    "decibels",
    "examples",
    "figure_text",
    "reconstruction_text",
    "seconds",
    "share",
    "significant",
    "verdict_table",
]

_TOLD_APART = 2.0


def verdict_table(folder: str | Path) -> list[tuple[str, str]]:
    """At most ten (label, text) rows for the terminal: the page's verdict and what it rests on.

    Raises InputError as `report` does.
    """
    record = read_record(folder)
    study, chosen = record.study, record.chosen
    rows = [("verdict", str(study["verdict"]["sentence"]))]
    rows += [(str(f["label"]), figure_text(f)) for f in study["verdict"]["figures"][:4]]
    rows.append(("contest", contest(study["difference"], record.direction)))
    rows.append(("chosen", f"{chosen['label']}, {chosen['active']} of {chosen['latents']} latents active"))
    rows.append(("reconstruction", reconstruction_text(record)))
    rows.append(("computing", seconds(study["environment"]["seconds"].get("total"))))
    if study["verdict"].get("next"):
        rows.append(("next", str(study["verdict"]["next"])))
    return rows


def figure_text(figure: Mapping[str, Any]) -> str:
    """One figure of the verdict as text: value ± error unit, direction."""
    error = f" ± {figure['error']}" if figure.get("error") else ""
    tail = f", {figure['direction']}" if figure.get("direction") else ""
    return f"{figure['value']}{error} {figure.get('unit') or ''}".rstrip() + tail


def contest(difference: Mapping[str, Any] | None, direction: str = "exact") -> str:
    """The VAE against the best classic, in one plain sentence that owns up where the VAE loses.

    `direction` is that of the VAE's own estimate: with a lower bound a lead can only grow and a deficit shrink.

    >>> contest({"against": "Gaussian mixture", "value": -5.12, "se": 0.81, "n": 397})
    'The VAE loses to the Gaussian mixture by 5.12 ± 0.81 nats per test example'
    """
    if not difference or difference.get("value") is None:
        return "No classic was measured on these data, so the VAE stands alone"
    value, error, rival = difference["value"], difference.get("se"), f"the {difference['against']}"
    if error is None or not abs(value) >= _TOLD_APART * error:
        gap = with_error(value, error)
        return f"The VAE and {rival} cannot be told apart: they differ by {gap} nats per test example"
    lead, deficit = ("at least ", "at most ") if direction == "lower" else ("", "")
    size = f"{with_error(abs(value), error)} nats per test example"
    return f"The VAE beats {rival} by {lead}{size}" if value > 0 else f"The VAE loses to {rival} by {deficit}{size}"


def reconstruction_text(record: Record) -> str:
    """Squared error and PSNR of the held-out reconstructions, or the sentence that says why there are none."""
    found = record.study["reconstruction"]
    if found.get("why_none"):
        return str(found["why_none"])
    return f"squared error {significant(found.get('squared_error'))} per example, {decibels(found.get('psnr'))}"


def decibels(psnr: float | None) -> str:
    """PSNR in dB, or why there is none."""
    if psnr is None or not math.isfinite(psnr):
        return "no PSNR (the data have no fixed range)"
    return f"PSNR {psnr:.1f} dB"


def significant(value: float | None, digits: int = 3) -> str:
    """A number without an error, to three significant digits."""
    if value is None or not math.isfinite(value) or value == 0:
        return rounded(value, 0)
    return rounded(value, max(digits - 1 - math.floor(math.log10(abs(value))), 0))


def seconds(value: float | None) -> str:
    """A duration in words.

    >>> seconds(0.42), seconds(41.2), seconds(153.0)
    ('0.4 s', '41 s', '2 min 33 s')
    """
    if value is None:
        return "not recorded"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def share(value: float, n: int) -> str:
    """A proportion of n as a percentage with its binomial standard error."""
    return with_error(100 * value, 100 * math.sqrt(value * (1 - value) / n) if n else None) + " %"


def examples(n: int | None, what: str) -> str:
    """n in words, or that it was not recorded."""
    return "n not recorded" if n is None else f"n = {count(n, f'{what} example')}"
