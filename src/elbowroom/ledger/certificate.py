"""One line to paste into a paper: what was measured, how surely, on what."""

from elbowroom.numerics import Estimate, count, rounded, with_error
from elbowroom.records import AuditRecord

__all__ = ["certificate"]


def certificate(record: AuditRecord) -> str:
    """One line that says what an audit measured, how, how surely and on what.

    Parameters
    ----------
    record : AuditRecord
        The audit.

    Returns
    -------
    str
        Estimand, estimator, both errors, gap, number of examples, versions and hash; "" where there is no bound.
    """
    said = [part for part in (_log_p(record), _gap(record)) if part]
    if not said:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in (record.versions or {}).items())
    return f"{'; '.join(said)}; {record.name} test, sha256 {record.data[:12]}, seed {record.seed}; {versions}."


def _log_p(record: AuditRecord) -> str:
    """log p(x) of all test examples that were looked at, or the ELBO where no more is known."""
    found, beside = record.log_p, record.context
    if found is not None and record.identity is not None and beside is not None:
        by, number = record.identity.log_p.estimator, with_error(found.value, found.se)
        how = f"ELBO of {count(beside.elbo.n, 'example')} plus the gap of {record.n:,} by {by}"
        how = how if record.from_elbo else f"{by}, {count(record.n, 'example')}"
        return f"{record.quantity} ≥ {number} nats per example ({how})"
    if beside is not None:
        number = with_error(beside.elbo.mean, beside.elbo.se_total)
        how = f"{beside.elbo.estimator}, {count(beside.elbo.n, 'example')}"
        return f"{record.quantity} ≥ {number} nats per example ({how})"
    return ""


def _gap(record: AuditRecord) -> str:
    one = record.identity
    if one is None:
        return ""
    named = [("approximation", one.approximation), ("amortisation", one.amortisation)]
    parts = " + ".join(f"{name} {rounded(part.mean)}" for name, part in named if part is not None)
    return f"gap to the ELBO {_errors(one.total)}{parts and ' = '}{parts}"


def _errors(found: Estimate) -> str:
    points = f"{rounded(found.se_points)} ({count(len(found), 'example')})"
    return f"{rounded(found.mean)} ± {rounded(found.se_mc)} (draws) ± {points}"
