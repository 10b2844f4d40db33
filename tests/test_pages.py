"""The report, made from synthetic records and read back as HTML and XML."""

import functools
import html.parser
import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from staged import keep_study, kept_study

from elbowroom.numerics import Budget, Estimate, InputError
from elbowroom.pages import report, verdict_table
from elbowroom.pages.verdicts import contest, seconds, significant
from elbowroom.records import DifferenceRecord, read_study, stage_file

HOSTILE = "<script>alert(1)</script>"
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
CLASSICS = {
    "probabilistic PCA": ("d = 20 of 5, 10, 20, 30", 37.2, 31.0),
    "factor analysis": ("d = 20 of 5, 10, 20, 30", 51.3, 24.0),
    "Gaussian mixture (k=30, full)": ("k = 30 of 10, 20, 30, 50; ridge 0.001", 64.0, 26.0),
    "kernel density": ("bandwidth 0.12 of 8 tried", 45.9, 28.0),
}


@functools.cache
def digits():
    from sklearn.datasets import load_digits

    return load_digits()


def normal(size):
    """A diagonal normal block of a recipe."""
    return {"kind": "diagonal-normal", "network": {"kind": "mlp", "sizes": [64, 256, 256, 2 * size]}, "event": size}


def model_recipe(latents):
    network = {"kind": "mlp", "sizes": [latents, 256, 256, 128]}
    return {
        "version": 1,
        "prior": {"z": {"kind": "standard-normal", "event": latents}},
        "posterior": {"z": normal(latents) | {"given": ["x"]}},
        "likelihood": {"kind": "normal", "network": network, "event": 64, "scale": "predicted", "given": ["z"]},
        "preprocess": {"kind": "dequantise", "levels": 17},
    }


def evidence(rng, vae, n=397):
    """Rows of the last table: a bound, a tighter bound, and classics whose densities are exact."""
    common = rng.normal(size=n)

    def estimate(mean, spread, estimator, direction, draws, mc):
        values = mean + spread * (0.8 * common + 0.6 * rng.normal(size=n))
        budget = Budget(draws=draws, seed=0, seconds=1.0)
        kind = {"quantity": "log p(x)", "estimator": estimator, "direction": direction}
        return Estimate.of(values, mc, budget=budget, data="d1g1t5", **kind)

    def row(name, kind, setting, e):
        bits = e.bits_per_dimension(64)
        sizes = [bits.mean, bits.se_mc, bits.se_points]
        return {"name": name, "kind": kind, "setting": setting, "estimate": e.to_dict(), "bits_per_dimension": sizes}

    tuned = "β = 0.5 of 6; epoch 181 of 400"
    rows = [
        row("VAE (chosen)", "vae", tuned, estimate(vae - 3.1, 22.0, "ELBO", "lower", 64, 0.4)),
        row("VAE (chosen)", "vae", tuned, estimate(vae, 22.0, "IWAE-500", "lower", 500, 0.09)),
    ]
    for name, (setting, mean, spread) in CLASSICS.items():
        rows.append(row(name, "classic", setting, estimate(mean, spread, "exact density", "exact", 0, 0.0)))
    return rows


def sweep(latents, images):
    models = []
    for beta in BETAS:
        rate = 33.0 / (1 + beta) ** 0.9
        distortion = -104.0 + 19.0 * beta**0.62
        se = 0.35 + 0.1 / beta
        bounds = {"rate": [rate, se / 2], "distortion": [distortion, 1.2], "elbo": [-rate - distortion, 1.3]}
        models.append(
            {
                "name": f"beta-{beta:g}", "label": f"β = {beta:g}", "settings": {"beta": beta},
                "axes": {"β": f"{beta:g}"}, "epochs": 400, "best_epoch": 181, "seconds": 8.4,
                "parameters": 181_536, "validation": {**bounds, "iwae": [3.1 - rate - distortion, 1.3]}, "n": 200,
                "draws": 64, "active": max(latents - int(3 * beta), 1), "latents": latents,
                "squared_error": 1.4 + 0.7 * beta, "psnr": 16.6 - beta if images else None,
                "notes": ["the scale reached its floor on 3 elements"] if beta == 0.1 else [],
            }
        )  # fmt: skip
    return models


