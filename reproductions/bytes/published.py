"""The weights that the authors of BB-ANS published, their decoder untouched: ELBO, IWAE-1000, files of MNIST's test.

    git clone https://github.com/bits-back/bits-back                    # its weights are read from there; none are here
    python reproductions/bytes/published.py bits   --weights CLONE/torch_vae/saved_params --files FOLDER
    python reproductions/bytes/published.py levels --weights CLONE/torch_vae/saved_params --files FOLDER

Rows are kept in published.json, and not made again; --only takes one of them, --images the first of the images alone.
ELBOWROOM_DATA says where MNIST lies.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom import likelihoods, networks, posteriors, priors
from elbowroom.atomic import write_atomic
from elbowroom.compression import compress, decompress, rounded

RECORD = Path(__file__).parent / "published.json"
ROOT = Path(__file__).parents[2]
PIXELS, NATS = 784, 784 * math.log(2)
STEPS, DRAWS = 40, 64
Row = dict[str, Any]

NAMES = {"bits": "torch_binary_vae_params_random", "levels": "torch_vae_beta_binomial_params"}
FILES = {
    "bits": {"as published": (1, 0), "K = 16": (16, 0), "K = 64": (64, 0), "refined": (1, STEPS),
             "refined, K = 16": (16, STEPS), "refined, K = 64": (64, STEPS)},
    "levels": {"as published": (1, 0), "K = 4": (4, 0), "K = 16": (16, 0), "refined": (1, STEPS),
               "refined, K = 16": (16, STEPS)},
}  # fmt: skip
"""Draws and steps of each file."""


def bits(weights: dict[str, torch.Tensor]) -> er.VAE:
    """784-100-40, rectified, a Bernoulli for each pixel; their σ is exp of what the encoder returns."""
    q, p = (networks.MLP(widths, activation="relu") for widths in ((PIXELS, 100, 80), (40, 100, PIXELS)))
    fill(q, {"layers.0": ["fc1"], "layers.2": ["fc21", "fc22"]}, weights)
    fill(p, {"layers.0": ["fc3"], "layers.2": ["fc4"]}, weights)
    posterior = posteriors.DiagonalNormal(q, 40, spread="exp", floor=0.0)
    return er.VAE(priors.StandardNormal(40), posterior, likelihoods.Bernoulli(p, PIXELS))


def levels(weights: dict[str, torch.Tensor]) -> er.VAE:
    """784-200-50 with batch norm, a beta-binomial for each pixel.

    Batch norm of the encoder's outputs, and that they divide levels by 255, go into the encoder's weights.
    """
    q = networks.MLP((PIXELS, 200, 100), activation="relu", norm="batch")
    p = networks.MLP((50, 200, 2 * PIXELS), activation="relu", norm="batch")
    fill(q, {"layers.0": ["fc1"], "layers.1": ["bn1"]}, weights)
    fill(p, {"layers.0": ["fc3"], "layers.1": ["bn3"], "layers.3": ["fc4"]}, weights)
    with torch.no_grad():
        q.layers[0].weight /= 255.0
        folded = [normed(weights, *pair) for pair in (("fc21", "bn21"), ("fc22", "bn22"))]
        q.layers[3].weight.copy_(torch.cat([one[0] for one in folded]))
        q.layers[3].bias.copy_(torch.cat([one[1] for one in folded]))
    posterior = posteriors.DiagonalNormal(q, 50, spread="exp", floor=0.0)
    return er.VAE(priors.StandardNormal(50), posterior, likelihoods.BetaBinomial(p, PIXELS, 256)).eval()


def normed(weights: dict[str, torch.Tensor], linear: str, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a linear layer and the batch norm behind it, as they stand in evaluation."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-5).sqrt()
    bias = (weights[f"{linear}.bias"] - weights[f"{norm}.running_mean"]) * scale + weights[f"{norm}.bias"]
    return weights[f"{linear}.weight"] * scale[:, None], bias


def fill(network: torch.nn.Module, layers: dict[str, list[str]], weights: dict[str, torch.Tensor]) -> None:
    """Their numbers in our layers, every one of them; several layers side by side."""
    held = network.state_dict()
    for own, theirs in layers.items():
        for kind in (name.removeprefix(own + ".") for name in held if name.startswith(own + ".")):
            found = [weights[f"{name}.{kind}"] for name in theirs]
            held[f"{own}.{kind}"] = torch.cat(found) if found[0].ndim else found[0]
    network.load_state_dict(held)


def grey() -> np.ndarray:
    """The 10,000 test images of MNIST, 0 … 255."""
    return (
        er.load_data("mnist", preprocess="none").test.rows(slice(None)).x.numpy().astype(np.uint8).reshape(-1, PIXELS)
    )


def binarised() -> np.ndarray:
    """As in their benchmark_compressors.py: a uniform number of seed 0 below each grey level."""
    x = grey()
    return (np.random.RandomState(0).random_sample(x.shape) < x / 255).astype(np.uint8)


def binarised_by_torch() -> np.ndarray:
    """As in their torch_bin_mnist_compress.py: seed 17, a model is made, then every pixel is drawn; of this torch."""
    torch.manual_seed(17)
    for inputs, outputs in ((PIXELS, 100), (100, 40), (100, 40), (40, 100), (100, PIXELS)):
        torch.nn.Linear(inputs, outputs)
    return torch.distributions.Bernoulli(torch.from_numpy(grey()).float() / 255.0).sample().numpy().astype(np.uint8)


def bound(vae: er.VAE, x: np.ndarray, kind: str, draws: int) -> Row:
    """ELBO or IWAE of rows, in bits a pixel."""
    rows = torch.from_numpy(x.astype(np.float32))
    found = getattr(er.evidence, kind)(vae, rows, draws=draws)
    return {"nats": -found.mean, "bits per dimension": -found.mean / NATS, "error of draws, nats": found.se_mc}


def bounds(what: str, vae: er.VAE) -> Row:
    """What the model claims, as published and rounded, and on other binarisations."""
    x = images(what)
    if what == "levels":
        first = x[:1_000]
        return {
            "−ELBO": bound(vae, x, "elbo", 4), "−ELBO, first 1,000": bound(vae, first, "elbo", 4),
            "−ELBO of the rounded model, first 1,000": bound(rounded(vae), first, "elbo", 4),
            "−IWAE-100, first 1,000": bound(vae, first, "iwae", 100),
        }  # fmt: skip
    drawn = binarised_by_torch()
    static = er.load_data("binarized-mnist").test.rows(slice(None)).x.numpy().reshape(-1, PIXELS)
    return {
        "−ELBO": bound(vae, x, "elbo", 16), "−IWAE-1000": bound(vae, x, "iwae", 1_000),
        "−ELBO of the rounded model": bound(rounded(vae), x, "elbo", 16),
        "−ELBO, seed 17 by torch": bound(vae, drawn, "elbo", 16),
        "the first 200 of these": bound(vae, drawn[:200], "elbo", 16),
        "−ELBO, static binarised MNIST": bound(vae, static, "elbo", 16),
    }  # fmt: skip


def others(what: str) -> dict[str, int]:
    """Bytes of the same images by other codecs, each at its strongest."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from compression import rivals

    return rivals(what, images(what), er.load_data("mnist", preprocess="none"))


