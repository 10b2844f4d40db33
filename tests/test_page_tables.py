"""The tables of the page, the rows for the terminal, and numbers in words."""

import math
import re
from dataclasses import replace

import pytest
from invented import make, with_pages
from page_reader import words_of
from staged import keep_study, kept_study

from elbowroom.numerics import Estimate, InputError
from elbowroom.pages import _report, ladder, report, verdict_table
from elbowroom.pages.words import contest, estimate_words, seconds, significant
from elbowroom.records import DifferenceRecord, read_study

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A study that wins and one that loses, each with its page."""
    return with_pages(tmp_path_factory, "digits", "loses")


def test_a_loss_to_the_mixture_is_said_plainly(studies):
    folder, page = studies["loses"]
    e = next(row.estimate for row in read_study(folder).rows if row.kind == "vae")
    rival = next(row.estimate for row in read_study(folder).rows if row.name.startswith("Gaussian"))
    gap = e - rival
    assert gap.mean < -3 * gap.se_total
    assert f"The VAE loses to the Gaussian mixture by at most {-gap.mean:.1f} ± {gap.se_total:.1f} nats" in words_of(
        page
    )


def test_the_table_holds_both_errors_and_the_digits_that_they_allow(studies):
    folder, page = studies["digits"]
    text = words_of(page)
    for row in read_study(folder).rows:
        e = row.estimate
        assert f"{e.mean:.1f}" in text
        assert f"{e.se_points:.1f}" in text
        assert row.setting in text
        if e.direction == "lower":
            assert f"≥ {e.mean:.1f}" in text
            assert f"{e.se_mc:.3f}" in text
            bits = e.bits_per_dimension(64)
            assert f"≤ −{-bits.mean:.3f} ± {bits.se_total:.3f}" in text


def test_every_warning_of_an_estimate_is_owned_up_to(tmp_path):
    folder = make(tmp_path / "study", "digits")
    record = kept_study(folder)
    estimate = record["evidence"][1]["estimate"]
    estimate["ess"], estimate["khat"] = [2.0] * 3 + [100.0] * 394, [0.1] * 390 + [0.9] * 7
    keep_study(folder, record)
    words = words_of(report(folder).read_text(encoding="utf-8"))
    warnings = Estimate.from_dict(estimate).warnings
    assert len(warnings) == 2
    assert "; ".join(warnings) in words


def test_the_rows_of_the_last_table_stand_best_first(studies):
    study = read_study(studies["digits"][0])
    means = [row.estimate.mean for row in study.rows]
    assert means == sorted(means, reverse=True)
    assert study.chosen.settings == {"beta": 0.5}


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no study folder"):
        verdict_table(tmp_path / "nowhere")


def test_the_contest_in_words():
    def of(value):
        return DifferenceRecord("Gaussian mixture", value, 0.91, 397)

    assert contest(of(12.43)) == "The VAE beats the Gaussian mixture by 12.43 ± 0.91 nats per test example"
    assert "by at least 12.43 ± 0.91" in contest(of(12.43), "lower")
    even = "The VAE and the Gaussian mixture cannot be told apart: they differ by −1.21 ± 0.91 nats per test example"
    assert contest(of(-1.21)) == even
    assert "cannot be told apart" in contest(DifferenceRecord("Gaussian mixture", 12.43, float("nan"), 1))
    assert contest(None) == "The VAE has been set beside no baseline"


def test_numbers_without_an_error():
    assert [significant(v) for v in (1.7634, 0.012345, 1234.5, 0.0, None)] == [
        "1.76",
        "0.0123",
        "1,234",
        "0",
        "not available",
    ]
    assert [seconds(v) for v in (3.0, 119.4, 3600.0)] == ["3.0 s", "119 s", "60 min 00 s"]


def test_what_is_named_by_its_estimator_is_not_named_twice():
    def made(estimator, direction):
        return Estimate.of([-5.0, -6.0], quantity="log p(x)", estimator=estimator, direction=direction)

    assert estimate_words("Gaussian mixture", made("Gaussian mixture", "exact")) == "exact"
    assert estimate_words("VAE", made("IWAE-10", "lower")) == "IWAE-10, lower bound"


@pytest.mark.parametrize(
    ("about", "quantity", "bits", "said"),
    [
        (
            {"kind": "grid", "preprocess": {"kind": "dequantise"}},
            "log p(x)",
            "≤ ",
            "so is the density of dequantised x",
        ),
        ({"kind": "grid", "preprocess": {"kind": "binarise"}}, "log p(binarised x)", "", "say nothing of the images"),
        ({"kind": "binary"}, "log p(x)", "", "bits of zeros and ones"),
        ({"kind": "real"}, "log p(x)", "not on a grid", "are not given"),
        ({"kind": "binary", "missing": "mask"}, "log p(x_seen)", "cells are missing", "each example has others"),
        ({"kind": "binary"}, "log p(x, label where known)", "not of x alone", "bits of zeros and ones"),
    ],
)
def test_bits_of_an_exact_density_of_dequantised_x_are_a_bound_and_binarised_ones_are_not_the_images(
    studies, about, quantity, bits, said
):
    study = read_study(studies["digits"][0])
    data = replace(study.data, **about)
    exact = Estimate.of([-math.log(2) * 64] * 3, quantity=quantity, estimator="GMM", direction="exact")
    assert ladder._bits(exact, data).startswith(bits or "1.00")
    assert said in ladder.about_bits(data, exact)


@pytest.mark.parametrize(
    ("steps", "missing", "said"),
    [
        (
            [0.1] * 4,
            None,
            "of 4 columns recorded in steps is of the step .* numbers would be 9.21 nats higher .minus the",
        ),
        ([0.0, 10.0], None, "of 1 column recorded .* would be 2.30 nats lower"),
        ([1.0], None, "would be the same"),
        ([0.1, 0.5], "one in ten", "would be 3.00 nats higher where no cell is missing"),
    ],
)
def test_a_probability_of_a_step_is_told_from_a_density(studies, steps, missing, said):
    """iris on the page and as scikit-learn's mixture has it lie 4 · log 10 apart."""
    rounded = {"kind": "rounded", "steps": steps, "offsets": [0.0] * len(steps)}
    chain = {"kind": "chain", "steps": [rounded, {"kind": "standardise", "event": [len(steps)]}]}
    data = replace(read_study(studies["digits"][0]).data, preprocess=chain, missing=missing)
    assert re.search(said, ladder.about_steps(data))


def test_the_page_says_what_a_step_is_worth(studies):
    assert ladder.about_steps(read_study(studies["digits"][0]).data) == ""
    assert "recorded in steps" not in words_of(studies["digits"][1])
    study = read_study(studies["digits"][0])
    rounded = {"kind": "rounded", "steps": [0.1] * 4, "offsets": [0.0] * 4}
    content = _report._content(replace(study, data=replace(study.data, preprocess=rounded)))
    page = words_of(_report.rendered("report.html", content))
    assert "in nats. log p(x) of 4 columns recorded in steps is of the step and not of a point" in page
