"""A q refined row by row: exact gradients, files that are shorter and come back, models without."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from test_compression import D, hierarchies, mlp, settings
from test_compression_files import QUIET, VAE, X, forged, refused
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import posteriors, priors
from elbowroom.compression import compress, decompress, rounded
from elbowroom.compression.ascent import Ascent
from elbowroom.compression.beta_binomial import log_masses
from elbowroom.compression.codec import Codec, Settings
from elbowroom.compression.masses import LOG_UNITS
from elbowroom.compression.outputs import run

ROWS = 120


def model(activation: str = "silu") -> er.VAE:
    torch.manual_seed(0)
    decoder = mlp(3, 20, D, activation=activation)
    nn.init.normal_(decoder.layers[0].weight, std=1.5)
    return er.VAE(
        priors.Normal(3), posteriors.DiagonalNormal(mlp(D, 4, 6), 3), lik.Bernoulli(decoder, D)
    )  # fmt: skip


BITS = np.random.default_rng(0).integers(0, 2, (ROWS, D))


def log_x(exact: er.VAE, z: Tensor, x: Tensor) -> Tensor:
    logits = exact.likelihood.network(z.flatten(0, -2)).reshape(*z.shape[:-1], D)
    return -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)


@pytest.mark.parametrize("activation", ["silu", "tanh", "relu", "leaky-relu", "gelu"])
def test_gradients_are_those_of_the_network_and_the_same_in_any_order(activation: str) -> None:
    vae = model(activation).double()
    ascent = Ascent(rounded(vae), 3)
    z = torch.randn(ROWS, 3, dtype=torch.float64, requires_grad=True)
    x = torch.from_numpy(BITS).double()
    (wanted,) = torch.autograd.grad(log_x(vae, z, x).sum(), z)
    found = ascent._gradient(z.detach(), x)
    near = torch.isclose(found, wanted, atol=0.02, rtol=0.01).all(1)
    assert near.float().mean() > (0.95 if "relu" in activation else 0.999)  # at a corner either side may be taken
    parts = [ascent._gradient(*pair) for pair in zip(z.detach().split(7), x.split(7), strict=True)]
    assert torch.equal(torch.cat(parts), found)
    threads = torch.get_num_threads()
    start = np.zeros((ROWS, 3)), np.ones((ROWS, 3))
    taken = []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            taken.append(np.concatenate(ascent(*start, x)))
    finally:
        torch.set_num_threads(threads)
    assert (taken[0] == taken[1]).all()


def levels_model(levels: int = 256) -> er.VAE:
    torch.manual_seed(0)
    decoder = mlp(3, 20, 2 * D, activation="relu", norm="batch")
    nn.init.normal_(decoder.layers[3].weight, std=0.5)
    decoder(torch.randn(50, 3))
    return er.VAE(
        priors.Normal(3), posteriors.DiagonalNormal(mlp(D, 4, 6), 3), lik.BetaBinomial(decoder, D, levels)
    ).eval()  # fmt: skip


def test_gradients_of_levels_behind_batch_norm_are_those_of_torch() -> None:
    vae = levels_model().double()
    ascent = Ascent(rounded(vae), 3)
    z = torch.randn(ROWS, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randint(0, 256, (ROWS, D)).double()
    p_x = vae.likelihood.eval()({"z": z[None]})
    (wanted,) = torch.autograd.grad(p_x.log_prob(x).sum(), z)
    near = torch.isclose(ascent._gradient(z.detach(), x), wanted, atol=0.02, rtol=0.01).all(1)
    assert near.float().mean() > 0.95


def test_weights_of_draws_are_the_log_probabilities_of_levels() -> None:
    raw = np.random.default_rng(0).uniform(-5.0, 5.0, (50, 2, D))
    raw[0] = np.array([-31.0, 18.6])[:, None]
    x = np.random.default_rng(1).integers(0, 256, (50, D))
    wanted = scipy.stats.betabinom.logpmf(x, 255, np.exp(raw[:, 0]), np.exp(raw[:, 1]))
    assert np.allclose(log_masses(x, raw, 256) / LOG_UNITS, wanted, atol=2e-6, rtol=1e-7)


def test_a_file_of_levels_with_a_refined_q_comes_back(tmp_path: Path) -> None:
    vae, path = levels_model(40), tmp_path / "x.elb"
    x = vae.sample(60).numpy().astype(np.uint8)
    nats = [compress(vae, x, path, refine=steps, bounds=False, **QUIET).nats for steps in (0, 20)]
    assert decompress(vae, path, **QUIET).tobytes() == x.tobytes()
    assert nats[1] < nats[0]
    compress(vae, x, path, draws=3, refine=2, bounds=False, **QUIET)
    assert decompress(vae, path, **QUIET).tobytes() == x.tobytes()


@pytest.mark.parametrize("draws", [1, 4])
def test_bits_are_those_of_the_refined_bound(draws: int) -> None:
    torch.manual_seed(1)
    exact = rounded(model())
    held = settings(2, exact)
    nats = {}
    for steps in (0, 30):
        codec = Codec(exact, Settings(16, 16, held.spans, draws=draws, refine=steps), exact=True)
        chunk = codec.encode(BITS)
        assert (codec.decode(chunk)[0] == BITS).all()
        nats[steps] = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / ROWS
    each = torch.cat([bound(codec, BITS[group], draws) for group in reversed(codec.groups(ROWS))], 1)
    error = math.sqrt(float(each.var(0).sum()) * (1 + 1 / len(each))) / ROWS
    assert abs(nats[30] - float(each.mean())) < 0.005 * nats[30] + 3 * error + 32 * math.log(2) / ROWS
    assert nats[30] < nats[0] - 3 * error


def bound(codec: Codec, bits: Any, draws: int) -> Tensor:
    """−log of the mean weight under q as the codec refines it, by torch's densities."""
    x = torch.from_numpy(bits).double()
    q = codec.blocks["z"].posterior_of({"x": x[None]}, run)
    of_q, of_p = torch.distributions.Normal(*map(torch.from_numpy, q)), codec.vae.prior["z"]({}).base_dist
    z = of_q.sample((20 * draws,))
    logs = log_x(codec.vae, z, x) + (of_p.log_prob(z) - of_q.log_prob(z)).sum(-1)
    return math.log(draws) - torch.logsumexp(logs.reshape(20, draws, -1), 1)


def test_files_with_a_refined_q_come_back_and_others_are_refused(tmp_path: Path) -> None:
    path, vae = tmp_path / "x.elb", model()
    x = BITS[:20].astype(np.uint8)
    compress(vae, x, path, draws=2, refine=3, bounds=False, **QUIET)
    assert decompress(vae, path, **QUIET).tobytes() == x.tobytes()
    good = path.read_bytes()
    assert good[8] == 2
    for steps in (0, 2, -1, 10**9, None):
        path.write_bytes(forged(good, lambda head, steps=steps: head["settings"].update(refine=steps)))
        refused(path, vae)
    with pytest.raises(er.InputError, match="0 to 1,000 steps"):
        compress(vae, x, path, refine=1_001, **QUIET)
    with pytest.raises(er.CapabilityError, match="computed exactly for bits and beta-binomial levels"):
        compress(VAE, X, path, refine=2, **QUIET)
    with pytest.raises(er.CapabilityError, match="with refine=0"):
        compress(hierarchies()["markov"], x, path, refine=2, **QUIET)
    with pytest.raises(er.CapabilityError, match="without missing cells"):
        compress(vae, np.where(x == 1, np.nan, 0.0), path, refine=2, **QUIET)
