"""Real bytes against PSNR and MS-SSIM: lossy files of VAEs over β and step, beside JPEG, WebP and PCA.

    export ELBOWROOM_DATA=…
    python reproductions/lossy/run.py train --data cifar10 --beta 0.5 --seconds 400 --device cuda --models MODELS
    python reproductions/lossy/run.py files --data cifar10 --beta 0.5 --models MODELS     # MODELS/cifar10-0.5.points
    python reproductions/lossy/run.py rivals --data cifar10                               # records/cifar10.json
    python reproductions/lossy/run.py measure --data cifar10 --models MODELS              # the same with the models
    python reproductions/lossy/run.py figure                                              # figure.svg
    python reproductions/lossy/run.py tables                                              # tables.md

The data sets are fashion-mnist, cifar10 and frey-faces. One record each in records/; models are kept in a folder
outside the repository. MS-SSIM is that of torchmetrics (pip install torchmetrics), of two scales, as images of 28
pixels have no five.
"""

import argparse
import io
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import BETAS, SETTINGS, data_of, keep, kept_model, model, test_of, train, train_images

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.compression import compress_lossy, decompress
from elbowroom.compression.lossy_masses import CodeMasses
from elbowroom.compression.stack import Stack

sys.path.insert(0, str(Path(__file__).parents[1]))

HERE = Path(__file__).parent
STEPS = (0.5, 1.0, 2.0, 4.0)
QUALITIES = (1, 5, 10, 20, 35, 50, 70, 85)
PCA_STEPS = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
SHEET, EDGE = 100, 8
Point = dict[str, Any]


def quality(x: np.ndarray, back: np.ndarray) -> Point:
    """PSNR over all pixels, and the mean MS-SSIM of images, two scales of weights 0.0448 and 0.2856 over their sum."""
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

    error = float(((x.astype(float) - back) ** 2).mean())
    pair = (torch.from_numpy(one.astype(np.float32)) for one in (back, x))
    similar = ms_ssim(*pair, data_range=255.0, betas=(0.0448 / 0.3304, 0.2856 / 0.3304), normalize="relu")
    return {"psnr": 10 * math.log10(255**2 / error) if error else math.inf, "ms_ssim": float(similar)}


def trained(name: str, beta: float, seconds: float, device: str, models: Path) -> None:
    """Train one model, and keep it and how it went."""
    vae, path = model(name, beta), models / f"{name}-{beta:g}.safetensors"

    def kept(row: dict[str, Any]) -> None:
        keep(vae, path)
        write_atomic(path.with_suffix(".json"), json.dumps(row | {"torch": torch.__version__}, indent=1))

    train(vae, data_of(name), er.objectives.Elbo(beta), seconds, device, 100, kept)


def files(name: str, beta: float, models: Path) -> list[Point]:
    """Files of one model at every step, and where its own rate and distortion lie."""
    path = models / f"{name}-{beta:g}.safetensors"
    vae, images, found = kept_model(path), test_of(name), []
    x = images.reshape(len(images), *vae.likelihood.event)
    examples = vae.examples(torch.from_numpy(x.astype(np.float32)))
    rate = er.evidence.rate_distortion(vae, examples, draws=4).rate
    at_draws = drawn(vae, examples, images)
    for step in STEPS:
        out = path.with_suffix(f".{step:g}.elb")
        file = compress_lossy(vae, x, out, step=step, progress=False)
        back = decompress(vae, out, progress=False).reshape(images.shape)
        assert out.stat().st_size == file.total_bytes
        found.append(
            {
                "beta": beta, "step": step, "bytes": file.total_bytes / len(x),
                "codes": file.coded_bytes / len(x), "masses": file.told_bytes / len(x), **quality(images, back),
                "rate": rate.mean / math.log(256), "rate_se": rate.se_total / math.log(256),
                "rate_refitted": refitted(vae, examples), "drawn": at_draws,
            }
        )  # fmt: skip
        print(name, found[-1], flush=True)
        out.unlink()
    write_atomic(path.with_suffix(".points"), json.dumps(found, indent=1))
    return found


@torch.no_grad()
def refitted(vae: er.VAE, examples: Any) -> float:
    """R in bytes once p(z) is the normal of independent latents whose moments are those of q(z) over the test rows."""
    q = vae.posterior["z"](vae.at_means(examples))
    spread = q.mean[0].var(0, correction=0) + q.variance[0].mean(0)
    return float(0.5 * (spread.log() - q.variance[0].log()).sum(1).mean()) / math.log(256)


