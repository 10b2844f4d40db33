"""Objectives and procedures: one contract for whatever the rooms hold, and what is refused in words."""

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import elbowroom as er
from elbowroom.numerics import Batch, Noise
from elbowroom.objectives import Elbo, Geco, Loss, Objective
from elbowroom.procedures import Phase, Procedure, WakeSleep
from elbowroom.recipes import build, recipe_of
from elbowroom.runs import History, read_run
from elbowroom.training import TrainingStep, fit_stacked, why_alone
from elbowroom.training.loop import Loop

D, LATENTS = 6, 3
NEEDED: dict[str, Callable[[], Any]] = {
    "allowance": lambda: 0.2,
    "capacity": lambda: 1.0,
    "tolerance": lambda: 8.5,
    "critic": lambda: er.networks.MLP([LATENTS, 8, 1]),
    "weight": lambda: 4.0,
}
LIGHT: dict[str, dict[str, Any]] = {
    "Aggressive": {"updates": 2, "window": 1},
    "MonteCarloEM": {"transitions": 1, "leapfrog": 2},
    "SemiAmortised": {"steps": 1},
}
"""Less work than by default, where that is a test's whole time."""


def found() -> list[type]:
    """Every class of the rooms that can be trained by."""
    rooms = [vars_of(er.objectives), vars_of(er.procedures)]
    classes = [kind for room in rooms for kind in room if isinstance(kind, type)]
    return [c for c in classes if issubclass(c, Objective | Procedure) and c not in (Objective, Procedure)]


def vars_of(room: Any) -> list[Any]:
    return [getattr(room, name) for name in room.__all__]


def made(kind: type, **numbers: Any) -> Any:
    torch.manual_seed(0)
    wanted = inspect.signature(kind).parameters.values()
    needed = {p.name: NEEDED[p.name]() for p in wanted if p.default is p.empty and p.name != "self"}
    return kind(**needed | LIGHT.get(kind.__name__, {}) | numbers)


kinds = pytest.mark.parametrize("kind", found(), ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def data() -> er.data.Dataset:
    return table("real")


@pytest.fixture
def served(request: pytest.FixtureRequest, data: er.data.Dataset) -> er.data.Dataset:
    """What the kind of the test is trained on."""
    kind = request.getfixturevalue("kind")
    return table("real", kind) if of_classes(kind) else data


def table(what: str, kind: type = Elbo) -> er.data.Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(170, 2)) @ rng.normal(size=(2, D)) + 0.5 * rng.normal(size=(170, D))
    x = {"real": x, "binary": (x > 0).astype(float), "counts": np.floor(np.exp(0.5 * x))}[what]
    support = "counts" if what == "counts" else None
    observed = {"y": np.where(np.arange(170) % 3, (x[:, 0] > x[:, 1]), -1)} if of_classes(kind) else None
    return er.load_data(x, validation=30, test=20, preprocess="none", support=support, observed=observed)


def of_classes(kind: type) -> bool:
    return getattr(kind, "of_classes", False)


def model(what: str = "real", dtype: torch.dtype = torch.float32, seed: int = 0, kind: type = Elbo) -> er.VAE:
    torch.manual_seed(seed)
    if of_classes(kind):
        return with_classes(what).to(dtype)
    decoder, reads = er.networks.MLP([LATENTS + 1, 8, D]), ("z", "log_beta")
    likelihood = {
        "real": lambda: er.likelihoods.Normal(decoder, D, scale="shared", given=reads),
        "binary": lambda: er.likelihoods.Bernoulli(decoder, D, given=reads),
        "counts": lambda: er.likelihoods.Poisson(decoder, D, given=reads),
    }[what]()
    encoder = er.networks.MLP([D + 1, 8, 2 * LATENTS])
    posterior = er.posteriors.DiagonalNormal(encoder, LATENTS, given=("x", "log_beta"))
    return er.VAE(er.priors.StandardNormal(LATENTS), posterior, likelihood).to(dtype)


