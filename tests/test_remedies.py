"""Calibration against closed forms: the best σ of a frozen model, the equivalence of β and σ², the best temperature."""

import copy
import math

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom.remedies import calibrate


def trained(likelihood: str, **objective: float) -> tuple[er.VAE, "er.data.Dataset"]:
    digits = er.load_data("digits", preprocess="binarise-fixed" if likelihood == "bernoulli" else "dequantise")
    torch.manual_seed(0)
    decoder = er.networks.MLP([8, 64, 64])
    made = er.likelihoods.Bernoulli(decoder, 64) if likelihood == "bernoulli" else None
    vae = er.VAE(
        er.priors.StandardNormal(8),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 64, 16]), 8),
        made or er.likelihoods.Normal(decoder, 64, scale=1.0),
        preprocess=digits.preprocess,
    )
    er.fit(vae, digits, er.objectives.Elbo(**objective), epochs=25, progress=False)
    return vae, digits


def bound_at(vae: er.VAE, digits: "er.data.Dataset", scale: float, part: str) -> float:
    """The bound with the noise scale replaced, on the draws that calibrate uses."""
    likelihood = er.likelihoods.Normal(vae.likelihood.network, 64, scale=scale)
    other = er.VAE(vae.prior["z"], vae.posterior["z"], likelihood, preprocess=vae.preprocess)
    return er.evidence.elbo(other, getattr(digits, part), draws=1).mean


def test_the_scale_found_maximises_the_training_bound() -> None:
    vae, digits = trained("normal", beta=0.02)
    found = calibrate(vae, digits)
    best = bound_at(vae, digits, found.value, "train")
    assert best > bound_at(vae, digits, 1.01 * found.value, "train")
    assert best > bound_at(vae, digits, 0.99 * found.value, "train")
    assert found.elbo_after.mean > found.elbo_before.mean + 30
    assert found.vae.likelihood.scale == found.value
    assert found.what in str(found)


def test_calibrated_model_shares_no_parameter_and_saves(tmp_path) -> None:
    vae, digits = trained("normal", beta=0.02)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    found = calibrate(vae, digits)
    with torch.no_grad():
        next(found.vae.parameters()).add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())
    er.save_model(found.vae, tmp_path / "m.vae")
    again = er.load_model(tmp_path / "m.vae")
    assert again.likelihood.scale == pytest.approx(found.value)


def test_beta_at_unit_scale_is_the_elbo_at_variance_beta() -> None:
    """‖x − μ‖² / 2 + β KL is β times the negative ELBO at σ² = β, less the normaliser: value and gradient."""
    digits = er.load_data("digits")
    torch.manual_seed(1)
    beta = 0.03
    encoder, decoder = er.networks.MLP([64, 32, 8]), er.networks.MLP([4, 32, 64])
    batch = digits.train[:50].batch()
    gradients, values = [], []
    for weight, scale in ((beta, 1.0), (1.0, math.sqrt(beta))):
        vae = er.VAE(
            er.priors.StandardNormal(4),
            er.posteriors.DiagonalNormal(encoder, 4),
            er.likelihoods.Normal(decoder, 64, scale=scale),
            preprocess=digits.preprocess,
        ).double()
        batch.x = batch.x.double()
        noise = vae.keyed_noise(1, batch.index, 0)
        loss = er.objectives.Elbo(weight)(vae, batch, noise, torch.tensor(0.0)).total
        gradients.append(torch.autograd.grad(loss, list(encoder.parameters()) + list(decoder.parameters())))
        jacobian = -64 * math.log(17)
        values.append(loss.item() - 32 * math.log(2 * math.pi * scale**2) + jacobian)
    assert values[0] == pytest.approx(beta * values[1], rel=1e-9)
    for at_one, at_beta in zip(*gradients, strict=True):
        assert torch.allclose(at_one, beta * at_beta, rtol=1e-6, atol=1e-12)


