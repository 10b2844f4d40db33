"""The model: blocks, context, observed blocks, sampling, and the terms against exact answers."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

import elbowroom as er
from elbowroom.evidence import iwae
from elbowroom.exact import LinearVAE
from elbowroom.networks import MLP

F64 = torch.float64


class Beside(nn.Linear):
    """A linear map of its inputs laid side by side: exact answers for several inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, -1))


def constant_spread(network: nn.Linear, variance: float) -> nn.Linear:
    """A DiagonalNormal's linear network whose variance depends on nothing."""
    half = network.out_features // 2
    with torch.no_grad():
        network.weight[half:] = 0.0
        network.bias[half:] = math.log(math.expm1(variance - 1e-5))
    return network


def linear(d: int = 2, event: int = 4, scale: float = 0.6) -> er.VAE:
    torch.manual_seed(2)
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(constant_spread(nn.Linear(event, 2 * d), 0.4), d),
        er.likelihoods.Normal(nn.Linear(d, event), event, scale=scale),
    ).double()


def points(n: int = 5, event: int = 4) -> er.Batch:
    x = torch.randn(n, event, generator=torch.Generator().manual_seed(1), dtype=F64)
    return er.Batch(x, torch.arange(n))


def hierarchical(top_down: bool) -> er.VAE:
    """p(top) p(z | top) p(x | z), all linear; the posterior drawn either way round."""
    torch.manual_seed(4)
    block = er.posteriors.DiagonalNormal
    prior = {
        "top": er.priors.StandardNormal(1),
        "z": block(constant_spread(nn.Linear(1, 4), 0.5), 2, given=("top",)),
    }
    down = {
        "top": block(constant_spread(nn.Linear(4, 2), 1.2), 1),
        "z": block(constant_spread(Beside(5, 4), 1.0), 2, given=("x", "top")),
    }
    up = {
        "z": block(constant_spread(nn.Linear(4, 4), 1.0), 2),
        "top": block(constant_spread(nn.Linear(2, 2), 1.2), 1, given=("z",)),
    }
    with torch.no_grad():  # a posterior wider than the true one: the weights are bounded
        for part in (*down.values(), *up.values()):
            part.network.weight.mul_(0.3)
    likelihood = er.likelihoods.Normal(nn.Linear(2, 4), 4, scale=0.9)
    return er.VAE(prior, down if top_down else up, likelihood).double()


def within(found: er.Estimate, exact: Tensor, most: float = 4.5) -> None:
    assert np.all(np.abs(found.values - exact.detach().numpy()) < most * np.sqrt(found.mc_variance))
    assert found.ess.min() > 50


@pytest.mark.parametrize("top_down", [True, False])
def test_hierarchical_evidence_is_exact(top_down: bool) -> None:
    vae, examples = hierarchical(top_down), points()
    down, out = vae.prior["z"].network, vae.likelihood.network
    a, w = down.weight[:2], out.weight
    covariance_z = a @ a.T + 0.5 * torch.eye(2, dtype=F64)
    covariance = w @ covariance_z @ w.T + 0.81 * torch.eye(4, dtype=F64)
    exact = MultivariateNormal(w @ down.bias[:2] + out.bias, covariance).log_prob(examples.x)
    within(iwae(vae, examples, draws=20_000), exact)


def test_a_kl_is_closed_only_where_the_prior_sees_earlier_blocks() -> None:
    examples = points()
    vae = hierarchical(top_down=True)
    terms = vae(examples, vae.keyed_noise(4000, examples.index, 0))
    assert terms.kl("top", "closed").shape == (1, 5)
    for name in ("top", "z"):
        sampled, closed = terms.kl(name, "sampled"), terms.kl(name, "closed")
        error = (sampled - closed).std(0) / math.sqrt(4000)
        assert torch.all((sampled - closed).mean(0).abs() < 4.5 * error)
    torch.testing.assert_close(terms.kl("z"), terms.kl("z", "closed"))
    other = hierarchical(top_down=False)
    terms = other(examples, other.keyed_noise(2, examples.index, 0))
    with pytest.raises(er.CapabilityError, match=r"'z' has no closed form.*kl='sampled'"):
        terms.kl("z", "closed")
    torch.testing.assert_close(terms.kl("z"), terms.kl("z", "sampled"))
    assert terms.elementwise_kl("z") is None