def with_classes(what: str) -> er.VAE:
    """The same beside a block of two classes."""
    decoder, reads = er.networks.MLP([LATENTS + 2, 8, D]), ("z", "y")
    likelihood = {
        "real": lambda: er.likelihoods.Normal(decoder, D, scale="shared", given=reads),
        "counts": lambda: er.likelihoods.Poisson(decoder, D, given=reads),
    }[what]()
    posterior = {
        "y": er.posteriors.Categorical(er.networks.MLP([D, 8, 2]), 2),
        "z": er.posteriors.DiagonalNormal(er.networks.MLP([D + 2, 8, 2 * LATENTS]), LATENTS, given=("x", "y")),
    }
    return er.VAE({"y": er.priors.Categorical(2), "z": er.priors.StandardNormal(LATENTS)}, posterior, likelihood)


def plain(history: History) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history.rows]


def trained(vae: er.VAE, data: er.data.Dataset, how: Any, **settings: Any) -> tuple[TrainingStep, History]:
    settings = {"epochs": 4, "batch_size": 40, "lr": 1e-2, "progress": False, **settings}
    history = er.fit(vae, data, how, **settings)
    return TrainingStep(vae, how), history


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    largest = 0.0
    for (name, a), (same, b) in pairs:
        assert name == same
        if a.numel() and not torch.equal(a, b):
            largest = max(largest, (a.double() - b.double()).abs().max().item())
    return largest


# The contract ---------------------------------------------------------------------------------------------------------


def test_the_rooms_hold_what_was_built() -> None:
    assert {"Elbo", "Iwae", "Geco", "WakeSleep", "TotalCorrelation"} <= {kind.__name__ for kind in found()}


@kinds
def test_it_says_whether_it_bounds_log_p(kind: type) -> None:
    assert "bound" in (kind.__doc__ or "")


@kinds
@pytest.mark.parametrize("what", ["real", "counts"])
def test_it_learns_and_logs_what_evidence_says(kind: type, what: str) -> None:
    data, how = table(what, kind), made(kind)
    start, vae = model(what, kind=kind), model(what, kind=kind)
    step, history = trained(vae, data, how, epochs=20, lr=0.03, select="last", seed=3)
    draws = step.procedure.draws
    rate, distortion, elbo = er.evidence.rate_distortion(vae, data.validation, draws=draws, seed=3)
    last = history.rows[-1]["validation"]
    assert last["rate"] == pytest.approx(rate.mean, rel=1e-5)
    assert last["distortion"] == pytest.approx(distortion.mean, rel=1e-5)
    assert elbo.mean == pytest.approx(-last["rate"] - last["distortion"], rel=1e-5)
    if kind is er.objectives.PriorSampling:  # which trains no encoder
        before, after = (er.evidence.prior_sampling(v, data.train, draws=512, seed=4) for v in (start, vae))
    elif any(phase.objective.remarks() for _, phase in step.procedure.items()):  # of which the distortion is left
        before, after = (er.evidence.rate_distortion(v, data.train, draws=32).distortion for v in (vae, start))
    else:
        before, after = (er.evidence.elbo(v, data.train, draws=32) for v in (start, vae))
    assert (after - before).mean > 5 * (after - before).se_mc
    assert all(math.isfinite(v) for row in history.rows for part in ("train", "validation") for v in row[part].values())


@kinds
def test_the_epoch_is_kept_by_the_stated_number(kind: type, served: er.data.Dataset) -> None:
    step, history = trained(model(kind=kind), served, made(kind), lr=0.05, epochs=9)
    stated = [step.procedure.kept_by(row["validation"]) for row in history.rows]
    assert history.best_epoch == 1 + int(np.argmin(stated))


