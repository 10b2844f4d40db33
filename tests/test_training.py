"""Training on digits: against probabilistic PCA, stacked against alone, resumed against straight, and when to stop."""

import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.decomposition import PCA
from torch import nn

import elbowroom as er
from elbowroom.objectives import Elbo, LinearSchedule
from elbowroom.runs import History, read_run
from elbowroom.training import TrainingStep, fit_stacked
from elbowroom.training.engines import Adam
from elbowroom.training.groups import groups
from elbowroom.training.loop import Loop

State = dict[str, torch.Tensor]
BETAS = (0.1, 1.0, 4.0)


@pytest.fixture(scope="module")
def digits() -> er.data.Dataset:
    return er.load_data("digits")


def small(
    data: er.data.Dataset,
    scale: Any = "shared",
    latents: int = 3,
    norm: str | None = None,
    seed: int = 0,
    start: float | None = None,
) -> er.VAE:
    torch.manual_seed(seed)
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 16, 2 * latents], norm=norm), latents),
        er.likelihoods.Normal(er.networks.MLP([latents, 16, 64]), 64, scale=scale, start=start),
        preprocess=data.preprocess,
    )


def trained(vae: er.VAE, data: er.data.Dataset, *args: Any, **settings: Any) -> tuple[State, History]:
    history = er.fit(vae, data, *args, progress=False, **settings)
    return vae.state_dict(), history


def distance(one: State, other: State) -> float:
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one if one[name].numel())


