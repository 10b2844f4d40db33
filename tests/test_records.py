"""Records of the stages: every type comes back as it was written, and a file that does not fit says where."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from invented import digit_pictures, make, study
from invented_audits import healthy, ill
from safetensors.numpy import load_file, save_file
from staged import MADE, keep_study, records_of

from elbowroom.numerics import Budget, Estimate, InputError
from elbowroom.records import (
    STAGES,
    CalibrationRecord,
    Number,
    Summary,
    chosen_run,
    keep_stage,
    read_stage,
    read_study,
    stage_file,
)
from elbowroom.records.weights import weights_digest

ODD = Summary(math.nan, math.inf, -math.inf, "log p(x)", "IWAE-1", "lower", 0, Budget(1, 0))


def odd(stage: str, record):
    """The record with None, NaN and infinities where they may stand."""
    if stage == "load":
        return replace(record, levels=None, image_shape=None, columns=None, label_names=None, missing="mask")
    if stage == "train":
        first = replace(record.models[0], rate=ODD, iwae=ODD, squared_error=None, psnr=math.inf, axes={}, settings={})
        return replace(record, models=(first, *record.models[1:]))
    if stage == "measure":
        bound = Estimate.of(
            [math.nan, -math.inf], [math.nan, 0.5], quantity="log p(x)", estimator="one", direction="lower",
            ess=[1.0, math.nan], khat=[math.nan, 0.5], rhat=[math.nan, 1.0],
        )  # fmt: skip
        empty = {"ink": None, "variances": (), "leak": None}
        return replace(
            record, bounds={"ELBO": bound}, latents=replace(record.latents, kl=None, neighbours=None), **empty
        )
    if stage == "contest":
        return replace(record, left_out="Nothing fits.", variance=math.nan)
    if stage == "audit":
        return replace(record, identity=None, context=replace(record.context, rate=ODD, latents=None), versions=None)
    if stage == "account":
        difference = replace(record.difference, value=math.nan, se=math.inf)
        return replace(record, difference=difference, variances=(), verdict=replace(record.verdict, figures=()))
    return record


def audited():
    """A study in plain values, of all stages."""
    return study(4, images=True, vae=70.0) | {"audit": healthy().to_dict()}


def same(one, other) -> bool:
    """Equal in every field, NaN being equal to itself and arrays by their values."""
    if isinstance(one, Estimate):
        columns = [f.name for f in fields(one) if isinstance(getattr(one, f.name), np.ndarray)]
        mine, theirs = ({name: getattr(e, name) for name in columns} for e in (one, other))
        rest = [f.name for f in fields(one) if f.name not in columns]
        return all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in columns) and all(
            getattr(one, name) == getattr(other, name) for name in rest
        )
    if type(one) is not type(other):
        return False
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize("stage", list(STAGES))
@pytest.mark.parametrize("change", [lambda _, record: record, odd], ids=["plain", "odd"])
def test_a_record_comes_back_as_it_was_written(tmp_path, stage, change) -> None:
    record = change(stage, records_of(audited())[stage])
    keep_stage(tmp_path, stage, "key", MADE, record)
    kept = read_stage(tmp_path, stage)
    assert type(kept.record) is STAGES[stage].record
    assert (kept.key, kept.made) == ("key", MADE)
    assert same(kept.record, record)


def test_a_summary_says_what_its_estimate_says() -> None:
    one = Estimate.of([-1.0, -3.0, -8.0], 0.3, quantity="log p(x)", estimator="IWAE-5", direction="lower")
    summary = Summary.of(one)
    for name in ("mean", "se_mc", "se_total", "quantity", "estimator", "direction", "budget"):
        assert getattr(summary, name) == getattr(one, name)
    assert len(summary) == len(one) == 3


def test_a_record_that_is_kept_takes_those_with_it_that_were_made_from_another(tmp_path) -> None:
    records = records_of(audited())

    def keep(stage: str, key: str) -> list[str]:
        keep_stage(tmp_path, stage, key, MADE, records[stage])
        return [one for one in STAGES if stage_file(tmp_path, one).exists()]

    for stage in STAGES:
        assert keep(stage, stage)[-1] == stage
    assert keep("measure", "measure") == list(STAGES)
    assert keep("contest", "other") == ["load", "train", "choose", "measure", "contest", "audit"]
    keep("account", "account")
    assert keep("train", "other") == ["load", "train", "contest"]
    assert keep("load", "other") == ["load"]


def test_records_that_do_not_belong_together_are_refused(tmp_path) -> None:
    for name, draws in (("one", 70.0), ("other", 60.0)):
        keep_study(tmp_path / name, study(4, images=True, vae=draws))
    read_study(tmp_path / "one")
    shutil.copy(stage_file(tmp_path / "other", "measure"), stage_file(tmp_path / "one", "measure"))
    with pytest.raises(InputError, match=r"-[a-z]+\.json was made from other records"):
        read_study(tmp_path / "one")
    path = stage_file(tmp_path / "other", "measure")
    path.write_text(path.read_text().replace('"draws": 500', '"draws": 501'))
    with pytest.raises(InputError, match=r"4-measure\.json is not as it was written"):
        read_study(tmp_path / "other")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda raw: raw["record"]["models"][1].pop("rate"),
            "2-train.json is damaged (record.models.1.rate: Field req",
        ),
        (
            lambda raw: raw["record"]["models"][0].update(epochs="many"),
            "(record.models.0.epochs: Input should be a valid",
        ),
        (lambda raw: raw.update(version=0), "2-train.json is of version 0 and this elbowroom reads version 1"),
        (lambda raw: raw.pop("version"), "2-train.json is of version None"),
        (lambda raw: raw.pop("made"), "(made: Field required)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_field(tmp_path, spoil, says) -> None:
    record = records_of(study(4, images=True, vae=70.0))["train"]
    keep_stage(tmp_path, "train", "key", MADE, record)
    path = stage_file(tmp_path, "train")
    raw = json.loads(path.read_text())
    spoil(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError) as caught:
        read_stage(tmp_path, "train")
    assert says in str(caught.value)
    assert f"`elbowroom study … --folder {tmp_path} --resume`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_a_study_has_chosen_a_run(tmp_path) -> None:
    assert chosen_run(tmp_path) is None
    record = records_of(study(4, images=True, vae=70.0))["choose"]
    keep_stage(tmp_path, "choose", "key", MADE, record)
    assert chosen_run(tmp_path) == tmp_path / "runs" / "beta-0.5"


def test_records_are_read_without_torch() -> None:
    code = "import sys\nfrom elbowroom.records import EvidenceRecord, read_stage, read_study\n"
    code += "assert not {'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_are_named_by_the_data_or_by_number() -> None:
    data = replace(
        records_of(study(4, images=False, vae=70.0, columns=["a", "b", "c"]))["load"], classes={1: ("x", "y")}
    )
    assert data.column_names == ("a", "b", "c")
    assert replace(data, columns=None).column_names == ("column 1", "column 2", "column 3")
    assert data.numeric_columns == [0, 2]


def test_a_sweep_says_its_families_and_who_diverged() -> None:
    one = records_of(study(4, images=True, vae=70.0))["train"].models[0]
    assert one.family == ""
    assert replace(one, axes={"d": "8", "β": "1", "noise": "shared", "seed": "3"}).family == "d = 8, noise = shared"
    assert not one.diverged
    assert all(replace(one, **{part: ODD}).diverged for part in ("rate", "distortion"))
    assert not replace(one, iwae=ODD).diverged


def test_calibration_pays_where_it_wins_more_than_its_error() -> None:
    gains = (Number(2.0, 0.5), Number(0.4, 0.5), Number(-1.0, 0.1), Number(0.1, None))
    assert [CalibrationRecord(gain, "temperature", 0.9, 100).pays for gain in gains] == [True, False, False, True]


def test_models_are_healthy_or_not_where_an_audit_lies_beside_them(tmp_path) -> None:
    folder = make(tmp_path / "study", "digits", healthy())  # the audit of the chosen model
    other = read_study(folder).sweep.models[0].name
    assert read_study(folder).healthy == {"beta-0.5": True}
    path = folder / "runs" / other / "audit.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ill().to_dict()))
    assert read_study(folder).healthy == {other: False, "beta-0.5": True}
    (path.parent / "model.safetensors").write_bytes(b"trained on")
    assert read_study(folder).healthy == {"beta-0.5": True}  # of which weights the audit is, it does not say
    path.write_text(json.dumps(replace(ill(), model=weights_digest(path.parent)).to_dict()))
    assert read_study(folder).healthy == {other: False, "beta-0.5": True}
    path.write_text("{}")
    with pytest.raises(InputError, match=r"audit.json is damaged .*audit the run again"):
        read_study(folder).healthy  # noqa: B018


def test_a_variance_is_known_where_its_parts_are_finite() -> None:
    measured = records_of(study(4, images=True, vae=70.0))["measure"]
    split, ink = measured.variances[0], measured.ink
    assert split.known
    assert ink.known
    for wrong in (math.nan, math.inf):
        assert not any(replace(split, **{part: wrong}).known for part in ("latent", "noise", "data"))
        assert not replace(split, latent_share=Number(wrong, None)).known
        parts = ("data", "latent", "noise_diagonal", "noise_covariance")
        assert not any(replace(ink, **{part: Number(wrong, 0.1)}).known for part in parts)
    assert not replace(split, data=0.0).known
    assert not replace(ink, data=Number(0.0, 0.1)).known
    assert [part.value for part in ink.parts] == [60.0, 12.0, -2.0]


def test_the_kl_decides_where_the_active_units_are_those_above_the_threshold() -> None:
    latents = replace(records_of(study(4, images=True, vae=70.0))["measure"].latents, threshold=0.1)
    assert replace(latents, kl=(0.2, 0.1), active=(True, False)).kl_decides
    assert not replace(latents, kl=(0.2, 0.1), active=(True, True)).kl_decides
    assert not replace(latents, kl=None, active=(True, False)).kl_decides


class TestPictures:
    def test_every_array_stands_under_its_name(self, tmp_path) -> None:
        pictures, drawn = read_study(make(tmp_path, "two")).pictures, digit_pictures(2)
        single = {name: array.astype(np.float32) for name, array in drawn.items()}
        for name, array in single.items():
            if not name.startswith("models."):
                np.testing.assert_array_equal(getattr(pictures, name), array)
        assert sorted(pictures.models) == sorted(f"beta-{beta}" for beta in ("0.1", "0.25", "0.5", "1", "2", "4"))
        for name, one in pictures.models.items():
            np.testing.assert_array_equal(one.samples, single[f"models.{name}.samples"])
            np.testing.assert_array_equal(one.reconstructions, single[f"models.{name}.reconstructions"])
        assert pictures.rows is pictures.held_out

    def test_what_is_missing_is_named(self, tmp_path) -> None:
        folder = make(tmp_path, "table")
        assert read_study(folder).pictures.rows.shape == (300, 5)
        arrays = load_file(folder / "pictures.safetensors")
        lost = ("latent_map", "models.beta-0.25.samples")
        save_file({name: array for name, array in arrays.items() if name not in lost}, folder / "pictures.safetensors")
        with pytest.raises(InputError, match=r"lacks 'latent_map', 'models.beta-0.25.samples': delete 4-measure.json"):
            _ = read_study(folder).pictures
