"""What can be asked of a trained run by its folder: its data and samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError

from . import read_run
from .run_folder import read_recipe

__all__ = ["run_data", "run_folder", "sample_run"]


def sample_run(
    run: str | Path, out: str | Path, *, n: int = 64, mode: Any = "ancestral", offset: float = 0.0, seed: int = 0
) -> Path:
    """Draws from a run's kept model, written to a .npy file or, for images, a .png sheet; returns the path."""
    out = Path(out)
    if out.suffix not in (".npy", ".png"):
        raise InputError(f"Samples are written to .npy or .png; got {out}.")
    folder = run_folder(Path(run))
    vae, _ = read_run(folder)
    if vae.context_names:
        raise InputError(f"This model reads {', '.join(vae.context_names)}: sample it in Python, with context=.")
    x = vae.sample(n, mode=mode, offset=offset, seed=seed).numpy()
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        np.save(out, x, allow_pickle=False)
        return out
    shape = read_recipe(folder)["data"]["image_shape"]
    if shape is None:
        raise InputError("These data are no images, so there is no sheet to draw: write to a .npy file.")
    _write_sheet(x.reshape(n, *shape), out)
    return out


def run_data(folder: Path, *, source: Any = None) -> Dataset:
    """The data a run was trained on, found by name (or given) and checked by their hash."""
    known = read_recipe(folder)["data"]
    sizes = {name: n for name, n in known["sizes"].items() if name != "train" and name not in known["official"]}
    flat = len(known["event"]) == 1 if known["image_shape"] else None
    given = _where(known) if source is None else source
    data = load_data(given, preprocess="none", seed=known["split_seed"], flat=flat, **sizes)
    if data.sha256 != known["sha256"]:
        raise InputError(
            f"These are not the data that the run in {folder} was trained on ({known['name']}, sha256 "
            f"{known['sha256'][:12]}…): name the right ones with source=."
        )
    return data


def _where(known: dict[str, Any]) -> str:
    """The file that the data came from, where it is still there; else their name."""
    path = Path(str(known["source"])).expanduser()
    return str(path) if path.exists() else str(known["name"])


def run_folder(path: Path) -> Path:
    """The run itself, where the path is a study's: that of its chosen model."""
    if (path / "study.json").exists():
        return path / "runs" / str(json.loads((path / "study.json").read_text(encoding="utf-8"))["chosen"])
    return path


def _write_sheet(images: NDArray[np.float32], out: Path, scale: int = 4) -> None:
    from PIL import Image

    if images.ndim == 3:
        images = images[:, None]
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    low, high = min(float(images.min()), 0.0), float(images.max())
    blank = np.zeros((rows * columns - len(images), *images.shape[1:]), dtype=images.dtype)
    grid = np.concatenate([images, blank]).reshape(rows, columns, *images.shape[1:])
    sheet = grid.transpose(0, 3, 1, 4, 2).reshape(rows * images.shape[2], columns * images.shape[3], images.shape[1])
    pixels = np.clip(255 * (sheet - low) / max(high - low, 1e-12), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(out)
