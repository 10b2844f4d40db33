"""Densities without a latent by the chain rule: they add to one, read in order, and find the law that made the data."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit
from staged import short_contest
from torch import Tensor, nn
from torch.autograd.functional import jacobian

import elbowroom as er
from elbowroom.numerics import Support
from elbowroom.studies import autoregressive, contest
from elbowroom.studies.autoregressive import Cells, autoregressive_families, cells_of, log_prob_of, masked, windowed
from elbowroom.studies.candidates import Learned
from elbowroom.studies.seen import seen_rows

BITS = Support("binary")
TABLE = Support("mixed", columns=(BITS, Support("categorical", 3), Support("categorical", 3), Support("grid", 4)))
MADE, PIXELS = "masked autoregressive network (MADE)", "PixelCNN of one layer"


def cells(support: Support, image_shape: tuple[int, ...] | None = None) -> Cells:
    return Cells(support, image_shape, lambda rows: torch.from_numpy(np.asarray(rows, np.float32)))


def shaken(model: nn.Module) -> nn.Module:
    """With weights far from zero, so that columns matter to each other."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.8)
    return model.double()


KINDS = {
    "bits": (masked(cells(BITS), 6, 12), [2] * 6),
    "table": (masked(cells(TABLE), 4, 9), [2, 3, 3, 4]),
    "pixels": (windowed(cells(BITS, (2, 3)), 6, 3), [2] * 6),
    "levels": (windowed(cells(Support("grid", 3), (2, 2)), 4, 1), [3] * 4),
}


@pytest.mark.parametrize(("model", "levels"), KINDS.values(), ids=KINDS)
def test_probabilities_of_all_rows_add_to_one(model, levels) -> None:
    every = torch.tensor(list(itertools.product(*map(range, levels))), dtype=torch.float64)
    total = log_prob_of(shaken(model))(every).exp()
    assert total.sum().item() == pytest.approx(1.0, abs=1e-10)
    assert total.max() > 3 * total.min()


def test_the_numbers_of_a_column_read_what_comes_before_it_and_those_of_a_pixel_what_comes_after() -> None:
    x = torch.rand(12, dtype=torch.float64)
    made = shaken(masked(cells(BITS), 12, 24))
    slopes = jacobian(lambda y: made.network(y[None])[0], x)
    assert (slopes.triu() == 0).all()
    assert (slopes[torch.tril_indices(12, 12, -1).unbind()] != 0).all()
    pixels = shaken(windowed(cells(BITS, (3, 4)), 12, 4))
    slopes = jacobian(lambda y: pixels({"x": y[None, None]}).conditional(y[None, None], None).logits[0, 0], x)
    assert (slopes.tril() == 0).all()
    assert (slopes[torch.triu_indices(12, 12, 1).unbind()] != 0).all()