@kinds
@pytest.mark.parametrize("what", ["real", "counts"])
def test_it_stacks_with_the_numbers_it_has_alone_or_says_why_not(kind: type, what: str) -> None:
    data = table(what, kind)
    models = [model(what, torch.float64, seed, kind) for seed in (0, 1)]
    hows = [made(kind).double() for _ in models]
    for buffer in hows[1].buffers():  # a stack differs in numbers
        buffer.mul_(1.1)
    pairs = zip(models, hows, strict=True)
    alone = [trained(copy.deepcopy(vae), data, copy.deepcopy(how), epochs=2) for vae, how in pairs]
    settings = {"epochs": 2, "batch_size": 40, "lr": 1e-2, "progress": False}
    histories = fit_stacked(models, data, hows, **settings)
    reason = why_alone(models[0], hows[0], data)
    own = getattr(hows[0], "alone", None)
    assert reason == own if own else reason is None or (what == "counts" and reason.endswith(".") and "vmap" in reason)
    for vae, how, history, (step, expected) in zip(models, hows, histories, alone, strict=True):
        assert distance(TrainingStep(vae, how), step) < 1e-9
        assert history.best_epoch == expected.best_epoch
        for name in expected.rows[0]["validation"]:
            wanted = expected.column("validation", name)
            assert history.column("validation", name) == pytest.approx(wanted, rel=1e-8, abs=1e-8)
    assert distance(models[0], models[1]) > 1e-3


class Killed(Exception):
    """What stops a run from without."""


@kinds
@pytest.mark.parametrize("stacked", [False, True])
def test_a_killed_run_goes_on_bit_for_bit(
    kind: type, served: er.data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stacked: bool
) -> None:
    def run(name: str, **settings: Any) -> list[tuple[TrainingStep, History]]:
        settings = {"epochs": 3, "batch_size": 40, "lr": 1e-2, "progress": False, **settings}
        vaes, hows = [model(seed=s, kind=kind) for s in range(1 + stacked)], [made(kind) for _ in range(1 + stacked)]
        folders = [tmp_path / f"{name}{i}" for i in range(len(vaes))]
        if stacked:
            histories = fit_stacked(vaes, served, hows, runs=folders, **settings)
        else:
            histories = [er.fit(vaes[0], served, hows[0], run=folders[0], **settings)]
        return [(TrainingStep(v, h), history) for v, h, history in zip(vaes, hows, histories, strict=True)]

    straight = run("straight")
    with monkeypatch.context() as patch:
        whole, write = Loop._train, Loop._write

        def train(self: Loop) -> Any:
            if self.epoch == 3:  # in the middle of the epoch
                update = self.engine.update
                monkey = iter([update, update])
                self.engine.update = lambda *a: next(monkey, _die)(*a)  # type: ignore[method-assign]
            return whole(self)

        patch.setattr(Loop, "_train", train)
        patch.setattr(Loop, "_write", lambda self: write(self) if self.epoch == 1 else None)
        patch.setattr("elbowroom.training.loop._CHECKPOINT_EVERY", -1.0)
        with pytest.raises(Killed):
            run("killed")
    for (step, history), (again, resumed) in zip(straight, run("killed", resume=True), strict=True):
        assert distance(step, again) == 0
        assert plain(history) == plain(resumed)


def _die(*_: Any) -> None:
    raise Killed


@kinds
def test_its_run_is_read_again(kind: type, served: er.data.Dataset, tmp_path: Path) -> None:
    how, vae = made(kind), model(kind=kind)
    _, history = trained(vae, served, how, run=tmp_path)
    read, rows = read_run(tmp_path)
    assert plain(rows) == plain(history)
    bounds = [er.evidence.elbo(v, served.validation, draws=2) for v in (vae, read)]
    assert bounds[0].mean == bounds[1].mean
    recipe = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    assert recipe["objective"]["kind"] == how.kind
    again = build(yaml.safe_load(yaml.safe_dump(recipe_of(how))))
    assert recipe_of(again) == recipe_of(how)
    assert type(again) is kind


@kinds
def test_fabric_gives_the_same_bits(kind: type, served: er.data.Dataset) -> None:
    one, expected = trained(model(kind=kind), served, made(kind), clip=1.0, epochs=2)
    other, history = trained(model(kind=kind), served, made(kind), clip=1.0, epochs=2, precision="32")
    assert distance(one, other) == 0
    assert plain(history) == plain(expected)


# Phases ---------------------------------------------------------------------------------------------------------------