def history(epochs=400):
    rows = []
    for epoch in range(1, epochs + 1):
        gain = 1 - np.exp(-epoch / 40)
        train = {"rate": 6 + 18 * gain, "distortion": 20 - 115 * gain + 30 * np.exp(-epoch / 4)}
        slack = 0.012 * max(epoch - 60, 0)
        held = {"rate": train["rate"] + 0.3, "distortion": train["distortion"] + 3 + slack}
        beta = min(1.0, epoch / 30) * 0.5
        for part in (train, held):
            part["objective"] = part["distortion"] + beta * part["rate"]
        train["beta"] = beta
        rows.append({"epoch": epoch, "step": 12 * epoch, "seconds": 0.02, "train": train, "validation": held})
    return rows


def study(latents, *, images, vae, columns=None):
    rng = np.random.default_rng(7)
    kl = np.sort(rng.gamma(2.0, 0.9, latents))[::-1].copy()
    kl[latents - max(latents // 8, 0) :] = rng.uniform(0.0005, 0.003, max(latents // 8, 0))
    rng.shuffle(kl)
    rows = evidence(rng, vae)
    best = Estimate.from_dict(rows[1]["estimate"])
    rival = Estimate.from_dict(rows[4]["estimate"])
    gap = best - rival
    active = int((kl > 0.01).sum())
    verb = "beats" if gap.mean > 0 else "loses to"
    sentence = (
        f"This VAE uses {active} of its {latents} latents and {verb} a Gaussian mixture by "
        f"{abs(gap.mean):.1f} ± {gap.se_total:.1f} nats on held-out digits."
    )
    lower, upper = {"unit": "nats", "direction": "lower bound"}, {"unit": "bits", "direction": "upper bound"}
    shown, error = (f"{gap.mean:+.1f}".replace("-", "−"), f"{gap.se_total:.1f}")
    tiles = [
        {"label": "log p(x) per test digit", "value": f"{best.mean:.1f}", "error": f"{best.se_total:.1f}", **lower},
        {"label": "against the Gaussian mixture", "value": shown, "error": error, **lower},
        {"label": "bits per dimension", "value": "2.41", "error": "0.03", **upper},
        {"label": "latents in use", "value": f"{active} of {latents}", "error": "", "unit": "", "direction": ""},
    ]
    data = {
        "name": "digits", "source": "scikit-learn, load_digits (UCI optical recognition of handwritten digits)",
        "support": "integer grid 0…16", "sizes": {"train": 1200, "validation": 200, "test": 397}, "split_seed": 0,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "event": [64],
        "image_shape": [8, 8] if images else None, "levels": 17 if images else None, "dimensions": 64,
        "notes": ["3 columns are constant (0, 32, 39)"], "label_names": [str(i) for i in range(10)], "columns": columns,
    }  # fmt: skip
    if columns:
        data |= {"event": [len(columns)], "dimensions": len(columns), "support": "real numbers", "label_names": None}
        for row in rows:
            row["bits_per_dimension"] = None
    return {
        "version": 2, "title": "How good is a VAE of the digits?", "command": "elbowroom study digits",
        "created": "2026-11-21", "data": data,
        "environment": {
            "elbowroom": "0.1.0", "torch": "2.13.0", "python": "3.11.9", "processor": "x86_64, 2 cores", "threads": 2,
            "seconds": {"sweep": 61.2, "evidence": 40.4, "total": 153.0},
        },
        "chosen": "beta-0.5", "models": sweep(latents, images), "evidence": rows,
        "difference": {"against": "Gaussian mixture", "value": gap.mean, "se": gap.se_total, "n": len(gap)},
        "verdict": {
            "sentence": sentence, "figures": tiles,
            "next": "The inference gap is 3.1 nats: a richer posterior can win back at most that.",
        },
        "latents": {
            "kl": kl.tolist(), "active": (kl > 0.01).tolist(), "threshold": 0.01, "n": 397,
            "axes": "z1, z2" if latents == 2 else "first two principal components of z",
            "knn": {"z": 0.952, "x": 0.977, "k": 5, "n": 397} if images else None,
        },
        "reconstruction": {"squared_error": 1.763, "psnr": 15.61 if images else None, "n": 397},
        "draws": {"seed": 0, "n": 16},
        "leak": 0.031 if images else None,
        **variance(),
    }  # fmt: skip


def variance():
    """The split of every model of the sweep and of two classics, and of the chosen model's ink."""
    rows = []
    for beta in BETAS:
        share = 0.95 / (1 + 0.3 * beta)
        sizes = {"latent": 4.0 * share, "noise": 4.0 * (1 - share), "latent_share": share, "latent_share_se": 0.004}
        rows.append({"name": f"beta-{beta:g}", "kind": "vae", **sizes, "data": 4.1, "draws": 2_000})
    for name, latent, noise in (("probabilistic PCA", 3.9, 0.2), ("Gaussian mixture", 2.9, 1.2)):
        sizes = {"latent": latent, "noise": noise, "latent_share": latent / (latent + noise), "latent_share_se": None}
        rows.append({"name": name, "kind": "classic", **sizes, "data": 4.1, "draws": 0})
    ink = {"data": 80.0, "latent": 60.0, "noise_diagonal": 12.0, "noise_covariance": -2.0, "draws": 20_000}
    ink["se"] = {"data": 7.0, "latent": 0.8, "noise_diagonal": 0.016, "noise_covariance": 0.4}
    return {"variance": rows, "ink": ink}


def digit_pictures(latents):
    """Held-out digits, and what PCA makes of them: plausible pictures of a blurred model."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    x, labels = digits().data, digits().target
    pca = PCA(latents, random_state=0).fit(x[:1200])
    held, tags = x[1400:], labels[1400:]
    z = pca.transform(held)
    means = pca.inverse_transform(rng.normal(size=(16, latents)) * pca.explained_variance_**0.5)
    noisy = means + 1.8 * rng.normal(size=means.shape)
    arrays = {
        "held_out": held[:16], "reconstructions": pca.inverse_transform(z[:16]), "samples_ancestral": noisy,
        "samples_mean": means, "latent_map": z[:, :2] / z[:, :2].std(), "latent_labels": tags,
    }  # fmt: skip
    for beta in BETAS:
        kept = PCA(max(int(latents / (1 + beta)), 1), random_state=0).fit(x[:1200])
        arrays[f"models.beta-{beta:g}.reconstructions"] = kept.inverse_transform(kept.transform(held[:8]))
        scale = kept.explained_variance_**0.5
        arrays[f"models.beta-{beta:g}.samples"] = kept.inverse_transform(rng.normal(size=(8, scale.size)) * scale)
    if latents == 2:
        axis = np.linspace(-2, 2, 12)
        z1, z2 = np.meshgrid(axis, axis)
        spread = pca.explained_variance_**0.5
        grid = pca.inverse_transform(np.stack([z1, z2], -1).reshape(-1, 2) * spread)
        arrays |= {"decoded_grid": grid.reshape(12, 12, 64), "decoded_grid_axis": axis}
    return arrays


def table_pictures(columns):
    rng = np.random.default_rng(4)
    width = len(columns)
    scale = 10.0 ** rng.integers(-1, 3, width)
    data, samples = ((rng.gamma(2.0, 1.0, (300, width)) - 1) * scale for _ in range(2))
    arrays = {
        "held_out": data[:16], "reconstructions": 0.9 * data[:16], "samples_ancestral": samples, "data_sample": data,
        "samples_mean": 0.6 * samples, "latent_map": rng.normal(size=(200, 2)), "latent_labels": -np.ones(200),
    }  # fmt: skip
    for beta in BETAS:
        arrays[f"models.beta-{beta:g}.reconstructions"] = data[:8]
        arrays[f"models.beta-{beta:g}.samples"] = samples[:100] / (1 + 0.1 * beta)
    return arrays


def write(folder, record, arrays, recipe):
    run = folder / "runs" / record["chosen"]
    run.mkdir(parents=True)
    keep_study(folder, record)
    (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history()))
    (run / "recipe.yaml").write_text(yaml.safe_dump({"model": recipe}, sort_keys=False))
    plain = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
    save_file(plain, folder / "pictures.safetensors")
    return folder


COLUMNS = ["age", "blood pressure, systolic", HOSTILE, "glucose", "a rather long name of a column that must be cut"]


def make(folder, kind):
    """A study folder: "digits", "two" (latents), "loses" (to a Gaussian mixture) or "table"."""
    if kind == "table":
        record = study(4, images=False, vae=74.6, columns=COLUMNS)
        return write(folder, record, table_pictures(COLUMNS), model_recipe(4))
    latents = 2 if kind == "two" else 16
    record = study(latents, images=True, vae=58.0 if kind == "loses" else 74.6)
    return write(folder, record, digit_pictures(latents), model_recipe(latents))


KINDS = ("digits", "two", "loses", "table")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Every kind of study folder with its page, made once."""
    folders = {kind: make(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}
    return {kind: (folder, report(folder).read_text(encoding="utf-8")) for kind, folder in folders.items()}


class Reader(html.parser.HTMLParser):
    """Collects tags, their attributes and text, and refuses a tag that closes nothing or stays open."""

    VOID = frozenset({"meta", "img", "input", "link", "br"})

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def words_of(page):
    return " ".join(" ".join(Reader(page).text).replace("\u00a0", " ").split())


@pytest.mark.parametrize("kind", KINDS)
class TestEveryPage:
    def test_is_well_formed_and_small(self, studies, kind):
        _, page = studies[kind]
        reader = Reader(page)
        assert len(page.encode()) < 2_000_000
        assert [tag for tag, _ in reader.tags].count("h1") == 1
        identities = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
        assert len(identities) == len(set(identities))

    def test_headings_do_not_skip_a_level(self, studies, kind):
        levels = [int(tag[1]) for tag, _ in Reader(studies[kind][1]).tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))

    def test_every_figure_has_words_for_those_who_cannot_see_it(self, studies, kind):
        _, page = studies[kind]
        for tag, attrs in Reader(page).tags:
            if tag == "img":
                assert len(attrs["alt"]) > 20
        drawings = re.findall(r"<svg xmlns[^>]*>", page)
        assert len(drawings) >= 10
        assert all('role="img"' in drawing or 'role="group"' in drawing for drawing in drawings)

    def test_drawings_are_xml_with_a_title(self, studies, kind):
        for drawing in re.findall(r'<div class="(?:wide|narrow)">(.*?)</div>', studies[kind][1], re.S):
            root = ET.fromstring(drawing)
            title, about = root[0], root[1]
            assert title.tag.endswith("title")
            assert len(title.text) > 10
            assert len(about.text) > 10
            assert "nan" not in drawing

    def test_nothing_comes_from_the_network(self, studies, kind):
        page = studies[kind][1].replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in page
        assert "https:" not in page
        assert "@import" not in page
        assert not re.findall(r"url\((?!data:|#)", page)
        for tag, attrs in Reader(page).tags:
            assert tag not in ("link", "iframe", "object", "embed", "base")
            assert attrs.get("src", "data:").startswith("data:")
            assert attrs.get("href", "#").startswith("#")

    def test_links_and_names_lead_somewhere(self, studies, kind):
        tags = Reader(studies[kind][1]).tags
        known = {attrs["id"] for _, attrs in tags if "id" in attrs}
        for _, attrs in tags:
            pointed = {attrs.get("href", "#main")[1:], *attrs.get("aria-labelledby", "").split()}
            pointed |= {attrs["for"]} if "for" in attrs else set()
            assert pointed <= known

    def test_the_script_is_the_one_that_the_policy_names(self, studies, kind):
        import base64
        import hashlib

        (script,) = re.findall(r"<script>(.*?)</script>", studies[kind][1], re.S)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in html.unescape(studies[kind][1])

    def test_the_terminal_has_the_same_verdict_in_ten_lines(self, studies, kind):
        folder, page = studies[kind]
        rows = verdict_table(folder)
        assert len(rows) <= 10
        assert all("\n" not in text for _, text in rows)
        assert rows[0][1] in words_of(page)
        assert dict(rows)["contest"] in words_of(page)


def test_the_order_of_the_page(studies):
    text = words_of(studies["digits"][1])
    order = ["Verdict", "What next.", "Held-out log-likelihood", "Held-out reconstructions:", "16 ancestral samples"]
    order += [
        "Along a dashed line",
        "The latents of the chosen model",
        "total ink varies",
        "latents are active",
        "Neighbours in z",
        "Learning curves",
        "The model as a graph",
    ]
    order += ["The whole recipe", "scikit-learn, load_digits", "The command that makes this page again"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


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


def test_text_from_the_data_is_escaped(studies):
    _, page = studies["table"]
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert [tag for tag, _ in Reader(page).tags].count("script") == 1


def test_hostile_names_everywhere_stay_text(tmp_path):
    evil = '"><img src=x onerror=alert(1)>\u0000'
    record = study(2, images=False, vae=70.0, columns=[evil] * 5)
    for part, key in (
        (record, "title"),
        (record, "command"),
        (record["data"], "name"),
        (record["verdict"], "sentence"),
    ):
        part[key] = evil
    record["evidence"][0]["name"] = record["verdict"]["figures"][0]["label"] = evil
    record["latents"]["axes"] = evil
    record["data"]["label_names"] = [evil] * 10
    recipe = {"prior": {evil: normal(2)}, "posterior": {evil: normal(2)}, "likelihood": normal(5) | {"given": [evil]}}
    arrays = table_pictures([evil] * 5)
    arrays["latent_labels"] = np.arange(200) % 10
    page = report(write(tmp_path / "study", record, arrays, recipe)).read_text(encoding="utf-8")
    assert not [attrs for tag, attrs in Reader(page).tags if tag == "img" or "onerror" in attrs]
    for drawing in re.findall(r'<div class="(?:wide|narrow)">(.*?)</div>', page, re.S):
        ET.fromstring(drawing)


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
    assert "β = 0.5, total ink varies 87.5 ± 1.1 % as much as in the data" in text
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


def test_large_colour_pictures_stay_under_two_megabytes(tmp_path):
    record = study(2, images=True, vae=70.0)
    record["data"] |= {"image_shape": [3, 96, 96], "event": [3, 96, 96], "levels": 256}
    rng = np.random.default_rng(0)
    arrays = digit_pictures(2)
    for name, array in arrays.items():
        if name == "decoded_grid":
            arrays[name] = rng.uniform(0, 255, (12, 12, 3, 96, 96))
        elif name.split(".")[-1] in ("held_out", "reconstructions", "samples_ancestral", "samples_mean", "samples"):
            arrays[name] = rng.uniform(0, 255, (len(array), 3, 96, 96))
    page = report(write(tmp_path / "study", record, arrays, model_recipe(2))).read_text(encoding="utf-8")
    assert len(page.encode()) < 2_000_000
    assert "Pictures are shown at 1/2 of their size." in page


def test_the_page_is_a_function_of_the_record(studies, tmp_path):
    folder, page = studies["digits"]
    assert report(str(folder), tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_reporting_loads_neither_torch_nor_pyplot(studies, tmp_path):
    code = f"""
import sys
from elbowroom.pages import report
report({str(studies["digits"][0])!r}, {str(tmp_path / "page.html")!r})
assert not {{"torch", "matplotlib.pyplot", "sklearn", "pandas"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def damage(folder, what):
    target = stage_file(folder, "measure")
    kept = json.loads(target.read_text())
    if what == "no study":
        stage_file(folder, "train").unlink()
    elif what == "older":
        target.rename(folder / "study.json")
    elif what == "not json":
        target.write_text(target.read_text()[:100])
    elif what == "version":
        target.write_text(json.dumps(kept | {"version": 7}))
    elif what == "field":
        del kept["record"]["latents"]["active"]
        target.write_text(json.dumps(kept))
    elif what == "estimate":
        del kept["record"]["bounds"]["ELBO"]["values"]
        target.write_text(json.dumps(kept))
    elif what == "chosen":
        kept = json.loads(stage_file(folder, "choose").read_text())
        kept["record"]["name"] = "beta-9"
        stage_file(folder, "choose").write_text(json.dumps(kept))
    elif what == "no pictures":
        (folder / "pictures.safetensors").unlink()
    elif what == "cut pictures":
        (folder / "pictures.safetensors").write_bytes((folder / "pictures.safetensors").read_bytes()[:500])
    elif what == "history":
        (folder / "runs" / "beta-0.5" / "history.jsonl").write_text('{"epoch": 1,')


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no study", "holds no 2-train.json"),
        ("older", "study.json was written by an older elbowroom: `elbowroom study"),
        ("not json", "4-measure.json is damaged (Unterminated string"),
        ("version", "4-measure.json is of version 7 and this elbowroom reads version 1: `elbowroom study"),
        ("field", "4-measure.json is damaged (record.latents.active: Field required): `elbowroom study"),
        (
            "estimate",
            "4-measure.json is damaged (record.bounds.ELBO: Value error, no estimate: 'values'): `elbowroom study",
        ),
        ("chosen", "3-choose.json names 'beta-9'"),
        ("no pictures", "holds no pictures.safetensors"),
        ("cut pictures", "pictures.safetensors is damaged"),
        ("history", "history.jsonl is damaged"),
    ],
)
def test_a_damaged_record_is_refused_in_one_sentence(tmp_path, what, said):
    folder = make(tmp_path / "study", "table")
    damage(folder, what)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        report(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def joining(page):
    """Lines of the two planes that run through six points."""
    planes = [one for one in re.findall(r"<svg xmlns.*?</svg>", page, re.S) if 'class="point' in one]
    assert len(planes) == 2
    paths = [path for plane in planes for path in re.findall(r'<path d="([^"]*)"', plane)]
    return [path for path in paths if re.fullmatch(r"M [^MLz]*(L [^MLz]*){5}", path)]


def test_a_study_without_a_contest_says_so(tmp_path, studies):
    folder = make(tmp_path / "study", "digits")
    for stage in ("account", "contest"):
        stage_file(folder, stage).unlink()
        page = words_of(report(folder).read_text(encoding="utf-8"))
        missing = [one for one in ("contest", "account") if not stage_file(folder, one).exists()]
        said = "the stage account has" if len(missing) == 1 else "the stages contest and account have"
        assert f"There is no verdict yet: {said} not been run; resume the study" in page
        assert ("Gaussian mixture" in page) == (len(missing) == 1)
        assert "The latents of the chosen model, β = 0.5, carry 82.61 ± 0.40 % of its variance" in page
        rows = dict(verdict_table(folder))
        assert rows["verdict"].startswith("There is no verdict yet")
        assert "contest" not in rows
        assert rows["reconstruction"] == dict(verdict_table(studies["digits"][0]))["reconstruction"]


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
    joined, alone = (joining(text) for text in (studies["digits"][1], page))
    assert len(joined) == 2
    assert not alone


def test_a_single_model_and_a_kl_that_is_not_divided(tmp_path):
    folder = make(tmp_path / "study", "digits")
    record = kept_study(folder)
    chosen = next(m for m in record["models"] if m["name"] == record["chosen"])
    record["models"] = [chosen | {"label": "the only one", "settings": {}, "axes": {}}]
    record["latents"]["kl"] = None
    keep_study(folder, record)
    text = words_of(report(folder).read_text(encoding="utf-8"))
    assert "The chosen model, the only one, pays a rate of" in text
    assert "chosen on validation among" not in text
    assert "have no KL in closed form that could be divided among them" in text


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
    assert contest(None) == "The VAE has been set beside no classic"


def test_numbers_without_an_error():
    assert [significant(v) for v in (1.7634, 0.012345, 1234.5, 0.0, None)] == [
        "1.76",
        "0.0123",
        "1,234",
        "0",
        "not available",
    ]
    assert [seconds(v) for v in (3.0, 119.4, 3600.0)] == ["3.0 s", "119 s", "60 min 00 s"]


def test_the_rows_of_the_last_table_stand_best_first(studies):
    study = read_study(studies["digits"][0])
    means = [row.estimate.mean for row in study.rows]
    assert means == sorted(means, reverse=True)
    assert study.chosen.settings == {"beta": 0.5}


def test_what_is_named_by_its_estimator_is_not_named_twice():
    from elbowroom.pages.panels import estimate_words

    def made(estimator, direction):
        return Estimate.of([-5.0, -6.0], quantity="log p(x)", estimator=estimator, direction=direction)

    assert estimate_words("Gaussian mixture", made("Gaussian mixture", "exact")) == "exact"
    assert estimate_words("VAE", made("IWAE-10", "lower")) == "IWAE-10, lower bound"