def plain_rows(history: History) -> list[dict[str, Any]]:
    """Rows without the seconds they took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history.rows]


# Against an exact answer ----------------------------------------------------------------------------------------------


def test_a_linear_vae_reaches_probabilistic_pca() -> None:
    data = er.load_data("digits", preprocess="standardise")
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 4]), 2),
        er.likelihoods.Normal(er.networks.MLP([2, 64]), 64, scale="shared"),
        preprocess=data.preprocess,
    )
    er.fit(vae, data, epochs=60, lr=5e-2, lr_final=1e-4, progress=False)
    bound = er.evidence.elbo(vae, data.train, draws=64)
    noise = vae.keyed_noise(1, data.train.index, seed=0)["x"]
    y, log_jacobian = data.preprocess(data.train.x, noise)
    optimum = PCA(2).fit(y.double().numpy()).score(y.double().numpy()) + log_jacobian.mean().item()
    # Nothing of this form beats pPCA; 150 epochs at lr 0.02 come within 0.009 nats, these 60 within 0.034.
    assert -0.1 < bound.mean - optimum < 4 * bound.se_mc


# Stacked against alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "settings", "tolerance"),
    [
        (torch.float32, {}, 1e-5),  # measured: 3e-7, as a batched matrix product adds in another order
        (torch.float32, {"clip": 1.0}, 1e-5),
        (torch.float64, {}, 1e-10),  # measured: 1e-16
        (torch.float64, {"clip": 1.0, "lr_final": 1e-4}, 1e-10),
    ],
)
def test_each_member_of_a_stack_is_the_model_trained_alone(
    digits: er.data.Dataset, dtype: torch.dtype, settings: dict[str, Any], tolerance: float
) -> None:
    model = small(digits).to(dtype)
    settings = {"epochs": 3, "progress": False, **settings}
    stack = [copy.deepcopy(model) for _ in BETAS]
    together = fit_stacked(stack, digits, [Elbo(beta) for beta in BETAS], **settings)
    for vae, beta, history in zip(stack, BETAS, together, strict=True):
        alone = copy.deepcopy(model)
        expected = er.fit(alone, digits, Elbo(beta), **settings)
        assert distance(vae.state_dict(), alone.state_dict()) < tolerance
        assert history.best_epoch == expected.best_epoch
        values, wanted = history.column("validation", "objective"), expected.column("validation", "objective")
        assert values == pytest.approx(wanted, rel=1e-5 if dtype == torch.float32 else 1e-12)
    assert distance(stack[0].state_dict(), stack[2].state_dict()) > 1e-3


def test_members_choose_their_epochs_and_stop_as_alone(digits: er.data.Dataset) -> None:
    # A learning rate at which the validation value goes up and down, so that patience is spent at different epochs.
    settings = {"epochs": 20, "lr": 0.1, "patience": 1, "progress": False}
    model = small(digits).double()
    stack = [copy.deepcopy(model) for _ in BETAS]
    together = fit_stacked(stack, digits, [Elbo(beta) for beta in BETAS], **settings)
    lengths = set()
    for vae, beta, history in zip(stack, BETAS, together, strict=True):
        alone = copy.deepcopy(model)
        expected = er.fit(alone, digits, Elbo(beta), **settings)
        lengths.add(len(expected.rows))
        assert len(history.rows) == len(expected.rows)
        assert history.best_epoch == expected.best_epoch < len(history.rows)
        assert distance(vae.state_dict(), alone.state_dict()) < 1e-8
    assert len(lengths) > 1


def test_batch_norm_is_trained_one_by_one_with_the_same_result(digits: er.data.Dataset) -> None:
    model = small(digits, norm="batch")
    stack = [copy.deepcopy(model) for _ in BETAS[:2]]
    fit_stacked(stack, digits, [Elbo(beta) for beta in BETAS[:2]], epochs=2, progress=False)
    for vae, beta in zip(stack, BETAS, strict=False):
        alone, _ = trained(copy.deepcopy(model), digits, Elbo(beta), epochs=2)
        assert distance(vae.state_dict(), alone) == 0


def test_members_that_differ_in_more_than_numbers_keep_what_they_are(digits: er.data.Dataset) -> None:
    models = [small(digits, scale=0.3), small(digits, scale=1.0), small(digits, scale=0.3, seed=1)]
    goals = [Elbo(), Elbo(), Elbo(schedule=LinearSchedule(12))]
    stack = copy.deepcopy(models)
    histories = fit_stacked(stack, digits, goals, epochs=2, progress=False)
    for vae, model, goal, history in zip(stack, models, goals, histories, strict=True):
        alone, expected = trained(model, digits, goal, epochs=2)
        assert distance(vae.state_dict(), alone) == 0
        assert plain_rows(history) == plain_rows(expected)


def test_members_of_a_stack_have_rates_patience_and_schedules_of_their_own(digits: er.data.Dataset) -> None:
    models = [small(digits, scale=0.3, seed=seed) for seed in range(3)]
    goals = [Elbo(schedule=LinearSchedule(steps)) for steps in (6, 30, 12)]
    own = {"lr": [3e-3, 1e-3, 1e-3], "lr_final": [None, 1e-4, 1e-5], "patience": [1, None, 2], "seed": [0, 1, 2]}
    stack = copy.deepcopy(models)
    assert len(groups([TrainingStep(*pair) for pair in zip(stack, goals, strict=True)])) == 1
    histories = fit_stacked(stack, digits, goals, epochs=4, progress=False, **own)
    for i, (vae, model, goal, history) in enumerate(zip(stack, models, goals, histories, strict=True)):
        alone, expected = trained(model, digits, goal, epochs=4, **{name: value[i] for name, value in own.items()})
        assert distance(vae.state_dict(), alone) < 1e-5
        assert (history.best_epoch, len(history.rows)) == (expected.best_epoch, len(expected.rows))
    with pytest.raises(er.InputError, match="Say one lr for all models, or one for each; got 2 for 3 models"):
        fit_stacked(stack, digits, goals, lr=[1e-3, 1e-4], progress=False)


# The same bits again --------------------------------------------------------------------------------------------------


def with_dropout(data: er.data.Dataset) -> er.VAE:
    vae = small(data)
    vae.posterior["z"].network.layers.insert(0, nn.Dropout(0.2))
    return vae


@pytest.mark.parametrize("make", [small, with_dropout])
def test_the_same_seed_gives_the_same_bits(digits: er.data.Dataset, make: Callable[[er.data.Dataset], er.VAE]) -> None:
    first, one = trained(make(digits), digits, epochs=2, seed=5)
    torch.randn(7)
    before = torch.get_rng_state()
    second, two = trained(copy.deepcopy(make(digits)), digits, epochs=2, seed=5)
    other, _ = trained(make(digits), digits, epochs=2, seed=6)
    assert distance(first, second) == 0
    assert plain_rows(one) == plain_rows(two)
    assert distance(first, other) > 1e-4
    make(digits)
    assert before.shape == torch.get_rng_state().shape


def test_fit_leaves_the_global_random_state_alone(digits: er.data.Dataset) -> None:
    vae = with_dropout(digits)
    before = torch.get_rng_state()
    er.fit(vae, digits, epochs=1, progress=False)
    assert torch.equal(before, torch.get_rng_state())


# Run folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [small, with_dropout])
def test_three_epochs_and_three_more_are_six(
    digits: er.data.Dataset, tmp_path: Path, make: Callable[[er.data.Dataset], er.VAE]
) -> None:
    straight, expected = trained(
        make(digits), digits, Elbo(schedule=LinearSchedule(20)), epochs=6, run=tmp_path / "straight"
    )
    trained(make(digits), digits, Elbo(schedule=LinearSchedule(20)), epochs=3, run=tmp_path / "run")
    again, history = trained(
        make(digits), digits, Elbo(schedule=LinearSchedule(20)), epochs=6, run=tmp_path / "run", resume=True
    )
    assert distance(straight, again) == 0
    assert plain_rows(history) == plain_rows(expected)
    assert (history.best_epoch, history.notes) == (expected.best_epoch, expected.notes)
    if make is small:
        kept, read = read_run(tmp_path / "run")
        assert distance(kept.state_dict(), straight) == 0
        assert plain_rows(read) == plain_rows(expected)
        assert str(read).startswith("6 epochs in")


class Killed(Exception):
    """What stops a run from without."""


def kill_after(monkeypatch: pytest.MonkeyPatch, epochs: int, checkpoint_every: float) -> None:
    """Let a run die in the middle of an epoch, its checkpoints `checkpoint_every` seconds apart."""
    whole = Loop._train

    def train(self: Loop) -> Any:
        if self.epoch > epochs:
            raise Killed
        return whole(self)

    monkeypatch.setattr(Loop, "_train", train)
    monkeypatch.setattr("elbowroom.training.loop._CHECKPOINT_EVERY", checkpoint_every)


def only_checkpoint_at(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    whole = Loop._write
    monkeypatch.setattr(Loop, "_write", lambda self: whole(self) if self.epoch == epoch else None)


@pytest.mark.parametrize("checkpoint", [0, 2])
def test_a_killed_run_goes_on_from_its_checkpoint_bit_for_bit(
    digits: er.data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: int
) -> None:
    straight, expected = trained(small(digits), digits, epochs=6)
    with monkeypatch.context() as patch:
        kill_after(patch, epochs=4, checkpoint_every=-1.0)
        only_checkpoint_at(patch, checkpoint)
        with pytest.raises(Killed):
            trained(small(digits), digits, epochs=6, run=tmp_path)
    rows = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(rows) == 4  # ahead of the checkpoint
    assert (tmp_path / "training.safetensors").exists() == (checkpoint > 0)
    with pytest.raises(er.InputError, match=r"not finished: repeat its fit with resume=True\.$"):
        read_run(tmp_path)
    again, history = trained(small(digits), digits, epochs=6, run=tmp_path, resume=True)
    assert distance(straight, again) == 0
    assert plain_rows(history) == plain_rows(expected) == plain_rows(read_run(tmp_path)[1])


def resumed_stack(data: er.data.Dataset, folders: Sequence[Path], epochs: int, resume: bool = False) -> list[State]:
    model = small(data)
    stack = [copy.deepcopy(model) for _ in BETAS]
    goals = [Elbo(beta) for beta in BETAS]
    fit_stacked(stack, data, goals, epochs=epochs, runs=folders, resume=resume, patience=3, lr=3e-2, progress=False)
    return [vae.state_dict() for vae in stack]


def test_a_stack_resumes_bit_for_bit(digits: er.data.Dataset, tmp_path: Path) -> None:
    straight = resumed_stack(digits, [tmp_path / f"s{beta}" for beta in BETAS], 6)
    folders = [tmp_path / f"r{beta}" for beta in BETAS]
    resumed_stack(digits, folders, 3)
    again = resumed_stack(digits, folders, 6, resume=True)
    assert [distance(*pair) for pair in zip(straight, again, strict=True)] == [0, 0, 0]
    for beta in BETAS:
        assert plain_rows(read_run(tmp_path / f"r{beta}")[1]) == plain_rows(read_run(tmp_path / f"s{beta}")[1])


def test_a_stack_killed_between_two_checkpoints_still_ends_with_the_same_bits(
    digits: er.data.Dataset, tmp_path: Path
) -> None:
    straight = resumed_stack(digits, [tmp_path / f"s{beta}" for beta in BETAS], 4)
    folders = [tmp_path / f"r{beta}" for beta in BETAS]
    resumed_stack(digits, folders, 3)
    ahead = (folders[0] / "training.safetensors").read_bytes()
    shorter = [tmp_path / f"q{beta}" for beta in BETAS]
    resumed_stack(digits, shorter, 2)
    (shorter[0] / "training.safetensors").write_bytes(ahead)
    again = resumed_stack(digits, shorter, 4, resume=True)
    assert [distance(*pair) for pair in zip(straight, again, strict=True)] == [0, 0, 0]
    rows = (shorter[0] / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2, 3, 4]


def refused(vae: er.VAE, data: er.data.Dataset, *args: Any, **settings: Any) -> str:
    with pytest.raises(er.InputError) as raised:
        er.fit(vae, data, *args, **{"epochs": 1, "progress": False, **settings})
    message = str(raised.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_folders_that_hold_something_else_are_refused(digits: er.data.Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(small(digits), digits, epochs=1, run=run)
    assert "holds a run already: say resume=True" in refused(small(digits), digits, run=run)
    assert "its objective differs" in refused(small(digits), digits, Elbo(2.0), run=run, resume=True)
    assert "its training differs" in refused(small(digits), digits, run=run, resume=True, lr=1e-2)
    assert "its model differs" in refused(small(digits, latents=2), digits, run=run, resume=True)
    assert "no run to resume" in refused(small(digits), digits, run=tmp_path / "none", resume=True)
    assert "name it with run=" in refused(small(digits), digits, resume=True)
    assert not (tmp_path / "none").exists()
    other = er.load_data("digits", seed=1)
    assert "split by seed 1, and the run's by seed 0" in refused(small(digits), other, run=run, resume=True)

    checkpoint = (run / "training.safetensors").read_bytes()
    (run / "training.safetensors").write_bytes(checkpoint[:-100])
    assert "training.safetensors is damaged" in refused(small(digits), digits, run=run, resume=True)
    (run / "training.safetensors").write_bytes(checkpoint[:50])
    assert "training.safetensors is damaged" in refused(small(digits), digits, run=run, resume=True)
    (run / "history.jsonl").write_text("{")
    with pytest.raises(er.InputError, match="missing or damaged"):
        read_run(run)

    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"version": 99}))
    for raised in (refused(small(digits), digits, run=run, resume=True), _unreadable(run)):
        assert "version 99, and this elbowroom reads versions 1 and 2" in raised
    (run / "recipe.yaml").write_text("{")
    assert "recipe.yaml is not YAML" in _unreadable(run)
    assert "no run folder: it has no recipe.yaml" in _unreadable(tmp_path)


def _unreadable(run: Path) -> str:
    with pytest.raises(er.InputError) as raised:
        read_run(run)
    return str(raised.value)


# When to stop, and which epoch to keep --------------------------------------------------------------------------------


@pytest.mark.parametrize("select", ["objective", "calibrated"])
def test_stopping_at_a_small_beta_and_a_wide_sigma_keeps_the_latent_alive(digits: er.data.Dataset, select: Any) -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(16),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 128, 32]), 16),
        er.likelihoods.Normal(er.networks.MLP([16, 128, 64]), 64, scale=1.0),
        preprocess=digits.preprocess,
    )
    history = er.fit(vae, digits, Elbo(beta=0.01), epochs=25, patience=5, select=select, progress=False)
    # The wrong rule: the bound at β = 1 of a model that is trained at β = 0.01.
    bound = [-row["validation"]["rate"] - row["validation"]["distortion"] for row in history.rows]
    wrong = history.rows[int(np.argmax(bound))]
    assert wrong["epoch"] <= 2
    assert wrong["validation"]["rate"] < 2
    assert history.best_epoch > 15
    assert history.best["validation"]["rate"] > 15
    assert er.evidence.rate_distortion(vae, digits.validation).rate.mean > 15


def test_the_calibrated_value_is_the_bound_at_the_best_sigma(digits: er.data.Dataset, monkeypatch: Any) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        "elbowroom.training.loop.Member._after_schedule",
        lambda self, row: seen.append(self.value(row["train"], row["validation"])) or True,
    )
    vae = small(digits, scale=1.0)
    er.fit(vae, digits, Elbo(0.01), epochs=1, lr=1e-9, select="calibrated", progress=False)
    noise = vae.keyed_noise(64, digits.train.index, seed=1)
    batch = digits.train.batch()
    with torch.no_grad():
        terms = vae(batch, noise)
        sigma = (terms.p_x.mean - terms.y).square().mean().sqrt().item()
        validation = digits.validation.batch()
        terms = vae(validation, vae.keyed_noise(1, validation.index, seed=0))
        best = torch.distributions.Normal(terms.p_x.mean, sigma).log_prob(terms.y).sum(-1)
        bound = (best - terms.rate()).mean().item()
    # Both take σ from the training data, with other noise: 76,800 residuals settle σ² to about one part in 200.
    assert -seen[0] == pytest.approx(bound, abs=0.1)


def test_nothing_is_chosen_or_counted_before_the_schedule_ends(digits: er.data.Dataset) -> None:
    # 12 steps an epoch: a warm-up of 60 ends with epoch 5. While β rises from 0 the rate, and with it the loss at
    # full β, is worst at first, and the early epochs of a large β are best: those must not be kept.
    history = er.fit(
        small(digits),
        digits,
        Elbo(beta=20.0, schedule=LinearSchedule(60)),
        epochs=14,
        lr=2e-2,
        patience=2,
        progress=False,
    )
    values = dict(enumerate(history.column("validation", "objective"), start=1))
    assert [row["epoch"] for row in history.rows if row["step"] < 60] == [1, 2, 3, 4]
    assert history.best_epoch == min((e for e in values if e >= 5), key=values.__getitem__)
    assert len(history.rows) >= 6
    weights = history.column("train", "beta")
    assert weights[:2] == pytest.approx([20 * 5.5 / 60, 20 * 17.5 / 60])
    assert weights[5] == 20.0
    assert "beta" not in history.rows[0]


def test_patience_counts_from_the_end_of_the_schedule(digits: er.data.Dataset) -> None:
    settings = {"epochs": 12, "lr": 1e-9, "patience": 3, "progress": False}
    history = er.fit(small(digits).double(), digits, Elbo(schedule=LinearSchedule(60)), **settings)
    assert len(history.rows) >= 5 + 3
    assert history.best_epoch >= 5
    assert len(history.rows) == min(12, history.best_epoch + 3)
    stopped = f"for 3 epochs the validation value had not improved on that of epoch {history.best_epoch}"
    assert any(stopped in note for note in history.notes) == (len(history.rows) < 12)


def test_last_keeps_the_last_epoch(digits: er.data.Dataset) -> None:
    history = er.fit(small(digits), digits, epochs=3, lr=0.3, select="last", progress=False)
    assert history.best_epoch == 3


@pytest.mark.parametrize(
    ("n", "batch_size", "steps"), [(300, 100, 3), (301, 100, 3), (302, 100, 4), (5, 100, 1), (7, 2, 3)]
)
def test_a_warm_up_may_take_all_steps_of_the_run_but_no_more(n: int, batch_size: int, steps: int) -> None:
    x = np.random.default_rng(0).normal(size=(n + 2, 2))
    data = er.load_data(x, validation=1, test=1)

    def model() -> er.VAE:
        return er.VAE(
            er.priors.StandardNormal(1),
            er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1),
            er.likelihoods.Normal(nn.Linear(1, 2), 2),
            preprocess=data.preprocess,
        )

    history = er.fit(
        model(), data, Elbo(schedule=LinearSchedule(2 * steps)), epochs=2, batch_size=batch_size, progress=False
    )
    assert (history.rows[-1]["step"], history.best_epoch) == (2 * steps, 2)
    said = refused(model(), data, Elbo(schedule=LinearSchedule(2 * steps + 1)), epochs=2, batch_size=batch_size)
    assert f"takes {2 * steps + 1} steps and the run only {2 * steps}" in said


# Numbers --------------------------------------------------------------------------------------------------------------


def test_validation_is_a_mean_over_examples_whatever_the_batches(
    digits: er.data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elbowroom.training.loop._ROWS_AT_ONCE", 130)  # 200 examples: batches of 130 and 70
    vae = small(digits).double()
    history = er.fit(vae, digits, Elbo(beta=2.0), epochs=1, seed=4, select="last", progress=False)
    rate, distortion, _ = er.evidence.rate_distortion(vae, digits.validation, draws=1, seed=4)
    row = history.rows[0]["validation"]
    # Evidence dequantises in float32, training of this model in float64.
    assert row["rate"] == pytest.approx(rate.mean, rel=1e-8)
    assert row["distortion"] == pytest.approx(distortion.mean, rel=1e-8)
    assert row["objective"] == pytest.approx(distortion.mean + 2 * rate.mean, rel=1e-8)


def test_the_training_row_is_a_mean_over_examples_whatever_the_batches() -> None:
    """At a learning rate of nearly 0 every batch sees one model: batches of 70 and 30 against all 100 at once."""
    x = np.random.default_rng(0).standard_cauchy((120, 64))
    data = er.load_data(x, validation=10, test=10)
    rows = [
        er.fit(small(data).double(), data, epochs=1, batch_size=size, lr=1e-12, progress=False).rows[0]["train"]
        for size in (70, 100)
    ]
    assert rows[0]["rate"] == pytest.approx(rows[1]["rate"], rel=1e-8)


def test_the_learning_rate_falls_by_the_same_factor(digits: er.data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = torch.optim.Adam.step

    def step(self: torch.optim.Adam) -> None:
        seen.append(self.param_groups[0]["lr"])
        whole(self)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    er.fit(small(digits), digits, epochs=3, batch_size=1_200, lr=1e-2, lr_final=1e-4, progress=False)
    assert seen == pytest.approx([1e-2, 1e-3, 1e-4])


def test_one_step_is_adams(digits: er.data.Dataset) -> None:
    """Adam's first step moves every parameter by lr against the sign of its gradient, clipped or not."""
    vae = small(digits).double()
    before = copy.deepcopy(vae.state_dict())
    er.fit(vae, digits, epochs=1, batch_size=1_200, lr=1e-3, clip=0.5, select="last", progress=False)
    moved = (vae.state_dict()["likelihood.network.layers.2.bias"] - before["likelihood.network.layers.2.bias"]).abs()
    assert moved.max().item() == pytest.approx(1e-3, rel=1e-4)
    assert Adam(1e-3).rate_at(7, 9) == 1e-3


