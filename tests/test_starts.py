"""Annealing from two starts: the mixture's density in every weight, one plan for all chains, and looks at pilots."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fooling_models import FAMILIES as FOOLING
from fooling_models import fooling_models
from torch import Tensor
from wrong_models import FAULTS, Models, wrong_models

import elbowroom as er
from elbowroom.evidence import ais, defended_iwae, iwae, looks
from elbowroom.evidence.importance import log_mean_exp, log_mean_of_parts
from elbowroom.evidence.starts import begin, dealt, kernels_of
from elbowroom.evidence.target import picked
from elbowroom.sampling.stays import Stay

F64 = torch.float64
SHORT = {"temperatures": 12, "chains": 6, "leapfrog": 2}


def test_all_chains_must_go_by_one_plan() -> None:
    """Three states, exactly: one plan is unbiased from a mixture dealt to two starts, a plan for each start is not."""
    q, p = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    mixture, target = 0.5 * q + 0.5 * p, np.array([0.2, 0.5, 2.3])
    middle = np.sqrt(mixture * target)

    def transition(jump: float) -> np.ndarray:
        """Metropolis with a chance of proposing another state, which keeps `middle` invariant: a step size."""
        moves = jump / 2 * np.minimum(1.0, middle[None] / middle[:, None])
        np.fill_diagonal(moves, 0.0)
        return moves + np.diag(1 - moves.sum(1))

    def mean_weight(start: np.ndarray, jump: float) -> float:
        return float((start * middle / mixture) @ transition(jump) @ (target / middle))

    for jump in (0.1, 0.9):
        np.testing.assert_allclose(0.5 * mean_weight(q, jump) + 0.5 * mean_weight(p, jump), target.sum(), rtol=1e-12)
    by_part = 0.5 * mean_weight(q, 0.9) + 0.5 * mean_weight(p, 0.1)
    assert by_part > 1.05 * target.sum()  # no bound: it lies above log p(x) in expectation


def repeated(family: str, d: int, fault: str, runs: int, seed: int = 0) -> Models:
    """One model many times over, as examples of their own noise."""
    model = wrong_models(family, d, torch.tensor([FAULTS.index(fault)]), seed)
    return replace(model.rows(torch.zeros(runs, dtype=torch.int64)), index=torch.arange(runs))


def exact_draws(target: Models) -> Tensor:
    """A draw of each posterior, from a grid: [1, n, 1]."""
    grid = torch.linspace(-15, 15, 30_001, dtype=F64)
    one = target.rows(torch.zeros(1, dtype=torch.int64))
    joint = (one.log_prior(grid[:, None, None]) + one.log_likelihood(grid[:, None, None]))[:, 0]
    generator = torch.Generator().manual_seed(0)
    return grid[torch.multinomial(joint.softmax(0), len(target.index), True, generator=generator)].view(1, -1, 1)


@pytest.mark.parametrize(("family", "fault", "seed"), [("clusters", "one mode", 1), ("modes", "narrow", 0)])
def test_exp_is_unbiased_for_the_evidence_whatever_the_pilots_decide(family: str, fault: str, seed: int) -> None:
    """60 runs of one model: where its pilots look bad it gets kernels and more chains. Upwards and downwards."""
    runs = 60
    target, ups, downs, sizes = repeated(family, 1, fault, runs, seed), np.zeros(runs), np.zeros(runs), set()
    exact, z = target.truth.numpy(), exact_draws(target)
    for up in looks.annealed_runs(target, "both", "sigmoid", 12, 6, 2, 0, "1 GiB"):
        places, begun, _, run, _ = up
        sizes.add(sum(begun.chains))
        ups[places.numpy()] = log_mean_of_parts(run.log_weights.split(begun.chains), begun.shares).value
        back = z[:, places].repeat(sum(begun.chains), 1, 1)
        downs[places.numpy()] = log_mean_exp(looks.backwards(up, back, 5).log_weights).value
    for weights in (np.exp(ups - exact), np.exp(downs + exact)):
        assert weights.std() > 0.01
        assert abs(weights.mean() - 1) < 4 * weights.std() / math.sqrt(runs)
    assert max(sizes) == 30


def test_every_chain_is_weighed_by_the_mixture() -> None:
    """The path begins at the mixture's density, whose shares are the chains dealt, and ends at p(z) p(x | z)."""
    target = wrong_models("modes", 2, torch.tensor([1, 2]), 0)
    begun = begin(target, "both", 9)
    assert begun.chains == dealt(9) == (6, 3)
    z = begun.draw(0)
    first, last = begun.path.log_factors(z)
    exact = torch.logaddexp(target.log_posterior(z) + math.log(2 / 3), target.log_prior(z) + math.log(1 / 3))
    torch.testing.assert_close(first, exact)
    torch.testing.assert_close(last, target.log_prior(z) + target.log_likelihood(z))
    assert torch.equal(z[:6], target.draw_posterior(6, 0)[0])
    assert not torch.equal(z[6:], target.draw_prior(3, 0))  # noise of its own, though the seed is the same


