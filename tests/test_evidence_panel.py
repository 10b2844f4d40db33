"""The report's evidence panel: every estimator on one axis, over the examples that all of them measured."""

import html
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from invented import make
from page_reader import words_of
from staged import MADE, kept_study, records_of

import elbowroom as er
from elbowroom.numerics import Budget, Estimate, InputError, places, rounded, with_error
from elbowroom.pages import report
from elbowroom.pages.estimators import evidence_panel
from elbowroom.records import FileRecord, keep_file, read_study
from elbowroom.records.stages import keep_stage
from elbowroom.records.weights import weights_digest
from elbowroom.runs._measure_run import shuffled
from elbowroom.runs.saved_estimates import KeptEstimate, keep_estimates, read_estimates
from elbowroom.studies.measure import _annealed, _keep_evidence
from elbowroom.studies.spending import ANNEALING

SVG = "{http://www.w3.org/2000/svg}"
COMMON = np.random.default_rng(0).normal(-100.0, 20.0, 400)  # what examples differ by, the same for every estimator


def of(estimator: str, shift: float, index, direction="lower", mc=0.01, **more) -> Estimate:
    noise = np.random.default_rng(len(estimator)).normal(0.0, 0.1, len(index))
    values = COMMON[index] + shift + noise
    kind = {"quantity": "log p(x)", "estimator": estimator, "direction": direction, "data": "d1g1t5"}
    return Estimate.of(values, mc, index, budget=Budget(8, 0), **{**kind, **more})


EVERY, FEW = np.arange(400), np.arange(0, 400, 8)
ELBO, IWAE = of("ELBO with 64 draws", -2.0, EVERY), of("IWAE-1000", 0.0, EVERY)
AIS = of("AIS-100 from the posterior, 8 chains", 0.5, FEW)


def kept(*estimates: Estimate, part: str = "test") -> list[KeptEstimate]:
    return [KeptEstimate(part, one, {}) for one in estimates]


def test_estimators_are_compared_on_the_examples_in_common() -> None:
    panel = evidence_panel(kept(ELBO, IWAE, AIS))
    difference = AIS.values - IWAE.values[FEW]
    size = with_error(difference.mean(), difference.std(ddof=1) / math.sqrt(50))
    title = f"AIS-100 from the posterior gives the highest bound on log p(x), {size} nats above IWAE-1000"
    assert panel.figure.title == title
    assert panel.figure.foot == "n = 50 test examples, those that every estimator measured; seed 0."
    assert [row["name"] for row in panel.rows] == [AIS.estimator, IWAE.estimator, ELBO.estimator]
    assert [row["n"] for row in panel.rows] == ["50", "400", "400"]
    assert panel.rows[1]["value"].startswith(f"≥ −{abs(IWAE.values[FEW].mean()):.1f}")
    assert panel.rows[1]["against"].startswith(size.replace("0.", "−0.", 1))
    assert panel.rows[0]["against"] == "highest"


def test_both_errors_are_those_of_the_common_examples() -> None:
    (row,) = [row for row in evidence_panel(kept(ELBO, IWAE, AIS)).rows if row["name"] == "IWAE-1000"]
    assert float(row["draws"]) == pytest.approx(math.sqrt(0.01 / 50), abs=5e-4)
    spread = COMMON[FEW].std(ddof=1) / math.sqrt(50)
    assert float(row["points"]) == pytest.approx(spread, abs=0.06)


def test_bounds_that_are_not_told_apart_are_said_to_be_so() -> None:
    same = of("AIS-9 from the prior, 8 chains", 0.0, FEW)
    assert (
        "50 examples do not tell the two highest bounds on log p(x) apart"
        in evidence_panel(kept(IWAE, same)).figure.title
    )


def test_every_direction_is_drawn_and_said() -> None:
    upper = of("AIS-100, backwards", 1.0, FEW, direction="upper")
    panel = evidence_panel(kept(IWAE, upper, of("a reciprocal", 0.2, FEW, direction="none")))
    for drawing in panel.figure.svg:
        said = next(ET.fromstring(drawing).iter(SVG + "desc")).text
        for name, sign in (("IWAE-1000", "at least −"), ("AIS-100", "at most −"), ("a reciprocal", "−")):
            assert re.search(rf"{name}, [^:]*: {sign}", said)
    assert {row["direction"] for row in panel.rows} == {"lower bound", "upper bound", "no direction"}
    assert next(row for row in panel.rows if row["direction"] == "upper bound")["value"].startswith("≤ ")


