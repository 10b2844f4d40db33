"""Rows that a model's data cannot be are refused in words at every door, and the others are not."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import preprocess as pre
from elbowroom.vae import outside

NAN, INF = float("nan"), float("inf")

STEPS: dict[str, tuple[pre.Preprocess, list[float], list[float]]] = {
    "identity": (pre.Identity(), [-1e30, 0.5, NAN], []),
    "dequantise": (pre.Dequantise(4, (1,)), [0, 3, NAN], [-1, 4, 0.5, INF]),
    "dequantise, higher": (pre.Dequantise(4, (1,), higher=True), [0, 3, 400, NAN], [-1, 0.5, INF]),
    "binarise levels": (pre.Binarise(4, (1,)), [0, 3, NAN], [-1, 4, 0.5]),
    "binarise unit": (pre.Binarise(2, (1,)), [0, 0.5, 1, NAN], [-0.1, 1.1]),
    "logit": (pre.Logit(), [0, 0.5, 1, NAN], [-1e-3, 1.001, INF]),
    "standardise": (pre.Standardise((1,)), [-1e30, 7, NAN], [INF, -INF]),
    "affine": (pre.Affine(3.0), [-1e30, 7, NAN], [INF, -INF]),
    "chain, first": (pre.Chain([pre.Dequantise(4, (1,)), pre.Affine(2.0)]), [0, 3, NAN], [-1, 4, 0.5]),
    "chain, second": (pre.Chain([pre.Affine(0.5), pre.Logit()]), [0, 1, 2, NAN], [2.5, -0.1, INF]),
    "columns": (pre.Columns([pre.Dequantise(4, (1,))], [1]), [0, 3, NAN], [4, 0.5]),
}
FAMILIES: dict[str, tuple[lik.Likelihood, list[float], list[float]]] = {
    "bernoulli": (lik.Bernoulli(None, 1), [0, 1, NAN], [-1, 0.5, 2, INF]),
    "unnormalised": (lik.Bernoulli(None, 1, unnormalised=True), [0, 0.5, 1, NAN], [-0.1, 1.1]),
    "poisson": (lik.Poisson(None, 1), [0, 1e6, NAN], [-1, 0.5, INF]),
    "negative binomial": (lik.NegativeBinomial(None, 1), [0, 1e6, NAN], [-1, 0.5]),
    "levels": (lik.DiscretisedLogistic(None, 1, 5), [0, 4, NAN], [-1, 5, 0.5]),
    "categories": (lik.Categorical(None, 1, 5), [0, 4, NAN], [-1, 5, 0.5]),
    "continuous bernoulli": (lik.ContinuousBernoulli(None, 1), [0, 0.5, 1, NAN], [-0.1, 1.1]),
    "beta": (lik.Beta(None, 1), [1e-6, 0.5, NAN], [0, 1, -0.1]),
    "logit-normal": (lik.LogitNormal(None, 1), [1e-6, 0.5, NAN], [0, 1, 1.1]),
    "truncated": (lik.TruncatedNormal(None, 1, low=-2.0, high=3.0), [-2, 3, NAN], [-2.1, 3.1]),
    "normal": (lik.Normal(None, 1), [-1e30, 0, NAN], [INF, -INF]),
    "low rank": (lik.LowRankNormal(None, 1, 1), [-1e30, 0, NAN], [INF]),
    "mixed": (lik.Mixed(None, [lik.Bernoulli(None, 1)]), [0, 1, NAN], [0.5]),
    "autoregressive": (
        lik.Autoregressive(None, lik.Bernoulli(None, 1), image_shape=(1, 1)),
        [0, 1, NAN],
        [0.5, 2],
    ),
}
PARTS = [pytest.param(*row, id=name) for name, row in {**STEPS, **FAMILIES}.items()]


@pytest.mark.parametrize(("part", "inside", "without"), PARTS)
def test_each_step_and_family_knows_its_values(part: Any, inside: list[float], without: list[float]) -> None:
    values = torch.tensor([*inside, *without], dtype=torch.float64)[:, None]
    assert part.outside(values).flatten().tolist() == [False] * len(inside) + [True] * len(without)
    assert part.holds(0)


def test_columns_and_groups_answer_for_themselves() -> None:
    steps = pre.Columns([pre.Dequantise(3, (2,)), pre.Identity(), pre.Binarise(2, (1,))], [2, 1, 1])
    family = lik.Mixed(None, [lik.Bernoulli(None, 2), lik.Normal(None, 1), lik.Poisson(None, 1)])
    x = torch.tensor([[0.0, 3.0, -9.0, 0.5]])
    assert steps.outside(x).tolist() == [[False, True, False, False]]
    assert family.outside(x).tolist() == [[False, True, False, True]]
    assert [family.holds(i) for i in range(4)] == ["0 or 1", "0 or 1", "finite numbers", "the counts 0, 1, 2, …"]
    assert steps.holds(1) == "the whole numbers 0…2"
    assert steps.holds(3) == "numbers from 0 to 1"


def of_bits(columns: int = 4) -> er.VAE:
    posterior = er.posteriors.DiagonalNormal(nn.Linear(columns, 2), 1)
    return er.VAE(er.priors.StandardNormal(1), posterior, lik.Bernoulli(nn.Linear(1, columns), columns))


def of_levels() -> er.VAE:
    posterior = er.posteriors.DiagonalNormal(nn.Linear(4, 2), 1)
    steps = pre.Chain([pre.Dequantise(9, (4,)), pre.Standardise((4,))])
    return er.VAE(er.priors.StandardNormal(1), posterior, lik.Normal(nn.Linear(1, 4), 4), steps)


BITS = np.random.default_rng(0).integers(0, 2, (120, 4)).astype(np.float32)


def with_three_bad_rows() -> np.ndarray:
    x = BITS.copy()
    x[[7, 50, 99], 2] = [0.5, -1, 2]
    return x


DOORS: dict[str, Callable[[er.VAE, Any], Any]] = {
    "examples": lambda vae, x: vae.examples(x),
    "encode": lambda vae, x: vae.encode(x),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "target": lambda vae, x: vae.target(x),
    "elbo": lambda vae, x: er.evidence.elbo(vae, x, draws=2),
    "iwae": lambda vae, x: er.evidence.iwae(vae, x, draws=2),
    "ais": lambda vae, x: er.evidence.ais(vae, x, temperatures=3, chains=1),
    "latent_use": lambda vae, x: er.metrics.latent_use(vae, x),
    "reconstruction_error": lambda vae, x: er.metrics.reconstruction_error(vae, x),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_them_in_one_sentence(door: str) -> None:
    said = (
        r"^3 of 120 rows lie outside what the model was made for, 0 or 1: row 7 is the first, its column 2 holds 0\.5 "
        r"\(counted from 0\); leave them out, or fit a model to data with such values\.$"
    )
    with pytest.raises(er.InputError, match=said):
        DOORS[door](of_bits(), with_three_bad_rows())


def test_levels_behind_a_standardised_scale_are_known() -> None:
    x = np.full((3, 4), 8.0)
    of_levels().examples(x)
    for value in ("0.5", "-20", "9"):
        x[1, 3] = float(value)
        with pytest.raises(er.InputError, match=rf"^1 of 3 rows lies .* 0…8: row 1, its column 3 holds {value} "):
            of_levels().examples(x)


def test_images_name_the_cell() -> None:
    posterior = er.posteriors.DiagonalNormal(nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), 1)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, lik.Bernoulli(nn.Linear(1, 8), (2, 2, 2)))
    x = torch.zeros(2, 2, 2, 2)
    x[1, 1, 0, 1] = 3
    with pytest.raises(er.InputError, match=r"row 1, its cell \(1, 0, 1\) holds 3 "):
        vae.encode(x)


def test_a_number_that_32_bits_cannot_hold_is_named() -> None:
    posterior = er.posteriors.DiagonalNormal(nn.Linear(4, 2), 1)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, lik.Normal(nn.Linear(1, 4), 4))
    with pytest.raises(er.InputError, match=r"made for, numbers that 32 bits can hold: row 0, .* holds 1e\+200 "):
        vae.encode(np.array([[1e200, 0, 0, 0]]))
    assert vae.double().encode(np.array([[1e200, 0, 0, 0]]))["z"].shape == (1, 1)


def test_missing_cells_are_outside_nothing() -> None:
    x = torch.tensor([[0.5, 1.0, 0.0, 1.0]])
    seen = torch.tensor([[False, True, True, True]])
    outside.refuse_outside(of_bits(), er.numerics.Batch(x, torch.zeros(1, dtype=torch.int64), seen=seen))
    with pytest.raises(er.InputError, match=r"holds 0\.5 "):
        outside.refuse_outside(of_bits(), er.numerics.Batch(x, torch.zeros(1, dtype=torch.int64)))


def test_no_more_than_a_batch_of_sparse_rows_becomes_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    x = scipy.sparse.random(2_500, 3_000, 0.001, "csr", dtype=np.float32, random_state=0)
    x.data[:] = 1
    data, most = er.load_data(x), []
    read = er.data.values.Sparse.take

    def counted(self: Any, rows: Any) -> Tensor:
        found = read(self, rows)
        most.append(len(found))
        return found

    monkeypatch.setattr(er.data.values.Sparse, "take", counted)
    outside.refuse_outside(of_bits(3_000), data.train)
    assert sum(most) == len(data.train)
    assert max(most) <= 2**20 // 3_000


def test_fit_reads_the_rows_that_nobody_vouches_for() -> None:
    data, other = er.load_data(BITS), er.load_data(np.round(9 * np.random.default_rng(1).random((50, 4))))
    with pytest.raises(er.InputError, match=r"rows? lies? outside .*, 0 or 1"):
        er.fit(of_bits(), dataclasses.replace(data, validation=other.test), epochs=1, progress=False)
    with pytest.raises(er.InputError, match=r"rows? lies? outside .*, 0 or 1"):
        er.fit(of_bits(), dataclasses.replace(data, train=other.train), epochs=1, progress=False)
    with pytest.raises(er.InputError, match=r"rows? lies? outside .*, 0 or 1"):
        er.evidence.iwae(of_bits(), other.test, draws=2)


def test_sampling_refuses_contexts_that_are_no_numbers() -> None:
    likelihood = lik.Bernoulli(nn.Linear(1, 4), 4, given=("c",))
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(4, 2), 1), likelihood)
    assert vae.sample(2, context={"c": torch.zeros(2, 1)}).shape == (2, 4)
    with pytest.raises(er.InputError, match="The context 'c' holds NaN or infinite values"):
        vae.sample(2, context={"c": torch.tensor([[0.0], [NAN]])})


def test_another_order_of_columns_and_other_words_are_refused_by_name(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"w": rng.choice(list("abc"), 200), "x": rng.normal(size=200), "y": rng.normal(size=200)})
    data = er.load_data(frame)
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    swapped = er.load_data(frame[["w", "y", "x"]])
    with pytest.raises(er.InputError, match="the columns 'w', 'y', 'x', and the model was fitted to 'w', 'x', 'y'"):
        er.evidence.elbo(vae, swapped.test)
    fewer = er.load_data(frame[frame["w"] != "a"].reset_index(drop=True))
    with pytest.raises(er.InputError, match="'w' mean 'b', 'c' in these examples and 'a', 'b', 'c' in"):
        er.evidence.elbo(vae, fewer.test[:5])
    numbers = er.load_data(frame[["x", "y"]])
    plain = er.models.build({"latents": 1, "widths": [4]}, numbers)
    same = er.evidence.elbo(plain, frame[["x", "y"]], draws=3)
    assert len(same) == 200
    with pytest.raises(er.InputError, match="give these columns, in this order"):
        er.evidence.elbo(plain, frame[["y", "x"]])
    read = er.load_model(er.save_model(vae, tmp_path / "vae.safetensors"))
    with pytest.raises(er.InputError, match="the columns 'w', 'y', 'x', and the model was fitted to 'w', 'x', 'y'"):
        er.evidence.elbo(read, swapped.test)


@pytest.mark.parametrize("named", [True, False])
def test_a_series_is_no_table_and_the_sentence_says_how_to_make_one(named):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["x", "y"])
    vae = er.models.build({"latents": 1, "widths": [4]}, er.load_data(frame if named else frame.to_numpy()))
    for call in (vae.encode, vae.reconstruct, lambda one: er.evidence.elbo(vae, one), lambda one: er.impute(vae, one)):
        for one in (frame.iloc[0], frame["x"]):
            with pytest.raises(er.InputError, match=r"Series is no table .*df\.iloc\[\[0\]\].*df\[\['a'\]\]"):
                call(one)
    assert vae.encode(frame.iloc[[0]])["z"].shape == (1, 1)


def test_words_of_a_frame_are_read_as_the_words_that_the_model_knows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"w": rng.choice(list("abc"), 90), "x": rng.normal(size=90)})
    vae = er.models.build({"latents": 1, "widths": [4]}, er.load_data(frame))
    by_words = er.evidence.elbo(vae, frame, draws=3).values
    by_codes = er.evidence.elbo(vae, frame.assign(w=frame["w"].map({"a": 0, "b": 1, "c": 2})), draws=3).values
    np.testing.assert_array_equal(by_words, by_codes)
    without = frame[frame["w"] != "a"].reset_index(drop=True)  # where "b" alone would be the first word
    assert sorted(set(vae.examples(without).rows(slice(0, 60)).x[:, 0].tolist())) == [1, 2]
    with pytest.raises(er.InputError, match=r"Column 'w' holds 'd', which the model does not know \('a', 'b', 'c'\)"):
        vae.encode(frame.assign(w="d"))
    gaps = er.evidence.elbo(vae, frame.assign(w=frame["w"].where(frame.index != 4)), draws=3).values
    assert np.flatnonzero(gaps != by_words).tolist() == [4]