def images(what: str) -> np.ndarray:
    """What is coded."""
    return binarised() if what == "bits" else grey()


def file(vae: er.VAE, x: np.ndarray, draws: int, steps: int, path: Path) -> Row:
    """One file: its bytes, the bound of its masses on the first rows, and whether it gives the images back."""
    since = time.process_time()
    found = compress(vae, x, path, draws=draws, refine=steps, chunk_rows=len(x), bounds=False, progress=False)
    encoded, since = time.process_time() - since, time.process_time()
    equal = decompress(vae, path, progress=False).tobytes() == x.tobytes()
    decoded = time.process_time() - since
    return {
        "images": len(x), "draws": draws, "steps": steps, "nats": found.nats, "bits per dimension": found.nats / NATS,
        "bytes": found.total_bytes, "bytes of rows": found.coded_bits / 8, "initial bytes": found.initial_bits / 8,
        "head and index": found.total_bytes - (found.coded_bits + found.initial_bits) / 8, "equal": bool(equal),
        "seconds": {"encode": encoded, "decode": decoded},
    }  # fmt: skip


def kept(what: str, name: str, row: Row) -> None:
    """Write one row of the record."""
    record = read()
    record.setdefault(what, {})[name] = row
    write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(what, name, json.dumps(row, ensure_ascii=False), flush=True)


def read() -> dict[str, Any]:
    """The record."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=list(NAMES))
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--only", help="one row: bounds, rivals, or the name of a file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    weights = torch.load(asked.weights / NAMES[asked.what], map_location="cpu", weights_only=True)
    vae = {"bits": bits, "levels": levels}[asked.what](weights)
    asked.files.mkdir(parents=True, exist_ok=True)
    for name in [asked.only] if asked.only else ["bounds", "rivals", *FILES[asked.what]]:
        key = name if name not in FILES[asked.what] or asked.images == 10_000 else f"{name}, {asked.images:,} images"
        if key in read().get(asked.what, {}):
            continue
        if name == "bounds":
            kept(asked.what, key, bounds(asked.what, vae))
        elif name == "rivals":
            kept(asked.what, key, others(asked.what))
        else:
            path = asked.files / f"{asked.what}.elb"
            kept(asked.what, key, file(vae, images(asked.what)[: asked.images], *FILES[asked.what][name], path))
    sys.path.append(str(Path(__file__).parents[1]))
    from canaries import canaries
    from canary import keep

    keep(RECORD, canaries(), asked.what)


if __name__ == "__main__":
    main()