@torch.no_grad()
def drawn(vae: er.VAE, examples: Any, images: np.ndarray) -> Point:
    """Quality at a draw of z from q: the distortion that belongs to the model's rate."""
    batch = examples.rows(slice(None))
    terms = vae.eval()(batch, vae.keyed_noise(1, batch.index, 0))
    return quality(images, vae.preprocess.inverse(terms.p_x.mean[0]).numpy().reshape(images.shape))


def pca(name: str) -> list[Point]:
    """Principal components of the training images, coded as the VAEs' means are, on one step."""
    rows = train_images(name).astype(np.float64)
    middle = rows.mean(0)
    axes = np.linalg.eigh(np.cov(rows.T))[1][:, ::-1][:, :128].T
    x = test_of(name)
    codes, found = (x.reshape(len(x), -1) - middle) @ axes.T, []
    for step in PCA_STEPS:
        masses, whole = CodeMasses.fitted(codes / step), np.rint(codes / step).astype(np.int64)
        stack = Stack.primed(2)
        masses.push(stack, whole)
        told = len(masses.packed()) + 4 * len(stack.words())
        back = np.rint(middle + (whole * step) @ axes).clip(0, 255).reshape(x.shape)
        found.append({"step": step, "told": told / len(x), **quality(x, back)})
        print(name, "pca", found[-1], flush=True)
    return found


def sheets(name: str, kind: str) -> list[Point]:
    """JPEG or WebP of sheets of 100 images, each with its edges repeated up to multiples of 8 pixels."""
    from PIL import Image

    x = test_of(name)
    n, channels, height, width = x.shape
    more = (-height % EDGE, -width % EDGE)
    padded = np.pad(x, ((0, 0), (0, 0), (0, more[0]), (0, more[1])), "edge").transpose(0, 2, 3, 1)
    found = []
    for how in QUALITIES:
        total, back = 0, []
        for start in range(0, n, SHEET):
            part = padded[start : start + SHEET]
            sheet = part.reshape(-1, *part.shape[2:])
            buffer = io.BytesIO()
            options = {"optimize": True} if kind == "JPEG" else {"method": 6}
            Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(buffer, kind, quality=how, **options)
            total += buffer.tell()
            decoded = np.asarray(Image.open(buffer).convert("L" if channels == 1 else "RGB"))
            back.append(decoded.reshape(len(part), *part.shape[1:3], channels)[:, :height, :width])
        images_back = np.concatenate(back).transpose(0, 3, 1, 2)
        found.append({"quality": how, "bytes": total / n, **quality(x, images_back)})
        print(name, kind, found[-1], flush=True)
    return found


def rivals(name: str) -> dict[str, Any]:
    """PCA, JPEG and WebP, from the record where they are there."""
    record = HERE / "records" / f"{name}.json"
    held = json.loads(record.read_text()) if record.exists() else {}
    if held.get("settings") == SETTINGS[name]:
        return {kind: held[kind] for kind in ("PCA", "JPEG", "WebP")}
    found = {"PCA": pca(name), "JPEG": sheets(name, "JPEG"), "WebP": sheets(name, "WebP")}
    write_atomic(record, json.dumps({"settings": SETTINGS[name], **found}, indent=1) + "\n")
    return found


def measure(name: str, models: Path) -> None:
    """One record, of files that are measured and of those that are not yet; PCA's have as long a head."""
    from canaries import of_record
    from canary import keep as keep_canaries

    vaes, trainings = list[Point](), dict[str, Any]()
    for beta in BETAS:
        path = models / f"{name}-{beta:g}.points"
        vaes += json.loads(path.read_text()) if path.exists() else files(name, beta, models)
        trainings[f"{beta:g}"] = json.loads(path.with_suffix(".json").read_text())
    record, head = HERE / "records" / f"{name}.json", vaes[0]["bytes"] - vaes[0]["codes"] - vaes[0]["masses"]
    others = rivals(name)
    for point in others["PCA"]:
        point["bytes"] = point["told"] + head
    found = {
        "data": name, "settings": SETTINGS[name], "training": trainings, "test_images": len(test_of(name)),
        "raw": int(np.prod(test_of(name).shape[1:])), "vae": vaes, **others, "torch": torch.__version__,
    }  # fmt: skip
    write_atomic(record, json.dumps(found, indent=1) + "\n")
    keep_canaries(record, of_record(record))