def test_context_reaches_all_three_parts() -> None:
    torch.manual_seed(5)
    block = er.posteriors.DiagonalNormal
    vae = er.VAE(
        block(constant_spread(nn.Linear(3, 4), 0.7), 2, given=("label",)),
        block(constant_spread(Beside(7, 4), 0.4), 2, given=("x", "label")),
        er.likelihoods.Normal(Beside(5, 4), 4, scale=0.8, given=("z", "label")),
    ).double()
    label = torch.eye(3, dtype=F64)[[0, 1, 2, 2, 0]]
    examples = er.Batch(points().x, torch.arange(5), {"label": label})
    w = vae.likelihood.network.weight
    prior_mean = vae.prior["z"].network(label)[:, :2]
    mean = torch.cat([prior_mean, label], -1) @ w.T + vae.likelihood.network.bias
    covariance = 0.7 * w[:, :2] @ w[:, :2].T + 0.64 * torch.eye(4, dtype=F64)
    within(iwae(vae, examples, draws=20_000), MultivariateNormal(mean, covariance).log_prob(examples.x))
    assert vae.context_names == ("label",)

    many = vae.sample(6000, context={"label": label[1].expand(6000, 3)})
    error = many.std(0) / math.sqrt(6000)
    assert torch.all((many.mean(0) - mean[1]).abs() < 4.5 * error)
    with pytest.raises(er.InputError, match="reads 'label', which is not at hand"):
        vae(points(), vae.keyed_noise(1, torch.arange(5), 0))


def test_an_observed_block_takes_its_value_and_costs_no_log_q() -> None:
    vae, examples = linear(), points()
    value, mask = torch.ones(5, 2, dtype=F64), torch.tensor([True, False, True, False, False])
    seen = er.Batch(examples.x, examples.index, {}, {"z": (value, mask)})
    noise = vae.keyed_noise(3, examples.index, 0)
    terms, free = vae(seen, noise), vae(examples, noise)
    joint = Normal(vae.likelihood.network(value), 0.6).log_prob(examples.x).sum(-1) + Normal(0, 1).log_prob(value).sum(
        -1
    )
    torch.testing.assert_close(terms.log_weight[:, mask], joint[mask].expand(3, -1))
    torch.testing.assert_close(terms.log_weight[:, ~mask], free.log_weight[:, ~mask])
    with pytest.raises(er.CapabilityError, match="observed"):
        terms.kl("z", "closed")
    np.testing.assert_allclose(iwae(vae, seen, draws=7).values[mask], joint[mask].detach().numpy(), rtol=1e-10)


def test_terms_are_scipys() -> None:
    vae, examples = linear(), points()
    with torch.no_grad():
        terms = vae(examples, vae.keyed_noise(2, examples.index, 0))
        mean = vae.likelihood.network(terms.z["z"])
        q = terms.q["z"]
    np.testing.assert_allclose(terms.log_likelihood, stats.norm(mean, 0.6).logpdf(examples.x).sum(-1))
    np.testing.assert_allclose(terms.log_prior["z"], stats.norm.logpdf(terms.z["z"]).sum(-1))
    np.testing.assert_allclose(terms.log_posterior["z"], stats.norm(q.mean, q.stddev).logpdf(terms.z["z"]).sum(-1))
    expected = 0.5 * (q.variance + q.mean**2 - 1 - q.variance.log()).sum(-1)
    torch.testing.assert_close(terms.rate("closed"), expected)


def test_ancestral_samples_have_the_models_distribution() -> None:
    vae = linear()
    model = LinearVAE(vae)
    x = vae.sample(5000).detach()
    covariance = model.weights @ model.weights.T + torch.diag(model.noise)
    distance = ((x - model.mean) @ torch.linalg.inv(covariance) * (x - model.mean)).sum(-1)
    assert stats.kstest(distance.numpy(), stats.chi2(4).cdf).pvalue > 1e-3


