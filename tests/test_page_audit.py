"""Pages of audits and of fixed runs, read back, and the same in the terminal and on a model card."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from invented import make
from invented_audits import (
    THRESHOLDS,
    context,
    findings,
    fix_record,
    healthy,
    identity,
    ill,
    without_anything,
    write_fix,
)
from page_reader import Reader, words_of
from test_pages import TestEveryPage as EveryPage

from elbowroom.ledger.certificate import certificate
from elbowroom.numerics import InputError, with_error
from elbowroom.pages import audit_table, fix_table, report, verdict_table
from elbowroom.pages.advice import advice
from elbowroom.pages.audit import audit_view, bare
from elbowroom.pages.audit_advice import contradicted
from elbowroom.pages.card import card
from elbowroom.records import (
    AuditRecord,
    FileRecord,
    FindingRecord,
    Number,
    keep_file,
    read_files,
    read_fix,
    read_study,
)

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")
CHECKS = [name for name in vars(EveryPage) if name.startswith("test") and "terminal" not in name]
AUDITS = {"healthy": healthy(), "ill": ill()}
EVIL = '"><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages by kind, in the form in which `test_pages` reads those of studies."""
    folder = tmp_path_factory.mktemp("audits")
    found = {name: report(audit, folder / f"{name}.html") for name, audit in AUDITS.items()}
    found["fixed"] = report(write_fix(folder / "fixed", fix_record()))
    assert found["fixed"] == folder / "fixed" / "fix.html"
    return {name: (path.parent, path.read_text(encoding="utf-8")) for name, path in found.items()}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["healthy", "ill", "fixed"])
def test_it_is_a_page_like_every_other(pages, kind, check):
    getattr(EveryPage(), check)(pages, kind)


def test_the_order_of_the_page(pages):
    text = words_of(pages["ill"][1])
    order = ["Verdict", AUDITS["ill"].verdict, "What was found.", "Where the nats go", "nats above the ELBO:"]
    order += ["What the bar is made of", "Every fault that was looked for", "calibrate would win 2.50 ± 0.25"]
    order += ["calibrate would take the rate from 18.20 ± 0.20 to 18.20 and the distortion from 80.0 ± 1.1 to"]
    order += ["Context, never added to the identity", "Of the rate of 18.20 ± 0.20 nats, between 0.80 and 3.20"]
    order += [
        "of the KL,",
        "25 % of the units are collapsed at ε = 0.1 nats",
        "z1 changes x most: by 0.90 of a column’s deviation",
        "What was assumed",
        "One line for a paper",
    ]
    places, place = [], -1
    for words in order:
        place = text.index(words, place + 1)
        places.append(place)
    assert places == sorted(places)


def test_what_units_change_stands_as_pictures_or_by_columns(pages):
    text, other = pages["healthy"][1], pages["ill"][1]
    assert re.search(r'alt="z1: 0.90, z2: 0.80, .*, each moved by -2, -1, 0, \+1, \+2 standard deviations"', text)
    assert "z6: glucose: +1.20" in other
    assert "each moved by" not in other


def test_every_number_of_the_identity_stands_with_its_error(pages):
    one, text = AUDITS["ill"].identity, words_of(pages["ill"][1])
    for e in (one.total, one.amortisation, one.approximation):
        assert with_error(e.mean, e.se_total) in text
    assert "an upper bound only if the chains have mixed" in text
    for sentence in one.sentences:
        assert sentence in text


def test_every_fault_is_said_with_its_number_and_threshold(pages):
    text = words_of(pages["ill"][1])
    for finding in AUDITS["ill"].findings:
        assert bare(finding) in text
        assert (finding.sentence in text) == finding.found
        assert with_error(finding.value.value, finding.value.se) in text
    assert text.index("noise mis-scaled yes") < text.index("inference lagging no")
    assert len(THRESHOLDS) == 9


