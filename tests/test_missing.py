"""Missing cells, from the likelihood to the estimators: what is not seen counts for nothing, exactly."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import elbowroom as er
from elbowroom.data import Examples
from elbowroom.likelihoods import Autoregressive, Bernoulli, Normal
from elbowroom.networks import MLP
from elbowroom.pages.tables import _of_column
from elbowroom.preprocess import Preprocess, Standardise
from elbowroom.studies.latents import comparable
from elbowroom.studies.load import data_of as load_data_of
from elbowroom.studies.pictures import _cells
from elbowroom.studies.train import why_no_squares

COLUMNS = 4


def gappy(n: int = 80, share: float = 0.3, seed: int = 0) -> torch.Tensor:
    """Correlated columns on scales of their own, cells missing at random; the first row has none that is seen."""
    rng = np.random.default_rng(seed)
    x = 50 + (rng.normal(size=(n, 2)) @ rng.normal(size=(2, COLUMNS)) + 0.3 * rng.normal(size=(n, COLUMNS))) * 9
    gone = rng.random((n, COLUMNS)) < share
    gone[0] = True
    return torch.from_numpy(np.where(gone, np.nan, x))


def linear_vae(x: torch.Tensor) -> er.VAE:
    """x = scaler⁻¹(W z + b + 0.5 ε), whose every marginal is Gaussian; the encoder reads values and mask."""
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(MLP([2 * COLUMNS, 8, 4]), 2, given=("x", "seen")),
        Normal(nn.Linear(2, COLUMNS), COLUMNS, scale=0.5),
        Standardise((COLUMNS,)).fit(x),
    )
    return vae.double()


def marginals(vae: er.VAE, x: np.ndarray) -> np.ndarray:
    """log p(x_seen) of each row in closed form, on the user's scale."""
    weight, bias = (t.detach().numpy() for t in (vae.likelihood.network.weight, vae.likelihood.network.bias))
    mean, std = vae.preprocess.mean.numpy(), vae.preprocess.std.numpy()
    loc, scaled = mean + std * bias, std[:, None] * weight
    covariance = scaled @ scaled.T + np.diag((0.5 * std) ** 2)
    found = []
    for row in x:
        k = ~np.isnan(row)
        normal = stats.multivariate_normal(loc[k], covariance[np.ix_(k, k)]) if k.any() else None
        found.append(0.0 if normal is None else float(normal.logpdf(row[k])))
    return np.array(found)


