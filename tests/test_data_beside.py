"""What comes with x: contexts, and latent blocks that are known for some examples."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import elbowroom as er
from elbowroom.data import load_data
from elbowroom.networks import MLP
from elbowroom.recipes import recipe_of

N = 40


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=N),
            "b": rng.normal(size=N),
            "dose": np.arange(N) / 8,
            "batch": np.where(np.arange(N) % 3 == 0, "left", "right"),
            "kind": np.arange(N) % 2,
            "known": [None if i % 4 else ("u" if i % 8 else "v") for i in range(N)],
        }
    )


def everything(data: er.data.Dataset, name: str) -> Tensor:
    parts = [part.batch() for part in data.parts.values()]
    return torch.cat([part.context[name] for part in parts])[torch.cat([part.index for part in parts]).argsort()]


def all_observed(data: er.data.Dataset, name: str) -> tuple[Tensor, Tensor]:
    parts = [part.batch() for part in data.parts.values()]
    order = torch.cat([part.index for part in parts]).argsort()
    value, mask = (torch.cat([part.observed[name][i] for part in parts])[order] for i in (0, 1))
    return value, mask


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
def test_columns_become_context_labels_and_observed_blocks(tmp_path, form):
    source = frame()
    if form == "csv":
        source.to_csv(tmp_path / "t.csv", index=False)
    if form == "parquet":
        source.to_parquet(tmp_path / "t.parquet")
    source = source if form == "frame" else tmp_path / f"t.{form}"
    data = load_data(source, context=["dose", "batch"], labels="kind", observed={"y": "known"})
    assert data.columns == ["a", "b"]
    assert data.event == (2,)
    assert torch.equal(everything(data, "dose"), torch.arange(N)[:, None] / 8)
    right = torch.arange(N) % 3 != 0
    assert torch.equal(everything(data, "batch"), torch.stack([~right, right], 1).float())
    assert torch.equal(everything(data, "label").argmax(1), torch.arange(N) % 2)
    value, mask = all_observed(data, "y")
    assert torch.equal(mask, torch.arange(N) % 4 == 0)
    assert torch.equal(value[mask].argmax(1), (torch.arange(N)[mask] % 8 == 0).long())
    assert torch.equal(value.sum(1), mask.float())
    assert data.beside_classes == {"batch": ["left", "right"], "y": ["u", "v"]}
    text = str(data)
    for words in ("context     dose: numbers", "context     batch: left, right", "observed    y: u, v; known for 10"):
        assert words in text
    summary = data.summary()
    assert summary["context"] == {"dose": [1], "batch": [2]}
    assert summary["observed"] == {"y": [2]}


def test_contexts_of_arrays_tensors_and_npz(tmp_path):
    x, c = np.random.default_rng(0).normal(size=(N, 3)), np.arange(2.0 * N).reshape(N, 2)
    np.savez(tmp_path / "x.npz", x=x, c=c, day=np.arange(N))
    from_file = load_data(tmp_path / "x.npz", context=["c", "day"])
    given = load_data(x, context={"c": torch.tensor(c), "day": pd.Series(np.arange(N))})
    for name, wanted in (("c", c), ("day", np.arange(N)[:, None])):
        assert everything(given, name).dtype == torch.float32
        np.testing.assert_array_equal(everything(given, name), wanted)
        np.testing.assert_array_equal(everything(from_file, name), wanted)
    assert from_file.sha256 == given.sha256 != load_data(x).sha256


def test_a_run_finds_data_whose_labels_came_as_an_array(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(N, 3)), np.arange(N) % 2
    data = load_data(x, labels=y)
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, run=tmp_path / "run", progress=False)
    for other, words in (
        (x, r"came with arrays \(labels\)"),
        (load_data(x, labels=1 - y), "sha256"),
        (load_data(x, labels=y, seed=1), "split by seed 1, and the run's by seed 0"),
        (load_data(x, labels=y, test=3), "split into 33 train, 4 validation, 3 test, and the run's into 28 train"),
    ):
        with pytest.raises(er.InputError, match=words):
            er.runs.run_data(tmp_path / "run", source=other)
    assert er.runs.run_data(tmp_path / "run", source=load_data(x, labels=y, preprocess="none")).sha256 == data.sha256


def test_summaries_of_plain_data_are_what_they_were():
    """Run folders of before compare the summary of their data with today's."""
    keys = "name source sizes official split_seed sha256 parts support event image_shape label_names preprocess notes"
    assert list(load_data("digits").summary()) == [*keys.split(), "loading"]
    assert load_data("digits").sha256 == "b997071550b68cbafd80c54ea514c3264cf95a34b083153d55cc4f0f0284dae6"