# Numbers that are none ------------------------------------------------------------------------------------------------


class Overflowing(nn.Module):
    """A decoder whose output is NaN once its bias has been trained far enough from 0."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.linear, self.limit = nn.Linear(3, 64), limit
        nn.init.zeros_(self.linear.bias)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        far = self.linear.bias.abs().max() > self.limit
        return torch.where(far, torch.nan, self.linear(z))


def overflowing(data: er.data.Dataset, limit: float) -> er.VAE:
    vae = small(data)
    vae.likelihood.network = Overflowing(limit)
    return vae


def test_a_run_that_overflows_keeps_its_last_good_epoch(digits: er.data.Dataset, tmp_path: Path) -> None:
    history = er.fit(overflowing(digits, 0.05), digits, epochs=20, select="last", run=tmp_path, progress=False)
    assert 1 < len(history.rows) < 20
    assert history.best_epoch == len(history.rows) - 1
    assert f"no longer finite at epoch {len(history.rows)}; epoch {history.best_epoch} was kept." in "".join(
        history.notes
    )
    assert (tmp_path / "model.safetensors").exists()


def test_one_overflowing_member_does_not_touch_the_others(digits: er.data.Dataset) -> None:
    stack = [overflowing(digits, limit) for limit in (0.05, 0.05)]
    with torch.no_grad():
        stack[1].likelihood.network.linear.bias.fill_(-0.5)  # beyond the limit from the start
    good, lost = fit_stacked(stack, digits, [Elbo(), Elbo()], epochs=2, progress=False)
    assert (good.diverged, lost.diverged) == (False, True)
    assert lost.notes[-1].startswith("Training diverged: lower the learning rate")
    assert all(parameter.isnan().all() for parameter in stack[1].parameters())
    alone = overflowing(digits, 0.05)
    er.fit(alone, digits, epochs=2, progress=False)
    assert distance(stack[0].state_dict(), alone.state_dict()) < 1e-5


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_a_run_without_one_finite_epoch_leaves_nothing(digits: er.data.Dataset, tmp_path: Path, lr: float) -> None:
    said = refused(small(digits, scale=1e-3), digits, lr=lr, run=tmp_path / "run", epochs=3)
    assert said.startswith("Training gave no finite validation value")
    assert "lower the learning rate" in said
    assert not (tmp_path / "run").exists()


# Context --------------------------------------------------------------------------------------------------------------


def conditional(data: er.data.Dataset, names: tuple[str, ...]) -> er.VAE:
    torch.manual_seed(0)
    labels = 10 * len(names)
    return er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([64 + labels, 32, 4]), 2, given=("x", *names)),
        er.likelihoods.Normal(er.networks.MLP([2 + labels, 32, 64]), 64, given=("z", *names)),
        preprocess=data.preprocess,
    )


def test_labels_reach_the_parts_and_help(digits: er.data.Dataset) -> None:
    bounds = []
    for names in ((), ("label",)):
        vae = conditional(digits, names)
        er.fit(vae, digits, epochs=15, lr=5e-3, progress=False)
        bounds.append(er.evidence.elbo(vae, digits.validation, draws=4))
    gain = bounds[1] - bounds[0]
    assert gain.mean > 5 * gain.se_total
    shuffled = copy.copy(digits.validation)
    shuffled.context = {"label": digits.validation.context["label"].roll(1, 0)}
    assert er.evidence.elbo(vae, shuffled, draws=4).mean < bounds[1].mean - 10


def test_a_stack_of_conditional_models_is_as_alone(digits: er.data.Dataset) -> None:
    stack = [conditional(digits, ("label",)).double() for _ in range(2)]
    fit_stacked(stack, digits, [Elbo(), Elbo(3.0)], epochs=1, progress=False)
    alone = conditional(digits, ("label",)).double()
    er.fit(alone, digits, Elbo(3.0), epochs=1, progress=False)
    assert distance(stack[1].state_dict(), alone.state_dict()) < 1e-10


# Devices and processes ------------------------------------------------------------------------------------------------


def test_two_processes_train_nearly_what_one_does(digits: er.data.Dataset, tmp_path: Path) -> None:
    """Each takes its share of every batch and its noise; only the order of sums differs."""
    settings = {"epochs": 4, "clip": 50.0, "batch_size": 300}
    begin = {"start": 0.3}  # settled without PCA, which each process would load
    one, expected = trained(small(digits, **begin), digits, **settings)
    two, history = trained(small(digits, **begin), digits, processes=2, run=tmp_path, **settings)
    assert distance(one, two) < 1e-5  # measured: 3e-8
    assert history.column("validation", "objective") == pytest.approx(
        expected.column("validation", "objective"), rel=1e-5
    )
    assert history.column("train", "rate") == pytest.approx(expected.column("train", "rate"), rel=1e-4)
    assert distance(read_run(tmp_path)[0].state_dict(), two) == 0


def test_fabric_for_one_process_gives_the_same_bits(digits: er.data.Dataset) -> None:
    one, _ = trained(small(digits), digits, epochs=2, clip=1.0)
    other, _ = trained(small(digits), digits, epochs=2, clip=1.0, precision="32")
    assert distance(one, other) == 0


def test_a_plain_fit_does_not_load_fabric() -> None:
    code = """
