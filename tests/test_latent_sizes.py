"""Members of several latent sizes in one stack: each is what it would be alone, and is written at its own size."""

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import elbowroom as er
from elbowroom.distributions import TriangularNormal
from elbowroom.distributions._of_units import of_units
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.models import build
from elbowroom.numerics import CapabilityError
from elbowroom.objectives import Capacity, Dip, Discrepancy, Elbo, FreeBits, Geco, Iwae, LinearSchedule
from elbowroom.procedures import Procedure
from elbowroom.runs import History, read_run
from elbowroom.training import TrainingStep, fit_stacked, why_alone
from elbowroom.training.engines import Stacked
from elbowroom.training.groups import _agree, _comparable, joined

SIZES = [1, 3, 17]
WORDS = {"widths": [8]}
LOOP: dict[str, Any] = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "progress": False}

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def data() -> er.data.Dataset:
    return er.load_data(np.random.default_rng(0).normal(size=(80, 3)), name="made")


def models(
    data: er.data.Dataset, latents: Sequence[Any], dtype: torch.dtype = torch.float64, **words: Any
) -> list[er.VAE]:
    return [build({**WORDS, **words, "latents": size}, data).to(dtype) for size in latents]


def distance(one: er.VAE, other: er.VAE) -> float:
    first, second = one.state_dict(), other.state_dict()
    assert {name: value.shape for name, value in first.items()} == {name: v.shape for name, v in second.items()}
    return max((first[name] - value).abs().max().item() for name, value in second.items() if value.numel())


