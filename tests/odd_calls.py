"""One valid call of every public callable that takes numbers or arrays, by room and name."""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import metrics, posteriors, preprocess, priors
from elbowroom.exact import PrincipalAxes, ProbabilisticPCA, Table
from elbowroom.numerics import Estimate, Support
from elbowroom.objectives import Elbo
from elbowroom.plots import Model, Series, Span, Value
from elbowroom.vae._save_model import model_recipe

Call = Callable[[], dict[str, Any]]

ROWS = np.random.default_rng(0).normal(size=(40, 3)) @ np.random.default_rng(1).normal(size=(3, 3))
GREY = np.random.default_rng(2).random((24, 4, 4)).astype(np.float32)
GAPS = np.where(np.random.default_rng(3).random(ROWS.shape) < 0.2, np.nan, ROWS)
CODES = np.arange(24) % 2
GUESSES = np.random.default_rng(4).dirichlet([1.0, 1.0], 24)
FACTORS = np.column_stack([np.arange(40) % 2, np.arange(40) % 3])
DATA = er.load_data(ROWS, name="rows")


def vae() -> er.VAE:
    torch.manual_seed(0)
    posterior = posteriors.DiagonalNormal(nn.Linear(3, 2), 1)
    likelihood = lik.Normal(nn.Linear(1, 3), 3, scale=1.0)
    return er.VAE(priors.StandardNormal(1), posterior, likelihood, DATA.preprocess)


def cells() -> Any:
    """The rows as an AnnData object."""
    import anndata

    return anndata.AnnData(ROWS)


CLASSES = er.models.Recipe(latents=1, widths=[4], classes="label", training={"epochs": 1})
LABELLED = er.load_data(
    ROWS, labels=np.where(np.arange(40) % 4, np.arange(40) % 2, -1), observed="label", validation=20, test=2
)


@functools.cache
def of_classes() -> er.VAE:
    """A model of rows and their class."""
    return er.models.build(CLASSES, LABELLED)


@functools.cache
def with_labels() -> Path:
    """A run of them."""
    folder = Path(tempfile.mkdtemp()) / "run"
    er.fit(of_classes(), LABELLED, epochs=1, run=folder, progress=False)
    return folder


def loss(recon: torch.Tensor, x: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return (recon - x).square().sum() + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()


def two_latents() -> er.VAE:
    torch.manual_seed(0)
    posterior = posteriors.DiagonalNormal(nn.Linear(3, 4), 2)
    return er.VAE(priors.StandardNormal(2), posterior, lik.Normal(nn.Linear(2, 3), 3, scale=1.0), DATA.preprocess)


def trained_again() -> dict[str, Any]:
    """The arguments of a remedy that trains."""
    return {"vae": vae(), "data": DATA, "epochs": 1, "seconds": 30.0, "batch_size": 10, "lr": 0.25, "draws": 2}


@functools.cache
def run() -> Path:
    """A run of the digits, which `run_data` finds by their name."""
    digits = er.load_data("digits")
    folder = Path(tempfile.mkdtemp()) / "run"
    small = er.models.build({"latents": 1, "widths": [4]}, digits)
    er.fit(small, digits, epochs=1, batch_size=600, run=folder, progress=False)
    return folder


@functools.cache
def reading_beta() -> er.VAE:
    """A model whose networks read the weight of the rate."""
    return er.models.build({"objective": "multi-rate", "latents": 1, "widths": [4]}, DATA)


KINDS = er.load_data(ROWS, name="kinds", context={"kind": ["u", "v"] * 20})


def of_kinds() -> er.VAE:
    """A model that reads a context of two classes."""
    return er.models.build({"latents": 1, "widths": [4]}, KINDS)


@functools.cache
def labelled() -> Path:
    """A run of a few digits given their labels."""
    digits = er.load_data("digits", context="label", test=4)
    folder = Path(tempfile.mkdtemp()) / "labelled"
    small = er.models.build({"latents": 1, "widths": [4]}, digits)
    er.fit(small, digits, epochs=1, batch_size=600, run=folder, progress=False)
    return folder


@functools.cache
def swept() -> list[er.sweeps.Swept]:
    return er.sweep({"latents": 1, "widths": [4], "epochs": 1}, DATA, {"beta": [0.5]}, draws=2, progress=False)


@functools.cache
def table_with_gaps() -> er.data.Dataset:
    return er.load_data(GAPS, name="gaps")


@functools.cache
def with_gaps() -> Path:
    """A run of a table some of whose cells are missing."""
    data, folder = table_with_gaps(), Path(tempfile.mkdtemp()) / "run"
    small = er.models.build({"latents": 1, "widths": [4]}, data)
    er.fit(small, data, epochs=1, run=folder, progress=False)
    return folder


class Autoencoder(nn.Module):
    """Of the shape of diffusers' AutoencoderKL."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 4, 2, 2), nn.ConvTranspose2d(2, 1, 2, 2)

    def encode(self, x: torch.Tensor) -> Any:
        mean, logvar = self.down(x).chunk(2, 1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, logvar=logvar))

    def decode(self, z: torch.Tensor) -> Any:
        return SimpleNamespace(sample=self.up(z))


class Forward(nn.Module):
    """Of the tutorials' shape."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 2), nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mu, log_var = self.encode(x).chunk(2, -1)
        return self.decode(mu + (log_var / 2).exp() * torch.randn_like(mu)), mu, log_var


def table() -> Table:
    half = torch.tensor([0.7, 0.3], dtype=torch.float64)
    return Table.optimal(half, torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64))


