"""The verdict: a pure function from symptoms to findings, each with the number that decided and its threshold."""

import math
from collections.abc import Sequence
from dataclasses import replace

from elbowroom.numerics import count, rounded, with_error
from elbowroom.numerics._standard_errors import standard_errors
from elbowroom.records import FindingRecord, Number
from elbowroom.records.findings import none_found

from . import thresholds as limit
from .symptoms import Symptoms

__all__ = ["verdict"]

_NEXT_TO_NOTHING = 0.01


def verdict(found: Symptoms) -> tuple[tuple[FindingRecord, ...], str]:
    """What is wrong with a model, from what was measured of it.

    Parameters
    ----------
    found : Symptoms
        Numbers; where one is None, the fault that it would tell is not looked for.

    Returns
    -------
    tuple of FindingRecord
        Every fault that was looked for, found or not.
    str
        The verdict in a sentence.

    Examples
    --------
    >>> from elbowroom.records import Number
    >>> findings, said = verdict(Symptoms(amortisation=Number(3.0, 0.2), generalisation=Number(0.1, 0.1)))
    >>> [(one.name, one.found) for one in findings]
    [('inference lagging', True), ('overfitted', False)]
    >>> said
    'Inference lagging: the encoder loses 3.00 ± 0.20 nats against the best q of its family (found above 0.5).'
    """
    collapsed, noise = _collapsed(found), _noise(found)
    looked = [
        collapsed,
        _lagging(found),
        _overconfident(found),
        _holes(found),
        noise,
        _residuals(found, (collapsed, noise)),
        _overfitted(found),
    ]
    looked += [_underfitted(found, [one for one in looked if one is not None]), _no_bound(found), _condition(found)]
    findings = tuple(one for one in looked if one is not None)
    return findings, _sentence(findings)


def _sentence(findings: Sequence[FindingRecord]) -> str:
    if not findings:
        return "No verdict: no fault could be looked for."
    ill = [one.sentence for one in findings if one.found]
    if not ill:
        return none_found(findings)
    first, *others = ill
    return " ".join([first, *others])


def _above(value: Number, threshold: float) -> bool:
    """Whether a number is above its threshold by more than its error allows for."""
    return value.value - _allowance(value) > threshold


def _allowance(value: Number) -> float:
    """What a number may be off by: two standard errors, or as many as Student's t says of a mean over few examples.

    >>> round(_allowance(Number(1.0, 0.1, 3)), 2), _allowance(Number(1.0, 0.1)), _allowance(Number(1.0, None, 1))
    (0.43, 0.2, inf)
    """
    if value.n is None or (value.se is None and value.n > 1):
        return limit.ERRORS * (value.se or 0.0)
    return max(limit.ERRORS, standard_errors(value.n)) * (value.se or 0.0) if value.n > 1 else math.inf


def _said(value: Number, unit: str = "nats") -> str:
    """A number as people want it: none has a use for the sixth decimal of a nat.

    >>> _said(Number(1.234, 0.05)), _said(Number(3.8e-6, 3.8e-6)), _said(Number(-2e-5, 1e-5))
    ('1.234 ± 0.050 nats', 'less than 0.01 nats', 'less than 0.01 nats')
    """
    if abs(value.value) + _allowance(value) < _NEXT_TO_NOTHING:
        return f"less than {_NEXT_TO_NOTHING:g} {unit}"
    return f"{with_error(value.value, value.se)} {unit}"


def _finding(
    name: str,
    value: Number,
    threshold: float,
    sentence: str,
    *,
    cause: str = "",
    unit: str = "nats",
    found: bool | None = None,
) -> FindingRecord:
    """A finding whose sentence names its threshold; found above it, unless that was decided by more."""
    decided = _above(value, threshold) if found is None else found
    words = f"{name.capitalize()}: {sentence}" if decided else f"Not {name}: {sentence}"
    return FindingRecord(name, decided, value, threshold, unit, cause if decided else "", words)


def _collapsed(found: Symptoms) -> FindingRecord | None:
    """Wholly where q is the prior, or one for every x; partly where units are idle and noise, or q, keeps them so."""
    if found.rate is None:
        return None
    wholly, decided = _below_rate(found.rate), found.rate
    said = f"the encoder's rate is {_said(found.rate)}"
    if not wholly and found.information is not None and _below_rate(found.information):
        wholly, decided = True, found.information
        said += f", of which {_said(found.information)} tell x"
    cause = _cause(found, wholly)
    partly = not wholly and bool(found.idle) and cause != ""
    if partly:
        said = f"{found.idle} of {count(found.units or 0, 'unit')} are idle, and {said}"
    said += f" (wholly below {limit.RATE:g})"
    if wholly or partly:
        said += _because(found, cause)
    return _finding("collapsed", decided, limit.RATE, f"{said}.", cause=cause, found=wholly or partly)


