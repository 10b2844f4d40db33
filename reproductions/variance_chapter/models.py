"""The models of the chapter, by name: what is trained on which data with which noise."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.data import Dataset
from elbowroom.likelihoods import Likelihood

ONE_STEP = 1 / 256 / math.sqrt(12)  # standard deviation of the dequantisation noise: the floor that settles itself
GRID = ("discretised normal", "discretised logistic", "logistic mixture", "categorical")


@dataclass(frozen=True)
class Cell:
    """One model: its data, latent size, family of p(x | z) with options, β, and how long it trains on how much.

    logits: the density is of the logit of x, so that the ends of [0, 1] hold what is black and white. warmup: optimizer
    steps over which β rises from 0.
    """

    name: str
    family: str = "normal"
    latents: int = 20
    beta: float = 1.0
    data: str = "mnist"
    epochs: int = 6
    images: int = 55_000
    width: int = 256
    logits: bool = False
    warmup: int = 0
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def neighbours(self) -> bool:
        """Whether elements of an independent family are tied to their neighbours."""
        return self.name.partition(";")[0].endswith("neighbours")

    @property
    def settings(self) -> dict[str, Any]:
        """Options of the likelihood."""
        return dict(self.options)


def _cell(name: str, family: str = "normal", **settings: Any) -> Cell:
    known = {key: settings.pop(key) for key in list(settings) if key in Cell.__dataclass_fields__}
    return Cell(name, family, **known, options=tuple(settings.items()))


FAMILIES = (
    _cell("normal, one σ", scale="optimal"),
    _cell("normal, σ per pixel", scale="feature"),
    _cell("normal, σ(z)", scale="predicted"),
    _cell("Laplace", "laplace", scale="predicted"),
    _cell("Student t", "student", scale="predicted"),
    _cell("truncated normal", "truncated", scale="predicted"),
    _cell("continuous Bernoulli", "continuous bernoulli"),
    _cell("beta", "beta"),
    _cell("logit-normal", "logit-normal", scale="predicted"),
    _cell("low rank 10", "low rank", rank=10, scale="predicted"),
    _cell("sparse precision", "sparse", radius=2, scale="predicted"),
    _cell("sparse precision, one stencil", "sparse", radius=2, scale="predicted", neighbours="shared"),
    _cell("Matérn field", "matern", scale="predicted"),
    _cell("one stencil, one σ", "sparse", radius=2, scale="shared", neighbours="shared"),
    _cell("Matérn field, one σ", "matern", scale="shared"),
    _cell("Matérn field, σ per pixel", "matern", scale="feature"),
    _cell("low rank 10, one F, one σ", "low rank", rank=10, scale="shared", factor="shared"),
    _cell("sparse precision on logits", "sparse", radius=2, scale="predicted", logits=True),
    _cell("Matérn field on logits", "matern", scale="predicted", logits=True),
    _cell("discretised normal", "discretised normal"),
    _cell("discretised logistic", "discretised logistic"),
    _cell("mixture of 5 logistics", "logistic mixture", components=5),
    _cell("discretised logistic, neighbours", "discretised logistic", radius=2),
    _cell("mixture of 5 logistics, neighbours", "logistic mixture", components=5, radius=2),
    _cell("mixture of 5 logistics, nearest neighbours", "logistic mixture", components=5, radius=1),
    _cell("mixture of 5 logistics, 20 epochs", "logistic mixture", components=5, epochs=20),
    _cell(
        "mixture of 5 logistics, 20 epochs, neighbours",
        "logistic mixture",
        components=5,
        radius=2,
        epochs=20,
        warmup=2_750,
    ),
    _cell("truncated normal, neighbours", "truncated", scale="predicted", radius=2),
    _cell("categorical", "categorical", epochs=2, images=5_000, width=64),
)
"""Every decoder family, at d = 20."""

STRUCTURED = tuple(cell.name for cell in FAMILIES if cell.family in ("low rank", "sparse", "matern"))
"""Gaussians whose elements are correlated, given z."""

CHAPTER = (
    _cell("simple d=2", scale="predicted", latents=2),
    _cell("simple d=2, floor 0.01", scale="predicted", latents=2, floor=0.01),
    _cell("simple d=2, floor 0.1", scale="predicted", latents=2, floor=0.1),
    _cell("simple d=20, floor 0.01", scale="predicted", floor=0.01),
    _cell("simple d=20, floor 0.1", scale="predicted", floor=0.1),
    _cell("simple d=20, β=0.01", scale="predicted", beta=0.01),
    _cell("simple d=20, floor 0.01, β=0.01", scale="predicted", floor=0.01, beta=0.01),
    _cell("simple d=20, floor 0.1, β=0.01", scale="predicted", floor=0.1, beta=0.01),
    _cell("simple d=2, floor 0.01, β=0.001", scale="predicted", latents=2, floor=0.01, beta=0.001),
    _cell("simple d=2, floor 0.1, β=0.001", scale="predicted", latents=2, floor=0.1, beta=0.001),
    _cell("simple d=2, floor 0.01, β=1000", scale="predicted", latents=2, floor=0.01, beta=1000.0),
    _cell("simple d=2, floor 0.1, β=1000", scale="predicted", latents=2, floor=0.1, beta=1000.0),
    _cell("σ=1 d=2", scale=1.0, latents=2),
    _cell("σ=1 d=20", scale=1.0),
    _cell("σ=0.0001 d=2", scale=1e-4, latents=2),
    _cell("σ=0.0001 d=20", scale=1e-4),
    _cell("simple d=2, β=0.001", scale="predicted", latents=2, beta=0.001),
    _cell("simple d=2, β=1000", scale="predicted", latents=2, beta=1000.0),
    _cell("digit 3, simple d=2, β=0.001", scale="predicted", latents=2, beta=0.001, data="mnist-3", epochs=40),
    _cell("digit 3, simple d=2, β=1000", scale="predicted", latents=2, beta=1000.0, data="mnist-3", epochs=40),
    _cell("digit 3, one σ d=2", scale="optimal", latents=2, data="mnist-3", epochs=40),
)
"""The chapter's own figures."""