def test_kernels_are_a_density_and_have_a_chain_each() -> None:
    target = wrong_models("modes", 1, torch.tensor([0, 1]), 0)
    mean, variance = torch.tensor([[[-1.0], [0.0]], [[2.0], [3.0]]], dtype=F64), torch.full((2, 2, 1), 0.04, dtype=F64)
    begun = kernels_of(begin(target, "both", 6), Stay(mean, variance, torch.zeros(2, 2, dtype=F64)))
    assert begun.chains == (4, 2, 2)
    grid = torch.linspace(-12, 12, 6_001, dtype=F64)[:, None, None].expand(-1, 2, 1)
    torch.testing.assert_close(
        begun.path.log_factors(grid)[0].exp().sum(0) * 24 / 6_000, torch.ones(2, dtype=F64), atol=1e-3, rtol=0
    )
    assert (begun.draw(0)[-2:] - mean).abs().max() < 6 * math.sqrt(0.08)


def test_the_stratified_jackknife_is_the_variance_over_repetitions() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(12, 20_000, generator=generator, dtype=F64)
    parts, shares = (0.4 * normal[:8], 2 + 0.3 * normal[8:]), (0.4, 0.6)
    found = log_mean_of_parts(parts, shares)
    assert abs(found.variance.mean() / found.value.var() - 1) < 0.05
    whole = log_mean_exp(torch.cat(parts))
    assert whole.variance.mean() > 5 * found.variance.mean()  # which takes the parts' difference for noise
    exact = math.log(0.4 * math.exp(0.08) + 0.6 * math.exp(2 + 0.045))
    assert abs(found.value.exp().mean() - math.exp(exact)) < 4 * found.value.exp().std() / math.sqrt(20_000)
    for column, single in zip(log_mean_of_parts([parts[0]], [1.0]), log_mean_exp(parts[0]), strict=True):
        torch.testing.assert_close(column, single)


def test_equal_parts_give_the_plain_effective_sample_size() -> None:
    log_weights = torch.randn(400, 5, generator=torch.Generator().manual_seed(0), dtype=F64)
    found = log_mean_of_parts(log_weights.split(200), (0.5, 0.5))
    torch.testing.assert_close(found.ess, log_mean_exp(log_weights).ess, rtol=0.05, atol=0)


def test_chains_in_places_of_their_own_are_counted() -> None:
    """Of chains 2 to 5: two share a place, one is with an encoder's, one is alone; one more found nothing of worth."""
    mean = torch.tensor([0.0, 0.1, 10.0, 10.1, 0.2, -10.0, 20.0], dtype=F64).view(7, 1, 1)
    worth = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -9.0], dtype=F64).view(7, 1)
    been = Stay(mean, torch.full_like(mean, 0.04), worth)
    assert been.alone(5).item() == pytest.approx(0.25)
    assert been.log_mass[0].item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.04))


def test_what_q_misses_is_found_or_said() -> None:
    """A handful of the models of benchmarks/wrong_encoders.py: from the posterior alone most are off, in silence."""
    target = wrong_models("modes", 5, torch.full((12,), FAULTS.index("one mode")), 0)
    settings = {"temperatures": 40, "leapfrog": 3}
    alone, both = (ais(target, chains=12, start=start, **settings) for start in ("posterior", "both"))

    def off(found: er.Estimate) -> np.ndarray:
        errors = np.abs(found.values - target.truth.numpy())
        return (errors > 4 * np.sqrt(found.mc_variance) + 0.25) & (found.ess > found.least_ess)

    assert off(alone).sum() > 5
    assert off(both).sum() <= 1


@pytest.mark.parametrize("family", FOOLING)
def test_models_that_fool_have_the_evidence_they_say(family: str) -> None:
    """By a quadrature in two dimensions, of three deviations of q more where that is wide."""
    target = fooling_models(family, 2, 1)
    middle, reach = (target.q.mean[0, 0], 40 * target.q.sd[0, 0]) if family == "thin" else (torch.zeros(2), 7.0)
    axis = torch.linspace(-1, 1, 1_401, dtype=F64)
    grid = (middle + reach * torch.cartesian_prod(axis, axis))[:, None]
    cell = torch.as_tensor(reach * torch.ones(2, dtype=F64) / 700).log().sum()
    found = (target.log_prior(grid) + target.log_likelihood(grid)).logsumexp(0) + cell
    assert abs(found.item() - target.truth.item()) < 0.01