def test_a_number_beyond_its_threshold_but_not_by_its_error_is_called_unsure(tmp_path):
    """Neither "yes" nor a plain "no" beside a number that the caption seems to convict."""
    said = dict.fromkeys(("unsure", "no"), "Not {}: the number is such.")
    said["by design"] = "Not {}: the number is such, and is a bound by how it is made."
    rows = (
        ("inference lagging", 0.8, 0.5, "unsure"),
        ("overfitted", 0.4, 0.5, "no"),
        ("no bound", 0.2, 0.05, "by design"),
        ("collapsed", 0.08, 0.1, "unsure"),
    )
    unsure = tuple(
        FindingRecord(name, False, Number(value, value / 2), limit, "nats", "", said[why].format(name))
        for name, value, limit, why in rows
    )
    audit = ill(findings=unsure)
    text = words_of(report(audit, tmp_path / "one.html").read_text(encoding="utf-8"))
    assert "Not sure: it is beyond it, but not by its error" in text
    for word in ("inference lagging not sure 0.80", "collapsed not sure 0.08", "overfitted no", "no bound no"):
        assert word in text
    assert text.index("collapsed not sure") < text.index("overfitted no")
    assert "| inference lagging | not sure | 0.80 ± 0.40 nats | 0.5 |" in card(audit)


def test_context_is_set_apart_and_never_added(pages):
    text = words_of(pages["healthy"][1])
    assert "none of them is a part of log p(x) − ELBO, so none is added to it" in text
    assert "between 0.80 ± 0.10 and 3.20 ± 0.20 nats" in text
    assert "log 10,897 = 16.2" in text


def test_an_audit_without_anything_says_why(tmp_path):
    page = report(without_anything(), tmp_path / "none.html").read_text(encoding="utf-8")
    text = words_of(page)
    for sentence in without_anything().missing:
        assert sentence in text
    assert "No bar: log p(x) − ELBO was not measured" in text
    assert "One line for a paper" not in text
    assert "Every fault" not in text


def test_a_sum_without_its_parts_is_drawn_as_a_sum(tmp_path):
    audit = without_anything(identity=replace(identity(), refined=None, refined_half=None))
    text = words_of(report(audit, tmp_path / "sum.html").read_text(encoding="utf-8"))
    assert "No best q could be fitted to each example alone" in text
    assert "by amortisation" not in text
    assert dict(audit_table(audit))["both gaps"].startswith("3.15 ± ")


def test_numbers_that_are_not_finite_do_not_end_the_page(tmp_path):
    one = identity(upper=None)
    lost = replace(one.log_p, values=np.where(np.arange(50) == 3, -np.inf, one.log_p.values))
    price = replace(healthy().prices[0], gain=Number(float("nan"), None))
    audit = without_anything(identity=replace(one, log_p=lost), prices=(price,))
    text = words_of(report(audit, tmp_path / "lost.html").read_text(encoding="utf-8"))
    assert "no finite value on 1 example" in text
    assert "calibrate, the one remedy that was priced, would win nothing that is sure: not available" in text


def test_log_p_is_of_the_few_where_the_gap_of_many_is_less_sure(tmp_path):
    """An encoder that has lost some examples has an ELBO, and a gap, that vary more than log p(x) does."""
    plain = healthy()
    assert plain.from_elbo
    lost = replace(context(), elbo=replace(context().elbo, mean=-300.0, se_total=60.0))
    found = healthy(context=lost)
    assert (found.log_p.value, found.from_elbo) == (found.identity.log_p.mean, False)
    assert with_error(found.log_p.value, found.log_p.se) in certificate(found)
    assert "ELBO of 397" in certificate(plain)
    assert "ELBO of 397" not in certificate(found)
    text = words_of(report(found, tmp_path / "lost.html").read_text(encoding="utf-8"))
    assert "their ELBO plus the gap" not in text


def test_text_is_escaped_and_a_card_is_markdown(tmp_path):
    told = {"identity": None, "context": None, "prices": (), "assumed": (EVIL,), "missing": (EVIL + "\n# heading",)}
    audit = ill(name=EVIL, certified=EVIL, **told)
    page = report(audit, tmp_path / "evil.html").read_text(encoding="utf-8")
    assert not [attrs for tag, attrs in Reader(page).tags if tag == "img" or "onerror" in attrs]
    card = report(audit, tmp_path / "card.md").read_text(encoding="utf-8")
    assert "<img" not in card.replace("\\<img", "")
    assert "\n# heading" not in card
    assert card.startswith("---\n")
    card = report(ill(), tmp_path / "card.md").read_text(encoding="utf-8")
    assert "| log p(x) | −95.1 ± " in card
    assert "refit\\_prior | 0.80 ± 0.10 nats" in card
    with pytest.raises(InputError, match="a card in Markdown is made of an audit"):
        report(write_fix(tmp_path / "fixed", fix_record()), tmp_path / "fixed.md")


@pytest.mark.parametrize("audit", [healthy(), ill(), without_anything(), healthy(prices=())])
def test_the_terminal_has_the_verdict_in_ten_lines(audit):
    rows = audit_table(audit)
    assert rows[0] == ("verdict", audit.verdict)
    assert len(rows) <= 10
    assert all("\n" not in said for _, said in rows)