def test_sampling_modes_share_z_and_are_what_they_are_called() -> None:
    vae = linear()
    mean, ancestral = vae.sample(3000, mode="mean", seed=3), vae.sample(3000, seed=3)
    torch.testing.assert_close(vae.sample(3000, mode="offset", offset=-1.5, seed=3), mean - 1.5 * 0.6)
    residual = ((ancestral - mean) / 0.6).flatten()
    assert stats.kstest(residual.numpy(), "norm").pvalue > 1e-3
    weights = vae.likelihood.network.weight.detach()
    z = torch.linalg.lstsq(weights, (mean - vae.likelihood.network.bias.detach()).T).solution
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[0].numpy(), residual[::4].numpy())[0, 1]) < 4.5 / math.sqrt(3000)
    assert not torch.equal(mean, vae.sample(3000, mode="mean", seed=4))
    torch.testing.assert_close(ancestral, vae.sample(3000, seed=3))


def test_neighbouring_seeds_share_no_noise() -> None:
    vae, n = linear(4), 3000
    drawn = {}
    for seed in range(3, 6):
        residual = vae.sample(n, seed=seed) - vae.sample(n, mode="mean", seed=seed)
        drawn[f"x of {seed}"], drawn[f"z of {seed}"] = residual, vae.draw_prior(n, seed, {})["z"]
    correlations = np.corrcoef(np.stack([noise.detach().flatten().numpy() for noise in drawn.values()]))
    assert np.abs(correlations - np.eye(6)).max() < 4.5 / math.sqrt(4 * n)


def test_samples_of_grid_data_lie_on_the_grid() -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2),
        er.likelihoods.Normal(nn.Linear(2, 3), 3, scale=0.4),
        er.preprocess.Chain([er.preprocess.Dequantise(17, (3,)), er.preprocess.Affine(2.0, shift=-1.0)]),
    )
    x = vae.sample(500)
    assert torch.equal(x, x.round())
    assert x.min() >= 0
    assert x.max() <= 16
    assert len(x.unique()) == 17


def test_encode_and_reconstruct_take_means() -> None:
    vae, examples = linear(), points()
    q = LinearVAE(vae).encoder(examples)
    z = vae.encode(examples)["z"]
    torch.testing.assert_close(z, q.mean)
    torch.testing.assert_close(vae.reconstruct(examples), vae.likelihood.network(z).detach())
    both = hierarchical(top_down=True)
    codes = both.encode(examples)
    inputs = torch.cat([examples.x, codes["top"]], -1)
    torch.testing.assert_close(codes["z"], both.posterior["z"].network(inputs)[:, :2].detach())


@pytest.mark.parametrize("mixed", [False, True])
def test_classes_without_an_order_have_no_mean_and_the_error_says_what_to_do(mixed: bool) -> None:
    categorical = er.likelihoods.Categorical(None if mixed else nn.Linear(2, 12), 3, levels=4, ordered=False)
    likelihood = er.likelihoods.Mixed(nn.Linear(2, 12), [categorical]) if mixed else categorical
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2), likelihood)
    for asked in (
        lambda: vae.reconstruct(er.Batch(torch.zeros(2, 3), torch.arange(2))),
        lambda: vae.sample(2, mode="mean"),
    ):
        with pytest.raises(er.CapabilityError, match=r"Categorical has no mean.*probabilities.*mode='ancestral'"):
            asked()
    assert set(vae.sample(50).unique().tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_log_p_is_the_same_on_either_scale() -> None:
    """A model of [−1, 1] with σ twice as wide gives the same log p(x) on the user's [0, 1]."""
    narrow = linear(scale=0.3)
    wide = linear(scale=0.6)
    with torch.no_grad():
        narrow_out, wide_out = narrow.likelihood.network, wide.likelihood.network
        wide_out.weight.copy_(2 * narrow_out.weight)
        wide_out.bias.copy_(2 * narrow_out.bias - 1)
        encoder = wide.posterior["z"].network
        encoder.weight.copy_(narrow.posterior["z"].network.weight / 2)
        encoder.bias.copy_(narrow.posterior["z"].network.bias + encoder.weight.sum(1))
    wide.preprocess = er.preprocess.Affine(2.0, shift=-1.0)
    x = er.Batch(torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=F64), torch.arange(5))
    np.testing.assert_allclose(iwae(narrow, x, draws=20).values, iwae(wide, x, draws=20).values, rtol=1e-10)