ESTIMATORS = {
    "elbo": lambda vae, x: er.evidence.elbo(vae, x, draws=8),
    "elbo, sampled": lambda vae, x: er.evidence.elbo(vae, x, draws=8, kl="sampled"),
    "rate": lambda vae, x: er.evidence.rate_distortion(vae, x, draws=8).rate,
    "distortion": lambda vae, x: er.evidence.rate_distortion(vae, x, draws=8).distortion,
    "iwae": lambda vae, x: er.evidence.iwae(vae, x, draws=30),
    "iwae of a target": lambda vae, x: er.evidence.iwae(vae.target(x), draws=30),
    "prior": lambda vae, x: er.evidence.prior_sampling(vae, x, draws=30),
    "ais": lambda vae, x: er.evidence.ais(vae, x, temperatures=10, chains=2, leapfrog=2),
    "ais from the prior": lambda vae, x: er.evidence.ais(vae, x, temperatures=10, chains=2, leapfrog=2, start="prior"),
    "reciprocal": lambda vae, x: er.evidence.reciprocal_sampling(vae, x, draws=80, warm_up=5, leapfrog=2),
    "log p(x | z)": lambda vae, x: er.evidence.conditional_log_likelihood(vae, x, draws=4).per_example,
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_row_without_cells_scores_exactly_nothing(estimator):
    x = gappy(6)
    found = ESTIMATORS[estimator](linear_vae(gappy()), x)
    assert abs(found.values[0]) < 1e-12
    assert np.abs(found.values[1:]).min() > 1e-3


@pytest.mark.parametrize("estimator", ["iwae", "ais", "prior"])
def test_estimates_are_of_the_marginal_of_the_seen_cells(estimator):
    """Against scipy's Gaussian of each row's seen columns, the Jacobian of these alone with it."""
    vae, x = linear_vae(gappy()), gappy(40)
    found = {
        "iwae": lambda: er.evidence.iwae(vae, x, draws=4_000),
        "prior": lambda: er.evidence.prior_sampling(vae, x, draws=20_000),
        "ais": lambda: er.evidence.ais(vae, x, temperatures=60, chains=16, leapfrog=4),
    }[estimator]()
    off = found.values - marginals(vae, x.numpy())
    assert found.quantity == "log p(x_seen)"
    assert (np.abs(off) < 6 * np.sqrt(found.mc_variance) + 1e-9).all()
    assert abs(off.mean()) < 4 * found.se_mc + 1e-9


def test_what_fills_a_missing_cell_changes_no_number_and_no_gradient():
    vae, x = linear_vae(gappy()), gappy(10)
    seen, found = ~x.isnan(), []
    for filler in (0.0, -1e9, 3.25):
        batch = er.Batch(torch.where(seen, x, filler), torch.arange(10), seen=seen)
        loss = -vae(batch, vae.keyed_noise(3, batch.index, 0)).log_weight.mean()
        found.append((loss, *torch.autograd.grad(loss, list(vae.parameters()))))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    rows = er.numerics.as_rows(x)
    np.testing.assert_array_equal(er.evidence.iwae(vae, x, draws=4).values, er.evidence.iwae(vae, rows, draws=4).values)


def test_complete_rows_score_as_they_would_without_a_mask():
    vae, x = linear_vae(gappy()), gappy(30).nan_to_num(50.0)
    masked = er.Batch(x, torch.arange(30), seen=torch.ones(30, COLUMNS) > 0)
    for kind in (er.evidence.elbo, er.evidence.iwae):
        np.testing.assert_allclose(kind(vae, masked, draws=5).values, kind(vae, x, draws=5).values, rtol=1e-12)


class Rotate(Preprocess):
    """Two columns turned by 45°; its Jacobian is 1, but no cell of y is of one cell of x."""

    def cells(self, x, noise=None):
        turned = torch.stack([x[:, 0] + x[:, 3], x[:, 1], x[:, 2], x[:, 3] - x[:, 0]], 1)
        return turned, torch.zeros((), dtype=torch.float64)

    def support(self, before):
        return before


def test_preprocessing_that_mixes_columns_is_refused_with_missing_cells():
    vae = linear_vae(gappy())
    vae.preprocess = Rotate()
    assert er.evidence.elbo(vae, gappy(9).nan_to_num(1.0), draws=2).quantity == "log p(x)"
    with pytest.raises(er.InputError, match="Rotate mixes the cells of x"):
        er.evidence.elbo(vae, gappy(9), draws=2)


def in_order(last: int) -> er.VAE:
    """Three binary columns that are drawn from the last to the first."""
    likelihood = Autoregressive(nn.Linear(1, 3), Bernoulli(None, 3), image_shape=(1, 1, 3), radius=2)
    nn.init.normal_(likelihood.outer.weight)
    return er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood)


def test_an_autoregressive_likelihood_leaves_out_the_tail_of_its_order_and_nothing_else():
    """The mass of the last columns is the sum over the others, by enumeration."""
    torch.manual_seed(0)
    vae = in_order(0)
    z = {"z": torch.randn(1, 1, 1)}
    p_x = vae.likelihood(z)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    mass = torch.stack([p_x.log_prob(x.view(1, 1, 3)).exp() for x in every]).flatten()
    known = torch.tensor([False, False, True])
    for value in (0.0, 1.0):
        found = er.distributions.log_prob_seen(p_x, torch.tensor([5.0, 7.0, value]).view(1, 1, 3), known)
        torch.testing.assert_close(found.exp().item(), mass[every[:, 2] == value].sum().item(), rtol=1e-5, atol=0.0)
    with pytest.raises(er.CapabilityError, match="at the end of its order only"):
        er.distributions.log_prob_seen(p_x, torch.zeros(1, 1, 3), ~known)


