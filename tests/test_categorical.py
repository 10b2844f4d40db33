"""Latents that are one of several classes: laid out beside the draws, every term is a finite sum."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.cluster import kmeans_plusplus
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.distributions import OneHotCategorical

import elbowroom as er
from elbowroom import exact
from elbowroom.distributions import capabilities, draw, kl, simulate
from elbowroom.metrics import variance_budget

F64 = torch.float64
CLASSES, COLUMNS = 3, 2


class Squares(nn.Module):
    """A linear map of x and x²: of this kind is the logit of a mixture's exact posterior."""

    def __init__(self, columns: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * columns, out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(torch.cat([x, x.square()], -1))
        return out


class Beside(nn.Linear):
    """A linear map of its inputs side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, -1))


def mixture(probabilities: list[float] | None = None) -> er.VAE:
    """A VAE whose decoder has one constant mean and scale per class and feature."""
    torch.manual_seed(0)
    return er.VAE(
        er.priors.Categorical(CLASSES, probabilities=probabilities),
        er.posteriors.Categorical(Squares(COLUMNS, CLASSES), CLASSES),
        er.likelihoods.Normal(nn.Linear(CLASSES, 2 * COLUMNS, bias=False), COLUMNS, scale="predicted", floor=1e-3),
    )


def exactly(vae: er.VAE) -> exact.GaussianMixture:
    """The same model in closed form."""
    with torch.no_grad():
        p = vae.likelihood({"z": torch.eye(CLASSES, dtype=vae.dtype)[None]})
        weights = vae.prior["z"]({}).probs[0, 0].double()
    return exact.GaussianMixture(weights, p.mean[0].double(), torch.diag_embed(p.variance[0].double()))


def points(n: int = 6) -> er.Batch:
    return er.Batch(torch.randn(n, COLUMNS, generator=torch.Generator().manual_seed(1), dtype=F64), torch.arange(n))


def both(draws_first: bool = False) -> er.VAE:
    """A class y and a real z that knows it: p(y) p(z | y) p(x | y, z), linear but for y."""
    torch.manual_seed(3)
    block = er.posteriors.DiagonalNormal
    prior = {"y": er.priors.Categorical(CLASSES), "z": block(nn.Linear(CLASSES, 2), 1, given=("y",))}
    posterior = {
        "y": er.posteriors.Categorical(nn.Linear(COLUMNS, CLASSES), CLASSES),
        "z": block(Beside(COLUMNS + CLASSES, 2), 1, given=("x", "y")),
    }
    if draws_first:
        posterior = {
            "z": block(nn.Linear(COLUMNS, 2), 1),
            "y": er.posteriors.Categorical(Beside(COLUMNS + 1, CLASSES), CLASSES, given=("x", "z")),
        }
    with torch.no_grad():  # a posterior wider than the true one: the weights are bounded
        posterior["z"].network.weight.mul_(0.3)
        posterior["z"].network.bias[1] = 1.5
    decoder = Beside(CLASSES + 1, COLUMNS)
    likelihood = er.likelihoods.Normal(decoder, COLUMNS, scale=0.8, given=("y", "z"))
    return er.VAE(prior, posterior, likelihood).double()


def exact_log_p(vae: er.VAE, x: Tensor) -> Tensor:
    """log p(x) of `both`, a mixture of Gaussians."""
    with torch.no_grad():
        one_hot = torch.eye(CLASSES, dtype=F64)[:, None]
        z = vae.prior["z"]({"y": one_hot})
        weight = vae.likelihood.network.weight
        mean = vae.likelihood({"y": one_hot, "z": z.mean}).mean[:, 0]
        loading = weight[:, CLASSES:]
        covariance = z.variance[:, 0, :, None] * (loading @ loading.T) + 0.64 * torch.eye(COLUMNS, dtype=F64)
        return exact.GaussianMixture(vae.prior["y"]({}).probs[0, 0], mean, covariance).log_prob(x)


def test_the_evidence_of_a_mixture_is_exact() -> None:
    vae, examples = mixture([0.2, 0.5, 0.3]).double(), points()
    model = exactly(vae)
    with torch.no_grad():
        q = vae.posterior["z"]({"x": examples.x[None]}).probs[0]
    for draws in (1, 3):
        np.testing.assert_allclose(er.evidence.elbo(vae, examples, draws=draws).values, model.elbo(examples.x, q))
        sampled = er.evidence.elbo(vae, examples, draws=draws, kl="sampled").values
        np.testing.assert_allclose(sampled, model.elbo(examples.x, q))
        bound = er.evidence.iwae(vae, examples, draws=draws)
        np.testing.assert_allclose(bound.values, model.log_prob(examples.x))
    np.testing.assert_allclose(bound.mc_variance, 0.0, atol=1e-12)


def test_the_gradient_is_that_of_the_sum_over_classes() -> None:
    vae, examples = mixture().double(), points()
    loss = er.objectives.Elbo()(vae, examples, vae.keyed_noise(1, examples.index, 0), torch.tensor(0.0)).total
    found = torch.autograd.grad(loss, list(vae.parameters()))
    q = vae.posterior["z"]({"x": examples.x[None]}).probs[0]
    p = vae.likelihood({"z": torch.eye(CLASSES, dtype=F64)[None]})
    log_joint = p.log_prob(examples.x[:, None]) + vae.prior["z"]({}).probs[0, 0].log()
    bound = (q * (log_joint - q.log())).sum(1).mean()
    for one, wanted in zip(found, torch.autograd.grad(-bound, list(vae.parameters())), strict=True):
        torch.testing.assert_close(one, wanted)


def test_a_trained_vae_over_classes_is_scikit_learns_mixture() -> None:
    """With constant decoders the bound reaches the likelihood of the mixture that EM finds."""
    generator = np.random.default_rng(0)
    centres, spreads = np.array([[0.0, 0.0], [4.0, 1.0], [-1.0, 4.0]]), np.array([[1.0, 0.4], [0.5, 1.2], [0.8, 0.7]])
    which = generator.choice(3, 900, p=[0.5, 0.3, 0.2])
    x = (centres[which] + spreads[which] * generator.normal(size=(900, 2))).astype(np.float32)
    data = er.load_data(x, preprocess="none")
    vae = mixture()
    with torch.no_grad():  # where scikit-learn begins too
        begin, _ = kmeans_plusplus(data.train.x.numpy(), CLASSES, random_state=0)
        vae.likelihood.network.weight[:COLUMNS] = torch.tensor(begin).T
        nearest = vae.posterior["z"].network.linear
        nearest.weight[:] = torch.cat([torch.tensor(begin), torch.zeros(CLASSES, COLUMNS)], 1)
        nearest.bias[:] = -0.5 * torch.tensor(begin).square().sum(1)
    er.fit(vae, data, epochs=40, lr=0.03, lr_final=0.002, batch_size=90, progress=False, select="last")
    fitted = GaussianMixture(CLASSES, covariance_type="diag", random_state=0, n_init=5).fit(data.train.x.numpy())
    elbo = er.evidence.elbo(vae, data.train)
    assert abs(elbo.mean - fitted.score(data.train.x.numpy())) < 0.05
    wanted = exactly(vae).log_prob(data.train.x).numpy()
    np.testing.assert_allclose(er.evidence.iwae(vae, data.train, draws=1).values, wanted, rtol=1e-4, atol=1e-4)
    assert 0 <= (wanted - elbo.values).mean() < 0.01  # q can be exact here, and is


@pytest.mark.parametrize("draws_first", [False, True])
def test_a_class_beside_a_real_latent(draws_first: bool) -> None:
    vae, examples = both(draws_first), points()
    wanted = exact_log_p(vae, examples.x).numpy()
    found = er.evidence.iwae(vae, examples, draws=4_000)
    assert np.all(np.abs(found.values - wanted) < 4.5 * np.sqrt(found.mc_variance))
    assert found.ess.min() > 200
    noise = vae.keyed_noise(7, examples.index, 0)
    whole = vae(examples, noise)
    assert whole.z["y"].shape == (7 * CLASSES, 6, CLASSES)
    by_draw = [vae(examples, {name: v[i : i + 1] for name, v in noise.items()}) for i in range(7)]
    for read in (lambda t: t.log_weight, lambda t: t.log_likelihood, lambda t: t.rate().expand(len(t.log_weight), 6)):
        torch.testing.assert_close(read(whole), torch.cat([read(terms) for terms in by_draw]))
    elbo = er.evidence.elbo(vae, examples, draws=4_000)
    sampled = er.evidence.elbo(vae, examples, draws=4_000, kl="sampled", seed=1)
    assert np.all(np.abs(elbo.values - sampled.values) < 4.5 * np.sqrt(elbo.mc_variance + sampled.mc_variance))
    assert np.all(elbo.values < wanted)


def test_two_blocks_of_classes_are_every_pair_once() -> None:
    torch.manual_seed(2)
    prior = {
        "a": er.priors.Categorical(2, probabilities=[0.4, 0.6]),
        "b": er.priors.Categorical(3, network=nn.Linear(2, 3), given=("a",)),
    }
    posterior = {
        "b": er.posteriors.Categorical(nn.Linear(COLUMNS, 3), 3),
        "a": er.posteriors.Categorical(Beside(COLUMNS + 3, 2), 2, given=("x", "b")),
    }
    vae = er.VAE(
        prior, posterior, er.likelihoods.Normal(Beside(5, COLUMNS), COLUMNS, scale=1.0, given=("a", "b"))
    ).double()
    examples = points()
    total = []
    with torch.no_grad():
        for a in torch.eye(2, dtype=F64):
            for b in torch.eye(3, dtype=F64):
                given = {"a": a.view(1, 1, 2), "b": b.view(1, 1, 3)}
                log_prior = vae.prior["a"]({}).log_prob(given["a"]) + vae.prior["b"](given).log_prob(given["b"])
                total.append((log_prior + vae.likelihood(given).log_prob(examples.x[None]))[0])
    wanted = torch.stack(total).logsumexp(0)
    np.testing.assert_allclose(er.evidence.iwae(vae, examples, draws=1).values, wanted)


def test_an_observed_class_leaves_log_p_of_x_and_it() -> None:
    vae, examples = mixture([0.2, 0.5, 0.3]).double(), points()
    value, mask = torch.eye(3, dtype=F64)[[0, 1, 2, 0, 1, 2]], torch.tensor([True, True, True, False, False, False])
    seen = er.Batch(examples.x, examples.index, observed={"z": (value, mask)})
    model = exactly(vae)
    joint = model.log_joint(examples.x)[torch.arange(6), value.argmax(-1)]
    wanted = torch.where(mask, joint, model.log_prob(examples.x))
    np.testing.assert_allclose(er.evidence.iwae(vae, seen, draws=1).values, wanted)
    elbo = er.evidence.elbo(vae, seen).values
    np.testing.assert_allclose(elbo[:3], joint[:3])
    np.testing.assert_allclose(elbo[3:], er.evidence.elbo(vae, examples).values[3:])


def test_three_stacked_models_are_each_alone() -> None:
    data = er.load_data(np.random.default_rng(0).normal(size=(120, COLUMNS)).astype(np.float32))
    stacked, alone = [mixture() for _ in range(3)], [mixture() for _ in range(3)]
    goals = [er.objectives.Elbo(beta) for beta in (0.5, 1.0, 2.0)]
    er.training.fit_stacked(stacked, data, goals, epochs=3, progress=False)
    for vae, goal, other in zip(alone, goals, stacked, strict=True):
        er.fit(vae, data, goal, epochs=3, progress=False)
        for one, two in zip(vae.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_draws_of_classes_have_their_probabilities() -> None:
    p = OneHotCategorical(probs=torch.tensor([0.1, 0.6, 0.3]).expand(20_000, 3))
    noise = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    value, log_density = draw(p, noise)
    torch.testing.assert_close(log_density(), p.log_prob(value))
    for counts in (value.sum(0), simulate(p, torch.Generator().manual_seed(1)).sum(0)):
        assert stats.chisquare(counts.numpy(), [2_000, 12_000, 6_000]).pvalue > 1e-3
    assert {"mean", "variance", "enumerate"} <= capabilities(p)
    one, two = OneHotCategorical(torch.tensor([[0.5, 0.5]])), OneHotCategorical(torch.tensor([[0.25, 0.75]]))
    assert kl(one, two).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def test_a_drawn_class_is_refused_where_its_gradient_is_asked_for() -> None:
    vae, examples = mixture().double(), points()
    noise = vae.keyed_noise(1, examples.index, 0)
    with pytest.raises(er.CapabilityError, match=r"no gradient.*posteriors\.Categorical"):
        vae(examples, noise, lay_out=False)
    with torch.no_grad():
        assert vae(examples, noise, lay_out=False).z["z"].shape == (1, 6, CLASSES)


def test_samples_codes_and_variances_are_the_mixtures() -> None:
    vae = mixture([0.2, 0.5, 0.3])
    model = exactly(vae)
    x = vae.sample(20_000).double()
    between, within = model.between, model.within
    error = (x - x.mean(0)).square().std(0) / math.sqrt(len(x))
    assert torch.all((x.var(0) - between - within).abs() < 4.5 * error)
    examples = er.Batch(x[:500].float(), torch.arange(500))
    torch.testing.assert_close(vae.encode(examples)["z"], vae.posterior["z"]({"x": examples.x[None]}).probs[0].detach())
    budget = variance_budget(vae, examples, over="prior", draws=20_000)
    assert budget.latent == pytest.approx(between.sum().item(), rel=0.05)
    assert variance_budget(vae, examples, draws=2_000).noise > 0


def test_files_and_words(tmp_path) -> None:
    for model in (
        er.VAE(
            er.priors.Categorical(3, probabilities=[0.2, 0.5, 0.3]),
            er.posteriors.Categorical(er.networks.MLP([2, 3]), 3),
            er.likelihoods.Normal(er.networks.MLP([3, 2]), 2),
        ),
    ):
        path = er.save_model(model, tmp_path / "m.vae")
        x = er.Batch(torch.zeros(2, 2), torch.arange(2))
        again = er.load_model(path)
        np.testing.assert_allclose(
            er.evidence.iwae(again, x, draws=1).values, er.evidence.iwae(model, x, draws=1).values
        )
        with pytest.raises(er.CapabilityError, match="not on the real line"):
            model.target(x)
    with pytest.raises(er.InputError, match="add to 1"):
        er.priors.Categorical(2, probabilities=[0.5, 0.6])
    with pytest.raises(er.InputError, match="at least 2 classes"):
        er.posteriors.Categorical(nn.Linear(2, 1), 1)
    with pytest.raises(er.InputError, match="reads what is in `given`"):
        er.priors.Categorical(2, network=nn.Linear(2, 2))
    with pytest.raises(er.InputError, match="scale='shared'"):
        er.VAE(
            er.priors.Categorical(3),
            er.posteriors.Categorical(nn.Linear(2, 3), 3),
            er.likelihoods.Normal(nn.Linear(3, 2), 2, scale="optimal"),
        )
