"""An SCVI model of scvi-tools, as a VAE of ours."""

from typing import Any

import torch
from torch import Tensor, nn

from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.numerics import CapabilityError, Given, InputError, own_modes
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .listening import FAILURES
from .parts import floating
from .scvi_parts import FAMILIES, LibraryPrior, ScviCounts, ScviDecoder, ScviEncoder

__all__ = ["from_scvi"]

_MEMBERS = ("z_encoder", "decoder", "gene_likelihood", "dispersion", "n_input", "n_latent", "n_batch")
_DEPTHS = (0.3, 4.0, 4.0, 30.0, 300.0)  # mean counts of a gene in the cells that are asked
_CLOSE = 1e-3  # of a cell's nats: scvi-tools sums logarithms of gamma functions in 32 bits


@own_modes
def from_scvi(model: Any) -> VAE:
    """Make a VAE of a trained SCVI model of scvi-tools, over its own modules, with nothing trained again.

    Read are encoder (log(1 + x) inside, if the model has it), decoder, dispersion, likelihood, batches, and the library
    as the model has it: observed, a column of size factors, or latent. Its own loss is asked on cells with the same
    draws; a model whose loss is another is refused.

    Parameters
    ----------
    model : SCVI or LinearSCVI
        Of scvi-tools, as it trains or loads them: `model.module` and `model.summary_stats` are read.

    Returns
    -------
    VAE
        Of log p(x | library, batch): where the library is observed, x come with the context "library" [n, 1], the total
        of a cell's counts over the model's genes (or its size factor), and where there are batches with "batch", one-
        hot; `scvi_data` makes both. A latent library is a block "log_library", and the bounds are on log p(x | batch).
        It is saved by `er.save_model`, and loaded with the model's module by each name that the error asks for.

    Raises
    ------
    CapabilityError
        For what is not covered: other models, further covariates, dispersion by label, embedded batches, a logistic
        normal z, the likelihood "normal", minified data; or a loss that is not the one read from the modules.
    InputError
        For something that has no module of this kind.

    Notes
    -----
    scvi-tools' negative binomials add 1e-8 to each mean; so does this VAE, and otherwise its log-probabilities are
    normalised and formed in 64 bits.

    References
    ----------
    Lopez, Regier, Cole, Jordan & Yosef, "Deep generative modeling for single-cell transcriptomics" (2018).
    Gayoso et al., "A Python library for probabilistic analysis of single-cell omics data" (2022).

    Examples
    --------
    >>> from_scvi(nn.Linear(2, 2))
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: model is an SCVI of scvi-tools, with a module; got a Linear.
    """
    module = _module_of(model)
    _refuse_uncovered(model, module)
    batches, latent = int(module.n_batch), not module.use_observed_lib_size
    batch = ("batch",) if batches > 1 else ()
    read = ("x", *batch) if module.encode_covariates else ("x",)
    prior: dict[str, Component] = {"z": priors.StandardNormal(int(module.n_latent))}
    posterior: dict[str, Component] = {"z": _encoder(module, "z_encoder", int(module.n_latent), read)}
    if latent:
        prior["log_library"] = LibraryPrior(module, given=batch, lacks=_all_but(module, "library_log_means"))
        posterior["log_library"] = _encoder(module, "l_encoder", 1, read)
    decoder = ScviDecoder(module, latent, _all_but(module, "decoder", "px_r"))
    given = ("z", "log_library" if latent else "library", *batch)
    words = {"family": module.gene_likelihood, "of_cells": module.dispersion == "gene-cell"}
    vae = VAE(prior, posterior, ScviCounts(decoder, int(module.n_input), given=given, **words))
    off = _check_loss(vae, module)
    vae.assumed = (*_said(module, latent), f"Its own loss on {_OF_CELLS} is this VAE's, within {off:.1g} nats.")
    return vae


_OF_CELLS = f"{len(_DEPTHS)} cells with {min(_DEPTHS):g} to {max(_DEPTHS):g} counts a gene"


def _module_of(model: Any) -> Any:
    module = getattr(model, "module", None)
    if not isinstance(module, nn.Module):
        raise InputError(f"model is an SCVI of scvi-tools, with a module; got a {type(model).__name__}.")
    floating(module)
    missing = [name for name in _MEMBERS if not hasattr(module, name)]
    if missing or hasattr(module, "classifier"):
        why = f"has no {missing[0]}" if missing else "has a classifier, and another p(z)"
        raise CapabilityError(
            f"from_scvi takes SCVI and LinearSCVI, and the module of this {type(model).__name__} {why}: make a VAE of "
            f"its encoder and decoder by adapters.from_modules."
        )
    return module


