"""On a GPU that is there: jobs against those of the CPU, stacks against members alone, and what its generator draws."""

import copy
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from real_device import needs_cuda, real_device
from staged import short_audit, short_study
from test_components import classes
from test_devices import STANDARD, model, numbers
from test_training import distance, plain_rows, small, trained

import elbowroom as er
from elbowroom import cli, likelihoods
from elbowroom.objectives import Elbo
from elbowroom.runs import read_run
from elbowroom.training import fit_stacked

pytestmark = needs_cuda
TOLERANCE = {"rtol": 1e-3, "atol": 1e-3}  # of what some hundred updates in 32 bits end with
BETAS = (0.1, 1.0, 4.0)


@pytest.fixture(scope="module")
def digits() -> er.data.Dataset:
    return er.load_data("digits")


@pytest.fixture
def whole_products() -> Iterator[None]:
    """Convolutions of 32 bits too, where torch would round what they multiply to ten."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def convolutional(data: er.data.Dataset, latents: int = 3, seed: int = 0) -> er.VAE:
    torch.manual_seed(seed)
    encoder = er.networks.ConvNet(data.event, latents, channels=(4, 8), parts=2)
    decoder = er.networks.ConvNet(latents, data.event, channels=(4, 8))
    q = er.posteriors.DiagonalNormal(encoder, latents)
    return er.VAE(er.priors.StandardNormal(latents), q, er.likelihoods.Bernoulli(decoder, data.event))


def pictures(n: int = 400) -> er.data.Dataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((n, 1, 12, 12), 0.3), generator=generator)
    x[: n // 2, :, :6] = 0
    x = x[torch.randperm(n, generator=generator)]
    return er.load_data(x.numpy(), validation=50, test=50, flat=False)


def close(one: Any, other: Any, **tolerance: float) -> None:
    for a, b in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or TOLERANCE))


def validated(history: er.runs.History) -> list[float]:
    return [row["validation"]["objective"] for row in history.rows]


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_fit_there_is_the_fit_here_by_the_same_draws(
    kind: str, digits: er.data.Dataset, whole_products: None
) -> None:
    data = digits if kind == "dense" else pictures()
    vae = small(data) if kind == "dense" else convolutional(data)
    here, there = copy.deepcopy(vae), copy.deepcopy(vae)
    expected = er.fit(here, data, epochs=3, progress=False)
    with real_device():
        found = er.fit(there, data, epochs=3, device="cuda", progress=False)
    assert there.device.type == "cpu"
    np.testing.assert_allclose(validated(found), validated(expected), rtol=1e-4)
    assert distance(here.state_dict(), there.state_dict()) < 5e-3


def test_the_same_seed_gives_the_same_bits_there(digits: er.data.Dataset) -> None:
    one, other = (trained(small(digits), digits, epochs=3, device="cuda") for _ in range(2))
    assert distance(one[0], other[0]) == 0
    assert plain_rows(one[1]) == plain_rows(other[1])
    pairs = [small(digits) for _ in range(4)]
    for two in (pairs[:2], pairs[2:]):
        fit_stacked(two, digits, [Elbo(0.5), Elbo(1.0)], epochs=3, device="cuda", progress=False)
    assert [distance(pairs[i].state_dict(), pairs[i + 2].state_dict()) for i in (0, 1)] == [0, 0]


@pytest.mark.parametrize("kind", ["dense", "convolutional", "sizes and seeds"])
def test_a_member_of_a_stack_is_the_member_alone_there_and_here(
    kind: str, digits: er.data.Dataset, whole_products: None
) -> None:
    data = pictures() if kind == "convolutional" else digits
    ragged = kind == "sizes and seeds"
    sizes, seeds = ((2, 3, 4), (0, 1, 1)) if ragged else ((3, 3, 3), (0, 0, 0))
    make = convolutional if kind == "convolutional" else small
    started = [make(data, latents=latents, seed=i) for i, latents in enumerate(sizes)]
    goals = [Elbo(beta) for beta in BETAS]
    epochs = 12 if kind == "dense" else 4  # enough updates for the written-out operations
    how: dict[str, Any] = {"epochs": epochs, "lr": 3e-3, "progress": False}
    with real_device():
        there = copy.deepcopy(started)
        histories = fit_stacked(there, data, goals, seed=seeds, device="cuda", **how)
        for vae, goal, seed, stacked, history in zip(started, goals, seeds, there, histories, strict=True):
            for device in ("cpu", "cuda"):
                alone = copy.deepcopy(vae)
                expected = er.fit(alone, data, goal, seed=seed, device=device, **how)
                np.testing.assert_allclose(validated(history), validated(expected), rtol=2e-4)
                assert distance(alone.state_dict(), stacked.state_dict()) < 2e-2
    assert {vae.device.type for vae in there} == {"cpu"}


def test_a_member_that_stops_or_diverges_leaves_the_others_there(digits: er.data.Dataset) -> None:
    stack = [small(digits) for _ in range(3)]
    how: dict[str, Any] = {"epochs": 4, "device": "cuda", "progress": False}
    found = fit_stacked(stack, digits, [Elbo()] * 3, lr=[1e-3, 1e30, 1e-3], patience=[None, None, 1], **how)
    assert [history.diverged for history in found] == [False, True, False]
    alone = small(digits)
    expected = fit_stacked([alone], digits, [Elbo()], **how)[0]
    np.testing.assert_allclose(validated(found[0]), validated(expected), rtol=1e-4)


@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_goes_on_from_a_checkpoint(
    devices: tuple[str, str], stacked: bool, digits: er.data.Dataset, tmp_path: Path
) -> None:
    def run(name: str, epochs: int, device: str, resume: bool = False) -> tuple[er.VAE, er.runs.History]:
        vaes, how = [small(digits), small(digits)], {"epochs": epochs, "device": device, "resume": resume}
        if stacked:
            folders = [tmp_path / f"{name}{i}" for i in range(2)]
            goals = [Elbo(0.5), Elbo(1.0)]
            found = fit_stacked(vaes, digits, goals, runs=folders, progress=False, **how)[0]  # type: ignore[arg-type]
        else:
            found = er.fit(vaes[0], digits, run=tmp_path / f"{name}0", progress=False, **how)  # type: ignore[arg-type]
        return vaes[0], found

    run("resumed", 2, devices[0])
    vae, found = run("resumed", 4, devices[1], resume=True)
    straight, expected = run("straight", 4, devices[1])
    if devices[0] == devices[1]:
        assert distance(vae.state_dict(), straight.state_dict()) == 0
        assert plain_rows(found) == plain_rows(expected)
    else:
        assert any("drawn anew" in note for note in found.notes)
        np.testing.assert_allclose(validated(found), validated(expected), rtol=0.05)
    again, history = read_run(tmp_path / "resumed0")
    assert distance(again.state_dict(), vae.state_dict()) == 0
    assert len(history.rows) == 4


@pytest.mark.parametrize("cls", classes(likelihoods), ids=lambda cls: cls.__name__)
def test_what_its_own_generator_draws_has_the_mean_and_spread_of_the_cpus(cls: Any) -> None:
    vae, n = model(*STANDARD, cls), 4_000
    here, there = (v.sample(n, seed=1).double().cpu().flatten(1) for v in (vae, copy.deepcopy(vae).to("cuda")))
    assert torch.equal(there, copy.deepcopy(vae).to("cuda").sample(n, seed=1).double().cpu().flatten(1))
    for of in (lambda x: x, lambda x: x.clamp(-3, 3).square(), lambda x: x[:, :1].clamp(-3, 3) * x.clamp(-3, 3)):
        one, other = of(here), of(there)
        error = ((one.var(0) + other.var(0)) / n).sqrt() + 1e-9
        heavy = one.amax(0) > 50 * one.std(0)  # a mean that few draws decide has no useful error
        assert (((one.mean(0) - other.mean(0)) / error).abs()[~heavy] < 5).all(), cls.__name__


def test_audits_and_remedies_there_are_those_here(digits: er.data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    short_audit(monkeypatch)
    vae, _ = small(digits), None
    er.fit(vae, digits, epochs=10, progress=False)
    there = copy.deepcopy(vae).to("cuda")
    with real_device():
        records = [er.audit(one, digits, quick=True, progress=False) for one in (vae, there)]
        here, far = (_floats(dataclasses.asdict(record)) for record in records)
        assert len(here) == len(far) > 100
        np.testing.assert_allclose(far, here, rtol=5e-3, atol=5e-3)
        for remedy in ("calibrate", "refit_prior", "structured_residual"):
            one, other = (getattr(er.remedies, remedy)(v, digits, draws=4) for v in (vae, there))
            close([other.elbo_after, other.iwae_after], [one.elbo_after, one.iwae_after], rtol=1e-2, atol=1e-2)
        one, other = (er.remedies.refine(v, digits.test[:20], steps=20, draws=4) for v in (vae, there))
        close(other.elbo_after, one.elbo_after, rtol=1e-3, atol=1e-2)


def _floats(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [x for name, one in value.items() if "seconds" not in name for x in _floats(one)]
    if isinstance(value, list | tuple | np.ndarray):
        return [x for one in value for x in _floats(one)]
    return [float(value)] if isinstance(value, float) and np.isfinite(value) else []


@pytest.mark.parametrize("how", [{}, {"draws": 8, "refine": 5}], ids=["one draw", "several, refined"])
def test_files_of_a_model_there_are_those_of_the_model_here(how: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = likelihoods.Bernoulli(er.networks.MLP([2, 8, 4]), 4)
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.MLP([4, 8, 4]), 2), decoder)
    x = np.random.default_rng(0).integers(0, 2, (50, 4)).astype(np.uint8)
    there = copy.deepcopy(vae).to("cuda")
    for name, one in (("here", vae), ("there", there)):
        er.compression.compress(one, x, tmp_path / name, bounds=False, progress=False, **how)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
    assert there.device.type == "cuda"
    for one in (vae, there):
        assert (er.compression.decompress(one, tmp_path / "there", progress=False) == x).all()


def test_a_sweep_there_trains_and_measures_there(digits: er.data.Dataset, tmp_path: Path) -> None:
    words = {"widths": [16], "epochs": 2}
    axes = {"beta": [0.5, 1.0], "latents": [2, 4], "seed": [0, 1]}
    with real_device():
        here = er.sweep(words, digits, axes, draws=4, progress=False)
        there = er.sweep(words, digits, axes, draws=4, runs=tmp_path, device="cuda", progress=False)
    assert [one.label for one in here] == [one.label for one in there]
    for one, other in zip(here, there, strict=True):
        close([other.iwae, other.elbo, other.rate], [one.iwae, one.elbo, one.rate], rtol=1e-3, atol=2e-2)
    again = er.sweep(words, digits, axes, draws=4, runs=tmp_path, resume=True, device="cuda", progress=False)
    close([one.iwae for one in again], [one.iwae for one in there], rtol=1e-5)


def test_the_command_line_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def asked(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["elbowroom", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        assert not stop.value.code, said.err
        return said.out

    run = str(tmp_path / "run")
    words = ["--epochs", "2", "--latents", "2", "--widths", "16"]
    asked("fit", "digits", "--run", run, *words, "--device", "cuda")
    assert "lower bound on log p(x)" in asked("evidence", run, "--draws", "8")
    short_study(monkeypatch)
    assert "report.html" in asked(
        "study", "digits", "--folder", str(tmp_path / "study"), "--epochs", "1", "--device", "cuda"
    )


def test_bounds_of_convolutional_models_are_those_of_the_cpu_whatever_torch_lets_convolutions_do() -> None:
    data = pictures()
    vae = convolutional(data)
    er.fit(vae, data, epochs=3, lr=1e-2, progress=False)
    there = copy.deepcopy(vae).to("cuda")
    assert torch.backends.cudnn.allow_tf32
    for estimator in (er.evidence.elbo, er.evidence.iwae, er.evidence.rate_distortion):
        close(estimator(there, data.test, draws=8), estimator(vae, data.test, draws=8), rtol=1e-5, atol=1e-4)
    close(there.encode(data.test)["z"], vae.encode(data.test)["z"], rtol=1e-4, atol=1e-5)
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_exact_networks_have_the_same_bits_there(kind: str, digits: er.data.Dataset) -> None:
    data = pictures() if kind == "convolutional" else digits
    exact = er.compression.rounded((convolutional if kind == "convolutional" else small)(data))
    there, x = copy.deepcopy(exact).to("cuda"), data.test[:20].rows(slice(None)).x.double()
    q, q_there = exact.posterior["z"].network, there.posterior["z"].network
    assert torch.equal(q(x), q_there(x.to("cuda")).cpu())
    z = torch.randn(20, 3, dtype=torch.float64)
    assert torch.equal(exact.likelihood.network(z), there.likelihood.network(z.to("cuda")).cpu())


def test_what_cannot_be_stacked_is_trained_there_step_by_step(digits: er.data.Dataset) -> None:
    vae = small(digits, norm="batch")
    here, there = copy.deepcopy(vae), copy.deepcopy(vae)
    expected = er.fit(here, digits, epochs=2, progress=False)
    with real_device():
        found = er.fit(there, digits, epochs=2, device="cuda", progress=False)
    np.testing.assert_allclose(validated(found), validated(expected), rtol=1e-3)
