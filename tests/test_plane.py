"""The rate–distortion plane: frontiers against brute force, the line of H where it is known, and legible crowds."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from matplotlib.transforms import Bbox

import elbowroom as er
from elbowroom import plots
from elbowroom.numerics import InputError, with_error
from elbowroom.pages.plane import _entropy_of
from elbowroom.plots import Model, Value
from elbowroom.plots.plane import FAULTS, best_entropy, frontier
from elbowroom.plots.style import ACCENT, INK, PAPER, Sheet
from elbowroom.studies.calibrated import calibration_of


def sheet(width=760):
    return Sheet(figsize=(width / 72, 4), dpi=72, layout="constrained")


def model(label, rate, distortion, family="", error=0.2):
    return Model(label, Value(rate, error), Value(distortion, error), family)


def crowd(families=("d = 2", "d = 8", "d = 32", "d = 64"), betas=(0.1, 0.3, 0.5, 1, 2, 5)):
    """24 models by default, as a sweep over latents and β leaves them."""
    return [
        model(f"{name}, β = {b:g}", 25 / (1 + b) + 4 * k, -90 + 14 * b**0.6 + 9 / (1 + k), name)
        for k, name in enumerate(families)
        for b in betas
    ]


def by_gid(ax, gid):
    return [line for line in ax.get_lines() if line.get_gid() == gid]


def places(line):
    return [tuple(map(float, place)) for place in line.get_xydata()]


@pytest.mark.parametrize("seed", range(20))
def test_the_frontier_is_what_some_weight_of_the_rate_makes_best(seed) -> None:
    """Brute force: the minimisers of D + β R over a fine grid of β from next to 0 to next to infinity."""
    rng = np.random.default_rng(seed)
    rates, distortions = rng.integers(0, 12, (2, 9)).astype(float)
    angles = np.linspace(0, math.pi / 2, 5_003)[1:-1] + 1e-5 * math.sqrt(2)  # on no chord, where two points are equal
    costs = np.cos(angles)[:, None] * distortions + np.sin(angles)[:, None] * rates
    least = {(rates[i], distortions[i]) for i in costs.argmin(1)}
    found = frontier(list(rates), list(distortions))
    assert {(rates[i], distortions[i]) for i in found} == least
    assert sorted(rates[found]) == list(rates[found])


def test_equal_points_and_points_on_a_chord_are_one_corner() -> None:
    assert frontier([1.0, 1.0, 2.0, 3.0], [5.0, 5.0, 4.0, 3.0]) == [0, 3]
    assert frontier([4.0], [1.0]) == [0]


def test_every_family_has_its_frontier_and_a_sweep_without_families_has_one() -> None:
    ax = plots.rate_distortion(crowd(), ax=sheet().subplots())
    lines = by_gid(ax, "frontier")
    assert len(lines) == 4
    for k, line in enumerate(lines):
        mine = [(m.rate.mean, m.distortion.mean) for m in crowd()[6 * k : 6 * k + 6]]
        assert places(line) == [mine[i] for i in frontier(*zip(*mine, strict=True))]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["d = 2", "d = 8", "d = 32", "d = 64"]
    alone = [model(f"d = {k}", 5.0 * k, -10.0 * k, f"d = {k}") for k in (1, 2, 3)]
    ax = plots.rate_distortion(alone, ax=sheet().subplots())
    assert [places(line) for line in by_gid(ax, "frontier")] == [[(5.0, -10.0), (15.0, -30.0)]]
    assert ax.get_legend() is None
    assert not by_gid(plots.rate_distortion(alone, frontiers=False, ax=sheet().subplots()), "frontier")


@pytest.mark.parametrize("width", [760, 348])
def test_labels_of_24_models_collide_with_nothing_and_name_no_family_twice(width) -> None:
    figure, models = sheet(width), crowd()
    ax = plots.rate_distortion(models, chosen=models[8], ax=figure.subplots())
    figure.draw_without_rendering()
    names = [text for text in ax.texts if text.get_text().startswith("β")]
    assert "β = 0.5 (chosen)" in [text.get_text() for text in names]
    assert len(names) >= (12 if width == 760 else 6)
    boxes = [text.get_window_extent() for text in names]
    dots = [
        Bbox([at, at]).padded(5) for at in ax.transData.transform([(m.rate.mean, m.distortion.mean) for m in models])
    ]
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:i] + dots)
        assert figure.bbox.x1 >= box.x1
        assert box.x0 >= 0
    key = ax.get_legend().get_window_extent()
    assert key.y1 <= figure.bbox.y1 + 1
    assert ax.get_window_extent().height > 200  # the key takes nothing from the plane


def linear(noise=0.5):
    """A linear-Gaussian model of planted data, whose entropy is known, and a posterior of its family."""
    rng = np.random.default_rng(0)
    weights, scale = rng.normal(size=(6, 2)), noise
    z = rng.normal(size=(4_000, 2))
    x = z @ weights.T + scale * rng.normal(size=(4_000, 6))
    covariance = weights @ weights.T + scale**2 * np.eye(6)
    entropy = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * covariance)[1]
    return x, weights, scale, covariance, entropy


def scanned(betas):
    """Rate, distortion and log p(x) of the model with σ² = β times the noise and its exact posterior, by example."""
    x, weights, scale, _, entropy = linear()
    found = []
    for beta in betas:
        variance = beta * scale**2
        covariance = np.linalg.inv(np.eye(2) + weights.T @ weights / variance)
        means = x @ weights @ covariance / variance
        logdet = np.linalg.slogdet(covariance)[1]
        rate = 0.5 * (np.trace(covariance) + (means**2).sum(1) - 2 - logdet)
        away = ((x - means @ weights.T) ** 2).sum(1) + np.trace(weights @ covariance @ weights.T)
        distortion = 0.5 * (away / variance + 6 * math.log(2 * math.pi * variance))
        of = [er.Estimate.of(v, quantity="nats", estimator="exact", direction="exact") for v in (rate, distortion)]
        bound = er.Estimate.of(-rate - distortion, quantity="log p(x)", estimator="exact", direction="exact")
        found.append(SimpleNamespace(label=f"β = {beta:g}", rate=of[0], distortion=of[1], iwae=bound))
    return found, entropy


def test_the_line_is_at_the_known_entropy_of_a_linear_gaussian_model_and_no_point_lies_below_it() -> None:
    """With the exact posterior −ELBO = −log p(x), whose mean at the true noise estimates H from no side."""
    models, entropy = scanned((0.2, 0.5, 1.0, 2.0, 5.0))
    ax = plots.rate_distortion(models, ax=sheet().subplots())
    (line,) = by_gid(ax, "entropy")
    totals = line.get_xydata().sum(1)
    best = models[2]
    assert totals == pytest.approx(totals[0])
    assert totals[0] == pytest.approx(best.rate.mean + best.distortion.mean)
    assert totals[0] == pytest.approx(entropy, abs=3 * best.iwae.se_total)
    for one in models:  # paired by example: −ELBO is above the best −log p̂ by more than its error, or is it
        behind = best.iwae - one.iwae
        assert behind.mean >= -2 * behind.se_total
    shaded = next(patch for patch in ax.collections if patch.get_gid() == "entropy")
    corner = (ax.get_xlim()[0], ax.get_ylim()[0])
    assert shaded.get_paths()[0].contains_point((corner[0] + 1e-3, corner[1] + 1e-3))
    assert "H is at most" in ax.get_legend().get_texts()[0].get_text()


def test_against_another_estimate_of_h_points_may_lie_below_the_line() -> None:
    """−E log p̂ of a worse model is above H: the line is drawn where it was put, and points below it stay."""
    models, _ = scanned((0.2, 1.0))
    high = Value(models[0].rate.mean + models[0].distortion.mean, 0.1)
    ax = plots.rate_distortion(models, entropy=high, ax=sheet().subplots())
    (line,) = by_gid(ax, "entropy")
    assert line.get_xydata().sum(1) == pytest.approx(high.mean)
    assert models[1].rate.mean + models[1].distortion.mean < high.mean
    assert "taken to be" in ax.get_legend().get_texts()[0].get_text()
    lost = plots.rate_distortion(models, entropy=Value(math.nan), ax=sheet().subplots())
    assert not by_gid(lost, "entropy")


def test_a_collapsed_model_stands_at_rate_zero_on_the_line_of_its_marginal() -> None:
    """At R = 0 the distortion is the cross-entropy of a p(x | z) that ignores z: of the marginal normal, H itself."""
    _, _, _, covariance, entropy = linear()
    collapsed = model("collapsed", 0.0, entropy, error=0.0)
    ax = plots.rate_distortion([collapsed, model("β = 1", 3.0, entropy)], entropy=Value(entropy), ax=sheet().subplots())
    assert places(by_gid(ax, "point-0.dot")[0]) == [(0.0, pytest.approx(entropy))]
    (line,) = by_gid(ax, "entropy")
    assert float(line.get_xydata()[0].sum()) == pytest.approx(entropy)
    assert ax.get_xlim()[0] == 0.0
    assert np.linalg.slogdet(covariance)[0] > 0


def test_calibration_moves_a_point_straight_down_by_what_it_wins_and_the_frontier_goes_there() -> None:
    models = [model("β = 1", 10.0, -50.0), model("β = 2", 5.0, -40.0), model("β = 4", 2.0, -20.0)]
    gains = [None, Value(7.0, 0.1), Value(1.0, 0.1)]
    ax = plots.rate_distortion(models, calibrated=gains, ax=sheet().subplots())
    assert places(by_gid(ax, "point-1.joined")[0]) == [(5.0, -40.0), (5.0, -47.0)]
    assert places(by_gid(ax, "point-1.calibrated")[0]) == [(5.0, -47.0)]
    assert not by_gid(ax, "point-0.joined")
    assert places(by_gid(ax, "frontier")[0]) == [(2.0, -21.0), (5.0, -47.0), (10.0, -50.0)]
    assert "distortion −47.0 calibrated" in by_gid(ax, "point-1.dot")[0].get_label()
    with pytest.raises(InputError, match="calibrated must have one for each of the 3 models; it has 1"):
        plots.rate_distortion(models, calibrated=[None])


def test_the_best_estimate_of_h_counts_calibrated_models() -> None:
    models, _ = scanned((0.2, 1.0))
    gains = [Value(50.0, 0.1), None]
    ax = plots.rate_distortion(models, calibrated=gains, ax=sheet().subplots())
    (line,) = by_gid(ax, "entropy")
    least = min(models[0].rate.mean + models[0].distortion.mean - 50.0, -models[1].iwae.mean)
    assert line.get_xydata().sum(1) == pytest.approx(least)


def test_the_error_of_h_is_that_of_the_calibrated_bound_and_no_sum_of_squares() -> None:
    """A normal of scale 1 where 0.8 is right: what calibration wins falls as the bound does, example by example."""
    squares = np.random.default_rng(0).chisquare(6, 500) * 0.64
    before, after = (0.5 * (squares / s**2 + 6 * math.log(2 * math.pi * s**2)) for s in (1.0, 0.8))
    said = {"quantity": "log p(x)", "estimator": "exact", "direction": "exact"}
    rate, raw, bound, won = (er.Estimate.of(v, **said) for v in (np.zeros(500), before, -before, before - after))
    one = SimpleNamespace(label="σ = 1", rate=rate, distortion=raw, iwae=bound)
    truth = after.std(ddof=1) / math.sqrt(500)
    assert best_entropy([one], [won]) == (
        pytest.approx(after.mean()),
        f"{with_error(after.mean(), truth)}, by the ELBO of σ = 1, calibrated",
    )
    few, part = won.at(np.arange(100)), after[:100]
    assert f"± {0.1 * part.std(ddof=1):.2f}" in best_entropy([one], [few])[1]
    known = SimpleNamespace(mean=won.mean, se_total=won.se_total, se_after=truth)
    assert best_entropy([one], [known]) == best_entropy([one], [won])
    assert math.hypot(bound.se_total, won.se_total) < 0.8 * truth < truth
    assert best_entropy([one], [Value(won.mean, won.se_total)])[1].startswith(with_error(after.mean(), truth))


def test_bounds_on_different_things_say_nothing_of_one_entropy() -> None:
    models, _ = scanned((1.0, 2.0))
    for other in (replace(models[1].iwae, quantity="log p(x | c)"), replace(models[1].iwae, data="other")):
        pair = [models[0], SimpleNamespace(**{**vars(models[1]), "iwae": other})]
        assert not by_gid(plots.rate_distortion(pair, ax=sheet().subplots()), "entropy")


def test_the_chosen_one_is_found_where_it_was_calibrated_since_and_refused_where_it_is_not_there() -> None:
    models = [SimpleNamespace(**vars(model(f"β = {b}", 5.0 * b, -9.0 * b)), name=f"beta-{b}") for b in (1, 2)]
    since = SimpleNamespace(**{**vars(models[1]), "label": "β = 2, noise scale 0.3"})
    ax = plots.rate_distortion(models, chosen=since, ax=sheet().subplots())
    assert "β = 2 (chosen)" in [text.get_text() for text in ax.texts]
    with pytest.raises(InputError, match="chosen, β = 3, is none of the models"):
        plots.rate_distortion(models, chosen=model("β = 3", 1.0, 1.0), ax=sheet().subplots())
    with pytest.raises(InputError, match="chosen, a word, is none of the models"):
        plots.rate_distortion(models, chosen="a word", ax=sheet().subplots())


def test_what_an_audit_said_is_a_colour_and_stands_in_the_key() -> None:
    models = crowd(("d = 2", "d = 8"), (0.5, 1, 2))
    healthy = [True, None, False, None, None, None]
    ax = plots.rate_distortion(models, chosen=models[3], healthy=healthy, ax=sheet().subplots())
    fills = [by_gid(ax, f"point-{i}.dot")[0].get_markerfacecolor() for i in range(6)]
    for fill, colour in zip(fills, (ACCENT, PAPER, FAULTS, INK, PAPER, PAPER), strict=True):
        assert same_color(fill, colour)
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said[-2:] == ["audit: healthy", "audit: faults found"]


def test_a_rate_that_would_squeeze_all_others_is_named_and_not_drawn_unless_it_is_chosen() -> None:
    pairs = ((0, 320), (0.1, 90), (0.5, 45), (1, 28), (2, 17), (10, 4))
    models = [model(f"β = {beta:g}", rate, -20.0 - rate / 9) for beta, rate in pairs]
    ax = plots.rate_distortion(models, ax=sheet().subplots())
    assert not by_gid(ax, "point-0.dot")
    assert ax.get_xlim()[1] < 120
    assert "far outside: β = 0 (rate 320)" in [text.get_text() for text in ax.texts]
    ax = plots.rate_distortion(models, chosen=models[0], ax=sheet().subplots())
    assert by_gid(ax, "point-0.dot")
    only = [*(model(f"β = {beta}", 0.01 * beta, 80.0) for beta in (2, 4, 6, 8, 10)), model("β = 1", 20.0, 40.0)]
    ax = plots.rate_distortion(only, ax=sheet().subplots())  # the one model that has not collapsed stays
    assert by_gid(ax, "point-5.dot")


def test_no_encoder_lies_below_its_decoder_s_own_curve_and_both_stand_on_one_plane(tmp_path) -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(torch.nn.Linear(3, 2), 1),
        er.likelihoods.Normal(torch.nn.Linear(1, 3), 3),
    )
    examples = torch.randn(8, 3)
    curve = er.evidence.rate_distortion_curve(vae, examples, betas=[0.2, 4.0], temperatures=12, chains=8, leapfrog=2)
    rate, distortion, _ = er.evidence.rate_distortion(vae, examples, draws=200)
    for beta, r, d in zip(curve.betas, curve.rates, curve.distortions, strict=True):
        apart = (rate.mean - r.mean) + beta * (distortion.mean - d.mean)  # above the tangent of slope −β
        assert apart > -3 * math.hypot(rate.se_mc, r.se_mc, beta * distortion.se_mc, beta * d.se_mc)
    ax = plots.rate_distortion(
        [SimpleNamespace(label="β = 1", rate=rate, distortion=distortion)], ax=sheet().subplots()
    )
    plots.rate_distortion_curve(curve, ax=ax)
    assert "the decoder’s own curve" in [text.get_text() for text in ax.texts]
    assert ax.get_title("left") == "distortion, nats per example"
    ax.figure.savefig(tmp_path / "plane.pdf")
    assert (tmp_path / "plane.pdf").read_bytes().startswith(b"%PDF")


def test_a_sweep_says_its_families_by_its_words() -> None:
    from elbowroom.sweeps import Swept

    def family(**settings):
        return Swept.family.fget(SimpleNamespace(settings=settings))

    assert family(beta=0.5, latents=8, seed=3, likelihood={"kind": "normal", "scale": "shared"}) == (
        "d = 8, likelihood = normal (scale shared)"
    )
    assert family(beta=1.0, seed=0) == ""


def test_what_calibration_wins_is_the_closed_form_and_a_noise_that_is_predicted_has_none() -> None:
    """At scale s a normal's distortion is D/2 (log s² + m/s²) and a constant, m the mean square of residuals."""
    digits = er.load_data("digits")
    words = {"latents": 2, "widths": [8], "likelihood": {"kind": "normal", "scale": 1.0}}
    vae, wide = er.models.build(words, digits), er.models.build(words, digits)
    wide.likelihood = wide.likelihood.at_scale(2.0)
    one, two = (er.evidence.rate_distortion(m, digits.validation, draws=8).distortion.mean for m in (vae, wide))
    square = (one - two + 32 * math.log(4)) / 24
    found = calibration_of(vae, digits, 0)
    variance = found.value**2
    assert found.gain.value == pytest.approx(32 * (square - math.log(variance) - square / variance), rel=1e-3)
    assert found.what == "noise scale"
    assert found.pays
    assert found.n == len(digits.validation)
    assert calibration_of(er.models.build(words | {"likelihood": "auto"}, digits), digits, 0) is None


def test_the_entropy_is_said_to_be_given_what_the_model_is_given() -> None:
    assert _entropy_of("log p(x)") == "the entropy H of the data"
    assert _entropy_of("log p(x | arm, dose)") == "the entropy H of the data given arm, dose"
