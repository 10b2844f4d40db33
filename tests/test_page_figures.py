"""The figures of the page, and what they say of numbers that are known."""

import re

import numpy as np
import pytest
from invented import COLUMNS, changed, make, model_recipe, study, table_pictures, with_pages, write
from page_reader import words_of
from staged import MADE, keep_study, kept_study, records_of

from elbowroom.numerics import Estimate
from elbowroom.pages import report
from elbowroom.records import CalibrationRecord, Number, keep_stage, read_study
from elbowroom.runs.saved_estimates import keep_estimates

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Images, images of two latents, and a table, each with its page."""
    return with_pages(tmp_path_factory, "digits", "two", "table")


def test_pictures_and_quantile_strips_take_each_others_place(studies):
    assert "ancestral sample over decoder mean, numbers 1 to 8 of the draw" in studies["digits"][1]
    assert "held-out data beside ancestral samples and decoder means" in studies["table"][1]
    assert "<img" not in studies["table"][1]
    assert "decoder means on a grid of 12 by 12" in studies["two"][1]
    assert "on a grid of" not in studies["digits"][1]


def test_what_could_not_be_had_says_why(tmp_path):
    folder = make(tmp_path / "study", "table")
    record = kept_study(folder)
    record["models"][5]["validation"]["rate"] = [float("nan"), float("nan")]
    keep_study(folder, record)
    run = folder / "runs" / "beta-0.5"
    (run / "history.jsonl").unlink()
    (run / "recipe.yaml").unlink()
    text = words_of(report(folder, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "No curves: runs/beta-0.5/history.jsonl is missing from the study folder." in text
    assert "No diagram: runs/beta-0.5/recipe.yaml is missing from the study folder." in text
    assert "Bits per dimension are not given, because the data are not on a grid." in text
    assert "no nearest-neighbour accuracy, because the data have no labels" in text
    assert "Not drawn, because training diverged: β = 4." in text


def test_the_split_of_the_variance_is_said_with_its_numbers(studies):
    text = words_of(studies["digits"][1])
    # β = 0.5: share 0.95 / 1.15, which leaves 20 / 115 to the noise.
    assert "The latents of the chosen model, β = 0.5, carry 82.61 ± 0.40 % of its variance" in text
    assert "Decoder means taken for samples would throw away 17.39 ± 0.40 % of the chosen model's variance" in text
    assert "70.7 % latent" in text  # the mixture, exact: 2.9 / 4.1
    assert "β = 0.5, the pixel sum varies 87.5 ± 7.7 % as much as in the data" in text
    assert "latent 75.0 ± 1.0 %, independent noise 15.000 ± 0.020 %, covariance of the noise −2.50 ± 0.50 %" in text
    assert "the sum of all columns varies" in words_of(studies["table"][1])


@pytest.mark.parametrize("lost", ["beta-0.5", "Gaussian mixture", "all"])
def test_a_variance_that_is_no_number_is_named(tmp_path, lost):
    folder = make(tmp_path / "study", "table")
    record = kept_study(folder)
    for row in record["variance"]:
        if lost in (row["name"], "all"):
            row["latent"] = row["latent_share"] = float("nan")
    record["ink"]["latent"] = float("nan")
    keep_study(folder, record)
    page = report(folder).read_text(encoding="utf-8")
    said = {
        "beta-0.5": "Not drawn, because not a finite number: VAE, β = 0.5.",
        "Gaussian mixture": "Not drawn, because not a finite number: Gaussian mixture.",
        "all": "No bars: none of the variances is a finite number.",
    }
    assert said[lost] in words_of(page)
    assert "No bar: a part of the variance is not a finite number." in words_of(page)
    assert "The variance of the chosen model, β = 0.5, is not a finite number" in words_of(page) or "mixture" in lost


def rewritten(folder, models, **others):
    """The page of the study with what `models` makes of every model of its record."""
    record = kept_study(folder)
    record["models"] = [models(i, model) for i, model in enumerate(record["models"])]
    keep_study(folder, record | others)
    return report(folder).read_text(encoding="utf-8")


def test_a_sweep_over_words_is_named_by_its_labels(tmp_path, studies):
    settings = [{"likelihood": word, "latents": d} for word in ("normal", "laplace", "student-t") for d in (2, 8)]
    axes = [{"likelihood": one["likelihood"], "d": f"{one['latents']}"} for one in settings]
    labels = [f"likelihood = {one['likelihood']}, d = {one['latents']}" for one in settings]
    page = rewritten(
        make(tmp_path / "study", "digits"),
        lambda i, m: m | {"label": labels[i], "settings": settings[i], "axes": axes[i]},
    )
    text = words_of(page)
    assert all(label in text for label in labels)
    assert f"The chosen model, {labels[2]}, pays a rate of" in text
    assert f"The latents of the chosen model, {labels[2]}, carry" in text
    assert "model rate distortion ELBO" in text
    assert "β rate distortion ELBO" in words_of(studies["digits"][1])
    assert "β" not in text.replace("β = 0.5 of 6; epoch 181 of 400", "")  # of the evidence, made by hand above
    assert "The line is the frontier of the sweep." in text
    assert "audit: healthy" in studies["digits"][1]
    assert "audit: faults found" in studies["two"][1]
    assert "audit: " not in studies["table"][1]


def test_a_sweep_over_two_axes_is_chosen_and_drawn_by_family(tmp_path):
    def two(i, model):
        d, beta = (2, 8)[i // 3], (0.1, 1.0, 5.0)[i % 3]
        axes = {"d": f"{d}", "β": f"{beta:g}"}
        return model | {"label": f"d = {d}, β = {beta:g}", "settings": {"latents": d, "beta": beta}, "axes": axes}

    page = rewritten(make(tmp_path / "study", "digits"), two)
    assert re.findall(r'<span class="family">(.*?)</span>', page) == ["d = 2", "d = 8"]
    assert re.findall(r'<label for="model-\d">(.*?)</label>', page)[:3] == ["β = 0.1", "β = 1", "β = 5 (chosen)"]
    assert 'aria-label="d = 8, β = 0.1"' in page
    text = words_of(page)
    assert "The line is the frontier of their family, those that differ in β and seed alone." in text
    # each bound is 3.1 nats above its model's ELBO: the least −log p̂ is H at most
    models = read_study(tmp_path / "study").sweep.models
    least = min(-one.iwae.mean for one in models)
    assert f"its best estimate here, {least:.1f}".replace("-", "−") in text
    assert f"H is at most {least:.1f}".replace("-", "−") in page


def test_calibration_and_the_decoders_own_curve_are_drawn_where_they_were_measured(tmp_path):
    folder = make(tmp_path / "study", "digits")
    record = kept_study(folder)
    for model in record["models"]:
        model["calibrated"] = CalibrationRecord(Number(0.5 + model["settings"]["beta"], 0.1), "noise scale", 0.3, 200)
    for stage, one in records_of(record).items():
        keep_stage(folder, stage, stage, MADE, one)
    estimates = [
        Estimate.of(np.full(5, value), quantity=f"{name} at β = {beta:g}", estimator="annealing", direction=direction)
        for beta, rate, distortion in ((0.3, 5.0, -60.0), (1.0, 15.0, -95.0))
        for name, value, direction in (
            ("the rate function", rate, "upper"),
            ("negative log-likelihood", distortion, "unbiased"),
        )
    ]
    keep_estimates(folder / "runs" / "beta-0.5" / "evidence.json", "test", estimates, {})
    page = report(folder).read_text(encoding="utf-8")
    text = words_of(page)
    assert "up to 4.5 nats less distortion at the same rate" in text
    assert "the decoder’s own curve" in page
    assert "The decoder’s own curve, the least rate at which any encoder reaches a distortion" in text
    assert "n = 5 test examples" in text
    assert page.count("rate 5 at distortion -60; rate 15 at distortion -95.") == 2


def test_a_single_model_and_a_kl_that_is_not_divided(tmp_path):
    def alone(record):
        chosen = next(m for m in record["models"] if m["name"] == record["chosen"])
        record["models"] = [chosen | {"label": "the only one", "settings": {}, "axes": {}}]
        record["latents"]["kl"] = None

    text = words_of(report(changed(tmp_path / "study", alone)).read_text(encoding="utf-8"))
    assert "The chosen model, the only one, pays a rate of" in text
    assert "chosen on validation among" not in text
    assert "have no KL in closed form that could be divided among them" in text


def test_where_squares_mean_nothing_the_reason_stands_in_their_place(tmp_path):
    why = "Squares of classes mean nothing."

    def classes(record):
        record["reconstruction"] = {"squared_error": None, "psnr": None, "n": 397, "why_none": why}
        record["variance"] = []

    text = words_of(report(changed(tmp_path / "study", classes)).read_text(encoding="utf-8"))
    assert f"Held-out reconstructions {why}" in text
    assert f"The variance is not split {why}" in text
    assert "16 validation examples, and 16 ancestral samples Above: validation examples." in text
    assert "decoder mean" not in text.replace("Decoder means", "")
    assert "Pictures of the model at" not in text
    assert "squared error" not in text


def test_a_sweep_that_diverged_has_no_plane(tmp_path):
    def diverge(record):
        for model in record["models"]:
            model["validation"]["distortion"] = [float("inf"), float("nan")]

    text = words_of(report(changed(tmp_path / "study", diverge)).read_text(encoding="utf-8"))
    assert "No plane: every model of the sweep diverged." in text


@pytest.mark.parametrize("decides", [True, False])
def test_a_threshold_is_drawn_where_the_kl_decides_and_said_where_it_does_not(tmp_path, decides):
    def own(record):
        record["latents"] |= {"kl": [2.0, 0.5, 0.02], "active": [True, True, not decides], "threshold": 0.1}

    page = report(changed(tmp_path / "study", own)).read_text(encoding="utf-8")
    said = "2 of 3 latents carry 99 % of the KL, 2 are active; the KL of all is 2.5 nats, 2.5 of it in the active ones"
    all_active = "2 of 3 latents carry 99 % of the KL, 3 are active; the KL of all is 2.5 nats"
    assert (said if decides else all_active) in words_of(page)
    assert ("the encoder's mean varies by more than 0.1 over examples" in words_of(page)) == (not decides)
    assert ("threshold 0.1 nats" in page) == decides


@pytest.mark.parametrize(
    ("active", "said"),
    [
        ([True, False, False], "1 of 3 latents is active; the KL of all is 2.3 nats, 0.7 of it in the active one"),
        ([False] * 3, "0 of 3 latents are active; the KL of all is 2.3 nats"),
    ],
)
def test_the_kl_of_the_active_latents_is_said_beside_that_of_all(tmp_path, active, said):
    def own(record):
        record["latents"] |= {"kl": [0.7, 1.1, 0.5], "active": active, "threshold": 0.01}

    text = words_of(report(changed(tmp_path / "study", own)).read_text(encoding="utf-8"))
    assert said in text
    assert "a hollow dot with a KL above 0 has a posterior that differs from the prior" in text


def narrow(page, key):
    """Texts of the narrow drawing of a figure."""
    figure = re.search(rf'<figure id="{key}".*?</figure>', page, re.S)[0]
    drawing = re.search(r'<div class="narrow">(.*?)</div>', figure, re.S)[1]
    return [text.replace("\u00a0", " ") for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing)]


def test_narrow_rows_of_one_name_have_their_estimators_and_the_foot_says_draws_once(studies):
    texts = narrow(studies["digits"][1], "ladder")
    assert {"VAE, IWAE-500", "VAE, ELBO"} <= set(texts)
    assert "VAE" not in texts
    assert "draws per example: 500 (IWAE), 64 (ELBO); seed 0." in words_of(studies["digits"][1])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("two", ("z1", "z2")),
        ("digits", ("first principal component of z", "second principal component of z")),
    ],
)
def test_both_axes_of_the_map_have_names(studies, kind, names):
    assert set(names) <= set(narrow(studies[kind][1], "map"))


def test_no_per_cent_stands_alone(studies):
    for _, page in studies.values():
        assert not re.search(r"\d %", page)


def test_classes_of_a_table_are_counted(tmp_path):
    record, arrays = study(4, images=False, vae=70.0, columns=COLUMNS), table_pictures(COLUMNS)
    record["data"]["classes"] = {"1": ["low", "high"], "3": [f"kind {i}" for i in range(10)]}
    rows = np.arange(300)
    arrays["data_sample"][:, 1], arrays["data_sample"][:, 3] = rows % 4 == 0, np.minimum(rows // 30, 9)
    arrays["samples_ancestral"][:, 1], arrays["samples_ancestral"][:, 3] = rows % 2 == 0, 0
    page = report(write(tmp_path / "study", record, arrays, model_recipe(4))).read_text(encoding="utf-8")
    text = words_of(page)
    assert "2 columns of classes: their shares of held-out data and of ancestral samples" in text
    assert "3 columns of numbers: held-out data beside ancestral samples and decoder means" in text
    about = next(one for one in re.findall("<desc>(.*?)</desc>", page.replace("\u00a0", " ")) if "Shares in" in one)
    for said in ("low 75.0 % / 50.0 %", "high 25.0 % / 50.0 %", "kind 0 10.0 % / 100.0 %", "2 others 20.0 % / 0.0 %"):
        assert f", {said}" in about


def test_lines_of_narrow_axes_do_not_run_through_the_words_above_the_rows():
    from elbowroom import plots
    from elbowroom.plots.style import Sheet

    for width, backed in ((348, True), (760, False)):
        sheet = Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained")
        ax = plots.stacked_bars([plots.Bar("VAE", (84.0, 16.0), "84.0 % latent")], ("a", "b"), ax=sheet.subplots())
        patches = [text.get_bbox_patch() for text in ax.texts if text.get_text() in ("VAE", "84.0 % latent")]
        assert [patch is not None for patch in patches] == [backed] * 2
