"""What `measure` draws beside its record: the arrays of pictures.safetensors, by name and of known shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .stages import stage_file

__all__ = ["ModelPictures", "Pictures", "read_pictures"]

_MODELS = "models."
_MAYBE = ("data_sample", "decoded_grid", "decoded_grid_axis", "checks_genes", "checks_cells", "latent_batches")


@dataclass(frozen=True, eq=False)
class ModelPictures:
    """Some pictures of one model of the sweep.

    Parameters
    ----------
    reconstructions, samples : array [n, *event]
        Of the first held-out examples, and of x.
    """

    reconstructions: NDArray[Any]
    samples: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Arrays that a page shows: x on the user's scale, and places in latent space.

    Parameters
    ----------
    held_out, reconstructions : array [n, *event]
        The first of a seeded order of the validation examples, and what the chosen model makes of them.
    samples_ancestral, samples_mean : array [n, *event]
        Samples of the chosen model, and decoder means of the same z.
    latent_map : array [n, 2]
        Encoder means of test examples in the plane.
    latent_labels : array [n]
        Their labels; −1 where there are none.
    models : mapping of str to ModelPictures
        By the name of a model of the sweep.
    data_sample : array [n, *event], optional
        More held-out rows, of tables alone.
    decoded_grid : array [n, n, *event], optional
        Decoder means over a grid of two latents, the first row at the largest z2; None where z is not a plane.
    decoded_grid_axis : array [n], optional
        The values of z1 and z2 of that grid.
    checks_genes, checks_cells : array [n, 3, 4], optional
        Of counts of many columns: by gene and by cell, three statistics of the data and three quantiles of replicates.
    latent_batches : array [n], optional
        The batch of each point of the map; −1 where there is none.
    """

    held_out: NDArray[Any]
    reconstructions: NDArray[Any]
    samples_ancestral: NDArray[Any]
    samples_mean: NDArray[Any]
    latent_map: NDArray[Any]
    latent_labels: NDArray[Any]
    models: Mapping[str, ModelPictures]
    data_sample: NDArray[Any] | None = None
    decoded_grid: NDArray[Any] | None = None
    decoded_grid_axis: NDArray[Any] | None = None
    checks_genes: NDArray[Any] | None = None
    checks_cells: NDArray[Any] | None = None
    latent_batches: NDArray[Any] | None = None

    @property
    def rows(self) -> NDArray[Any]:
        """Held-out rows that samples of a table are set beside, as many as there are."""
        return self.held_out if self.data_sample is None else self.data_sample


_NEEDED = [field.name for field in fields(Pictures) if field.name not in ("models", *_MAYBE)]


def read_pictures(path: Path) -> Pictures:
    """The arrays of pictures.safetensors; InputError where it is missing, damaged or lacks one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    again = f"delete {stage_file(path.parent, 'measure').name} and resume the study, which draws them again"
    if not path.is_file():
        raise InputError(f"{path.parent} holds no {path.name}, so the page has no pictures: {again}.")
    try:
        arrays = {name: np.asarray(array) for name, array in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}): {again}.") from error
    # A name of a model may hold a dot, "beta-0.5"; that of an array does not.
    models = {key.removeprefix(_MODELS).rpartition(".")[0] for key in arrays if key.startswith(_MODELS)}
    parts = {model: {part: f"{_MODELS}{model}.{part}" for part in ("reconstructions", "samples")} for model in models}
    missing = [key for key in (*_NEEDED, *(key for one in parts.values() for key in one.values())) if key not in arrays]
    if missing:
        raise InputError(f"{path} lacks {', '.join(map(repr, missing))}: {again}.")
    found: dict[str, Any] = {name: arrays.get(name) for name in (*_NEEDED, *_MAYBE)}
    of_model = {model: {part: arrays[key] for part, key in one.items()} for model, one in parts.items()}
    return Pictures(**found, models={model: ModelPictures(**one) for model, one in of_model.items()})
