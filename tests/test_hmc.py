"""Hamiltonian Monte Carlo against densities whose moments are known, and its diagnostics against plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm, rankdata, truncnorm
from torch import Tensor

import elbowroom as er
from elbowroom.sampling import effective_draws, hmc, rhat

F64 = torch.float64
MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.5, 0.0], [-0.3, 0.2, 2.0]], dtype=F64)
COVARIANCE = FACTOR @ FACTOR.T
GAUSSIAN = torch.distributions.MultivariateNormal(MEAN, COVARIANCE)


def transition_noise(chains: int, batch: int, dim: int, steps: int, seed: int = 0) -> "list[hmc.TransitionNoise]":
    index, like = torch.arange(batch), torch.empty(0, dtype=F64)
    return list(hmc.keyed_transition_noise(chains=chains, dim=dim, index=index, seed=seed, steps=steps, like=like))


def bumpy(z: Tensor) -> Tensor:
    return -(z.square().sum(-1) + (2 * z).sin().sum(-1) + 0.1 * z.pow(4).sum(-1))


def test_a_gaussian_stays_as_it_is() -> None:
    """From exact draws, 20 bold transitions on: means, variances and a covariance by z-tests."""
    chains = 4000
    z = GAUSSIAN.sample((chains, 2))
    state = hmc.init(GAUSSIAN.log_prob, z)
    acceptance = []
    for noise in transition_noise(chains, 2, 3, 20):
        state, diagnostics = hmc.step(GAUSSIAN.log_prob, state, noise, 0.85, 4)
        acceptance.append(diagnostics.acceptance.mean().item())
    assert 0.5 < np.mean(acceptance) < 0.9  # far enough from 1 for a wrong acceptance to show
    assert (state.z != z).all(-1).float().mean() > 0.99
    sd = COVARIANCE.diag().sqrt()
    for column in range(2):
        rows = state.z[:, column]
        z_means = (rows.mean(0) - MEAN) / sd * math.sqrt(chains)
        z_variances = (rows.var(0) / sd**2 - 1) * math.sqrt((chains - 1) / 2)
        products = (rows[:, 0] - MEAN[0]) * (rows[:, 1] - MEAN[1])
        z_product = (products.mean() - COVARIANCE[0, 1]) / products.std() * math.sqrt(chains)
        assert torch.cat([z_means, z_variances, z_product[None]]).abs().max() < 4


def test_one_step_size_per_dimension_is_a_mass_matrix() -> None:
    """The same trajectory in coordinates that are scaled by the step sizes."""
    scale = torch.tensor([0.5, 2.0, 1.0], dtype=F64)
    z = torch.randn(5, 1, 3, dtype=F64)
    noise = transition_noise(5, 1, 3, 1)[0]
    found, _ = hmc.step(bumpy, hmc.init(bumpy, z), noise, 0.2 * scale, 5)
    scaled, _ = hmc.step(lambda v: bumpy(v * scale), hmc.init(lambda v: bumpy(v * scale), z / scale), noise, 0.2, 5)
    torch.testing.assert_close(found.z, scaled.z * scale)


def flow(z: Tensor, momentum: Tensor, size: Tensor | float = 0.1, leapfrog: int = 7) -> tuple[Tensor, Tensor]:
    state, p, _ = hmc._trajectory(bumpy, hmc.init(bumpy, z), momentum, torch.as_tensor(size), leapfrog, None)
    return state.z, p


def energy_error(z: Tensor, noise: hmc.TransitionNoise, size: float, leapfrog: int) -> Tensor:
    there, p = flow(z, noise.momentum, size * noise.stretch[..., None], leapfrog)
    return (0.5 * p.square().sum(-1) - bumpy(there)) - (0.5 * noise.momentum.square().sum(-1) - bumpy(z))


def test_a_trajectory_is_reversible_and_keeps_volume() -> None:
    start = torch.randn(2, 6, 1, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    z, p = flow(*start)
    back, minus = flow(z, -p)
    torch.testing.assert_close(torch.stack([back, -minus]), start, atol=1e-12, rtol=0)
    h = 1e-5
    point = start[:, :1]
    columns = []
    for k in range(4):
        shift = torch.zeros(4, dtype=F64)
        shift[k] = h
        ends = [torch.stack(flow(*(point + sign * shift.view(2, 1, 1, 2)))).flatten() for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    assert torch.linalg.det(torch.stack(columns, 1)).item() == pytest.approx(1.0, abs=1e-8)


def test_energy_error_falls_with_the_square_of_the_step() -> None:
    state = hmc.init(bumpy, torch.randn(200, 1, 2, dtype=F64, generator=torch.Generator().manual_seed(1)))
    noise = transition_noise(200, 1, 2, 1)[0]
    errors = [energy_error(state.z, noise, 0.04 / n, 10 * n) for n in (1, 2, 4)]
    for coarse, fine in itertools.pairwise(errors):
        assert (coarse.square().mean() / fine.square().mean()).sqrt().item() == pytest.approx(4.0, rel=0.03)


def test_diagnostics_are_what_they_are_called() -> None:
    state = hmc.init(bumpy, torch.randn(300, 2, 2, dtype=F64))
    noise = transition_noise(300, 2, 2, 1)[0]
    new, found = hmc.step(bumpy, state, noise, 0.5, 3)
    error = energy_error(state.z, noise, 0.5, 3)
    torch.testing.assert_close(found.acceptance, (-error).exp().clamp(max=1.0))
    z, _ = flow(state.z, noise.momentum, 0.5 * noise.stretch[..., None], 3)
    torch.testing.assert_close(new.z, torch.where((noise.log_uniform < -error)[..., None], z, state.z))
    torch.testing.assert_close(new.log_factors, hmc.init(bumpy, new.z).log_factors)
    torch.testing.assert_close(new.gradients, hmc.init(bumpy, new.z).gradients)


@pytest.mark.parametrize("beyond", [None, math.nan, -math.inf, math.inf])
def test_nothing_leaks_from_beyond_a_wall(beyond: float | None) -> None:
    """A standard normal cut off at 1, beyond which the density, or (None) its gradient too, is no number."""

    def walled(z: Tensor) -> Tensor:
        assert z.isfinite().all()  # the density is never asked about what is no number
        if beyond is None:
            return (0 * (1 - z).sqrt() - 0.5 * z.square()).sum(-1)
        return torch.where(z > 1, z + beyond, -0.5 * z.square()).sum(-1)

    chains, exact = 4000, truncnorm(-np.inf, 1)
    state = hmc.init(walled, torch.as_tensor(exact.rvs((chains, 1, 1), random_state=0)))
    for noise in transition_noise(chains, 1, 1, 20):
        before = state
        state, diagnostics = hmc.step(walled, state, noise, 0.4, 4)
    assert torch.isfinite(torch.cat([*state.log_factors, *(g[..., 0] for g in state.gradients)])).all()
    assert diagnostics.divergent.any()
    assert torch.equal(state.z[diagnostics.divergent], before.z[diagnostics.divergent])
    draws = state.z.flatten().numpy()
    assert kstest(draws, exact.cdf).pvalue > 1e-3
    assert abs(draws.mean() - exact.mean()) < 4 * exact.std() / math.sqrt(chains)


def test_huge_steps_are_divergent_and_rejected() -> None:
    state = hmc.init(bumpy, torch.randn(50, 1, 2, dtype=F64))
    new, found = hmc.step(bumpy, state, transition_noise(50, 1, 2, 1)[0], 1e3, 20)
    assert found.divergent.all()
    assert torch.equal(found.acceptance, torch.zeros(50, 1, dtype=F64))
    torch.testing.assert_close(new, state, rtol=0, atol=0)


def test_a_chain_leaves_a_place_of_no_density() -> None:
    def half(z: Tensor) -> Tensor:
        return torch.where(z.sum(-1) > 0, -0.5 * z.square().sum(-1), math.nan)

    state = hmc.init(half, torch.full((200, 1, 1), -0.1, dtype=F64))
    assert torch.equal(state.log_factors[0], torch.full((200, 1), -math.inf, dtype=F64))
    new, _ = hmc.step(
        half, state._replace(gradients=(torch.zeros(200, 1, 1, dtype=F64),)), transition_noise(200, 1, 1, 1)[0], 0.5, 1
    )
    moved = new.z != -0.1
    assert torch.equal(moved, new.z > 0)
    assert moved.any()


def test_terms_with_coefficients_are_their_sum() -> None:
    z, noise = torch.randn(6, 2, 3, dtype=F64), transition_noise(6, 2, 3, 1)[0]
    weights = (torch.tensor([0.3, 1.0], dtype=F64), torch.tensor([0.7, 0.0], dtype=F64))

    def terms(z: Tensor) -> tuple[Tensor, Tensor]:
        return bumpy(z), GAUSSIAN.log_prob(z) + torch.tensor([0.0, math.inf])  # which nothing asks for

    def summed(z: Tensor) -> Tensor:
        return weights[0] * bumpy(z) + weights[1] * GAUSSIAN.log_prob(z)

    found, diagnostics = hmc.step(terms, hmc.init(terms, z), noise, 0.2, 4, weights)
    expected, others = hmc.step(summed, hmc.init(summed, z), noise, 0.2, 4)
    torch.testing.assert_close(found.z, expected.z)
    torch.testing.assert_close(diagnostics, others)


def test_a_transition_costs_one_evaluation_per_leapfrog_step() -> None:
    calls = []

    def counted(z: Tensor) -> Tensor:
        calls.append(len(z))
        return bumpy(z)

    state = hmc.init(counted, torch.zeros(3, 1, 2, dtype=F64))
    for noise in transition_noise(3, 1, 2, 4):
        state, _ = hmc.step(counted, state, noise, 0.1, 7)
    assert len(calls) == 1 + 4 * 7


def test_noise_of_transitions_depends_on_seed_example_and_step_only() -> None:
    def drawn(index: list[int], seed: int = 3) -> list[hmc.TransitionNoise]:
        return list(hmc.keyed_transition_noise(chains=4, dim=2, index=torch.tensor(index), seed=seed, steps=130))

    whole, part = drawn([5, 9, 2]), drawn([2])
    for mine, alone in zip(whole, part, strict=True):
        assert torch.equal(mine.momentum[:, 2:], alone.momentum)
        assert torch.equal(mine.log_uniform[:, 2:], alone.log_uniform)
    assert not torch.equal(whole[0].momentum, drawn([5, 9, 2], seed=4)[0].momentum)
    momenta = torch.stack([noise.momentum for noise in whole]).flatten().numpy()
    uniforms = torch.stack([noise.log_uniform for noise in whole]).exp().flatten().numpy()
    assert len(np.unique(momenta)) > 0.999 * momenta.size
    assert kstest(momenta, "norm").pvalue > 1e-3
    assert kstest(uniforms, "uniform").pvalue > 1e-3
    stretches = torch.stack([noise.stretch for noise in whole]).flatten().numpy()
    assert kstest(stretches, "uniform", (0.5, 0.5)).pvalue > 1e-3


def test_a_density_without_a_gradient_is_refused() -> None:
    with pytest.raises(er.CapabilityError, match="no gradient in z"):
        hmc.init(lambda z: -z.detach().square().sum(-1), torch.zeros(2, 1, 1))
    with pytest.raises(er.CapabilityError, match=r"evidence\.iwae"):
        hmc.init(lambda z: torch.special.gammaincc(z.exp(), torch.ones(())).sum(-1), torch.zeros(2, 1, 1))


def plain_rhat(draws: np.ndarray) -> float:
    half = len(draws) // 2
    halves = [draws[part, chain] for chain in range(draws.shape[1]) for part in (slice(None, half), slice(-half, None))]
    within = np.mean([np.var(h, ddof=1) for h in halves])
    between = half * np.var([h.mean() for h in halves], ddof=1)
    return math.sqrt(((half - 1) / half * within + between / half) / within)


def ranked_rhat(draws: np.ndarray) -> float:
    """The greater of the plain one of normal scores, and of those of distances from the median."""
    half = len(draws) // 2
    halves = np.concatenate([draws[:half], draws[-half:]], 1)

    def of_scores(values: np.ndarray) -> float:
        ranks = rankdata(values).reshape(values.shape)
        chains = norm.ppf((ranks - 3 / 8) / (values.size + 1 / 4))
        within = chains.var(0, ddof=1).mean()
        return math.sqrt(((half - 1) / half * within + chains.mean(0).var(ddof=1)) / within)

    return max(of_scores(halves), of_scores(np.abs(halves - np.median(halves))))


def test_a_chain_that_is_wider_than_the_others_has_not_mixed() -> None:
    """Its mean is theirs, so the plain R-hat does not see it."""
    draws = np.random.default_rng(0).normal(size=(1000, 4)) * [1.0, 1.0, 1.0, 5.0]
    assert plain_rhat(draws) < 1.001
    assert rhat(torch.as_tensor(draws)).item() == pytest.approx(ranked_rhat(draws), rel=1e-10)
    assert 1.2 < ranked_rhat(draws) < 1.3


def test_what_no_rhat_can_be_of_is_nan() -> None:
    draws = torch.randn(8, 4, 3, generator=torch.Generator().manual_seed(0))
    draws[:, :, 1] = 2.0
    draws[3, 2, 2] = torch.nan
    assert rhat(draws).isnan().tolist() == [False, True, True]


@pytest.mark.parametrize("length", [5, 40, 301])
def test_rhat_is_that_of_normal_scores(length: int) -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(length, 3, 2)).cumsum(0) * [0.1, 1.0] + generator.normal(size=(length, 3, 2))
    tensor = torch.as_tensor(draws)
    np.testing.assert_allclose(rhat(tensor), [ranked_rhat(draws[..., k]) for k in range(2)], rtol=1e-10)
    with pytest.raises(er.InputError, match="4 or more"):
        rhat(tensor[:3])
    with pytest.raises(er.InputError, match="One chain cannot be compared"):
        rhat(tensor[:, :1])


@pytest.mark.parametrize("memory", [-0.4, 0.0, 0.8])
def test_effective_draws_of_an_autoregression(memory: float) -> None:
    """n (1 − φ) / (1 + φ) of a first-order autoregression."""
    generator = torch.Generator().manual_seed(2)
    n, chains = 4000, 8
    noise = torch.randn(n, chains, generator=generator, dtype=F64)
    draws = [noise[0] / math.sqrt(1 - memory**2)]
    for row in noise[1:]:
        draws.append(memory * draws[-1] + row)
    found = effective_draws(torch.stack(draws)).item()
    assert found == pytest.approx(n * chains * (1 - memory) / (1 + memory), rel=0.1)
    assert rhat(torch.stack(draws)).item() == pytest.approx(1.0, abs=0.01)
