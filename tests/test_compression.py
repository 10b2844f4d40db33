"""Bits back: exact numbers, masses against SciPy, files' bits against bounds, and what is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom import preprocess as pre
from elbowroom.compression import portable, rounded
from elbowroom.compression._rounded import exact_network
from elbowroom.compression.cells import Cells, Spans
from elbowroom.compression.codec import Chunk, Codec, OtherOutputs, Settings
from elbowroom.compression.exact_layers import ExactLinear, as_read, weight_bits
from elbowroom.compression.latents import quantiles
from elbowroom.compression.masses import Nested, spare_masses
from elbowroom.compression.ordered import families_of
from elbowroom.compression.stack import TOTAL, Damaged, Empty, Stack, initial_words
from elbowroom.compression.survey import Survey
from elbowroom.evidence import elbo

D = 6
X = np.linspace(-30.0, 30.0, 20_001)


def mlp(*widths: int, **how: Any) -> nn.Module:
    return networks.MLP(widths, **how)


def settings(levels: int, vae: er.VAE, bits: int = 16, cells: int = D) -> Settings:
    spans = Spans(np.zeros(cells, np.int64), np.full(cells, levels - 1, np.int64))
    wide = {
        name: (np.zeros(block.event[0]), np.full(block.event[0], 1.7))
        for name, block in vae.prior.items()
        if block.network is not None and block.form == "independent normal"
    }
    return Settings(bits, 16, spans, references=wide)


@pytest.mark.parametrize(
    ("function", "other", "tolerance"),
    [
        (portable.exp, np.exp, 1e-15),
        (portable.sigmoid, scipy.special.expit, 1e-15),
        (portable.softplus, lambda x: np.logaddexp(0.0, x), 1e-15),
        (portable.normal_below, scipy.special.ndtr, 1e-13),
        (portable.tanh, np.tanh, 1e-13),
        (lambda x: portable.log(np.exp(x) + 1e-9), lambda x: np.log(np.exp(x) + 1e-9), 1e-13),
    ],
)
def test_functions_of_the_four_operations(function: Any, other: Any, tolerance: float) -> None:
    np.testing.assert_allclose(function(X), other(X), rtol=tolerance, atol=1e-300 if tolerance < 1e-14 else 1e-13)


def test_quantiles_and_rising_factorials() -> None:
    edges, middles = quantiles(8)
    np.testing.assert_allclose(edges[1:-1], scipy.special.ndtri(np.arange(1, 256) / 256), atol=1e-11)
    np.testing.assert_allclose(middles, scipy.special.ndtri((np.arange(256) + 0.5) / 256), atol=1e-11)
    rising = scipy.special.gammaln(0.3 + np.arange(50)) - scipy.special.gammaln(0.3)
    np.testing.assert_allclose(portable.log_rising(np.array([0.3]), 49)[0], rising, atol=1e-12)


def test_a_stack_gives_back_what_was_put_on_it_and_refuses_when_empty() -> None:
    rng = np.random.default_rng(0)
    below = np.sort(rng.random((500, 17)), 1)
    below[:50] = 0.0  # nothing known: all alike
    below[50:100, 1:] = 1.0
    masses = spare_masses(below)
    assert ((masses + 1.0).sum(1) == TOTAL).all()
    assert (masses >= 0).all()
    symbols = rng.integers(0, 16, 500)
    stack = Stack.primed(40)
    stack.push(symbols, masses)
    stack.push_even(symbols, 5)
    assert (stack.pop_even(500, 5) == symbols).all()
    assert (stack.pop(masses) == symbols).all()
    assert (stack.words() == initial_words(40)).all()
    with pytest.raises(Empty):
        stack.pop_even(500, 16)
    with pytest.raises(Damaged):
        Stack(np.array([5, 0], np.uint32))


@pytest.mark.parametrize("levels", [2, 16, 17, 250, 4097])
def test_bits_of_nested_digits_are_those_of_their_masses(levels: int) -> None:
    rng, edges = np.random.default_rng(1), np.linspace(0.0, 1.0, levels + 1) ** 2
    symbols = rng.choice(levels, 20_000, p=np.diff(edges))
    nested, stack = Nested(levels, lambda places: edges[places]), Stack.primed(2)
    before = stack.bits
    nested.push(stack, symbols)
    ideal = -np.log2(np.diff(edges)[symbols]).sum()
    assert abs(stack.bits - before - ideal) < 40 + 1e-4 * ideal
    assert (nested.pop(stack, 20_000) == symbols).all()


@pytest.mark.parametrize("activation", ["silu", "relu", "leaky-relu", "elu", "gelu", "softplus", "tanh", "sigmoid"])
def test_exact_networks_do_what_the_others_do_whatever_the_order(activation: str) -> None:
    torch.manual_seed(0)
    network = mlp(50, 64, 64, 8, activation=activation, norm="batch").eval()
    nn.init.normal_(network.layers[0].weight, std=0.5)
    x = torch.randn(40, 50, generator=torch.Generator().manual_seed(1))
    wanted = network(x).detach()
    exact = exact_network(network.double())
    found = exact(x)
    torch.testing.assert_close(found.float(), wanted, atol=3e-3, rtol=3e-3)
    assert torch.equal(torch.cat([exact(one) for one in x.split(7)]), found)
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            assert torch.equal(exact(x), found)
    finally:
        torch.set_num_threads(threads)


def test_sums_of_an_exact_layer_are_those_of_whole_numbers() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 5)
    exact = ExactLinear(layer)
    bits = weight_bits(layer.weight.detach(), 0, layer.bias.detach(), "layer")
    x = 5000 * torch.randn(20, 300)  # some beyond what is read
    whole = [[round(w * 2**bits) for w in row] for row in exact.weight.tolist()]
    read = [[math.floor(min(max(v, -4096), 4096) * 2**16 + 0.5) for v in row] for row in x.double().tolist()]
    assert exact.bias is not None
    add = [round(b * 2 ** (bits + 16)) for b in exact.bias.tolist()]
    wanted = [[sum(map(lambda a, b: a * b, w, r)) + b for w, b in zip(whole, add, strict=True)] for r in read]
    assert all(abs(one) < 2**52 for row in wanted for one in row)
    assert (exact(x) * 2.0 ** (bits + 16)).tolist() == wanted
    order = torch.randperm(300)
    other = nn.functional.linear(as_read(x)[:, order], exact.weight[:, order], exact.bias)
    assert torch.equal(other, exact(x))


def test_convolutions_are_exact_too() -> None:
    torch.manual_seed(0)
    encoder = networks.ConvNet((1, 9, 9), 4, channels=(4, 8))
    decoder = networks.ConvNet(4, (1, 9, 9), channels=(4, 8), norm="batch").eval()
    for network, x in ((encoder, torch.randn(10, 1, 9, 9)), (decoder, torch.randn(10, 4))):
        wanted = network(x).detach()
        exact = exact_network(network.double())
        torch.testing.assert_close(exact(x).float(), wanted, atol=2e-3, rtol=2e-3)
        assert torch.equal(torch.cat([exact(one) for one in x.split(3)]), exact(x))


def test_layers_that_cannot_be_exact_are_refused() -> None:
    with pytest.raises(er.CapabilityError, match="GroupNorm cannot be made exact"):
        exact_network(mlp(4, 16, 2, norm="group"))
    huge = nn.Linear(4, 2)
    huge.weight.data.fill_(1e6)
    with pytest.raises(er.CapabilityError, match="so large that its sums cannot be exact"):
        exact_network(huge)
    huge.weight.data.fill_(math.nan)
    with pytest.raises(er.CapabilityError, match="no finite numbers"):
        exact_network(huge)


def logistic(x: NDArray[Any], loc: NDArray[Any], scale: NDArray[Any], levels: int) -> NDArray[Any]:
    low = np.where(x == 0, -np.inf, (x - 0.5 - loc) / scale)
    high = np.where(x == levels - 1, np.inf, (x + 0.5 - loc) / scale)
    frozen = scipy.stats.logistic
    return np.where(low > 0, frozen.sf(low) - frozen.sf(high), frozen.cdf(high) - frozen.cdf(low))


def softplus(x: NDArray[Any]) -> NDArray[Any]:
    return np.logaddexp(0.0, x)


def bounded(x: NDArray[Any]) -> NDArray[Any]:
    return 20 * np.tanh(x / 20)


def mixture(raw: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    weights = scipy.special.softmax(raw[:, :3], 1)
    parts = [
        weights[:, i] * logistic(x, 8 * (raw[:, 3 + i] + (i + 0.5) / 3), 8 * (0.00625 + softplus(raw[:, 6 + i])), 9)
        for i in range(3)
    ]
    return np.sum(parts, 0)


def counted(raw: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    mean, r = np.exp(bounded(raw[:, 0])), np.exp(bounded(raw[:, 1]))
    return scipy.stats.nbinom.pmf(x, r, r / (r + mean))


def truncated(raw: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    loc, scale = raw[:, 0], 0.3 + softplus(raw[:, 1])
    edges = [scipy.special.ndtr((edge - loc) / scale) for edge in (x / 9, (x + 1) / 9, 0.0, 1.0)]
    return (edges[1] - edges[0]) / np.maximum(edges[3] - edges[2], 1e-300)


def zeros(raw: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    gate = scipy.special.expit(raw[:, -1])
    return (x == 0) * gate + (1 - gate) * counted(raw, x)


UNIT = pre.Dequantise(9, (D,))
FAMILIES: dict[str, tuple[Callable[[Any], Any], Any, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]]] = {
    "bernoulli": (lambda n: lik.Bernoulli(n, D), None, lambda r, x: scipy.special.expit((2 * x - 1) * r[:, 0])),
    "classes": (
        lambda n: lik.Categorical(n, D, levels=9, ordered=False),
        None,
        lambda r, x: np.take_along_axis(scipy.special.softmax(r, 1), x[:, None], 1)[:, 0],
    ),
    "logistic": (
        lambda n: lik.DiscretisedLogistic(n, D, levels=9),
        None,
        lambda r, x: logistic(x, 8 * r[:, 0], 8 * (0.00625 + softplus(r[:, 1])), 9),
    ),
    "mixture": (lambda n: lik.DiscretisedLogistic(n, D, levels=9, components=3), None, mixture),
    "beta-binomial": (
        lambda n: lik.BetaBinomial(n, D, levels=9), None,
        lambda r, x: scipy.stats.betabinom.pmf(x, 8, *np.exp(r.T)),
    ),
    "poisson": (
        lambda n: lik.Poisson(n, D), None, lambda r, x: scipy.stats.poisson.pmf(x, np.exp(bounded(r[:, 0])))
    ),
    "negative binomial": (lambda n: lik.NegativeBinomial(n, D, dispersion="predicted"), None, counted),
    "with zeros": (lambda n: lik.ZeroInflatedNegativeBinomial(n, D, dispersion="predicted"), None, zeros),
    "truncated": (lambda n: lik.TruncatedNormal(n, D, scale="predicted", floor=0.3), UNIT, truncated),
}  # fmt: skip


def coded(name: str) -> tuple[Any, Any, er.VAE]:
    """The family, what its masses should be, and a model around it, with offsets of 0."""
    make, preprocess, masses = FAMILIES[name]
    torch.manual_seed(0)
    likelihood = make(mlp(2, 8, make(None).numbers))
    vae = er.VAE(
        priors.StandardNormal(2), posteriors.DiagonalNormal(mlp(D, 8, 4), 2), likelihood, preprocess
    ).double()  # fmt: skip
    if hasattr(likelihood, "offset"):
        likelihood.offset.zero_()
    return likelihood, masses, vae


@pytest.mark.parametrize("name", FAMILIES)
def test_masses_are_scipys(name: str) -> None:
    likelihood, masses, vae = coded(name)
    rng, levels = np.random.default_rng(2), 2 if name == "bernoulli" else 9
    (family,) = families_of(likelihood, Cells(vae, settings(40, vae).spans), 16)
    raw = 1.5 * rng.normal(size=(2_000, likelihood.parts, D))
    x = rng.integers(0, levels, (2_000, D))
    probabilities = masses(raw.transpose(0, 2, 1).reshape(-1, likelihood.parts), x.reshape(-1))
    likely = (probabilities > 1e-5).reshape(x.shape)  # below, a mass of 1 of 2²⁴ is too much
    stack = Stack.primed(2)
    before = stack.bits
    family.push(stack, x, raw, likely)
    ideal = -np.log2(probabilities[likely.reshape(-1)]).sum()
    assert abs(stack.bits - before - ideal) < 40 + 2e-3 * ideal
    assert (family.pop(stack, raw, likely)[likely] == x[likely]).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_comes_back_equal_odd_values_too(name: str) -> None:
    _, _, vae = coded(name)
    rng, levels = np.random.default_rng(3), 2 if name == "bernoulli" else 9
    counts = name in ("poisson", "negative binomial", "with zeros")
    codec = Codec(vae, settings(2**40 + 1 if counts else levels, vae))
    whole = rng.integers(0, levels, (60, D))
    whole[0], whole[1] = 0, levels - 1
    if counts:
        whole[2, :4] = 15, 16, 17, 2**40
    seen = rng.random((60, D)) < 0.8
    seen[3] = False
    chunk = codec.encode(whole)
    back, none = codec.decode(chunk)
    assert (back == whole).all()
    assert none is None
    gaps = Codec(vae, Settings(12, 16, codec.settings.spans, np.full(D, 50_000)))
    back, mask = gaps.decode(gaps.encode(np.where(seen, whole, 0), seen))
    assert (back == np.where(seen, whole, 0)).all()
    assert mask is not None
    assert (mask == seen).all()


def hierarchies() -> dict[str, er.VAE]:
    torch.manual_seed(0)
    below = [priors.Normal(2, network=mlp(2, 8, 4), given=("z2",)) for _ in range(2)]
    x = lik.Bernoulli
    return {
        "one": er.VAE(priors.Normal(2), posteriors.DiagonalNormal(mlp(D, 8, 4), 2, spread="exp"), x(mlp(2, 8, D), D)),
        "markov": er.VAE(
            {"z": below[0], "z2": priors.StandardNormal(2)},
            {"z": posteriors.DiagonalNormal(mlp(D, 8, 4), 2),
             "z2": posteriors.DiagonalNormal(mlp(2, 8, 4), 2, given=("z",))},
            x(mlp(2, 8, D), D),
        ),
        "ladder": er.VAE(
            {"z": below[1], "z2": priors.StandardNormal(2)},
            {"z2": posteriors.DiagonalNormal(mlp(D, 8, 4), 2), "z": posteriors.Ladder(mlp(D, 8, 4), 2, below[1])},
            x(mlp(2, 8, D), D),
        ),
        "classes": er.VAE(
            {"y": priors.Categorical(3), "z": priors.Normal(2, network=mlp(3, 4), given=("y",))},
            {"y": posteriors.Categorical(mlp(D, 8, 3), 3),
             "z": posteriors.DiagonalNormal(mlp(D + 3, 8, 4), 2, given=("x", "y"))},
            x(mlp(5, 8, D), D, given=("z", "y")),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["one", "markov", "ladder", "classes"])
def test_bits_are_those_of_the_bound(name: str) -> None:
    vae = hierarchies()[name]
    for one in vae.parameters():
        one.data.mul_(1.2)  # so that x says something of z
    x = np.random.default_rng(4).integers(0, 2, (1_000, D))
    exact = rounded(vae)
    survey = Survey(exact, Cells(exact), 16)
    survey.add(x, None)
    codec = Codec(exact, survey.settings(), exact=True)
    chunk = codec.encode(x)
    assert (codec.decode(chunk)[0] == x).all()
    nats = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / len(x)
    batch = er.Batch(torch.from_numpy(x).double(), torch.arange(len(x)))
    terms = codec.vae(batch, codec.vae.keyed_noise(16, batch.index, 0), lay_out=False)
    rate = sum(terms.log_posterior.values()) - sum(terms.log_prior.values())
    each = (rate - terms.log_likelihood).detach()
    error = math.sqrt(float(each.var(0).sum()) * (1 + 1 / 16)) / len(x)
    assert abs(nats - float(each.mean())) < 0.005 * nats + 3 * error
    assert error < 0.03 * nats
    interleaved = codec.steps[1] == ("push", "x")
    assert interleaved == (name in ("one", "markov"))


def test_two_threads_and_two_rounds_make_the_same_words() -> None:
    vae = hierarchies()["ladder"]
    x = np.random.default_rng(5).integers(0, 2, (200, D))
    first = Codec(vae, settings(2, vae)).encode(x)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        codec = Codec(vae, settings(2, vae))
        again = codec.encode(x)
        assert codec.probe() == Codec(vae, settings(2, vae)).probe()
    finally:
        torch.set_num_threads(threads)
    assert (first.words == again.words).all()
    assert (first.outputs, first.values, first.initial) == (again.outputs, again.values, again.initial)


def test_other_outputs_are_refused_though_nothing_else_is_wrong(monkeypatch: Any) -> None:
    vae = hierarchies()["one"]
    x = np.random.default_rng(6).integers(0, 2, (50, D))
    codec = Codec(vae, settings(2, vae))
    chunk, probe = codec.encode(x), codec.probe()
    forward = ExactLinear.forward
    for small in (1e-6, 1e-12):
        monkeypatch.setattr(ExactLinear, "forward", lambda layer, z, small=small: forward(layer, z) + small)
        assert codec.probe() != probe
        with pytest.raises((OtherOutputs, Damaged)):
            codec.decode(chunk)


def test_words_that_were_changed_never_pass(monkeypatch: Any) -> None:
    vae = hierarchies()["one"]
    rng = np.random.default_rng(7)
    codec = Codec(vae, settings(2, vae, bits=4))
    chunk = codec.encode(rng.integers(0, 2, (12, D)))
    for _ in range(20):
        words = chunk.words.copy()
        words[rng.integers(len(words))] ^= np.uint32(1 << int(rng.integers(32)))
        changed = Chunk(words, chunk.initial, chunk.rows, chunk.outputs, chunk.values)
        with pytest.raises((Damaged, OtherOutputs)):
            codec.decode(changed)
    for other in (Chunk(chunk.words[1:], *parts(chunk)), Chunk(chunk.words[:-1], *parts(chunk))):
        with pytest.raises(Damaged):
            codec.decode(other)


def parts(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.initial, chunk.rows, chunk.outputs, chunk.values


def test_models_without_masses_are_refused_with_the_reason() -> None:
    encoder, z = posteriors.DiagonalNormal(mlp(D, 4), 2), priors.StandardNormal(2)
    bits = lik.Bernoulli(mlp(2, D), D)
    refused = {
        "takes? endless bits": er.VAE(z, encoder, lik.Normal(mlp(2, D), D)),
        "masses over buckets are not known": er.VAE(z, posteriors.Flow(mlp(D, 4), 2), bits),
        "a diagonal normal q under normals": er.VAE(z, posteriors.FullNormal(mlp(D, 5), 2), bits),
        "cannot be made exact": er.VAE(z, encoder, lik.Bernoulli(mlp(2, 16, D, norm="group"), D)),
        "has no masses": er.VAE(z, encoder, lik.StudentT(mlp(2, D), D), UNIT),
        "a score and no probability": er.VAE(z, encoder, lik.Bernoulli(mlp(2, D), D, unnormalised=True)),
    }  # fmt: skip
    for reason, vae in refused.items():
        with pytest.raises(er.CapabilityError, match=reason):
            Codec(vae)


def test_logarithms_that_an_encoder_reads_are_of_the_four_operations(monkeypatch: Any) -> None:
    x = torch.from_numpy(np.random.default_rng(0).poisson(30.0, (50, D)) ** 2).double()
    reads = networks.Standardised(mlp(D + 1, 4), event=(D,), log1p=True)
    reads.settle(x)
    vae = er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(reads, 2), lik.Poisson(mlp(2, D), D))
    wanted = reads.double().read(x)
    monkeypatch.setattr(torch.Tensor, "log1p", None)  # no mathematical library is asked
    read = rounded(rounded(vae)).posterior["z"].network.read(x)  # type: ignore[union-attr, operator]
    assert torch.allclose(read, wanted, rtol=0, atol=1e-13)


def test_the_rounded_model_is_nearly_the_model() -> None:
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 4, "widths": [16]}, digits)
    one, other = (elbo(model, digits.test, draws=2) for model in (vae, rounded(vae)))
    assert abs((one - other).mean) < 0.02
