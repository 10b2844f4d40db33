"""Values keep their own digits until they have been centred and scaled."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import elbowroom as er
from elbowroom.data import Examples, load_data
from elbowroom.networks import MLP
from elbowroom.preprocess import Affine, Chain, Columns, Identity, Preprocess, Standardise
from elbowroom.vae import load_model, save_model

FAR = 5_411_000.0


def table(n: int = 400) -> np.ndarray:
    """Correlated columns with a spread of 0.1, on a grid fine enough that FAR can be added without rounding."""
    rng = np.random.default_rng(0)
    x = 0.1 * rng.normal(size=(n, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    return np.round(x * 2**20) / 2**20


def trained(data: er.data.Dataset, epochs: int = 20) -> er.VAE:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(MLP([3, 8, 4]), 2),
        er.likelihoods.Normal(MLP([2, 3]), 3),
        data.preprocess,
    )
    er.fit(vae, data, epochs=epochs, batch_size=50, lr=1e-2, select="last", progress=False)
    return vae


def scores(vae: er.VAE, data: er.data.Dataset) -> np.ndarray:
    return er.evidence.iwae(vae, data.test, draws=20).values


def test_a_far_column_keeps_its_values_and_its_statistics():
    x = table() + FAR
    data = load_data(x)
    rows = data.train.index.numpy()
    assert np.array_equal(data.train.x.numpy(), x[rows])
    assert data.train.x.dtype == torch.float64
    np.testing.assert_allclose(data.preprocess.mean.numpy(), x[rows].mean(0), rtol=1e-15)
    np.testing.assert_allclose(data.preprocess.std.numpy(), x[rows].std(0), rtol=1e-9)
    y, _ = data.preprocess(data.train.x)
    np.testing.assert_allclose(y.float().numpy(), (x[rows] - x[rows].mean(0)) / x[rows].std(0), atol=1e-6)
    np.testing.assert_array_equal(data.preprocess.inverse(y).numpy().round(7), x[rows].round(7))
    assert data.notes == []


@pytest.fixture(scope="module")
def near() -> tuple[er.data.Dataset, er.VAE]:
    data = load_data(table())
    return data, trained(data)


def test_shifting_a_table_leaves_its_score(near):
    shifted = load_data(table() + FAR)
    vae = trained(shifted)
    assert np.abs(scores(vae, shifted) - scores(near[1], near[0])).max() < 1e-3


@pytest.mark.parametrize("scale", [8.0, 1e-3])
def test_scaling_a_table_moves_its_score_by_the_log_of_the_volume(near, scale):
    scaled = load_data(table() * scale)
    moved = scores(trained(scaled), scaled) - scores(near[1], near[0])
    np.testing.assert_allclose(moved, -3 * math.log(scale), atol=1e-3)


def test_samples_lie_where_the_data_lie_with_their_spread(near):
    data = load_data(table() + FAR)
    vae = trained(data)
    for x in (vae.sample(4_000), vae.reconstruct(data.test)):
        assert x.dtype == torch.float64
        assert len(x.unique(dim=0)) == len(x)
    x, there = vae.sample(4_000), near[1].sample(4_000)
    np.testing.assert_allclose(x.mean(0), data.train.x.mean(0), atol=0.02)
    np.testing.assert_allclose(x.std(0), data.train.x.std(0), rtol=0.3)
    np.testing.assert_allclose(x - FAR, there, atol=1e-4)


def test_a_model_made_single_or_moved_keeps_the_64_bits_of_its_map(near, tmp_path):
    data = load_data(table() + FAR)
    vae = trained(data, epochs=1)
    before = scores(vae, data)
    for changed in (vae.float(), vae.to(torch.float32), vae.to("cpu")):
        assert changed.preprocess.mean.dtype == changed.preprocess.std.dtype == torch.float64
    save_model(vae, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert torch.equal(again.preprocess.mean, data.preprocess.mean)
    np.testing.assert_array_equal(scores(again, data), before)


def test_a_map_of_before_is_read_at_the_32_bits_it_was_written_in():
    step = Standardise((2,))
    step.load_state_dict({"mean": torch.tensor([0.1, 3.0]), "std": torch.tensor([0.2, 1.0])})
    assert step.mean.dtype == torch.float64
    assert step.mean.tolist() == [float(np.float32(0.1)), 3.0]


@pytest.mark.parametrize(
    "step",
    [
        Standardise((1,)),
        Affine(10.0, shift=-10.0 * FAR),
        Chain([Affine(1.0, shift=-FAR), Affine(10.0)]),
        Columns([Affine(10.0, shift=-10.0 * FAR)], [1]),
        Chain([Identity(), Affine(10.0, shift=-10.0 * FAR)]),
    ],
    ids=lambda step: step.kind,
)
def test_maps_subtract_in_64_bits_and_bring_back_64_bits(step: Preprocess):
    x = FAR + torch.arange(-20, 21, dtype=torch.float64)[:, None] / 100
    if isinstance(step, Standardise):
        step.fit(x)
    y, log_jacobian = step(x)
    back = step.inverse(y.float())
    assert back.dtype == torch.float64
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-7, rtol=0)
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    np.testing.assert_allclose(log_jacobian.numpy(), math.log(slope.item()), rtol=1e-6)


def test_pieces_give_the_statistics_of_the_whole_and_gaps_are_left_out():
    x = torch.from_numpy(table() + FAR)
    x[::3, 0] = torch.nan
    x[:, 2] = torch.nan
    whole, pieces = Standardise((3,)).fit(x), Standardise((3,)).fit(x.split(7))
    torch.testing.assert_close(whole.mean, pieces.mean, rtol=1e-15, atol=0)
    torch.testing.assert_close(whole.std, pieces.std, rtol=1e-9, atol=0)
    np.testing.assert_allclose(pieces.mean[:2], np.nanmean(x[:, :2].numpy(), 0), rtol=1e-15)
    np.testing.assert_allclose(pieces.std[:2], np.nanstd(x[:, :2].numpy(), 0), rtol=1e-9)
    assert (pieces.mean[2], pieces.std[2]) == (0, 1)


def test_notes_are_of_the_values_and_not_of_what_32_bits_make_of_them():
    x = np.zeros((60, 2))
    x[:, 0] = FAR + np.random.default_rng(0).permutation(60) / 1_000
    x[:, 1] = np.random.default_rng(1).normal(size=60)
    assert len(np.unique(x[:, 0].astype(np.float32))) == 1
    assert load_data(x).notes == []
    x[:, 1] = 0.1
    assert load_data(x).notes == ["Columns left out: 1 of 2 ('1' is always 0.1)."]


def test_the_hash_is_the_old_one_exactly_where_32_bits_hold_the_values():
    x = table()
    single = x.astype(np.float32)
    assert load_data(single).sha256 == load_data(single.astype(np.float64)).sha256
    assert load_data(single).train.x.dtype == load_data(single.astype(np.float64)).train.x.dtype == torch.float32
    fine = single + 1e-12 * (1 + np.abs(table()))
    assert np.array_equal(fine.astype(np.float32), single)
    assert load_data(fine).sha256 != load_data(single).sha256


def test_a_run_of_other_data_is_not_resumed(tmp_path):
    data = load_data(table())
    vae = trained(data, epochs=1)
    er.fit(vae, data, epochs=1, run=tmp_path / "run", progress=False)
    finer = load_data(table() + 1e-12)
    with pytest.raises(er.InputError, match="a run on other data"):
        er.fit(vae, finer, epochs=2, run=tmp_path / "run", resume=True, progress=False)


def test_tables_keep_their_columns_types():
    whole = pd.DataFrame({"a": np.arange(30, dtype=np.int16), "b": np.arange(30, dtype=np.uint8)})
    assert load_data(whole).train.values.tensor.dtype == torch.int16
    far = pd.DataFrame({"a": np.arange(30) / 10 + FAR, "b": np.arange(30)})
    assert load_data(far).train.x.dtype == torch.float64
    objects = pd.DataFrame({"a": np.array([1, 2.5] * 15, dtype=object), "b": pd.array([1, 0] * 15, "Int64")})
    assert load_data(objects).train.x.unique().tolist() == [0.0, 1.0, 2.5]


def test_a_model_that_computes_in_64_bits_gets_64_bits():
    x = table().astype(np.float32)
    from elbowroom.training.split import Split

    part = load_data(x).train
    rows = torch.arange(5)
    assert Split(part, (), torch.device("cpu"), torch.float64).batch(rows).x.dtype == torch.float64
    assert Split(part, (), torch.device("cpu"), torch.float32).batch(rows).x.dtype == torch.float32
    assert Split(part, (), torch.device("cpu"), torch.bfloat16).batch(rows).x.dtype == torch.float32
    wide = Split(load_data(table() + FAR).train, (), torch.device("cpu"), torch.float32)
    assert wide.batch(rows).x.dtype == torch.float64


def test_examples_of_a_plain_tensor_are_served_in_the_bits_they_need():
    exact, fine = torch.arange(6.0, dtype=torch.float64).view(3, 2), torch.full((3, 2), 0.1, dtype=torch.float64)
    assert Examples(exact, torch.arange(3)).x.dtype == torch.float32
    assert torch.equal(Examples(fine, torch.arange(3)).x, fine)
