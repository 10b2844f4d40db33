"""The bounds against exact log p(x), and their errors against repetition."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

import elbowroom as er
from elbowroom.evidence import (
    conditional_log_likelihood,
    elbo,
    iwae,
    iwae_curve,
    model_passes,
    prior_sampling,
    rate_distortion,
)
from elbowroom.evidence.elbo_and_iwae import elbo_and_iwae
from elbowroom.evidence.memory import Bytes, as_bytes
from elbowroom.evidence.target import subject_of
from elbowroom.exact import LinearVAE, log_evidence_by_quadrature

D, LATENTS, N = 5, 2, 6


def near_posterior_vae(dtype: torch.dtype = torch.float64) -> er.VAE:
    """A linear VAE whose posterior is a little wider than the true one, and off by a little."""
    torch.manual_seed(1)
    decoder = nn.Linear(LATENTS, D).double()
    with torch.no_grad():
        decoder.weight.copy_(torch.linalg.qr(torch.randn(D, LATENTS, dtype=torch.float64))[0])
    precision = 1 + 1 / 0.49  # orthonormal columns: the true posterior is diagonal
    encoder = nn.Linear(D, 2 * LATENTS).double()
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[:LATENTS] = decoder.weight.T / 0.49 / precision
        encoder.bias[:LATENTS] = -encoder.weight[:LATENTS] @ decoder.bias + 0.15
        encoder.bias[LATENTS:] = torch.tensor(1.5 / precision).expm1().log()
    return er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(encoder, LATENTS),
        er.likelihoods.Normal(decoder, D, scale=0.7),
    ).to(dtype)


def batch(n: int = N, first: int = 10) -> er.Batch:
    generator = torch.Generator().manual_seed(5)
    return er.Batch(torch.randn(n, D, generator=generator, dtype=torch.float64), torch.arange(n) + first)


def within(values: np.ndarray, expected: np.ndarray, standard_error: np.ndarray, most: float = 4.5) -> None:
    assert np.all(np.abs(values - expected) < most * standard_error + 1e-12), (values - expected) / standard_error


@pytest.mark.parametrize("kl", ["closed", "sampled", "auto"])
def test_elbo_is_unbiased_for_the_exact_elbo(kl: str) -> None:
    vae, examples = near_posterior_vae(), batch()
    found = rate_distortion(vae, examples, draws=3000, kl=kl)
    model = LinearVAE(vae)
    for estimate, exact in ((found.elbo, model.elbo), (found.rate, model.rate), (found.distortion, model.distortion)):
        within(estimate.values, exact(examples).numpy(), np.sqrt(estimate.mc_variance))
    np.testing.assert_allclose(found.elbo.values, -found.rate.values - found.distortion.values, atol=1e-12)
    if kl != "sampled":
        np.testing.assert_allclose(found.rate.values, model.rate(examples).numpy(), atol=1e-12)
        np.testing.assert_allclose(found.rate.mc_variance, 0.0, atol=1e-20)


def test_log_p_minus_elbo_is_the_closed_kl_to_the_posterior() -> None:
    vae, examples = near_posterior_vae(), batch()
    bound, model = elbo(vae, examples, draws=3000), LinearVAE(vae)
    within(model.log_prob(examples).numpy() - bound.values, model.gap(examples).numpy(), np.sqrt(bound.mc_variance))


def repeated(examples: er.Batch, runs: int) -> er.Batch:
    """Every example `runs` times under an index, so with noise, of its own: [runs · n], runs first."""
    return er.Batch(examples.x.repeat(runs, 1), torch.arange(runs * len(examples)))


def test_iwae_rises_with_draws_to_log_p() -> None:
    vae, examples, runs = near_posterior_vae(), batch(), 400
    exact = LinearVAE(vae).log_prob(examples).numpy()
    means, errors = [], []
    for draws in (1, 2, 5, 20, 100):
        values = iwae(vae, repeated(examples, runs), draws=draws).values.reshape(runs, -1)
        means.append(values.mean(0))
        errors.append(values.std(0, ddof=1) / np.sqrt(runs))
    for (low, low_error), (high, high_error) in itertools.pairwise(zip(means, errors, strict=True)):
        assert np.all(low - high < 4 * np.hypot(low_error, high_error))
        assert low.mean() < high.mean()
    assert np.all(means[-1] - exact < 4 * errors[-1])
    within(means[0], LinearVAE(vae).elbo(examples).numpy(), errors[0])  # IWAE-1 is the ELBO
    many = iwae(vae, examples, draws=20_000)
    within(many.values, exact, np.sqrt(many.mc_variance))


@pytest.mark.parametrize("bound", ["iwae", "sampled", "closed"])
def test_monte_carlo_variance_is_that_of_repetition(bound: str) -> None:
    vae, runs = near_posterior_vae(), 3000
    examples = repeated(batch(2), runs)
    found = iwae(vae, examples, draws=64) if bound == "iwae" else elbo(vae, examples, draws=8, kl=bound)
    stated = found.mc_variance.reshape(runs, 2).mean(0)
    values = found.values.reshape(runs, 2)
    deviations = (values - values.mean(0)) ** 2
    error = deviations.std(0, ddof=1) / np.sqrt(runs)
    # The delta method is off by a share of order 1/draws; the variance of a mean over draws is unbiased.
    assert np.all(np.abs(stated - deviations.mean(0)) < 4 * error + (stated / 64 if bound == "iwae" else 0))


def test_stated_intervals_cover_their_estimand() -> None:
    """The exact ELBO by the ELBO's intervals, and log p by IWAE's where its own bias is far below its error."""
    vae, runs = near_posterior_vae(), 4000
    one = batch(1)
    model = LinearVAE(vae)
    for found, exact in (
        (elbo(vae, repeated(one, runs), draws=64), model.elbo(one)),
        (iwae(vae, repeated(one, runs), draws=256), model.log_prob(one)),
    ):
        hits = int((np.abs(found.values - exact.item()) < 1.96 * np.sqrt(found.mc_variance)).sum())
        assert binomtest(hits, runs, 0.95).pvalue > 1e-3, hits / runs


@pytest.mark.parametrize("draws", [1, 50, 64, 200, 330])
def test_memory_batching_and_order_change_nothing(draws: int) -> None:
    vae, examples = near_posterior_vae(torch.float32), batch(9)
    whole = iwae(vae, examples, draws=draws)
    order = torch.tensor([4, 0, 8, 2])
    some = er.Batch(examples.x[order], examples.index[order])
    for other, rows in (
        (iwae(vae, examples, draws=draws, memory=80_000), slice(None)),
        (iwae(vae, examples, draws=draws, memory="60 kB"), slice(None)),
        (iwae(vae, some, draws=draws), order.numpy()),
    ):
        np.testing.assert_allclose(other.values, whole.values[rows], rtol=1e-5)
        np.testing.assert_allclose(other.mc_variance, whole.mc_variance[rows], rtol=1e-3)
        np.testing.assert_array_equal(other.index, whole.index[rows])


def test_passes_stay_within_their_memory() -> None:
    """The rows of every pass, and what the largest holds by count, against the budget."""
    vae, examples = near_posterior_vae(torch.float32), batch(40)
    seen: list[tuple[int, int]] = []
    vae.likelihood.register_forward_hook(lambda _, __, p: seen.append(tuple(p.batch_shape)))
    iwae(vae, examples, draws=500, memory=200_000)
    rows = [draws * n for draws, n in seen[12:]]  # after those that ask who reads x, and how large a pass is
    assert sum(rows) == 40 * 500
    with Bytes() as made, torch.inference_mode():
        part = er.Batch(examples.x[:1], examples.index[:1])
        one_pass = model_passes.from_posterior(subject_of(vae, part), lambda terms: (terms.log_weight,), 0)
        model_passes._on_cpu(one_pass, part, max(rows), 0)
    assert made.total <= 200_000
    assert all(draws % 64 == 0 for draws, _ in seen[12 : 12 + len(rows)] if draws not in (500, 500 % max(rows)))


def test_the_encoder_runs_once_per_example() -> None:
    vae, examples = near_posterior_vae(), batch(9)
    rows: list[int] = []
    vae.posterior["z"].network.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    iwae(vae, examples, draws=200)
    assert sum(rows[8:]) == 9  # after six that ask who reads x, and two that ask how large a pass is


@pytest.mark.parametrize("draws", [1, 100])
def test_elbo_and_iwae_of_one_pass_are_those_of_two(draws: int) -> None:
    vae, examples, decoded = near_posterior_vae(), batch(), []
    apart = *rate_distortion(vae, examples, draws=draws, seed=3), iwae(vae, examples, draws=draws, seed=3)
    vae.likelihood.network.register_forward_hook(lambda module, inputs, out: decoded.append(len(out)))
    (rate, distortion, bound), weighted = elbo_and_iwae(vae, examples, draws=draws, seed=3)
    assert decoded.count(draws * N) == 1
    for one, other in zip((rate, distortion, bound, weighted), apart, strict=True):
        fields = vars(one).keys() - {"budget"}
        for name in fields:
            mine, theirs = getattr(one, name), getattr(other, name)
            if isinstance(mine, np.ndarray):
                np.testing.assert_allclose(mine, theirs, rtol=1e-9)
            else:
                assert mine == theirs, name


def test_draws_are_really_used() -> None:
    """A model that counts what reaches its decoder: asked K, used K (PEERS: asked 50, used 100)."""
    vae, examples = near_posterior_vae(), batch(3)
    seen = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal seen
        seen += len(inputs[0])

    for draws in (1, 2, 150):
        hook = vae.likelihood.network.register_forward_hook(count)
        seen = -21  # eight passes of two rows and two of one ask who reads x; one row, then two, how large a pass is
        estimate = iwae(vae, examples, draws=draws)
        hook.remove()
        assert seen == 3 * draws
        assert estimate.budget.draws == draws


def test_a_decoder_that_reads_no_latent() -> None:
    """log p(x) does not depend on z: every draw gives it, and the ELBO lies below it by the KL."""
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(nn.Linear(D, 2 * LATENTS), LATENTS),
        er.likelihoods.Normal(nn.Linear(1, D), D, scale=0.8, given=("c",)),
    ).double()
    context = torch.linspace(-1, 1, N, dtype=torch.float64).unsqueeze(1)
    examples = er.Batch(batch().x, batch().index, {"c": context})
    with torch.no_grad():
        exact = torch.distributions.Normal(vae.likelihood.network(context), 0.8).log_prob(examples.x).sum(1).numpy()
        q = vae.posterior["z"]({"x": examples.x[None]})
        rate = torch.distributions.kl_divergence(q.base_dist, torch.distributions.Normal(0, 1)).sum(-1)[0].numpy()
    drawn = prior_sampling(vae, examples, draws=7)
    for found, value in (
        (drawn, exact),
        (conditional_log_likelihood(vae, examples, draws=7).per_example, exact),
        (elbo(vae, examples, draws=7), exact - rate),
    ):
        np.testing.assert_allclose(found.values, value, rtol=1e-12)
        np.testing.assert_allclose(found.mc_variance, 0.0, atol=1e-20)
    np.testing.assert_allclose(drawn.ess, 7)
    for found, value in (
        (iwae(vae, examples, draws=3000), exact),
        (elbo(vae, examples, draws=3000, kl="sampled"), exact - rate),
    ):
        within(found.values, value, np.sqrt(found.mc_variance))


def test_effective_sample_size() -> None:
    vae, examples = near_posterior_vae(), batch(3)
    found = iwae(vae, examples, draws=100)
    with torch.no_grad():
        weights = vae(examples, vae.keyed_noise(100, examples.index, 0)).log_weight.softmax(0)
    np.testing.assert_allclose(found.ess, 1 / weights.square().sum(0).numpy(), rtol=1e-10)


def test_dequantised_data_have_one_keyed_dequantisation() -> None:
    """E_u of the one-draw value is E_u log p(x + u), below log P(x) of the grid value."""
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1),
        er.likelihoods.Normal(nn.Linear(1, 2), 2, scale=0.3),
        er.preprocess.Dequantise(4, (2,)),
    ).double()
    copies = er.Batch(torch.tensor([[1.0, 3.0]]).repeat(2000, 1), torch.arange(2000))
    exact = LinearVAE(vae)
    with torch.no_grad():
        y = vae.given(copies, vae.keyed_noise(1, copies.index, 0))[0]["x"][0]
    assert torch.all((y * 4).floor() == copies.x)
    density = exact.log_prob(copies)
    covariance = torch.linalg.cholesky(exact.weights @ exact.weights.T + torch.diag(exact.noise))
    axis = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    cell = (torch.tensor([1.0, 3.0]) + torch.cartesian_prod(axis, axis)) / 4
    inside = torch.distributions.MultivariateNormal(exact.mean, scale_tril=covariance).log_prob(cell) - 2 * np.log(4)
    error = density.std() / np.sqrt(2000)
    assert abs(density.mean() - inside.mean()) < 4 * error  # unbiased for E_u log p(x + u)
    assert inside.mean() < inside.logsumexp(0) - np.log(len(inside))  # which is below log P(x)
    bound = iwae(vae, copies, draws=64)
    assert bound.quantity == "log p(x)"
    np.testing.assert_array_less(bound.values - density.numpy(), 6 * np.sqrt(bound.mc_variance) + 1e-9)


def test_bernoulli_vae_against_quadrature() -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(nn.Linear(4, 2), 1),
        er.likelihoods.Bernoulli(er.networks.MLP([1, 16, 4]), 4),
    ).double()
    examples = er.Batch(torch.tensor([[0.0, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.float64), torch.arange(2))
    exact = log_evidence_by_quadrature(vae, examples, nodes=400)
    found = iwae(vae, examples, draws=20_000)
    within(found.values, exact.values, np.sqrt(found.mc_variance))
    assert (found - exact).direction == "lower"


def test_model_and_mode_come_back_as_they_were() -> None:
    vae = near_posterior_vae()
    vae.posterior["z"].network = nn.Sequential(vae.posterior["z"].network, nn.BatchNorm1d(4).double(), nn.Dropout(0.5))
    vae.train()
    vae.posterior.eval()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    one, two = iwae(vae, batch(), draws=3), iwae(vae, batch(), draws=3)
    np.testing.assert_array_equal(one.values, two.values)  # no dropout
    assert vae.training
    assert not vae.posterior["z"].network.training
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    assert torch.is_grad_enabled()


def test_one_draw_says_in_words_what_it_cannot_know() -> None:
    line = str(elbo(near_posterior_vae(), batch()))
    assert "nan" not in line
    assert "one draw of each, together" in line
    assert "±0.00 (draws)" not in line


class Holder:
    data, index = "abc", batch().index

    def __len__(self) -> int:
        return len(batch())

    def rows(self, positions: torch.Tensor | slice) -> er.Batch:
        return batch().rows(positions)


def test_the_hash_of_the_data_goes_into_the_estimate() -> None:
    vae = near_posterior_vae()
    assert iwae(vae, Holder(), draws=2).data == "abc"
    assert elbo(vae, batch()).data is None
    with pytest.raises(er.InputError, match="different data"):
        iwae(vae, Holder(), draws=2) - elbo(vae, batch())


@pytest.mark.parametrize("bound", [iwae, iwae_curve, prior_sampling, elbo, rate_distortion])
def test_bad_input_is_refused_in_words(bound: object) -> None:
    vae = near_posterior_vae()
    with pytest.raises(er.InputError, match="draws=1 or more; got 0"):
        bound(vae, batch(), draws=0)
    with pytest.raises(er.InputError, match="no examples"):
        bound(vae, batch(0))
    with pytest.raises(er.InputError, match="does not hold one example"):
        bound(vae, batch(), memory=500)
    for memory in ("much", "1 parsec", "1.2.3 GiB"):
        with pytest.raises(er.InputError, match="memory must be"):
            bound(vae, batch(), memory=memory)


def test_missing_context_is_refused() -> None:
    conditional = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Bilinear(D, 3, 4), 2, given=("x", "label")),
        er.likelihoods.Normal(nn.Linear(2, D), D),
    )
    with pytest.raises(er.InputError, match="'label'"):
        elbo(conditional, batch())


@pytest.mark.parametrize(("text", "size"), [("1 GiB", 2**30), ("500 MB", 5 * 10**8), (1024, 1024), ("1.5kib", 1536)])
def test_memory_in_words(text: str | int, size: int) -> None:
    assert as_bytes(text) == size
