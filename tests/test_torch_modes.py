"""What is measured and trained does not depend on torch's modes around it; half precision and "meta" are refused."""

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.networks import MLP
from elbowroom.numerics import Batch
from elbowroom.training import fit_stacked
from elbowroom.vae import check_readings

D = 6


@contextmanager
def inference() -> Iterator[None]:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        yield


MODES: dict[str, Callable[[], Any]] = {"no_grad": torch.no_grad, "inference mode and autocast": inference}
Data = er.data.Dataset


@pytest.fixture(scope="module")
def data() -> Data:
    mixed = torch.randn(90, 2, generator=torch.Generator().manual_seed(0)) @ torch.linspace(-1, 1, 2 * D).view(2, D)
    noise = torch.randn(90, D, generator=torch.Generator().manual_seed(1))
    return er.load_data((mixed + 0.3 * noise).numpy(), preprocess="none")


def model() -> er.VAE:
    torch.manual_seed(0)
    likelihood = er.likelihoods.Normal(MLP([2, 8, D]), D, scale=0.5)
    return er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([D, 8, 4]), 2), likelihood)


def trained(history: Any, *vaes: er.VAE) -> list[float]:
    return [sum(p.double().sum().item() for p in vae.parameters()) for vae in vaes]


def fitted(vae: er.VAE, data: Data) -> list[float]:
    return trained(er.fit(vae, data, epochs=2, progress=False), vae)


def stacked(vae: er.VAE, data: Data) -> list[float]:
    return trained(fit_stacked([vae], data, [er.objectives.Elbo(0.5)], epochs=1, processes=1, progress=False), vae)


def fixed(vae: er.VAE, data: Data) -> list[float]:
    names = ["calibrate", "lower_beta"]
    found = er.fix(vae, data, remedies=names, audits=False, epochs=2, seconds=None, progress=False)
    return [found.elbo_after.mean, len(found.steps), len(found.untried)]


def imputed(vae: er.VAE, data: Data) -> list[float]:
    x = data.test[:2].x.clone()
    x[:, 0] = math.nan
    found = er.imputation.impute(vae, x, samples=10, draws=100, temperatures=10, progress=False)
    return [found.drawn.sum()]


def compressed(vae: er.VAE, data: Data, out: Path) -> list[int]:
    er.compression.compress(vae, data.test.x.numpy(), out, step=0.1, progress=False)
    return list(out.read_bytes())


def loss(recon: Any, x: Any, mu: Any, logvar: Any) -> Any:
    return nn.functional.mse_loss(recon, x, reduction="sum") - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()


E = er.evidence


def annealed(*what: Any) -> float:
    return E.ais(*what, temperatures=3, chains=1, leapfrog=1, start="prior").mean


MEASURED: dict[str, Callable[[er.VAE, Any], Any]] = {
    "elbo": lambda vae, data: E.elbo(vae, data.test[:5], draws=2).mean,
    "iwae": lambda vae, data: E.iwae(vae, data.test[:5], draws=4).mean,
    "rate_distortion": lambda vae, data: E.rate_distortion(vae, data.test[:5], draws=2).rate.mean,
    "prior_sampling": lambda vae, data: E.prior_sampling(vae, data.test[:5], draws=4).mean,
    "ais": lambda vae, data: annealed(vae, data.test[:3]),
    "ais of a target": lambda vae, data: annealed(vae.target(data.test[:3])),
    "ais of a tensor": lambda vae, data: annealed(vae, data.test[:2].x + 0),
    "calibrate": lambda vae, data: er.remedies.calibrate(vae, data).elbo_after.mean,
    "refit_prior": lambda vae, data: er.remedies.refit_prior(vae, data, components=2).elbo_after.mean,
    "refine": lambda vae, data: er.remedies.refine(vae, data.test[:3], steps=3).elbo_after.mean,
    "structured_residual": lambda vae, data: er.remedies.structured_residual(vae, data).elbo_after.mean,
    "encode": lambda vae, data: vae.encode(data.test)["z"].double().sum().item(),
    "reconstruct": lambda vae, data: vae.reconstruct(data.test).double().sum().item(),
    "sample": lambda vae, data: vae.sample(4).double().sum().item(),
    "latent_use": lambda vae, data: er.metrics.latent_use(vae, data.test).active.sum(),
    "impute": imputed,
}
TRAINED = {"fit": fitted, "fit_stacked": stacked, "fix": fixed}
SLOW = ("refit_prior", "ais of a target")
DOORS = {name: door for name, door in (MEASURED | TRAINED).items() if name not in SLOW}


@pytest.fixture(scope="module")
def outside(data: Data) -> dict[str, Any]:
    return {name: door(model(), data) for name, door in DOORS.items()}


@pytest.mark.parametrize(("name", "mode"), [*product(DOORS, ["inference mode and autocast"]), ("fit", "no_grad")])
def test_the_modes_around_a_call_change_no_number(name: str, mode: str, data: Data, outside: dict[str, Any]) -> None:
    vae = model()
    with MODES[mode]():
        found = DOORS[name](vae, data)
        assert not torch.is_grad_enabled()
    assert found == pytest.approx(outside[name], abs=1e-6)


