"""The gap between ELBO and log p(x), won back as bytes: binarised MNIST, the decoder untouched.

    python reproductions/bytes/run.py train --runs FOLDER                # 784-100-40, 30 epochs: 4 minutes of one core
    python reproductions/bytes/run.py encoder --runs FOLDER              # a wider q, p as it is
    python reproductions/bytes/run.py gap --runs FOLDER                  # ELBO, best q, log p(x): record.json
    python reproductions/bytes/run.py files [--only NAME] --runs FOLDER  # bytes, each file decoded and compared

The first 1,000 test images, or as many as --images says. ELBOWROOM_DATA says where the data lie. Rows that are in the
record are not made again.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import elbowroom as er
from elbowroom import networks, posteriors
from elbowroom.atomic import write_atomic
from elbowroom.compression import compress, decompress, rounded
from elbowroom.compression.cells import Spans
from elbowroom.compression.codec import Codec, Settings
from elbowroom.compression.outputs import run as run_part
from elbowroom.remedies.parts import with_parts

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
WORDS, EPOCHS = {"latents": 40, "widths": [100]}, 30
WIDTHS, WIDE_EPOCHS = (784, 300, 80), 8
ANNEALED, DRAWS, STEPS = 100, 64, 40
ANNEALING: dict[str, Any] = {"temperatures": 200, "chains": 6, "leapfrog": 5}
FILES = {
    "plain": ("plain", 1, 0), "plain, K = 16": ("plain", 16, 0), "encoder": ("wide", 1, 0),
    "encoder, K = 4": ("wide", 4, 0), "encoder, K = 16": ("wide", 16, 0), "encoder, K = 64": ("wide", 64, 0),
    "refined": ("wide", 1, STEPS), "refined, K = 4": ("wide", 4, STEPS), "refined, K = 16": ("wide", 16, STEPS),
    "refined, K = 64": ("wide", 64, STEPS), "plain, refined, K = 16": ("plain", 16, STEPS),
}  # fmt: skip


def plain() -> er.VAE:
    """The model before training."""
    return er.models.build(WORDS, data())


def data() -> er.data.Dataset:
    """Static binarised MNIST: 50,000 images to train on, 10,000 to test."""
    return er.load_data("binarized-mnist", progress=False)


def wider(vae: er.VAE) -> er.VAE:
    """The same p with a q of 300 hidden units, not trained."""
    torch.manual_seed(1)
    return with_parts(vae, posterior={"z": posteriors.DiagonalNormal(networks.MLP(WIDTHS), WORDS["latents"])})


def train(runs: Path) -> None:
    """Train p and q together, or go on."""
    run = runs / "plain"
    vae = plain()
    er.fit(vae, data(), epochs=EPOCHS, seed=0, run=run, resume=(run / "recipe.yaml").exists(), progress=False)


def encoder(runs: Path) -> None:
    """Train a wider q alone."""
    vae, _ = er.runs.read_run(runs / "plain")
    found = er.remedies.refine_inference(wider(vae), data(), kind="encoder", epochs=WIDE_EPOCHS, draws=2)
    er.vae.save_model(found.vae, runs / "wide.safetensors")
    print(found)


def model(name: str, runs: Path) -> er.VAE:
    """The model as trained, or with the wider q."""
    vae, _ = er.runs.read_run(runs / "plain")
    return vae if name == "plain" else er.vae.load_model(runs / "wide.safetensors")


def gap(runs: Path, images: int) -> dict[str, Any]:
    """Bounds of the rounded models on the rows of the files, and log p(x) from a few of them."""
    test = data().test[:images]
    old, new = (rounded(model(name, runs)) for name in ("plain", "wide"))
    elbo, wide, near = (
        er.evidence.elbo(old, test, draws=16),
        er.evidence.elbo(new, test, draws=16),
        er.evidence.iwae(new, test, draws=DRAWS),
    )
    few = test[:ANNEALED]
    annealed = er.evidence.ais(model("wide", runs), few, **ANNEALING)
    beyond = annealed.values - near.values[:ANNEALED]
    best = er.remedies.refine(model("wide", runs), few)
    error = float(beyond.std()) / math.sqrt(ANNEALED)
    log_p = near.mean + float(beyond.mean())
    return {
        "−ELBO": -elbo.mean, "−ELBO, wider q": -wide.mean, f"−IWAE-{DRAWS}, wider q": -near.mean,
        "−log p(x)": -log_p, "standard error of log p(x)": math.hypot(error, near.se_mc),
        "gap": log_p - elbo.mean,
        f"first {ANNEALED} rows": {
            "−ELBO": -elbo.values[:ANNEALED].mean().item(), "−ELBO, wider q": -wide.values[:ANNEALED].mean().item(),
            "−ELBO, q of each row": -best.elbo_after.mean, "−log p(x), AIS": -annealed.mean,
        },
        "annealing": ANNEALING,
    }  # fmt: skip


def file(name: str, runs: Path, images: int) -> dict[str, Any]:
    """One file of the images: its bytes, its bound, and whether it gives the images back."""
    which, draws, steps = FILES[name]
    vae, x = model(which, runs), data().test.rows(slice(0, images)).x.numpy().astype(np.uint8)
    path, since = runs / f"{images}-{which}-{draws}-{steps}.elb", time.process_time()
    how = {"draws": draws, "refine": steps, "chunk_rows": images}
    found = compress(vae, x, path, **how, bounds=False, progress=False)
    encoded, since = time.process_time() - since, time.process_time()
    equal = decompress(vae, path, progress=False).tobytes() == x.tobytes()
    decoded = time.process_time() - since
    each = weighted(vae, x, draws, steps)
    bound, error = float(each.mean()), math.sqrt(float(each.var(0).sum()) * (1 + 1 / len(each))) / images
    return {
        "rows, nats": found.nats, f"−IWAE-{draws}": bound, "standard error of the difference": error,
        "within 0.5 % + 3 standard errors": bool(abs(found.nats - bound) < 0.005 * bound + 3 * error),
        "bytes": found.total_bytes, "bytes of rows": found.coded_bits / 8, "initial bytes": found.initial_bits / 8,
        "bits per dimension": found.coded_bits / images / 784, "equal": bool(equal),
        "seconds": {"encode": encoded, "decode": decoded},
    }  # fmt: skip


@torch.no_grad()
def weighted(vae: er.VAE, x: np.ndarray, draws: int, steps: int) -> torch.Tensor:
    """−log of the mean of K weights of each row, [times, rows], from the rounded model and torch's own densities."""
    exact = rounded(vae)
    size = np.zeros(784, np.int64)
    codec = Codec(exact, Settings(16, 16, Spans(size, size + 1), draws=draws, refine=steps), exact=True)
    block, times, found = codec.blocks["z"], max(64 // draws, 2), []
    for group in reversed(codec.groups(len(x))):
        rows = torch.from_numpy(x[group]).double().reshape(-1, 784)
        mean, scale = (torch.from_numpy(one) for one in block.posterior_of({"x": rows[None]}, run_part))
        noise = torch.randn(times * draws, *mean.shape, dtype=torch.float64)
        z = mean + scale * noise
        logits = exact.likelihood.network(z.flatten(0, 1)).reshape(times * draws, -1, 784)
        log_x = -binary_cross_entropy_with_logits(logits, rows.expand_as(logits), reduction="none").sum(-1)
        logs = log_x + (0.5 * noise * noise - 0.5 * z * z + scale.log()).sum(-1)
        found.append(math.log(draws) - torch.logsumexp(logs.reshape(times, draws, -1), 1))
    return torch.cat(found, 1)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "encoder", "gap", "files"])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", choices=list(FILES))
    parser.add_argument("--images", type=int, default=1_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what in ("train", "encoder"):
        {"train": train, "encoder": encoder}[asked.what](asked.runs)
        return
    names = ["gap"] if asked.what == "gap" else [asked.only] if asked.only else list(FILES)
    of = f"{asked.images:,} images"
    for name in names:
        if name not in read().get(of, {}):
            row = gap(asked.runs, asked.images) if name == "gap" else file(name, asked.runs, asked.images)
            record = read()
            record.setdefault(of, {})[name] = row
            write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            print(name, json.dumps(row, ensure_ascii=False), flush=True)


def read() -> dict[str, Any]:
    """The record."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return found


if __name__ == "__main__":
    main()
