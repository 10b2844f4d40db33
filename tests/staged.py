"""Study folders from plain values, so that a page can be made of a study that nobody ran."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.ledger.budgets import QUICK
from elbowroom.numerics import Budget, Estimate
from elbowroom.records import (
    AccountRecord,
    AuditRecord,
    ChoiceRecord,
    ClassicRecord,
    ContestRecord,
    DataRecord,
    DifferenceRecord,
    EvidenceRecord,
    FigureRecord,
    InkRecord,
    LatentRecord,
    Made,
    ModelRecord,
    NeighbourRecord,
    Number,
    ReconstructionRecord,
    Summary,
    SweepRecord,
    VarianceRecord,
    VerdictRecord,
    keep_stage,
)

MADE = Made("elbowroom study digits", "2026-11-21", 40.4, "0.1.0", "2.13.0", "3.11.9", "x86_64, 2 cores", 2)


def short_contest(monkeypatch) -> None:
    """The classics at the settings that their search sets out from, and a flow that is hardly trained."""
    monkeypatch.setattr("elbowroom.studies.contest.BUDGET", 0.0)
    monkeypatch.setattr("elbowroom.studies.contest.copies_of", lambda rows, dimensions: 1)
    monkeypatch.setattr("elbowroom.studies.classes._RESTARTS", 1)
    monkeypatch.setattr("elbowroom.studies.flows._MOST_STEPS", 20)
    monkeypatch.setattr("elbowroom.studies.autoregressive._MOST_STEPS", 20)
    monkeypatch.setattr("elbowroom.studies.autoregressive._FEWEST_STEPS", 1)


def short_pilots(monkeypatch) -> None:
    """Step sizes of annealing found at few temperatures: a run is unbiased whatever they are."""
    monkeypatch.setattr("elbowroom.evidence.annealed.LEAST_POINTS", 8)
    monkeypatch.setattr("elbowroom.evidence.looks._LEAST_POINTS", 6)
    for name in ("_WARM_UP", "_STAY", "_PASSES"):  # how hard they look for places that the encoder misses
        monkeypatch.setattr(f"elbowroom.evidence.looks.{name}", 4)


def short_audit(monkeypatch) -> None:
    """An audit of as little as it takes."""
    short_pilots(monkeypatch)
    few = QUICK.context.aggregate._replace(fitted=40, choosing=10, told=10, among=20, components=1)
    little = QUICK._replace(
        n=2,
        identity={"temperatures": 4, "chains": 6, "leapfrog": 1, "steps": 2, "draws": 2},
        context=QUICK.context._replace(bounds=20, draws=2, units=20, aggregate=few),
        symptoms=QUICK.symptoms._replace(annealed=2, temperatures=4, chains=4, leapfrog=1, bounds=10, steps=2, draws=2),
        prices=QUICK.prices._replace(train=20, validation=20, test=20, draws=2),
    )
    monkeypatch.setattr("elbowroom.ledger._audit.QUICK", little)


def short_study(monkeypatch) -> None:
    """That contest, annealing of hardly any steps, an audit of hardly any examples and variances of few draws."""
    short_contest(monkeypatch)
    short_audit(monkeypatch)
    monkeypatch.setattr("elbowroom.studies.spending.ANNEALING", {"temperatures": 4, "chains": 6, "leapfrog": 1})
    monkeypatch.setattr("elbowroom.studies.variance._DRAWS", 100)
    monkeypatch.setattr("elbowroom.studies.variance._REPEATS", 2)


def keep_study(folder: Path, study: Mapping[str, Any], made: Made = MADE) -> None:
    """Write the files of all stages, and the plain values themselves for `kept_study`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plain.json").write_text(json.dumps(study))
    for stage, record in records_of(study).items():
        keep_stage(folder, stage, stage, made, record)


def kept_study(folder: Path) -> Any:
    """The plain values that `keep_study` wrote."""
    return json.loads((folder / "plain.json").read_text())


def records_of(study: Mapping[str, Any]) -> dict[str, Any]:
    """The record of every stage; of the audit where there is one."""
    data = study["data"]
    classes = {int(column): tuple(names) for column, names in (data.get("classes") or {}).items()}
    rows = [(row, Estimate.from_dict(row["estimate"])) for row in study["evidence"]]
    variances = tuple(map(_variance, study["variance"]))
    label = next((one["label"] for one in study["models"] if one["name"] == study["chosen"]), "")
    return {
        "load": DataRecord(
            **{name: _tupled(data[name]) for name in ("name", "source", "sha256", "split_seed", "support", "levels")},
            **{
                name: _tupled(data[name])
                for name in ("sizes", "event", "image_shape", "label_names", "columns", "notes")
            },
            official=(),
            kind="grid" if data["levels"] else "real",
            seen="unit" if data["levels"] else "real",
            classes=classes,
            preprocess={},
        ),
        "train": SweepRecord(tuple(map(_model, study["models"]))),
        "choose": ChoiceRecord(study["chosen"], label, "IWAE-64 on validation", len(study["models"])),
        "measure": EvidenceRecord(
            bounds={("ELBO", e.estimator)["IWAE" in e.estimator]: e for row, e in rows if row["kind"] == "vae"},
            not_measured=(),
            latents=_latents(study["latents"]),
            reconstruction=ReconstructionRecord(**study["reconstruction"]),
            leak=study["leak"],
            variances=tuple(one for one in variances if one.kind == "vae"),
            ink=_ink(study["ink"]),
            seed=study["draws"]["seed"],
            pictured=study["draws"]["n"],
        ),
        "contest": ContestRecord(
            tuple(
                ClassicRecord(row["name"], row["setting"], e, 1.0, 1.0) for row, e in rows if row["kind"] == "classic"
            ),
            None,
            4.1,
        ),
        "account": AccountRecord(DifferenceRecord(**study["difference"]), variances, _verdict(study["verdict"])),
        **({"audit": AuditRecord.from_dict(study["audit"])} if study.get("audit") else {}),
    }


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _model(model: Mapping[str, Any]) -> ModelRecord:
    about = {"quantity": "log p(x)", "estimator": "IWAE-64", "direction": "lower"}
    budget = Budget(model["draws"], 0)
    bounds = {
        name: Summary(mean=mean, se_mc=0.0, se_total=se, **about, n=model["n"], budget=budget)
        for name, (mean, se) in model["validation"].items()
    }
    rest = {name: _tupled(value) for name, value in model.items() if name not in ("validation", "n", "draws")}
    return ModelRecord(**rest, **bounds)


def _latents(latents: Mapping[str, Any]) -> LatentRecord:
    plain = {name: _tupled(value) for name, value in latents.items() if name != "knn"}
    return LatentRecord(**plain, neighbours=latents["knn"] and NeighbourRecord(**latents["knn"]))


def _variance(row: Mapping[str, Any]) -> VarianceRecord:
    rest = {name: value for name, value in row.items() if not name.startswith("latent_share")}
    return VarianceRecord(**rest, latent_share=Number(row["latent_share"], row["latent_share_se"]))


def _ink(ink: Mapping[str, Any]) -> InkRecord:
    return InkRecord(**{name: Number(ink[name], se) for name, se in ink["se"].items()}, draws=ink["draws"])


def _verdict(verdict: Mapping[str, Any]) -> VerdictRecord:
    return VerdictRecord(verdict["sentence"], tuple(FigureRecord(**f) for f in verdict["figures"]))