def chain(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a Markov chain of ten bits that stays with 0.85, and their log-probabilities."""
    stays = rng.random((n, 9)) < 0.85
    rows = np.column_stack([rng.integers(0, 2, n), np.zeros((n, 9), int)])
    for i in range(9):
        rows[:, i + 1] = np.where(stays[:, i], rows[:, i], 1 - rows[:, i])
    return rows, np.log(0.5) + np.where(stays, np.log(0.85), np.log(0.15)).sum(1)


def odd_table(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a random law over all tables of bits, classes and levels, and their log-probabilities."""
    every = np.array(list(itertools.product(range(2), range(3), range(3), range(4))))
    law = np.random.default_rng(5).dirichlet(np.full(len(every), 2.0))
    drawn = rng.choice(len(every), n, p=law)
    return every[drawn], np.log(law[drawn])


@pytest.mark.parametrize(
    ("draw", "support", "image_shape", "lost"),
    [(chain, BITS, None, 0.04), (odd_table, TABLE, None, 0.15), (chain, BITS, (1, 10), 0.04)],
    ids=["chain", "table", "chain as pixels"],
)
def test_trained_ones_come_near_the_entropy_and_never_below(draw, support, image_shape, lost, monkeypatch) -> None:
    """The mean log-ratio to the law that drew the rows is −KL, within its error; a grid's logistic is no free table."""
    monkeypatch.setattr(autoregressive, "_MOST_STEPS", 100)
    monkeypatch.setattr(autoregressive, "_LR", 2e-2)
    rng = np.random.default_rng(0)
    (train, _), (held_out, _), (test, truth) = draw(4_000, rng), draw(200, rng), draw(4_000, rng)
    families, said = autoregressive_families(cells(support, image_shape), Learned(train), held_out, 0)
    assert (len(families), said) == (1 + (image_shape is not None), [])
    ratio = families[-1].fit(families[-1].starts[0], Learned(train)).scores(test) - truth
    error = ratio.std() / np.sqrt(len(ratio))
    assert -lost < ratio.mean() < 2 * error


def by_hand(made: nn.Module, bits: Tensor) -> np.ndarray:
    """log p of bits by NumPy, from the weights of a masked network of one layer."""
    x = bits.double().numpy()
    first, last = (one for one in made.network.network if hasattr(one, "mask"))
    (a, b), (c, d) = (((w.weight * w.mask).detach().double().numpy(), w.bias.detach().numpy()) for w in (first, last))
    scaled = (x - made.network.mean.numpy()) / made.network.std.numpy()
    inner = scaled @ a.T + b
    logits = (inner * expit(inner)) @ c.T + d
    return log_expit(np.where(x == 1, logits, -logits)).sum(1)


def pixel_by_pixel(model: nn.Module, x: Tensor) -> np.ndarray:
    """log p of bits from the last pixel back, where what has not been seen yet is noise."""
    total = torch.zeros(len(x))
    for i in reversed(range(x.shape[1])):
        known = torch.where(torch.arange(x.shape[1]) > i, x, torch.rand_like(x))[None]
        logits = model({"x": known}).conditional(known, torch.tensor([i])).logits[0, :, 0].detach()
        total += nn.functional.logsigmoid(torch.where(x[:, i] == 1, logits, -logits))
    return total.double().numpy()


def test_the_numbers_of_binarised_digits_are_those_that_other_code_gives(monkeypatch) -> None:
    monkeypatch.setattr(autoregressive, "_MOST_STEPS", 60)
    kept, descend = [], autoregressive.descend
    monkeypatch.setattr(autoregressive, "descend", lambda model, *x, **y: (kept.append(model), descend(model, *x, **y)))
    data = er.load_data("digits", preprocess="binarise-fixed")
    rows, x = contest.learned(data, 0), data.test.x[:50]
    families, _ = autoregressive_families(cells_of(data), rows, data.validation.x.numpy(), 0)
    assert [one.name for one in families] == [MADE, PIXELS]
    for family, other in zip(families, (by_hand, pixel_by_pixel), strict=True):
        fitted = family.fit(family.starts[0], rows)
        np.testing.assert_allclose(fitted.scores(x.numpy()), other(kept.pop(), x), rtol=1e-4)
        assert fitted.split == (0.0, pytest.approx(float(data.train.x.var(0, correction=0).sum()), rel=1e-5))


def test_a_density_of_dequantised_levels_is_their_probability(monkeypatch) -> None:
    """On the user's scale log p(x + u) = log P(x), whatever u is and however the network sees it."""
    short_contest(monkeypatch)
    x, found = np.random.default_rng(0).integers(0, 5, (90, 3)), []
    for word in ("none", "dequantise", "dequantise-symmetric"):
        data = er.load_data(x, preprocess=word)
        rows, (test, log_jacobian) = contest.learned(data, 0), seen_rows(data, data.test, 3, 100)
        (made,), said = autoregressive_families(cells_of(data), rows, rows.rows[:20], 0)
        found.append(made.fit((32,), rows).scores(test) + log_jacobian)
        assert bool(said) == (word != "none")
        assert ("spread evenly over its cell" in made.words((32,))) == (word != "none")
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-5)
    assert found[0].max() < 0


def test_what_has_no_order_to_read_is_left_out_in_words() -> None:
    for rows, says in (
        (np.zeros((90, 1)), "a single column"),
        (np.zeros((20, 3)), "60 rows or more, and there are 20"),
        (np.zeros((90, 1_001)), "over 1,000 columns"),
    ):
        families, said = autoregressive_families(cells(BITS), Learned(rows), rows, 0)
        assert families == []
        assert says in said[0]
    assert cells_of(er.load_data(np.random.default_rng(0).normal(size=(60, 3)))) is None
    assert autoregressive_families(None, Learned(rows), rows, 0) == ([], [])
