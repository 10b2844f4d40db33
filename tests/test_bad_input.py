"""Bad input on the side of models and training: one clear sentence each, and nothing half-written."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.objectives import Elbo, LinearSchedule
from elbowroom.training import fit_stacked

MLP = er.networks.MLP
Data = er.data.Dataset


@pytest.fixture(scope="module")
def digits() -> Data:
    return er.load_data("digits")


def model(data: Data, encoder: nn.Module | None = None, decoder: nn.Module | None = None, **of_normal: Any) -> er.VAE:
    return er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(encoder or MLP([64, 4]), 2),
        er.likelihoods.Normal(decoder or MLP([2, 64]), 64, **of_normal),
        preprocess=data.preprocess,
    )


def bernoulli(data: Data, preprocess: er.preprocess.Preprocess | None) -> er.VAE:
    likelihood = er.likelihoods.Bernoulli(MLP([2, 64]), 64)
    posterior = er.posteriors.DiagonalNormal(MLP([64, 4]), 2)
    return er.VAE(er.priors.StandardNormal(2), posterior, likelihood, preprocess=preprocess)


def without(data: Data, part: str) -> Data:
    return dataclasses.replace(data, **{part: data.parts[part][:0]})


def sentence(call: Callable[[], Any], words: str) -> None:
    """The call raises one sentence with these words in it."""
    with pytest.raises(er.InputError) as raised:
        call()
    message = str(raised.value)
    assert words in message
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
    assert len(message) < 400


WRONG_MODELS: dict[str, tuple[Callable[[Data], er.VAE], str]] = {
    "Bernoulli on grey levels": (
        lambda d: bernoulli(d, d.preprocess),
        "these lie on the unit interval [0, 1]: binarise",
    ),
    "Bernoulli on a grid": (lambda d: bernoulli(d, None), "these lie on the integer grid 0…16: binarise"),
    "Normal on a raw grid": (
        lambda d: er.VAE(
            er.priors.StandardNormal(2),
            er.posteriors.DiagonalNormal(MLP([64, 4]), 2),
            er.likelihoods.Normal(MLP([2, 64]), 64),
        ),
        "grows without limit on a grid",
    ),
    "preprocessing of another grid": (
        lambda d: bernoulli(d, er.preprocess.Binarise(2, (64,))),
        "made for the integer grid 0…1; these data are integer grid 0…16",
    ),
    "an encoder of another width": (lambda d: model(d, encoder=nn.Linear(60, 4)), "check the sizes of its networks"),
    "an mlp of another width": (lambda d: model(d, encoder=MLP([60, 4])), "60"),
    "an encoder with too few outputs": (lambda d: model(d, encoder=nn.Linear(64, 3)), "needs 4 numbers per example"),
    "a decoder with too many outputs": (lambda d: model(d, decoder=nn.Linear(2, 65)), "it returned (65,)"),
    "a likelihood over other examples": (
        lambda d: er.VAE(
            er.priors.StandardNormal(2),
            er.posteriors.DiagonalNormal(MLP([64, 4]), 2),
            er.likelihoods.Normal(MLP([2, 60]), 60),
            preprocess=d.preprocess,
        ),
        "over (60,) and examples have shape (64,): build the model for data.event",
    ),
    "a likelihood over images": (
        lambda d: er.VAE(
            er.priors.StandardNormal(2),
            er.posteriors.DiagonalNormal(MLP([64, 4]), 2),
            er.likelihoods.Normal(MLP([2, 64]), (8, 8)),
            preprocess=d.preprocess,
        ),
        "load the data with flat=True or flat=False",
    ),
    "a context that the data lack": (
        lambda d: model(d, decoder=MLP([5, 64]), given=("z", "batch")),
        "reads the context 'batch', which the data lack (they have: label)",
    ),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_models_that_do_not_fit_the_data(digits: Data, tmp_path: Path, name: str) -> None:
    make, words = WRONG_MODELS[name]
    vae = make(digits)
    sentence(lambda: er.fit(vae, digits, run=tmp_path / "run", progress=False), words)
    assert not list(tmp_path.iterdir())


WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no epochs": ({"epochs": 0}, "epochs and batch_size must be 1 or more; got 0 and 100"),
    "no batch": ({"batch_size": 0}, "got 1 and 0"),
    "no patience": ({"patience": 0}, "patience is 1 epoch or more, or None"),
    "no learning rate": ({"lr": 0.0}, "lr must be a positive number; got 0.0"),
    "a negative last rate": ({"lr_final": -1e-5}, "lr_final must be a positive number"),
    "NaN": ({"lr": float("nan")}, "lr must be a finite number; got nan"),
    "no gradient": ({"clip": 0.0}, "clip must be a positive number"),
    "betas of Adam": ({"betas": (0.9, 1.0)}, "betas are Adam's two decay rates, a pair from 0 to below 1"),
    "a negative seed": ({"seed": -1}, "A seed is a whole number from 0; got -1"),
    "calibrated, and σ is learned": ({"select": "calibrated"}, "use select='objective'"),
    "a warm-up longer than the run": (
        {"objective": Elbo(schedule=LinearSchedule(13))},
        "takes 13 steps and the run only 12",
    ),
    "no processes": ({"processes": 0}, "processes must be from 1 to the 100 examples of a batch; got 0"),
    "an unknown device": ({"device": "abacus"}, "Lightning Fabric cannot train on 1 × 'abacus' in '32-true'"),
    "an unknown precision": ({"precision": "3-true"}, "in '3-true'"),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_settings_that_cannot_be(digits: Data, tmp_path: Path, name: str) -> None:
    settings, words = WRONG_SETTINGS[name]
    settings = {"epochs": 1, "progress": False, "run": tmp_path / "run", **settings}
    sentence(lambda: er.fit(model(digits), digits, **settings), words)
    assert not list(tmp_path.iterdir())


def test_words_that_mean_nothing_outside_the_tests_type_checker(tmp_path: Path) -> None:
    """Where annotations are not checked, the library itself says what it takes."""
    code = """
