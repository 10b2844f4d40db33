"""Missing cells filled in, against the conditional Gaussians of linear models."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

import elbowroom as er
from elbowroom.likelihoods import LowRankNormal, Normal
from elbowroom.networks import MLP
from elbowroom.preprocess import Standardise

D = 5


class Right(nn.Module):
    """The exact posterior of z given the seen cells, by its mean and the logs of its standard deviations.

    For one latent; off: how many posterior deviations its mean is moved away, and its spread is divided by.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, sigma: float, off: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias, self.sigma, self.off = weight[:, 0], bias, sigma, off

    def forward(self, y, seen):
        precision = 1 + (seen * self.weight.square()).sum(1) / self.sigma**2
        mean = (seen * (y - self.bias) * self.weight).sum(1) / self.sigma**2 / precision
        sd = precision.rsqrt()
        narrow = sd if not self.off else sd / self.off
        return torch.stack([mean + self.off * sd, narrow.log()], 1)


def linear(off: float = 0.0, likelihood: str = "normal") -> er.VAE:
    """One latent, x = scaler⁻¹(w z + b + noise); the encoder knows the posterior, or is wrong on purpose."""
    torch.manual_seed(1)
    decoder = nn.Linear(1, D)
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor([[1.0], [-0.8], [0.6], [1.2], [0.3]]))
    p_x = Normal(decoder, D, scale=0.5)
    if likelihood == "low rank":
        p_x = LowRankNormal(decoder, D, rank=2, scale=0.5, factor="shared")
    encoder = Right(decoder.weight.detach().double(), decoder.bias.detach().double(), 0.5, off)
    q = er.posteriors.DiagonalNormal(encoder, 1, given=("x", "seen"), spread="exp", floor=0.0)
    scaler = Standardise((D,))
    scaler.mean.copy_(torch.tensor([10.0, -5.0, 0.0, 100.0, 3.0]))
    scaler.std.copy_(torch.tensor([2.0, 1.0, 0.1, 30.0, 1.0]))
    return er.VAE(er.priors.StandardNormal(1), q, p_x, scaler).double()


def gaussian(vae: er.VAE) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the model's x, on the user's scale."""
    p = vae.likelihood({"z": torch.zeros(1, 1, 1, dtype=torch.float64)})
    weight = vae.likelihood.network.weight.detach()
    cover = weight @ weight.T + 0.25 * torch.eye(D)
    if isinstance(vae.likelihood, LowRankNormal):
        factor = p.factor.detach().reshape(-1, D)
        cover = cover + factor.T @ factor
    std = vae.preprocess.std
    mean = vae.preprocess.mean + std * vae.likelihood.network.bias.detach()
    return mean.numpy(), (cover * std[:, None] * std).numpy()


def gappy(vae: er.VAE, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Complete draws of the model, and the same with 40 % of their cells missing; the first row has none left."""
    mean, cover = gaussian(vae)
    rng = np.random.default_rng(3)
    whole = rng.multivariate_normal(mean, cover, n)
    gone = rng.random((n, D)) < 0.4
    gone[0], gone[1] = True, False
    return whole, np.where(gone, np.nan, whole)


