"""Annealing backwards from burnt-in draws: right if chains have mixed, and never called a bound without the if."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fooling_models import fooling_models
from test_bdmc import linear
from wrong_models import Mixture, Models

import elbowroom as er
from elbowroom.evidence import ais, reverse_ais
from elbowroom.evidence._reverse_ais import burnt_in, drawn_by_weight
from elbowroom.evidence.looks import annealed_runs, backwards
from elbowroom.exact import LinearVAE
from elbowroom.numerics.estimate import Direction
from elbowroom.pages.estimators import evidence_panel
from elbowroom.runs.saved_estimates import KeptEstimate, keep_estimates, read_estimates

SETTINGS = {"temperatures": 10, "chains": 6, "leapfrog": 2}
IF: Direction = "upper if mixed"


def batch_of(vae: er.VAE, n: int, seed: int = 1) -> er.Batch:
    return er.Batch(vae.sample(n, seed=seed), torch.arange(n))


def z_score(values: np.ndarray) -> float:
    return float(values.mean() / (values.std(ddof=1) / math.sqrt(len(values))))


def test_the_truth_of_linear_models_lies_between() -> None:
    vae = linear(6, 6, scale=0.6)
    batch, settings = batch_of(vae, 60), {**SETTINGS, "start": "posterior", "schedule": "adaptive"}
    found, exact = reverse_ais(vae, batch, warm_up=40, **settings), LinearVAE(vae).log_prob(batch).numpy()
    assert z_score(exact - found.lower.values) > -4
    assert z_score(found.upper.values - exact) > 4  # at so few temperatures the gap is no noise


def test_a_burnt_in_start_is_as_good_as_the_exact_one_and_a_wrong_one_shows() -> None:
    """Mean of −log w from either: its expectation depends on the law of the start alone, and its noise is shared."""
    vae, n = linear(3, 6, scale=0.6), 80
    blank = er.Batch(torch.zeros(n, 6, dtype=torch.float64), torch.arange(n))
    target, exact = vae.target(blank).simulate(torch.Generator().manual_seed(0))
    differences = {"burnt in": np.zeros(n), "from the prior": np.zeros(n)}
    for up in annealed_runs(target, "posterior", "sigmoid", 10, 6, 2, 0, "1 GiB"):
        burnt, _ = burnt_in(up, 40, 0)
        starts = {"burnt in": burnt, "from the prior": up.begun.target.draw_prior(6, 7)}
        at_exact = backwards(up, exact[:, up.places].repeat(6, 1, 1), 0).log_weights.mean(0)
        for name, z in starts.items():
            differences[name][up.places] = at_exact - backwards(up, z, 0).log_weights.mean(0)
    assert abs(z_score(differences["burnt in"])) < 4
    assert differences["burnt in"].std() / math.sqrt(n) < 0.25
    assert abs(z_score(differences["from the prior"])) > 4


def test_chains_are_drawn_by_weight_as_often_as_they_weigh() -> None:
    vae = linear(3, 6, scale=0.6)
    for up in annealed_runs(vae.target(batch_of(vae, 9)), "prior", "sigmoid", 4, 6, 2, 0, "1 GiB"):
        ends, share = up.run.state.z, up.run.log_weights.softmax(0)
        drawn = drawn_by_weight(up, 3)
        counts = (drawn[:, None] == ends).all(-1).sum(0)
        assert counts.sum() == share.numel()
        assert (counts - 6 * share).abs().max() < 1
        assert counts.double().std() > 0


def test_where_a_mode_is_missing_both_ends_are_too_low_together() -> None:
    """All chains begin at q, on one of two modes, and stay: too low by −log of its share, and R-hat is silent."""
    target = fooling_models("one wrong", 5, 60)
    log_share, _, sd = (one[:, 0] for one in target.about)
    target, log_share = target.pick(sd[:, 0] < 0.2), log_share[sd[:, 0] < 0.2].numpy()
    found = reverse_ais(target, start="posterior", warm_up=60, **{**SETTINGS, "temperatures": 20, "leapfrog": 4})
    assert len(log_share) > 10
    for end in (found.lower, found.upper):
        assert np.abs(end.values - log_share).max() < 0.25
        assert abs((end.values - log_share).mean()) < 0.05
    assert found.upper.values.max() < -0.3  # of a log p(x) of 0
    assert np.median(found.upper.rhat) < 1.25  # as where all is well, with so few chains


def test_the_way_back_from_two_starts_is_not_looser_for_the_one_that_brings_nothing() -> None:
    """q is the posterior, a third of the chains start elsewhere: to the mixture the way back is loose by log 3/2."""
    n, d = 20, 10
    generator = torch.Generator().manual_seed(0)
    zero, one = torch.zeros(n, 1, dtype=torch.float64), torch.ones(n, 1, d, dtype=torch.float64)
    prior, q = Mixture(zero, 0 * one, one), Mixture(zero, torch.randn(n, 1, d, generator=generator).double(), 0.1 * one)
    truth = torch.zeros(n, dtype=torch.float64)

    def likelihood(z: torch.Tensor, q: Mixture, prior: Mixture) -> torch.Tensor:
        return q.log_prob(z) - prior.log_prob(z)

    target = Models(prior, q, likelihood, (q, prior), truth, truth, torch.arange(n))
    found = reverse_ais(target, warm_up=8, **SETTINGS)
    assert np.abs(found.lower.values).max() < 0.05
    assert np.abs(found.upper.values).max() < 0.05


def test_the_lower_end_is_ais_and_memory_changes_nothing() -> None:
    settings = {"temperatures": 4, "chains": 3, "leapfrog": 1, "start": "posterior"}
    batch = batch_of(linear(), 4)
    whole, tight = (reverse_ais(linear(), batch, **settings, warm_up=9, memory=room) for room in ("1 GiB", 150_000))
    np.testing.assert_array_equal(whole.lower.values, ais(linear(), batch, **settings).values)
    for end in ("lower", "upper"):
        np.testing.assert_allclose(getattr(tight, end).values, getattr(whole, end).values, rtol=1e-9)
    np.testing.assert_allclose(tight.upper.rhat, whole.upper.rhat, rtol=1e-6)


def test_the_error_over_chains_is_that_over_seeds() -> None:
    vae = linear(scale=0.6)
    x = vae.sample(1, seed=2)
    found = reverse_ais(
        vae, er.Batch(x.expand(150, -1), torch.arange(150)), start="posterior", warm_up=20, **SETTINGS
    ).upper
    assert found.values.std(ddof=1) == pytest.approx(math.sqrt(found.mc_variance.mean()), rel=0.35)


def test_the_words_say_if() -> None:
    kind = {"quantity": "log p(x)", "mc_variance": 0.01}
    name = "AIS-10 from the posterior and prior, 6 chains"
    back, rhat = f"{name}, backwards after 20 transitions at the posterior", np.full(8, 1.0)
    lower = er.Estimate.of(np.arange(8.0), estimator=name, direction="lower", **kind)
    upper = er.Estimate.of(np.arange(8.0) + 0.1, estimator=back, direction=IF, rhat=rhat, **kind)
    found = er.evidence.BdmcBounds(lower, upper)
    assert str(found).startswith("gap ")
    assert "(8 points), 95 % sure below" in str(found)
    assert "if the chains have mixed: mean log p(x) at least" in str(found)
    assert "if they have, AIS-10 from the posterior and prior, 6 chains" in str(found)
    assert "upper bound on log p(x) if the chains have mixed, AIS-10" in str(found.upper)
    assert "backwards after 20 transitions at the posterior" in str(found.upper)
    unmixed = replace(found, upper=replace(found.upper, rhat=np.full(8, 1.3)))
    assert str(unmixed).endswith("R-hat above 1.1 on 8 examples: chains have not mixed")
    assert str(unmixed.upper).endswith("R-hat above 1.1 on 8 examples: chains have not mixed")
    sure = er.evidence.BdmcBounds(lower, replace(upper, direction="upper"))
    assert "(8 simulated points)" in str(sure)
    assert " if " not in str(sure)


def made(direction: Direction, values: list[float], estimator: str = "AIS-9") -> er.Estimate:
    rhat = [1.0, 1.5] if direction == IF else None
    kind = {"quantity": "log p(x)", "estimator": estimator, "rhat": rhat}
    return er.Estimate.of(values, 0.01, direction=direction, **kind)


def test_arithmetic_never_makes_a_bound_of_it() -> None:
    end = made(IF, [-1.0, -2.0])
    directions = ("lower", "upper", IF, "unbiased", "exact", "none")
    left = {other: (end - made(other, [-3.0, -3.0])).direction for other in directions}
    right = {other: (made(other, [-3.0, -3.0]) - end).direction for other in directions}
    assert left == {**dict.fromkeys(directions, "none"), "lower": IF, "exact": IF, "unbiased": IF}
    assert set(right.values()) == {"none"}
    assert end.bits_per_dimension(2).direction == "none"
    assert er.Estimate.from_dict(end.to_dict()).direction == IF


def test_neither_page_nor_figure_nor_file_takes_it_for_a_bound(tmp_path) -> None:
    low, end = made("lower", [-3.0, -4.0], "AIS-9"), made(IF, [-1.0, -2.0], "AIS-9, backwards after 20 transitions")
    keep_estimates(tmp_path / "evidence.json", "test", [low, end])
    kept = read_estimates(tmp_path / "evidence.json")
    assert [one.estimate.direction for one in kept] == ["lower", IF]
    panel = evidence_panel(kept)
    above, below = panel.rows
    assert (above["direction"], below["direction"]) == ("upper bound if mixed", "lower bound")
    assert "≤" not in above["value"]
    assert below["against"] == "highest"
    assert "−1.5" not in panel.figure.title
    assert "R-hat above 1.1 on 1 example" in above["warning"]
    assert panel.notes == [
        "Bounds from both ends on 2 test examples, AIS-9: 2.00 ± 0.00 nats apart; the upper end is one only if the "
        "chains have mixed: R-hat above 1.1 on 1 example: chains have not mixed."
    ]
    drawn = er.plots.ladder([low, end])
    assert not any("≤" in text.get_text() for text in drawn.texts)
    assert evidence_panel([KeptEstimate("test", end, {})]).notes == []


def test_what_means_nothing_is_refused_in_words() -> None:
    vae = linear()
    for settings, words in (
        ({"chains": 1, "start": "posterior"}, "chains=2 or more"),
        ({"warm_up": 7}, "warm_up=8 or more"),
        ({"temperatures": 1}, "evidence.reverse_ais needs temperatures=2"),
    ):
        with pytest.raises(er.InputError, match=words):
            reverse_ais(vae, batch_of(vae, 2), **settings)