def test_each_phase_moves_its_parts_by_its_own_rate(data: er.data.Dataset) -> None:
    """Adam's first step moves every parameter by lr against the sign of its gradient."""
    vae = model(dtype=torch.float64)
    before = copy.deepcopy(vae)
    phases = {
        "q": Phase(Elbo(), parts=("posterior",), lr=1e-3, clip=0.1),
        "p": Phase(Elbo(), parts=("likelihood",), lr=1e-4),
    }
    trained(vae, data, Procedure(phases), epochs=1, batch_size=200, lr=0.5, clip=1e-3, select="last")
    for part, lr in (("posterior", 1e-3), ("likelihood", 1e-4)):
        pairs = zip(getattr(vae, part).parameters(), getattr(before, part).parameters(), strict=True)
        moved = torch.cat([(a - b).abs().flatten() for a, b in pairs])
        assert moved.max().item() == pytest.approx(lr, rel=1e-3)


def test_a_procedure_of_one_phase_is_the_objective(data: er.data.Dataset) -> None:
    one, expected = trained(model(), data, Elbo(2.0))
    other, history = trained(model(), data, Procedure({"only": Phase(Elbo(2.0))}))
    assert distance(one.vae, other.vae) == 0
    assert plain(history) == plain(expected)


def test_phases_may_share_parameters(data: er.data.Dataset, tmp_path: Path) -> None:
    """Two steps of the same on each batch, with moments of their own: both are logged, and resumed."""

    def twice() -> Procedure:
        return Procedure({"first": Phase(Elbo()), "second": Phase(Elbo(0.5), lr=1e-3)})

    straight, history = trained(model(), data, twice())
    trained(model(), data, twice(), epochs=2, run=tmp_path)
    again, _ = trained(model(), data, twice(), run=tmp_path, resume=True)
    assert distance(straight, again) == 0
    row = history.rows[-1]["validation"]
    assert set(row) == {"objective", "rate", "distortion", "beta", "second.objective", "second.beta"}
    assert row["second.objective"] == pytest.approx(row["distortion"] + 0.5 * row["rate"], rel=1e-6)


@pytest.mark.parametrize("stacked", [False, True])
def test_phases_may_share_an_objective_and_its_state(data: er.data.Dataset, stacked: bool) -> None:
    hows = []
    for _ in range(1 + stacked):
        one = Tempered()
        hows.append(Procedure({"first": Phase(one, parts=("likelihood",)), "second": Phase(one)}))
    vaes = [model(seed=seed) for seed in range(len(hows))]
    fit_stacked(vaes, data, hows, epochs=4, batch_size=40, select="last", progress=False)
    for how in hows:
        assert how["first"].objective.updates.item() == 2 * 4 * 3
        assert how["second"].objective.log_weight.item() > 0