def _below_rate(value: Number) -> bool:
    """Whether a number is below the threshold of collapse by more than its error allows for."""
    return value.value + _allowance(value) < limit.RATE


def _cause(found: Symptoms, wholly: bool) -> str:
    """Why units are idle: told apart by the true posterior, which is the prior unless inference lags."""
    drowned = found.noise_share is not None and found.noise_share.value < limit.NOISE_SHARE
    if not wholly:
        lost = _behind(found)
        if lost is not None and _above(lost, limit.AMORTISATION) and _says_more(found):
            return "inference lagging"
        return "noise above the greatest eigenvalue" if drowned else ""
    if found.true_rate is not None and _above(found.true_rate, limit.TRUE_RATE):
        return "inference lagging"
    if drowned:
        return "noise above the greatest eigenvalue"
    needed = found.classic is not None and _above(found.classic, limit.BEYOND_CLASSICS)
    return "" if needed else "decoder needs no z"


def _says_more(found: Symptoms) -> bool:
    """Whether the true posterior carries more than the encoder says: else lagging is not what keeps units idle."""
    if found.true_rate is None or found.rate is None:
        return False
    error = math.hypot(found.true_rate.se or 0.0, found.rate.se or 0.0)
    return _above(Number(found.true_rate.value - found.rate.value, error), limit.TRUE_RATE)


def _because(found: Symptoms, cause: str) -> str:
    """The cause, in the numbers that tell it."""
    true = "" if found.true_rate is None else f"the true posterior is {_said(found.true_rate)} from the prior"
    if cause == "inference lagging":
        return f" while {true}: inference lagging" if true else " as the encoder lags behind"
    if cause == "noise above the greatest eigenvalue" and found.noise_share is not None:
        share = f"{found.noise_share.value:.2f} times the noise variance"
        return f", as the noise is above the greatest eigenvalue of what is left of x, {share}"
    if cause == "decoder needs no z":
        return f", as the decoder needs no z{f': {true}' if true else ''}"
    return f"; {true}, and yet a classic finds more in x" if true else ""


def _lagging(found: Symptoms) -> FindingRecord | None:
    """What the encoder loses, but for what wider spreads would win: that is overconfidence."""
    lost, value = found.amortisation, _behind(found)
    if lost is None or value is None:
        return None
    said = f"the encoder loses {_said(lost)} against the best q of its family"
    if found.widening is not None and found.widening.value > 0:
        said += f", of which wider spreads would win {_said(found.widening)}"
    return _finding("inference lagging", value, limit.AMORTISATION, f"{said} (found above {limit.AMORTISATION:g}).")


def _behind(found: Symptoms) -> Number | None:
    lost = found.amortisation
    wider = 0.0 if found.widening is None else max(found.widening.value, 0.0)
    return None if lost is None else replace(lost, value=lost.value - wider)


def _overconfident(found: Symptoms) -> FindingRecord | None:
    value = found.coverage
    if value is None:
        return None
    held = replace(value, value=90 - value.value)
    said = (
        f"the 90 % intervals of q(z | x) hold {_said(held, '%')} of the true posterior (found where more than "
        f"{limit.COVERAGE:g} points are missing)."
    )
    return _finding("overconfident encoder", value, limit.COVERAGE, said, unit="points")


def _holes(found: Symptoms) -> FindingRecord | None:
    value = found.prior_gap
    if value is None:
        return None
    better = found.samples is not None and _above(Number(-found.samples.value, found.samples.se), 0.0)
    said = f"a density fitted to draws of q gains {_said(value)} over p(z) (found above {limit.PRIOR_GAP:g})"
    if found.samples is not None:
        said += f", and samples from p(z) are told from data by {_said(found.samples)} more than those from q(z)"
    beyond = _above(value, limit.PRIOR_GAP) and not better
    later = _of_a_poor_q(found, value) if beyond else ""
    return _finding("holes in the prior", value, limit.PRIOR_GAP, f"{said}{later}.", found=beyond and not later)


def _noise(found: Symptoms) -> FindingRecord | None:
    value = found.noise_gain
    if value is None:
        return None
    by = "" if found.noise_factor is None else f" by a factor of {found.noise_factor:.3g}"
    said = f"calibrating the noise{by} wins {_said(value)} (found above {limit.NOISE_GAIN:g})"
    beyond, later = _above(value, limit.NOISE_GAIN), _of_a_poor_q(found, value)
    said += later if beyond else ""
    return _finding("noise mis-scaled", value, limit.NOISE_GAIN, f"{said}.", found=beyond and not later)


