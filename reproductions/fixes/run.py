"""Five models that are ill in known ways, before and after `er.fix`: which remedy wins how many nats.

    python reproductions/fixes/run.py --runs FOLDER              # all rows, then the tables of the README
    python reproductions/fixes/run.py --runs FOLDER β            # rows whose names hold these letters
    python reproductions/fixes/run.py --draw                     # the tables alone

Trainings are small: a few thousand images, a few epochs. Rows that are in the record stay; a model that is trained is
read from FOLDER. The worm's neurons are read by h5py from $ELBOWROOM_DATA/single_cell.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom import ledger
from elbowroom.atomic import write_atomic

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
IMAGES, FEW, GENES = 5_000, 1_000, 300
EPOCHS, TOLD, DECIDE = 10, 16, 500
REMEDIES = ("calibrate", "structured_residual", "shrink_latent", "refit_prior", "lower_beta", "stop_earlier", "anneal",
            "free_bits", "refine_inference")  # fmt: skip  # all but aggressive, which takes twenty times as long
MODEL = {"latents": 20, "widths": [200, 200]}
LR = {"lr": 1e-3, "batch_size": 100}


def binary(number: int) -> er.data.Dataset:
    """The first images of the static binarisation; validation and test, which lie sorted, in a seeded order."""
    data = er.load_data("binarized-mnist", progress=False)
    return shorter(data, number)


def grey(number: int) -> er.data.Dataset:
    """MNIST in 256 grey levels, dequantised to [0, 1]."""
    return shorter(er.load_data("mnist", progress=False), number)


def shorter(data: er.data.Dataset, number: int) -> er.data.Dataset:
    """So many training images, and 2,000 each of validation and test, at random."""
    order = torch.Generator().manual_seed(0)
    some = {part: torch.randperm(len(rows), generator=order)[:2_000] for part, rows in data.parts.items()}
    return dataclasses.replace(
        data,
        train=data.train[:number],
        validation=data.validation[some["validation"]],
        test=data.test[some["test"]],
    )


def worm() -> er.data.Dataset:
    """Counts of the genes that vary most between 4,186 neurons of the worm."""
    import h5py

    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / "worm_neuron_cell.h5") as file:
        counts = np.asarray(file["X"])
    chosen = np.sort(np.argsort(-np.log1p(counts).var(0))[:GENES])
    return er.load_data(counts[:, chosen].astype(np.int64), name="worm-neurons", support="counts")


CASES: dict[str, tuple[Callable[[], er.data.Dataset], dict[str, Any]]] = {
    "β = 0.1": (lambda: binary(IMAGES), {"beta": 0.1, "epochs": 10}),
    "σ = 1": (lambda: grey(IMAGES), {"likelihood": {"kind": "normal", "scale": 1.0}, "epochs": 10}),
    "β = 10": (lambda: binary(IMAGES), {"beta": 10.0, "epochs": 10}),
    "1,000 digits": (lambda: binary(FEW), {"epochs": 200, "select": "last"}),
    "worm, negative binomial": (worm, {"likelihood": "negative-binomial", "latents": 10, "epochs": 30}),
}


AGAIN = {"1,000 digits": 60, "worm, negative binomial": 20}
"""Epochs of trainings again, where there are few steps in each."""


def recipe(name: str) -> er.models.Recipe:
    """The model and its training, in words."""
    return er.models.Recipe().where(**{**MODEL, **LR, **CASES[name][1]})


def trained(name: str, data: er.data.Dataset, runs: Path) -> er.VAE:
    """The ill model, from its run folder where it is there."""
    folder, words = runs / name.replace(" ", "").replace(",", ""), recipe(name)
    if (folder / "model.safetensors").exists():
        return er.runs.read_run(folder)[0]
    vae, goal = er.models.build(words, data), er.models.goal(words)
    er.fit(vae, data, goal, **words.training, run=folder, progress=False)
    return vae


def numbers(estimate: er.Estimate) -> list[float]:
    """Mean and standard error."""
    return [round(estimate.mean, 4), round(estimate.se_total, 4)]


def told(vae: er.VAE, data: er.data.Dataset) -> dict[str, list[float] | None]:
    """ELBO, refined ELBO and log p by AIS of the same test examples; None for what the model cannot have."""
    rows = data.test[:TOLD]
    try:
        one = ledger.identity(vae, rows, temperatures=40, chains=6, leapfrog=4, steps=100, draws=32, progress=False)
    except (er.CapabilityError, er.InputError) as error:
        print(f"no identity: {error}")
        return {"ELBO": numbers(er.evidence.elbo(vae, rows, draws=32)), "refined": None, "log p": None}
    return {"ELBO": numbers(one.elbo), "refined": one.refined and numbers(one.refined), "log p": numbers(one.log_p)}


def step_of(step: er.remedies.Remedied) -> dict[str, Any]:
    """A remedy that was tried."""
    gains = {"gain": numbers(step.gain), "iwae": numbers(step.gain_iwae)}
    return {"name": step.name, "kept": step.pays, **gains, "seconds": round(step.seconds, 1)}


def longer(name: str, vae: er.VAE, fixed: er.VAE, data: er.data.Dataset) -> dict[str, Any]:
    """Of an overfitted model: what stopping earlier wins in as many epochs as it had, and log p won on 64 images."""
    if "select" not in CASES[name][1]:
        return {}
    step = er.remedies.stop_earlier(vae, data, epochs=CASES[name][1]["epochs"], patience=20, draws=16)
    ends = [er.evidence.ais(one, data.test[:64], temperatures=40, chains=6, leapfrog=4) for one in (vae, fixed)]
    return {"as long": step_of(step), "log p won, 64 test": numbers(ends[1] - ends[0])}


def row(name: str, runs: Path) -> dict[str, Any]:
    """Train, fix, and measure before and after."""
    began = time.process_time()
    data = CASES[name][0]()
    vae = trained(name, data, runs)
    how = {"remedies": REMEDIES, "seconds": None, "epochs": AGAIN.get(name, EPOCHS), "validation": DECIDE}
    done = er.fix(vae, data, audits=False, progress=True, **how)
    print(done, *done.untried, sep="\n", flush=True)
    er.save_model(done.vae, runs / f"{name.replace(' ', '').replace(',', '')}.fixed")
    return longer(name, vae, done.vae, data) | {
        "steps": [step_of(step) for step in done.steps],
        "untried": list(done.untried),
        "elbo_before": numbers(done.elbo_before),
        "elbo_after": numbers(done.elbo_after),
        "won": numbers(done.won),
        "before": told(vae, data),
        "after": told(done.vae, data),
        "core_seconds": round(time.process_time() - began),
    }


def shown(pair: list[float] | None, places: int = 1) -> str:
    """A number with its error."""
    return "–" if pair is None else f"{pair[0]:.{places}f} ± {pair[1]:.{places}f}".replace("-", "−")


def tables(record: dict[str, Any]) -> Iterator[str]:
    """Markdown: before and after, and every step."""
    yield "| model | ELBO, 2,000 test | after | won | of 16 test: ELBO → refined → log p, before | after |"
    yield "|---|---|---|---|---|---|"
    for name in (name for name in CASES if name in record):
        found = record[name]
        ledgers = [" → ".join(shown(found[when][key]) for key in ("ELBO", "refined", "log p"))
                   for when in ("before", "after")]  # fmt: skip
        ends = [shown(found[key]) for key in ("elbo_before", "elbo_after", "won")]
        yield f"| {name} | {' | '.join([*ends, *ledgers])} |"
    yield ""
    yield "| model | remedy, in order | ELBO won on validation | IWAE-16 won | kept |"
    yield "|---|---|---|---|---|"
    for name in (name for name in CASES if name in record):
        for step in record[name]["steps"]:
            cells = [step["name"], shown(step["gain"], 2), shown(step["iwae"], 2), "yes" if step["kept"] else "no"]
            yield f"| {name} | {' | '.join(cells)} |"
        if "as long" in record[name]:
            step = record[name]["as long"]
            cells = [f"{step['name']}, alone, 200 epochs", shown(step["gain"], 2), shown(step["iwae"], 2), "–"]
            yield f"| {name} | {' | '.join(cells)} |"


def write_tables(record: dict[str, Any]) -> None:
    """The tables, between their marks in the README."""
    path = HERE / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- tables -->\n")
    _, _, after = rest.partition("<!-- end -->")
    table = "\n".join(tables(record))
    write_atomic(path, f"{before}<!-- tables -->\n\n{table}\n\n<!-- end -->{after}")


def main() -> None:
    """Rows that are missing, one by one, and the tables."""
    from canaries import steps
    from canary import into

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("letters", nargs="?", default="")
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--draw", action="store_true")
    asked = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name in CASES if not asked.draw else ():
        if asked.letters in name and name not in record:
            record[name] = row(name, asked.runs)
            into(record, name, steps(name))
            write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    write_tables(record)


if __name__ == "__main__":
    import sys

    sys.path[:0] = [str(HERE), str(HERE.parent)]
    main()