def _refuse_uncovered(model: Any, module: Any) -> None:
    stats = getattr(model, "summary_stats", {})
    further = [name for name in ("extra_categorical_covs", "extra_continuous_covs") if stats.get(f"n_{name}", 0)]
    uncovered = {
        f"the likelihood {module.gene_likelihood!r}, which is none of counts": module.gene_likelihood not in FAMILIES,
        f"the dispersion {module.dispersion!r}": module.dispersion not in ("gene", "gene-batch", "gene-cell"),
        f"the latent distribution {getattr(module, 'latent_distribution', '')!r}": (
            getattr(module, "latent_distribution", "normal") != "normal"
        ),
        "an embedding of its batches": getattr(module, "batch_representation", "one-hot") != "one-hot",
        f"covariates beside the batch ({', '.join(further)})": bool(further),
        "minified data, without counts": getattr(module, "minified_data_type", None) is not None,
    }
    found = [what for what, has in uncovered.items() if has]
    if found:
        raise CapabilityError(
            f"This {type(model).__name__} has {found[0]}, and from_scvi covers Poisson, nb and zinb, dispersion by "
            f"gene, gene-batch or gene-cell, a normal z, and one-hot batches as the only covariate."
        )


def _encoder(module: Any, name: str, latents: int, given: tuple[str, ...]) -> Component:
    network = ScviEncoder(module, name, _all_but(module, name))
    return posteriors.DiagonalNormal(network, latents, given=given, spread="exp", floor=0.0)


def _all_but(module: nn.Module, *names: str) -> list[str]:
    """Submodules and parameters of a module, without some."""
    every = [*(name for name, _ in module.named_children()), *module._parameters]
    return [name for name in every if name not in names]


def _said(module: Any, latent: bool) -> list[str]:
    of = "log(1 + x)" if module.log_variational else "x"
    means = (
        "softplus of the decoder times the size factor" if module.use_size_factor_key else "its shares of the library"
    )
    library = (
        "the library is a latent with the module's own log-normal prior"
        if latent
        else "the library is observed, so that every number is given it"
    )
    return [
        f"q(z | x) is the normal of its z_encoder, which reads {of}; p(z) is N(0, I), as its loss has it.",
        f"p(x | z) is {module.gene_likelihood}, dispersion by {module.dispersion}; means are {means}; {library}.",
    ]


@torch.no_grad()
def _check_loss(vae: VAE, module: Any) -> float:
    """By how many nats its own loss differs at most; refuses one that is another."""
    try:
        cells = _cells(module)
        with evaluating(module), torch.random.fork_rng([]):
            inferred, _, losses = module(cells)
    except (*FAILURES, KeyError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise CapabilityError(
            f"The module's own loss could not be asked ({reason}), so nothing was checked."
        ) from error
    with evaluating(vae):
        given = _namespace(vae, module, cells, inferred)
        ours = [-vae.likelihood(given).log_prob(given["x"])[0]]
        ours += [
            torch.distributions.kl_divergence(q.base_dist, p.base_dist).sum(-1)[0]
            for q, p in ((vae.posterior[name](given), vae.prior[name](given)) for name in vae.posterior)
        ]
    theirs = [_total(losses.reconstruction_loss), _total(losses.kl_local)]
    pairs = zip((ours[0], sum(ours[1:])), theirs, strict=True)
    off = 0.0
    for what, (mine, own) in zip(("reconstruction loss", "KL"), pairs, strict=True):
        apart = (mine - own).abs()
        off = max(off, float(apart.max()))
        if not bool((apart <= _CLOSE * (1 + own.abs())).all()):
            raise CapabilityError(
                f"The {what} of this {type(module).__name__} is not the one read from its modules: they differ by "
                f"{float(apart.max()):.3g} nats on a cell, so this version of scvi-tools is not covered."
            )
    return off


def _cells(module: Any) -> dict[str, Tensor]:
    """A few cells, sparse and deep, as scvi-tools hands them to its module."""
    generator = torch.Generator().manual_seed(0)
    like = floating(module)
    depth = torch.tensor(_DEPTHS).unsqueeze(1)
    x = torch.poisson(2 * depth * torch.rand(len(depth), int(module.n_input), generator=generator), generator=generator)
    x[:, 0] += 1  # no cell is empty
    batch = torch.arange(len(depth)).unsqueeze(1) % max(int(module.n_batch), 1)
    cells = {"X": x.to(like), "batch": batch.to(like.device), "labels": torch.zeros_like(batch).to(like.device)}
    return cells | ({"size_factor": x.mean(1, keepdim=True).to(like)} if module.use_size_factor_key else {})


def _namespace(vae: VAE, module: Any, cells: dict[str, Tensor], inferred: Any) -> Given:
    """What our components read, at the module's own draws."""
    given = {"x": cells["X"], "z": inferred["z"]}
    if "log_library" in vae.posterior:
        given["log_library"] = inferred["library"]
    else:
        given["library"] = cells["size_factor"][:, 0] if module.use_size_factor_key else cells["X"].sum(1)
    if module.n_batch > 1:
        given["batch"] = torch.nn.functional.one_hot(cells["batch"][:, 0], int(module.n_batch)).to(cells["X"])
    return {name: value.unsqueeze(0) for name, value in given.items()}


def _total(found: Any) -> Any:
    """A term of a loss, or the sum of those in a mapping, [n]."""
    return sum(found.values()) if hasattr(found, "values") else found