def _of_a_poor_q(found: Symptoms, won: Number) -> str:
    """Why a gain at the best q is not p's to be blamed for: q's family loses more than that."""
    lost = found.approximation
    if lost is None or not _above(lost, won.value):
        return ""
    return f", to be judged with a richer q, whose family loses {_said(lost)}"


def _residuals(found: Symptoms, first: Sequence[FindingRecord | None]) -> FindingRecord | None:
    """What residuals share is held against the noise only where z, or a wrong scale, does not leave it to them."""
    value = found.residual_gain
    if value is None:
        return None
    ill = [one.name for one in first if one is not None and one.found]
    beyond = _above(value, limit.RESIDUAL_GAIN)
    won = _said(value) if value.value > 0 else "nothing that these examples show"
    said = f"correlated noise wins {won} over independent noise (found above {limit.RESIDUAL_GAIN:g})"
    later = f", to be judged when the model is no longer {ill[0]}" if ill else _of_a_poor_q(found, value)
    said += later if beyond else ""
    return _finding("residuals correlated", value, limit.RESIDUAL_GAIN, f"{said}.", found=beyond and not later)


def _overfitted(found: Symptoms) -> FindingRecord | None:
    value = found.generalisation
    if value is None:
        return None
    said = f"log p(x) of training examples is {_said(value)} above that of test (found above {limit.GENERALISATION:g})."
    return _finding("overfitted", value, limit.GENERALISATION, said)


def _underfitted(found: Symptoms, others: Sequence[FindingRecord]) -> FindingRecord | None:
    """A classic, fitted to other rows, beats the model on its own training data, and no other finding says why."""
    value = found.classic
    if value is None:
        return None
    explained = sum(max(one.value.value, 0.0) for one in others if one.found and one.name in _EXPLAIN)
    drowned = any(one.found and one.name == "collapsed" and one.cause for one in others)
    loose = max(found.looseness.value, 0.0) if found.looseness is not None else 0.0
    error = math.hypot(value.se or 0.0, (found.looseness.se or 0.0) if loose and found.looseness is not None else 0.0)
    left = replace(value, value=value.value - explained - loose, se=error)
    by, how = (value, "better") if value.value > 0 else (replace(value, value=-value.value), "worse")
    said = f"{found.classic_name or 'a classic'} fits the training data {_said(by)} {how}"
    if explained:
        said += f", of which other findings explain {rounded(explained, 0 if explained > 100 else 2)}"
    if loose > _NEXT_TO_NOTHING:
        said += f", and the bound that it is held against is {rounded(loose, 2)} below log p(x)"
    said += f" (found where it is better by {limit.BEYOND_CLASSICS:g})"
    beyond = _above(left, limit.BEYOND_CLASSICS)
    if beyond and drowned:
        said += ", to be judged when the model is no longer collapsed"
    return _finding("underfitted", left, limit.BEYOND_CLASSICS, f"{said}.", found=beyond and not drowned)


_EXPLAIN = ("holes in the prior", "noise mis-scaled", "residuals correlated")


def _no_bound(found: Symptoms) -> FindingRecord | None:
    value = found.objective
    if value is None:
        return None
    away = replace(value, value=abs(value.value))
    where = "above" if value.value > 0 else "below"
    said = f"at the same draws the objective lies {_said(away)} {where} the ELBO (found above {limit.OBJECTIVE:g})"
    if found.bounds_by_design:
        said += ", and is a bound by how it is made"
    elif found.remarks:
        said += f"; {found.remarks[0].rstrip('.')}"
    elif value.value < 0 and _above(away, limit.OBJECTIVE):
        said += ": a bound here, and of what it makes great, which is not the ELBO"
    found_so = bool(found.remarks) or (_above(away, limit.OBJECTIVE) and not found.bounds_by_design)
    return _finding("no bound", away, limit.OBJECTIVE, f"{said}.", found=found_so)


_LOST = {
    False: ("z carries it alone", "p(x | z) does not read it, so that it reaches x only as far as z does"),
    True: ("z takes its place", "p(x | z) reads it, and has x from z instead, whose prior draws do not know it"),
}
"""By whether p(x | z) reads the context: how it is lost."""


def _condition(found: Symptoms) -> FindingRecord | None:
    """The model's x moves with the context by less than half of what a straight line finds in the data."""
    value, held, shown = found.condition, found.condition_held, found.condition_shown
    if value is None or held is None or shown is None:
        return None
    said = (
        f"the context explains {_said(shown, '%')} of the variance of x in the model, and {_said(held, '%')} in the "
        f"data by a straight line (found where the model loses more than {limit.CONDITION:g} % of that)."
    )
    cause, why = _LOST[bool(found.decoder_reads)]
    if _above(value, limit.CONDITION):
        said = f"{said.removesuffix('.')}; {why}."
    return _finding("condition lost", value, limit.CONDITION, said, cause=cause, unit="%")