def test_nats_of_a_grid_stand_beside_bits_and_bytes(tmp_path):
    audit = healthy(cells=64)
    many = audit.context.elbo  # of all test examples, and not of the few that the gap was measured on
    bits, error = -many.mean / math.log(2), many.se_total / math.log(2) / 8
    rows = dict(audit_table(audit))
    takes = f"A row takes {with_error(bits / 8, error)} bytes as a file of the ELBO ({bits:,.2f} bits, "
    assert rows["bytes"].startswith(takes)
    assert f", {-audit.log_p.value / math.log(2) / 8:,.2f} of log p(x)" in rows["bytes"]
    assert rows["bytes"] in audit_view(audit).notes
    assert "bytes" not in dict(audit_table(healthy()))


def test_many_faults_fit_into_ten_lines():
    names = {name.replace(" ", "_").replace("-", "_"): "" for name in THRESHOLDS}
    rows = audit_table(ill(findings=findings(**names), missing=("One.", "Two.")))
    assert len(rows) == 10
    assert "(6 more on the page)" in rows[7][1]


class TestFixed:
    def test_before_and_after_are_paired_and_steps_are_named(self, pages):
        text, record = words_of(pages["fixed"][1]), fix_record()
        won = record.won
        assert won.values == pytest.approx(record.after.identity.elbo.values - record.before.identity.elbo.values)
        assert f"Fixing won {with_error(won.mean, won.se_total)} nats of ELBO per test example" in text
        assert "by calibrate, refit_prior. Before: collapsed" in text
        assert "2 of 3 steps paid on validation and were kept" in text
        assert "What was not tried structured_residual: The data are no images." in text
        assert "held out over before over after" not in text
        alts = [attrs["alt"] for tag, attrs in Reader(pages["fixed"][1]).tags if tag == "img"]
        assert alts[0].startswith("held out over before over after, numbers 1 to 8")

    def test_the_terminal(self):
        rows = fix_table(fix_record())
        assert ("kept", "calibrate: 2.50 ± 0.20 nats of ELBO on validation") in rows
        assert rows[-1] == ("not tried", "1, each with its reason on the page")
        many = replace(fix_record(), steps=fix_record().steps * 3)
        assert len(fix_table(many)) == 10

    def test_nothing_that_pays_changes_nothing(self):
        none = replace(fix_record(), steps=(fix_record().steps[2],), after=ill())
        assert dict(fix_table(none))["verdict"].startswith("Fixing changed nothing, because no remedy paid")

    def test_a_table_is_drawn_in_quantiles(self, tmp_path, monkeypatch):
        monkeypatch.setattr("elbowroom.pages.audit_page.audit_view", lambda audit: audit_view(without_anything()))
        data = replace(fix_record().data, image_shape=None, event=(3,), columns=("a", EVIL, "c"), levels=None)
        folder = write_fix(tmp_path / "table", replace(fix_record(), data=data), (3,))
        page = report(folder).read_text(encoding="utf-8")
        assert "3 columns: held-out data beside samples before and after" in words_of(page)
        assert EVIL not in page

    def test_what_is_damaged_is_a_sentence(self, tmp_path):
        folder = write_fix(tmp_path / "one", fix_record())
        assert read_fix(folder).record == AuditlessEqual(fix_record())
        (folder / "pictures.safetensors").unlink()
        with pytest.raises(InputError, match=r"pictures\.safetensors is missing or damaged"):
            report(folder)
        plain = fix_record().to_dict()
        del plain["before"]["seed"]
        (folder / "fix.json").write_text(json.dumps(plain))
        with pytest.raises(InputError, match=r"fix.json is damaged \(before.seed"):
            read_fix(folder)


class AuditlessEqual:
    """Equal to a record of the same plain values: arrays do not compare as a whole."""

    def __init__(self, record):
        self.plain = record.to_dict()

    def __eq__(self, other):
        return other.to_dict() == self.plain

    __hash__ = None


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """The folder of a study whose model is ill."""
    return make(tmp_path_factory.mktemp("audited") / "st", "digits", ill())