@pytest.mark.parametrize("unknown", [-1, None, np.nan])
def test_classes_and_numbers_that_are_known_for_some(unknown):
    x = np.random.default_rng(0).normal(size=(N, 3))
    codes = np.array([i % 3 if i % 5 == 0 else unknown for i in range(N)], dtype=object if unknown is None else float)
    z = np.where(np.arange(N)[:, None] % 2 == 0, x[:, :2], np.nan)
    data = load_data(x, observed={"y": codes, "z": z})
    value, mask = all_observed(data, "y")
    assert torch.equal(mask, torch.arange(N) % 5 == 0)
    assert torch.equal(value[mask].argmax(1), torch.arange(N)[mask] % 3)
    value, mask = all_observed(data, "z")
    assert torch.equal(mask, torch.arange(N) % 2 == 0)
    np.testing.assert_array_equal(value[mask], x[::2, :2].astype(np.float32))
    assert not value[~mask].any()


def test_masked_arrays_of_classes_keep_their_mask():
    x = np.random.default_rng(0).normal(size=(N, 3))
    codes = np.ma.masked_array(np.arange(N) % 2, mask=np.arange(N) % 3 > 0)
    _, mask = all_observed(load_data(x, observed={"y": codes}), "y")
    assert torch.equal(mask, torch.arange(N) % 3 == 0)
    with pytest.raises(er.InputError, match=r"26 of the 40 labels are missing.*observed="):
        load_data(x, labels=codes)


