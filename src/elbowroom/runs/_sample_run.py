"""Samples of a trained run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, plain_arguments

from . import read_run
from ._run_data import run_folder
from .image_folder import write_images
from .run_folder import read_recipe
from .table_file import write_table

__all__ = ["sample_run"]

_WHOLE = 2.0**53  # up to here floats hold all whole numbers
_ENDINGS = (".csv", ".parquet", ".npy", ".png")


@plain_arguments
def sample_run(
    run: str | Path, out: str | Path, *, n: int = 64, mode: Any = "ancestral", offset: float = 0.0, seed: int = 0
) -> Path:
    """Draw x from a trained run and write it to a file, on the user's scale.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        A .npy file, [n, *event]; a .csv or .parquet file, a table with the names of the data's columns and the words
        of their classes; or, of images, a .png with all of them on one sheet, or a folder, in which each becomes a
        file.
    n : int, default 64
        How many.
    mode : {"ancestral", "mean", "offset"}, default "ancestral"
        As for `VAE.sample`: only "ancestral" draws x as the model says.
    offset : float, default 0.0
        Standard deviations of p(x | z) that "offset" adds to its mean.
    seed : int, default 0
        Of z and of x.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For another ending, a .png of what are no images, or a model that reads a context.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     x = np.load(sample_run(folder + "/run", folder + "/x.npy", n=4))
    >>> x.shape
    (4, 64)
    """
    out = Path(out)
    if out.suffix not in ("", *_ENDINGS):
        raise InputError(f"Samples are written to {', '.join(_ENDINGS)}, or a folder of images; got {out}.")
    folder = run_folder(Path(run))
    vae, _ = read_run(folder)
    if vae.context_names:
        raise InputError(f"This model reads {', '.join(vae.context_names)}: sample it in Python, with context=.")
    data = read_recipe(folder)["data"]
    if out.suffix in ("", ".png") and data["image_shape"] is None:
        raise InputError("These data are no images: write to .csv, .parquet or .npy.")
    x = vae.sample(n, mode=mode, offset=offset, seed=seed).numpy()
    if not out.suffix:
        return write_images(out, x, data["image_shape"], data["support"])
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        np.save(out, x, allow_pickle=False)
    elif out.suffix == ".png":
        _write_sheet(x.reshape(n, *data["image_shape"]), out)
    else:
        write_table(_columns(x, data), out)
    return out


def _columns(x: NDArray[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The columns by name: words where they are classes, whole numbers where all are whole."""
    flat = x.reshape(len(x), -1)
    names = data.get("columns") or [f"column {i + 1}" for i in range(flat.shape[1])]
    classes = data.get("classes", {})
    twice = len(set(names)) < len(names)
    own = [f"{name} ({i + 1})" for i, name in enumerate(names)] if twice else names
    columns = zip(own, names, flat.T, strict=True)
    return {column: _values(values, classes.get(name)) for column, name, values in columns}


def _values(column: NDArray[Any], words: list[str] | None) -> Any:
    if words:
        return np.array(words, dtype=object)[column.astype(int)]
    whole = ((column == np.round(column)) & (np.abs(column) < _WHOLE)).all()
    return column.astype(np.int64) if whole else column


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