SIZES = tuple(_cell(f"one σ d={d}", scale="optimal", latents=d) for d in (1, 2, 10, 50, 250))
"""VAEs beside PCA of the same d; d = 20 is the first of the families."""

_OTHERS = {
    "fashion-mnist": ("normal, one σ", "normal, σ(z)", "truncated normal", "low rank 10", "sparse precision",
                      "Matérn field", "discretised logistic", "mixture of 5 logistics",
                      "mixture of 5 logistics, neighbours"),
    "cifar10": ("normal, one σ", "normal, σ(z)", "truncated normal", "Matérn field", "discretised logistic",
                "discretised logistic, neighbours", "mixture of 5 logistics, neighbours"),
}  # fmt: skip
ELSEWHERE = tuple(
    replace(cell, name=f"{data}: {cell.name}", data=data, epochs=epochs, images=images)
    for data, epochs, images in (("fashion-mnist", 4, 15_000), ("cifar10", 4, 5_000))
    for cell in FAMILIES
    if cell.name in _OTHERS[data]
)
"""The likelihood table on other data."""

SEEDS = (0, 1, 2)
MORE_SEEDS = (
    "mixture of 5 logistics, 20 epochs",
    "mixture of 5 logistics, 20 epochs, neighbours",
    *STRUCTURED,
    "normal, one σ",
    "normal, σ(z)",
    "continuous Bernoulli",
    "truncated normal",
    "truncated normal, neighbours",
    "beta",
    "logit-normal",
    "discretised logistic",
)
"""Families that neighbours in their table come near: see `seeds.close`."""

AGAIN = tuple(
    replace(cell, name=f"{cell.name}; seed {seed}", seed=seed)
    for cell in (*FAMILIES, *ELSEWHERE)
    if cell.name.split(": ")[-1] in MORE_SEEDS
    for seed in SEEDS[1:]
)
"""The same from other seeds."""

CELLS = (*FAMILIES[:-1], *CHAPTER, *SIZES, *ELSEWHERE, FAMILIES[-1], *AGAIN)

_MAKERS: dict[str, Callable[..., Likelihood]] = {
    "normal": er.likelihoods.Normal,
    "laplace": er.likelihoods.Laplace,
    "student": er.likelihoods.StudentT,
    "truncated": er.likelihoods.TruncatedNormal,
    "continuous bernoulli": er.likelihoods.ContinuousBernoulli,
    "beta": er.likelihoods.Beta,
    "logit-normal": er.likelihoods.LogitNormal,
    "low rank": er.likelihoods.LowRankNormal,
    "sparse": er.likelihoods.SparsePrecisionNormal,
    "matern": er.likelihoods.MaternNormal,
    "discretised normal": er.likelihoods.DiscretisedNormal,
    "discretised logistic": er.likelihoods.DiscretisedLogistic,
    "logistic mixture": er.likelihoods.DiscretisedLogistic,
    "categorical": er.likelihoods.Categorical,
}


def _tied(
    make: Callable[..., Likelihood], image: tuple[int, ...], radius: int, network: nn.Module | None, size: int,
    **settings: Any,
) -> Likelihood:  # fmt: skip
    return er.likelihoods.Autoregressive(network, make(None, size, **settings), image_shape=image, radius=radius)


class Levels(nn.Module):
    """Grey levels 0 … 255 as [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """x / 255."""
        return x / 255


def data_of(cell: Cell) -> Dataset:
    """The cell's data: dequantised to [0, 1] for densities, raw levels for probabilities."""
    name, _, digit = cell.data.partition("mnist-") if cell.data.startswith("mnist-") else (cell.data, "", "")
    data = er.load_data(name or "mnist", preprocess="none" if cell.family in GRID else "dequantise", flat=True)
    if cell.logits:
        data.preprocess = er.preprocess.Chain([data.preprocess, er.preprocess.Logit(alpha=1e-3)])
    if digit:
        for part in ("train", "validation", "test"):
            examples = getattr(data, part)
            setattr(data, part, examples[examples.labels == int(digit)])
    data.train = data.train[: cell.images]
    return data


def model_of(cell: Cell, data: Dataset) -> er.VAE:
    """The cell's VAE, D-256-256-d with SiLU both ways."""
    torch.manual_seed(cell.seed)
    size, d = math.prod(data.event), cell.latents
    settings, shape = cell.settings, data.image_shape
    image = shape if len(shape) == 3 else (1, *shape)
    if cell.family in GRID:
        settings["levels"] = data.levels
    if cell.family in ("sparse", "matern"):
        settings["image_shape"] = image
    make = _MAKERS[cell.family]
    if cell.neighbours:
        make = partial(_tied, make, image, settings.pop("radius"))
    decoder = er.networks.MLP([d, 256, cell.width, make(None, size, **settings).numbers])
    encoder = er.networks.MLP([size, 256, 256, 2 * d])
    if cell.family in GRID:
        encoder = nn.Sequential(Levels(), encoder)
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d),
        make(decoder, size, **settings),
        preprocess=data.preprocess,
    )


def folder_of(cell: Cell) -> str:
    """The cell's name as a folder's."""
    return "".join(c if c.isalnum() or c in "-=." else "_" for c in cell.name)
