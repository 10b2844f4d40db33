"""A double of scvi-tools' SCVI: its module's interface, with torch's own densities in its loss."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import NegativeBinomial, Normal, Poisson, kl_divergence
from torch.nn.functional import one_hot, softplus

GENES, LATENTS = 7, 2


class Encoder(nn.Module):
    """log(1 + x), and one-hot batches where it reads them, to a normal and a draw of it."""

    def __init__(self, latents: int, batches: int) -> None:
        super().__init__()
        self.batches = batches
        self.hidden, self.norm = nn.Linear(GENES + batches, 6), nn.BatchNorm1d(6)
        self.mean, self.log_variance = nn.Linear(6, latents), nn.Linear(6, latents)

    def forward(self, x: Tensor, batch: Tensor, *further: Tensor) -> tuple[Normal, Tensor]:
        read = torch.cat([x, one_hot(batch[:, 0], self.batches).to(x)], -1) if self.batches else x
        hidden = self.norm(self.hidden(read)).relu()
        q = Normal(self.mean(hidden), (self.log_variance(hidden).exp() + 1e-4).sqrt())
        return q, q.rsample()


class Decoder(nn.Module):
    """z and batches to shares, dispersions of cells, means and logits of extra zeros."""

    def __init__(self, batches: int, softplus: bool) -> None:
        super().__init__()
        self.batches, self.softplus = batches, softplus
        self.hidden = nn.Linear(LATENTS + batches, 6)
        self.shares, self.of_cell, self.gate = (nn.Linear(6, GENES) for _ in range(3))

    def forward(self, dispersion: str, z: Tensor, library: Tensor, batch: Tensor, *further: Tensor):
        hidden = self.hidden(torch.cat([z, one_hot(batch[:, 0], self.batches).to(z)], -1)).relu()
        shares = softplus(self.shares(hidden)) if self.softplus else self.shares(hidden).softmax(-1)
        of_cell = self.of_cell(hidden) if dispersion == "gene-cell" else None
        return shares, of_cell, library.exp() * shares, self.gate(hidden)


class Module(nn.Module):
    """As scvi-tools' VAE."""

    def __init__(
        self,
        family: str = "zinb",
        dispersion: str = "gene",
        batches: int = 2,
        library: str = "observed",
        encode_covariates: bool = False,
        kl_twice: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gene_likelihood, self.dispersion, self.n_batch = family, dispersion, batches
        self.n_input, self.n_latent, self.log_variational = GENES, LATENTS, True
        self.latent_distribution, self.batch_representation, self.minified_data_type = "normal", "one-hot", None
        self.use_size_factor_key, self.use_observed_lib_size = library == "column", library != "latent"
        self.encode_covariates, self.kl_twice = encode_covariates, kl_twice
        read = batches if encode_covariates else 0
        self.z_encoder, self.l_encoder = Encoder(LATENTS, read), Encoder(1, read)
        self.decoder = Decoder(batches, self.use_size_factor_key)
        if dispersion != "gene-cell":
            self.px_r = nn.Parameter(torch.randn(GENES, *[batches] * (dispersion == "gene-batch")))
        self.register_buffer("library_log_means", torch.linspace(2.0, 3.0, batches).unsqueeze(0))
        self.register_buffer("library_log_vars", torch.linspace(0.1, 0.3, batches).unsqueeze(0))

    def forward(self, cells: dict[str, Tensor]):
        x, batch = cells["X"], cells["batch"]
        qz, z = self.z_encoder((1 + x).log(), batch)
        ql, log_library = self.l_encoder((1 + x).log(), batch)
        if self.use_observed_lib_size:
            log_library = (cells["size_factor"] if self.use_size_factor_key else x.sum(1, keepdim=True)).log()
        kl_z = kl_divergence(qz, Normal(torch.zeros_like(z), 1.0)).sum(-1) * (1 + self.kl_twice)
        means, variances = self.library_log_means[0, batch], self.library_log_vars[0, batch]
        kl_l = kl_divergence(ql, Normal(means, variances.sqrt())).sum(-1)
        losses = SimpleNamespace(
            reconstruction_loss={"reconstruction_loss": -self.log_p(x, z, log_library, batch)},
            kl_local={"z": kl_z, "l": torch.zeros_like(kl_z) if self.use_observed_lib_size else kl_l},
        )
        return {"z": z, "library": log_library}, {}, losses

    def log_p(self, x: Tensor, z: Tensor, log_library: Tensor, batch: Tensor) -> Tensor:
        _, of_cell, rate, gate = self.decoder(self.dispersion, z, log_library, batch)
        if self.gene_likelihood == "poisson":
            return Poisson(rate).log_prob(x).sum(-1)
        of_genes = {"gene": lambda: self.px_r, "gene-batch": lambda: self.px_r[:, batch[:, 0]].t()}
        theta = of_genes.get(self.dispersion, lambda: of_cell)().exp()
        log_p = NegativeBinomial(theta, logits=rate.log() - theta.log()).log_prob(x)
        if self.gene_likelihood == "zinb":
            extra, counted = gate.sigmoid(), (-gate).sigmoid() * log_p.exp()
            log_p = torch.where(x == 0, (extra + counted).log(), counted.log())
        return log_p.sum(-1)


def cells(n: int = 12) -> dict[str, Tensor]:
    """Counts, batches and size factors as scvi-tools hands them to its module."""
    generator = torch.Generator().manual_seed(1)
    x = torch.poisson(3 * torch.rand(n, GENES, generator=generator), generator=generator)
    x[:, 0] += 1
    return {
        "X": x,
        "batch": torch.arange(n).unsqueeze(1) % 2,
        "size_factor": 0.5 + torch.rand(n, 1, generator=generator),
    }


class Manager:
    """As its AnnDataManager."""

    def __init__(self, found: dict[str, Tensor]) -> None:
        self.found = found

    def get_from_registry(self, key: str):
        return self.found[key].numpy()

    def get_state_registry(self, key: str):
        return SimpleNamespace(categorical_mapping=np.array(["one", "other"]))


def model(module: Module | None = None, parts: tuple[int, int] = (6, 9), **covariates: int):
    """As a trained SCVI with its cells; parts: where validation and test begin."""
    found = cells()
    rows = np.arange(len(found["X"]))
    return SimpleNamespace(
        module=Module() if module is None else module,
        summary_stats={f"n_{name}": count for name, count in covariates.items()},
        adata_manager=Manager(found),
        adata=SimpleNamespace(var_names=[f"g{i}" for i in range(GENES)]),
        train_indices=rows[: parts[0]],
        validation_indices=rows[parts[0] : parts[1]],
        test_indices=rows[parts[1] :],
    )
