"""Train minus test log p(x) against capacity, and the training log p(x) of nested families, on digits.

    python reproductions/capacity/run.py            # record.json, table, figure; seeds that are there stay
    python reproductions/capacity/run.py --draw     # the table and the figure alone

Each seed draws another split of scikit-learn's digits, dequantised with the noise that evidence has for it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.exact import Kernels, fit_normal_mixture
from elbowroom.plots import Series, lines
from elbowroom.studies.seen import seen_rows

HERE = Path(__file__).parent
SEEDS = range(3)
BANDWIDTHS = tuple(float(h) for h in np.round(np.geomspace(0.4, 0.025, 9), 4))
COMPONENTS = (1, 2, 5, 10, 20, 40, 80, 160)
NESTED = (1, 2, 5, 20)
WIDTHS = (4, 16, 64, 256)
FLOOR, EPOCHS, LATENTS, DRAWS = 1e-3, 100, 16, 100
TESTED = 200  # rows of each part that a VAE is measured on


def split(model_scores: Any, train: np.ndarray, test: np.ndarray, log_jacobian: float) -> list[float]:
    """Mean log p(x) of train and test on the data's scale."""
    return [float(model_scores(rows).mean()) + log_jacobian for rows in (train, test)]


def kernels(train: np.ndarray, test: np.ndarray, log_jacobian: float) -> dict[str, list[float]]:
    """By bandwidth, the narrower the more capacity."""
    found = Kernels(train)
    return {f"{h:g}": split(lambda x, h=h: found.log_prob(x, h), train, test, log_jacobian) for h in BANDWIDTHS}


def mixtures(train: np.ndarray, test: np.ndarray, log_jacobian: float) -> dict[str, list[float]]:
    """Diagonal covariances, by the number of components, each from the clusters of k-means."""
    found = {}
    for k in COMPONENTS:
        model = fit_normal_mixture(train, k, uncorrelated=1.0, floor=FLOOR)
        found[str(k)] = split(model.log_prob, train, test, log_jacobian)
    return found


def nested(train: np.ndarray, test: np.ndarray, log_jacobian: float) -> dict[str, list[float]]:
    """The same family, where each mixture begins as the one before it: a component is split until there are k."""
    found, model = {}, fit_normal_mixture(train, 1, uncorrelated=1.0, floor=FLOOR)
    for k in range(1, max(NESTED) + 1):
        if k > 1:
            model = fit_normal_mixture(train, k, uncorrelated=1.0, floor=FLOOR, start=halved(model))
        if k in NESTED:
            found[str(k)] = split(model.log_prob, train, test, log_jacobian)
    return found


def halved(model: er.exact.NormalMixture) -> er.exact.NormalMixture:
    """The same density but for a tenth of a deviation: its heaviest component stands there twice, moved apart."""
    k = int(model.weights.argmax())
    weights = np.append(model.weights, model.weights[k] / 2)
    weights[k] /= 2
    apart = 0.1 * np.sqrt(model.covariances[k])
    means = np.concatenate([model.means, model.means[k : k + 1] + apart])
    means[k] -= apart
    return er.exact.NormalMixture(weights, means, np.concatenate([model.covariances, model.covariances[k : k + 1]]))


def vaes(data: Any, seed: int) -> dict[str, list[float]]:
    """By the width of the hidden layer: IWAE after all epochs, whatever validation says."""
    found = {}
    for width in WIDTHS:
        vae = er.models.build({"latents": LATENTS, "widths": [width], "seed": seed}, data)
        er.fit(vae, data, epochs=EPOCHS, lr=2e-3, select="last", seed=seed, progress=False)
        parts = (data.train[:TESTED], data.test[:TESTED])
        found[str(width)] = [float(er.evidence.iwae(vae, part, draws=DRAWS, seed=seed).mean) for part in parts]
    return found


def measured(seed: int) -> dict[str, Any]:
    """All families on one split."""
    data = er.load_data("digits", seed=seed)
    (train, jacobian), (test, _) = (seen_rows(data, part, seed, 10_000) for part in (data.train, data.test))
    about = (train, test, float(jacobian[0]))
    return {"kernel": kernels(*about), "mixture": mixtures(*about), "nested": nested(*about), "vae": vaes(data, seed)}


def gaps(record: dict[str, Any], family: str) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Capacities, and train and test log p(x) of every seed, [seeds, capacities, 2], with the errors of their means."""
    seeds = [record[str(seed)] for seed in SEEDS]
    names = list(seeds[0][family])
    values = np.array([[one[family][name] for name in names] for one in seeds])
    return [float(name) for name in names], values, values.std(0, ddof=1) / np.sqrt(len(seeds))


def table(record: dict[str, Any]) -> str:
    """Markdown: every family, its capacity, train, test, and their difference ± the standard error over seeds."""
    rows = ["| family | capacity | train | test | train − test |", "|---|---|---|---|---|"]
    words_of = {"kernel": "bandwidth", "mixture": "components", "nested": "nested, components", "vae": "width"}
    for family, words in words_of.items():
        capacities, values, errors = gaps(record, family)
        gap = values[:, :, 0] - values[:, :, 1]
        error = gap.std(0, ddof=1) / np.sqrt(len(gap))
        for i, capacity in enumerate(capacities):
            mean = values.mean(0)[i]
            cells = [f"{mean[j]:.1f} ± {errors[i, j]:.1f}" for j in (0, 1)] + [f"{gap.mean(0)[i]:.1f} ± {error[i]:.1f}"]
            rows.append(f"| {family} | {words} {capacity:g} | {' | '.join(cells)} |".replace("-", "−"))
    return "\n".join(rows)


def draw(record: dict[str, Any]) -> None:
    """figure.svg: the differences side by side, and the nested family's log p(x)."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), layout="constrained")
    words = (("kernel", "1 / bandwidth of the kernel"), ("mixture", "components"), ("vae", "width of the VAE"))
    for axis, (family, name) in zip(axes, words, strict=False):
        capacities, values, _ = gaps(record, family)
        x = [1 / c if family == "kernel" else c for c in capacities]
        gap, test = values[:, :, 0] - values[:, :, 1], values[:, :, 1].max(1, keepdims=True) - values[:, :, 1]
        shown = (("train − test", gap), ("best test − test", test))
        series = [Series(w, x, list(v.mean(0)), list(v.std(0, ddof=1) / np.sqrt(len(v)))) for w, v in shown]
        lines(series, across=name, up="nats", log_x=True, ax=axis)
    capacities, values, errors = gaps(record, "nested")
    parts = (("training", 0), ("test", 1))
    series = [Series(word, capacities, list(values.mean(0)[:, j]), list(errors[:, j])) for word, j in parts]
    lines(series, across="components, nested", up="log p(x) (nats)", log_x=True, ax=axes[3])
    figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the table and the figure")
    torch.set_num_threads(1)
    path = HERE / "record.json"
    if not parser.parse_args().draw:
        record = json.loads(path.read_text()) if path.exists() else {}
        for seed in SEEDS:
            if str(seed) not in record:
                from canaries import into, steps

                record[str(seed)] = measured(seed)
                into(record, str(seed), steps(seed))
                write_atomic(path, json.dumps(record, indent=1) + "\n")
                print(seed, flush=True)
    record = json.loads(path.read_text())
    print(table(record))
    draw(record)


if __name__ == "__main__":
    main()