X = np.random.default_rng(0).normal(size=(N, 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": [None] + [1] * (N - 1)}, "1 of the 40 labels are missing.*observed="),
        ({"labels": [np.nan] + [1.0] * (N - 1)}, "1 of the 40 labels are missing.*observed="),
        ({"labels": [pd.NA] + ["a"] * (N - 1)}, "1 of the 40 labels are missing.*observed="),
        ({"labels": pd.Series([""] + ["a"] * (N - 1))}, "1 of the 40 labels are missing.*observed="),
        ({"context": "dose"}, "no columns by name, so context or observed='dose'"),
        ({"context": {"c": np.arange(3)}}, r"'c' has shape \(3,\) for 40 examples"),
        ({"context": {"c": [np.nan] * N}}, "'c' has missing values"),
        ({"context": {"c": [1j] * N}}, "'c' holds complex128 values"),
        ({"context": {"c": [{}, "a"] * (N // 2)}}, "'c' holds neither numbers nor words"),
        ({"context": {"x": np.arange(N)}}, "cannot be called 'x'"),
        ({"context": {"label": np.arange(N)}, "labels": np.arange(N) % 2}, "cannot be called 'label'"),
        ({"observed": {"y": np.arange(N) / 2}}, r"one number per example, so a class 0, 1, ….*give real.*\[n, d\]"),
        ({"observed": {"y": np.zeros(N)}}, "knows 1 classes"),
        ({"observed": {"y": np.full(N, -1)}}, "knows 0 classes"),
        ({"observed": {"z": np.where(np.eye(N)[:, :2] > 0, np.nan, 1.0)}}, "known in part"),
        ({"observed": {"z": np.full((N, 2), "a")}}, "give numbers"),
    ],
)
def test_what_does_not_fit_beside_x_is_one_sentence(arguments, words):
    with pytest.raises(er.InputError, match=words) as caught:
        load_data(X, **arguments)
    assert "\n" not in str(caught.value)


def test_data_with_gaps_have_a_context_called_seen():
    gaps = np.where(np.eye(N)[:, :3] > 0, np.nan, X)
    with pytest.raises(er.InputError, match="cannot be called 'seen'"):
        load_data(gaps, context={"seen": np.arange(N)})


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(er.InputError, match="no column 'does' for the context or observed; it has 'a', 'b'"):
        load_data(frame(), context=["does"])


class Beside(nn.Linear):
    """A linear map of its inputs laid side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(*(one.shape[:-1] for one in inputs))
        return super().forward(torch.cat([one.expand(*shape, one.shape[-1]) for one in inputs], -1))


def m2() -> er.VAE:
    """Kingma's M2: q(y | x), q(z | x, y), p(x | y, z)."""
    torch.manual_seed(0)
    return er.VAE(
        {"y": er.priors.Categorical(3), "z": er.priors.StandardNormal(2)},
        {
            "y": er.posteriors.Categorical(MLP([3, 3]), 3),
            "z": er.posteriors.DiagonalNormal(Beside(6, 4), 2, given=("x", "y")),
        },
        er.likelihoods.Normal(Beside(5, 3), 3, scale=1.0, given=("y", "z")),
    )


def by_hand(vae: er.VAE, batch: er.Batch, epochs: int, batch_size: int, seed: int) -> list[float]:
    """The mean loss of every epoch of a plain loop."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    means = []
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(batch), generator=generator).split(batch_size):
            optimizer.zero_grad()
            terms = vae(batch.rows(rows), vae.draw_noise(1, len(rows), generator))
            loss = terms.rate("auto").mean() - terms.log_likelihood.mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(rows))
        means.append(sum(losses) / len(batch))
    return means


def test_observed_classes_change_what_is_learned_as_a_plain_loop_says():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    x = np.eye(3)[y] * 4 + rng.normal(size=(200, 3))
    known = np.where(rng.random(200) < 0.5, y, -1)
    states, losses = {}, {}
    for name, observed in (("with", {"y": known}), ("without", None)):
        data = load_data(x, observed=observed, preprocess="none", validation=20, test=20)
        vae = m2()
        plain, batch = copy.deepcopy(vae), data.train.batch()
        assert (recipe_of(data.preprocess)["kind"], len(batch)) == ("identity", 160)
        history = er.fit(vae, data, epochs=3, batch_size=40, lr=1e-2, select="last", seed=5, progress=False)
        losses[name] = [row["train"]["objective"] for row in history.rows]
        np.testing.assert_allclose(losses[name], by_hand(plain, batch, 3, 40, 5), rtol=1e-5)
        states[name] = vae.state_dict()
        torch.testing.assert_close(plain.state_dict(), states[name], rtol=1e-4, atol=1e-5)
    assert max((states["with"][k] - states["without"][k]).abs().max() for k in states["with"]) > 1e-2
    assert abs(losses["with"][0] - losses["without"][0]) > 1e-2


def test_labels_of_a_table_keep_the_order_of_their_numbers(tmp_path):
    """Codes are part of the hash: numbers are sorted as numbers, also those of a file, and words as words."""
    table = pd.DataFrame({"a": np.arange(N) / 7, "kind": np.where(np.arange(N) % 2 == 0, 10, 2)})
    assert load_data(table, labels="kind").label_names == ["2", "10"]
    table["kind"] = table["kind"].astype("Int64")
    assert load_data(table, labels="kind").label_names == ["2", "10"]
    table.to_csv(tmp_path / "t.csv", index=False)
    both = load_data(tmp_path / "t.csv", labels="kind", context="kind")
    assert both.label_names == ["2", "10"]
    assert everything(both, "kind").unique().tolist() == [2.0, 10.0]
    assert load_data(table.astype({"kind": str}), context="kind").beside_classes == {"kind": ["10", "2"]}


def test_a_name_that_two_columns_share_is_refused():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=["a", "c", "c"])
    with pytest.raises(er.InputError, match="two columns named 'c'"):
        load_data(table, context="c")


def test_models_stacked_on_observed_classes_learn_what_each_learns_alone():
    y = np.arange(120) % 3
    x = np.eye(3)[y] * 4 + np.random.default_rng(0).normal(size=(120, 3))
    data = load_data(x, observed={"y": np.where(np.arange(120) % 2 == 0, y, -1)}, preprocess="none")
    alone, first, second = m2(), m2(), m2()
    er.fit(alone, data, epochs=2, progress=False)
    er.fit_stacked(
        [first, second], data, [er.objectives.Elbo(), er.objectives.Elbo(beta=2.0)], epochs=2, progress=False
    )
    torch.testing.assert_close(first.state_dict(), alone.state_dict())


def test_the_likelihood_of_an_observed_class_is_what_evidence_reports():
    """With y known, log p(x, y) of a model without z is the prior plus the density of that class."""
    x, y = np.random.default_rng(0).normal(size=(N, 3)), np.arange(N) % 3
    data = load_data(x, observed={"y": y}, preprocess="none")
    torch.manual_seed(0)
    vae = er.VAE(
        {"y": er.priors.Categorical(3)},
        {"y": er.posteriors.Categorical(MLP([3, 3]), 3)},
        er.likelihoods.Normal(nn.Linear(3, 3), 3, scale=1.0, given=("y",)),
    )
    rows = data.test.index.numpy()
    mean = vae.likelihood.network(torch.eye(3)[y[rows]]).detach().numpy()
    exact = stats.norm(mean, 1.0).logpdf(x[rows]).sum(1) - np.log(3)
    np.testing.assert_allclose(er.evidence.elbo(vae, data.test, draws=1).values, exact, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e10])
def test_numbers_that_are_no_class_are_refused_before_they_are_counted(bad):
    x, codes = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3.0
    codes[4] = bad
    with pytest.raises(er.InputError, match=r"so a class 0, 1, …, 2,000 at most"):
        er.load_data(x, observed={"y": codes})
    if np.isinf(bad):
        with pytest.raises(er.InputError, match="fractions or infinite values"):
            er.load_data(x, labels=codes)
