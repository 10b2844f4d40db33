"""The page of an audit alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from elbowroom.numerics import count
from elbowroom.records import AuditRecord, FixedRun

from . import words
from .audit import audit_figures, audit_view
from .fix import fix_sentence, fix_view
from .rendering import rendered

__all__ = ["audit_page", "fix_page"]

_TRAINED_ON = " The folder holds other weights now, which were trained on: what stands here is of the model as fixed."


def audit_page(audit: AuditRecord, files: Sequence[Mapping[str, str]] = ()) -> str:
    """An audit as one file of HTML.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.
    files : sequence of mapping, default ()
        Measured files of the run, as `file_rows` has them.

    Returns
    -------
    str
        The page.
    """
    return rendered("audit_page.html", {**_content(audit), "files": files})


def fix_page(fixed: FixedRun) -> str:
    """A fixed run as one file of HTML: before and after, and the audit of what it is now.

    Parameters
    ----------
    fixed : FixedRun
        As `read_fix` returns it.

    Returns
    -------
    str
        The page.
    """
    record = fixed.record
    content = _content(record.after) | {
        "title": f"A fixed variational autoencoder of {record.after.name}",
        "kicker": f"elbowroom fix of {record.source}",
        "sentence": fix_sentence(record) + (_TRAINED_ON if fixed.trained_on else ""),
        "fixed": fix_view(fixed),
        "facts": [("made by", record.command), *_facts(record.after)],
    }
    return rendered("audit_page.html", content)


def _content(audit: AuditRecord) -> dict[str, Any]:
    quick = ", quick" if audit.quick else ""
    return {
        "title": f"Audit of a variational autoencoder of {audit.name}",
        "kicker": f"elbowroom audit, {count(audit.n, 'test example')}{quick}",
        "made_by": (audit.versions or {}).get("elbowroom", ""),
        "sentence": audit.verdict,
        "verdict_figures": audit_figures(audit),
        "found": [one for one in audit.findings if one.found],
        "fixed": None,
        "files": (),
        "audit": audit_view(audit),
        "facts": _facts(audit),
    }


def _facts(audit: AuditRecord) -> list[tuple[str, str]]:
    rows = [("quantity", audit.quantity), ("data", audit.name), ("SHA-256", audit.data), ("seed", str(audit.seed))]
    rows.append(("time", words.seconds(audit.seconds)))
    return rows + list((audit.versions or {}).items())
