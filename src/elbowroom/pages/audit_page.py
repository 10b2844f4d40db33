"""The page of an audit alone."""

from typing import Any

from elbowroom.numerics import count
from elbowroom.records import AuditRecord

from . import words
from .audit import audit_figures, audit_view
from .rendering import rendered

__all__ = ["audit_page"]


def audit_page(audit: AuditRecord) -> str:
    """An audit as one file of HTML.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.

    Returns
    -------
    str
        The page.
    """
    return rendered("audit_page.html", _content(audit))


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
        "audit": audit_view(audit),
        "facts": _facts(audit),
    }


def _facts(audit: AuditRecord) -> list[tuple[str, str]]:
    rows = [("quantity", audit.quantity), ("data", audit.name), ("SHA-256", audit.data), ("seed", str(audit.seed))]
    rows.append(("time", words.seconds(audit.seconds)))
    return rows + list((audit.versions or {}).items())
