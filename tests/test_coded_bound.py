"""The bound that is printed beside a file is that of the masses which are coded, outliers and escapes included."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom import preprocess as pre
from elbowroom.compression import rounded
from elbowroom.compression.cells import Cells
from elbowroom.compression.codec import Codec
from elbowroom.compression.coded import coded_bound
from elbowroom.compression.stack import Stack
from elbowroom.compression.survey import Survey
from elbowroom.evidence import elbo

D, LEVELS = 4, 256


def model(make: Any, preprocess: pre.Preprocess | None = None) -> er.VAE:
    torch.manual_seed(0)
    parts = make(None).numbers
    encoder = networks.Standardised(networks.MLP([D, 8, 4]))
    decoder = make(networks.MLP([2, 8, parts]))
    return er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(encoder, 2), decoder, preprocess)


CASES: dict[str, er.VAE] = {
    "logistic": model(lambda n: lik.DiscretisedLogistic(n, D, LEVELS)),
    "counts": model(lambda n: lik.Poisson(n, D)),
    "normal": model(lambda n: lik.Normal(n, D, scale=0.01), pre.Dequantise(LEVELS, (D,))),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_of_outliers_take_what_the_coded_masses_say_and_less_than_the_model_says(name: str) -> None:
    exact = rounded(CASES[name])
    rng = np.random.default_rng(0)
    low, high = (0, 4) if name == "counts" else (100, 150)
    x = rng.integers(low, high, (400, D))
    x[::5, 1] = 255  # far from everything else
    survey = Survey(exact, Cells(exact), 16)
    survey.add(x, None)
    codec = Codec(exact, survey.settings(), exact=True)
    chunk = codec.encode(x)
    nats = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / len(x)
    rows = torch.from_numpy(x).double()
    bound, other = coded_bound(codec, rows, draws=16), elbo(exact, rows, draws=16)
    error = math.sqrt(float(bound.mc_variance.sum()) * 17) / len(x)  # of one draw per row against 16 others
    assert abs(nats + bound.mean) < 0.003 * nats + 3 * error
    assert error < 0.02 * nats
    assert -other.mean > 1.1 * nats


def test_nats_of_rows_are_those_of_the_stack() -> None:
    for vae in CASES.values():
        survey = Survey(rounded(vae), Cells(rounded(vae)), 16)
        x = np.random.default_rng(1).integers(0, LEVELS, (300, D))
        survey.add(x, None)
        codec = Codec(vae, survey.settings())
        (family,) = codec.families
        raw = np.random.default_rng(2).normal(size=(300, family.parts, D))
        seen, stack = np.random.default_rng(3).random(x.shape) < 0.9, Stack.primed(2)
        before = stack.bits
        family.push(stack, x, raw, seen)
        said = family.nats(x, raw, seen)
        assert abs(said.sum() / math.log(2) - (stack.bits - before)) < 40
        assert said[~seen.any(1)].sum() == 0


def test_the_bound_of_rows_with_missing_cells_and_of_classes_is_one_number_a_row() -> None:
    codec = Codec(CASES["logistic"])
    x = torch.randint(0, LEVELS, (6, D)).double()
    x[0, 1] = math.nan
    x[3] = math.nan
    bound = coded_bound(codec, x, draws=3)
    assert bound.values.shape == (6,)
    assert np.isfinite(bound.values).all()
    assert bound.direction == "lower"
