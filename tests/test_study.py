"""The whole road on a small budget: what a study writes, says, refuses and resumes; and what its parts measure."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from staged import short_contest, short_study

import elbowroom as er
from elbowroom.metrics import latent_use, neighbour_accuracy, psnr, reconstruction_error
from elbowroom.records import read_study
from elbowroom.runs import measure_run, sample_run
from elbowroom.runs.partial_estimates import joined
from elbowroom.runs.saved_estimates import read_estimates
from elbowroom.studies.candidates import Learned
from elbowroom.studies.contest import classics
from elbowroom.studies.kernels import kernel_density
from elbowroom.studies.mixtures import gaussian_mixture
from elbowroom.studies.normal_families import factor_analysis, probabilistic_pca
from elbowroom.studies.pictures import _has_grid
from elbowroom.studies.variance import variance_with_error

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")

SMALL = {
    "recipe": {"latents": 2},
    "axes": {"beta": (0.5, 1.0)},
    "epochs": 3,
    "draws": 64,
    "annealed": 2,
    "progress": False,
}


@pytest.fixture(scope="module")
def digits():
    return er.load_data("digits")


@pytest.fixture(scope="module")
def done(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        short_study(patch)
        return er.study(digits, folder, **SMALL)


def test_the_record_holds_what_the_evidence_says(done, digits) -> None:
    record = read_study(done.page.parent)
    rows = {row.estimate.estimator: row.estimate for row in record.rows}
    iwae, mixture = rows["IWAE-64"], rows["Gaussian mixture"]
    again = er.evidence.iwae(done.vae, digits.test, draws=64)
    assert iwae.mean == pytest.approx(again.mean, abs=1e-6)
    best = max((row for row in rows.values() if row.direction == "exact"), key=lambda row: row.mean)
    difference = max(iwae, rows["ELBO with 64 draws"], key=lambda e: e.mean) - best
    assert record.difference.value == pytest.approx(difference.mean)
    assert record.difference.se == pytest.approx(difference.se_total)
    assert record.data.in_bits
    assert f"{-mixture.mean / 64 / math.log(2):.3f}".replace("-", "−") in done.page.read_text(encoding="utf-8")
    assert record.data.sizes == {"train": 1200, "validation": 200, "test": 397}


def test_after_three_epochs_the_verdict_owns_up(done) -> None:
    assert "loses to the best baseline, a PixelCNN of one layer, by at most" in done.sentence
    page = done.page.read_text(encoding="utf-8")
    assert "loses to" in page
    assert done.sentence.split(",")[0] in page


def test_the_chosen_model_is_the_best_on_validation(done, digits) -> None:
    best = max(done.record.sweep.models, key=lambda one: one.iwae.mean)
    assert done.record.choice.name == best.name == done.chosen.name
    again = er.evidence.iwae(done.vae, digits.validation, draws=100)
    assert (best.iwae.mean, best.iwae.se_total) == pytest.approx((again.mean, again.se_total), rel=1e-6)
    assert (len(best.iwae), best.iwae.budget.draws, best.iwae.estimator) == (200, 100, "IWAE-100")
    assert best.rate.mean + best.distortion.mean == pytest.approx(-best.elbo.mean)


def test_the_page_is_rebuilt_from_the_records_alone(done) -> None:
    before = done.page.read_text(encoding="utf-8")
    for weights in (done.page.parent / "runs").rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".hidden"))
    try:
        assert er.report(done.page.parent).read_text(encoding="utf-8") == before
    finally:
        for weights in (done.page.parent / "runs").rglob("*.hidden"):
            weights.rename(weights.with_suffix(".safetensors"))


def test_a_study_is_not_written_over_unasked(done, digits, tmp_path) -> None:
    called = "is not empty: delete what it holds with overwrite=True, go on with it by resume=True, or name another fo"
    with pytest.raises(er.InputError, match=called):
        er.study(digits, done.page.parent, **SMALL)
    typed = "is not empty: delete what it holds with --overwrite, go on with it by --resume, or .* folder with --folder"
    with pytest.raises(er.InputError, match=typed):
        er.study(digits, done.page.parent, command="elbowroom study digits", **SMALL)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(er.InputError, match="is not empty: name another folder"):
        er.study(digits, tmp_path, overwrite=True, **SMALL)
    assert (tmp_path / "mine.txt").exists()


def test_only_a_plane_of_standard_normals_gets_a_grid_of_quantiles(digits) -> None:
    classes = {"prior": "categorical-prior", "posterior": "categorical-posterior", "latents": 2}
    assert [_has_grid(er.models.build(words, digits)) for words in ({"latents": 2}, {"latents": 3}, classes)] == [
        True,
        False,
        False,
    ]


def test_pictures_are_the_first_of_a_seeded_draw(done, digits) -> None:
    from safetensors.torch import load_file

    pictures = load_file(done.page.parent / "pictures.safetensors")
    order = torch.randperm(len(digits.validation), generator=torch.Generator().manual_seed(0))[:16]
    assert torch.equal(pictures["held_out"], digits.validation.x[order])
    assert torch.equal(pictures["samples_mean"], done.vae.sample(16, mode="mean", seed=0))
    ancestral = pictures["samples_ancestral"]
    assert torch.equal(ancestral, ancestral.round())  # on the data's grid
    assert pictures["decoded_grid"].shape == (15, 15, 64)
    assert pictures["decoded_grid_axis"][7].item() == pytest.approx(0.0, abs=1e-6)


def test_evidence_and_samples_of_a_run_by_its_folder(done, digits, tmp_path) -> None:
    (estimate,) = measure_run(done.page.parent, "iwae", draws=64)
    expected = joined([er.evidence.iwae(done.vae, digits.test, draws=64)])
    assert np.array_equal(estimate.index, expected.index)
    assert estimate.values == pytest.approx(expected.values)
    kept = read_estimates(done.page.parent / "runs" / done.chosen.name / "evidence.json")
    assert [(one.part, one.estimate.mean) for one in kept][-1] == ("test", estimate.mean)
    samples = np.load(sample_run(done.page.parent, tmp_path / "s.npy", n=5))
    assert np.array_equal(samples, done.vae.sample(5).numpy())
    assert sample_run(done.page.parent, tmp_path / "s.png", n=5).stat().st_size > 0
    with pytest.raises(er.InputError, match="not the data that the run"):
        measure_run(done.page.parent, source=np.random.default_rng(0).integers(0, 17, (1_000, 64)))


def test_classics_are_scikit_learns_on_the_same_dequantised_data(digits, monkeypatch) -> None:
    short_contest(monkeypatch)
    found = {one.name: one for one in classics(digits, seed=0, progress=False)}
    pca, kernel = found["probabilistic PCA"], found["kernel density"]
    noise = [er.numerics.keyed_uniform((64,), part.index, 0).numpy() for part in (digits.train, digits.test)]
    train, test = (
        ((part.x.numpy() + u) / 17).astype(np.float64)
        for part, u in zip((digits.train, digits.test), noise, strict=True)
    )
    exact = PCA(int(pca.setting.split()[0]), svd_solver="full").fit(train).score_samples(test) - 64 * math.log(17)
    assert pca.estimate.mean == pytest.approx(exact.mean(), abs=0.5)  # ours knows the variance of the noise
    width = float(re.search(r"bandwidth (\S+) of", kernel.setting).group(1)) * math.sqrt(train.var(0).sum() / 64)
    squares = cdist(test, train, "sqeuclidean") / width**2
    constant = math.log(len(train)) + 64 * (math.log(width) + 0.5 * math.log(2 * math.pi) + math.log(17))
    assert kernel.setting.endswith("round")
    assert kernel.estimate.mean == pytest.approx((logsumexp(-0.5 * squares, axis=1) - constant).mean(), abs=0.5)
    ranked = sorted(found, key=lambda name: -found[name].estimate.mean)
    assert ranked[:2] == ["PixelCNN of one layer", "mixture of factor analysers"]  # it alone sees levels


def drawn_from(kind: str, model, train: np.ndarray, n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """n draws of E[x | z] and of x of a fitted model, from its public attributes."""
    if kind == "mixture":
        x, labels = model.sample(n)
        return model.means_[labels], x
    if kind == "kernel":
        means = train[rng.integers(len(train), size=n)]
        return means, means + model.bandwidth_ * rng.normal(size=means.shape)
    if kind == "pca":
        scale = np.sqrt(model.explained_variance_ - model.noise_variance_)
        means = model.mean_ + (rng.normal(size=(n, len(scale))) * scale) @ model.components_
        return means, means + math.sqrt(model.noise_variance_) * rng.normal(size=means.shape)
    means = model.mean_ + rng.normal(size=(n, len(model.components_))) @ model.components_
    return means, means + np.sqrt(model.noise_variance_) * rng.normal(size=means.shape)


@pytest.mark.parametrize(
    ("kind", "fitted", "model"),
    [
        ("pca", lambda x: probabilistic_pca(400, 5).fit((2,), x), PCA(2)),
        ("factor", lambda x: factor_analysis(x).fit((2, 1e-6, 0.0), x), FactorAnalysis(2)),
        ("mixture", lambda x: gaussian_mixture(x, 0).fit((2, 1e-6, 0.0, 0.0, 0.0), x), GaussianMixture(2)),
        (
            "mixture",
            lambda x: gaussian_mixture(x, 0).fit((2, 1e-6, 0.0, 1.0, 0.0), x),
            GaussianMixture(2, covariance_type="diag"),
        ),
        ("kernel", lambda x: kernel_density(400, 5).fit((0.25, 0.0), x), KernelDensity()),
    ],
    ids=["pca", "factor", "full mixture", "diagonal mixture", "kernel"],
)
def test_the_classics_split_of_variance_is_that_of_their_samples(kind, fitted, model) -> None:
    rng, n = np.random.default_rng(0), 40_000
    train = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(400, 5))
    train[:100] += 2.0
    latent, noise = fitted(Learned(train)).split
    width = {"bandwidth": 0.25 * math.sqrt(np.trace(np.cov(train.T)) / 5)}
    about = {"mixture": {"random_state": 0}, "kernel": width}.get(kind, {})
    means, x = drawn_from(kind, model.set_params(**about).fit(train), train, n, rng)
    for value, rows in ((latent, means - means.mean(0)), (noise, x - means), (latent + noise, x - x.mean(0))):
        squares = np.square(rows).sum(1)
        assert abs(value - squares.mean()) < 4 * squares.std() / math.sqrt(n)
    if kind in ("pca", "factor"):
        assert latent + noise == pytest.approx(np.trace(model.get_covariance()), rel=0.005)


def test_the_record_says_where_the_variance_goes(done, digits) -> None:
    rows = {row.name: row for row in done.record.variances}
    assert list(rows)[:2] == ["beta-0.5", "beta-1"]
    own = rows[done.chosen.name]
    budget = er.metrics.variance_budget(done.vae, digits.validation, draws=own.draws)
    assert (own.latent, own.noise, own.data) == pytest.approx((budget.latent, budget.noise, budget.data))
    assert (own.latent_share.value, own.latent_share.se) == pytest.approx((budget.latent_share, budget.latent_share_se))
    u = er.numerics.keyed_uniform((64,), digits.validation.index, 0)
    y = ((digits.validation.x + u) / 17).double().numpy()
    assert [row.data for row in rows.values()] == pytest.approx([y.var(0, ddof=1).sum()] * len(rows), rel=1e-5)
    # With p components pPCA keeps the trace of the training covariance, whatever p.
    u = er.numerics.keyed_uniform((64,), digits.train.index, 0)
    trace = ((digits.train.x + u) / 17).double().numpy().var(0, ddof=1).sum()
    ppca = rows["probabilistic PCA"]
    assert ppca.latent + ppca.noise == pytest.approx(trace, rel=1e-3)  # the noise's variance is known
    assert ppca.latent_share.value == pytest.approx(ppca.latent / (ppca.latent + ppca.noise), rel=1e-5)
    ink = done.record.evidence.ink
    assert ink.data.value == pytest.approx(y.sum(1).var(ddof=1), rel=1e-4)
    assert abs(ink.latent.value - budget.ink_latent) < 4 * math.sqrt(11) * ink.latent.se
    assert ink.noise_diagonal.value == pytest.approx(budget.noise, rel=0.05)
    assert abs(ink.noise_covariance.value) < 5 * ink.noise_covariance.se  # a diagonal decoder has none
    page = done.page.read_text(encoding="utf-8")
    assert "Where the variance goes" in page


def test_the_error_of_a_variance_is_its_spread_over_samples() -> None:
    samples = np.random.default_rng(0).exponential(size=(4_000, 200))
    found = np.array([variance_with_error(row) for row in samples])
    spread = found[:, 0].std()
    assert math.sqrt(np.square(found[:, 1]).mean()) == pytest.approx(spread, rel=0.08)


def test_binary_data_get_a_bernoulli_and_classics_of_bits(monkeypatch) -> None:
    short_contest(monkeypatch)
    data = er.load_data("digits", preprocess="binarise-fixed")
    vae = er.models.build({"latents": 2, "widths": (8,)}, data)
    assert isinstance(vae.likelihood, er.likelihoods.Bernoulli)
    alone, grouped, *chains = classics(data, progress=False)
    assert [one.name for one in chains] == ["masked autoregressive network (MADE)", "PixelCNN of one layer"]
    on = (data.train.x.double().mean(0).numpy() * len(data.train) + 1) / (len(data.train) + 2)
    x = data.test.x.double().numpy()
    assert alone.estimate.mean == pytest.approx(float((x @ np.log(on) + (1 - x) @ np.log(1 - on)).mean()))
    assert (alone.latent, alone.noise) == (0.0, pytest.approx(float((on * (1 - on)).sum())))
    gain = grouped.estimate - alone.estimate
    assert gain.mean > 5 * gain.se_total


def test_latent_use_counts_what_the_encoder_moves(digits) -> None:
    """A linear encoder whose mean is (10 · pixel, constant): one unit active, KLs in closed form."""
    encoder = torch.nn.Linear(64, 4)
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[0, 20] = 10.0
        encoder.bias.copy_(torch.tensor([0.0, 0.5, *[math.log(math.expm1(1 - 1e-5))] * 2]))  # variance 1
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(encoder, 2),
        er.likelihoods.Normal(torch.nn.Linear(2, 64), 64),
        preprocess=digits.preprocess,
    )
    use = latent_use(vae, digits.test)
    assert use.active.tolist() == [True, False]
    y = vae.preprocess(digits.test.x, er.numerics.keyed_uniform((64,), digits.test.index, 0))[0][:, 20].double()
    assert use.kl == pytest.approx([0.5 * (10 * y).square().mean().item(), 0.125], rel=1e-4)


def test_reconstruction_error_and_psnr(digits) -> None:
    """A decoder that returns its bias: the error is that of the constant."""
    decoder = torch.nn.Linear(2, 64)
    torch.nn.init.zeros_(decoder.weight)
    torch.nn.init.constant_(decoder.bias, 0.25)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(torch.nn.Linear(64, 4), 2),
        er.likelihoods.Normal(decoder, 64),
        preprocess=digits.preprocess,
    )
    y = vae.preprocess(digits.test.x, er.numerics.keyed_uniform((64,), digits.test.index, 0))[0].double()
    expected = (y - 0.25).square().sum(1).mean().item()
    assert reconstruction_error(vae, digits.test) == pytest.approx(expected, rel=1e-5)
    assert psnr(expected, 64) == pytest.approx(10 * math.log10(64 / expected))


def test_neighbours_vote() -> None:
    rows = np.concatenate([np.zeros((5, 2)), np.ones((5, 2))])
    labels = np.repeat([0, 1], 5)
    tested = np.array([[0.1, 0.1], [0.9, 0.9], [0.2, 0.0]])
    assert neighbour_accuracy(rows, labels, tested, np.array([0, 1, 1])) == pytest.approx(2 / 3)


@pytest.mark.usefixtures("pages_are_sketched")
def test_a_table_is_studied_too(tmp_path, monkeypatch) -> None:
    short_study(monkeypatch)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 4))
    done = er.study(er.load_data(table, name="made"), tmp_path / "t", **SMALL)
    assert done.record.data.image_shape is None
    assert not done.record.data.in_bits
    assert done.page.exists()