def measured(**more: Any) -> Call:
    return lambda: {"model": vae(), "examples": DATA.test[:3], **more}


def annealed(**more: Any) -> Call:
    return measured(temperatures=4, chains=2, leapfrog=2, **more)


def of_columns(**more: Any) -> Call:
    return lambda: {"network": None, "event": 3, **more}


def of_images(**more: Any) -> Call:
    return lambda: {"network": None, "event": 16, "image_shape": (4, 4), **more}


ESTIMATE = Estimate.of(np.arange(6.0), quantity="log p(x)", estimator="IWAE", direction="lower")
SPREAD = {"scale": 0.5, "floor": 0.01, "start": 0.25}
ONE = torch.ones(())
MODEL = Model("β = 1", Value(18.0, 0.3), Value(-85.0, 1.0))
INDEX = torch.arange(3)

CALLS: dict[str, Call] = {
    "adapters.from_modules": lambda: {
        "encoder": nn.Linear(3, 2),
        "decoder": nn.Linear(1, 3),
        "likelihood": lik.Bernoulli(None, 3),
        "means": False,
    },
    "adapters.from_diffusers": lambda: {"autoencoder": Autoencoder(), "event": (1, 4, 4)},
    "adapters.from_forward": lambda: {
        "model": Forward(),
        "likelihood": lik.Bernoulli(None, 3),
        "decode": "decode",
        "means": False,
        "x": ROWS,
    },
    "annotations.annotate": lambda: {"model": vae(), "cells": cells(), "data": DATA, "draws": 8, "progress": False},
    "claims.check_claim": lambda: {"model": vae(), "data": DATA, "claim": "ELBO -6.5", "n": 4, "draws": 8},
    "claims.read_loss": lambda: {"fn": loss, "event": 12, "latents": (2,)},
    "components.Component": lambda: {"event": 3},
    "components.as_event": lambda: {"event": 3, "what": "A prior"},
    "components.at_least_two": lambda: {"classes": 3},
    "compression.compress": lambda: {
        "model": of_bits(),
        "data": CODES.reshape(6, 4),
        "out": packed().with_name("other.elb"),
        "bits": 12,
        "chunk_rows": 2,
        "progress": False,
    },
    "compression.compress_lossy": lambda: {
        "model": of_bits(),
        "data": CODES.reshape(6, 4),
        "out": packed().with_name("other.elb"),
        "step": 0.5,
        "chunk_rows": 2,
        "progress": False,
    },
    "compression.decompress": lambda: {"model": of_bits(), "file": packed(), "chunk": 1, "progress": False},
    "data.load_data": lambda: {"source": ROWS, "validation": 5, "test": 0.25, "labels": np.arange(40) % 2},
    "distributions.BetaBinomial": lambda: {"log_one": ONE, "log_zero": ONE, "levels": 4},
    "distributions.DiscretisedLogistic": lambda: {"loc": ONE, "scale": ONE, "levels": 4},
    "distributions.DiscretisedNormal": lambda: {"loc": ONE, "scale": ONE, "levels": 4},
    "distributions.TriangularNormal": lambda: {"loc": torch.zeros(2), "scale_tril": torch.eye(2)},
    "distributions.LowRankNormal": lambda: {
        "mean": torch.zeros(2),
        "scale": ONE,
        "factor": torch.ones(1, 2),
        "event_dims": 1,
    },
    "distributions.MaternField": lambda: {
        "mean": torch.zeros(1, 8, 8),
        "scale": ONE,
        "length": 2 * ONE,
        "nugget": 0.1 * ONE,
        "image_shape": (1, 8, 8),
    },
    "distributions.NormalWithAtoms": lambda: {
        "loc": torch.zeros(3),
        "scale": ONE.expand(3),
        "logits": torch.zeros(3, 2),
        "atoms": [0.0, 1.5],
    },
    "distributions.SparsePrecisionNormal": lambda: {
        "mean": torch.zeros(1, 1, 2),
        "log_diagonal": torch.zeros(1, 1, 2),
        "off_diagonals": torch.zeros(4, 1, 1, 2),
        "image_shape": (1, 1, 2),
    },
    "distributions.TruncatedNormal": lambda: {"loc": ONE, "scale": ONE},
    "evidence.ais": annealed(),
    "evidence.bdmc": annealed(),
    "evidence.classify": lambda: {"vae": of_kinds(), "data": KINDS, "examples": KINDS.test[:2], "seed": 1},
    "evidence.conditional_log_likelihood": measured(draws=4),
    "evidence.elbo": measured(draws=2),
    "evidence.fit_size_law": lambda: {"totals": np.arange(5, 29), "groups": CODES, "kind": "negative binomial"},
    "evidence.with_size": lambda: {
        "bound": replace(ESTIMATE, quantity="log p(x | size)"),
        "log_size": -ESTIMATE.values,
    },
    "evidence.defended_iwae": measured(draws=8),
    "evidence.iwae": measured(draws=2),
    "evidence.iwae_curve": measured(draws=3),
    "evidence.prior_sampling": measured(draws=2),
    "evidence.rate_distortion": measured(draws=2),
    "evidence.rate_distortion_curve": annealed(betas=[0.5, 1.0]),
    "evidence.reciprocal_sampling": measured(draws=8, chains=4, warm_up=2, leapfrog=2),
    "evidence.reverse_ais": annealed(warm_up=8),
    "evidence.simulated_against_real": annealed(),
    "exact.Kernels": lambda: {"rows": ROWS},
    "exact.active_at": lambda: {"eigenvalues": [4.0, 2.0, 0.5], "noise_variance": 1.0, "latents": 2},
    "exact.factors_of_covariance": lambda: {
        "mean": ROWS.mean(0),
        "covariance": np.cov(ROWS.T),
        "factors": 1,
        "floor": 0.125,
        "steps": 2,
    },
    "exact.fit_factor_mixture": lambda: {"x": ROWS, "components": 1, "factors": 1, "floor": 0.125, "steps": 2},
    "exact.fit_normal_mixture": lambda: {
        "x": ROWS,
        "components": 1,
        "pooled": 0.5,
        "uncorrelated": 0.5,
        "floor": 0.125,
        "steps": 2,
    },
    "exact.fit_factor_normal": lambda: {"x": ROWS, "start": PrincipalAxes.of(ROWS, 1).cut(1), "steps": 2},
    "exact.fit_latent_classes": lambda: {
        "x": np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]),
        "supports": [Support("categorical", 3), Support("binary")],
        "classes": 2,
        "steps": 2,
    },
    "exact.fit_normal_with_gaps": lambda: {"x": GAPS, "ridge": 0.125, "steps": 2},
    "exact.linear_elbo": lambda: {
        "covariance": torch.eye(1),
        "weights": torch.ones(1, 1),
        "encoder": torch.ones(1, 1),
        "variances": torch.ones(1),
        "noise_variance": 0.5,
    },
    "exact.log_evidence_by_quadrature": measured(nodes=40, reach=8.0),
    "exact.optimal_encoder": lambda: {"weights": torch.ones(2, 1), "noise_variance": 2.0},
    "exact.stationary_points": lambda: {"eigenvalues": [4.0, 2.0, 0.5], "latents": 1, "noise_variance": 1.0},
    "exact.train_tables": lambda: {"start": table(), "beta": 1.5, "rank": 1, "steps": 3, "lr": 0.125},
    "imputation.impute": lambda: {
        "vae": vae(),
        "examples": GAPS[:3],
        "imputations": 2,
        "samples": 4,
        "draws": 25,
        "temperatures": 3,
    },
    "ledger.audit": lambda: {"vae": vae(), "data": DATA, "n": 2, "quick": True, "progress": False},
    "ledger.fix": lambda: {
        "vae": vae(),
        "data": DATA,
        "remedies": ["calibrate", "lower_beta"],
        "seconds": None,
        "epochs": 2,
        "audits": False,
        "validation": 4,
        "test": 3,
        "progress": False,
    },
    "ledger.identity": lambda: {
        "vae": vae(),
        "examples": DATA.test[:3],
        "temperatures": 4,
        "chains": 2,
        "leapfrog": 2,
        "steps": 2,
        "draws": 2,
    },
    "likelihoods.Autoregressive": lambda: {
        "network": None,
        "family": lik.Bernoulli(None, 16),
        "image_shape": (4, 4),
        "radius": 1,
        "hidden": 4,
    },
    "likelihoods.Bernoulli": of_columns(),
    "likelihoods.Beta": of_columns(),
    "likelihoods.BetaBinomial": of_columns(levels=4),
    "likelihoods.Categorical": of_columns(levels=4),
    "likelihoods.ContinuousBernoulli": of_columns(),
    "likelihoods.Detection": of_columns(),
    "likelihoods.DiscretisedLogistic": of_columns(levels=4, components=2),
    "likelihoods.DiscretisedNormal": of_columns(levels=4, **SPREAD),
    "likelihoods.Laplace": of_columns(**SPREAD),
    "likelihoods.Likelihood": lambda: {"event": 3},
    "likelihoods.LogitNormal": of_columns(**SPREAD),
    "likelihoods.LowRankNormal": of_columns(rank=2, **SPREAD),
    "likelihoods.MaternNormal": of_images(length=2.0, nugget_floor=0.0625, **SPREAD),
    "likelihoods.NegativeBinomial": of_columns(dispersion="feature-batch", batches=2),
    "likelihoods.Normal": of_columns(**SPREAD),
    "likelihoods.NormalWithAtoms": of_columns(atoms=[0.0, 1.5], **SPREAD),
    "likelihoods.Poisson": of_columns(),
    "likelihoods.SparsePrecisionNormal": of_images(**SPREAD),
    "likelihoods.StudentT": of_columns(df=3.0, **SPREAD),
    "likelihoods.TruncatedNormal": of_columns(low=-1.0, high=2.0, **SPREAD),
    "likelihoods.ZeroInflatedNegativeBinomial": of_columns(dispersion="feature-batch", batches=2),
    "likelihoods.auto": lambda: {
        "support": Support("real"),
        "event": 3,
        "network_of": lambda numbers: nn.Linear(1, numbers),
    },
    "likelihoods.mass_outside": lambda: {
        "p_x": torch.distributions.Normal(torch.zeros(1, 1, 1), 1.0),
        "low": -1.0,
        "high": 1.0,
    },
    "metrics.auroc": lambda: {"inside": np.array([3.0, 2.0, 5.0]), "outside": np.array([1.0, 2.5])},
    "metrics.brier_score": lambda: {"probabilities": GUESSES, "labels": CODES},
    "metrics.changed_class": lambda: {"classifier": classifier(), "x": GREY[:4], "reconstructions": GREY[4:8]},
    "metrics.classifier_two_sample": lambda: {"data": np.tile(ROWS, (3, 1)), "samples": np.tile(ROWS, (3, 1)) + 1},
    "metrics.dci": lambda: {"codes": FACTORS, "factors": FACTORS, "trees": 3},
    "metrics.doubtful_labels": lambda: {"probabilities": GUESSES, "labels": CODES, "sure": 0.75},
    "metrics.factor_vae_score": lambda: {"codes": FACTORS, "factors": FACTORS, "votes": 20, "batch": 4},
    "metrics.frechet_distance": lambda: {"features_data": ROWS, "features_samples": 2 * ROWS},
    "metrics.latent_statistics": lambda: {"vae": vae(), "data": DATA, "most": 8, "components": 1},
    "metrics.latent_use": lambda: {"vae": vae(), "examples": DATA.test},
    "metrics.log_score": lambda: {"probabilities": GUESSES, "labels": CODES},
    "metrics.mutual_information_gap": lambda: {"codes": FACTORS, "factors": FACTORS},
    "metrics.neighbour_accuracy": lambda: {
        "train": ROWS,
        "train_labels": np.arange(40) % 2,
        "test": ROWS[:5] + 1,
        "test_labels": np.arange(5) % 2,
    },
    "metrics.precision_recall": lambda: {"features_data": ROWS, "features_samples": ROWS + 1},
    "metrics.psnr": lambda: {"squared_error": 0.5, "dimensions": 64},
    "metrics.reconstruction_error": lambda: {"vae": vae(), "examples": DATA.test},
    "metrics.reliability": lambda: {"probabilities": GUESSES, "labels": CODES, "bins": 4},
    "metrics.residual_correlation": lambda: {"residuals": GREY, "lags": 2},
    "metrics.sap": lambda: {"codes": FACTORS, "factors": FACTORS, "classes": [0]},
    "metrics.small_classifier": lambda: {"x": GREY, "labels": CODES, "epochs": 1},
    "metrics.total_ink": lambda: {"x": ROWS},
    "metrics.unlabelled_gain": lambda: {"vae": of_classes(), "recipe": CLASSES, "data": LABELLED},
    "metrics.variance_budget": lambda: {"vae": vae(), "examples": DATA.test, "draws": 20},
    "models.Recipe": lambda: {"latents": 2, "widths": (8, 4)},
    "networks.ConvNet": lambda: {"inputs": (1, 8, 8), "outputs": 4, "channels": (2, 4), "dense": 8},
    "networks.MLP": lambda: {"widths": [3, 4]},
    "networks.PerExample": lambda: {"rows": 3, "numbers": 2},
    "networks.ResNet": lambda: {"inputs": (1, 8, 8), "outputs": 4, "channels": (2, 4), "dense": 8},
    "networks.Wired": lambda: {"network": nn.Identity(), "inputs": [0, 2], "size": 3, "outputs": [2, 0]},
    "networks.Standardised": lambda: {"network": nn.Identity(), "event": (2,), "classes": (0, 3)},
    "networks.Tempered": lambda: {"network": nn.Identity(), "factor": 0.5},
    "networks.preset": lambda: {"name": "conv-2018", "image": (1, 28, 28), "latents": 4},
    "numerics.Support": lambda: {"kind": "grid", "levels": 4},
    "numerics.as_batch": lambda: {"examples": ROWS},
    "numerics.as_rows": lambda: {"examples": ROWS},
    "numerics.in_parts": lambda: {"rows": DATA.test, "most": 3},
    "numerics.infer_support": lambda: {"values": np.array([[0.0, 3.0], [1.0, 2.0]])},
    "numerics.keyed_generators": lambda: {"index": INDEX, "seed": 0, "block": 0},
    "numerics.keyed_normal": lambda: {"shape": (2,), "draws": 3, "index": INDEX, "seed": 0},
    "numerics.narrow_seed": lambda: {"seed": 0},
    "numerics.keyed_uniform": lambda: {"shape": (2,), "index": INDEX, "seed": 0},
    "objectives.BetaTC": lambda: {"beta": 2.0, "information": 0.5, "dimensions": 1.0, "examples": 40},
    "objectives.Capacity": lambda: {"capacity": 0.5, "weight": 2.0},
    "objectives.CyclicalSchedule": lambda: {"steps": 8, "cycles": 2, "rising": 0.5, "floor": 0.25},
    "objectives.Dip": lambda: {"off_diagonal": 2.0, "diagonal": 0.5},
    "objectives.Discrepancy": lambda: {"weight": 2.0, "rate": 0.5},
    "objectives.Elbo": lambda: {"beta": 0.5},
    "objectives.FreeBits": lambda: {"allowance": 0.5},
    "objectives.Geco": lambda: {"tolerance": 0.5},
    "objectives.Iwae": lambda: {"draws": 4, "groups": 2, "elbo": 0.5},
    "objectives.LinearSchedule": lambda: {"steps": 8, "floor": 0.25},
    "objectives.LogisticSchedule": lambda: {"steps": 8, "sharpness": 4.0, "floor": 0.25},
    "objectives.MultiRate": lambda: {"lowest": 0.5, "highest": 2.0, "draws": 2},
    "objectives.PriorSampling": lambda: {"draws": 4},
    "objectives.RateDistortion": lambda: {"weight": 0.5, "draws": 2},
    "objectives.SemiSupervised": lambda: {"weight": 0.5, "draws": 2},
    "objectives.Schedule": lambda: {"steps": 8, "floor": 0.25},
    "plots.grey_range": lambda: {"x": ROWS, "levels": 4},
    "plots.images": lambda: {"x": GREY, "image_shape": (4, 4)},
    "plots.kl_per_latent": lambda: {"use": SimpleNamespace(kl=[0.5, 2.0], active=[True, True]), "threshold": 0.5},
    "plots.latent_map": lambda: {"points": ROWS[:, :2].copy(), "labels": np.arange(40) % 2, "names": ["a", "b"]},
    "plots.lines": lambda: {
        "series": [Series("IWAE", [1, 10], [-90.0, -88.0])],
        "across": "draws",
        "up": "nats",
        "limits": (-100.0, 0.0),
    },
    "plots.log_likelihoods": lambda: {"estimate": ESTIMATE},
    "plots.mosaic": lambda: {"rows": [np.zeros((3, 2, 2, 1), np.uint8)], "gap": 1},
    "plots.plate_diagram": lambda: {"recipe": model_recipe(vae()), "n": 3},
    "plots.spans": lambda: {"rows": [Span("calibrate", 0.0, 2.5, "2.5")], "axis": "nats", "at": 1.5},
    "plots.rate_distortion": lambda: {"models": [MODEL]},
    "plots.to_bytes": lambda: {"x": GREY, "image_shape": (4, 4), "limits": (0.0, 1.0)},
    "posteriors.Bounded": lambda: {"network": nn.Linear(3, 4), "event": 2, "floor": 0.25},
    "posteriors.Categorical": lambda: {"network": nn.Linear(3, 4), "classes": 4},
    "posteriors.CategoricalGrid": lambda: {"network": nn.Linear(3, 6), "cells": 2, "per_cell": 3},
    "posteriors.DiagonalNormal": lambda: {"network": nn.Linear(3, 4), "event": 2},
    "posteriors.Ladder": lambda: {"network": nn.Identity(), "event": 2, "prior": priors.Normal(2)},
    "posteriors.FullNormal": lambda: {"network": nn.Linear(3, 5), "event": 2, "floor": 0.25},
    "posteriors.Flow": lambda: {"network": nn.Linear(3, 8), "event": 2, "context": 4, "transforms": 1, "hidden": (4,)},
    "posteriors.Mixture": lambda: {"network": nn.Linear(3, 10), "event": 2, "components": 2},
    "posteriors.RelaxedCategorical": lambda: {"network": nn.Linear(3, 4), "classes": 4, "temperature": 0.5},
    "posteriors.VonMisesFisher": lambda: {"network": nn.Linear(3, 3), "event": 2, "floor": 0.25},
    "preprocess.Affine": lambda: {"scale": 2.0, "shift": 1.0},
    "preprocess.Atoms": lambda: {"inner": preprocess.Affine(2.0), "atoms": [0.0, 1.5]},
    "preprocess.Binarise": lambda: {"levels": 4, "event": (3,)},
    "preprocess.Codes": lambda: {"values": [-1.5, 2.5]},
    "preprocess.Columns": lambda: {"steps": [preprocess.Identity()], "sizes": [3]},
    "preprocess.Dequantise": lambda: {"levels": 4, "event": (3,)},
    "preprocess.Logit": lambda: {"alpha": 0.25},
    "preprocess.Rounded": lambda: {"steps": [0.25, 0.0], "offsets": [5.0, 0.0]},
    "preprocess.Standardise": lambda: {"event": (3,)},
    "priors.Categorical": lambda: {"classes": 2, "probabilities": [0.25, 0.75]},
    "priors.CategoricalGrid": lambda: {"cells": 2, "per_cell": 2, "probabilities": [0.25, 0.75]},
    "priors.Flow": lambda: {"event": 2, "transforms": 1, "hidden": (4,)},
    "priors.FixedNormal": lambda: {"event": 2, "mean": 0.5, "std": 2.0},
    "priors.Mixture": lambda: {"event": 2, "components": 3, "floor": 0.25},
    "priors.Normal": lambda: {"event": 2, "floor": 0.25},
    "priors.RelaxedCategorical": lambda: {"classes": 2, "temperature": 0.5},
    "priors.Relevance": lambda: {"event": 2, "decoder": nn.Linear(2, 3), "floor": 0.25},
    "priors.Sphere": lambda: {"event": 2},
    "priors.StandardNormal": lambda: {"event": 2},
    "priors.Uniform": lambda: {"event": 2},
    "priors.Vamp": lambda: {"posterior": posteriors.DiagonalNormal(nn.Linear(3, 4), 2), "inputs": 3},
    "procedures.Adversarial": lambda: {"critic": nn.Linear(1, 1), "weight": 0.5},
    "procedures.Aggressive": lambda: {"updates": 20, "window": 5, "patience": 2},
    "procedures.MonteCarloEM": lambda: {"transitions": 2, "leapfrog": 3, "acceptance": 0.75, "draws": 4},
    "procedures.SemiAmortised": lambda: {"steps": 2, "rate": 0.25, "clip": 4.0},
    "procedures.Phase": lambda: {"objective": Elbo(), "lr": 0.25, "lr_final": 0.125, "betas": (0.5, 0.75), "clip": 1.0},
    "procedures.ReweightedWakeSleep": lambda: {"draws": 4},
    "procedures.TotalCorrelation": lambda: {"critic": nn.Linear(1, 1), "weight": 0.5},
    "remedies.refine": lambda: {
        "vae": vae(),
        "examples": DATA.test[:3],
        "steps": 2,
        "lr": 0.25,
        "refine_draws": 2,
        "draws": 2,
    },
    "remedies.calibrate": lambda: {"vae": vae(), "data": DATA, "draws": 2},
    "remedies.aggressive": lambda: {**trained_again(), "updates": 2},
    "remedies.anneal": lambda: {**trained_again(), "share": 0.5},
    "remedies.free_bits": lambda: {**trained_again(), "allowance": 0.25},
    "remedies.lower_beta": lambda: {**trained_again(), "beta": 0.5},
    "remedies.refine_inference": lambda: {**trained_again(), "transforms": 1},
    "remedies.refit_prior": lambda: {"vae": vae(), "data": DATA, "components": 2, "draws": 2},
    "remedies.shrink_latent": lambda: {"vae": two_latents(), "data": DATA, "threshold": 1e3, "draws": 2},
    "remedies.stop_earlier": lambda: {**trained_again(), "patience": 2},
    "remedies.structured_residual": lambda: {"vae": vae(), "data": DATA, "rank": 2, "draws": 2},
    "runs.classify_run": lambda: {"run": labelled(), "out": run().parent / "kinds.npy", "draws": 2, "progress": False},
    "runs.encode_run": lambda: {"run": run(), "out": run().parent / "codes.npy", "progress": False},
    "runs.score_run": lambda: {
        "run": run(),
        "out": run().parent / "scores.npy",
        "draws": 2,
        "progress": False,
    },
    "runs.predict_run": lambda: {
        "run": with_labels(),
        "out": with_labels().parent / "classes.npy",
        "source": LABELLED,
        "progress": False,
    },
    "runs.impute_run": lambda: {
        "run": with_gaps(),
        "out": with_gaps().parent / "filled.csv",
        "source": table_with_gaps(),
        "imputations": 2,
        "draws": 25,
        "progress": False,
    },
    "runs.measure_run": lambda: {"run": run(), "points": 3, "draws": 2, "progress": False},
    "runs.run_data": lambda: {"folder": run()},
    "runs.sample_run": lambda: {"run": run(), "out": run().parent / "drawn.npy", "n": 2},
    "runs.transfer_run": lambda: {"run": run(), "out": run().parent / "moved.npy", "n": 2},
    "studies.audit_run": lambda: {"run": run(), "quick": True, "n": 2, "progress": False},
    "studies.fix_run": lambda: {
        "run": run(),
        "new": Path(tempfile.mkdtemp()) / "fixed",
        "seconds": 1.0,
        "progress": False,
    },
    "studies.report_run": lambda: {"run": run(), "draws": 2, "annealed": 0, "progress": False},
    "studies.study": lambda: {"data": DATA, "folder": Path(tempfile.mkdtemp()) / "s", "epochs": 1, "progress": False},
    "sweeps.along_beta": lambda: {"vae": reading_beta(), "data": DATA, "betas": [0.5], "draws": 2},
    "sweeps.choose": lambda: {"swept": swept(), "goal": "rate", "data": DATA, "target": 100.0},
    "sweeps.Range": lambda: {"low": 0.25, "high": 4.0},
    "sweeps.search": lambda: {
        "recipe": {"latents": 1, "widths": [4], "epochs": 1},
        "data": DATA,
        "space": {"beta": [0.5]},
        "trials": 1,
        "draws": 2,
        "progress": False,
    },
    "sweeps.sweep": lambda: {
        "recipe": {"latents": 1, "widths": [4], "epochs": 1},
        "data": DATA,
        "axes": {"beta": [0.5]},
        "draws": 2,
        "progress": False,
    },
    "training.fit": lambda: {
        "vae": vae(),
        "data": DATA,
        "epochs": 1,
        "lr": 0.125,
        "lr_final": 0.0625,
        "betas": (0.5, 0.75),
        "clip": 1.0,
        "patience": 1,
        "progress": False,
    },
    "training.fit_stacked": lambda: {
        "vaes": [vae()],
        "data": DATA,
        "objectives": [Elbo()],
        "epochs": 2,
        "lr_final": 0.0625,
        "clip": 1.0,
        "patience": 1,
        "progress": False,
    },
    "vae.VAETarget": lambda: {"vae": vae(), "examples": DATA.test},
    "vae.check_readings": lambda: {"vae": vae(), "examples": DATA.test},
}

