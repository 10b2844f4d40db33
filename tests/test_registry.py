"""Every registered estimator, found unnamed, by its command on a linear VAE: the exact answer, by its direction."""

import inspect
import math
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom import cli, evidence
from elbowroom.evidence import estimators as registry
from elbowroom.exact import LinearVAE
from elbowroom.pages.estimators import evidence_panel
from elbowroom.runs import measure_run, read_run
from elbowroom.runs.partial_estimates import Partial, estimate_in_groups, joined
from elbowroom.runs.saved_estimates import KeptEstimate, read_estimates

pytestmark = pytest.mark.usefixtures("pilots_are_short")

FEWER = {"draws": 512, "temperatures": 40, "leapfrog": 3, "chains": 64, "warm_up": 20}  # of what a command costs
POINTS = 9


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    x = np.random.default_rng(0).normal(size=(200, 5)) @ np.diag([1.0, 0.8, 0.6, 0.4, 0.3])
    path = tmp_path_factory.mktemp("data") / "table.npy"
    np.save(path, x.astype(np.float32))
    return path


@pytest.fixture(scope="module")
def data(path) -> er.data.Dataset:
    return er.load_data(path, preprocess="none")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([5, 4]), 2),
        er.likelihoods.Normal(er.networks.MLP([2, 5]), 5, scale=0.5),
    )
    folder = tmp_path_factory.mktemp("registry") / "run"
    er.fit(vae, data, epochs=30, lr=1e-2, run=folder, progress=False)
    return folder


def exactly(run: Path) -> LinearVAE:
    """What is exact of the run's model, whose networks have one linear layer each."""
    vae, _ = read_run(run)
    for part in (vae.posterior["z"], vae.likelihood):
        (part.network,) = (layer for layer in part.network.modules() if isinstance(layer, nn.Linear))
    return LinearVAE(vae)


