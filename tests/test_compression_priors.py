"""Files under priors whose latents depend on one another: masses against densities, bits against bounds, refusals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import compress, decompress, rounded
from elbowroom.compression.blocks import block_of
from elbowroom.compression.cells import Cells
from elbowroom.compression.codec import Codec
from elbowroom.compression.exact_layers import ExactLinear
from elbowroom.compression.latents import quantiles
from elbowroom.compression.survey import Survey

D, L = 6, 3
QUIET: dict[str, Any] = {"progress": False}
X = np.random.default_rng(4).integers(0, 2, (400, D))


def mixture(covariance: Any) -> Callable[[Any], Any]:
    def make(posterior: Any) -> Any:
        prior = priors.Mixture(L, components=4, covariance=covariance)
        prior.logits.data.normal_()
        if covariance == "full":
            prior.below.data.normal_()
        return prior

    return make


def flow(**how: Any) -> Callable[[Any], Any]:
    def make(posterior: Any) -> Any:
        prior = priors.Flow(L, transforms=1, hidden=(8,), **how)
        if how.get("base") == "diagonal":
            prior.means.data.normal_()
            prior.logs.data.normal_(std=0.3)
        for one in prior.flow.parameters():
            one.data.add_(0.3 * torch.randn_like(one))
        return prior

    return make


PRIORS: dict[str, Callable[[Any], Any]] = {
    "mixture": mixture("diagonal"),
    "full mixture": mixture("full"),
    "vamp": lambda posterior: priors.Vamp(posterior, D, pseudo_inputs=5),
    "autoregressive": flow(flow="autoregressive"),
    "halves": flow(flow="maf", base="diagonal"),
}


def model(name: str) -> er.VAE:
    torch.manual_seed(0)
    posterior = posteriors.DiagonalNormal(networks.MLP([D, 8, 2 * L]), L)
    vae = er.VAE(PRIORS[name](posterior), posterior, lik.Bernoulli(networks.MLP([L, 8, D]), D))
    for one in (*vae.posterior.parameters(), *vae.likelihood.parameters()):
        one.data.mul_(1.3)  # so that x says something of z
    return vae.eval()


MODELS = {name: model(name) for name in PRIORS}


@pytest.mark.parametrize("name", PRIORS)
def test_masses_one_after_another_are_the_density(name: str) -> None:
    exact = rounded(MODELS[name])
    block = block_of("z", exact.prior["z"], exact.posterior["z"], 16, (np.zeros(L), np.full(L, 2.0)))
    whole = np.random.default_rng(0).integers(2_000, 63_000, (300, L))
    edges, _ = quantiles(16)
    widths = np.log(2.0 * (edges[whole + 1] - edges[whole])).sum(1)
    density = exact.prior["z"]({}).log_prob(block.value(whole))[0].detach().numpy() + widths
    found = -block.nats_prior(whole, {}, lambda part, given: np.zeros(0))
    likely = density > -38.0  # where masses of a digit are well above 2⁻²⁴
    assert likely.sum() > 50
    np.testing.assert_allclose(found[likely], density[likely], atol=5e-3)
    np.testing.assert_allclose(np.median(found[likely] - density[likely]), 0.0, atol=1e-3)


@pytest.mark.parametrize("name", PRIORS)
def test_bits_are_those_of_the_bound(name: str) -> None:
    exact = rounded(MODELS[name])
    survey = Survey(exact, Cells(exact), 16)
    survey.add(X, None)
    codec = Codec(exact, survey.settings(), exact=True)
    chunk = codec.encode(X)
    assert (codec.decode(chunk)[0] == X).all()
    nats = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / len(X)
    batch = er.Batch(torch.from_numpy(X).double(), torch.arange(len(X)))
    terms = codec.vae(batch, codec.vae.keyed_noise(16, batch.index, 0), lay_out=False)
    rate = sum(terms.log_posterior.values()) - sum(terms.log_prior.values())
    each = (rate - terms.log_likelihood).detach()
    error = math.sqrt(float(each.var(0).sum()) * (1 + 1 / 16)) / len(X)
    assert abs(nats - float(each.mean())) < 0.005 * nats + 3 * error
    assert error < 0.05 * nats


@pytest.mark.parametrize("name", ["full mixture", "vamp", "autoregressive"])
def test_files_come_back_by_chunks_whatever_the_threads_and_refuse_other_numbers(
    name: str, tmp_path: Any, monkeypatch: Any
) -> None:
    vae, path, x = MODELS[name], tmp_path / "x.elb", X[:60].astype(np.uint8)
    compress(vae, x, path, chunk_rows=25, bounds=False, **QUIET)
    threads = torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            assert decompress(vae, path, **QUIET).tobytes() == x.tobytes()
    finally:
        torch.set_num_threads(threads)
    assert (decompress(vae, path, chunk=1, **QUIET) == x[25:50]).all()
    forward = ExactLinear.forward
    monkeypatch.setattr(ExactLinear, "forward", lambda layer, x: forward(layer, x) + 1e-6)
    with pytest.raises(er.InputError, match="returns other numbers"):
        decompress(vae, path, **QUIET)


def test_several_draws_under_a_mixture_come_back(tmp_path: Any) -> None:
    compress(MODELS["mixture"], X[:40], tmp_path / "x.elb", draws=3, bounds=False, **QUIET)
    assert (decompress(MODELS["mixture"], tmp_path / "x.elb", **QUIET) == X[:40]).all()


@pytest.mark.parametrize("how", [{"flow": "nsf", "transforms": 1}, {"flow": "maf", "transforms": 2}])
def test_other_flows_are_refused_in_words(how: dict[str, Any], tmp_path: Any) -> None:
    torch.manual_seed(0)
    posterior = posteriors.DiagonalNormal(networks.MLP([D, 8, 2 * L]), L)
    vae = er.VAE(priors.Flow(L, **how), posterior, lik.Bernoulli(networks.MLP([L, 8, D]), D))
    with pytest.raises(er.CapabilityError, match="masses of one latent given those before it"):
        compress(vae, X, tmp_path / "x.elb", **QUIET)