import sys, numpy as np, elbowroom as er
d = er.load_data(np.random.default_rng(0).normal(size=(20, 4)))
n = er.networks.MLP
vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(n([4, 2]), 1),
             er.likelihoods.Normal(n([1, 4]), 4, scale=1.0), preprocess=d.preprocess)
er.fit(vae, d, epochs=1)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("lightning_fabric", "lightning", "matplotlib")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_history_prints_what_was_kept() -> None:
    row = {"epoch": 1, "step": 1, "seconds": 2.0, "train": {}}
    history = History([row | {"validation": {"objective": 3.0, "rate": 1.0, "distortion": 2.0}}], 1)
    assert str(history) == (
        "1 epochs in 2 s; kept epoch 1 by the validation objective: rate 1.00, distortion 2.00, ELBO -3.00 nats"
    )
    assert str(History()) == "no epochs"
    assert math.isclose(history.seconds, 2.0)


def test_an_optimal_scale_ends_as_that_of_all_training_data(digits: er.data.Dataset) -> None:
    """σ² = E ‖y − μ(z)‖² / D over training data and q, whatever the last batches were; not that of validation."""
    vae = small(digits, scale="optimal")
    er.fit(vae, digits, epochs=3, progress=False)
    batch = digits.train.batch()
    with torch.no_grad():
        terms = vae(batch, vae.keyed_noise(1, batch.index, 0))
    expected = (terms.y - terms.p_x.mean).double().square().mean().sqrt().item()
    assert vae.likelihood.common_scale().item() == pytest.approx(expected, rel=1e-4)


def test_a_model_that_is_trained_goes_on_as_it_stands_where_nothing_is_settled() -> None:
    """A calibrated scale is kept by settle=False, and set anew without: at no learning rate, nothing else moves."""
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [8], "likelihood": {"kind": "normal", "scale": "shared"}}, digits)
    vae.likelihood = vae.likelihood.at_scale(0.5)
    er.fit(vae, digits, epochs=1, batch_size=600, lr=1e-12, settle=False, progress=False)
    assert vae.likelihood.common_scale().item() == pytest.approx(0.5)
    er.fit(vae, digits, epochs=1, batch_size=600, lr=1e-12, progress=False)
    assert vae.likelihood.common_scale().item() < 0.4