def test_a_spike_is_hit_in_few_dimensions() -> None:
    """No tempered chain is drawn to a mode ten times narrower; of a thousand plain draws some lie in it."""
    target = fooling_models("spike", 1, 6)
    found = ais(target, temperatures=20, chains=12, leapfrog=2)
    assert np.all(np.abs(found.values - target.truth.numpy()) < 4 * np.sqrt(found.mc_variance) + 0.25)


def test_a_q_that_is_no_number_spoils_its_own_example_only() -> None:
    target = wrong_models("modes", 2, torch.tensor([0, 1, 2]), 0)
    whole, broken = ais(target, **SHORT), replace(target.q, mean=target.q.mean.clone())
    broken.mean[1] = math.nan
    found = ais(replace(target, q=broken), **SHORT)
    np.testing.assert_allclose(found.values[[0, 2]], whole.values[[0, 2]], rtol=1e-9)
    assert not np.isfinite(found.values[1])
    assert "no finite value on 1 example" in str(found)


def test_places_without_number_are_said() -> None:
    """2^20 modes of equal mass."""
    target = wrong_models("folds", 20, torch.full((3,), FAULTS.index("one mode")), 0)
    found = ais(target, temperatures=40, chains=12, leapfrog=3)
    assert found.scattered == 3
    assert "chains end in places of their own on 3 examples: others may be missed" in str(found)


def test_examples_are_picked_together_or_in_runs() -> None:
    target = wrong_models("modes", 1, torch.zeros(6, dtype=torch.int64), 0)
    chosen = torch.tensor([True, True, False, False, True, True])

    class Plain:
        """Without `pick`."""

        def __init__(self) -> None:
            for name in ("index", "dim", "rows", *(n for n in dir(target) if n.startswith(("log_", "draw_")))):
                setattr(self, name, getattr(target, name))

    together, runs = list(picked(target, chosen)), list(picked(Plain(), chosen))
    assert [places.tolist() for places, _ in together] == [[0, 1, 4, 5]]
    assert [places.tolist() for places, _ in runs] == [[0, 1], [4, 5]]
    assert [part.index.tolist() for _, part in runs] == [[0, 1], [4, 5]]
    assert not list(picked(target, ~chosen & chosen))


def test_memory_and_neighbours_change_nothing() -> None:
    target = wrong_models("modes", 2, torch.tensor([1, 2, 0, 3, 1]), 0)
    whole = ais(target, **SHORT)
    one = looks.begin(target, "both", 6)
    assert one.chains == (4, 2)
    few = ais(target.rows(torch.tensor([4, 1])), **SHORT)
    np.testing.assert_allclose(few.values, whole.values[[4, 1]], rtol=1e-9)
    tight = ais(target, **SHORT, memory=500_000)
    np.testing.assert_allclose(tight.values, whole.values, rtol=1e-9)


def test_one_chain_cannot_be_dealt_to_two_starts() -> None:
    with pytest.raises(er.InputError, match='needs chains=2 or more; got 1: give more, or start="posterior"'):
        ais(wrong_models("modes", 1, torch.tensor([0]), 0), chains=1, temperatures=4)
    with pytest.raises(er.InputError, match="'posterior' or 'prior'; got 'both'"):
        er.evidence.simulated_against_real(wrong_models("modes", 1, torch.tensor([0]), 0), start="both")


def test_a_defended_bound_is_unbiased_and_finds_what_q_misses() -> None:
    """One-dimensional models whose q sits on one of several modes, or is up to 100 times too narrow."""
    target = wrong_models("modes", 1, torch.tensor([1, 2] * 10), 0)
    found, bare = defended_iwae(target, draws=2_000), iwae(target, draws=2_000)
    errors = np.abs(found.values - target.truth.numpy())
    assert np.all(errors < 4 * np.sqrt(found.mc_variance) + 0.25)
    assert (np.abs(bare.values - target.truth.numpy()) > 4 * np.sqrt(bare.mc_variance) + 0.25).sum() > 3
    assert "not checked from a second start" in str(bare)
    assert "not checked" not in str(found)
    many = repeated("modes", 1, "narrow", 2_000)
    weights = np.exp(defended_iwae(many, draws=10).values - many.truth.numpy())  # two of ten draws are the prior's
    assert abs(weights.mean() - 1) < 4 * weights.std() / math.sqrt(2_000)
    np.testing.assert_allclose(
        defended_iwae(target, draws=200, memory=100_000).values, defended_iwae(target, draws=200).values
    )
    with pytest.raises(er.InputError, match="needs draws=8 or more; got 7"):
        defended_iwae(target, draws=7)


def test_the_error_of_a_defended_bound_is_its_spread() -> None:
    """Not more: that its draws come from two densities in fixed numbers is no noise."""
    many = repeated("modes", 1, "right", 1_000)
    found = defended_iwae(many, draws=200)
    assert abs(found.mc_variance.mean() / found.values.var() - 1) < 0.15
