"""Modules of scvi-tools as parts of a VAE of ours: encoders, decoder, counts and the prior of a latent library."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from elbowroom.components import Component
from elbowroom.distributions import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from elbowroom.likelihoods import Likelihood
from elbowroom.likelihoods.likelihood import not_whole_from_0, refuse
from elbowroom.numerics import Given, Support
from elbowroom.recipes import described

from .halves import without

__all__ = ["FAMILIES", "LibraryPrior", "ScviCounts", "ScviDecoder", "ScviEncoder"]

Family = Literal["poisson", "nb", "zinb"]

FAMILIES = ("poisson", "nb", "zinb")
"""Words of `gene_likelihood` that are of counts."""

_ADDED = 1e-8  # to a mean, in the log-probabilities of scvi-tools' negative binomials


@described("scvi-encoder")
class ScviEncoder(nn.Module):
    """An encoder of an SCVI module as a network of `DiagonalNormal`: mean and log of the standard deviation.

    Parameters
    ----------
    network : nn.Module
        The module of an SCVI model.
    name : str, default "z_encoder"
        Which of its encoders.
    lacks : sequence of str, default ()
        Its submodules and parameters that this part does without.
    """

    def __init__(self, network: nn.Module, name: str = "z_encoder", lacks: Sequence[str] = ()) -> None:
        super().__init__()
        self.network, self.name, self.lacks = without(network, lacks), name, list(lacks)

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """[n, 2 · latents]."""
        module: Any = self.network
        q, _ = getattr(module, self.name)(torch.log1p(x) if module.log_variational else x, _codes(x, batch))
        return torch.cat([q.loc, q.scale.log()], -1)


@described("scvi-decoder")
class ScviDecoder(nn.Module):
    """The decoder of an SCVI module as a network of `ScviCounts`: log-means, then log-dispersions of cells, then gates.

    Parameters
    ----------
    network : nn.Module
        The module of an SCVI model.
    latent_library : bool, default False
        Whether the second thing that it reads is a latent log-library, and not the library itself.
    lacks : sequence of str, default ()
        Its submodules and parameters that this part does without.
    """

    def __init__(self, network: nn.Module, latent_library: bool = False, lacks: Sequence[str] = ()) -> None:
        super().__init__()
        self.network, self.latent_library, self.lacks = without(network, lacks), latent_library, list(lacks)

    def forward(self, z: Tensor, library: Tensor, batch: Tensor | None = None) -> Tensor:
        """[n, numbers per gene · genes]."""
        module: Any = self.network
        size = library.reshape(-1, 1) if self.latent_library else library.reshape(-1, 1).log()
        _, of_cell, rate, gate = module.decoder(module.dispersion, z, size, _codes(z, batch), None)
        if module.gene_likelihood == "poisson":
            return rate.clamp_min(torch.finfo(rate.dtype).tiny).log()
        numbers = (
            [(rate + _ADDED).log()] + [of_cell] * (of_cell is not None) + [gate] * (module.gene_likelihood == "zinb")
        )
        return torch.cat(numbers, -1)

    def log_dispersion(self, batch: Tensor | None) -> Tensor:
        """Of genes, [1, 1, genes], or of genes in the batches of cells, [1 or draws, n, genes]."""
        of_genes: Tensor = self.network.px_r  # type: ignore[assignment]
        return of_genes.view(1, 1, -1) if of_genes.dim() == 1 else _chosen(batch, of_genes)


@described("scvi-counts")
class ScviCounts(Likelihood):
    """Counts as an SCVI module has them; its decoder says log-means, and dispersions and gates where there are some.

    Parameters
    ----------
    network : nn.Module
        A `ScviDecoder`: reads the tensors named in `given` and returns the log-means of all genes, then their
        log-dispersions where these are of each cell, then the logits of extra zeros where there are some.
    event : int or sequence of int
        Shape of one x: the number of genes.
    family : {"poisson", "nb", "zinb"}
        Which counts.
    given : sequence of str
        Names of the tensors that the network reads, in the order of its arguments.
    of_cells : bool, default False
        Whether the network returns dispersions, one for each gene of each cell.
    """

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        family: Family,
        given: Sequence[str],
        of_cells: bool = False,
    ) -> None:
        super().__init__(event, given=given, network=network)
        self.family, self.of_cells = family, of_cells
        self.parts = 1 + (family == "zinb") + (of_cells and family != "poisson")

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        events = len(self.event)
        if self.family == "poisson":
            return Independent(Poisson(raw[0]), events, False)
        decoder: Any = self.network
        log_dispersion = raw[1] if self.of_cells else decoder.log_dispersion(given.get("batch"))
        if self.family == "nb":
            return Independent(NegativeBinomial(raw[0], log_dispersion), events, False)
        return Independent(ZeroInflatedNegativeBinomial(raw[0], log_dispersion, raw[-1]), events, False)

    def outside(self, y: Tensor) -> Tensor:
        """All but whole numbers from 0."""
        return not_whole_from_0(y)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "the counts 0, 1, 2, …"

    def check(self, support: Support) -> None:
        """Counts only."""
        if support.kind not in ("counts", "grid", "binary"):
            raise refuse(self, "a probability of the counts 0, 1, 2, …", support, "give the counts themselves")


@described("scvi-library")
class LibraryPrior(Component):
    """The prior of a latent log-library of an SCVI module: a normal, one for each batch.

    Parameters
    ----------
    network : nn.Module
        The module, with `library_log_means` and `library_log_vars`, [1, batches].
    given : sequence of str, default ("batch",)
        "batch", one-hot; () where there is one batch.
    lacks : sequence of str, default ()
        Submodules and parameters of the module that this part does without.
    """

    form = "independent normal"

    def __init__(self, network: nn.Module, *, given: Sequence[str] = ("batch",), lacks: Sequence[str] = ()) -> None:
        super().__init__(1, given=given, network=without(network, lacks))
        self.lacks = list(lacks)

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [1, batch] where there are batches."""
        module: Any = self.network
        batch = given["batch"] if self.given else None
        mean, variance = (_chosen(batch, one) for one in (module.library_log_means, module.library_log_vars))
        return Independent(Normal(mean, variance.sqrt(), validate_args=False), 1, False)


def _chosen(batch: Tensor | None, of_batches: Tensor) -> Tensor:
    """What belongs to the batch of each cell, [draws or 1, n, values]; of_batches: [values, batches]."""
    if batch is None:
        return of_batches.t().unsqueeze(0)
    return of_batches.t()[batch.argmax(-1)]


def _codes(like: Tensor, batch: Tensor | None) -> Tensor:
    """Numbers of the batches, [n, 1]; 0 where there is one."""
    if batch is None:
        return torch.zeros(len(like), 1, dtype=torch.int64, device=like.device)
    return batch.argmax(-1, keepdim=True)