def test_temperature_of_a_bernoulli_is_the_best_one() -> None:
    vae, digits = trained("bernoulli", beta=1.0)
    with torch.no_grad():
        for parameter in list(vae.likelihood.network.parameters())[-2:]:
            parameter.mul_(3.0)  # overconfident logits
    found = calibrate(vae, digits)
    assert found.what == "temperature"
    assert found.value < 0.8
    assert found.elbo_after.mean > found.elbo_before.mean
    logits = found.vae.likelihood({"z": torch.zeros(1, 1, 8)}).base_dist.logits
    assert torch.allclose(logits, found.value * vae.likelihood({"z": torch.zeros(1, 1, 8)}).base_dist.logits)


def test_a_likelihood_that_predicts_its_scale_is_refused() -> None:
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": (8,)}, digits)
    with pytest.raises(er.CapabilityError, match="calibrated by its training"):
        calibrate(vae, digits)


def test_gap_is_a_difference_of_paired_bounds() -> None:
    vae, digits = trained("normal", beta=0.02)
    found = calibrate(vae, digits, draws=8)
    after = found.iwae_after.values - found.elbo_after.values
    before = found.iwae_before.values - found.elbo_before.values
    assert found.gap_opened.mean == pytest.approx(float(np.mean(after - before)))


def small(kind: str) -> tuple[er.VAE, "er.data.Dataset"]:
    """A briefly trained model of the digits at a wrong scale or temperature."""
    digits = er.load_data("digits", preprocess="none" if kind in ("Categorical", "DiscretisedNormal") else "dequantise")
    torch.manual_seed(0)
    make = getattr(er.likelihoods, kind)
    settings = {
        "Laplace": {"scale": 1.0},
        "StudentT": {"scale": 1.0, "df": "shared"},
        "DiscretisedNormal": {"levels": 17, "scale": 1.0},
        "ContinuousBernoulli": {},
        "Categorical": {"levels": 17},
    }[kind]
    numbers = make(None, 64, **settings).numbers
    likelihood = make(er.networks.MLP([4, 32, numbers]), 64, **settings)
    encoder = er.networks.Standardised(er.networks.MLP([64, 32, 8]))
    vae = er.VAE(
        er.priors.StandardNormal(4), er.posteriors.DiagonalNormal(encoder, 4), likelihood, preprocess=digits.preprocess
    )
    er.fit(vae, digits, er.objectives.Elbo(0.1), epochs=8, progress=False)
    if kind in ("Categorical", "ContinuousBernoulli"):
        with torch.no_grad():
            for parameter in list(likelihood.network.parameters())[-2:]:
                parameter.mul_(3.0)  # overconfident logits
    return vae, digits


@pytest.mark.parametrize("kind", ["Laplace", "StudentT", "DiscretisedNormal", "ContinuousBernoulli", "Categorical"])
def test_the_training_bound_is_greatest_at_what_is_found(kind: str) -> None:
    vae, digits = small(kind)
    found = calibrate(vae, digits, draws=4)
    assert found.what == ("temperature" if kind in ("ContinuousBernoulli", "Categorical") else "noise scale")
    at = {}
    for factor in (0.97, 1.0, 1.03):
        other = copy.deepcopy(found.vae)
        if found.what == "temperature":
            other.likelihood.network.factor *= factor
        else:
            other.likelihood.scale *= factor
        at[factor] = er.evidence.elbo(other, digits.train, draws=1).mean
    assert at[1.0] > max(at[0.97], at[1.03])
    assert found.elbo_after.mean > found.elbo_before.mean + 1
    if kind == "StudentT":
        assert found.vae.likelihood.degrees().item() == pytest.approx(vae.likelihood.degrees().item())


def test_counts_are_refused() -> None:
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 4]), 2),
        er.likelihoods.Poisson(er.networks.MLP([2, 64]), 64),
    )
    with pytest.raises(er.CapabilityError, match="calibrate is for a Normal, Laplace or StudentT, rounded or not"):
        calibrate(vae, er.load_data("digits", preprocess="none"))


