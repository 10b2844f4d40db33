"""Objectives beside the ELBO: totals by hand, gradients against exact ones, signal against noise, schedules."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

import elbowroom as er
from elbowroom.numerics import Batch, CapabilityError
from elbowroom.objectives import (
    BetaTC,
    Capacity,
    CyclicalSchedule,
    Dip,
    Discrepancy,
    Elbo,
    FreeBits,
    Iwae,
    LinearSchedule,
    LogisticSchedule,
    RateDistortion,
)
from elbowroom.objectives.discrepancy import squared_discrepancy
from elbowroom.objectives.similarity import dissimilarity
from elbowroom.training import TrainingStep
from elbowroom.training.groups import groups

END = torch.tensor(math.inf)


def linear_vae(latents: int = 2, features: int = 3, scale: float = 0.7, seed: int = 3) -> er.VAE:
    torch.manual_seed(seed)
    posterior = er.posteriors.DiagonalNormal(nn.Linear(features, 2 * latents), latents)
    likelihood = er.likelihoods.Normal(nn.Linear(latents, features), features, scale=scale)
    return er.VAE(er.priors.StandardNormal(latents), posterior, likelihood).double()


def examples(n: int, features: int = 3) -> Batch:
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(n))


def gradient(total: Tensor, module: nn.Module) -> Tensor:
    found = torch.autograd.grad(total, list(module.parameters()), retain_graph=True, allow_unused=True)
    pairs = zip(found, module.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def same_example(vae: er.VAE, copies: int, draws: int) -> tuple[Batch, dict[str, Tensor]]:
    """One example many times over, each with draws of its own."""
    batch = Batch(examples(1).x.expand(copies, -1), torch.arange(copies))
    return batch, vae.keyed_noise(draws, batch.index, seed=5)


def gradients(objective: nn.Module, vae: er.VAE, copies: int = 4_000) -> Tensor:
    """The gradient of the encoder at every copy of one example, [copies, parameters]."""
    posterior = dict(vae.posterior.named_parameters())
    batch, noise = same_example(vae, copies, objective.draws)

    def total(parameters: dict[str, Tensor], each: Tensor) -> Tensor:
        full = {f"posterior.{name}": value for name, value in parameters.items()}
        return torch.func.functional_call(
            _Called(vae, objective), {f"vae.{k}": v for k, v in full.items()}, (batch, each)
        )

    each = noise["z"].transpose(0, 1).unsqueeze(2)  # [copies, draws, 1, latents]
    batch = Batch(batch.x[:1], batch.index[:1])
    found = torch.vmap(torch.func.grad(total), in_dims=(None, 0))({k: v.detach() for k, v in posterior.items()}, each)
    return torch.cat([value.flatten(1) for value in found.values()], 1)


class _Called(nn.Module):
    def __init__(self, vae: er.VAE, objective: nn.Module) -> None:
        super().__init__()
        self.vae, self.objective = vae, objective

    def forward(self, batch: Batch, z: Tensor) -> Tensor:
        total: Tensor = self.objective(self.vae, batch, {"z": z}, END).total
        return total


# Schedules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (LinearSchedule(10, floor=0.1), {0: 0.1, 5: 0.55, 10: 1.0, 11: 1.0, math.inf: 1.0}),
        (LogisticSchedule(10, sharpness=4.0), {0: 0.0, 5: 0.5, 10: 1.0, 99: 1.0, math.inf: 1.0}),
        (
            CyclicalSchedule(40, cycles=2, rising=0.25, floor=0.2),
            {0: 0.2, 2.5: 0.6, 5: 1, 19: 1, 20: 0.2, 40: 1, 41: 1},
        ),
    ],
)
def test_schedules_begin_at_the_floor_and_end_at_one(schedule: nn.Module, expected: dict[float, float]) -> None:
    for step, share in expected.items():
        assert schedule(torch.tensor(float(step))).item() == pytest.approx(share, abs=1e-6)
    assert schedule(torch.tensor(math.inf)).item() == 1.0


def test_a_logistic_schedule_is_a_stretched_logistic_curve() -> None:
    def curve(t: float) -> float:
        return 1 / (1 + math.exp(-6 * (t - 0.5)))

    expected = (curve(0.3) - curve(0.0)) / (curve(1.0) - curve(0.0))
    assert LogisticSchedule(10, sharpness=6.0)(torch.tensor(3.0)).item() == pytest.approx(expected, abs=1e-6)


def test_members_of_a_stack_may_differ_in_their_schedules() -> None:
    schedules = (LinearSchedule, 8, 0.0), (LinearSchedule, 8, 0.5)

    def goal(which: int) -> Elbo:
        kind, steps, floor = schedules[which]
        return Elbo(schedule=kind(steps, floor=floor))

    goals = [goal(0), goal(1)]
    data = er.load_data(examples(40).x.numpy(), validation=5, test=5)
    settings = {"epochs": 4, "batch_size": 10, "progress": False, "select": "last"}
    members = [linear_vae(seed=s) for s in (0, 1)]
    assert groups([TrainingStep(*pair) for pair in zip(members, goals, strict=True)]) == [[0, 1]]
    er.fit_stacked(members, data, goals, **settings)
    later = TrainingStep(linear_vae(), Elbo(schedule=LinearSchedule(9)))
    assert groups([TrainingStep(members[0], goals[0]), later]) == [[0], [1]]  # epochs count from another step
    for seed in (0, 1):
        alone = linear_vae(seed=seed)
        er.fit(alone, data, goal(seed), **settings)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(members[seed].state_dict()[name], value, rtol=1e-8, atol=1e-9)


# Totals ---------------------------------------------------------------------------------------------------------------


def test_capacity_holds_the_rate_at_a_rising_capacity() -> None:
    vae, batch = linear_vae(), examples(7)
    noise = vae.keyed_noise(2, batch.index, 0)
    objective = Capacity(4.0, weight=3.0, schedule=LinearSchedule(8))
    for step, capacity in ((0.0, 0.0), (2.0, 1.0), (math.inf, 4.0)):
        loss = TrainingStep(vae, objective)(batch, noise, torch.tensor(step))
        expected = loss.logged["distortion"] + 3.0 * (loss.logged["rate"] - capacity).abs()
        assert loss.total.item() == pytest.approx(expected.item())
        assert loss.logged["capacity"].item() == capacity


def test_training_at_a_capacity_ends_with_that_rate() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(600, 2, generator=generator)
    x = z @ torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.5, 1.0]]) + 0.3 * torch.randn(600, 3, generator=generator)
    data = er.load_data(x.numpy(), validation=100, test=100, preprocess="none", support="real")
    capacities = (0.5, 1.5)
    members = [linear_vae().float() for _ in capacities]
    er.fit_stacked(
        members, data, [Capacity(c, weight=50.0) for c in capacities], epochs=20, batch_size=50, lr=2e-2, progress=False
    )
    for vae, capacity in zip(members, capacities, strict=True):
        assert er.evidence.rate_distortion(vae, data.train, draws=8).rate.mean == pytest.approx(capacity, abs=0.1)


def test_free_bits_counts_no_kl_for_less_than_its_allowance() -> None:
    vae, batch = linear_vae(latents=3), examples(9)
    noise = vae.keyed_noise(2, batch.index, 0)
    terms = vae(batch, noise)
    each = terms.elementwise_kl("z").mean((0, 1))
    allowance = each.sort().values[1].item() + 1e-6
    loss = FreeBits(allowance, per="dimension")(vae, batch, noise, END)
    expected = sum(max(allowance, k) for k in each.tolist()) - terms.log_likelihood.mean()
    assert loss.total.item() == pytest.approx(expected.item())
    assert loss.logged["free"].item() == pytest.approx(2 / 3)
    block = FreeBits(100.0)(vae, batch, noise, END)
    assert block.total.item() == pytest.approx(100.0 - terms.log_likelihood.mean().item())
    assert gradient(block.total, vae.posterior).abs().sum() > 0  # through the distortion alone
    plain = FreeBits(0.0)(vae, batch, noise, END).total
    torch.testing.assert_close(plain, Elbo()(vae, batch, noise, END).total)


def test_free_bits_by_dimension_need_a_closed_kl() -> None:
    vae = er.VAE(
        er.priors.Mixture(2),
        er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2),
        er.likelihoods.Normal(nn.Linear(2, 3), 3),
    )
    batch = Batch(torch.zeros(2, 3), torch.arange(2))
    with pytest.raises(CapabilityError, match="per='block'"):
        FreeBits(0.5, per="dimension")(vae, batch, vae.keyed_noise(1, batch.index, 0), END)


def test_squares_weighed_by_lambda_are_a_normal_of_a_fixed_scale_and_a_beta_vae() -> None:
    """λ d = d / 2σ² and β-VAE at scale s with β = 1 / (2 s² λ): the same gradients, the second divided by β."""
    weight, scale = 0.8, 0.3
    sigma, beta = math.sqrt(1 / (2 * weight)), 1 / (2 * scale**2 * weight)
    vae, other, batch = linear_vae(scale=sigma), linear_vae(scale=scale), examples(6)
    noise = vae.keyed_noise(3, batch.index, 0)
    found = RateDistortion(distance="squared", weight=weight)(vae, batch, noise, END).total
    normal = Elbo()(vae, batch, noise, END).total
    torch.testing.assert_close(gradient(found, vae), gradient(normal, vae))
    constant = 3 * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    assert normal.item() - found.item() == pytest.approx(constant)
    of_beta = gradient(Elbo(beta)(other, batch, noise, END).total, other)
    torch.testing.assert_close(gradient(found, vae), of_beta / beta)


def test_distances_of_ones_own_are_means_over_examples_and_leave_missing_cells_out() -> None:
    vae, batch = linear_vae(), examples(4)
    noise = vae.keyed_noise(2, batch.index, 0)
    named = RateDistortion(distance="absolute", weight=2.0)(vae, batch, noise, END).total
    own = RateDistortion(distance=lambda x, y: (x - y).abs().sum(-1), weight=2.0)(vae, batch, noise, END).total
    torch.testing.assert_close(named, own)
    seen = torch.ones(4, 3, dtype=torch.bool)
    seen[:, 2] = False
    gaps = Batch(batch.x, batch.index, seen=seen)
    terms = vae(gaps, noise)
    expected = terms.rate().mean() + 2.0 * (terms.y - terms.p_x.mean)[..., :2].abs().sum(-1).mean()
    torch.testing.assert_close(RateDistortion(distance="absolute", weight=2.0)(vae, gaps, noise, END).total, expected)
    with pytest.raises(er.InputError, match="one number per example"):
        RateDistortion(distance=lambda x, y: (x - y).abs())(vae, batch, noise, END)


# Importance-weighted gradients ----------------------------------------------------------------------------------------


def test_groups_and_the_share_of_the_elbo() -> None:
    vae, batch = linear_vae(), examples(5)
    noise = vae.keyed_noise(6, batch.index, 0)
    log_w = vae(batch, noise).log_weight
    miwae = -(log_w.view(2, 3, 5).logsumexp(1) - math.log(3)).mean()
    torch.testing.assert_close(Iwae(draws=6, groups=2)(vae, batch, noise, END).total, miwae)
    ciwae = -(0.3 * log_w.mean() + 0.7 * (log_w.logsumexp(0) - math.log(6)).mean())
    torch.testing.assert_close(Iwae(draws=6, elbo=0.3)(vae, batch, noise, END).total, ciwae)
    torch.testing.assert_close(
        Iwae(draws=6, groups=6)(vae, batch, noise, END).total, Elbo(kl="sampled", draws=6)(vae, batch, noise, END).total
    )


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"elbo": 0.4}, {"elbo": 1.0}])
def test_the_doubly_reparameterised_gradient_has_the_plain_one_s_value_and_mean(options: dict) -> None:
    vae = linear_vae()
    plain, twice = (Iwae(draws=4, gradient=kind, **options) for kind in ("plain", "doubly-reparameterised"))
    batch, noise = same_example(vae, 3, 4)
    torch.testing.assert_close(plain(vae, batch, noise, END).total, twice(vae, batch, noise, END).total)
    torch.testing.assert_close(*(gradient(one(vae, batch, noise, END).total, vae.likelihood) for one in (plain, twice)))
    one, two = gradients(plain, vae), gradients(twice, vae)
    error = ((one.var(0) + two.var(0)) / len(one)).sqrt()
    assert ((one.mean(0) - two.mean(0)).abs() < 4.5 * error).all()
    assert two.var(0).sum() < one.var(0).sum()


def test_the_mean_gradient_of_the_bound_of_one_draw_is_the_exact_one() -> None:
    """With K = 1 the doubly reparameterised gradient is that of the ELBO, in closed form for a linear model."""
    vae = linear_vae()
    found = gradients(Iwae(draws=1, gradient="doubly-reparameterised"), vae, 20_000)
    batch = examples(1)
    q = vae.posterior["z"]({"x": batch.x[None]})
    mean, variance = q.mean[0, 0], q.variance[0, 0]
    net = vae.likelihood.network
    residual = batch.x[0] - net(mean)
    spread = (net.weight.square() * variance).sum()
    distortion = (residual.square().sum() + spread) / (2 * 0.7**2)
    rate = 0.5 * (variance + mean.square() - 1 - variance.log()).sum()
    exact = gradient(distortion + rate, vae.posterior)
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - exact).abs() < 4.5 * error + 1e-9).all()


def test_the_signal_of_the_encoder_falls_with_draws_and_that_of_the_doubly_reparameterised_gradient_does_not() -> None:
    """Signal over noise falls as 1/√K for the plain gradient and rises as √K for the other."""
    vae = linear_vae(latents=1)
    weight = vae.likelihood.network.weight.detach()
    precision = 1 + weight.square().sum() / 0.7**2
    mean = ((examples(1).x[0] - vae.likelihood.network.bias) @ weight / 0.7**2 / precision).detach()
    with torch.no_grad():  # q is wider than the posterior, by a little, and beside it: the weights have all moments
        vae.posterior["z"].network.weight.zero_()
        vae.posterior["z"].network.bias.copy_(
            torch.cat([mean + 0.2 / precision.sqrt(), (1.5 / precision).expm1().log().view(1)])
        )

    def signal(kind: str, draws: int) -> float:
        found = gradients(Iwae(draws=draws, gradient=kind), vae, 5_000)[:, -2:].detach()  # of the two numbers of q
        return float((found.mean(0).abs() / found.std(0)).mean().detach())

    plain = signal("plain", 64) / signal("plain", 4)
    twice = signal("doubly-reparameterised", 64) / signal("doubly-reparameterised", 4)
    assert plain < 0.5  # theory: 1/4
    assert twice > 2.0  # theory: 4


def test_what_a_gradient_cannot_do_is_said() -> None:
    with pytest.raises(er.InputError, match=r"biased .*doubly-reparameterised"):
        Iwae(gradient="sticking-the-landing")  # type: ignore[arg-type]
    with pytest.raises(er.InputError, match="equal groups"):
        Iwae(draws=5, groups=2)
    classes = er.VAE(
        er.priors.Categorical(2),
        er.posteriors.Categorical(nn.Linear(3, 2), 2),
        er.likelihoods.Normal(nn.Linear(2, 3), 3),
    )
    batch = Batch(torch.zeros(2, 3), torch.arange(2))
    with pytest.raises(CapabilityError, match="over classes"):
        Iwae(gradient="doubly-reparameterised")(classes, batch, classes.keyed_noise(1, batch.index, 0), END)


def test_a_known_block_counts_alike_however_its_kl_is_sampled() -> None:
    """Of an observed block log q is 0 in every form of the rate, that without the parameters of q included."""
    vae, batch = linear_vae(), examples(4)
    batch.observed["z"] = (torch.ones(4, 2).double(), torch.tensor([True, False, True, False]))
    terms = vae(batch, vae.keyed_noise(2, batch.index, 0))
    torch.testing.assert_close(terms.kl("z", "sampled"), terms.kl("z", "sticking-the-landing"))
    torch.testing.assert_close(terms.log_weight, terms.path_log_weight)


# Of the aggregate posterior -------------------------------------------------------------------------------------------


def test_the_three_parts_of_the_rate_add_to_it_and_each_has_its_weight() -> None:
    vae, batch = linear_vae(), examples(6)
    noise = vae.keyed_noise(2, batch.index, 0)
    for examples_said in (None, 500):
        loss = BetaTC(1.0, examples=examples_said)(vae, batch, noise, END)
        torch.testing.assert_close(loss.total, Elbo(kl="sampled")(vae, batch, noise, END).total)
    parts = loss.logged
    weighed = BetaTC(3.0, information=0.5, dimensions=2.0, examples=500)(vae, batch, noise, END).total
    plain = 3.0 * parts["tc"] + 0.5 * parts["information"] + 2.0 * parts["margins"]
    torch.testing.assert_close(weighed - plain, loss.total - sum(parts.values()))


def test_the_aggregate_density_of_a_batch_is_unbiased_for_that_of_all_examples() -> None:
    """Over all pairs of a batch of two, q(z) / N + (N − 1) / N q(z | other) has the mean of the mixture, by hand."""
    vae, batch = linear_vae(latents=1), examples(5)
    terms = vae(batch, vae.keyed_noise(1, batch.index, 0))
    z, q = terms.z["z"][0, 2], terms.q["z"]
    whole = q.base_dist.log_prob(z).exp().mean().item()
    found = []
    for other in (0, 1, 3, 4):
        pair = Batch(batch.x[[2, other]], torch.tensor([2, other]))
        noise = {"z": torch.stack([terms.z["z"][0, 2], z]).view(1, 2, 1)}
        noise["z"] = (z - vae.posterior["z"]({"x": pair.x[None]}).mean) / vae.posterior["z"]({"x": pair.x[None]}).stddev
        _, _, log_all, _ = BetaTC(examples=5)._densities(vae(pair, noise))
        found.append(log_all[0, 0].exp().item())
    assert np.mean(found) == pytest.approx(whole)


def test_the_discrepancy_is_the_unbiased_one_by_hand_and_0_on_average_for_equal_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 7, 3, generator=generator).double()

    def kernel(x: Tensor, y: Tensor) -> float:
        return sum(6 * s / (6 * s + float((x - y).square().sum())) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    within = sum(np.mean([kernel(x[i], x[j]) for i, j in pairs]) for x in (a, b))
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert squared_discrepancy(a, b).item() == pytest.approx(within - 2 * across)
    many = torch.stack([squared_discrepancy(*torch.randn(2, 30, 2, generator=generator)) for _ in range(300)])
    assert abs(many.mean()) < 4 * many.std() / math.sqrt(300)
    apart = squared_discrepancy(a, b + 3)
    assert apart > 10 * many.std()


def test_the_total_with_a_discrepancy_and_training_by_it_moves_codes_to_the_prior() -> None:
    vae, batch = linear_vae(), examples(8)
    step = TrainingStep(vae, Discrepancy(weight=7.0, rate=0.5))
    noise = step.keyed_noise(1, batch.index, 0)
    loss = step(batch, noise, END)
    logged = loss.logged
    expected = logged["distortion"] + 0.5 * logged["rate"] + 7.0 * logged["mmd"]
    assert loss.total.item() == pytest.approx(expected.item())
    assert gradient(step(batch, noise, END).total, vae.posterior).abs().sum() > 0


@pytest.mark.parametrize("of", ["means", "draws"])
def test_the_penalty_on_the_covariance_is_numpys(of: str) -> None:
    vae, batch = linear_vae(latents=3), examples(20)
    noise = vae.keyed_noise(1, batch.index, 0)
    loss = Dip(off_diagonal=2.0, diagonal=0.5, of=of)(vae, batch, noise, END)
    q = vae.posterior["z"]({"x": batch.x[None]})
    covariance = np.cov(q.mean[0].detach().numpy().T, bias=True)
    if of == "draws":
        covariance += np.diag(q.variance[0].mean(0).detach())
    off = covariance - np.diag(np.diag(covariance))
    expected = 2.0 * (off**2).sum() + 0.5 * ((np.diag(covariance) - 1) ** 2).sum()
    assert loss.logged["penalty"].item() == pytest.approx(expected)
    elbo = Elbo()(vae, batch, noise, END).total
    torch.testing.assert_close(loss.total, elbo + loss.logged["penalty"])


def test_the_parts_of_the_rate_need_independent_elements() -> None:
    full = er.posteriors.FullNormal(nn.Linear(3, 5), 2)
    vae = er.VAE(er.priors.StandardNormal(2), full, er.likelihoods.Normal(nn.Linear(2, 3), 3))
    batch = Batch(torch.zeros(3, 3), torch.arange(3))
    with pytest.raises(CapabilityError, match="independent elements"):
        BetaTC()(vae, batch, vae.keyed_noise(1, batch.index, 0), END)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: BetaTC(-1.0), "0 or more"),
        (lambda: Dip(diagonal=-1.0), "0 or more"),
        (lambda: Discrepancy(weight=-1.0), "0 or more"),
        (lambda: Capacity(-1.0), "A rate is 0 or more"),
        (lambda: Capacity(1.0, weight=0.0), "weight above 0"),
        (lambda: FreeBits(-0.1), "0 or more"),
        (lambda: FreeBits(0.1, per="pixel"), "per must be"),  # type: ignore[arg-type]
        (lambda: RateDistortion(distance="ssim"), "distance must be"),
        (lambda: RateDistortion(weight=-1.0), "weight above 0"),
        (lambda: LinearSchedule(0), "steps of 1 or more"),
        (lambda: LinearSchedule(5, floor=1.0), "floor in"),
        (lambda: CyclicalSchedule(5, cycles=0), "1 cycle or more"),
        (lambda: LogisticSchedule(5, sharpness=-1.0), "above 0"),
        (lambda: Iwae(elbo=2.0), "a share"),
    ],
)
def test_impossible_arguments_are_refused(made: object, said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        made()  # type: ignore[operator]


# Structural similarity ------------------------------------------------------------------------------------------------


def waves(shift: float, contrast: float, size: int) -> np.ndarray:
    i, j = np.indices((size, size))
    return 0.5 + contrast * np.sin(0.7 * i + shift) * np.cos(0.4 * j - shift)


def by_scipy(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """SSIM and its contrast part, as scikit-image's structural_similarity(gaussian_weights=True) forms them."""

    def mean(a: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(a, 1.5, truncate=3.5)

    mx, my = mean(x), mean(y)
    contrast = (2 * (mean(x * y) - mx * my) + 9e-4) / (mean(x * x) - mx**2 + mean(y * y) - my**2 + 9e-4)
    ssim = contrast * (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    inside = slice(5, -5)
    return float(ssim[inside, inside].mean()), float(contrast[inside, inside].mean())


@pytest.mark.parametrize("size", [16, 23, 48])
def test_similarity_is_the_one_of_scipys_filters_at_every_scale(size: int) -> None:
    x, y = waves(0.0, 0.4, size), waves(0.3, 0.25, size)
    weights = [0.0448, 0.2856, 0.3001][: {16: 1, 23: 2, 48: 3}[size]]  # 11 pixels or more are left at the last
    expected, a, b = 1.0, x, y
    for scale, weight in enumerate(weights):
        ssim, contrast = by_scipy(a, b)
        expected *= (ssim if scale == len(weights) - 1 else contrast) ** (weight / sum(weights))
        half = len(a) // 2
        a, b = (image[: 2 * half, : 2 * half].reshape(half, 2, half, 2).mean((1, 3)) for image in (a, b))
    found = dissimilarity(*(torch.from_numpy(image)[None, None] for image in (x, y)))
    assert found.item() == pytest.approx(1 - expected, abs=1e-9)


def test_similarity_of_plain_images_is_that_of_their_luminance_and_of_equal_ones_is_1() -> None:
    x, y = torch.full((3, 2, 12, 12), 0.2).double(), torch.full((3, 2, 12, 12), 0.7).double()
    luminance = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    torch.testing.assert_close(dissimilarity(x, y), torch.full((3,), 1 - luminance).double())
    noise = torch.rand(2, 1, 30, 30, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(dissimilarity(noise, noise), torch.zeros(2).double())


def test_images_are_trained_by_their_similarity_and_the_history_says_that_it_is_no_density() -> None:
    x = np.stack([waves(shift, 0.3, 12) for shift in np.linspace(0, 3, 40)])[:, None]
    data = er.load_data(x, validation=5, test=5, preprocess="none", support="real", flat=False)
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    decoder = nn.Sequential(nn.Linear(1, 144), nn.Unflatten(1, (1, 12, 12)))
    likelihood = er.likelihoods.Normal(decoder, (1, 12, 12), scale=1.0)
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(encoder, 1), likelihood)
    objective = RateDistortion(distance="ms-ssim", weight=100.0)
    history = er.fit(vae, data, objective, epochs=40, batch_size=30, lr=5e-2, select="last", progress=False)
    distances = history.column("train", "distance")
    assert distances[-1] < 0.5 * distances[0]
    assert "note: Trained by a distance that stands for no density" in str(history)
    assert not RateDistortion().remarks()
    assert Discrepancy().remarks()
    assert not Discrepancy(rate=1.0).remarks()


def test_what_is_no_image_has_no_similarity() -> None:
    vae, batch = linear_vae(), examples(2)
    with pytest.raises(er.InputError, match="11 × 11 pixels or more"):
        RateDistortion(distance="ms-ssim")(vae, batch, vae.keyed_noise(1, batch.index, 0), END)