def test_training_refuses_an_order_that_any_row_breaks():
    x = torch.randint(2, (40, 3)).double()
    x[0:20, 0] = torch.nan
    good, bad = er.load_data(x.numpy()), x.clone()
    bad[int(good.train.index[-1]), 2] = torch.nan
    er.fit(in_order(0), good, epochs=1, progress=False)
    with pytest.raises(er.CapabilityError, match="at the end of its order only"):
        er.fit(in_order(0), er.load_data(bad.numpy()), epochs=1, progress=False)
    real = er.load_data(gappy().numpy())
    optimal = {"latents": 1, "widths": [4], "likelihood": {"kind": "normal", "scale": "optimal"}}
    with pytest.raises(er.InputError, match="use scale='shared'"):
        er.fit(er.models.build(optimal, real), real, epochs=1, progress=False)


WORDS = {
    "normal": {},
    "predicted": {"likelihood": {"kind": "normal", "scale": "predicted"}},
    "low rank": {"likelihood": {"kind": "low-rank-normal", "rank": 1}},
    "vamp": {"prior": {"kind": "vamp-prior", "pseudo_inputs": 5}},
    "flow": {"posterior": "flow-posterior"},
}


@pytest.mark.parametrize("words", WORDS)
def test_a_built_encoder_reads_the_mask_and_comes_back_from_disk(words, tmp_path):
    data = er.load_data(gappy().numpy())
    vae = er.models.build({"latents": 2, "widths": [8], **WORDS[words]}, data)
    assert vae.posterior["z"].given == ("x", "seen")
    er.fit(vae, data, epochs=2, batch_size=20, progress=False)
    found = er.evidence.iwae(vae, data.test, draws=5)
    assert np.isfinite(found.values).all()
    again = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    np.testing.assert_array_equal(er.evidence.iwae(again, data.test, draws=5).values, found.values)
    assert vae.sample(3).shape == (3, COLUMNS)


def test_a_stack_trains_on_gaps_as_its_members_would():
    data = er.load_data(gappy().numpy())
    made = lambda: [er.models.build({"latents": 2, "widths": [8]}, data) for _ in range(2)]  # noqa: E731
    goals = [er.objectives.Elbo(beta=beta) for beta in (0.5, 1.0)]
    both, alone = made(), made()[1]
    er.fit_stacked(both, data, goals, epochs=2, batch_size=20, progress=False)
    er.fit(alone, data, er.objectives.Elbo(beta=1.0), epochs=2, batch_size=20, progress=False)
    scores = [er.evidence.iwae(vae, data.test, draws=5).values for vae in (both[1], alone)]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-3)


def test_gaps_of_examples_need_no_filler_of_their_own():
    """A part of a data set and the array that it came from are scored alike."""
    x = gappy()
    data = er.load_data(x.numpy())
    vae = er.models.build({"latents": 2, "widths": [8]}, data)
    array = Examples(x[data.test.index], data.test.index, fill=torch.full((COLUMNS,), 77.0, dtype=x.dtype))
    found = [er.evidence.elbo(vae, rows, draws=3).values for rows in (data.test, array)]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_nothing_that_a_study_shows_reads_a_filler_as_data():
    """Distances put a missing number at the mean and a missing class in none; pictures leave both out as NaN."""
    nan = np.nan
    x = np.array([[1.0, 0.0], [3.0, 1.0], [nan, 1.0], [2.0, nan]] * 10)
    data = er.load_data(x, support=["real", er.Support("categorical", 2)])
    assert load_data_of(data, 0, False) is data
    four = Examples(torch.from_numpy(x[:4]), torch.arange(4), fill=data.train.fill)
    rows = comparable(data, four)
    mean = np.nanmean(x[data.train.index], 0)[0]
    scale = comparable(data, Examples(torch.tensor([[mean + 1.0, 0.0]]), torch.arange(1)))[0, 0]
    np.testing.assert_allclose(rows[:, 0], [(1 - mean) * scale, (3 - mean) * scale, 0.0, (2 - mean) * scale], atol=1e-6)
    assert rows[:, 1:].tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
    np.testing.assert_array_equal(_cells(four.batch()), x[:4])
    numbers = er.load_data(gappy().numpy())
    vae = er.models.build({"latents": 1, "widths": [4]}, numbers)
    assert "every example would sum over others" in why_no_squares(vae, numbers.support, numbers.validation)
    assert _of_column(["a", "b"], np.array([0.0, 1.0, 1.0, nan]), np.array([1.0])) == {
        "b": (2 / 3, 1.0),
        "a": (1 / 3, 0.0),
    }
