"""Real numbers in files: rounded to a stated step, half of it at most away, at the price of the density over it."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import posteriors, priors
from elbowroom import preprocess as pre
from elbowroom.compression import compress, decompress
from elbowroom.compression.container import Reader
from elbowroom.evidence import elbo

D = 3
QUIET: dict[str, Any] = {"progress": False}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(1_500, D)) * [1.0, 20.0, 0.05] + [0.0, 500.0, -3.0]


def model() -> er.VAE:
    torch.manual_seed(0)
    scaler = pre.Standardise((D,)).fit(torch.from_numpy(X))
    decoder = lik.Normal(nn.Linear(2, D), D, scale=1.0)
    nn.init.normal_(decoder.network.weight, std=0.3)
    return er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(nn.Linear(D, 4), 2), decoder, scaler)


VAE = model()


@pytest.mark.parametrize("step", [0.013, [0.1, 1.0, 0.001], [1 / 3, 5.0, 0.05]])
def test_numbers_come_back_within_half_a_step_at_the_price_of_their_density(step: Any, tmp_path: Path) -> None:
    file = compress(VAE, X, tmp_path / "x.elb", step=step, chunk_rows=500, **QUIET)
    back = decompress(VAE, file.path, **QUIET)
    assert (np.abs(back - X) <= 0.500001 * np.asarray(step)).all()
    assert back.dtype == X.dtype
    steps = np.broadcast_to(step, (D,))
    assert Reader(file.path).head["settings"]["step"] == steps.tolist()
    assert "half a step away at most" in str(file)
    assert file.bound is not None
    error = 3 * math.sqrt(float(file.bound.mc_variance.sum()) * 5) / 1_000 + 0.06  # rows of the bound are the first
    assert abs(file.nats + file.bound.mean) < error + 0.005 * file.nats
    if np.max(steps / [1.0, 20.0, 0.05]) < 0.3:  # narrow cells: their masses are density times width
        wanted = -elbo(VAE, torch.from_numpy(X), draws=16).mean - np.log(steps).sum()
        assert abs(file.nats - wanted) < 0.02 * wanted
    assert file.float_bound is not None
    assert abs(file.float_bound.mean - file.bound.mean) < 0.25


def test_narrow_types_missing_cells_and_tables_come_back_within_half_a_step_too(tmp_path: Path) -> None:
    x = X.astype(np.float32)
    x[::7, 1] = np.nan
    file = compress(VAE, x, tmp_path / "x.elb", step=0.002, bounds=False, **QUIET)
    back = decompress(VAE, file.path, **QUIET)
    assert back.dtype == np.float32
    assert (np.isnan(back) == np.isnan(x)).all()
    assert np.nanmax(np.abs(back.astype(float) - x)) <= 0.0010001
    frame = pd.DataFrame({"a": X[:, 0], "n": RNG.integers(0, 9, len(X)), "w": RNG.choice(["u", "v"], len(X))})
    data = er.load_data(frame, validation=50, test=50)
    vae = er.models.build({"latents": 2, "widths": [8]}, data)
    with pytest.raises(er.CapabilityError, match="state the step"):
        compress(vae, frame[:60], tmp_path / "t.elb", **QUIET)
    compress(vae, frame[:60], tmp_path / "t.elb", step=0.01, bounds=False, **QUIET)
    again = decompress(vae, tmp_path / "t.elb", **QUIET)
    pd.testing.assert_frame_equal(again[["n", "w"]], frame.loc[:59, ["n", "w"]])
    assert np.abs(again["a"] - frame["a"][:60]).max() <= 0.0050001


def test_steps_that_cannot_be_are_refused(tmp_path: Path) -> None:
    grid = er.VAE(
        priors.StandardNormal(2), posteriors.DiagonalNormal(nn.Linear(D, 4), 2), lik.Bernoulli(nn.Linear(2, D), D)
    )
    cases = (
        (VAE, X, 0.0, "step is a number"),
        (VAE, X, 10**400, "finite number"),
        (VAE, X, [0.1, 0.1], "one for each of 3 columns"),
        (VAE, X, 1e-9, "coarser"),
        (grid, X > 0, 0.1, "leave step out"),
    )
    for vae, data, step, why in cases:
        with pytest.raises(er.InputError, match=why):
            compress(vae, data, tmp_path / "x.elb", step=step, **QUIET)
    assert not list(tmp_path.iterdir())


def test_the_command_line_takes_a_step(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from elbowroom.cli import main

    data = er.load_data(X[:200], validation=20, test=20)
    er.fit(er.models.build({"latents": 2, "widths": [4]}, data), data, epochs=1, run=tmp_path / "run", **QUIET)
    np.save(tmp_path / "x.npy", X[:50])
    monkeypatch.chdir(tmp_path)
    for typed, said in (("", "rounded to (--step), or"), (" --lossy 1", "on a stated step (--step).")):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *f"compress run x.npy --out x.elb{typed}".split()])
        with pytest.raises(SystemExit):
            main()
        assert said in capsys.readouterr().err
    for typed in ("compress run x.npy --out x.elb --step 0.01", "decompress run x.elb --out y.npy"):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *typed.split()])
        with pytest.raises(SystemExit) as raised:
            main()
        assert not raised.value.code
    assert "steps of 0.01" in capsys.readouterr().out
    assert np.abs(np.load(tmp_path / "y.npy") - X[:50]).max() <= 0.0050001
