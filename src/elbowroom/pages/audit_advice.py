"""What next, by the audit of a study: its gaps, its findings, and what remedies would win."""

import shlex
from collections.abc import Iterator

from elbowroom.numerics import Estimate, count, with_error
from elbowroom.records import AuditRecord, FindingRecord, PriceRecord, StudyRecord

from .audit import number
from .next_step import LEAST, NOT_MEASURED, Advice, command, sure, wider

__all__ = ["audited", "contradicted"]

_REMEDY = {"noise mis-scaled": "calibrate", "residuals correlated": "structured_residual"}
_REMEDY |= {"holes in the prior": "refit_prior"}
"""Of a finding, the remedy whose price is what it costs."""

_WORTH = {"noise mis-scaled": "about", "residuals correlated": "about", "underfitted": "about"}
_WORTH |= {"holes in the prior": "at least", "inference lagging": "at most", "overfitted": "at most"}
"""Of findings whose own number says what could be won, in which direction it does."""

_WAYS = {
    "collapsed": "see its cause before anything is trained again",
    "inference lagging": "train the encoder for more steps per step of the decoder",
    "overconfident encoder": "a richer family of q can cover what it misses",
    "holes in the prior": "a prior that is fitted to q(z) draws what the decoder knows",
    "noise mis-scaled": "another scale of the noise wins these nats, and no network changes",
    "residuals correlated": "a likelihood whose noise is correlated can win them",
    "overfitted": "stop earlier, take smaller networks or more data",
    "underfitted": "train longer, or take wider networks",
    "no bound": "what was minimised bounds no log p(x), so train by the ELBO where nats are to be compared",
}
_OF_COLLAPSE = {"noise": "lower the noise of the likelihood", "needs no z": "take a weaker decoder, or fewer latents"}
_OF_COLLAPSE |= {"lag": "train the encoder for more steps per step of the decoder, or pay for the KL little by little"}
_OF_CONDITION = {
    "carries": "let p(x | z) read the context itself, or pay less for z: a lower β, noise that is calibrated",
    "takes": "let p(z) read the context too, prior={kind: normal-prior, given: [NAME]}, or weigh the rate more",
}


def audited(study: StudyRecord) -> list[Advice]:
    """What the audit of a study says could be won; nothing where it has none.

    Parameters
    ----------
    study : StudyRecord
        Of which `audit` has been run, or not.

    Returns
    -------
    list of Advice
        Findings with what their remedy would win, then other remedies that pay, then the two gaps.
    """
    audit = study.audit
    if audit is None:
        return []
    fix = f"elbowroom fix {shlex.quote(str(study.run))} --run {shlex.quote(f'{study.folder}-fixed')}"
    prices = {one.remedy: one for one in audit.prices if _pays(one)}
    said = [_finding(one, prices.pop(_REMEDY.get(one.name, ""), None), fix) for one in audit.findings if one.found]
    said += [_price(one, fix) for one in prices.values()]
    return said + list(_gaps(study, audit))


def contradicted(study: StudyRecord) -> frozenset[str]:
    """Which rules of `advice` would speak against what the audit found.

    Parameters
    ----------
    study : StudyRecord
        Of which `audit` has been run, or not.

    Returns
    -------
    frozenset of str
        Their names.
    """
    ill = study.audit.ill if study.audit else ()
    rules = {"overfitted": ("longer", "latents"), "collapsed": ("latents",), "underfitted": ()}
    return frozenset(rule for name in ill for rule in rules.get(name, ()))


def _pays(one: PriceRecord) -> bool:
    return one.sure and one.gain.value > LEAST


def _finding(one: FindingRecord, price: PriceRecord | None, fix: str) -> Advice:
    said = f"{one.sentence.rstrip('.')}; {_way(one)}."
    if price is not None:
        return Advice(said, fix, _worth(price), price.gain.value)
    if one.name not in _WORTH:
        return Advice(said, fix, NOT_MEASURED)
    return Advice(said, fix, f"{_WORTH[one.name]} {number(one.value)} nats", one.value.value)


def _way(one: FindingRecord) -> str:
    causes = {"collapsed": _OF_COLLAPSE, "condition lost": _OF_CONDITION}.get(one.name, {})
    return next((way for word, way in causes.items() if word in one.cause), _WAYS.get(one.name, "see the audit below"))


def _price(one: PriceRecord, fix: str) -> Advice:
    return Advice(one.sentence, fix, _worth(one), one.gain.value)


def _worth(one: PriceRecord) -> str:
    return f"{number(one.gain)} nats by {one.remedy}, measured on {count(one.n, 'example')}"


def _gaps(study: StudyRecord, audit: AuditRecord) -> Iterator[Advice]:
    one = audit.identity
    if one is None:
        return
    n, widths = count(audit.n, "test example"), wider(study)
    encoder = command(study, "encoder", widths=widths) if widths else ""
    flow = "flow" in str((study.recipe or {}).get("posterior", {}))
    family = encoder if flow else command(study, "posterior", posterior="flow-posterior")
    if one.amortisation is None or one.approximation is None:
        if sure(one.total):
            yield _gap(one.total, f"The encoder and its family of q lose {{}} nats over {n}", family)
        return
    if sure(one.amortisation) and "inference lagging" not in audit.ill:
        how = "a wider encoder can win part of that, without another family of q"
        yield _gap(
            one.amortisation, f"The encoder loses {{}} nats to the best q of its own family, over {n}: {how}", encoder
        )
    if sure(one.approximation):
        how = "a richer posterior can win part of that"
        yield _gap(one.approximation, f"The family of q loses {{}} nats even at its best, over {n}: {how}", family)


def _gap(gap: Estimate, said: str, run: str) -> Advice:
    size = with_error(gap.mean, gap.se_total)
    worth = f"at most about {size} nats of the ELBO, and of log p(x) what training makes of them"
    return Advice(f"{said.format(size)}.", run, worth, gap.mean)