METHODS: dict[str, tuple[Any, Call]] = {
    "VAE.at_beta": (er.VAE.at_beta, lambda: {"self": reading_beta(), "beta": 0.5}),
    "VAE.at_means": (er.VAE.at_means, lambda: {"self": vae(), "examples": ROWS[:4]}),
    "VAE.encode": (er.VAE.encode, lambda: {"self": vae(), "examples": ROWS[:4]}),
    "VAE.reconstruct": (er.VAE.reconstruct, lambda: {"self": vae(), "examples": ROWS[:4]}),
    "VAE.sample": (er.VAE.sample, lambda: {"self": vae(), "n": 3, "offset": 0.5, "mode": "offset"}),
    "VAE.transfer": (er.VAE.transfer, lambda: {"self": vae(), "examples": ROWS[:4], "context": {}}),
    "VAE.target": (er.VAE.target, lambda: {"self": vae(), "examples": ROWS[:4]}),
    "Estimate.bits_per_dimension": (Estimate.bits_per_dimension, lambda: {"self": ESTIMATE, "dimensions": 3}),
    "Likelihood.at_temperature": (
        lik.Likelihood.at_temperature,
        lambda: {"self": lik.Bernoulli(nn.Linear(1, 3), 3), "factor": 0.5},
    ),
    "ProbabilisticPCA.fit": (ProbabilisticPCA.fit, lambda: {"x": ROWS, "d": 1}),
    "Table.objective": (Table.objective, lambda: {"self": table(), "beta": 0.5}),
}

