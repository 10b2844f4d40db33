"""A model on another device gives the numbers that it gives on the CPU, of rows on the CPU: every part, named nowhere.

The device is pretended (pretend_device.py says what it refuses), so that this holds where there is no GPU; where there
is one it is asked the same, with the draws of the CPU (real_device.py), so that its kernels are what differs.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, pretended_device
from real_device import needs_cuda, real_device
from test_components import classes, made, value_of
from test_contracts import DATA, KINDS, data_of, words
from test_procedures import found as every_procedure
from test_procedures import made as procedure
from test_procedures import model as trainable
from torch import Tensor, nn

import elbowroom as er
from elbowroom import likelihoods, posteriors, priors
from elbowroom.evidence import ESTIMATORS, _rate_distortion_curve, annealed, looks
from elbowroom.models import build
from elbowroom.numerics import Batch, Estimate
from elbowroom.training import TrainingStep
from elbowroom.training.engines import Adam, Alone

Asked = Iterator[tuple[str, Callable[[], Any]]]
ALL = classes(likelihoods)
FLAT = [cls for cls in ALL if len(made(cls).event) == 1]
PARTS = [(part, kind) for part, kind in KINDS if part != "objective"]
STANDARD = ("prior", "standard-normal")
MODELS = [(*one, FLAT[i % len(FLAT)]) for i, one in enumerate(PARTS)]
MODELS += [(*STANDARD, cls) for cls in ALL if cls not in {cls for *_, cls in MODELS}]
SMALL = {"draws": 8, "temperatures": 3, "chains": 2, "leapfrog": 1, "warm_up": 8, "betas": [0.5]}


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=needs_cuda)])
def held_to_the_cpu(request: pytest.FixtureRequest) -> Callable[[er.VAE, Callable[[er.VAE], Asked]], None]:
    """What is asked of a model has the same answer when it stands on the device."""
    return partial(_held_to_the_cpu, elsewhere={"pretended": pretended_device, "cuda": real_device}[request.param])


def model(part: str, kind: str, cls: Any) -> er.VAE:
    """A model of 4 numbers with this prior or posterior, and this likelihood."""
    torch.manual_seed(0)
    likelihood = made(cls)
    if cls not in FLAT:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
        return er.VAE(priors.StandardNormal(3), posteriors.DiagonalNormal(encoder, 3), likelihood).eval()
    built = build(words(part, kind), data_of(words(part, kind)))
    if np.prod(built.posterior["z"].event) != 3:  # a class in each of three cells
        return built.eval()
    likelihood.given = built.likelihood.given
    return er.VAE(dict(built.prior.items()), dict(built.posterior.items()), likelihood).eval()


def rows_of(vae: er.VAE) -> Batch:
    x = torch.cat([value_of(vae.likelihood)[0, :2], vae.sample(1, seed=3).float()])
    return Batch(x, torch.arange(3))


def numbers(found: Any) -> list[np.ndarray]:
    """All numbers of a result."""
    if isinstance(found, Estimate):
        columns = (found.values, found.mc_variance, found.ess, found.khat, found.rhat, found.divergent)
        return [column for column in columns if column is not None]
    if isinstance(found, dict):
        return numbers(list(found.values()))
    if isinstance(found, tuple | list):
        return [array for one in found for array in numbers(one)]
    return [found.numpy(force=True) if isinstance(found, Tensor) else np.asarray(found)]


def outcome(call: Callable[[], Any]) -> Any:
    """Its numbers, or what it says it cannot do."""
    try:
        return numbers(call())
    except er.CapabilityError as error:
        return str(error)


def _held_to_the_cpu(
    vae: er.VAE, asked: Callable[[er.VAE], Asked], elsewhere: Callable[[], AbstractContextManager[torch.device]]
) -> None:
    here = {name: outcome(call) for name, call in asked(copy.deepcopy(vae))}
    assert any(not isinstance(one, str) for one in here.values())
    before = torch.cuda.is_initialized()
    with elsewhere() as device:
        there = copy.deepcopy(vae).to(device)
        assert there.device == DEVICE
        for name, call in asked(there):
            got, wanted = outcome(call), here[name]
            assert isinstance(got, str) == isinstance(wanted, str), (name, got, wanted)
            if isinstance(got, str):
                assert got == wanted, name
                continue
            for one, other in zip(got, wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
    assert elsewhere is real_device or torch.cuda.is_initialized() == before


def of_target(whole: Any) -> list[Tensor]:
    """What samplers ask of a model at its examples."""
    simulated, exact = whole.simulate(torch.Generator(whole.draw_prior(1, 0).device).manual_seed(1))
    found = [exact]
    for target in (whole.rows(slice(1, 3)), whole.pick(torch.tensor([1, 0])), simulated):
        z, log_q = target.draw_posterior(2, 0)
        found += [z, log_q, target.draw_prior(2, 0), target.log_prior(z), target.log_posterior(z)]
        found += [target.log_likelihood(z), target.decoded(z)[1]]
    return found


def learnt(vae: er.VAE, how: Any, batch: Batch) -> list[Tensor]:
    """Two updates by noise of the device's generator, and what the model and the procedure are then."""
    step = TrainingStep(vae, how).train()
    engine, generator = Alone(step, Adam()), torch.Generator(vae.device).manual_seed(0)
    batch = batch.to(vae.device)
    engine.batches = lambda: (batch, step.draw_noise(step.procedure.draws, len(batch), generator))
    logged = [engine.update(*engine.another(), torch.tensor(float(i))) for i in range(2)]
    return [*(value for one in logged for value in one.values()), *step.state_dict().values()]


