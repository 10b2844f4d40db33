"""A model card in Markdown, as hubs show one beside the weights."""

from collections.abc import Sequence

from elbowroom.numerics import count
from elbowroom.records import AuditRecord, FindingRecord

from .audit import audit_figures, audit_view, number
from .findings import found_word
from .words import figure_text

__all__ = ["card"]


def card(audit: AuditRecord) -> str:
    """An audit as a model card.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.

    Returns
    -------
    str
        Markdown, with the tags of a hub above it.
    """
    view = audit_view(audit)
    lines = ["---", "tags: [variational-autoencoder]", "library_name: elbowroom", "---", ""]
    lines += [f"# A variational autoencoder of {_plain(audit.name)}", "", _plain(audit.verdict), ""]
    lines += [f"Measured on {count(audit.n, 'test example')} with seed {audit.seed}.", ""]
    lines += _table(("what", "value"), [(one.label, figure_text(one)) for one in audit_figures(audit)])
    lines += _section("Findings", _findings(audit.findings))
    lines += _section("Context, never added to the identity", _table(("what", "value"), view.context))
    prices = [(one.remedy, f"{number(one.gain)} nats", one.sentence) for one in audit.prices]
    lines += _section("What remedies would win", _table(("remedy", "gain", "in words"), prices))
    lines += _section("What could not be had", [f"- {_plain(one)}" for one in audit.missing])
    lines += _section("What was assumed", [f"- {_plain(one)}" for one in audit.assumed])
    lines += _section("To cite", [_plain(audit.certified)] if audit.certified else [])
    return "\n".join(lines).rstrip() + "\n"


def _findings(findings: Sequence[FindingRecord]) -> list[str]:
    rows = [(one.name, found_word(one), f"{number(one.value)} {one.unit}", f"{one.threshold:g}")
            for one in findings]  # fmt: skip
    return _table(("finding", "found", "number", "threshold"), rows)


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {heading}", "", *lines] if lines else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    bars = [" | ".join(map(_plain, row)) for row in (head, *rows)]
    return [f"| {bars[0]} |", "|" + " --- |" * len(head), *(f"| {bar} |" for bar in bars[1:])]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
