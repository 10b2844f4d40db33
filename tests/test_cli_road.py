"""From a file to its evidence, codes and samples by the command line, and sentences that name its options."""

import errno
import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from staged import short_audit

import elbowroom as er
from elbowroom import cli
from elbowroom.numerics import Estimate
from elbowroom.records import ClassicRecord, ContestRecord, FileRecord, keep_file, read_files, read_study
from elbowroom.records.weights import weights_digest
from elbowroom.runs import encode_run, measure_run, read_run, sample_run
from elbowroom.runs._encode_run import codes

N = 60


@pytest.fixture
def spoken(capsys, monkeypatch, tmp_path):
    """What a command says in a folder of its own, and its exit code."""
    monkeypatch.chdir(tmp_path)

    def say(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["elbowroom", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return say


SMALL = ("--latents", "2", "--widths", "4", "--epochs", "1")


def write_table(folder):
    drawn = np.random.default_rng(0)
    found = pd.DataFrame(drawn.normal(size=(N, 2)), columns=["wide", "long"])
    found["sort"] = ["red", "blue", "red", "green"] * (N // 4)
    found["kind"], found["arm"] = ["one", "two"] * (N // 2), ["left", "right", "right"] * (N // 3)
    found.to_csv(folder / "table.csv", index=False)
    return found


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_table(folder).replace("red", "blue").to_csv(folder / "edited.csv", index=False)
    data = er.load_data(folder / "table.csv", labels="kind")
    er.fit(er.models.build({"latents": 2, "widths": [4]}, data), data, epochs=1, run=folder / "run", progress=False)
    return folder


def test_a_table_goes_from_fit_to_evidence_codes_and_samples(spoken, table, tmp_path):
    table["id"] = range(N)
    table.to_csv(tmp_path / "table.csv", index=False)
    loading = ["--labels", "kind", "--context", "arm", "--drop", "id", "--test", "9", "--name", "mine"]
    assert spoken("fit", "table.csv", "--run", "run", *SMALL, *loading)[0] == 0
    (tmp_path / "table.csv").rename(tmp_path / "other.csv")
    code, out, err = spoken("evidence", "run", "--draws", "2")
    assert (code, out) == (2, "")
    assert "no longer at" in err
    assert err.endswith("say where they are now with --source.\n")
    code, out, _ = spoken("evidence", "run", "--draws", "2", "--source", "other.csv")
    assert (code, "IWAE-2" in out, "(9 examples" in out or "n = 9" in out or "9" in out) == (0, True, True)
    (tmp_path / "other.csv").rename(tmp_path / "table.csv")
    for ending in ("csv", "parquet", "npy"):
        code, out, _ = spoken("encode", "run", "--out", f"codes.{ending}", "--part", "all")
        assert (code, out) == (0, f"codes.{ending}\n")
    found = pd.read_csv("codes.csv")
    assert list(found.columns) == ["row", "part", "label", "z1", "z2", "z1_sd", "z2_sd"]
    assert found["row"].tolist() == list(range(N))
    assert found["label"].tolist() == table["kind"].tolist()
    assert found["part"].value_counts().to_dict() == {"train": 45, "test": 9, "validation": 6}
    pd.testing.assert_frame_equal(pd.read_parquet("codes.parquet"), found, check_dtype=False)
    pd.testing.assert_frame_equal(pd.DataFrame(np.load("codes.npy")), found, check_dtype=False)
    for ending in ("csv", "parquet"):
        assert spoken("sample", "run", "--out", f"x.{ending}", "-n", "7", "--given", "arm=left")[0] == 0
    drawn = pd.read_csv("x.csv")
    pd.testing.assert_frame_equal(pd.read_parquet("x.parquet"), drawn, check_dtype=False)
    assert list(drawn.columns) == ["arm", "wide", "long", "sort"]
    assert set(drawn["arm"]) == {"left"}
    assert set(drawn["sort"]) <= {"red", "blue", "green"}
    assert drawn["wide"].dtype == float
    spoken("sample", "run", "--out", "x.npy", "-n", "7", "--given", "arm=left")
    x = np.load("x.npy")
    np.testing.assert_allclose(drawn["long"], x[:, 1], rtol=1e-6)
    assert drawn["sort"].tolist() == [["blue", "green", "red"][int(code)] for code in x[:, 2]]
    spoken("sample", "run", "--out", "any.csv", "-n", "300")
    assert abs((pd.read_csv("any.csv")["arm"] == "right").mean() - 2 / 3) < 0.15  # as in the training rows


def test_samples_of_whole_numbers_are_whole_and_columns_without_names_are_numbered(tmp_path):
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [4]}, digits)
    er.fit(vae, digits, epochs=1, run=tmp_path / "run", progress=False)
    found = pd.read_csv(sample_run(tmp_path / "run", tmp_path / "x.csv", n=3))
    assert (found.columns[0], found.columns[-1], set(found.dtypes)) == ("column 1", "column 64", {np.dtype("int64")})
    np.testing.assert_array_equal(found, vae.sample(3).numpy())
    folder = sample_run(tmp_path / "run", tmp_path / "images", n=3)
    seen = np.stack([np.asarray(Image.open(folder / f"{i:04}.png")) for i in (1, 2, 3)]).reshape(3, 64)
    np.testing.assert_array_equal(seen, np.round(vae.sample(3).numpy() * 255 / 16))


def test_codes_are_the_mean_and_deviation_of_the_posterior(tmp_path):
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [4]}, digits)
    er.fit(vae, digits, epochs=1, run=tmp_path / "run", progress=False)
    found = pd.read_csv(encode_run(tmp_path / "run", tmp_path / "codes.csv", seed=3, progress=False))
    vae, part = read_run(tmp_path / "run")[0], digits.test[digits.test.index.argsort()]
    y = vae.preprocess(part.x, vae.keyed_noise(0, part.index, 3)["x"])[0]
    with torch.no_grad():
        loc, spread = vae.posterior["z"].network(y).chunk(2, -1)
    q = vae.posterior["z"]({"x": y[None]})
    assert found["row"].tolist() == part.index.tolist()
    assert found["label"].tolist() == part.labels.tolist()
    np.testing.assert_allclose(found[["z1", "z2"]], loc, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[["z1_sd", "z2_sd"]], q.stddev[0].detach(), rtol=1e-4)
    assert spread.shape == loc.shape


