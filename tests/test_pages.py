"""The report as a whole, made from records that nobody measured and read back as HTML and XML."""

import html
import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from drawings import AFRESH
from invented import (
    HOSTILE,
    KINDS,
    digit_pictures,
    make,
    model_recipe,
    normal,
    study,
    table_pictures,
    with_pages,
    write,
)
from page_reader import Reader, words_of

from elbowroom.numerics import InputError
from elbowroom.pages import report, verdict_table
from elbowroom.records import read_study, stage_file

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Every kind of study folder with its page, made once."""
    return with_pages(tmp_path_factory, *KINDS)


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
        assert dict(rows)["comparison"] in words_of(page)


def test_the_order_of_the_page(studies):
    text = words_of(studies["digits"][1])
    order = ["Verdict", "What next.", "Held-out log-likelihood", "Held-out reconstructions:", "16 ancestral samples"]
    order += [
        "Along a dashed line",
        "The latents of the chosen model",
        "the pixel sum varies",
        "of the KL,",
        "Neighbours in z",
        "Learning curves",
        "The model as a graph",
    ]
    order += ["The whole recipe", "scikit-learn, load_digits", "What makes this page again"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_where_the_nats_go_is_the_ledger_or_how_to_have_it(studies):
    for kind, (folder, page) in studies.items():
        text, audit = words_of(page), read_study(folder).audit
        ledger = text[text.index("Where the nats go", text.index("Rate and distortion Where")) :]
        assert ("has not been audited: resume the study" in text) == (audit is None), kind
        assert f"Its audit: {audit.verdict[0].lower()}{audit.verdict[1:]}" in text if audit and audit.findings else True
        assert ("nats above the ELBO" in ledger) == bool(audit and audit.identity), kind


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


def test_the_page_is_a_function_of_the_record(studies, tmp_path, monkeypatch):
    monkeypatch.setattr("elbowroom.pages.embedding._drawing", AFRESH)
    folder, page = studies["digits"]
    assert report(str(folder), tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_reporting_loads_neither_torch_nor_pyplot(studies, tmp_path):
    code = f"""
import sys
from elbowroom.pages import embedding, report
draw = embedding._drawing
embedding._drawing = lambda *about: draw(*about) if about[2] == embedding.WIDE else ""
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
        ("not json", "4-measure.json is damaged ("),
        ("version", "4-measure.json is of version 7 and this elbowroom reads version 1: `elbowroom study"),
        ("field", "4-measure.json is damaged (record.latents.active: Field required): `elbowroom study"),
        (
            "estimate",
            "4-measure.json is damaged (record.bounds.ELBO: Value error, no estimate: 'values'): `elbowroom study",
        ),
        ("chosen", "3-choose.json is not as it was written"),
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
        assert "comparison" not in rows
        assert rows["reconstruction"] == dict(verdict_table(studies["digits"][0]))["reconstruction"]