def test_each_phase_has_its_own_number_of_draws(data: er.data.Dataset) -> None:
    seen: list[int] = []

    class Counting(Elbo):
        def forward(self, vae: er.VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
            seen.append(len(noise["z"]))
            return super().forward(vae, batch, noise, step)

    both = Procedure({"many": Phase(Counting(draws=5)), "few": Phase(Counting(draws=2), parts=("posterior",))})
    trained(model(), data, both, epochs=1, batch_size=200)
    assert seen[-4:] == [5, 2, 5, 2]


class Every(Procedure):
    """The second phase only in every third update."""

    def update(self, mover: Any, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        logged = mover.move("first", batch, noise, clock)
        if int(clock) % 3 == 0:
            mover.move("second", batch, noise, clock)
        return logged


def test_a_procedure_may_order_its_steps_otherwise(data: er.data.Dataset, tmp_path: Path) -> None:
    def how() -> Procedure:
        return Every({"first": Phase(Elbo(), parts=("likelihood",)), "second": Phase(Elbo(), parts=("posterior",))})

    straight, _ = trained(model(), data, how())
    trained(model(), data, how(), epochs=2, run=tmp_path)
    again, _ = trained(model(), data, how(), run=tmp_path, resume=True)
    assert distance(straight, again) == 0
    every, _ = trained(model(), data, Procedure(dict(how().items())))
    assert distance(straight, every) > 1e-3


# Attacks --------------------------------------------------------------------------------------------------------------


class Mine(Objective):
    """An objective with whatever a test puts into its loss."""

    def __init__(self, make: Callable[[er.VAE, Tensor], Any]) -> None:
        super().__init__()
        self.make = make
        self.register_buffer("state", torch.zeros(2))

    def forward(self, vae: er.VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        return self.make(vae, terms.rate().mean() - terms.log_likelihood.mean())


def logging(logged: Mapping[str, Any]) -> Mine:
    def loss(_: er.VAE, total: Tensor) -> Loss:
        found = Loss(total)
        found.logged = logged  # past the constructor, whose types are checked in tests
        return found

    return Mine(loss)


REFUSED: dict[str, tuple[Any, str]] = {
    "rate": (logging({"rate": torch.tensor(1.0)}), "Mine logs 'rate', which is logged already"),
    "elbo": (logging({"elbo": torch.tensor(1.0)}), "Mine logs 'elbo'"),
    "a dot": (logging({"a.b": torch.tensor(1.0)}), "or has a dot"),
    "a float": (logging({"mine": 1.0}), "logs 'mine' as a float: log tensors"),
    "a vector": (logging({"mine": torch.zeros(3)}), r"as a Tensor of shape \(3,\)"),
    "no loss": (Mine(lambda _, total: total), "return a Loss whose total is one number; it returned a Tensor"),
    "a vector total": (Mine(lambda _, total: Loss(total.expand(2))), "whose total is one number"),
    "another's buffer": (Mine(lambda _, t: Loss(t, None, {}, {"other": t})), "moves 'other', which is no buffer"),
    "another shape": (Mine(lambda _, t: Loss(t, None, {}, {"state": t})), "moves 'state', which is no buffer"),
    "a constant": (
        Mine(lambda _, t: Loss(t.detach())),
        "does not depend on vae, objective, which the phase",
    ),
    "an unknown part": (
        Procedure({"a": Phase(Elbo(), parts=("encoder",))}),
        "moves 'encoder', which this model does not",
    ),
    "nothing to move": (Procedure({"a": Phase(Elbo(), parts=("prior",))}), "where there is no parameter to learn"),
    "not reached": (
        Procedure(
            {"a": Phase(Mine(lambda v, _: Loss(v.likelihood.network.layers[0].weight.sum())), parts=("posterior",))}
        ),
        "does not depend on posterior",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words_before_anything_is_written(name: str, data: er.data.Dataset, tmp_path: Path) -> None:
    how, said = REFUSED[name]
    with pytest.raises(er.InputError, match=said) as raised:
        er.fit(model(), data, how, epochs=1, progress=False, run=tmp_path / "run")
    assert str(raised.value).endswith(".")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("phases", "said"), [({}, "one phase or more"), ({"a.b": Phase(Elbo())}, "without a dot")])
def test_a_procedure_needs_phases_by_plain_names(phases: dict[str, Phase], said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        Procedure(phases)


@pytest.mark.parametrize("parts", [(), "vae"])
def test_a_phase_needs_parts(parts: Any) -> None:
    with pytest.raises(er.InputError, match="parts names what a phase moves"):
        Phase(Elbo(), parts=parts)


def test_a_nan_objective_ends_in_words(data: er.data.Dataset, tmp_path: Path) -> None:
    with pytest.raises(er.InputError, match="no finite validation value"):
        er.fit(model(), data, Mine(lambda _, t: Loss(t * math.nan)), epochs=2, progress=False, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_objective_without_terms_is_logged_all_the_same(data: er.data.Dataset) -> None:
    one, history = trained(model(), data, Mine(lambda _, total: Loss(total)))
    other, expected = trained(model(), data, Elbo())
    assert distance(one.vae, other.vae) == 0
    for name in ("objective", "rate", "distortion"):
        assert history.column("validation", name) == pytest.approx(expected.column("validation", name), rel=1e-6)


class Tempered(Objective):
    """Elbo whose weight of the rate is learnt beside the model, towards 2, and which counts its updates."""

    def __init__(self) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))

    def forward(self, vae: er.VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        total = terms.rate().mean() * self.log_weight.detach().exp() - terms.log_likelihood.mean()
        return Loss(total + (self.log_weight.exp() - 2).square(), terms, {}, {"updates": self.updates + 1})


def test_what_an_objective_learns_and_counts_is_trained_kept_and_resumed(data: er.data.Dataset, tmp_path: Path) -> None:
    settings = {"epochs": 40, "lr": 0.03, "select": "last"}
    straight, _ = trained(model(), data, Tempered(), **settings)
    objective = straight.procedure["objective"].objective
    assert objective.log_weight.exp().item() == pytest.approx(2.0, abs=0.02)
    assert objective.updates.item() == 40 * 3
    trained(model(), data, Tempered(), **settings | {"epochs": 17}, run=tmp_path)
    again, _ = trained(model(), data, Tempered(), **settings, run=tmp_path, resume=True)
    assert distance(straight, again) == 0


def test_patience_stops_by_the_fixed_number(data: er.data.Dataset) -> None:
    step, history = trained(model(), data, Geco(8.5), epochs=60, lr=0.05, patience=4)
    stated = [step.procedure.kept_by(row["validation"]) for row in history.rows]
    assert len(history.rows) == history.best_epoch + 4 < 60
    assert history.best_epoch == 1 + int(np.argmin(stated))


@pytest.mark.parametrize("how", [WakeSleep(), Geco(8.5)], ids=["phases", "state"])
def test_several_processes_are_refused_where_each_would_go_its_own_way(data: er.data.Dataset, how: Any) -> None:
    with pytest.raises(er.InputError, match="leave processes at 1"):
        er.fit(model(), data, how, epochs=1, processes=2, progress=False)


def test_runs_of_the_first_version_are_read_and_not_resumed(data: er.data.Dataset, tmp_path: Path) -> None:
    vae = model()
    trained(vae, data, Elbo(), run=tmp_path)
    kept = tmp_path / "recipe.yaml"
    recipe = yaml.safe_load(kept.read_text())
    assert recipe["version"] == 2
    kept.write_text(yaml.safe_dump(recipe | {"version": 1}))
    assert distance(read_run(tmp_path)[0], vae) == 0
    with pytest.raises(er.InputError, match=r"begun by an older elbowroom \(version 1\).*read it with read_run"):
        trained(model(), data, Elbo(), run=tmp_path, resume=True)


def test_only_members_tied_alike_are_stacked(data: er.data.Dataset) -> None:
    """One network in two places is one in a stack too; a copy in its place is another structure."""

    def two_blocks(tied: bool) -> er.VAE:
        torch.manual_seed(0)
        nets = [er.networks.MLP([D, 8, 2])] * 2 if tied else [er.networks.MLP([D, 8, 2]) for _ in range(2)]
        q = {name: er.posteriors.DiagonalNormal(net, 1) for name, net in zip("ab", nets, strict=True)}
        prior = {name: er.priors.StandardNormal(1) for name in "ab"}
        decoder = er.networks.MLP([2, D])
        return er.VAE(prior, q, er.likelihoods.Normal(decoder, D, given=("a", "b"))).double()

    models = [two_blocks(tied) for tied in (True, True, False)]
    alone = [copy.deepcopy(vae) for vae in models]
    settings = {"epochs": 3, "lr": 1e-2, "progress": False}
    fit_stacked(models, data, [Elbo(), Elbo(2.0), Elbo()], **settings)
    for vae, expected, beta in zip(models, alone, (1.0, 2.0, 1.0), strict=True):
        er.fit(expected, data, Elbo(beta), **settings)
        assert distance(vae, expected) < 1e-10
    assert why_alone(models[0], Elbo(), data) is None


def test_decay_rates_are_two():
    with pytest.raises(er.InputError, match="two decay rates"):
        Phase(Elbo(), betas=(0.9,))