import json, numpy as np, elbowroom as er
from elbowroom.objectives import Elbo
d = er.load_data(np.random.default_rng(0).normal(size=(40, 64)))
MLP = er.networks.MLP
vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([64, 4]), 2),
             er.likelihoods.Normal(MLP([2, 64]), 64), preprocess=d.preprocess)
calls = {
    "select": lambda: er.fit(vae, d, select="bound"),
    "kl": lambda: Elbo(kl="exact"),
    "mode": lambda: vae.sample(1, mode="mode"),
    "array": lambda: er.fit(vae, d.train.x.numpy()),
    "spread": lambda: er.posteriors.DiagonalNormal(MLP([64, 4]), 2, spread="variance"),
    "scale": lambda: er.likelihoods.Normal(MLP([2, 64]), 64, scale="free"),
    "an axis betas": lambda: er.sweep({"latents": 2, "epochs": 1}, d, {"betas": [1.0]}, progress=False),
    "betas": lambda: er.fit(vae, d, betas=("a", "b")),
    "a phase's betas": lambda: er.procedures.Phase(Elbo(), betas=1.0),
}
said = {}
for name, call in calls.items():
    try:
        call()
    except er.InputError as error:
        said[name] = str(error)
print(json.dumps(said))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["select"] == "select must be 'objective', 'calibrated' or 'last'; got 'bound'."
    assert said["kl"] == "kl must be one of 'auto', 'closed', 'sampled', 'sticking-the-landing'; got 'exact'."
    assert said["mode"] == "mode must be 'ancestral', 'mean' or 'offset'; got 'mode'."
    assert said["array"] == "fit takes a Dataset, as er.load_data(...) makes it; got an object of type ndarray."
    assert said["spread"] == "spread must be 'softplus' or 'exp'; got 'variance'."
    assert said["an axis betas"] == "betas must be a list of finite numbers; got 1.0."
    assert said["betas"] == "an entry of betas must be a finite number; got 'a'."
    assert said["scale"].startswith("scale must be a number, 'shared'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["train", "validation"])
def test_an_empty_part(digits: Data, part: str) -> None:
    data = without(digits, part)
    sentence(lambda: er.fit(model(data), data, progress=False), f"The {part} part of 'digits' is empty")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: er.priors.StandardNormal(0), "StandardNormal needs a size of 1 or more; got 0"),
        (lambda: er.posteriors.DiagonalNormal(MLP([3, 2]), 0), "DiagonalNormal needs a size of 1 or more"),
        (lambda: er.posteriors.DiagonalNormal(MLP([3, 2]), 1, floor=-1.0), "cannot be negative"),
        (lambda: er.likelihoods.Normal(MLP([1, 3]), 3, scale=0.0), "must be positive"),
        (lambda: MLP([3, 0]), "whole numbers of 1 or more"),
        (lambda: er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([3, 2]), 1),
                        er.likelihoods.Normal(MLP([2, 3]), 3)), "the prior has event (2,), the posterior (1,)"),
    ],
)  # fmt: skip
def test_parts_that_cannot_be(make: Callable[[], Any], words: str) -> None:
    sentence(make, words)


