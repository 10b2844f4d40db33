"""Where models are trained changes nothing about what they become."""

import contextlib
import importlib
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.objectives import Elbo
from elbowroom.runs import read_run
from elbowroom.training import TrainingStep, fit_stacked, placement
from elbowroom.training.placement import multiplications, processes_for, shared, threads_for, worth_stacking


@pytest.fixture(scope="module")
def digits():
    return er.load_data("digits")


HERE = """
import os
from torch import nn

class Here(nn.Linear):
    place = 0

    def forward(self, x):
        if os.getpid() != self.place:
            raise ArithmeticError("not here")
        return super().forward(x)
"""


def model(digits, decoder: nn.Module, *, norm: str | None = None):
    torch.manual_seed(0)
    encoder = er.networks.MLP([64, 8, 4], norm=norm)
    likelihood = er.likelihoods.Normal(decoder, 64, start=0.3)  # settled without PCA, which each process would load
    return er.VAE(
        er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(encoder, 2), likelihood, preprocess=digits.preprocess
    )


def step(digits, *widths: int) -> TrainingStep:
    return TrainingStep(er.models.build({"latents": 2, "widths": widths, "likelihood": "normal"}, digits), Elbo())


def test_two_processes_give_the_bits_of_one(digits, tmp_path):
    settings = {"epochs": 3, "patience": 1, "lr": 0.1, "progress": False}
    found = []
    for processes in (1, 2):
        torch.manual_seed(1)
        vaes = [model(digits, er.networks.MLP([2, 8, 64]), norm="batch") for _ in range(3)]
        folders = [tmp_path / f"{processes}-{place}" for place in range(3)]
        goals = [Elbo(beta) for beta in (0.1, 1.0, 10.0)]
        histories = fit_stacked(vaes, digits, goals, processes=processes, runs=folders, **settings)
        assert [read_run(folder)[1].best_epoch for folder in folders] == [one.best_epoch for one in histories]
        found.append((vaes, histories))
    for one, other, mine, theirs in zip(found[0][0], found[1][0], found[0][1], found[1][1], strict=True):
        first, second = one.state_dict(), other.state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], value) for name, value in second.items())
        assert mine.column("validation", "objective") == theirs.column("validation", "objective")
        assert not other.training


def test_what_fails_in_another_process_is_said_here(digits, tmp_path, monkeypatch):
    (tmp_path / "fails_elsewhere.py").write_text(HERE)
    monkeypatch.syspath_prepend(tmp_path)
    layers = [importlib.import_module("fails_elsewhere").Here(2, 64) for _ in range(2)]
    for layer in layers:
        layer.place = os.getpid()
    vaes = [model(digits, layer, norm="batch") for layer in layers]
    with pytest.raises(ArithmeticError, match="not here"):
        fit_stacked(vaes, digits, [Elbo(), Elbo(2.0)], epochs=1, processes=2, progress=False)


def trainers() -> list[int]:
    """Processes that were begun here to train, and run."""
    found = []
    for about in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = about.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z" and "popen_loky" in (about.parent / "cmdline").read_text():
                found.append(int(about.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_whoever_ends_a_training_ends_its_processes_and_is_told(digits, monkeypatch, capsys):
    """By the signal of a cluster, which comes while the processes begin."""
    seen = []

    def waits(*_):
        seen.extend(trainers())
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(importlib.import_module("elbowroom.training.side_by_side"), "wait", waits)
    vaes = [model(digits, nn.Linear(2, 64), norm="batch") for _ in range(2)]
    before, goals = signal.SIG_DFL, [Elbo(), Elbo(2.0)]
    outer = signal.signal(signal.SIGTERM, before)  # the command line, if it ran in this process, has set its own
    with pytest.raises(SystemExit, match="143"):
        fit_stacked(vaes, digits, goals, epochs=9_999, processes=2, progress=False)
    assert (len(seen), trainers()) == (2, [])
    assert signal.signal(signal.SIGTERM, outer) is before
    said = "Ended by SIGTERM, as are the processes that train: resume=True goes on in their run folders.\n"
    assert capsys.readouterr().err == said


def test_multiplications_are_those_of_the_weights(digits):
    one = step(digits, 16, 8)
    weights = sum(p.numel() for p in one.parameters() if p.dim() == 2)
    assert weights == 64 * 16 + 16 * 8 + 8 * 4 + 2 * 8 + 8 * 16 + 16 * 64
    assert multiplications(one.vae, digits, 100) == 100 * weights
    assert worth_stacking(one.vae, digits, 100)
    assert not worth_stacking(er.models.build({}, digits), digits, 10_000)


def test_a_group_is_cut_for_every_core_and_for_memory(digits, monkeypatch):
    small, usual = step(digits, 8), TrainingStep(er.models.build({}, digits), Elbo())
    monkeypatch.setattr(placement, "_cores", lambda: 2)
    sizes = [
        [len(part) for part in shared(range(n), one, digits, 100)] for one in (small, usual) for n in (7, 16, 3, 1)
    ]
    assert sizes == [[7], [8, 8], [3], [1], [3, 4], [8, 8], [1, 2], [1]]
    monkeypatch.setattr(placement, "_MOST_TOGETHER", 3 * sum(p.numel() for p in small.parameters()))
    assert shared(range(5, 12), small, digits, 100) == [[5, 6], [7, 8], [9, 10, 11]]


def test_small_models_are_trained_on_one_thread_and_large_ones_as_they_were(digits):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for batch_size, threads in ((100, 1), (1_000_000, 2)):
            with threads_for(step(digits, 8).vae, digits, batch_size):
                assert torch.get_num_threads() == threads
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_processes_are_begun_only_where_they_can_and_where_it_is_worth_it(digits, monkeypatch):
    class Local(nn.Linear):
        pass

    steps = [[step(digits, 8)], [step(digits, 9)], [step(digits, 10)]]
    local = [[TrainingStep(model(digits, Local(2, 64)), Elbo())]] * 2
    monkeypatch.setattr(placement, "_cores", lambda: 2)
    long, short = 10**9, 1

    def processes(groups, updates, wanted=None):
        return processes_for(groups, digits, 100, updates, wanted)

    assert (processes(steps, long), processes(steps, short), processes(steps[:1], long)) == (2, 1, 1)
    assert (processes(steps, short, 3), processes(steps, long, 1), processes(steps[:2], short, 8)) == (3, 1, 2)
    assert (processes(local, long), processes(local, long, 2)) == (1, 1)
    monkeypatch.setattr(placement, "_cores", lambda: 1)
    assert processes(steps, long) == 1
    monkeypatch.setattr(placement, "_BYTES_COPIED", 1_000)
    assert processes(steps, long, 2) == 1