@pytest.mark.parametrize("scale", [1.0, "shared", "optimal"])
def test_the_users_settings_stay(scale: object, tmp_path) -> None:
    """A floor of 0.8 above the best scale binds; it, the start, the context and the way the scale is had are kept."""
    digits = er.load_data("digits")
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 16, 4]), 2),
        er.likelihoods.Normal(er.networks.MLP([12, 64]), 64, scale=scale, floor=0.8, start=0.9, given=("z", "label")),
        preprocess=digits.preprocess,
    )
    er.fit(vae, digits, epochs=2, progress=False)
    found = calibrate(vae, digits, draws=2)
    kept = found.vae.likelihood
    assert found.value == pytest.approx(0.8, rel=1e-3)
    assert (kept.floor, kept.start, kept.given) == (0.8, 0.9, ("z", "label"))
    assert kept.scale == (0.8 if scale == 1.0 else scale)
    assert kept({"z": torch.zeros(1, 1, 2), "label": torch.zeros(1, 1, 10)}).stddev.mean().item() == pytest.approx(
        found.value, rel=1e-6
    )
    again = er.load_model(er.save_model(found.vae, tmp_path / "m.vae")).likelihood
    assert (again.scale, again.floor, again.start) == (kept.scale, 0.8, 0.9)
    assert again.common_scale().item() == pytest.approx(found.value, rel=1e-6)


def test_a_learned_scale_is_set_and_stays_learned() -> None:
    vae, digits = trained("normal", beta=0.02)
    fixed = calibrate(vae, digits, draws=2)
    torch.manual_seed(0)
    learned = copy.deepcopy(vae)
    learned.likelihood = er.likelihoods.Normal(learned.likelihood.network, 64, scale="shared", floor=0.01)
    found = calibrate(learned, digits, draws=2)
    assert found.vae.likelihood.scale == "shared"
    assert found.vae.likelihood.raw.requires_grad
    assert found.value == pytest.approx(fixed.value, rel=1e-5)
    assert found.elbo_after.mean == pytest.approx(fixed.elbo_after.mean, abs=1e-3)


def test_a_family_that_nobody_named_is_calibrated_by_what_it_declares() -> None:
    class Twice(er.likelihoods.Bernoulli):
        """Bernoullis whose logits count twice."""

        def distribution(self, raw, given):
            return super().distribution((2 * raw[0],), given)

    vae, digits = trained("bernoulli", beta=1.0)
    known = calibrate(vae, digits, draws=2)
    other = copy.deepcopy(vae)
    other.likelihood = Twice(vae.likelihood.network, 64)
    found = calibrate(other, digits, draws=2)
    assert found.value == pytest.approx(known.value / 2, rel=1e-3)
    assert calibrate(found.vae, digits, draws=2).value == pytest.approx(1.0, rel=1e-3)


def test_a_scan_of_beta_is_a_scan_of_the_variance_along_the_whole_training_unless_gradients_are_clipped() -> None:
    """Adam does not see a factor β of the loss but for its epsilon; a clipped gradient does."""
    digits, beta = er.load_data("digits"), 0.02
    apart = {}
    for clip in (None, 20.0):
        trained_by = []
        for weight, scale in ((beta, 1.0), (1.0, math.sqrt(beta))):
            torch.manual_seed(0)
            vae = er.VAE(
                er.priors.StandardNormal(3),
                er.posteriors.DiagonalNormal(er.networks.MLP([64, 16, 6]), 3),
                er.likelihoods.Normal(er.networks.MLP([3, 16, 64]), 64, scale=scale),
                preprocess=digits.preprocess,
            )
            er.fit(vae, digits, er.objectives.Elbo(weight), epochs=3, clip=clip, select="last", progress=False)
            trained_by.append(torch.nn.utils.parameters_to_vector(vae.parameters()).detach())
        apart[clip] = float((trained_by[0] - trained_by[1]).norm() / trained_by[0].norm())
    assert apart[None] < 1e-3
    assert apart[20.0] > 20 * apart[None]


def test_validation_may_choose_the_temperature_of_an_overfitted_model() -> None:
    """Each part's choice is the best on that part, in one dimension."""
    vae, digits = small("Categorical")
    found = {part: calibrate(vae, digits, part=part, draws=1) for part in ("train", "validation")}
    assert found["validation"].elbo_after.mean >= found["train"].elbo_after.mean
    assert "by validation" in found["validation"].name
    with pytest.raises(er.InputError, match="part must be"):
        calibrate(vae, digits, part="test")