def at_beta(model: LinearVAE, x: er.Batch, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Rate and distortion of the Gaussian p(z) p(x | z)^β, by its moments."""
    weights, noise = model.weights.numpy(), model.noise.numpy()
    rest = x.x.double().numpy() - model.mean.numpy()
    precision = np.eye(2) + beta * weights.T @ (weights / noise[:, None])
    covariance = np.linalg.inv(precision)
    mean = beta * (rest / noise) @ weights @ covariance
    rate = 0.5 * (np.trace(covariance) + np.square(mean).sum(1) - 2 + np.linalg.slogdet(precision)[1])
    error = np.square(rest - mean @ weights.T) + np.diag(weights @ covariance @ weights.T)
    return rate, 0.5 * (error / noise + np.log(2 * math.pi * noise)).sum(1)


def truth(found: er.Estimate, model: LinearVAE, x: er.Batch) -> np.ndarray:
    """The exact answer to what an estimate says that it is of; an estimator of something new adds its own here."""
    if " at β = " in found.quantity:
        rate, distortion = at_beta(model, x, float(found.quantity.rpartition(" ")[2]))
        return rate if found.quantity.startswith("the rate function") else distortion
    if found.estimator.startswith("ELBO"):
        return model.elbo(x).numpy()
    exact = {"log p(x)": model.log_prob, "rate KL(q(z | x) ‖ p(z))": model.rate}
    exact |= {"distortion −E log p(x | z)": model.distortion, "E log p(x | z)": lambda x: -model.distortion(x)}
    return exact[found.quantity](x).numpy()


def entropy(model: LinearVAE) -> float:
    covariance = model.weights @ model.weights.T + torch.diag(model.noise)
    return 0.5 * torch.logdet(2 * math.pi * math.e * covariance).item()


@pytest.mark.parametrize("name", registry.ESTIMATORS)
def test_each_finds_the_exact_answer_by_its_command(run, data, path, name, capsys, monkeypatch) -> None:
    entry = registry.registered(name)
    settings = {key: FEWER[key] for key in entry.settings if key in FEWER}
    words = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words += ["--estimator", name, "--points", str(POINTS), "--source", str(path)]
    monkeypatch.setattr(sys, "argv", ["elbowroom", "evidence", str(run), *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert (stop.value.code or 0) == 0
    out = capsys.readouterr().out
    kept = [one.estimate for one in read_estimates(run / "evidence.json") if str(one.estimate) in out]
    model, tightest = exactly(run), {one.quantity: one for one in kept}
    assert kept
    for found in kept:
        if entry.simulates:  # log p(x) of what the model draws is −½ χ² of five degrees and a constant
            assert abs(found.mean + entropy(model)) < 4 * math.sqrt(5 / 2 / POINTS)
            continue
        where = {int(i): row for row, i in enumerate(data.test.index)}
        x = data.test.rows(torch.tensor([where[int(i)] for i in found.index]))
        above, error = (found.values - truth(found, model, x)).mean(), max(4 * found.se_mc, 1e-5)
        assert abs(above) < error + 0.02 or found is not tightest[found.quantity], found
        assert above < error or found.direction in ("upper", "upper if mixed"), found
        assert above > -error or found.direction == "lower", found


@pytest.mark.parametrize("name", registry.ESTIMATORS)
def test_each_goes_on_where_it_was_interrupted(run, data, name, tmp_path) -> None:
    entry, (vae, _) = registry.registered(name), read_run(run)
    small = {"draws": 128, "temperatures": 4, "leapfrog": 1, "chains": 8, "warm_up": 8}
    settings = {**entry.settings, **{key: small[key] for key in entry.settings if key in small}}
    calls = []

    def measure(some):
        calls.append(len(some))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return entry.estimates(entry.estimator(vae, some, **settings))

    partial = Partial(tmp_path / "part.jsonl", {})
    with pytest.raises(KeyboardInterrupt, match="with --resume goes on"):
        estimate_in_groups(measure, data.test[:POINTS], 3, partial)
    found = estimate_in_groups(measure, data.test[:POINTS], 3, partial, resume=True)
    assert calls == [3, 3, 3, 3]
    if not entry.simulates:  # these are other examples in every group
        whole = entry.estimates(entry.estimator(vae, data.test[:POINTS], **settings))
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_allclose(one.values, joined([other]).values, rtol=1e-4, atol=1e-4)
            assert one.unmixed == other.unmixed


def test_an_estimator_needs_one_line(run, path, monkeypatch) -> None:
    """Command, run folder and page take it from there."""

    def guess(vae, examples, *, hunches, seed, memory):
        values = np.full(len(examples), -float(hunches))
        return er.Estimate.of(values, 0.0, examples.index, quantity="luck", estimator="a guess", direction="none")

    measure_run(run, "elbo", source=path, progress=False)  # luck stands beside a bound, whatever was measured before

    monkeypatch.setattr(evidence, "guess", guess, raising=False)
    for module in (registry, cli):
        monkeypatch.setattr(module, "ESTIMATORS", {"guess": registry.Registered("guess", {"hunches": 3})})
    assert [one.mean for one in measure_run(run, "guess", hunches=7, source=path, progress=False)] == [-7]
    options = inspect.signature(cli._with_settings(lambda settings: None)).parameters
    kind, option = get_args(options["hunches"].annotation)
    assert (kind, option.help) == (int | None, "hunches (by default 3 for guess).")
    assert "luck: −7" in " ".join(evidence_panel(read_estimates(run / "evidence.json")).notes)


def test_the_page_says_what_is_no_bound_on_log_p() -> None:
    bound = er.Estimate.of([-3.0, -4.0], 0.01, quantity="log p(x)", estimator="IWAE-9", direction="lower")
    other = er.Estimate.of([-1.0, -2.0], 0.01, quantity="E log p(x | z)", estimator="mean", direction="unbiased")
    panel = evidence_panel([KeptEstimate("test", one, {}) for one in (bound, other)])
    assert [row["name"] for row in panel.rows] == ["IWAE-9"]
    assert panel.notes == ["E log p(x | z): −1.50 ± 0.50 nats, unbiased, mean, 2 test examples."]
