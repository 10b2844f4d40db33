"""Digits against Fashion-MNIST: does log p(x), or log p(x | z), tell what a VAE was not trained on?

ELBOWROOM_DATA=… python reproductions/evidence/anomaly.py shared         # a minute of one core; one σ for all pixels
ELBOWROOM_DATA=… python reproductions/evidence/anomaly.py predicted      # σ of every pixel as a function of z
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.evidence import conditional_log_likelihood, iwae
from elbowroom.metrics import auroc

HERE = Path(__file__).parent
SETS = ("mnist", "fashion-mnist")
TRAINED_ON, EPOCHS, POINTS, DRAWS = 20_000, 5, 1_000, 128


def trained(data: "er.data.Dataset", scale: str) -> er.VAE:
    """784-256-256-10 with Gaussian noise on dequantised pixels."""
    vae = er.models.build({"likelihood": {"kind": "normal", "scale": scale}, "latents": 10}, data)
    er.fit(vae, replace(data, train=data.train[:TRAINED_ON]), epochs=EPOCHS)
    return vae


def scores(vae: er.VAE, examples: "er.data.Examples") -> dict[str, Any]:
    """Both scores of every example, nats, by name."""
    bound = iwae(vae, examples, draws=DRAWS, progress=True)
    conditional = conditional_log_likelihood(vae, examples, draws=DRAWS // 4, progress=True).per_example
    return {f"log p(x), IWAE-{DRAWS}": bound, "E log p(x | z)": conditional}


def main(scale: str) -> None:
    from canaries import canaries
    from canary import keep

    sets = {name: er.load_data(name) for name in SETS}
    tests = {name: data.test[:POINTS] for name, data in sets.items()}
    record: dict[str, Any] = {
        "scale": scale,
        "trained_on": TRAINED_ON,
        "epochs": EPOCHS,
        "points": POINTS,
        "models": {},
    }
    for inside, outside in (SETS, SETS[::-1]):
        start = time.perf_counter()
        vae = trained(sets[inside], scale)
        mine, theirs = scores(vae, tests[inside]), scores(vae, tests[outside])
        record["models"][inside] = {
            "seconds": time.perf_counter() - start,
            "scores": {name: summary(mine[name], theirs[name]) for name in mine},
        }
    write_atomic(HERE / f"anomaly_{scale}.json", json.dumps(record, indent=1) + "\n")
    keep(HERE / f"anomaly_{scale}.json", canaries())
    show(record)


def summary(inside: er.Estimate, outside: er.Estimate) -> dict[str, float]:
    """Means with their errors, and the area under the ROC curve of the score with its own."""
    area = auroc(inside.values, outside.values)
    return {
        "inside": inside.mean,
        "inside_se": inside.se_total,
        "outside": outside.mean,
        "outside_se": outside.se_total,
        "auroc": area.value,
        "auroc_se": area.se,
    }


def show(record: dict[str, Any]) -> None:
    """Print the record as the table of the page."""
    print("| trained on | score | mean inside, nats | mean outside, nats | AUROC |\n|---|---|---|---|---|")
    for name, found in record["models"].items():
        for score, s in found["scores"].items():
            means = f"{s['inside']:.0f} ± {s['inside_se']:.0f} | {s['outside']:.0f} ± {s['outside_se']:.0f}"
            print(f"| {name} | {score} | {means.replace('-', '−')} | {s['auroc']:.4f} ± {s['auroc_se']:.4f} |")


if __name__ == "__main__":
    main(sys.argv[1])
