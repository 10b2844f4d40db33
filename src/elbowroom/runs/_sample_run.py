"""Samples of a trained run."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from . import read_run
from ._run_data import run_folder
from .run_folder import read_recipe

__all__ = ["sample_run"]


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
