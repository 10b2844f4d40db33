"""An audit for the terminal."""

from elbowroom.numerics import count, with_error
from elbowroom.records import AuditRecord, IdentityRecord, PriceRecord

from . import words
from .audit import audit_figures, bare, number

__all__ = ["audit_table"]

_SAID = 3


def audit_table(audit: AuditRecord) -> list[tuple[str, str]]:
    """At most eleven rows for the terminal: the verdict of an audit and what it rests on.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.

    Returns
    -------
    list of (str, str)
        A label and a text each, in one line; numbers in nats unless they say otherwise.

    Examples
    --------
    >>> audit_table(AuditRecord("log p(x)", 50, "digits", "1f2e", 0, missing=("No bound: x has no density.",)))
    [('verdict', 'No verdict: no fault was looked for.'), ('missing', 'No bound: x has no density.')]
    """
    rows = [("verdict", audit.verdict), *((one.label, words.figure_text(one)) for one in audit_figures(audit))]
    if audit.identity is not None:
        rows[1] = (rows[1][0], f"{rows[1][1]}{_other_end(audit.identity)}")
        rows[-1] = (rows[-1][0], f"{rows[-1][1]}; gaps over {count(audit.n, 'example')}")
    found = [one for one in audit.findings if one.found]
    more = f" ({count(len(found) - _SAID)} more on the page)" if len(found) > _SAID else ""
    rows += [(one.name, bare(one)) for one in found[:_SAID]]
    rows[-1] = (rows[-1][0], rows[-1][1] + more)
    if audit.as_file:
        rows.append(("bytes", audit.as_file))
    if audit.prices:
        rows.append(("remedies", _best(audit.prices)))
    if audit.missing:
        rest = f" ({count(len(audit.missing) - 1)} more on the page)" if len(audit.missing) > 1 else ""
        rows.append(("missing", f"{audit.missing[0]}{rest}"))
    return rows


def _other_end(one: IdentityRecord) -> str:
    if one.upper is None:
        return ""
    apart = one.upper - one.log_p
    return f" (at most {with_error(apart.mean, apart.se_total)} more if the chains have mixed)"


def _best(prices: tuple[PriceRecord, ...]) -> str:
    """What surely wins something, the most first."""
    paying = [one for one in prices if one.sure]
    if not paying:
        return "none that trains no decoder would surely win anything"
    ordered = sorted(paying, key=lambda one: -one.gain.value)
    return "; ".join(f"{one.remedy} would win {number(one.gain)}" for one in ordered)
