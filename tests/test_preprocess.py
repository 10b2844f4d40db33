import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.preprocess import (
    Affine,
    Binarise,
    Chain,
    Columns,
    Dequantise,
    Identity,
    Logit,
    Preprocess,
    Standardise,
)
from elbowroom.recipes import build, recipe_of

EVENT = (2, 3)


def fitted() -> Standardise:
    return Standardise(EVENT).fit(3.0 * torch.randn(50, *EVENT, generator=torch.Generator().manual_seed(0)) + 1.0)


MAPS = {
    "identity": Identity,
    "affine": lambda: Affine(-2.0, shift=0.5),
    "standardise": fitted,
    "logit": lambda: Logit(alpha=0.01),
    "dequantise": lambda: Dequantise(17, EVENT),
    "symmetric": lambda: Chain([Dequantise(17, EVENT), Affine(2.0, shift=-1.0)]),
    "logit chain": lambda: Chain([Dequantise(17, EVENT), Logit(alpha=0.01), Affine(0.5)]),
}


def data(step: Preprocess, n: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    if step.noise_shape is None:
        return torch.rand(n, *EVENT, dtype=dtype, generator=generator), None
    x = torch.randint(0, 17, (n, *EVENT), generator=generator).to(dtype)
    return x, torch.rand(n, *EVENT, dtype=dtype, generator=generator)


@pytest.mark.parametrize("name", MAPS)
def test_log_jacobian_is_the_determinant_of_the_jacobian(name):
    step = MAPS[name]()
    x, noise = data(step)
    _, log_jacobian = step(x, noise)
    for i in range(len(x)):
        u = None if noise is None else noise[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda a, u=u: step(a, u)[0].flatten(), x[i : i + 1])
        expected = torch.linalg.slogdet(jacobian.reshape(6, 6)).logabsdet
        assert log_jacobian[i].item() == pytest.approx(expected.item(), abs=1e-10)


@pytest.mark.parametrize("name", MAPS)
def test_inverse_gives_x_back(name):
    step = MAPS[name]()
    x, noise = data(step)
    y, _ = step(x, noise)
    assert step.invertible
    torch.testing.assert_close(step.inverse(y), x)
    torch.testing.assert_close(step.inverse(y.expand(5, *y.shape)), x.expand(5, *x.shape))


@pytest.mark.parametrize("name", [*MAPS, "binarise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vmap_and_dtype(name, dtype):
    step = Binarise(17, EVENT) if name == "binarise" else MAPS[name]()
    x, noise = data(step, 6, dtype)
    y, log_jacobian = step(x, noise)
    assert y.dtype == log_jacobian.dtype == dtype
    stack = x.view(2, 3, *EVENT)
    if noise is None:
        stacked, stacked_jacobian = torch.func.vmap(step)(stack)
    else:
        stacked, stacked_jacobian = torch.func.vmap(step)(stack, noise.view(2, 3, *EVENT))
    assert torch.equal(stacked.reshape(y.shape), y)
    torch.testing.assert_close(stacked_jacobian.reshape(-1), log_jacobian)


@pytest.mark.parametrize("name", [*MAPS, "binarise"])
def test_recipe_and_state_rebuild_the_same_map(name):
    step = Binarise(17, EVENT) if name == "binarise" else MAPS[name]()
    again = build(recipe_of(step))
    again.load_state_dict(step.state_dict())
    x, noise = data(step)
    for one, other in zip(step(x, noise), again(x, noise), strict=True):
        assert torch.equal(one, other)
    assert again.step == step.step


def test_integers_become_the_default_dtype():
    y, log_jacobian = Dequantise(256, (2,))(torch.tensor([[0, 255]], dtype=torch.uint8), torch.rand(1, 2))
    assert y.dtype == log_jacobian.dtype == torch.float32
    assert Identity()(torch.tensor([[2**24 + 1]]))[0].tolist() == [[2**24 + 1]]


def log_density(step: Preprocess, x: Tensor, noise: Tensor | None, family: torch.distributions.Distribution) -> Tensor:
    y, log_jacobian = step(x, noise)
    return family.log_prob(y).flatten(1).sum(1) + log_jacobian


@pytest.mark.parametrize(
    ("step", "low", "high"),
    [
        (Affine(2.0, shift=-1.0), -20, 20),
        (Affine(-0.3, shift=4.0), -20, 40),
        (Standardise((1,)).fit(torch.tensor([[0.0], [1.0], [5.0]])), -30, 30),
        (Chain([Affine(0.5, shift=0.25), Logit(alpha=0.05)]), -0.6, 1.6),
    ],
)
def test_a_density_integrates_to_one_on_the_users_scale(step, low, high):
    family = torch.distributions.Normal(torch.tensor(0.3, dtype=torch.float64), 0.7)
    at = lambda x: math.exp(log_density(step, torch.tensor([[x]], dtype=torch.float64), None, family).item())  # noqa: E731
    total, _ = integrate.quad(at, low, high, limit=200, points=[0.0, 0.5, 1.0, 2.0])
    # The logit map sends [−α, 1 + α] / (1 − 2α) of its own input onto the whole line.
    assert total == pytest.approx(1.0, abs=1e-6)


def test_dequantised_density_integrates_to_one_over_levels_and_noise():
    levels = 5
    family = torch.distributions.Beta(torch.tensor(2.0, dtype=torch.float64), 3.0, validate_args=False)
    step = Dequantise(levels, (1,))
    total = 0.0
    for level in range(levels):
        x = torch.tensor([[float(level)]], dtype=torch.float64)
        cell, _ = integrate.quad(
            lambda u, x=x: math.exp(log_density(step, x, torch.tensor([[u]], dtype=torch.float64), family).item()),
            0,
            1,
        )
        expected = np.diff(stats.beta(2, 3).cdf([level / levels, (level + 1) / levels]))[0]
        assert cell == pytest.approx(expected, abs=1e-9)
        total += cell
    assert total == pytest.approx(1.0, abs=1e-8)


def test_log_p_is_the_same_on_0_1_and_on_minus_1_1():
    unit, symmetric = Dequantise(17, (64,)), Chain([Dequantise(17, (64,)), Affine(2.0, shift=-1.0)])
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 17, (20, 64), generator=generator).double()
    u = torch.rand(20, 64, generator=generator, dtype=torch.float64)
    mean, scale = torch.rand(64, generator=generator, dtype=torch.float64), 0.2
    on_unit = log_density(unit, x, u, torch.distributions.Normal(mean, scale))
    on_symmetric = log_density(symmetric, x, u, torch.distributions.Normal(2 * mean - 1, 2 * scale))
    torch.testing.assert_close(on_unit, on_symmetric)
    assert symmetric.step == pytest.approx(2 / 17)


@settings(max_examples=200, deadline=None)
@given(
    levels=st.integers(2, 256),
    fraction=st.floats(0, 1),
    u=st.floats(0, 1, width=32),
    single=st.booleans(),
    symmetric=st.booleans(),
)
def test_dequantising_and_flooring_is_the_identity_on_the_grid(levels, fraction, u, single, symmetric):
    dtype = torch.float32 if single else torch.float64
    step = Dequantise(levels, (1,))
    chain = Chain([step, Affine(2.0, shift=-1.0)]) if symmetric else step
    x = torch.tensor([[round(fraction * (levels - 1))]], dtype=dtype)
    y, _ = chain(x, torch.tensor([[u]], dtype=dtype))
    assert torch.equal(chain.inverse(y).to(dtype), x)


def test_standardise_is_scikit_learns_standard_scaler():
    x = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 7 + 2
    x[:, 1] = 0.1
    step = Standardise((3,)).double().fit(x)
    np.testing.assert_allclose(step(x)[0].numpy(), StandardScaler().fit_transform(x.numpy()), atol=1e-12)
    assert step.std[1] == 1


def test_binarise_is_bernoulli_with_the_grey_level():
    levels, draws = 17, 20_000
    x = torch.tensor([[0.0, 1.0, 8.0, 15.0, 16.0]]).expand(draws, 5)
    step = Binarise(levels, (5,))
    y, log_jacobian = step(x, torch.rand(draws, 5, generator=torch.Generator().manual_seed(0)))
    p = x[0] / 16
    se = (p * (1 - p) / draws).sqrt()
    assert ((y.mean(0) - p).abs() <= 4 * se).all()
    assert (log_jacobian == 0).all()
    assert set(step.inverse(y).unique().tolist()) == {0.0, 16.0}
    assert not step.invertible
    assert step.estimand == "log p(binarised x)"
    assert Chain([step, Identity()]).estimand == step.estimand


def test_supports():
    grid, unit = Support("grid", 17), Support("unit")
    assert Identity().support(grid) == grid
    assert Dequantise(17, (1,)).support(grid) == unit
    assert Dequantise(17, (1,)).support(Support("binary")) == unit
    assert Chain([Dequantise(17, (1,)), Affine(2.0, shift=-1.0)]).support(grid) == Support("real")
    assert Standardise((1,)).support(Support("counts")) == Support("real")
    assert Binarise(17, (1,)).support(grid) == Binarise(2, (1,)).support(unit) == Support("binary")
    assert Logit().support(unit) == Support("real")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dequantise(17, (1,)).support(Support("real")), "real numbers"),
        (lambda: Dequantise(16, (1,)).support(Support("grid", 17)), "0…15"),
        (lambda: Binarise(256, (1,)).support(Support("counts")), "counts"),
        (lambda: Logit().support(Support("real")), r"\[0, 1\]"),
        (lambda: Dequantise(4, (2,))(torch.zeros(3, 2)), r"\(3, 2\); got none"),
        (lambda: Binarise(4, (2,))(torch.zeros(3, 2), torch.zeros(3, 1)), r"got \(3, 1\)"),
        (lambda: Standardise((2,)).fit(torch.zeros(3, 1)), r"\(3, 1\)"),
        (lambda: Chain([Dequantise(4, (1,)), Dequantise(4, (1,))]), "at most one"),
        (lambda: Chain([]), "needs steps"),
        (lambda: Affine(0.0), "other than 0"),
        (lambda: Logit(alpha=0.5), "0.5"),
        (lambda: Dequantise(1, (1,)), "2 levels"),
        (lambda: Binarise(1, (1,)), "2 levels"),
    ],
)
def test_bad_input_is_one_clear_sentence(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_columns_are_their_steps_side_by_side():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 3, dtype=torch.float64, generator=generator) * 3 + 1
    x = torch.cat([x, torch.randint(0, 9, (50, 2), generator=generator).double()], 1)
    standardise = Standardise((2,)).fit(x[:, :2])
    step = Columns([standardise, Identity(), Dequantise(9, (2,))], [2, 1, 2])
    u = torch.rand(50, 5, dtype=torch.float64, generator=generator)
    y, log_jacobian = step(x, u)
    wanted = [standardise(x[:, :2]), (x[:, 2:3], torch.zeros(50)), Dequantise(9, (2,))(x[:, 3:], u[:, 3:])]
    torch.testing.assert_close(y, torch.cat([part for part, _ in wanted], 1))
    torch.testing.assert_close(log_jacobian, sum(part for _, part in wanted))
    jacobian = torch.autograd.functional.jacobian(lambda a: step(a, u[:1])[0].flatten(), x[:1])
    assert log_jacobian[0].item() == pytest.approx(torch.linalg.slogdet(jacobian.reshape(5, 5)).logabsdet.item())
    torch.testing.assert_close(step.inverse(y), x)
    torch.testing.assert_close(step.inverse(y.expand(4, 50, 5)), x.expand(4, 50, 5))
    again = build(recipe_of(step))
    again.load_state_dict(step.state_dict())
    assert torch.equal(again(x, u)[0], y)
    stacked = torch.func.vmap(step)(x.view(5, 10, 5), u.view(5, 10, 5))
    torch.testing.assert_close(stacked[0].reshape(50, 5), y)
    before = Support("mixed", columns=(Support("real"),) * 3 + (Support("grid", 9),) * 2)
    assert [one.kind for one in step.support(before).columns] == ["real", "real", "real", "unit", "unit"]
    with pytest.raises(InputError, match="made for 5 columns"):
        step(x[:, :4])
    with pytest.raises(InputError, match="a size of 1 or more for every step"):
        Columns([Identity()], [1, 2])


@pytest.mark.parametrize("name", [*MAPS, "binarise", "columns"])
def test_cells_that_are_missing_have_no_part_in_the_log_jacobian(name):
    made = {
        "binarise": lambda: Binarise(17, EVENT),
        "columns": lambda: Columns([Affine(2.0), Logit(alpha=0.1)], [1, 2]),
    }
    step = {**MAPS, **made}[name]()
    x, noise = data(step)
    seen = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    y, log_jacobian = step(x, noise, seen)
    whole, log_whole = step(x, noise)
    assert torch.equal(y, whole)
    slopes = step.cells(x, noise)[1].expand_as(y)
    torch.testing.assert_close(slopes.flatten(1).sum(1), log_whole)
    torch.testing.assert_close(torch.where(seen, slopes, 0.0).flatten(1).sum(1), log_jacobian)
    everything = torch.ones_like(seen)
    torch.testing.assert_close(step(x, noise, everything)[1], log_whole)
