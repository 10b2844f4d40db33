"""AEVB, wake–sleep and Monte-Carlo EM on MNIST: bound and log p(x) against the training samples seen.

    python reproductions/learning_algorithms/run.py --runs FOLDER          # N = 1,000: record.json, tables, figure
    python reproductions/learning_algorithms/run.py --draw                 # the tables and the figure alone
    python reproductions/learning_algorithms/run.py --images 50000 --epochs 1200 --device cuda --runs FOLDER

784-100-3-100-784 on the static binarisation. Rows that are in the record stay; a run that was stopped goes on, and so
does a longer one (--epochs) where its run folder is at hand.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(3)
WAYS: dict[str, dict[str, Any]] = {
    "AEVB": {},
    "wake–sleep": {"objective": "wake-sleep"},
    "Monte-Carlo EM": {"objective": {"kind": "monte-carlo-em", "transitions": 1, "leapfrog": 10}},
}
FILES = {"AEVB": "aevb", "wake–sleep": "wake-sleep", "Monte-Carlo EM": "mcem"}
LOOKS = (1, 3, 10, 30, 100, 200, 400, 1_000, 3_000, 10_000, 30_000)
IMAGES, EPOCHS, BATCH, LR = 1_000, 400, 100, 1e-3
MEASURED, DRAWS, ANNEALED = 300, 500, 16
PARTS = ("train", "test")


def recipe(way: str, seed: int) -> er.models.Recipe:
    """The model and what trains it, in words."""
    return er.models.Recipe(latents=3, widths=(100,), seed=seed).where(**WAYS[way])


def images(number: int) -> er.data.Dataset:
    """The first training images, 100 of validation, and test images at random, as these lie sorted by digit."""
    data = copy.copy(er.load_data("binarized-mnist", progress=False))
    some = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:MEASURED]
    data.train, data.validation, data.test = data.train[:number], data.validation[:100], data.test[some]
    return data


def name_of(way: str, number: int, seed: int) -> str:
    """Of a row of the record."""
    return f"{way}, N = {number:,}, seed {seed}"


def looks(epochs: int) -> list[int]:
    """The epochs after which is measured."""
    return [*(look for look in LOOKS if look < epochs), epochs]


def measured(vae: er.VAE, data: er.data.Dataset) -> dict[str, list[float]]:
    """Mean and standard error over images of the bound and of IWAE, on the first training and the test images."""
    found = {}
    for part, rows in (("train", data.train[:MEASURED]), ("test", data.test)):
        for what, bound in (("bound", er.evidence.elbo(vae, rows, draws=64)), ("log p", iwae(vae, rows))):
            found[f"{what}, {part}"] = [bound.mean, bound.se_total]
    return found


def iwae(vae: er.VAE, rows: Any) -> er.Estimate:
    """IWAE, a lower bound on log p(x)."""
    return er.evidence.iwae(vae, rows, draws=DRAWS)


def annealed(vae: er.VAE, data: er.data.Dataset) -> list[float]:
    """AIS of a few test images, and IWAE of the same: what the latter misses, and the error of that."""
    rows = data.test[:ANNEALED]
    apart = er.evidence.ais(vae, rows, temperatures=100, chains=4, leapfrog=5) - iwae(vae, rows)
    return [apart.mean, apart.se_total]


def refined(vae: er.VAE, data: er.data.Dataset) -> dict[str, list[float]]:
    """IWAE of test images where each has a q of its own: log p(x) of what the encoder has not learned to read."""
    own, ours = iwae(er.remedies.refine(vae, data.test, steps=100, refine_draws=4).vae, data.test), iwae(vae, data.test)
    apart = torch.as_tensor(own.values - ours.values)[:ANNEALED]
    few = [float(apart.mean()), float(apart.std() / len(apart) ** 0.5)]
    return {"log p, test": [own.mean, own.se_total], "refined IWAE − IWAE": few}


def row(way: str, number: int, seed: int, epochs: int, runs: Path, device: str) -> dict[str, Any]:
    """Train from one look to the next, and measure at each; what is done is read from the run's folder."""
    from canaries import steps
    from canary import begin

    data, words = images(number), recipe(way, seed)
    folder = runs / f"{FILES[way]}-{number}-{seed}"
    path = folder.with_suffix(".json")
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"looks": {}}
    missing = [look for look in looks(epochs) if str(look) not in found["looks"]]
    if missing:
        found["began"] = begin(folder, asdict(words), lambda: steps(way, number, seed))
    for look in missing:
        vae, goal = er.models.build(words, data), er.models.goal(words)
        settings = {"epochs": look, "batch_size": BATCH, "lr": LR, "select": "last", "seed": seed, "device": device}
        er.fit(vae, data, goal, **settings, run=folder, resume=(folder / "recipe.yaml").exists(), progress=False)
        vae.to(device)
        found["looks"][str(look)] = measured(vae, data)
        if look == epochs:
            found["AIS − IWAE"] = annealed(vae, data)
        write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    if found.get("refined after") != epochs:
        vae, _ = er.runs.read_run(folder)
        found |= {"refined": refined(vae.to(device), data), "refined after": epochs}
        write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def kept(record: dict[str, Any], name: str, found: dict[str, Any], number: int) -> None:
    """Put a row and its canary into the record."""
    from canary import into

    order = sorted(map(int, found["looks"]))
    what = {key: [found["looks"][str(look)][key] for look in order] for key in found["looks"][str(order[0])]}
    record[name] = {"epochs": order, "samples": [look * number for look in order], **what}
    record[name] |= {what: found[what] for what in ("AIS − IWAE", "refined")}
    into(record, name, found["began"])
    write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def at_hand(record: dict[str, Any], way: str, number: int) -> list[dict[str, Any]]:
    """The rows of the seeds that are measured in all three ways."""
    seeds = [seed for seed in SEEDS if all(name_of(each, number, seed) in record for each in WAYS)]
    return [record[name_of(way, number, seed)] for seed in seeds]