def test_warnings_stand_with_their_estimator() -> None:
    prior = of("prior sampling, 16 draws", -30.0, FEW, ess=np.full(50, 1.5), khat=np.full(50, 0.9))
    row = evidence_panel(kept(IWAE, prior)).rows[-1]
    assert "effective sample size below 2.7 on 50 examples" in row["warning"]
    assert "k̂ above 0.7 on 50 examples" in row["warning"]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (of("broken", math.nan, FEW), "not finite or of other data: broken"),
        (of("elsewhere", 0.0, FEW, data="other"), "not finite or of other data: elsewhere"),
    ],
)
def test_what_cannot_be_compared_is_named(odd, said) -> None:
    panel = evidence_panel(kept(odd, IWAE, ELBO), ["AIS was not run: it has classes."])
    assert len(panel.rows) == 2
    assert panel.notes[0] == "AIS was not run: it has classes."
    assert said in panel.notes[1]


def test_bounds_from_both_ends_stand_beneath() -> None:
    low, high = of("AIS-9 from the posterior, 8 chains", 0.0, FEW), of("backwards", 0.3, FEW, direction="upper")
    panel = evidence_panel([*kept(IWAE, ELBO), *kept(low, high, part="simulated")])
    assert len(panel.rows) == 2
    gap = high.values - low.values
    size = with_error(gap.mean(), gap.std(ddof=1) / math.sqrt(50))
    assert f"50 examples that the model itself drew, {low.estimator}: {size} nats apart" in panel.notes[0]
    limit = er.evidence.BdmcBounds(low, high).gap_limit
    assert f"less than {rounded(limit, places(gap.std() / math.sqrt(50)))}." in panel.notes[0]


def test_nothing_in_common_says_so() -> None:
    panel = evidence_panel(kept(of("one", 0.0, np.arange(5)), of("other", 0.0, np.arange(5, 9))))
    assert panel.figure.missing == "No panel: the estimators have no test example in common."


def test_one_draw_has_no_error_of_its_own() -> None:
    panel = evidence_panel(kept(IWAE, of("ELBO with 1 draw", -2.0, EVERY, mc=math.nan)))
    assert panel.rows[-1]["draws"] == "unknown"
    assert "nan" not in "".join(panel.figure.svg)


def test_two_examples_tell_no_bounds_apart_at_two_standard_errors() -> None:
    """Student's t of one degree of freedom asks for 12.7 of them."""
    two = {"index": [0, 1], "quantity": "log p(x)", "direction": "lower"}
    high, low = Estimate.of([-1.0, -1.4], estimator="IWAE-9", **two), Estimate.of([-2.0, -3.0], estimator="ELBO", **two)
    apart = high - low
    assert 2 < apart.mean / apart.se_total < 12.7
    assert evidence_panel(kept(high, low)).figure.title.startswith("2 examples do not tell the two highest bounds")


def test_of_several_by_one_estimator_the_longest_is_drawn() -> None:
    long, quick = of("AIS-100", 0.5, EVERY), of("AIS-100", 0.5, EVERY[:20])
    panel = evidence_panel(kept(ELBO, long, quick))
    assert panel.figure.foot == "n = 400 test examples; seed 0."
    assert [row["name"] for row in panel.rows] == ["AIS-100", "ELBO with 64 draws"]


def test_older_records_have_no_panel() -> None:
    assert evidence_panel(kept()) is None
    assert evidence_panel(kept(IWAE, part="train")) is None