def test_codes_of_classes_are_probabilities_and_those_of_flows_come_from_draws():
    digits = er.load_data("digits")
    classes = er.VAE(
        {"y": er.priors.Categorical(3), "z": er.priors.StandardNormal(1)},
        {
            "y": er.posteriors.Categorical(torch.nn.Linear(64, 3), 3),
            "z": er.posteriors.DiagonalNormal(torch.nn.Linear(64, 2), 1),
        },
        er.likelihoods.Normal(torch.nn.Linear(1, 64), 64),
        preprocess=digits.preprocess,
    )
    found = codes(classes, digits.test[:5], {"y": ["a", "b", "c"]})
    assert list(found) == ["y=a", "y=b", "y=c", "z1", "z1_sd"]
    np.testing.assert_allclose(found["y=a"] + found["y=b"] + found["y=c"], 1, rtol=1e-6)
    flow = er.models.build({"latents": 2, "widths": [4], "posterior": "flow-posterior"}, digits)
    part = digits.test[:4]
    found = codes(flow, part, {})
    given, _ = flow.given(part.batch(), flow.keyed_noise(0, part.index, 0))
    with torch.no_grad():
        z = flow.posterior["z"](given).sample((4_000,))[:, 0]
    for i in (0, 1):
        sd = z[..., i].std(0).numpy()
        assert np.all(np.abs(found[f"z{i + 1}"] - z[..., i].mean(0).numpy()) < 4 * sd / 16)
        np.testing.assert_allclose(found[f"z{i + 1}_sd"], sd, rtol=0.25)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "run", "--out", "x.txt"], "written to .csv, .parquet, .npy, .png, or a folder of images"),
        (["sample", "run", "--out", "folder"], "no images: write to .csv, .parquet or .npy"),
        (["sample", "run", "--out", "x.png"], "write to .csv, .parquet or .npy"),
        (["encode", "run", "--out", "x.png"], "Codes are written to .csv, .parquet or .npy"),
        (["encode", "run", "--out", "x.csv", "--part", "exam"], "The part is train, validation, test or all"),
        (["evidence", "run", "--source", "edited.csv"], "; give the right ones as --source."),
        (["fit", "table.csv", "--run", "run"], "say --resume to continue it"),
        (["fit", "table.csv", "--run", "none", "--resume"], "leave --resume out to begin one"),
        (["fit", "table.csv", "--run", "new", "--labels", "hue"], "has no column 'hue'"),
        (["fit", "table.csv", "--run", "new", "--support", "grid"], "support"),
        (["data", "show", "table.csv", "--validation", "1.5"], "--validation is a fraction below 1"),
        (["data", "show", "digits", "--context", "arm"], "no columns by name"),
        (["study", "table.csv", "--test", "60"], "or smaller --validation and --test."),
    ],
)
def test_sentences_name_options(spoken, trained, tmp_path, arguments, says):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    code, out, err = spoken(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    for argument in ("resume=", "source=", "validation=", "test=", "support=", "labels="):
        assert argument not in err


def test_data_from_memory_are_asked_for_at_the_door_that_was_used(spoken, table):
    data = er.load_data(table, labels="kind", context="arm")
    er.fit(er.models.build({"latents": 1, "widths": [4]}, data), data, epochs=1, run="run", progress=False)
    assert spoken("evidence", "run")[2].endswith("not from a file: give them again as --source.\n")
    assert spoken("encode", "run", "--out", "x.csv", "--source", "table.csv")[0] == 0


def test_report_measures_a_run_once_and_writes_its_page(spoken, trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    module = importlib.import_module("elbowroom.studies.study")
    monkeypatch.setattr(module, "contest", lambda data, **rest: one_classic(data))
    short_audit(monkeypatch)
    monkeypatch.setattr(module, "report", lambda folder: folder / "report.html")  # which other tests draw
    page = er.studies.report_run("run", draws=4, annealed=0, progress=False)
    assert page == Path("run/study/report.html")
    record = read_study("run/study")
    (found,) = measure_run("run", "iwae", draws=4, progress=False)
    assert record.evidence.bounds["IWAE-4"].mean == pytest.approx(found.mean, abs=1e-5)
    assert record.sweep.models[0].elbo.mean < 0
    assert record.evidence.model == record.audit.model == weights_digest(Path("run")) != ""
    monkeypatch.setattr(module, "measure", None)
    keep_file(Path("run"), FileRecord("x.elb", 10, 4, 80, 50.0, 8.0, 0.0, 2.0))  # written since
    assert er.studies.report_run("run", draws=4, annealed=0, progress=False) == page
    assert [one.name for one in read_files(Path("run/study/runs/run"))] == ["x.elb"]
    monkeypatch.setattr(er.studies, "report_run", lambda run, **rest: run / "page")
    assert spoken("report", "run")[:2] == (0, "run/page\n")


def one_classic(data):
    about = {"quantity": "log p(x)", "estimator": "zero", "direction": "exact"}
    estimate = Estimate.of(np.zeros(len(data.test)), index=data.test.index.numpy(), data=data.test.data, **about)
    return ContestRecord((ClassicRecord("zero", "", estimate, 0.0, 1.0),), None, 1.0)


def test_a_disk_that_takes_nothing_is_a_sentence(spoken, trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.csv")

    monkeypatch.setattr("elbowroom.runs.table_file.write_atomic", full)
    code, _, err = spoken("sample", "run", "--out", "x.csv")
    assert (code, err.count("\n"), "No space left on device" in err) == (2, 1, True)


def test_a_part_without_examples_is_a_sentence_before_anything_is_measured(spoken, table):
    words = ["--run", "r", "--test", "0", "--epochs", "1", "--latents", "1", "--widths", "4", "--labels", "kind"]
    assert spoken("fit", "table.csv", *words)[0] == 0
    for estimator in ("iwae", "bdmc"):
        code, out, err = spoken("evidence", "r", "--estimator", estimator)
        assert (code, out) == (2, "")
        assert err.endswith("The data of the run in r have no test examples: say --part train or --part validation.\n")
    for words in (["audit", "r"], ["fix", "r", "--run", "fixed"]):
        code, out, err = spoken(*words)
        assert (code, out) == (2, "")
        assert "have no test examples, and an audit is of nothing else: train a run on" in err
    assert not Path("fixed").exists()