def test_gradient_of_the_unit_normal_is_that_of_half_the_squared_error() -> None:
    vae, examples = linear(scale=1.0), points()
    terms = vae(examples, vae.keyed_noise(1, examples.index, 0))
    error = 0.5 * (examples.x - vae.likelihood.network(terms.z["z"][0])).square().sum()
    parameters = list(vae.posterior.parameters()) + list(vae.likelihood.parameters())
    likelihood = torch.autograd.grad(-terms.log_likelihood.sum(), parameters, retain_graph=True)
    for mine, other in zip(likelihood, torch.autograd.grad(error, parameters), strict=True):
        torch.testing.assert_close(mine, other)
    constant = -terms.log_likelihood.sum() - error
    assert constant.item() == pytest.approx(5 * 4 * 0.5 * math.log(2 * math.pi))


def test_gradient_of_draws_is_unbiased_for_the_exact_gradient() -> None:
    """Reparameterised draws, against the closed-form ELBO of a linear-Gaussian model."""
    vae, examples, repeats = linear(), points(3), 300
    encoder, decoder = vae.posterior["z"].network, vae.likelihood.network
    parameters = [encoder.weight, encoder.bias, decoder.weight, decoder.bias]
    mean, raw = encoder(examples.x).chunk(2, -1)
    variance = nn.functional.softplus(raw) + 1e-5
    error = (examples.x - decoder(mean)).square() + variance @ decoder.weight.T.square()
    rate = 0.5 * (variance + mean**2 - 1 - variance.log()).sum(-1)
    exact = torch.autograd.grad((-0.5 * error.sum(-1) / 0.36 - rate).sum(), parameters)
    found: list[list[Tensor]] = [[] for _ in parameters]
    for seed in range(repeats):
        terms = vae(examples, vae.keyed_noise(8, examples.index, seed))
        for kept, gradient in zip(found, torch.autograd.grad(terms.log_weight.mean(0).sum(), parameters), strict=True):
            kept.append(gradient)
    for kept, expected in zip(found, exact, strict=True):
        values = torch.stack(kept)
        error_of_mean = values.std(0) / math.sqrt(repeats)
        assert torch.all((values.mean(0) - expected).abs() < 4.5 * error_of_mean + 1e-10)


@pytest.mark.parametrize("make", [linear, lambda: hierarchical(top_down=True)], ids=["one block", "two blocks"])
def test_stacked_is_one_by_one(make: object) -> None:
    class Weight(nn.Module):
        def __init__(self, vae: er.VAE) -> None:
            super().__init__()
            self.vae = vae

        def forward(self, batch: er.Batch, noise: dict[str, Tensor]) -> Tensor:
            return self.vae(batch, noise).log_weight.mean()

    members = [Weight(make()) for _ in range(3)]
    with torch.no_grad():
        for shift, member in enumerate(members):
            for parameter in member.parameters():
                parameter.add_(0.1 * shift)
    examples = points()
    noise = members[0].vae.keyed_noise(2, examples.index, 0)
    parameters, buffers = torch.func.stack_module_state(members)
    stacked = torch.func.vmap(
        torch.func.grad_and_value(lambda p, b: torch.func.functional_call(members[0], (p, b), (examples, noise)))
    )
    gradients, values = stacked({k: v.detach() for k, v in parameters.items()}, buffers)
    for position, member in enumerate(members):
        alone = member(examples, noise)
        torch.testing.assert_close(values[position], alone, rtol=1e-12, atol=1e-12)
        alone.backward()
        for name, parameter in member.named_parameters():
            torch.testing.assert_close(gradients[name][position], parameter.grad, rtol=1e-10, atol=1e-12)


def test_target_is_the_joint_density_of_a_frozen_copy() -> None:
    vae, examples = hierarchical(top_down=False), points()
    target = vae.target(examples)
    z, log_q = target.draw_posterior(3, seed=0)
    with torch.no_grad():
        terms = vae(examples, vae.keyed_noise(3, examples.index, 0))
    torch.testing.assert_close(target.log_prior(z) + target.log_likelihood(z) - log_q, terms.log_weight)
    assert target.dim == vae.latents == 3
    with torch.no_grad():
        vae.likelihood.network.bias.add_(1.0)
    torch.testing.assert_close(target.log_likelihood(z), terms.log_likelihood)