@pytest.mark.usefixtures("pages_are_sketched")
class TestOnThePage:
    @pytest.fixture
    def folder(self, tmp_path):
        return make(tmp_path, "two")

    def test_without_evidence_json_there_is_none(self, folder) -> None:
        assert 'id="estimators"' not in report(folder).read_text(encoding="utf-8")

    def test_with_it_there_is(self, folder) -> None:
        study = kept_study(folder)
        hostile = of("<b>IWAE</b>", -9.0, FEW)
        keep_estimates(folder / "runs" / study["chosen"] / "evidence.json", "test", [ELBO, IWAE, AIS, hostile])
        page = report(folder).read_text(encoding="utf-8")
        words = html.unescape(re.sub("<[^>]+>", " ", page)).replace("\u00a0", " ")
        assert page.count('<figure id="estimators"') == 1
        assert evidence_panel(kept(ELBO, IWAE, AIS, hostile)).figure.title in words
        assert "<b>IWAE" not in page
        for one in (ELBO, IWAE, AIS):
            assert one.estimator in words

    def test_estimates_of_other_weights_are_not_shown_as_the_models(self, folder) -> None:
        run = folder / "runs" / kept_study(folder)["chosen"]
        run.mkdir(parents=True, exist_ok=True)
        keep_estimates(run / "evidence.json", "test", [ELBO, IWAE])
        keep_estimates(run / "evidence.json", "test", [of("AIS-3", 90.0, FEW)], model="1f2e")
        words = words_of(report(folder).read_text(encoding="utf-8"))
        assert (
            "Not shown, being of other weights of this run, as before it was trained on: AIS-3. Measure again." in words
        )
        assert "AIS-3 gives the highest bound" not in words
        (run / "model.safetensors").write_bytes(b"trained on")
        words = words_of(report(folder).read_text(encoding="utf-8"))
        assert "No panel: no estimate of test examples is kept that can be drawn." in words
        assert "kept by an older elbowroom, which did not say of which weights: ELBO with 64 draws; IWAE" in words

    def test_a_study_says_that_its_run_was_trained_on(self, folder) -> None:
        run = folder / "runs" / kept_study(folder)["chosen"]
        run.mkdir(parents=True, exist_ok=True)
        (run / "model.safetensors").write_bytes(b"as measured")
        measured = replace(read_study(folder).evidence, model=weights_digest(run))
        for stage, one in {**records_of(kept_study(folder)), "measure": measured}.items():
            keep_stage(folder, stage, stage, MADE, one)
        keep_estimates(run / "evidence.json", "test", [ELBO, IWAE])
        said = "holds other weights now than those that were measured here: it was trained on."
        assert said not in words_of(report(folder).read_text(encoding="utf-8"))
        (run / "model.safetensors").write_bytes(b"trained on")
        words = words_of(report(folder).read_text(encoding="utf-8"))
        assert said in words
        assert "IWAE-1000 gives the highest bound" in words  # of the model that the page is of

    def test_measured_files_stand_beside_what_was_computed(self, folder) -> None:
        keep_file(folder / "runs" / kept_study(folder)["chosen"], FileRecord("t.elb", 10, 4, 80, 50.0, 8.0, 0.0, 2.0))
        assert "t.elb lossless, one draw a row 10 27.73 not measured 8.00" in words_of(
            report(folder).read_text("utf-8")
        )

    def test_a_damaged_file_is_refused_in_words(self, folder) -> None:
        study = kept_study(folder)
        (folder / "runs" / study["chosen"] / "evidence.json").write_text("[", encoding="utf-8")
        with pytest.raises(InputError, match="is damaged"):
            report(folder)


@pytest.fixture(scope="module")
def digits():
    return er.load_data("digits")


LITTLE = {"temperatures": 8, "chains": 4, "leapfrog": 2}
"""A study's annealing, of which its budget has more."""


@pytest.mark.usefixtures("pilots_are_short")
class TestWhatAStudyWrites:
    def kept(self, vae, digits, run: Path, annealed: int) -> tuple[list[str], list[KeptEstimate]]:
        bounds = {"ELBO": er.evidence.elbo(vae, digits.test[:9], draws=4)}
        how = {**LITTLE, "seed": 3}
        annealing, said = _annealed(vae, digits.test, annealed, how, False)
        _keep_evidence(run, bounds, annealing, how)
        return said, read_estimates(run / "evidence.json")

    def test_annealing_is_that_of_the_library_on_the_first_of_a_seeded_order(self, digits, tmp_path) -> None:
        vae = er.models.build({"latents": 2, "widths": (8,)}, digits)
        said, (bound, annealed) = self.kept(vae, digits, tmp_path, 2)
        examples = shuffled(digits.test, 2)
        expected = er.evidence.ais(vae, examples, **LITTLE, seed=3)
        assert ANNEALING == {"temperatures": 100, "chains": 12, "leapfrog": 5}
        assert (said, bound.estimate.estimator, annealed.part) == ([], "ELBO with 4 draws", "test")
        assert annealed.estimate.estimator == expected.estimator
        np.testing.assert_allclose(annealed.estimate.values, expected.values, rtol=1e-6)
        assert np.array_equal(annealed.estimate.index, examples.index)

    def test_what_cannot_be_annealed_is_said_and_loses_no_study(self, digits, tmp_path) -> None:
        encoder, decoder = er.networks.MLP([64, 8, 3]), er.networks.MLP([3, 8, 64])
        vae = er.VAE(
            er.priors.Categorical(3),
            er.posteriors.Categorical(encoder, 3),
            er.likelihoods.TruncatedNormal(decoder, 64),
            preprocess=digits.preprocess,
        )
        (said,), kept = self.kept(vae, digits, tmp_path, 2)
        assert said.startswith("AIS was not run: Block 'z' lives on")
        assert len(kept) == 1

    @pytest.mark.parametrize("wrong", [{"draws": 0}, {"annealed": -1}, {"epochs": 0}])
    def test_a_budget_that_means_nothing_is_refused_before_anything_is_trained(self, digits, tmp_path, wrong) -> None:
        with pytest.raises(InputError, match=r"^(draws must be 1|annealed must be 0|epochs must be 1) or more; got"):
            er.study(digits, tmp_path / "study", **wrong)
        assert not (tmp_path / "study").exists()
