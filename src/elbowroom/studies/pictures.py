"""The arrays that the page shows: held-out examples, reconstructions, samples, maps."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file
from torch import Tensor

from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset, Examples
from elbowroom.numerics import Batch, in_parts
from elbowroom.preprocess import mean_of_x
from elbowroom.priors import StandardNormal
from elbowroom.records import SweepRecord
from elbowroom.vae import VAE
from elbowroom.vae.vae import evaluating

from .cells import plane_of, use_of
from .train import Models

__all__ = ["draw_before_after", "draw_pictures", "within_cells"]

_HOVER, _STRIPS = 6, 500  # of one model of the sweep: pictures, and rows whose quantiles are drawn
_MAP = 2_000
_GRID = 15
_MOST_CELLS = 2**22  # of one picture


def within_cells(rows: int, data: Dataset) -> int:
    """So many rows, or fewer where an example has so many elements that they would fill the memory.

    Parameters
    ----------
    rows : int
        How many are wanted.
    data : Dataset
        Of the study.

    Returns
    -------
    int
        One or more.
    """
    return max(min(rows, _MOST_CELLS // math.prod(data.event)), 1)


def draw_pictures(
    sweep: SweepRecord,
    models: Models,
    chosen: VAE,
    data: Dataset,
    folder: Path,
    n: int,
    seed: int,
    more: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write pictures.safetensors: nothing cherry-picked, the first n of a seeded order and of a seeded draw.

    Reconstructions and means are NaN in columns of classes without an order, which have none, and held-out examples
    where a cell is missing.

    Parameters
    ----------
    sweep, models : SweepRecord, Models
        The models, of each of which there are some.
    chosen : VAE
        Of which there are more.
    data : Dataset
        Of the study.
    folder : Path
        Where the file goes.
    n : int
        Held-out examples, and samples of images.
    seed : int
        Of the order and of the draws.
    more : mapping of str to Tensor, default {}
        Other arrays for the file.
    """
    generator = torch.Generator().manual_seed(seed)
    shown = data.validation[torch.randperm(len(data.validation), generator=generator)[:n]]
    arrays = {**more, "held_out": _cells(shown.batch()), "reconstructions": _reconstructions(chosen, shown)}
    many, each = (
        (n, _HOVER) if data.image_shape is not None else (within_cells(_MAP, data), within_cells(_STRIPS, data))
    )
    arrays["samples_ancestral"] = _sample(chosen, data, many, seed)
    arrays["samples_mean"] = _means(chosen, data, many, seed)
    arrays |= _map(chosen, data)
    if _has_grid(chosen):
        arrays |= _decoded_grid(chosen)
    if data.image_shape is None:
        arrays["data_sample"] = torch.cat([_cells(part) for part in in_parts(data.validation.some(many))])
    for name in (one.name for one in sweep.models if not one.diverged):
        arrays[f"models.{name}.reconstructions"] = _reconstructions(models[name], shown[:_HOVER])
        arrays[f"models.{name}.samples"] = _sample(models[name], data, each, seed)
    plain = {name: array.detach().contiguous() for name, array in arrays.items()}
    write_atomic(folder / "pictures.safetensors", lambda path: save_file(plain, path))


def draw_before_after(before: VAE, after: VAE, data: Dataset, path: Path, n: int, seed: int) -> None:
    """Write the pictures of a model and of what it was fixed to, of the same examples and by the same seed.

    Parameters
    ----------
    before, after : VAE
        The two.
    data : Dataset
        What both read.
    path : Path
        Of the file.
    n : int
        Held-out examples, and samples of images.
    seed : int
        Of the order and of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    shown = data.validation[torch.randperm(len(data.validation), generator=generator)[:n]]
    many = n if data.image_shape is not None else within_cells(_STRIPS, data)
    rows = shown if data.image_shape is not None else data.validation.some(many)
    arrays = {"held_out": _cells(rows.batch())}
    for name, one in (("before", before), ("after", after)):
        arrays[f"reconstructions_{name}"] = _reconstructions(one, shown)
        arrays[f"samples_{name}"] = _sample(one, data, many, seed)
    plain = {name: array.detach().contiguous() for name, array in arrays.items()}
    write_atomic(path, lambda temporary: save_file(plain, temporary))


def _cells(batch: Batch) -> Tensor:
    """x, NaN where a cell is missing."""
    x = batch.x if batch.x.is_floating_point() else batch.x.float()
    return x if batch.seen is None else x.masked_fill(~batch.seen, torch.nan)


def _sample(vae: VAE, data: Dataset, n: int, seed: int) -> Tensor:
    """Samples, given the contexts of held-out examples where the model reads any."""
    return vae.sample(n, seed=seed, context=_contexts(vae, data, n))


@torch.no_grad()
def _means(vae: VAE, data: Dataset, n: int, seed: int) -> Tensor:
    """Means of p(x | z) at the z of `_sample`."""
    with evaluating(vae):
        mean = mean_of_x(vae.preprocess, vae.likelihood(vae.draw_prior(n, seed, _contexts(vae, data, n))))
    return mean.expand(1, n, *mean.shape[2:])[0]


@torch.no_grad()
def _reconstructions(vae: VAE, examples: Examples) -> Tensor:
    """Means of p(x | z) at the encoder's means, as `VAE.reconstruct`."""
    with evaluating(vae):
        return mean_of_x(vae.preprocess, vae.likelihood(vae.at_means(examples)))[0]


def _contexts(vae: VAE, data: Dataset, n: int) -> dict[str, Tensor]:
    some = data.validation.some(n)
    held_out = some[torch.arange(n) % len(some)]
    return {name: held_out.context[name] for name in vae.context_names}


def _map(vae: VAE, data: Dataset) -> dict[str, Tensor]:
    """Posterior means of test examples in the plane: z itself where it is one, else its first two principal axes."""
    shown = data.test.some(_MAP)
    plane = plane_of(use_of(vae, shown)[0].means, data)
    labels = torch.full((len(plane),), -1.0) if shown.labels is None else shown.labels.float()
    found = {"latent_map": torch.from_numpy(plane), "latent_labels": labels}
    batch = shown.context.get("batch")
    return found if batch is None or batch.dim() != 2 else {**found, "latent_batches": batch.argmax(1).float()}


def _has_grid(vae: VAE) -> bool:
    """Whether z is one standard normal block of two dimensions, and nothing else is to be given."""
    block, *others = vae.prior.values()
    return vae.latents == 2 and isinstance(block, StandardNormal) and not others and not vae.context_names


@torch.no_grad()
def _decoded_grid(vae: VAE) -> dict[str, Tensor]:
    """Decoder means over a grid of prior quantiles of a two-dimensional latent."""
    axis = torch.special.ndtri((torch.arange(_GRID) + 0.5) / _GRID)
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    z = torch.stack([columns.flatten(), rows.flatten()], -1)
    p_x = vae.likelihood({next(iter(vae.prior.keys())): z.unsqueeze(0)})
    decoded = mean_of_x(vae.preprocess, p_x)[0]
    return {"decoded_grid": decoded.unflatten(0, (_GRID, _GRID)), "decoded_grid_axis": axis}