def test_data_of_another_precision_are_taken_to_the_models() -> None:
    vae, examples = linear(), points()
    single = er.Batch(examples.x.float(), examples.index)
    np.testing.assert_allclose(iwae(vae, single, draws=5).values, iwae(vae, examples, draws=5).values, rtol=1e-5)
    assert vae.encode(single)["z"].dtype == F64


def test_blocks_that_do_not_fit_are_refused() -> None:
    prior, posterior = er.priors.StandardNormal, er.posteriors.DiagonalNormal
    likelihood = er.likelihoods.Normal(nn.Linear(2, 4), 4)
    with pytest.raises(er.InputError, match="different blocks: a and z"):
        er.VAE({"a": prior(2)}, posterior(nn.Linear(4, 4), 2), likelihood)
    with pytest.raises(er.InputError, match="'x'"):
        er.VAE({"x": prior(2)}, {"x": posterior(nn.Linear(4, 4), 2)}, likelihood)
    with pytest.raises(er.InputError, match=r"event \(3,\), the posterior \(2,\)"):
        er.VAE(prior(3), posterior(nn.Linear(4, 4), 2), likelihood)
    with pytest.raises(er.InputError, match="drawn after it; reorder"):
        er.VAE(
            {"a": prior(2), "b": prior(2)},
            {"a": posterior(nn.Linear(2, 4), 2, given=("b",)), "b": posterior(nn.Linear(4, 4), 2)},
            likelihood,
        )
    with pytest.raises(er.InputError, match="size of 1 or more"):
        prior(0)


def test_an_unnormalised_score_is_not_called_log_p() -> None:
    likelihood = er.likelihoods.Bernoulli(MLP([2, 4]), 4, unnormalised=True)
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(nn.Linear(4, 4), 2), likelihood)
    grey = er.Batch(torch.full((2, 4), 0.3), torch.arange(2))
    found = iwae(vae, grey, draws=3)
    assert found.quantity == "an unnormalised score of x"
    with torch.no_grad():
        logits = vae.likelihood.network(vae(grey, vae.keyed_noise(1, grey.index, 0)).z["z"][0])
        expected = (0.3 * logits - nn.functional.softplus(logits)).sum(-1)
        terms = vae(grey, vae.keyed_noise(1, grey.index, 0))
    torch.testing.assert_close(terms.log_likelihood[0], expected)


def test_sticking_the_landing_has_the_value_and_expected_gradient_of_the_sampled_kl_and_none_at_the_posterior() -> None:
    """Where q is exactly p(z), log q − log p is flat in z: every draw's gradient is zero, the sampled one's is not."""
    network = torch.nn.Linear(3, 4).double()
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor([0.0, 0.0, math.log(math.expm1(1.0)), math.log(math.expm1(1.0))]))
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(network, 2, floor=0.0),
        er.likelihoods.Normal(torch.nn.Linear(2, 3), 3, scale=1.0),
    ).double()
    batch = er.Batch(torch.ones(1, 3, dtype=torch.float64), torch.arange(1))
    found = {}
    for how in ("sampled", "sticking-the-landing"):
        noise = vae.keyed_noise(20_000, batch.index, 0)
        value = vae(batch, noise).kl("z", how)
        each = [torch.autograd.grad(v, network.bias, retain_graph=True)[0] for v in value[:50, 0]]
        mean = torch.autograd.grad(value.mean(), network.bias)[0]
        found[how] = value, torch.stack(each), mean
    torch.testing.assert_close(found["sampled"][0], found["sticking-the-landing"][0])
    assert found["sticking-the-landing"][1].abs().max() < 1e-8
    assert found["sampled"][1].std(0).min() > 0.3
    assert found["sampled"][2].abs().max() < 5 / math.sqrt(20_000)


def test_sticking_the_landing_says_what_it_cannot_do() -> None:
    flow = er.posteriors.Flow(torch.nn.Linear(3, 8), 2, context=4)
    vae = er.VAE(er.priors.StandardNormal(2), flow, er.likelihoods.Normal(torch.nn.Linear(2, 3), 3))
    terms = vae(er.Batch(torch.ones(1, 3), torch.arange(1)), vae.keyed_noise(1, torch.arange(1), 0))
    with pytest.raises(er.CapabilityError, match="NormalizingFlow holds more than parameters of its own"):
        terms.kl("z", "sticking-the-landing")
