"""One network for every weight of the rate: against models read one by one, and a Gaussian source's exact curve."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import Elbo, MultiRate
from elbowroom.training import TrainingStep

VARIANCES, SIGMA2 = (4.0, 0.5), 0.25


def gaussian(rows: int = 600) -> er.data.Dataset:
    """Training rows whose mean is 0 and whose covariance is diagonal, exactly."""
    x = np.random.default_rng(0).normal(size=(rows, 2))
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(rows * np.array(VARIANCES))
    data = er.load_data(np.concatenate([x, x[:20], x[:20]]), preprocess="none", validation=20, test=20)
    data.train = er.data.Examples(torch.tensor(x, dtype=torch.float32), torch.arange(rows))
    return data


def reading(data: er.data.Dataset, **words: object) -> er.VAE:
    likelihood = {"kind": "normal", "scale": SIGMA2**0.5}
    recipe = {"latents": 2, "widths": [32], "likelihood": likelihood, "objective": "multi-rate", **words}
    return er.models.build(recipe, data)


def test_the_total_is_that_of_models_read_one_by_one() -> None:
    data, objective = gaussian(), MultiRate(lowest=0.2, highest=3.0, draws=2)
    vae = reading(data)
    batch, step = data.train.rows(slice(0, 5)), TrainingStep(vae, objective)
    noise = step.keyed_noise(2, batch.index, 0)
    betas = objective.log_beta(noise["multi-rate.log_beta"][0]).exp().flatten().tolist()
    costs = []
    for i, beta in enumerate(betas):
        own = {"z": noise["z"][:, i : i + 1]}
        terms = vae.at_beta(beta)(batch.rows(slice(i, i + 1)), own)
        costs.append((beta * terms.rate().mean() - terms.log_likelihood.mean()).item())
    assert all(0.2 <= beta <= 3.0 for beta in betas)
    assert len(set(betas)) == 5
    assert objective(vae, batch, noise, torch.tensor(0.0)).total.item() == pytest.approx(np.mean(costs), rel=1e-5)


def test_betas_are_log_uniform() -> None:
    objective = MultiRate(lowest=0.01, highest=10.0)
    drawn = objective.log_beta(torch.randn(20_000, generator=torch.Generator().manual_seed(0))) / math.log(10)
    share = (drawn < -1).double().mean()  # a third of three decades
    assert float(share) == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 20_000))


def test_between_ends_at_1_it_has_the_gradient_of_the_elbo() -> None:
    data = gaussian()
    vae, gradients = reading(data), []
    for objective in (MultiRate(lowest=1.0, highest=1.0 + 1e-6), Elbo()):
        batch, step = data.train.rows(slice(0, 50)), TrainingStep(vae, objective)
        total = objective(vae, batch, step.keyed_noise(1, batch.index, 0), torch.tensor(0.0)).total
        gradients.append(torch.autograd.grad(total, list(vae.parameters())))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def exact(beta: float) -> tuple[float, float]:
    """Rate and distortion of the best linear VAE at weight β: water filled to βσ² (Cover & Thomas, chapter 10)."""
    level = beta * SIGMA2
    rate = sum(0.5 * math.log(v / level) for v in VARIANCES if v > level)
    error = sum(min(v, level) for v in VARIANCES)
    return rate, 0.5 * error / SIGMA2 + math.log(2 * math.pi * SIGMA2)


def test_one_training_draws_the_exact_curve_of_a_gaussian() -> None:
    """Nothing is below the optimum at any β, and one network is close to it at all: with two units, one and one."""
    data = gaussian()
    vae = reading(data, seed=1)
    training = {"epochs": 250, "batch_size": 600, "lr": 3e-2, "lr_final": 1e-3, "select": "last", "progress": False}
    er.fit(vae, data, MultiRate(), **training)
    for beta in (0.2, 1.0, 5.0):
        found = er.evidence.rate_distortion(vae.at_beta(beta), data.train, draws=64)
        rate, distortion = exact(beta)
        above = found.distortion.mean + beta * found.rate.mean - distortion - beta * rate
        assert -4 * found.distortion.se_mc < above < 0.05 * max(beta, 1)
        assert found.rate.mean == pytest.approx(rate, abs=0.2)
        assert -found.elbo.mean == pytest.approx(found.rate.mean + found.distortion.mean)


def test_what_is_read_at_a_beta_is_measured_drawn_and_saved_as_such(tmp_path: Path) -> None:
    data = gaussian()
    vae = reading(data)
    low = vae.at_beta(0.25)
    assert (vae.beta, low.beta, vae.quantity, low.context_names) == (1.0, 0.25, "log p(x)", ())
    again = er.load_model(er.save_model(low, tmp_path / "low.safetensors"))
    assert again.beta == 0.25
    elbos = [er.evidence.elbo(one, data.test, draws=3).mean for one in (vae, low, again, vae.at_beta(1.0))]
    assert elbos[1] == elbos[2] != elbos[0] == elbos[3]
    assert torch.equal(low.sample(3), again.sample(3))
    assert not torch.equal(low.sample(3), vae.sample(3))
    as_context = Batch(data.test.x, data.test.index, {"log_beta": torch.full((len(data.test), 1), math.log(0.25))})
    noise = vae.keyed_noise(1, data.test.index, 0)
    assert torch.allclose(vae(as_context, noise).log_likelihood, low(data.test.batch(), noise).log_likelihood)
    mine = copy.deepcopy(low)
    mine.likelihood = vae.likelihood
    assert mine.beta == 0.25


@pytest.mark.parametrize(
    "words",
    [
        {"likelihood": "auto"},
        {"latents": [2, 1]},
        {"latents": [2, 1], "posterior": "ladder"},
        {"posterior": {"kind": "full-normal"}, "prior": "mixture-prior"},
    ],
)
def test_every_part_that_words_make_reads_it(words: dict[str, object]) -> None:
    data = gaussian()
    vae = reading(data, **words)
    parts = [*vae.posterior.values(), vae.likelihood, *(p for p in vae.prior.values() if p.network is not None)]
    assert all("log_beta" in part.given for part in parts)
    values = [er.evidence.elbo(vae.at_beta(beta), data.test, draws=2).mean for beta in (0.5, 1.0, 2.0)]
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda data: MultiRate(lowest=2.0), "0 < lowest ≤ 1 ≤ highest"),
        (lambda data: MultiRate(lowest=1.0, highest=1.0), "not both 1"),
        (lambda data: reading(data).at_beta(0.0), "a weight β above 0; got 0"),
        (lambda data: reading(data, objective="elbo").at_beta(0.5), "the same at every one: train one with"),
        (lambda data: er.fit(reading(data, objective="elbo"), data, MultiRate(), epochs=1), "name 'log_beta' in given"),
        (lambda data: reading(data, prior="vamp-prior"), "calls q at pseudo-inputs"),
        (
            lambda data: reading(data).examples(
                Batch(data.test.x, data.test.index, {"log_beta": torch.zeros(len(data.test), 1)})
            ),
            "cannot be called 'log_beta': that is the weight of the rate",
        ),
    ],
)
def test_what_is_refused(call: object, said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        call(gaussian(60))  # type: ignore[operator]
