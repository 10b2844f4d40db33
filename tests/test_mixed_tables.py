"""Tables whose columns are of different kinds, from a file to a trained model, against independent answers."""

import numpy as np
import pytest
import torch
from scipy import stats

import elbowroom as er
from elbowroom import likelihoods as L

KINDS = ["real", "real", "binary", "counts", "grid", "unit"]


def table(n: int = 400) -> np.ndarray:
    """One hidden number behind columns of several kinds, whose scales differ by a thousand."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=n)
    return np.column_stack(
        [
            5_000 + 900 * hidden + 100 * generator.normal(size=n),
            0.01 * generator.normal(size=n) - 0.03 * hidden,
            generator.random(n) < 1 / (1 + np.exp(-2 * hidden)),
            generator.poisson(np.exp(5 + 0.5 * hidden)),
            np.clip(np.round(5 + 2 * hidden), 0, 10),
            1 / (1 + np.exp(-hidden - 0.3 * generator.normal(size=n))),
        ]
    )


def written(path, x: np.ndarray):
    lines = ["height,weight,smokes,visits,score,share", *(",".join(repr(float(v)) for v in row) for row in x)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_supports_are_found_for_each_column(tmp_path) -> None:
    data = er.load_data(written(tmp_path / "people.csv", table()), support="mixed")
    assert [one.kind for one in data.support.columns] == KINDS
    assert str(data.support) == "table of columns: 1 binary, 1 counts, 1 grid, 2 real, 1 unit"
    y, log_jacobian = data.preprocess(data.train.x)
    mean, std = data.train.x[:, :2].double().mean(0), data.train.x[:, :2].double().std(0, correction=0)
    torch.testing.assert_close(y[:, :2].double(), (data.train.x[:, :2].double() - mean) / std, rtol=1e-3, atol=1e-3)
    assert torch.equal(y[:, 2:], data.train.x[:, 2:])
    torch.testing.assert_close(log_jacobian.double(), -std.log().sum().expand(len(y)), rtol=1e-5, atol=1e-5)


def test_auto_gives_each_run_of_columns_its_family_and_says_why(tmp_path) -> None:
    data = er.load_data(table(), support="mixed")
    likelihood, why = L.auto(data.support, 6, lambda numbers: er.networks.MLP([2, numbers]))
    families = [type(family).__name__ for family in likelihood.families]
    assert families == ["Normal", "Bernoulli", "NegativeBinomial", "DiscretisedLogistic", "TruncatedNormal"]
    assert why.startswith("Mixed:")
    assert all(name in why for name in families)


def test_a_csv_becomes_a_trained_model_better_than_columns_alone(tmp_path) -> None:
    """A latent that all columns share beats the best independent fits of each column by far, in nats of the raw x."""
    data = er.load_data(written(tmp_path / "people.csv", table(600)), support="mixed")
    vae = er.models.build({"latents": 2, "widths": (32,)}, data)
    er.fit(vae, data, epochs=20, lr=1e-2, batch_size=60, progress=False)
    x, test = data.train.x.double().numpy(), data.test.x.double().numpy()
    alone = sum(stats.norm(x[:, i].mean(), x[:, i].std()).logpdf(test[:, i]).mean() for i in (0, 1))
    alone += stats.bernoulli(x[:, 2].mean()).logpmf(test[:, 2]).mean()
    mean, variance = x[:, 3].mean(), x[:, 3].var()
    r = mean**2 / (variance - mean)
    alone += stats.nbinom(r, r / (r + mean)).logpmf(test[:, 3]).mean()
    alone += np.log([(np.mean(x[:, 4] == v) * len(x) + 1) / (len(x) + 11) for v in test[:, 4]]).mean()
    alone += stats.beta(*stats.beta.fit(x[:, 5], floc=0, fscale=1)[:2]).logpdf(test[:, 5]).mean()
    found = er.evidence.iwae(vae, data.test, draws=100)
    assert found.mean > alone + 3
    again = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    np.testing.assert_allclose(er.evidence.iwae(again, data.test, draws=100).values, found.values, rtol=1e-5)
    samples = vae.sample(500)
    assert abs(samples[:, 0].mean() - 5_000) < 300
    assert torch.equal(samples[:, 2:5], samples[:, 2:5].round())
    assert set(samples[:, 2].tolist()) == {0.0, 1.0}
    assert vae.reconstruct(data.test).shape == data.test.x.shape


def test_stated_kinds_are_checked() -> None:
    x = table()
    data = er.load_data(x, support=[*KINDS[:4], er.Support("categorical", 11), "unit"])
    assert data.support.columns[4] == er.Support("categorical", 11)
    with pytest.raises(er.InputError, match="do not lie in the stated support"):
        er.load_data(x, support=["binary", *KINDS[1:]])
    with pytest.raises(er.InputError, match="one support per column"):
        er.load_data(x, support=KINDS[:3])
    with pytest.raises(er.InputError, match="supports of its columns"):
        er.Support("mixed")
