"""Tables of classes and of mixed columns, from a file to the report; what is left out, and that it is said."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from drawings import sketched
from scipy import optimize, stats
from staged import short_contest, short_study

import elbowroom as er
from elbowroom.studies.contest import classics, classics_left_out
from elbowroom.studies.latents import comparable
from elbowroom.studies.train import why_no_squares

pytestmark = pytest.mark.usefixtures("pages_are_drawn_once")

SMALL = {
    "recipe": {"latents": 2},
    "axes": {"beta": (0.5, 1.0)},
    "epochs": 2,
    "draws": 16,
    "annealed": 0,
    "progress": False,
}
MADE = "masked autoregressive network (MADE)"
COLOURS = np.array(["blue", "green", "red"])


def people(n: int = 240) -> pd.DataFrame:
    """One hidden group behind words, numbers, counts and a yes or no."""
    rng = np.random.default_rng(0)
    group = rng.integers(3, size=n)
    return pd.DataFrame(
        {
            "colour": COLOURS[np.where(rng.random(n) < 0.8, group, rng.integers(3, size=n))],
            "height": rng.normal(150 + 20 * group, 5),
            "smokes": (rng.random(n) < 0.2 + 0.3 * group).astype(int),
            "visits": rng.poisson(100 + 150 * group),
        }
    )


def codes(n: int = 240) -> np.ndarray:
    rng = np.random.default_rng(1)
    group = rng.integers(3, size=n)
    return np.column_stack([np.where(rng.random(n) < 0.8, group, rng.integers(3, size=n)) for _ in range(4)])


def studied(data, folder, *, drawn=False):
    """A study whose classics are those that their search sets out from; its page's words are all there, drawn or not.

    Pages of columns of classes are drawn in `test_page_figures`.
    """
    with pytest.MonkeyPatch.context() as patch:
        short_study(patch)
        if not drawn:
            patch.setattr("elbowroom.pages.embedding._drawing", sketched)
        return er.study(data, folder / "study", **SMALL)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    people().to_csv(folder / "people.csv", index=False)
    data = er.load_data(folder / "people.csv")
    done = studied(data, folder, drawn=True)
    return data, done, done.record


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    data = er.load_data(codes(), support="categorical", labels=codes()[:, 0], name="votes")
    done = studied(data, folder)
    return data, done, done.record


def page_of(done) -> str:
    return done.page.read_text(encoding="utf-8").replace("\u00a0", " ").replace("&#39;", "'")


def test_columns_of_words_are_classes(mixed) -> None:
    data, _, record = mixed
    assert [one.kind for one in data.support.columns] == ["categorical", "real", "binary", "counts"]
    assert [name for name, _ in record.data.column_rows] == list(people())
    assert data.support.columns[0].levels == 3
    assert data.classes == {"colour": ["blue", "green", "red"]}
    assert "classes     colour: blue, green, red" in str(data)
    assert "by columns (1 identity, 1 standardise, 2 identity)" in str(data)
    assert record.data.classes == {0: ("blue", "green", "red")}
    table = people()
    whole = torch.cat([part.x for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    assert (COLOURS[whole[:, 0].long().numpy()] == table["colour"].to_numpy()[index.numpy()]).all()


def test_a_frame_and_a_file_are_the_same_data(mixed) -> None:
    again = er.load_data(people())
    assert again.sha256 == mixed[0].sha256
    assert again.support == mixed[0].support


def test_a_column_of_words_cannot_be_called_real() -> None:
    with pytest.raises(er.InputError, match="'colour' holds words"):
        er.load_data(people(), support="real")
    stated = er.load_data(people(), support=["categorical", "real", "binary", "counts"])
    assert stated.support == er.load_data(people(), support="mixed").support


def test_the_encoder_reads_classes_one_hot(mixed, classes) -> None:
    data, done, _ = mixed
    scaler = done.vae.posterior["z"].network
    y = data.preprocess(data.train.x)[0].double()
    read = scaler.read(data.preprocess(data.test.x)[0])
    expected = (data.preprocess(data.test.x)[0].double()[:, 1:] - y[:, 1:].mean(0)) / y[:, 1:].std(0, correction=0)
    torch.testing.assert_close(read[:, :3].double(), expected, rtol=1e-4, atol=1e-4)
    one_hot = torch.nn.functional.one_hot(data.test.x[:, 0].long(), 3)
    assert torch.equal(read[:, 3:], one_hot.float())
    data, done, _ = classes
    read = done.vae.posterior["z"].network.read(data.test.x)
    assert torch.equal(read, torch.nn.functional.one_hot(data.test.x.long(), 3).flatten(1).float())


def test_the_saved_model_reads_the_same(mixed, tmp_path) -> None:
    data, done, _ = mixed
    again = er.load_model(er.save_model(done.vae, tmp_path / "m.vae"))
    assert torch.equal(again.encode(data.test)["z"], done.vae.encode(data.test)["z"])
    kept, _ = er.runs.read_run(done.page.parent / "runs" / done.chosen.name)
    assert torch.equal(kept.encode(data.test)["z"], done.vae.encode(data.test)["z"])


def test_the_independence_model_of_a_mixed_table_is_the_product_of_its_columns(mixed) -> None:
    data, _, record = mixed
    x, test = data.train.x.double().numpy(), data.test.x.double().numpy()
    expected = np.log([(np.sum(x[:, 0] == v) + 1) / (len(x) + 3) for v in test[:, 0]])
    expected += stats.norm(x[:, 1].mean(), math.sqrt(1.001) * x[:, 1].std()).logpdf(test[:, 1])
    on = (x[:, 2].sum() + 1) / (len(x) + 2)
    expected += stats.bernoulli(on).logpmf(test[:, 2])
    mean = x[:, 3].mean()
    score = lambda log_r: -stats.nbinom(r := np.exp(log_r), r / (r + mean)).logpmf(x[:, 3]).sum()  # noqa: E731
    r = np.exp(optimize.minimize_scalar(score, bounds=(-3, 9), method="bounded").x)
    expected += stats.nbinom(r, r / (r + mean)).logpmf(test[:, 3])
    rows = {row.name: row.estimate for row in record.rows}
    assert set(rows) == {"VAE", "independence model", "latent class model", MADE}
    np.testing.assert_allclose(rows["independence model"].values, expected, rtol=1e-4)
    assert rows["latent class model"].mean > expected.mean() + 0.5


def test_classes_are_left_to_models_of_probabilities(classes, monkeypatch) -> None:
    short_contest(monkeypatch)
    data, _, record = classes
    found = {one.name: one for one in classics(data, progress=False)}
    x, test = data.train.x.long().numpy(), data.test.x.long().numpy()
    tables = [(np.bincount(column, minlength=3) + 1) / (len(x) + 3) for column in x.T]
    expected = sum(np.log(table[column]) for table, column in zip(tables, test.T, strict=True))
    np.testing.assert_allclose(found["independence model"].estimate.values, expected, rtol=1e-9)
    assert all(one.estimate.values.max() < 0 for one in found.values())  # probabilities
    assert record.contest.left_out.startswith(classics_left_out(data))
    assert "classes without an order" in record.contest.left_out


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (er.load_data(np.random.default_rng(0).integers(0, 9, (90, 3)), preprocess="none"), "whole numbers on a grid"),
        (er.load_data(np.random.default_rng(0).poisson(400, (90, 3))), "counts"),
        (er.load_data(np.random.default_rng(0).integers(0, 2, (90, 3))), "zeros and ones"),
    ],
    ids=["raw grid", "counts", "binary"],
)
def test_a_density_is_never_set_beside_a_probability(data, says, monkeypatch) -> None:
    short_contest(monkeypatch)
    assert says in classics_left_out(data)
    assert [one.name for one in classics(data, progress=False)] == ["independence model", "latent class model", MADE]


@pytest.mark.parametrize("rows", [12, 60])
def test_small_tables_of_real_numbers_have_all_the_classics(rows, monkeypatch) -> None:
    short_contest(monkeypatch)
    data = er.load_data(np.random.default_rng(0).normal(size=(rows, 3)))
    assert classics_left_out(data) is None
    names = [
        "probabilistic PCA",
        "factor analysis",
        "Gaussian mixture",
        "mixture of factor analysers",
        "kernel density",
    ]
    assert [one.name for one in classics(data, progress=False)] == names


def test_the_mixed_page_says_what_is_left_out(mixed) -> None:
    _, done, record = mixed
    page = page_of(done)
    assert record.contest.left_out in page
    assert record.reconstruction.why_none in page
    assert record.reconstruction.squared_error is None
    assert (record.variances, record.evidence.ink) == ((), None)
    assert "3 columns of numbers: held-out data beside ancestral samples and decoder means" in page
    assert "1 column of classes: their shares of held-out data and of ancestral samples" in page
    assert ">squared error<" not in page
    assert "nan" not in page.lower().replace("nanvae", "")


@pytest.mark.usefixtures("pages_are_sketched")
def test_the_page_shows_the_shares_of_the_classes(classes) -> None:
    data, done, record = classes
    page = page_of(done)
    first = data.validation.x[:, 0]
    share = 100 * float((first == first.mode().values).double().mean())
    assert f"{share:.1f} % / " in page
    assert "columns of numbers" not in page
    assert record.reconstruction.why_none in page
    assert er.report(done.page.parent).read_text(encoding="utf-8") == done.page.read_text(encoding="utf-8")


def test_neighbours_in_x_are_counted_on_one_hot_classes(classes) -> None:
    """Rows that differ in m columns are √(2m) apart, whatever their codes."""
    data, _, record = classes
    rows = comparable(data, data.test)
    apart = (data.test.x[:, None] != data.test.x[None]).sum(-1).numpy()
    np.testing.assert_allclose(np.linalg.norm(rows[:, None] - rows[None], axis=-1) ** 2, 2 * apart, atol=1e-4)
    assert 0 <= record.evidence.latents.neighbours.x <= 1


def test_pictures_have_means_where_columns_have_them(mixed) -> None:
    from safetensors.torch import load_file

    data, done, _ = mixed
    pictures = load_file(done.page.parent / "pictures.safetensors")
    means = pictures["samples_mean"]
    strips = [array for name, array in pictures.items() if name.startswith("models.") and name.endswith(".samples")]
    assert all(len(array) == 500 for array in strips)  # quantiles of fewer would say little
    assert strips
    assert means[:, 0].isnan().all()
    given = done.vae.draw_prior(len(means), 0, {})
    normal = done.vae.likelihood(given).groups[1]
    expected = normal.mean[0, :, 0] * data.preprocess.steps[1].std + data.preprocess.steps[1].mean
    torch.testing.assert_close(means[:, 1].double(), expected.double(), rtol=1e-4, atol=1e-3)


def test_what_has_no_mean_is_known_before_training() -> None:
    data = er.load_data(np.random.default_rng(0).integers(0, 5, (60, 3)), preprocess="none")
    some, support = data.validation[:2], data.support
    assert why_no_squares(er.models.build({"latents": 2}, data), support, some) is None
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(torch.nn.Linear(3, 4), 2),
        er.likelihoods.Categorical(torch.nn.Linear(2, 15), 3, levels=5, ordered=False),
    )
    assert "has no mean" in (why_no_squares(vae, support, some) or "")


def test_a_part_too_small_is_refused_before_anything_is_written(tmp_path) -> None:
    data = er.load_data(people(60), test=0)
    with pytest.raises(er.InputError, match="2 test examples or more"):
        er.study(data, tmp_path / "study", **SMALL)
    assert not (tmp_path / "study").exists()


def test_a_run_of_a_table_with_words_is_found_again(mixed) -> None:
    data, done, _ = mixed
    source = done.page.parent.parent / "people.csv"
    (estimate,) = er.runs.measure_run(done.page.parent, "iwae", draws=16, source=source, progress=False)
    again = er.evidence.iwae(done.vae, data.test, draws=16)
    assert estimate.mean == pytest.approx(again.mean, rel=1e-5)


def test_images_of_classes_go_to_the_report_too(tmp_path) -> None:
    """Pixels that are colours by number: no reconstructions, and samples stand beside held-out images."""
    rng = np.random.default_rng(0)
    images = (rng.integers(3, size=(90, 1, 1)) + (rng.random((90, 4, 4)) < 0.1)) % 3
    done = studied(er.load_data(images, support="categorical", name="flags"), tmp_path)
    page = page_of(done)
    assert "8 validation examples, and 8 ancestral samples" in page  # a full row of the nine
    assert "There is no squared error" in page