def conditionals(vae: er.VAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of every missing cell given its row's seen ones, in the order of the cells."""
    mean, cover = gaussian(vae)
    means, variances = [], []
    for row in x:
        k = ~np.isnan(row)
        gain = cover[~k][:, k] @ np.linalg.inv(cover[k][:, k])
        means.append(mean[~k] + gain @ (row[k] - mean[k]))
        variances.append(np.diag(cover[~k][:, ~k] - gain @ cover[k][:, ~k]))
    return np.concatenate(means), np.concatenate(variances)


@pytest.mark.parametrize(("off", "likelihood"), [(0.0, "normal"), (0.0, "low rank"), (6.0, "normal")])
def test_draws_are_of_the_conditional_gaussian(off, likelihood):
    """Means and variances within Monte-Carlo errors; a wrong encoder is found by k̂ and mended by annealing."""
    vae = linear(off, likelihood)
    whole, x = gappy(vae, 20 if off else 60)
    found = er.impute(vae, x, samples=400, temperatures=60)
    mean, variance = conditionals(vae, x)
    off_by = (found.drawn.mean(0) - mean) / np.sqrt(variance)
    ratio = found.drawn.var(0) / variance
    # 400 draws of x, of which z is from 64 chains or more: errors of at most 1/8 of a standard deviation each
    assert np.abs(off_by).max() < (0.5 if off else 0.25)
    assert abs(off_by.mean()) < 0.03
    assert abs(ratio.mean() - 1) < 0.05
    inside = stats.norm.cdf(1.96) * 2 - 1
    low, high = found.interval(0.95)
    hit = ((low <= whole) & (whole <= high))[np.isnan(x)].mean()
    assert abs(hit - inside) < 5 * np.sqrt(inside * (1 - inside) / len(mean))
    if off:
        assert found.annealed[2:][np.isnan(x[2:]).any(1)].mean() > 0.9
        assert (found.khat > 0.7).sum() > 0.9 * found.annealed.sum()
        assert "annealed, whose weights were unreliable" in str(found)
    elif likelihood == "normal":
        assert not found.annealed.any()


def test_seen_cells_stay_and_neither_order_nor_memory_changes_a_draw():
    vae = linear(3.0)
    _, x = gappy(vae, 8)
    found = er.impute(vae, x, samples=20, temperatures=5)
    seen = ~np.isnan(x)
    for table in (*found.values, found.median, found.mean, *found.interval(0.9)):
        np.testing.assert_array_equal(table[seen], x[seen])
    assert not np.isnan(found.values).any()
    rows = er.numerics.as_rows(x)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    other = er.impute(vae, rows.rows(order), samples=20, temperatures=5, memory="8 MB")
    np.testing.assert_allclose(other.values, found.values[:, order], rtol=1e-6)
    np.testing.assert_allclose(other.khat, found.khat[order], rtol=1e-6, equal_nan=True)
    right = [er.impute(linear(), x, samples=20, **how).values for how in ({}, {"imputations": 3}, {"seed": 1})]
    assert np.array_equal(right[0][:3], right[1])
    assert not np.allclose(right[0], right[2])


def mixed(n: int = 90) -> pd.DataFrame:
    """Columns of several kinds with words, on one hidden number; a fifth of the cells missing."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "height": 5_000 + 900 * hidden + 100 * rng.normal(size=n),
            "visits": rng.poisson(np.exp(1 + 0.5 * hidden)).astype(float),
            "colour": np.array(["blue", "green", "red"])[np.digitize(hidden, [-0.5, 0.5])],
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.2)


def test_a_table_of_words_comes_back_in_words_and_in_its_own_order():
    frame = mixed()
    data = er.load_data(frame, support=["real", "counts", er.Support("categorical", 3)])
    vae = er.models.build({"latents": 1, "widths": [8]}, data)
    er.fit(vae, data, epochs=30, lr=1e-2, batch_size=30, progress=False)
    found = er.impute(vae, data, imputations=3, samples=50)
    assert found.categorical.tolist() == [False, False, True]
    for table in (found.to_frame(), found.to_frame(0), found.to_frame(2)):
        assert list(table.columns) == ["height", "visits", "colour"]
        for name in table:
            kept = frame[name].notna()
            assert (table[name][kept].to_numpy() == frame[name][kept].to_numpy()).all()
        assert set(table["colour"]) <= {"blue", "green", "red"}
        assert (table["visits"] == table["visits"].round()).all()
    low, high = found.interval()
    assert np.isnan(low[frame["colour"].isna().to_numpy(), 2]).all()
    assert (low[:, :2] <= found.median[:, :2]).all()
    assert (found.median[:, :2] <= high[:, :2]).all()
    with pytest.raises(er.InputError, match="imputations 0 to 2"):
        found.to_frame(3)


def test_columns_predicted_from_others_are_those_of_the_conditional_gaussian():
    """Against E[x_b | x_a] in closed form: error, its standard error, and coverage of every interval."""
    vae, n = linear(), 400
    mean, cover = gaussian(vae)
    x = np.random.default_rng(3).multivariate_normal(mean, cover, n)
    found = er.impute(vae, x, columns=[3, 1], samples=100, draws=100, imputations=1)
    blank = x.copy()
    blank[:, [1, 3]] = np.nan
    best, variance = (one.reshape(n, 2) for one in conditionals(vae, blank))
    assert np.isnan(found.x[:, [1, 3]]).all()
    np.testing.assert_array_equal(found.truth.reshape(n, 2), x[:, [1, 3]])
    for place, score in enumerate(found.scores):
        column = (1, 3)[place]
        off = x[:, column] - best[:, place]
        exact = np.sqrt((off**2).mean())
        assert abs(score.rmse[0] / exact - 1) < 0.02  # a hundred draws have a mean of their own
        assert abs(score.rmse[0] - np.sqrt(variance[:, place].mean())) < 4 * score.rmse[1]
        bootstrap = np.std([np.sqrt(np.random.default_rng(i).choice(off**2, n).mean()) for i in range(200)])
        assert 0.8 < score.rmse[1] / bootstrap < 1.25
        for level, (share, error) in score.coverage.items():
            inside = (np.abs(off) < stats.norm.ppf((1 + level) / 2) * np.sqrt(variance[:, place])).mean()
            assert abs(share - inside) < 0.03
            assert abs(share - level) < 4 * error
        assert score.spread == pytest.approx(x[:, column].std())
    assert str(found).splitlines()[1].startswith("x1: RMSE ")


def test_columns_of_classes_and_rows_with_gaps_are_scored_where_they_are_known(monkeypatch):
    monkeypatch.setattr("elbowroom.imputation.latents.UNRELIABLE", np.inf)  # annealing takes seconds
    monkeypatch.setattr("elbowroom.imputation.latents._FEWEST_EFFECTIVE", 0)
    frame = mixed()
    data = er.load_data(frame, support=["real", "counts", er.Support("categorical", 3)], test=40)
    vae = er.models.build({"latents": 1, "widths": [8]}, data)
    er.fit(vae, data, epochs=5, lr=1e-2, batch_size=30, progress=False)
    found = er.impute(vae, data, columns=["colour", "height"], samples=50)
    height, colour = found.scores
    test = frame.iloc[data.test.index.numpy()]
    assert len(found) == 40
    assert (height.n, colour.n) == (test["height"].notna().sum(), test["colour"].notna().sum())
    known = test["colour"].notna().to_numpy()
    right = (found.to_frame()["colour"].to_numpy()[known] == test["colour"].to_numpy()[known]).mean()
    assert colour.right[0] == pytest.approx(right)
    assert (colour.rmse, colour.coverage, height.right) == (None, {}, None)
    assert "colour: " in str(found)
    assert "cells right" in str(found)
    whole = er.impute(vae, data.train[:5], samples=50)
    assert (whole.truth, whole.scores) == (None, [])


def test_latents_over_classes_are_weighted_and_never_annealed():
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.Categorical(3),
        er.posteriors.Categorical(nn.Linear(4, 3), 3),
        Normal(nn.Linear(3, 4), 4, scale=0.3),
    )
    x = vae.sample(12).double().numpy()
    x[:, 2] = np.nan
    found = er.impute(vae, x, samples=30)
    assert found.values.shape == (10, 12, 4)
    assert not found.annealed.any()


def test_few_samples_reach_no_wide_interval():
    """The least and the greatest of S draws hold (S − 1) / (S + 1) of the next; that was called 95 %."""
    vae = linear()
    _, x = gappy(vae, 40)
    with pytest.raises(
        er.InputError, match=r"reach an interval of 90\.5 %, and 95 % are asked for.*samples=39 or more"
    ):
        er.impute(vae, x, samples=20).interval()
    low, high = er.impute(vae, x, samples=39).interval()
    assert (low <= high).all()
    few, many = (er.impute(vae, vae.sample(40).double().numpy(), columns=[0], samples=n).scores[0] for n in (20, 60))
    assert 0.95 in many.coverage
    assert max(few.coverage, default=0.0) <= 19 / 21
    assert str(few)


def test_what_cannot_be_imputed_is_said():
    vae = linear()
    _, x = gappy(vae, 5)
    with pytest.raises(er.InputError, match="25 draws or more"):
        er.impute(vae, x, draws=10)
    with pytest.raises(er.InputError, match="as many samples as imputations"):
        er.impute(vae, x, samples=3)
    for columns, said in (
        (["a"], "no column 'a' to predict; there are: numbers from 0 to 4"),
        ([5], "no column 5 to predict"),
        ([], "some of the 5 columns.*got 0"),
        (range(5), "some of the 5 columns.*got 5"),
    ):
        with pytest.raises(er.InputError, match=said):
            er.impute(vae, x, columns=list(columns))
    with pytest.raises(er.InputError, match="between 0 and 1"):
        er.impute(vae, x, samples=10, draws=25).interval(95)
    whole = er.impute(vae, np.nan_to_num(x), samples=10)
    np.testing.assert_array_equal(whole.median, np.nan_to_num(x))
    binary = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(MLP([3, 2]), 1),
        er.likelihoods.Bernoulli(nn.Linear(1, 3), 3),
        er.preprocess.Binarise(256, (3,)),
    )
    with pytest.raises(er.CapabilityError, match="Binarise has no way back"):
        er.impute(binary, [[0.0, 255.0, float("nan")]])


def test_a_run_writes_its_completed_tables(tmp_path, monkeypatch):
    monkeypatch.setattr("elbowroom.imputation.latents.UNRELIABLE", np.inf)  # annealing takes seconds
    monkeypatch.setattr("elbowroom.imputation.latents._FEWEST_EFFECTIVE", 0)
    frame = mixed()
    kinds = ["real", "counts", er.Support("categorical", 3)]
    data = er.load_data(frame, support=kinds)
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, run=tmp_path / "run", progress=False)
    said = er.runs.impute_run(tmp_path / "run", tmp_path / "t.csv", imputations=2, source=data, progress=False)
    names = ["t.csv", "t-interval.csv", "t-1.csv", "t-2.csv"]
    assert said[-4:] == [str(tmp_path / name) for name in names]
    tables = [pd.read_csv(tmp_path / name) for name in names]
    found = er.impute(vae, data, imputations=2)
    assert len(tables[0]) == len(frame)
    for table, want in zip(
        [tables[0], *tables[2:]], [found.to_frame(), found.to_frame(0), found.to_frame(1)], strict=True
    ):
        assert table["row"].tolist() == list(range(len(frame)))
        pd.testing.assert_frame_equal(table.drop(columns="row"), want, check_dtype=False, rtol=1e-5)
    words = [pd.read_csv(tmp_path / name, dtype=str)["visits"] for name in (names[0], *names[2:])]
    assert all(column.str.fullmatch(r"\d+").all() for column in words)  # as the table has them, and not 3.0
    assert list(tables[1].columns) == ["row", "height low", "height high", "visits low", "visits high"]
    np.testing.assert_allclose(tables[1]["height low"], found.interval()[0][:, 0], rtol=1e-5)
    part = er.runs.impute_run(tmp_path / "run", tmp_path / "p.csv", part="test", source=data, progress=False)
    assert pd.read_csv(tmp_path / "p.csv")["row"].tolist() == sorted(data.test.index.tolist())
    assert part[0].endswith("draws of each cell.")
    chosen = {"columns": ["height"], "source": data, "progress": False}
    said = er.runs.impute_run(tmp_path / "run", tmp_path / "h.csv", **chosen)
    assert said[1] == str(er.impute(vae, data, columns=["height"]).scores[0])
    tables = [pd.read_csv(tmp_path / name) for name in ("h.csv", "h-interval.csv", "h-1.csv")]
    for table in tables:
        assert table.columns[0] == "row"
        assert table["row"].tolist() == sorted(data.test.index.tolist())
    own = er.impute(vae, data, columns=["height"])
    assert own.to_frame().index.tolist() == data.test.index.tolist()
    for table in (tables[0], tables[2]):
        seen = frame["visits"].iloc[table["row"]].to_numpy()
        assert (table["visits"][~np.isnan(seen)] == seen[~np.isnan(seen)]).all()
    low, high = own.framed(own.interval()[0]), own.framed(own.interval()[1])
    for word, end in (("low", low), ("high", high)):
        np.testing.assert_allclose(tables[1][f"height {word}"], end["height"].loc[tables[1]["row"]], rtol=1e-5)
    with pytest.raises(er.InputError, match="part must be 'train'"):
        er.runs.impute_run(tmp_path / "run", tmp_path / "h.csv", part="all", **chosen)
    whole = er.load_data(frame.dropna(), support=kinds)
    er.fit(er.models.build({"latents": 1, "widths": [4]}, whole), whole, epochs=1, run=tmp_path / "w", progress=False)
    with pytest.raises(er.InputError, match="nothing to fill in"):
        er.runs.impute_run(tmp_path / "w", tmp_path / "w.csv", source=whole, progress=False)


@pytest.mark.parametrize(("noise", "few"), [(0.2, False), (0.05, False), (0.003, True)])
def test_annealed_draws_have_the_spread_of_the_posterior_or_are_unreliable(noise, few):
    """Four latents, a sharp decoder, three seen columns of eight: chains of which one or two would end with all the
    weight are drawn again on the way, and one direction of z stays free."""
    weight = np.random.default_rng(0).normal(size=(8, 4))
    decoder, encoder = nn.Linear(4, 8), nn.Linear(8, 8)  # the encoder knows nothing of gaps
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor(weight))
        decoder.bias.zero_()
    q = er.posteriors.DiagonalNormal(encoder, 4)
    vae = er.VAE(er.priors.StandardNormal(4), q, Normal(decoder, 8, scale=noise))
    rng = np.random.default_rng(1)
    x = rng.normal(size=(10, 4)) @ weight.T + noise * rng.normal(size=(10, 8))
    found = er.impute(vae, x, columns=[0, 1, 2, 3, 4], imputations=1)
    assert found.annealed.all()
    assert found.unreliable.all() if few else not found.unreliable.any()
    assert few == any("say more temperatures than 200" in note for note in found.notes)
    assert few == ("unreliable and stayed in use" in str(found))
    own, seen = weight[:5], weight[5:]
    gain = own @ seen.T @ np.linalg.inv(seen @ seen.T + noise**2 * np.eye(3))
    mean, cov = x[:, 5:] @ gain.T, own @ own.T + noise**2 * np.eye(5) - gain @ seen @ own.T
    drawn = found.drawn.reshape(200, 10, 5)
    spread = np.median(drawn.var(0) / np.diag(cov))
    off = np.sqrt(np.mean((drawn.mean(0) - mean) ** 2 / np.diag(cov)))
    assert (spread < 0.5) if few else (0.8 < spread < 1.2 and off < 0.3)


def test_annealed_draws_keep_the_shares_of_two_modes():
    """x = (z − 0.4)² is seen: z is one of two, the farther from 0 the rarer, by quadrature."""

    class Parabola(nn.Module):
        def forward(self, z):
            return torch.cat([(z - 0.4) ** 2, z], -1)

    q = er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1)
    for parameter in q.parameters():
        nn.init.zeros_(parameter)
    vae = er.VAE(er.priors.StandardNormal(1), q, Normal(Parabola(), 2, scale=0.03))
    found = er.impute(vae, np.tile([[1.0, np.nan]], (40, 1)), imputations=1, temperatures=100)
    grid = np.linspace(-6, 6, 40_001)
    density = np.exp(-0.5 * grid**2 - 0.5 * (((grid - 0.4) ** 2 - 1) / 0.03) ** 2)
    shares = (found.drawn > 0.4).mean(0)
    assert found.annealed.all()
    assert shares.mean() == pytest.approx(density[grid > 0.4].sum() / density.sum(), abs=0.07)