def test_stacks_that_do_not_add_up(digits: Data) -> None:
    sentence(lambda: fit_stacked([model(digits)], digits, []), "got 1 models, 0 objectives, 1 folders")
    sentence(lambda: fit_stacked([], digits, []), "got 0 models")
    sentence(lambda: fit_stacked([model(digits)], digits, [Elbo()], runs=[]), "1 objectives, 0 folders")


def test_model_files_that_are_none(digits: Data, tmp_path: Path) -> None:
    sentence(lambda: er.load_model(tmp_path / "none.vae"), "There is no model file")
    path = er.save_model(model(digits), tmp_path / "whole.vae")
    whole = path.read_bytes()
    (tmp_path / "cut.vae").write_bytes(whole[: len(whole) // 2])
    sentence(lambda: er.load_model(tmp_path / "cut.vae"), "cut.vae is damaged")
    (tmp_path / "text.vae").write_text("a model")
    sentence(lambda: er.load_model(tmp_path / "text.vae"), "text.vae is damaged or is no safetensors file")
    path = er.save_model(model(digits, encoder=nn.Linear(64, 4)), tmp_path / "own.vae")
    sentence(lambda: er.load_model(path), "load it with modules={'encoder': net}")


def test_a_run_that_ends_with_an_error_of_its_network_keeps_no_half_model(digits: Data, tmp_path: Path) -> None:
    """A user's network may fail at any time; what stands in the folder then says that the run was not finished."""

    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 64)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            if self.training and len(z) == 100:
                raise RuntimeError("out of memory")
            return self.linear(z)

    with pytest.raises(RuntimeError, match="out of memory"):
        er.fit(model(digits, decoder=Failing()), digits, run=tmp_path, progress=False)
    assert not (tmp_path / "model.safetensors").exists()
    sentence(lambda: er.runs.read_run(tmp_path), "was not finished: repeat its fit with resume=True")


def test_constant_columns_and_ties_train(digits: Data) -> None:
    x = np.round(np.random.default_rng(0).normal(size=(60, 3)), 1)
    x[:, 1] = 4.0
    data = er.load_data(x, support="real")
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(MLP([3, 2]), 1),
        er.likelihoods.Normal(MLP([1, 3]), 3, scale="feature"),
        preprocess=data.preprocess,
    )
    assert np.isfinite(er.fit(vae, data, epochs=3, progress=False).column("validation", "objective")).all()
    assert any("never change: 1 of 3" in note for note in data.notes)


def test_a_normal_on_the_unit_interval_says_what_lies_outside(digits: Data) -> None:
    vae = model(digits, scale=0.5)
    history = er.fit(vae, digits, epochs=1, progress=False)
    (said,) = [note for note in history.notes if "lies outside [0, 1]" in note]
    batch = digits.validation.batch()
    with torch.no_grad():
        mean = vae(batch, vae.keyed_noise(1, batch.index, seed=0)).p_x.mean.double()
    outside = torch.special.ndtr((mean - 1) / 0.5) + torch.special.ndtr(-mean / 0.5)
    assert f"Normal: {outside.mean().item():.1%} of its mass" in said