def of_parts(vae: er.VAE, batch: Batch) -> Asked:
    yield "rate and distortion", lambda: er.evidence.rate_distortion(vae, batch, draws=2, progress=True)
    yield "from the prior", lambda: er.evidence.prior_sampling(vae, batch, draws=2)
    yield "log-weights", lambda: vae(batch, vae.keyed_noise(2, batch.index, 0)).log_weight
    yield "features", lambda: er.evidence.conditional_log_likelihood(vae, batch, draws=2).per_feature
    yield "target", lambda: of_target(vae.target(batch))
    yield "means", lambda: vae.encode(batch)
    yield "x̂", lambda: vae.reconstruct(batch)
    yield "samples", lambda: vae.sample(3, seed=1)
    yield "training", lambda: learnt(copy.deepcopy(vae), er.objectives.Elbo(), batch)


@pytest.mark.parametrize(("part", "kind", "cls"), MODELS, ids=lambda one: getattr(one, "__name__", one))
def test_every_part_gives_the_numbers_of_the_cpu(part: str, kind: str, cls: Any, held_to_the_cpu: Any) -> None:
    vae = model(part, kind, cls)
    batch = rows_of(vae)
    held_to_the_cpu(vae, lambda one: of_parts(one, batch))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilot runs of a few steps: which devices meet does not depend on how many there are."""
    for module in (annealed, _rate_distortion_curve):
        monkeypatch.setattr(module, "LEAST_POINTS", 2)
    for name, value in {"_LEAST_POINTS": 2, "_WARM_UP": 1, "_STAY": 2, "_PASSES": 4}.items():
        monkeypatch.setattr(looks, name, value)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_gives_the_numbers_of_the_cpu(name: str, quick: None, held_to_the_cpu: Any) -> None:
    one, rows = ESTIMATORS[name], DATA.test[:3]
    settings = {key: SMALL.get(key, value) for key, value in one.settings.items()} | {"progress": True}
    settings |= {"chains": 4, "draws": 16} if name == "reciprocal" else {}

    def asked(vae: er.VAE) -> Asked:
        yield name, lambda: one.estimates(one.estimator(vae, rows, **settings))
        if "leapfrog" not in settings:
            there = rows.rows(slice(None)).to(vae.device)
            yield "rows on the device", lambda: one.estimates(one.estimator(vae, there, **settings))

    held_to_the_cpu(build(words(*STANDARD), DATA).eval(), asked)


@pytest.mark.parametrize("kind", every_procedure(), ids=lambda kind: kind.__name__)
def test_every_procedure_learns_the_same(kind: type, held_to_the_cpu: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(8, 6, generator=generator), torch.arange(8))
    vae = trainable()
    if getattr(kind, "of_classes", False):
        recipe = words("objective", "semi-supervised")
        vae, batch = build(recipe, data_of(recipe)), data_of(recipe).train[:8].batch()
    held_to_the_cpu(vae, lambda vae: iter([("learnt", lambda: learnt(vae, procedure(kind), batch))]))


def test_a_mixed_table_with_missing_cells(held_to_the_cpu: Any) -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=60)
    columns = [rng.integers(0, 3, 60), hidden, np.where(hidden < 0, 0, hidden), rng.poisson(3, 60), hidden.round(1)]
    whole = np.column_stack(columns)
    kinds = [er.Support("categorical", 3), "real", er.Support("real", atoms=(0.0,)), "counts", "real"]
    gaps = np.where(rng.random(whole.shape) < 0.2, np.nan, whole)
    for data in (er.load_data(gaps, support=kinds), er.load_data(whole), er.load_data(gaps[:, [1, 4]])):

        def asked(vae: er.VAE, data: er.data.Dataset = data) -> Asked:
            yield "elbo", lambda: er.evidence.elbo(vae, data.test, draws=3)
            yield "from the prior", lambda: er.evidence.prior_sampling(vae, data.test, draws=2)
            yield "target", lambda: of_target(vae.target(data.test))
            yield "samples", lambda: vae.sample(3)
            yield "latents", lambda: er.metrics.latent_use(vae, data.test).kl
            yield "error", lambda: er.metrics.reconstruction_error(vae, data.test)
            if data.event == (2,):  # whose weights are reliable, so that nothing is annealed
                yield "imputed", lambda: imputed(er.impute(vae, data.test, draws=100, samples=8, imputations=2))

        torch.manual_seed(0)
        held_to_the_cpu(build({"latents": 2, "widths": [8]}, data).eval(), asked)


def imputed(found: Any) -> list[np.ndarray]:
    return [found.values, found.khat, found.categorical]


def test_known_blocks_and_places_in_the_data(held_to_the_cpu: Any) -> None:
    batch = DATA.test[:3].rows(slice(None))
    batch.observed = {"z": (torch.ones(3, 2), torch.tensor([True, False, True]))}

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(80, 4))

        def forward(self, index: Tensor) -> Tensor:
            return self.table[index]

    torch.manual_seed(0)
    posterior = posteriors.DiagonalNormal(Own(), 2, given=("index",))
    vae = er.VAE(priors.StandardNormal(2), posterior, likelihoods.Normal(nn.Linear(2, 4), 4), DATA.preprocess).eval()

    def asked(vae: er.VAE) -> Asked:
        for estimator in (er.evidence.elbo, er.evidence.iwae, er.evidence.prior_sampling):
            yield estimator.__name__, lambda estimator=estimator: estimator(vae, batch, draws=3)

    held_to_the_cpu(vae, asked)


def test_fitting_calibration_and_what_is_exact(held_to_the_cpu: Any) -> None:
    torch.manual_seed(0)
    likelihood = likelihoods.Normal(nn.Linear(2, 4), 4, scale="shared")
    vae = er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(nn.Linear(4, 4), 2), likelihood, DATA.preprocess)

    def asked(vae: er.VAE) -> Asked:
        fitted = copy.deepcopy(vae)
        yield "fit", lambda: er.fit(fitted, DATA, epochs=2, batch_size=16, progress=False).rows[-1]["validation"]
        yield "fitted", fitted.state_dict
        calibrated = er.remedies.calibrate(vae, DATA, draws=2)
        yield "calibrated", lambda: [calibrated.value, calibrated.elbo_after, calibrated.iwae_after]
        yield "exact", lambda: er.exact.LinearVAE(vae).gap(DATA.test)
        yield "quadrature", lambda: er.exact.log_evidence_by_quadrature(vae, DATA.test[:3], nodes=9)
        for over in ("prior", "posterior"):
            yield over, lambda over=over: er.metrics.variance_budget(vae, DATA.test, over=over, draws=20).latent

    held_to_the_cpu(vae.eval(), asked)


def test_the_data_stay_where_they_are_when_a_model_leaves() -> None:
    vae = build(words(*STANDARD), DATA)
    with pretended_device() as device:
        vae.to(device)
        assert vae.preprocess.mean.device == device
        assert er.evidence.elbo(build(words(*STANDARD), DATA), DATA.test[:2]).values.shape == (2,)


def test_the_pretended_device_refuses_what_a_gpu_refuses() -> None:
    here, where = torch.ones(3), "Expected all tensors to be on the same device"
    with pretended_device() as device:
        there = here.to("cuda")
        assert (there.device, (there + torch.tensor(1.0)).device, there[torch.tensor([0])].device) == (device,) * 3
        assert torch.equal((2 * there).cpu(), 2 * here)
        assert there.new_zeros(2).copy_(here[:2]).tolist() == [1.0, 1.0]
        for refused in (lambda: there + here, lambda: here.add_(there), lambda: torch.cat([here, there])):
            with pytest.raises(RuntimeError, match=where):
                refused()
        with pytest.raises(RuntimeError, match="indices"):
            here[torch.zeros(1, dtype=torch.int64, device=device)]
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, generator=torch.Generator(device))
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, generator=torch.Generator(), device=device)
        for refused in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\)"):
                refused()
    assert torch.Generator is torch._C.Generator