def records() -> list[dict[str, Any]]:
    """What is measured."""
    paths = [HERE / "records" / f"{name}.json" for name in SETTINGS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def hull(points: list[Point], by: str) -> list[Point]:
    """Points that no other beats in both, by bytes."""
    best, found = -math.inf, []
    for point in sorted(points, key=lambda one: one["bytes"]):
        if point[by] > best:
            best = point[by]
            found.append(point)
    return found


def at_bytes(points: list[Point], size: float, by: str) -> float | None:
    """The quality at so many bytes, between neighbouring points."""
    line = hull(points, by)
    sizes = [point["bytes"] for point in line]
    if not sizes[0] <= size <= sizes[-1]:
        return None
    return float(np.interp(math.log(size), np.log(sizes), [point[by] for point in line]))


def tables() -> None:
    """tables.md."""
    lines = ["# Lossy files, all points", ""]
    for one in records():
        lines += [f"## {one['data']}, {one['test_images']:,} test images of {one['raw']:,} bytes", ""]
        sizes = np.geomspace(min(p["bytes"] for p in one["vae"]), max(p["bytes"] for p in one["vae"]), 5)
        kinds = ("vae", "PCA", "WebP", "JPEG")
        lines += ["PSNR in dB / MS-SSIM at so many bytes an image, between the points that no other of its kind beats:"]
        lines += ["", "| bytes | VAEs | PCA | WebP | JPEG |", "|---|---|---|---|---|"]
        for size in sizes:
            cells = [[at_bytes(one[kind], size, by) for by in ("psnr", "ms_ssim")] for kind in kinds]
            shown = [f"{p:.2f} / {s:.3f}" if p is not None and s is not None else "—" for p, s in cells]
            lines.append(f"| {size:.1f} | " + " | ".join(shown) + " |")
        lines += [
            "",
            "| β | step | bytes | codes | masses | PSNR | MS-SSIM | R, bytes | R, p(z) refitted | PSNR of a draw |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|---|---|"]
        for p in one["vae"]:
            lines.append(
                f"| {p['beta']:g} | {p['step']:g} | {p['bytes']:.1f} | {p['codes']:.1f} | {p['masses']:.1f} | "
                f"{p['psnr']:.2f} | {p['ms_ssim']:.3f} | {p['rate']:.1f} ± {p['rate_se']:.1f} | "
                f"{p['rate_refitted']:.1f} | "
                f"{p['drawn']['psnr']:.2f} |"
            )
        for kind, word in (("PCA", "step"), ("WebP", "quality"), ("JPEG", "quality")):
            lines += ["", f"| {kind}, {word} | bytes | PSNR | MS-SSIM |", "|---|---|---|---|"]
            lines += [f"| {p[word]:g} | {p['bytes']:.1f} | {p['psnr']:.2f} | {p['ms_ssim']:.3f} |" for p in one[kind]]
        lines.append("")
    write_atomic(HERE / "tables.md", "\n".join(lines))


def figure() -> None:
    """figure.svg: quality over bytes, and each model's own rate and distortion."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "lossy"
    found = records()
    picture = Figure((4.2 * len(found), 7), layout="constrained")
    axes = picture.subplots(2, len(found), squeeze=False)
    for column, one in enumerate(found):
        for row, (by, label) in enumerate((("psnr", "PSNR, dB"), ("ms_ssim", "MS-SSIM, two scales"))):
            plane = axes[row, column]
            for kind, style in (("PCA", "s--"), ("WebP", "^:"), ("JPEG", "v:")):
                line = sorted(one[kind], key=lambda p: p["bytes"])
                plane.plot([p["bytes"] for p in line], [p[by] for p in line], style, ms=4, label=kind)
            for beta in BETAS:
                line = sorted((p for p in one["vae"] if p["beta"] == beta), key=lambda p: p["bytes"])
                (drawn_line,) = plane.plot(
                    [p["bytes"] for p in line], [p[by] for p in line], "o-", ms=4, label=f"VAE, β = {beta:g}"
                )
                plane.plot(line[0]["rate"], line[0]["drawn"][by], "*", ms=13, mfc="none", color=drawn_line.get_color())
            plane.set(xscale="log", xlabel="bytes an image", ylabel=label)
            plane.xaxis.set_minor_formatter("")
            if not row:
                plane.set_title(one["data"])
    axes[0, 0].legend(fontsize=7)
    picture.suptitle("Files of test images; a star: rate R of a model, and the quality of a draw", fontsize=10)
    picture.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    """Measure, tabulate, or draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "files", "rivals", "measure", "tables", "figure"])
    parser.add_argument("--data", choices=list(SETTINGS))
    parser.add_argument("--beta", type=float)
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if asked.what == "train":
        trained(asked.data, asked.beta, asked.seconds, asked.device, asked.models)
    elif asked.what == "files":
        files(asked.data, asked.beta, asked.models)
    elif asked.what == "rivals":
        rivals(asked.data)
    elif asked.what == "measure":
        measure(asked.data, asked.models)
    else:
        {"tables": tables, "figure": figure}[asked.what]()


if __name__ == "__main__":
    main()