def rows_differ(history: History, expected: History) -> float:
    """The greatest relative difference of anything that was logged."""
    assert (history.best_epoch, len(history.rows)) == (expected.best_epoch, len(expected.rows))
    pairs = [
        (mine[part][name], theirs[part][name])
        for mine, theirs in zip(history.rows, expected.rows, strict=True)
        for part in ("train", "validation")
        for name in theirs[part]
    ]
    return max(abs(mine - theirs) / (1e-2 + abs(theirs)) for mine, theirs in pairs)


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members were trained in each stack."""
    found: list[int] = []

    class Counted(Stacked):
        def __init__(self, steps: Sequence[TrainingStep], adam: Any) -> None:
            found.append(len(steps))
            super().__init__(steps, adam)

    monkeypatch.setattr("elbowroom.training.training_plan.Stacked", Counted)
    return found


FULL = {"kind": "mixture-prior", "covariance": "full"}
CASES = [
    pytest.param({}, Elbo, SIZES, id="elbo"),
    pytest.param({}, lambda beta: FreeBits(0.2 * beta, per="dimension"), [1, 4], id="free bits"),
    pytest.param({}, lambda beta: Geco(3.0 + beta), [1, 4], id="geco"),
    pytest.param({"prior": "vamp-prior"}, lambda b: Capacity(b, schedule=LinearSchedule(5)), [1, 4], id="vamp"),
    pytest.param({"prior": FULL}, lambda beta: Iwae(draws=4, elbo=0.2 * beta), [1, 4], id="mixture"),
    pytest.param({"prior": "relevance-prior"}, Elbo, [4, 1, 4], id="relevance"),
    pytest.param({"prior": "normal-prior"}, lambda b: Elbo(b, kl="sampled"), [[5, 2], [3, 1]], id="two layers"),
]


@pytest.mark.parametrize(("words", "objective", "latents"), CASES)
def test_each_size_is_the_model_trained_alone(
    data: er.data.Dataset, stacks: list[int], words: dict[str, Any], objective: Callable[[float], Any], latents: Any
) -> None:
    """In 64 bits, in which other orders of the same sums leave nothing to be seen."""
    vaes, goals = models(data, latents, **words), [objective(beta) for beta in (0.1, 1.0, 2.0)[: len(latents)]]
    begun, alone, own = copy.deepcopy(vaes), copy.deepcopy(vaes), copy.deepcopy(goals)
    seeds = [0, 1, 1][: len(vaes)]
    found = fit_stacked(vaes, data, goals, clip=2.0, seed=seeds, **LOOP)
    assert stacks == [len(vaes)]
    for vae, history, other, goal, first, seed in zip(vaes, found, alone, own, begun, seeds, strict=True):
        expected = er.fit(other, data, goal, clip=2.0, seed=seed, **LOOP)
        assert distance(vae, other) < 1e-11  # measured: 4e-15
        assert rows_differ(history, expected) < 1e-9  # measured: 1e-13
        assert distance(vae, first) > 1e-3


def test_in_32_bits_they_are_the_same_up_to_rounding(data: er.data.Dataset) -> None:
    vaes, goals = models(data, SIZES, torch.float32), [Elbo(beta) for beta in (0.1, 1.0, 2.0)]
    alone = copy.deepcopy(vaes)
    found = fit_stacked(vaes, data, goals, **LOOP)
    for vae, history, other, goal in zip(vaes, found, alone, goals, strict=True):
        expected = er.fit(other, data, goal, **LOOP)
        assert distance(vae, other) < 1e-5  # measured: 2e-7
        assert rows_differ(history, expected) < 1e-4


def test_they_stop_are_written_and_go_on_as_alone(data: er.data.Dataset, tmp_path: Path) -> None:
    settings = {**LOOP, "epochs": 12, "lr": 0.1, "patience": 1}
    goals = [Elbo() for _ in SIZES]
    straight, begun, alone = (models(data, SIZES) for _ in range(3))
    histories = fit_stacked(straight, data, goals, **settings)
    folders = [tmp_path / str(size) for size in SIZES]
    fit_stacked(begun, data, goals, runs=folders, **{**settings, "epochs": 2})
    again = fit_stacked(models(data, SIZES), data, goals, runs=folders, resume=True, **settings)
    expected = [er.fit(vae, data, **settings) for vae in alone]
    lengths = [len(history.rows) for history in histories]
    assert lengths == [len(one.rows) for one in expected]
    assert len(set(lengths)) > 1
    for vae, other, folder, size, history in zip(straight, alone, folders, SIZES, again, strict=True):
        assert distance(vae, other) < 1e-11
        read, _ = read_run(folder)
        assert (read.latents, history.best_epoch) == (size, read_run(folder)[1].best_epoch)
        assert distance(read, vae) == 0


def test_one_that_diverges_leaves_the_others_as_they_are(data: er.data.Dataset) -> None:
    vaes = models(data, [1, 3, 17])
    with torch.no_grad():
        vaes[0].likelihood.network.layers[0].weight.fill_(1e200)
    alone = copy.deepcopy(vaes)
    histories = fit_stacked(vaes, data, [Elbo() for _ in vaes], **LOOP)
    assert [history.diverged for history in histories] == [True, False, False]
    for vae, other in zip(vaes[1:], alone[1:], strict=True):
        er.fit(other, data, **LOOP)
        assert distance(vae, other) < 1e-11


class Twice(Procedure):
    def update(self, mover: Any, batch: Any, noise: Any, clock: Any) -> Any:
        super().update(mover, batch, noise, clock)
        return super().update(mover, batch, noise, clock)


def test_what_cannot_have_unseen_units_says_why(data: er.data.Dataset) -> None:
    small, large = models(data, [2, 5])

    def said(goal: Any = None, **words: Any) -> str | None:
        few, many = models(data, [2, 5], **words) if words else (small, large)
        return why_alone(few, goal or Elbo(), data, beside=many)

    assert said() is None
    assert "more than numbers that belong to one latent" in str(said(posterior="full-normal"))
    assert "more than numbers that belong to one latent" in str(said(prior="flow-prior"))
    assert "units that are not seen" in str(said(posterior="mixture-posterior"))
    assert "more than densities of z" in str(said(Dip()))
    assert "more than densities of z" in str(said(Discrepancy()))
    assert "orders its steps" in str(said(Twice({"both": er.procedures.Phase(Elbo())})))
    wide = build({"widths": [9], "latents": 5}, data)
    assert "more than numbers" in str(why_alone(small, Elbo(), data, beside=wide))
    vaes = [*models(data, [5, 2], likelihood="student-t"), small, large]
    steps = [TrainingStep(vae, Elbo()) for vae in vaes]
    assert joined([[0], [1], [2], [3]], steps, data) == [[0, 1], [3, 2]]


def test_where_objects_lie_in_memory_is_no_number_of_latents() -> None:
    one, other = object(), object()
    for first, second in ((one, other), (other, one)):
        assert not _agree(_comparable(first), _comparable(second), [(1, 2)])
    assert _agree(_comparable(one), _comparable(one), [(1, 2)])


UNITS = torch.tensor([True, False, True])


def _below(scale: torch.Tensor) -> torch.Tensor:
    return scale.unsqueeze(-1).expand(*scale.shape, scale.shape[-1]).tril(-1)


@pytest.mark.parametrize("kind", ["normal", "unit", "full", "mixture"])
def test_unseen_units_have_no_density_and_no_gradient(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    loc, raw, z = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64).unbind()
    loc.requires_grad_()
    scale, weights = raw.exp(), torch.zeros(4, dtype=torch.float64)
    made = {
        "normal": lambda loc, scale: Independent(Normal(loc, scale), 1),
        "unit": lambda loc, scale: Independent(UnitNormal(loc), 1),
        "full": lambda loc, scale: TriangularNormal(loc, torch.diag_embed(scale) + 0.3 * _below(scale)),
        "mixture": lambda loc, scale: MixtureSameFamily(
            Categorical(logits=weights), Independent(Normal(loc, scale), 1)
        ),
    }[kind]
    z = z.where(UNITS, 0.0)[:1] if kind == "mixture" else z.where(UNITS, 0.0)
    found = of_units(made(loc, scale), UNITS).log_prob(z)
    wanted = made(loc[:, UNITS], scale[:, UNITS]).log_prob(z[:, UNITS])
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    if kind != "unit":
        (slope,) = torch.autograd.grad(found.sum(), loc)
        assert (slope[:, 1] == 0).all()
        assert (slope[:, 0] != 0).any()


def test_only_normals_can_leave_units_out() -> None:
    q = Independent(torch.distributions.Laplace(torch.zeros(3), 1.0), 1)
    assert of_units(q, None) is q
    with pytest.raises(CapabilityError, match="Laplace"):
        of_units(q, UNITS)
    assert math.isclose(
        of_units(Normal(torch.zeros(3), 1.0), ~UNITS).log_prob(torch.zeros(3))[0].item(), 0.0, abs_tol=1e-6
    )