class TestStudy:
    def test_the_verdict_is_that_of_the_account_and_that_of_the_audit(self, audited):
        study = read_study(audited)
        said = f"{study.account.verdict.sentence} Its audit: collapsed, holes in the prior, noise mis-scaled."
        assert dict(verdict_table(audited))["verdict"] == said

    def test_findings_advise_with_the_price_of_their_remedy_and_no_rule_speaks_against_them(self, audited):
        found = advice(read_study(audited))
        (noise,) = [one for one in found if one.sentence.startswith("Noise mis-scaled")]
        assert (noise.nats, noise.worth) == (2.5, "2.50 ± 0.25 nats by calibrate, measured on 397 examples")
        assert noise.run == f"elbowroom fix {audited}/runs/beta-0.5 --run {audited}-fixed"
        (collapsed,) = [one for one in found if one.sentence.startswith("Collapsed: the number is 0.15")]
        assert "take a weaker decoder, or fewer latents" in collapsed.sentence
        assert collapsed.nats is None
        nats = [one.nats for one in found if one.nats is not None]
        assert nats == sorted(nats, reverse=True)
        said = " ".join(one.sentence for one in found)
        assert "The encoder's posteriors lose" not in said
        assert "The encoder loses 2.10 ± " in said
        assert "The family of q loses 1.05 ± " in said

    def test_a_finding_without_a_price_is_worth_its_own_number(self, audited):
        study = replace(read_study(audited), audit=ill(prices=(), findings=findings(residuals_correlated="")))
        (one,) = [one for one in advice(study) if one.sentence.startswith("Residuals correlated")]
        assert (one.nats, one.worth) == (pytest.approx(0.19), "about 0.190 ± 0.019 nats")

    def test_what_is_overfitted_is_not_trained_longer(self, audited):
        study = read_study(audited)
        assert contradicted(study) == {"latents"}
        over = replace(study, audit=ill(findings=findings(overfitted="")))
        assert contradicted(over) == {"longer", "latents"}
        assert not contradicted(replace(study, audit=None))

    def test_an_audit_survives_its_file(self, audited):
        kept = read_study(audited).audit
        assert kept.to_dict() == ill().to_dict()
        assert isinstance(kept, AuditRecord)
        assert kept.context == context(pictures=False)
        whole = AuditRecord.from_dict(ill(context=context()).to_dict())
        assert whole.context == context()


def test_measured_files_of_a_run_stand_on_its_page_beside_the_bound(tmp_path):
    assert "measured bytes" not in report(without_anything(), tmp_path / "a.html").read_text(encoding="utf-8")
    one = FileRecord("x.elb", 100, 784, 2_000, 1_500.0, 120.0, 30.0, 12.0, bound=83.4, bound_se=0.51, bound_rows=100)
    keep_file(tmp_path, replace(one, bound=None, total_bytes=9))
    keep_file(tmp_path, replace(one, name="l.elb", bound=None, lossy_error=0.125))
    keep_file(tmp_path, one)
    assert [kept.name for kept in read_files(tmp_path)] == ["l.elb", "x.elb"]
    said = words_of(report(without_anything(), tmp_path / "a.html").read_text(encoding="utf-8"))
    assert (
        "x.elb lossless, one draw a row, rows and bound given their contexts 100 83.18 83.40 ± 0.51 20.00 0.2041 5.00"
        in said
    )
    assert "l.elb lossy, 0.125 off in the root mean square 100 a lossy file has none none 20.00" in said
    (tmp_path / "files.json").write_text("[{}]")
    with pytest.raises(InputError, match="is damaged"):
        report(without_anything(), tmp_path / "a.html")
    keep_file(tmp_path, one)
    assert read_files(tmp_path) == [one]
    (tmp_path / "model.safetensors").write_bytes(b"trained further")
    assert read_files(tmp_path) == []
    keep_file(tmp_path, one)
    assert [kept.total_bytes for kept in read_files(tmp_path)] == [2_000]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (Number(0.8, 0.1), Number(3.2, 0.2), "between 0.80 and 3.20 pay"),
        (Number(0.014, 0.012), Number(0.0, 0.011), "about 0.000 to 0.014, ends that their errors have crossed, pay"),
        (Number(0.54, 0.0011), Number(0.541, 3.0), "between 0.5400 and 0.5410 pay"),  # and not "and 0.5"
        (Number(0.8, 0.1), None, "at least 0.80 pay"),
    ],
)
def test_the_ends_of_the_prior_gap_are_said_in_order(low, high, said):
    audit = healthy()
    gap = replace(audit.context.prior_gap, low=low, high=high)
    (figure,) = [
        one
        for one in audit_view(replace(audit, context=replace(audit.context, prior_gap=gap))).context_figures
        if one.key == "rate-parts"
    ]
    assert said in figure.title