@pytest.mark.parametrize("mode", ["inference mode and autocast"])
def test_a_file_and_a_loss_do_not_depend_on_them(mode: str, data: Data, tmp_path: Path) -> None:
    vae, out = model(), tmp_path / "other.elb"
    said, written = str(er.claims.read_loss(loss, event=D, latents=2)), compressed(vae, data, tmp_path / "one.elb")
    with MODES[mode]():
        assert str(er.claims.read_loss(loss, event=D, latents=2)) == said
        assert compressed(vae, data, out) == written


def test_a_model_made_in_inference_mode_is_measured_and_trained(data: Data, outside: dict[str, Any]) -> None:
    with torch.inference_mode():
        vae = model()
    assert annealed(vae, data.test[:3]) == pytest.approx(outside["ais"])
    assert fitted(vae, data) == pytest.approx(outside["fit"])


def test_training_in_mixed_precision_remains(data: Data) -> None:
    vae = model()
    with torch.no_grad():
        er.fit(vae, data, epochs=1, precision="bf16-mixed", progress=False)
    assert vae.dtype == torch.float32
    assert E.elbo(vae, data.test, draws=2).mean < 0
    er.fit(vae, data, epochs=1, precision="bf16-true", progress=False)
    assert E.elbo(vae, data.test, draws=2).mean < 0


UNFIT: dict[str, tuple[Callable[[er.VAE], er.VAE], str]] = {
    "bfloat16": (lambda vae: vae.bfloat16(), "torch.bfloat16"),
    "float16": (lambda vae: vae.half(), "torch.float16"),
    "a half of it": (lambda vae: (vae.likelihood.bfloat16(), vae)[1], "torch.bfloat16"),
    "meta": (lambda vae: vae.to("meta"), "the device 'meta'"),
}
REFUSING: dict[str, Callable[[er.VAE, Any], Any]] = MEASURED | TRAINED
REFUSING |= {
    "audit": lambda vae, data: er.audit(vae, data, n=3, quick=True, progress=False),
    "check_readings": lambda vae, data: check_readings(vae, data.test),
    "rounded": lambda vae, data: er.compression.rounded(vae),
    "compress": lambda vae, data: compressed(vae, data, Path("never.elb")),
    "compress_lossy": lambda vae, data: er.compression.compress_lossy(vae, data.test.x.numpy(), "never.elb"),
    "mean": lambda vae, data: vae.sample(3, mode="mean"),
}


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("name", REFUSING)
def test_what_is_too_coarse_or_holds_no_values_is_refused_in_a_sentence(name: str, kind: str, data: Data) -> None:
    make, said = UNFIT[kind]
    with pytest.raises(er.InputError, match=said) as raised:
        REFUSING[name](make(model()), data)
    assert ". " not in str(raised.value)


def test_a_target_of_half_precision_is_refused(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = er.vae.VAETarget.log_likelihood
    monkeypatch.setattr(er.vae.VAETarget, "log_likelihood", lambda self, z: exact(self, z).bfloat16())
    with pytest.raises(er.InputError, match=r"log_likelihood .* torch\.bfloat16"):
        E.elbo(model().target(data.test[:3]))


@pytest.mark.parametrize("mode", MODES)
def test_an_audit_and_a_fix_have_gradients(mode: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def noted(*_: Any, **__: Any) -> None:
        met.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
        raise er.InputError("enough.")

    monkeypatch.setattr(importlib.import_module("elbowroom.ledger._audit"), "check_readings", noted)
    with MODES[mode]():
        er.audit(model(), data, n=2, quick=True, progress=False)
        er.fix(model(), data, remedies=["calibrate"], epochs=2, progress=False)
    assert set(met) == {(True, False, False)}
    assert len(met) > 1


def test_what_was_not_tried_is_printed(data: Data) -> None:
    found = er.fix(model(), data, remedies=["lower_beta", "anneal"], audits=False, seconds=1e-9, progress=False)
    assert len(found.untried) == 2
    assert "not tried: lower_beta (1.0), anneal, for the reasons in untried" in str(found).splitlines()


class Noisy(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h + 0.1 * torch.randn_like(h)


class Centred(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h - h.mean(0, keepdim=True)


@pytest.mark.parametrize("odd", [Noisy(), Centred()])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_who_is_at_fault_is_named(part: str, odd: nn.Module) -> None:
    ends = {"encoder": nn.Linear(D, 4), "decoder": nn.Linear(2, D)}
    ends[part] = nn.Sequential(ends[part], odd)
    q, p_x = er.posteriors.DiagonalNormal(ends["encoder"], 2), er.likelihoods.Normal(ends["decoder"], D, scale=0.7)
    vae = er.VAE(er.priors.StandardNormal(2), q, p_x)
    said = r"^q\(z \| x\), the encoder, " if part == "encoder" else r"^p\(x \| z\) "
    with pytest.raises(er.InputError, match=said):
        E.elbo(vae, torch.randn(5, D))


def test_a_preprocessing_that_draws_is_named() -> None:
    class Jitter(er.preprocess.Identity):
        def cells(self, x: torch.Tensor, noise: Any = None) -> Any:
            return x + 0.1 * torch.randn_like(x), torch.zeros_like(x)

    vae = model()
    vae.preprocess = Jitter()
    with pytest.raises(er.InputError, match=r"^The preprocessing "):
        check_readings(vae, Batch(torch.randn(3, D), torch.arange(3)))
