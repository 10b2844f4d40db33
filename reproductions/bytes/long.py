"""Files of VAEs that were trained for minutes of a GPU, or of many cores: MNIST of 256 levels, and binarised.

    python reproductions/bytes/long.py train levels --seconds 320 --device cuda --models MODELS
    python reproductions/bytes/long.py files levels --part 0 --rows 1250 --models MODELS  # of test images, by parts
    python reproductions/bytes/long.py claim residual --models MODELS                       # −ELBO of all of them
    python reproductions/bytes/long.py record --models MODELS                               # long.json

ELBOWROOM_DATA says where the data lie. The models:

    levels      784-400-400-50, beta-binomial levels, perceptrons
    residual    residual convolutions of 32 and 64 channels, 40 latents, mixtures of 4 logistics
    binarised   784-100-40, bits
    two-layer   784-200-100-200-50, bits
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published import PIXELS, Row, file

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.compression._decompress import opened
from elbowroom.compression.coded import coded_bound
from elbowroom.compression.container import Reader

sys.path.append(str(Path(__file__).parents[1] / "lossy"))

import models

RECORD = Path(__file__).parent / "long.json"
WORDS: dict[str, dict[str, Any]] = {
    "levels": {"latents": 50, "widths": [400, 400], "likelihood": "beta-binomial"},
    "residual": {
        "latents": 40, "network": {"kind": "residual", "channels": [32, 64], "blocks": 1, "norm": "batch"},
        "likelihood": {"kind": "discretised-logistic", "components": 4},
    },
    "binarised": {"latents": 40, "widths": [100]},
    "two-layer": {"latents": [100, 50], "widths": [200]},
}  # fmt: skip
FILES = {
    "levels": [(16, 40), (1, 0), (16, 0)], "residual": [(1, 0)], "binarised": [(1, 0), (16, 40)],
    "two-layer": [(1, 0), (16, 0)],
}  # fmt: skip
"""Draws and steps of each file."""


def data_of(name: str) -> er.data.Dataset:
    """MNIST, as the model reads it."""
    if name in ("binarised", "two-layer"):
        return er.load_data("binarized-mnist", progress=False)
    return er.load_data("mnist", preprocess="none", flat=name != "residual", progress=False)


def train(name: str, seconds: float, device: str, folder: Path) -> None:
    """Train one model, and keep it and how it went."""
    data, path = data_of(name), folder / f"{name}.safetensors"
    vae = er.models.build(WORDS[name], data)

    def kept(row: dict[str, Any]) -> None:
        models.keep(vae, path)
        write_atomic(path.with_suffix(".json"), json.dumps(row | {"torch": torch.__version__}, indent=1))

    models.train(vae, data, er.objectives.Elbo(), seconds, device, 100, kept)


def files(name: str, part: int, rows: int, folder: Path) -> None:
    """Files of some test images, what they must be as long as, and the bounds of the model."""
    vae, found = models.kept_model(folder / f"{name}.safetensors", part), list[Row]()
    x = data_of(name).test.rows(slice(part * rows, (part + 1) * rows)).x
    levels, path = x.numpy().astype(np.uint8), folder / f"{name}-{part}.elb"
    for draws, steps in FILES[name]:
        found.append(file(vae, levels, draws, steps, path))
        if (draws, steps) == (1, 0):
            bound = coded_bound(opened(vae, Reader(path)), x, draws=2)
            found[-1] |= {"bound": -bound.mean, "variance": float(bound.mc_variance.sum()) * 3}
        path.unlink()
        write_atomic(folder / f"{name}.{part}.files", json.dumps(found, indent=1))
    found.append({"elbo": -er.evidence.elbo(vae, x, draws=4).mean, "images": len(x)})
    write_atomic(folder / f"{name}.{part}.files", json.dumps(found, indent=1))


def claim(name: str, folder: Path) -> None:
    """−ELBO of all test images, of the model in 32 bits."""
    draws = 1 if name == "residual" else 4
    found = er.evidence.elbo(models.kept_model(folder / f"{name}.safetensors", -1), data_of(name).test, draws=draws)
    row = {
        "images": len(found.values), "draws": draws, "nats": -found.mean,
        "bits per dimension": -found.mean / PIXELS / math.log(2),
        "error of draws, nats": found.se_mc if draws > 1 else None,
    }  # fmt: skip
    write_atomic(folder / f"{name}.all", json.dumps(row, indent=1))


def together(parts: list[Row]) -> Row:
    """One row of what was measured by parts."""
    images = sum(part["images"] for part in parts)
    nats = sum(part["nats"] * part["images"] for part in parts) / images
    row = {
        "images": images, "files": len(parts), "nats": nats, "bits per dimension": nats / PIXELS / math.log(2),
        "bytes": sum(part["bytes"] for part in parts), "equal": all(part["equal"] for part in parts),
        "seconds": {do: sum(part["seconds"][do] for part in parts) for do in ("encode", "decode")},
    }  # fmt: skip
    if "bound" in parts[0]:
        bound = sum(part["bound"] * part["images"] for part in parts) / images
        error = math.sqrt(sum(part["variance"] for part in parts)) / images
        row |= {
            "bound, nats": bound, "standard error of the difference": error,
            "within": abs(nats - bound) < 0.005 * bound + 3 * error,
        }  # fmt: skip
    return row


def record(folder: Path) -> None:
    """long.json."""
    found = dict[str, Any]()
    for name in WORDS:
        parts = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}.*.files"))]
        if not parts:
            continue
        row: dict[str, Any] = {"recipe": WORDS[name]}
        row["training"] = json.loads((folder / f"{name}.json").read_text())
        for draws, steps in FILES[name]:
            same = [one for part in parts for one in part if (one.get("draws"), one.get("steps")) == (draws, steps)]
            if same:
                row[f"{draws} draws, {steps} steps"] = together(same)
        if (folder / f"{name}.all").exists():
            row["−ELBO of all test images"] = json.loads((folder / f"{name}.all").read_text())
        claims = [one for part in parts for one in part if "elbo" in one]
        if claims:
            total = sum(one["images"] for one in claims)
            row["−ELBO of these"] = {
                "images": total,
                "nats": sum(one["elbo"] * one["images"] for one in claims) / total,
            }
        found[name] = row
    write_atomic(RECORD, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    sys.path.append(str(Path(__file__).parents[1]))
    from canaries import canaries
    from canary import keep

    keep(RECORD, canaries())


def main() -> None:
    """Train, write files, or put together what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "files", "claim", "record"])
    parser.add_argument("name", nargs="?", choices=list(WORDS))
    parser.add_argument("--seconds", type=float, default=320.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--models", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "train":
        train(asked.name, asked.seconds, asked.device, asked.models)
    elif asked.what == "files":
        files(asked.name, asked.part, asked.rows, asked.models)
    elif asked.what == "claim":
        claim(asked.name, asked.models)
    else:
        record(asked.models)


if __name__ == "__main__":
    main()