SLOW = {
    "compression.compress",
    "compression.compress_lossy",
    "evidence.ais",
    "evidence.bdmc",
    "evidence.rate_distortion_curve",
    "evidence.reciprocal_sampling",
    "evidence.reverse_ais",
    "evidence.simulated_against_real",
    "ledger.audit",
    "ledger.fix",
    "ledger.identity",
    "runs.classify_run",
    "runs.impute_run",
    "runs.measure_run",
    "studies.audit_run",
    "studies.fix_run",
    "studies.report_run",
    "studies.study",
    "sweeps.search",
    "sweeps.sweep",
    "training.fit_stacked",
}
"""Asked only for what is refused: the same decorator reads the rest, and the tests of the room are long enough."""

NO_DOOR = {
    "cli_options.load_source": "what was typed, which load_data reads",
    "distributions.BinaryBernoulli": "torch's own constructor",
    "distributions.Columns": "made of distributions by a likelihood",
    "distributions.CorrelatedNormal": "made by its subclasses",
    "cli_labels.on_validation": "lines of the command line",
    "numerics.aligned": "words, and shows what it is given",
    "numerics.count": "words, and shows what it is given",
    "numerics.for_torch": "what reads the arrays of the others",
    "numerics.places": "words, of an error that may be NaN",
    "numerics.rounded": "words, of a value that may be NaN",
    "numerics.with_error": "words, of values that may be NaN",
    "plots.class_shares": "names alone",
    "plots.ladder": "names alone",
    "plots.predictive_checks": "names alone",
    "plots.quantile_strips": "names alone",
    "plots.stacked_bars": "names alone",
    "metrics.SmallClassifier": "made by small_classifier",
    "progress.Progress": "made by what takes time",
    "studies.audit_scvi": "needs scvi-tools; tests/test_from_scvi.py has it",
    "progress.say": "said by what takes time",
}


def of_bits() -> er.VAE:
    torch.manual_seed(0)
    likelihood = lik.Bernoulli(nn.Linear(1, 4), 4)
    return er.VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(nn.Linear(4, 2), 1), likelihood)


@functools.cache
def packed() -> Path:
    """A file of bits."""
    path = Path(tempfile.mkdtemp()) / "bits.elb"
    er.compression.compress(of_bits(), CODES[:20].reshape(5, 4), path, chunk_rows=2, bounds=False, progress=False)
    return path


@functools.cache
def classifier() -> metrics.SmallClassifier:
    return metrics.small_classifier(GREY, CODES, epochs=1)
