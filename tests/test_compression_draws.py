"""Files of several draws: units of q, logarithms of masses, bits against the importance-weighted bound, refusals."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from test_compression import FAMILIES, D, coded, hierarchies, settings
from test_compression_files import QUIET, VAE, X, forged, refused, written

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import compress, decompress, rounded
from elbowroom.compression.cells import Cells
from elbowroom.compression.codec import Codec, Settings
from elbowroom.compression.latents import Normals
from elbowroom.compression.masses import LOG_UNITS
from elbowroom.compression.ordered import families_of
from elbowroom.compression.stack import TOTAL, Damaged
from elbowroom.compression.survey import Survey
from elbowroom.compression.units import Units


def normals(location: float, scale: float, bits: int = 12) -> Units:
    block = Normals(
        priors.StandardNormal(1).double(), posteriors.DiagonalNormal(networks.MLP([1, 2]), 1).double(), bits, None
    )
    return block.units(np.full((500, 1), location), np.full((500, 1), scale))


@pytest.mark.parametrize(("location", "scale"), [(0.0, 1.0), (0.3, 1e-3), (-2.5, 0.2), (9.0, 0.5), (0.0, 50.0)])
def test_units_are_shares_of_a_normal_each_in_one_bucket(location: float, scale: float) -> None:
    units = normals(location, scale)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([rng.integers(0, TOTAL, 498), [0, TOTAL - 1]])
    buckets, rest, sizes = units.of(drawn)
    assert ((rest >= 0) & (rest < sizes)).all()
    assert (units.starts(np.arange(500), buckets) + rest == drawn).all()
    assert (units.sizes(buckets) == sizes).all()
    edges = scipy.stats.norm.ppf(np.arange(2**12 + 1) / 2**12)
    shares = np.diff(scipy.stats.norm.cdf((edges - location) / scale))
    assert np.abs(sizes - TOTAL * shares[buckets]).max() < 1.01
    every = Units(2**12, units.below)  # without a place to begin at
    assert all((one == other).all() for one, other in zip(every.of(drawn), (buckets, rest, sizes), strict=True))
    if location == 9.0:
        with pytest.raises(Damaged):
            units.sizes(np.zeros(500, np.int64))


@pytest.mark.parametrize("name", FAMILIES)
def test_logarithms_of_rows_are_scipys_and_files_come_back(name: str) -> None:
    likelihood, masses, vae = coded(name)
    rng, levels = np.random.default_rng(2), 2 if name == "bernoulli" else 9
    (family,) = families_of(likelihood, Cells(vae, settings(40, vae).spans), 16)
    raw = rng.normal(size=(300, likelihood.parts, D))
    x = rng.integers(0, levels, (300, D))
    seen = rng.random((300, D)) < 0.8
    found = masses(raw.transpose(0, 2, 1).reshape(-1, likelihood.parts), x.reshape(-1))
    logs = np.log(np.maximum(found, 1e-30)).reshape(x.shape)
    likely = seen & (logs > -10)
    wanted = np.where(likely, logs, 0.0).sum(1)
    np.testing.assert_allclose(family.logs(x, raw, likely) / LOG_UNITS, wanted, atol=2e-2)
    counts = name in ("poisson", "negative binomial", "with zeros")
    spans = settings(2**40 + 1 if counts else levels, vae).spans
    codec = Codec(vae, Settings(12, 16, spans, np.full(D, 50_000), draws=3))
    x, seen = x[:8], seen[:8]
    if counts:
        x[2, :4] = 15, 16, 17, 2**40
    whole, mask = codec.decode(codec.encode(np.where(seen, x, 0), seen))
    assert (whole == np.where(seen, x, 0)).all()
    assert mask is not None
    assert (mask == seen).all()


@pytest.mark.parametrize("name", ["markov", "ladder", "classes"])
def test_bits_are_those_of_the_importance_weighted_bound(name: str) -> None:
    vae, draws, rows = hierarchies()[name], 4, 200
    for one in vae.parameters():
        one.data.mul_(1.2)
    for one in vae.posterior.parameters():
        one.data.mul_(1.5)  # a worse q, so that draws win more
    x = np.random.default_rng(4).integers(0, 2, (rows, D))
    exact = rounded(vae)
    survey = Survey(exact, Cells(exact), 16, draws)
    survey.add(x, None)
    codec = Codec(exact, survey.settings(), exact=True)
    chunk = codec.encode(x)
    assert (codec.decode(chunk)[0] == x).all()
    nats = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / rows
    batch = er.Batch(torch.from_numpy(x).double(), torch.arange(rows))
    terms = codec.vae(batch, codec.vae.keyed_noise(40 * draws, batch.index, 0), lay_out=False)
    rate = sum(terms.log_posterior.values()) - sum(terms.log_prior.values())
    weights = (terms.log_likelihood - rate).detach().reshape(40, draws, rows)
    each = math.log(draws) - torch.logsumexp(weights, 1)
    error = math.sqrt(float(each.var(0).sum()) * (1 + 1 / 40)) / rows
    assert abs(nats - float(each.mean())) < 0.005 * nats + 3 * error + 32 * math.log(2) / rows
    assert error < 0.05 * nats
    assert float(each.mean()) < -float(weights.mean()) - 5 * error  # it is not the ELBO


def fixed() -> er.VAE:
    """A model whose numbers no generator chooses."""
    vae = er.VAE(
        priors.StandardNormal(3),
        posteriors.DiagonalNormal(networks.MLP([D, 5, 6]), 3),
        lik.Bernoulli(networks.MLP([3, 5, D]), D),
    )
    for one in vae.parameters():
        one.data.copy_(((torch.arange(one.numel()) * 7919 % 64) / 32.0 - 1.0).reshape(one.shape))
    return vae


def words(**how: Any) -> str:
    vae = fixed()
    codec = Codec(vae, Settings(16, 16, settings(2, vae).spans, **how))
    chunk = codec.encode((np.arange(80 * D) * 104_729 // 7 % 2).reshape(80, D))
    content = chunk.words.astype("<u4").tobytes() + chunk.outputs + chunk.values
    return hashlib.sha256(content).hexdigest()[:16]


def test_one_draw_makes_the_words_of_version_1_and_two_those_of_version_2() -> None:
    assert words() == words(draws=1) == "1953903c1295896b"
    assert words(draws=2) == "23584b61bb26c781"


def test_files_of_several_draws_come_back_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "x.elb"
    x = np.where(X == 5, np.nan, X)[:20]
    file = compress(VAE, x, path, draws=3, chunk_rows=10, **QUIET)
    assert file.draws == 3
    assert "−IWAE-3 of the rounded model" in str(file)
    assert path.read_bytes()[8] == 2
    assert decompress(VAE, path, **QUIET).tobytes() == x.tobytes()
    assert decompress(VAE, path, chunk=1, **QUIET).tobytes() == x[10:].tobytes()
    assert written(path).draws == 1
    assert path.read_bytes()[8] == 1


@pytest.mark.parametrize("draws", [0, 2.5, 10**9, None, "2", 3])
def test_other_draws_in_a_head_are_refused(draws: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.elb"
    written(path, X[:10], draws=2)
    good = path.read_bytes()
    path.write_bytes(forged(good, lambda head: head["settings"].update(draws=draws)))
    refused(path)


def test_damaged_files_of_several_draws_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.elb"
    written(path, X[:10], draws=2)
    good, rng = path.read_bytes(), np.random.default_rng(5)
    for _ in range(12):
        content = bytearray(good)
        content[int(rng.integers(len(good)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        refused(path)
    path.write_bytes(good[:8] + b"\1" + good[9:])
    assert "its version" in refused(path)
    for word in (0, 5_000):
        with pytest.raises(er.InputError, match="draws are 1 to 4,096"):
            written(path, draws=word)