def over_seeds(record: dict[str, Any], way: str, number: int, key: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Samples seen, the mean over seeds, and its standard error."""
    rows = at_hand(record, way, number)
    values = np.array([[mean for mean, _ in one[key]] for one in rows])
    return rows[0]["samples"], values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def tables(record: dict[str, Any], number: int) -> Iterator[str]:
    """Markdown: bound and log p(x) at every look, and at the last what AIS says beside IWAE."""
    keys = [f"{what}, {part}" for what in ("bound", "log p") for part in PARTS]
    yield f"| learned by | samples seen | {' | '.join(keys)} |"
    yield "|---|---" + "|---" * len(keys) + "|"
    for way in WAYS:
        found = [over_seeds(record, way, number, key) for key in keys]
        for i, seen in enumerate(found[0][0]):
            cells = [f"{mean[i]:.1f} ± {error[i]:.1f}".replace("-", "−") for _, mean, error in found]
            yield f"| {way} | {seen:,} | {' | '.join(cells)} |"
    yield ""
    yield "| at the last | log p, test, own q | 16 test images, by seed: AIS − IWAE | IWAE by own q − IWAE |"
    yield "|---|---|---|---|"
    for way in WAYS:
        every = at_hand(record, way, number)
        mean, error = across([one["refined"]["log p, test"][0] for one in every])
        apart = [[one["AIS − IWAE"] for one in every], [one["refined"]["refined IWAE − IWAE"] for one in every]]
        cells = [f"{mean:.1f} ± {error:.1f}"]
        cells += [", ".join(f"{mean:.1f} ± {error:.1f}" for mean, error in one) for one in apart]
        yield f"| {way} | {' | '.join(cells).replace('-', '−')} |"


def across(values: list[float]) -> tuple[float, float]:
    """Mean over seeds, and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def draw(record: dict[str, Any], number: int) -> None:
    """figure.svg: bound and log p(x), of training and test images."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "learning-algorithms"}):
        figure, axes = plt.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
        panels = [(what, part) for what in ("bound", "log p") for part in PARTS]
        for axis, (what, part) in zip(axes, panels, strict=True):
            series = [Series(way, *map(list, over_seeds(record, way, number, f"{what}, {part}"))) for way in WAYS]
            lines(series, across="training samples seen", up=f"{what}, {part} (nats)", log_x=True, ax=axis)
            axis.set_ylim(-260, -100)
        figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def write_tables(record: dict[str, Any], number: int) -> None:
    """Put the tables into the README."""
    path = HERE / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->\n")
    said = "\n".join(tables(record, number))
    write_atomic(path, f"{head}<!-- table -->\n{said}\n<!-- end -->{rest.partition('<!-- end -->')[2]}")


def main() -> None:
    """Train and measure what is not there, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the tables and the figure")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--only", choices=list(WAYS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning_algorithms"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for seed in SEEDS if not asked.draw else ():
        for way in [asked.only] if asked.only else WAYS:
            name = name_of(way, asked.images, seed)
            if "refined" not in record.get(name, {}) or record[name]["epochs"][-1] < asked.epochs:
                kept(record, name, row(way, asked.images, seed, asked.epochs, asked.runs, asked.device), asked.images)
                print(name, flush=True)
    write_tables(record, IMAGES)
    draw(record, IMAGES)


if __name__ == "__main__":
    main()
