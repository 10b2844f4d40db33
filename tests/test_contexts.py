"""Contexts by name: who reads them, on which scale, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import elbowroom as er
from elbowroom import cli
from elbowroom.models import Recipe, build
from elbowroom.networks import MLP, ScaledInputs
from elbowroom.remedies.trained import fresh

N = 300


def table(**more) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    income = rng.normal(5e4, 1e4, N)
    x = {f"x{i}": rng.normal(size=N) + (income - 5e4) / 1e4 for i in range(3)}
    return pd.DataFrame({**x, "income": income, "arm": np.where(np.arange(N) % 3, "treated", "placebo"), **more})


DATA = er.load_data(table(), context=["income", "arm"], validation=50, test=100)
DIGITS = er.load_data("digits", context="label")
SMALL = {"latents": 2, "widths": [8]}


def readers(words, data=DATA) -> dict[str, tuple[str, ...]]:
    vae = build({**SMALL, **words}, data)
    blocks = {f"q({name})": block.given for name, block in vae.posterior.items()}
    return blocks | {f"p({name})": block.given for name, block in vae.prior.items()} | {"x": vae.likelihood.given}


BOTH = ("income", "arm")
THROUGH_Z = {"prior": {"kind": "normal-prior", "given": ["arm"]}, "likelihood": {"kind": "auto", "given": ["z"]}}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, {"q(z)": ("x", *BOTH), "p(z)": (), "x": ("z", *BOTH)}),
        ({"context": "none"}, {"q(z)": ("x",), "p(z)": (), "x": ("z",)}),
        ({"context": []}, {"q(z)": ("x",), "p(z)": (), "x": ("z",)}),
        ({"context": "arm"}, {"q(z)": ("x", "arm"), "p(z)": (), "x": ("z", "arm")}),
        (THROUGH_Z, {"q(z)": ("x", *BOTH), "p(z)": ("arm",), "x": ("z",)}),
        ({**THROUGH_Z, "context": ["arm"]}, {"q(z)": ("x", "arm"), "p(z)": ("arm",), "x": ("z", "arm")}),
        ({"objective": "multi-rate"}, {"q(z)": ("x", *BOTH, "log_beta"), "p(z)": (), "x": ("z", *BOTH, "log_beta")}),
        (
            {"latents": [3, 2], "context": "arm"},
            {"q(z)": ("x", "arm"), "q(z2)": ("z", "arm"), "p(z)": ("z2", "arm"), "p(z2)": (), "x": ("z", "arm")},
        ),
    ],
)
def test_who_reads_a_context(words, found) -> None:
    assert readers(words) == found
    recipe = Recipe(**{**SMALL, **words})
    assert Recipe(**recipe.to_dict()) == recipe


def test_labels_are_read_where_they_are_named() -> None:
    plain = er.load_data("digits")
    assert (plain.conditions, readers({}, plain)["x"]) == ((), ("z",))
    assert readers({"context": ["label"]}, plain)["x"] == ("z", "label")
    assert (DIGITS.conditions, DIGITS.sha256) == (("label",), plain.sha256)
    vae = build(SMALL, DIGITS)
    assert (vae.quantity, vae.likelihood.network.widths[0]) == ("log p(x | label)", 2 + 10)
    of_codes = er.load_data(table().drop(columns="arm"), labels=np.arange(N) % 3, context="label")
    assert build(SMALL, of_codes).context_names == ("label",)
    both = er.load_data(table(), labels="arm", context=["label", "income"])
    assert (both.conditions, both.columns) == (("label", "income"), ["x0", "x1", "x2"])


def test_networks_read_contexts_of_numbers_at_their_scale() -> None:
    """Classes stay zeros and ones; the mean and spread of income are those of the training rows."""
    vae = build({**SMALL, "context": ["arm", "income"]}, DATA)
    er.fit(vae, DATA, epochs=1, progress=False)
    network = vae.likelihood.network
    income = DATA.train.context["income"].double()
    assert isinstance(network, ScaledInputs)
    assert isinstance(network.network, MLP)
    torch.testing.assert_close(network.mean_2.double(), income.mean(0), rtol=1e-5, atol=0)
    z, arm = torch.zeros(len(income), 2), DATA.train.context["arm"]
    read = network.read(z, arm, income.float())
    assert torch.equal(read[1], arm)
    torch.testing.assert_close(read[2].std(0, correction=0), torch.ones(1), rtol=1e-3, atol=0)
    again = fresh(vae, 1)  # which has no scale yet
    er.fit(again, DATA, epochs=1, progress=False)
    torch.testing.assert_close(again.likelihood.network.mean_2, network.mean_2)
    ladder = build({"latents": [3, 2], "widths": [8], "posterior": "ladder"}, DATA)
    er.fit(ladder, DATA, epochs=1, progress=False)
    found = [one for one in ladder.modules() if isinstance(one, ScaledInputs)]
    means = [getattr(one, f"mean_{place}") for one in found for place in one.scaled]
    assert len(means) == 3  # the way up that both layers share, p(z | z2) and p(x | z)
    assert all(torch.allclose(mean.double(), income.mean(0), rtol=1e-5) for mean in means)


def test_a_conditional_model_is_saved_and_resumed(tmp_path) -> None:
    def run(epochs, folder, resume=False):
        vae = build(SMALL, DATA)
        er.fit(vae, DATA, epochs=epochs, run=folder, resume=resume, progress=False)
        return vae

    whole = run(3, tmp_path / "whole")
    run(2, tmp_path / "cut")
    again = run(3, tmp_path / "cut", resume=True)
    loaded, _ = er.runs.read_run(tmp_path / "whole")
    context = {name: value[:5] for name, value in DATA.test.context.items()}
    drawn = [vae.sample(5, context=context) for vae in (whole, again, loaded)]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_members_of_a_stack_are_as_alone() -> None:
    recipes = [Recipe(**{**SMALL, "latents": d, "seed": d}) for d in (1, 2)]
    vaes = [build(one, DATA) for one in recipes]
    er.fit_stacked(vaes, DATA, [er.objectives.Elbo() for _ in vaes], seed=0, epochs=2, progress=False)
    for one, vae in zip(recipes, vaes, strict=True):
        alone = build(one, DATA)
        er.fit(alone, DATA, seed=0, epochs=2, progress=False)
        for mine, theirs in zip(vae.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def linear(reads_c: bool = True) -> er.VAE:
    """p(x | z, c) = N(A z + B c + a, 0.5²), where p(x | z) reads c at all, and q(z | x, c) = N(W (x, c), 1)."""
    torch.manual_seed(1)
    decoder, given = (MLP([2 + 3, 4]), ("z", "c")) if reads_c else (MLP([2, 4]), ("z",))
    posterior = er.posteriors.DiagonalNormal(MLP([4 + 3, 4]), 2, given=("x", "c"))
    return er.VAE(er.priors.StandardNormal(2), posterior, er.likelihoods.Normal(decoder, 4, scale=0.5, given=given))


CLASSES = er.load_data(
    np.random.default_rng(1).normal(size=(60, 4)), preprocess="none", context={"c": list("uvw") * 20}
)


def test_samples_are_those_of_the_class_that_was_given() -> None:
    """Their mean is that of A z + B c + a over z, their covariance A Aᵀ + 0.5²."""
    vae, n = linear(), 20_000
    (layer,) = vae.likelihood.network.layers
    a, b, bias = layer.weight[:, :2].detach(), layer.weight[:, 2:].detach(), layer.bias.detach()
    x = vae.sample(n, context=CLASSES.given(c="w"), seed=3).double()
    covariance = (a @ a.T + 0.25 * torch.eye(4)).double()
    off = (x.mean(0) - (b[:, 2] + bias)) / (covariance.diagonal() / n).sqrt()
    assert off.abs().max() < 4
    torch.testing.assert_close(x.T.cov(), covariance, rtol=0, atol=0.05)


def test_transfer_keeps_z_and_moves_the_context() -> None:
    vae, some = linear(), CLASSES.test[:5]
    b = vae.likelihood.network.layers[0].weight[:, 2:].detach()
    moved = vae.transfer(some, context=CLASSES.given(c="v"))
    own = some.context["c"]
    torch.testing.assert_close(moved - vae.reconstruct(some), (torch.eye(3)[1] - own) @ b.T)
    assert torch.equal(vae.transfer(some, context={"c": own}), vae.reconstruct(some))
    assert torch.equal(vae.transfer(some, context={}), vae.reconstruct(some))


def test_commands_draw_and_move(tmp_path, monkeypatch, capsys) -> None:
    """A digit's pixels at label 3 from the command are those of the model in Python."""
    vae = build({**SMALL, "widths": [4]}, DIGITS)
    er.fit(vae, DIGITS, epochs=1, run=tmp_path / "run", progress=False)
    monkeypatch.chdir(tmp_path)

    def say(*arguments) -> str:
        monkeypatch.setattr("sys.argv", ["elbowroom", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        return capsys.readouterr().err

    say("sample", "run", "--out", "x.npy", "-n", "4", "--given", "label=3")
    np.testing.assert_array_equal(np.load("x.npy"), vae.sample(4, context=DIGITS.given(label=3)))
    say("transfer", "run", "--out", "y.csv", "-n", "4", "--given", "label=3")
    found = pd.read_csv("y.csv")
    assert found["row"].tolist() == DIGITS.test.index[:4].tolist()
    assert set(found["label"]) == {3}
    expected = vae.transfer(DIGITS.test[:4], context=DIGITS.given(label=3))
    np.testing.assert_allclose(found.iloc[:, 2:].to_numpy(), expected, rtol=1e-5)
    say("classify", "run", "--out", "p.csv", "--draws", "5")
    found = er.classify(vae, DIGITS, draws=5)
    np.testing.assert_allclose(pd.read_csv("p.csv")["p 3"], found.probabilities[:, 3], rtol=1e-6)
    assert "has no class '12'; it has: 0, 1, 2" in say("sample", "run", "--out", "x.npy", "--given", "label=12")
    assert "reads no context 'labl'; it reads: label" in say("transfer", "run", "--out", "x.npy", "--given", "labl=1")
    assert "--given is NAME=VALUE" in say("sample", "run", "--out", "x.npy", "--given", "label")


def test_what_a_command_would_leave_out_is_refused(tmp_path, monkeypatch, capsys) -> None:
    er.fit(build({**SMALL, "widths": [4]}, DIGITS), DIGITS, epochs=1, run=tmp_path / "run", progress=False)
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (("sample", "--offset", "3"), "--mode ancestral takes no offset (3 was given): say --mode offset, or leave"),
        (("transfer", "-n", "9999"), f"-n must be 1 to {len(DIGITS.test)}, as many as there are test examples"),
        (("transfer", "-n", "0"), "-n must be 1 to "),
    ):
        monkeypatch.setattr("sys.argv", ["elbowroom", words[0], "run", "--out", "x.npy", *words[1:]])
        with pytest.raises(SystemExit):
            cli.main()
        assert said in capsys.readouterr().err
    assert not Path("x.npy").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: linear().sample(3), "reads the context 'c': give its values"),
        (lambda: linear().sample(3, context={"c": torch.eye(3)[:2]}), "needs a row for each of 3 draws"),
        (lambda: linear().sample(3, context={"c": torch.full((3, 3), np.nan)}), "holds NaN or infinite values"),
        (
            lambda: build(SMALL, DATA).sample(2, context={**DATA.given(income=1), "arm": torch.ones(2)}),
            "a row of numbers",
        ),
        (lambda: CLASSES.given(c="y"), "'c' has no class 'y'; it has: u, v, w"),
        (lambda: CLASSES.given(d=1), "no context 'd' that could be given; there is: c"),
        (lambda: DATA.given(income="much"), "'income' is a number; got 'much'"),
        (lambda: DATA.given(income=[1, 2]), r"'income' is a number; got \[1, 2\]"),
        (lambda: DATA.given(income=np.nan), "needs finite numbers"),
        (lambda: linear(False).transfer(CLASSES.test, context=CLASSES.given(c="u")), "does not read 'c'.*no context"),
        (lambda: linear().transfer(CLASSES.test, context={"d": torch.ones(1, 1)}), "does not read 'd'.*it reads: c"),
        (lambda: build({"context": ["batch"]}, DATA), r"the context 'batch', which the data lack \(they have: income"),
        (lambda: build({"context": ["z"]}, DATA), "the context 'z', which the data lack"),
        (lambda: er.load_data(table(), context=["label"]), "no column 'label' for the context"),
        (lambda: er.load_data(table()[["x0"]].to_numpy(), context="label"), "no columns by name"),
        (lambda: fitted(table(one=1.0), "one"), "'one' is the same in all .* training examples.*leave it out"),
        (lambda: fitted(table(copy=2 * table()["x1"] - 7), "copy"), "'copy' holds 'x1' over again.*leave one of the"),
        (lambda: er.load_data(table(gap=[np.nan, *range(N - 1)]), context="gap"), "'gap' has missing values: fill"),
        (lambda: er.load_data(table(), context={"c": np.arange(3)}), r"shape \(3,\) for 300 examples: give one row"),
    ],
)
def test_what_no_context_can_be_is_refused_in_a_sentence(call, said) -> None:
    with pytest.raises(er.InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_two_rows_of_one_class_are_too_few_to_call_a_context_constant() -> None:
    """A search tries its settings on two rows."""
    few = dataclasses.replace(DATA, train=DATA.train[DATA.train.context["arm"][:, 0] == 1][:2])
    er.fit(build({**SMALL, "context": "arm"}, DATA), few, epochs=1, progress=False)


def fitted(frame, context) -> None:
    data = er.load_data(frame, context=context)
    er.fit(build(SMALL, data), data, epochs=1, progress=False)


ALONE = {
    "StudentT": {}, "Poisson": {}, "NegativeBinomial": {}, "BetaBinomial": {"levels": 5}, "Categorical": {"levels": 5},
    "DiscretisedLogistic": {"levels": 5}, "Beta": {}, "ContinuousBernoulli": {}, "LogitNormal": {}, "Normal": {},
    "TruncatedNormal": {}, "LowRankNormal": {"rank": 2}, "SparsePrecisionNormal": {"image_shape": (2, 2)},
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_a_decoder_that_reads_a_context_alone_draws_each_row_anew(name: str) -> None:
    kind = getattr(er.likelihoods, name)
    network = torch.nn.Linear(2, kind(None, 4, **ALONE[name]).numbers)
    p_x = kind(network, 4, given=("c",), **ALONE[name])
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(4, 2), 1), p_x)
    drawn = vae.sample(200, context={"c": torch.tensor([[1.0, 0.0]])})
    assert drawn.shape == (200, 4)
    assert len(drawn.unique(dim=0)) > 20
    if name.endswith("Normal"):
        x = torch.where(torch.arange(4) == 0, torch.nan, drawn[:20].double().clamp(0.01, 0.99))
        batch = er.Batch(
            x.nan_to_num().float(), torch.arange(20), context={"c": torch.eye(2)[[0] * 20]}, seen=~x.isnan()
        )
        assert er.impute(vae, batch, imputations=3).drawn.std(0).min() > 0
