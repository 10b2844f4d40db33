"""Gaussians with correlated elements: densities, draws and gradients against dense matrices."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.fft import dctn
from scipy.special import gamma, kv
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal
from torch.func import grad, vmap

from elbowroom.distributions import capabilities, draw, log_prob_seen, simulate, simulate_missing
from elbowroom.distributions.low_rank_normal import LowRankNormal
from elbowroom.distributions.matern_field import MaternField
from elbowroom.distributions.sparse_precision_normal import SparsePrecisionNormal, later_neighbours
from elbowroom.numerics import InputError

D64 = torch.float64


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=D64, generator=torch.Generator().manual_seed(seed))


def low_rank(seed: int = 0):
    mean, scale, factor = normals(2, 3, 7, seed=seed), normals(2, 3, 7, seed=seed + 1).exp(), normals(2, 3, 2, 7)
    dense = torch.diag_embed(scale.square()) + torch.einsum("...ki,...kj->...ij", factor, factor)
    return LowRankNormal, (mean, scale, factor), {}, dense


def low_rank_shared(seed: int = 0):
    mean, scale, factor = normals(2, 3, 2, 2, 3, seed=seed), torch.tensor(0.3, dtype=D64), normals(3, 2, 2, 3)
    flat = factor.flatten(1)
    dense = 0.09 * torch.eye(12, dtype=D64) + flat.T @ flat
    return LowRankNormal, (mean, scale, factor), {"event_dims": 3}, dense


def sparse(image=(1, 5, 5), radius=1, flat=False):
    def make(seed: int = 0):
        channels, _, width = image
        offsets = later_neighbours(radius, channels)
        mean, log_diagonal = normals(2, 3, *image, seed=seed), 0.5 * normals(2, 3, *image, seed=seed + 1)
        ties = 0.4 * normals(2, 3, len(offsets), *image, seed=seed + 2)
        n = math.prod(image)
        place = {(y, x, c): (y * width + x) * channels + c for c, y, x in np.ndindex(*image)}  # raster order
        lower = torch.zeros(2, 3, n, n, dtype=D64)
        for c, y, x in np.ndindex(*image):
            i = place[y, x, c]
            lower[..., i, i] = log_diagonal[..., c, y, x].exp()
            for k, (dc, dy, dx) in enumerate(offsets):
                j = place.get((y + dy, x + dx, c + dc))
                if j is not None:
                    assert j > i
                    lower[..., j, i] = ties[..., k, c, y, x]
        to_raster = [place[y, x, c] for c, y, x in np.ndindex(*image)]
        dense = (lower @ lower.mT).inverse()[..., to_raster, :][..., to_raster]
        arguments = (mean, log_diagonal, ties)
        if flat:
            arguments = (mean.flatten(-3), log_diagonal.flatten(-3), ties.flatten(-3))
        return SparsePrecisionNormal, arguments, {"image_shape": image, "radius": radius, "flat": flat}, dense

    return make


def field_covariance(height: int, width: int, length: float, nugget: float, order: int) -> np.ndarray:
    """Dense covariance of a Matérn field: scipy's cosine transform, and mode by mode what the pixels see of it."""
    images = np.eye(height * width).reshape(-1, height, width)
    transform = dctn(images, axes=(1, 2), norm="ortho").reshape(height * width, -1)
    power = np.zeros((height, width))
    for j, k in np.ndindex(height, width):
        for a, b in itertools.product((-1, 0, 1), repeat=2):
            squared = (np.pi * (j / height + 2 * a)) ** 2 + (np.pi * (k / width + 2 * b)) ** 2
            power[j, k] += (2 * order / length**2 + squared) ** -(order + 1)
    smooth = transform * (power / power.mean()).ravel() @ transform.T
    return (1 - nugget) * smooth + nugget * np.eye(height * width)


def matern(image=(1, 5, 6), order=1, pixelwise=True, flat=False):
    def make(seed: int = 0):
        channels = image[0]
        length, nugget = torch.tensor(1.7, dtype=D64), torch.tensor(0.1, dtype=D64)
        mean = normals(2, 3, *image, seed=seed)
        scale = normals(2, 3, *image, seed=seed + 1).exp() if pixelwise else torch.tensor(0.3, dtype=D64)
        mixing = torch.linalg.cholesky(torch.eye(channels, dtype=D64) * 0.4 + 0.6) if channels > 1 else None
        field = torch.from_numpy(field_covariance(*image[1:], 1.7, 0.1, order))
        colours = torch.ones(1, 1, dtype=D64) if mixing is None else mixing @ mixing.T
        flat_scale = scale.expand(*mean.shape).flatten(-3)
        dense = torch.kron(colours, field) * flat_scale[..., None] * flat_scale[..., None, :]
        options = {"image_shape": image, "order": order, "flat": flat, "mixing": mixing}
        if flat:
            mean, scale = mean.flatten(-3), scale.flatten(-3) if pixelwise else scale
        return MaternField, (mean, scale, length, nugget), options, dense

    return make


CASES = {
    "low rank": low_rank,
    "low rank, shared": low_rank_shared,
    "sparse": sparse(),
    "sparse, radius 2, flat": sparse(radius=2, flat=True),
    "sparse, colour": sparse((3, 4, 4)),
    "sparse, one row": sparse((2, 1, 6), radius=2),
    "matern 1": matern(),
    "matern 2, colour": matern((3, 4, 4), order=2),
    "matern 1, one scale, flat": matern((2, 3, 4), pixelwise=False, flat=True),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def dense_normal(mean: Tensor, dense: Tensor, event_dims: int) -> MultivariateNormal:
    return MultivariateNormal(mean.flatten(-event_dims), dense)


def test_log_density_is_that_of_the_dense_normal(case):
    kind, arguments, options, dense = case()
    p = kind(*arguments, **options)
    rank = len(p.event_shape)
    value = normals(*p.batch_shape, *p.event_shape, seed=9)
    expected = dense_normal(p.mean, dense, rank).log_prob(value.flatten(-rank))
    assert p.batch_shape == (2, 3)
    torch.testing.assert_close(p.log_prob(value), expected, rtol=1e-9, atol=1e-9)
    determinant = p.log_determinant().expand(p.batch_shape)
    torch.testing.assert_close(determinant, torch.logdet(dense).expand(p.batch_shape), rtol=1e-9, atol=1e-9)


def test_draws_have_exactly_the_covariance(case):
    """A draw is linear in its noise, so unit vectors give its covariance without any Monte Carlo."""
    kind, arguments, options, dense = case()
    p = kind(*arguments, **options)
    size = p.noise_shape.numel()
    units = torch.eye(size, dtype=D64).view(size, 1, 1, *p.noise_shape)
    images = p.correlated(units.expand(size, *p.batch_shape, *p.noise_shape)).flatten(-len(p.event_shape))
    torch.testing.assert_close(torch.einsum("kabi,kabj->abij", images, images), dense.expand(2, 3, *dense.shape[-2:]))
    torch.testing.assert_close(
        p.variance.flatten(-len(p.event_shape)), dense.diagonal(dim1=-2, dim2=-1).expand(2, 3, -1)
    )
    noise = normals(2, 3, *p.noise_shape)
    value, log_density = draw(p, noise)
    torch.testing.assert_close(value, p.mean + p.correlated(noise))
    torch.testing.assert_close(log_density(), p.log_prob(value))
    torch.testing.assert_close(simulate(p, torch.Generator().manual_seed(3)).shape, p.batch_shape + p.event_shape)
    assert capabilities(p) >= {"mean", "variance", "draw", "stack"}


def test_gradients_of_density_and_draw(case):
    kind, arguments, options, _ = case()
    value = normals(2, 3, *kind(*arguments, **options).event_shape, seed=9)
    noise = normals(2, 3, *kind(*arguments, **options).noise_shape)
    inputs = tuple(a.clone().requires_grad_() for a in arguments)
    for of in (lambda p: p.log_prob(value), lambda p: p.correlated(noise)):
        assert torch.autograd.gradcheck(
            lambda *a, of=of: of(kind(*a, **options, validate_args=False)), inputs, fast_mode=True
        )


def test_vmap_gives_each_member_its_own_bits(case):
    """Density, gradient and draw of stacked parameters are those of each alone."""
    kind, _, options, _ = case()
    members = [case(seed)[1] for seed in (0, 5)]
    p = kind(*members[0], **options)
    value, noise = normals(2, 3, *p.event_shape, seed=9), normals(2, 3, *p.noise_shape)

    def density(arguments):
        return kind(*arguments, **options, validate_args=False).log_prob(value).sum()

    def drawn(arguments):
        return kind(*arguments, **options, validate_args=False).correlated(noise)

    stacked = tuple(torch.stack(parts) for parts in zip(*members, strict=True))
    together = vmap(grad(density))(stacked), vmap(drawn)(stacked)
    for i, member in enumerate(members):
        alone = grad(density)(member), drawn(member)
        for a, b in zip(alone[0], together[0], strict=True):
            torch.testing.assert_close(a, b[i], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone[1], together[1][i], rtol=1e-12, atol=1e-12)


def matern_correlation(distance: np.ndarray, length: float, order: int) -> np.ndarray:
    q = np.maximum(math.sqrt(2 * order) * distance / length, 1e-9)
    return 2 ** (1 - order) / gamma(order) * q**order * kv(order, q)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("length", [1.0, 2.0, 4.0])
def test_field_is_the_matern_field_reflected_at_the_edges(order, length):
    """Its covariance is the sum of the Bessel-function covariances to all mirror images of a pixel."""
    height, width = 6, 5
    p = MaternField(
        torch.zeros(1, height, width, dtype=D64),
        *torch.tensor([1.0, length, 0.0], dtype=D64),
        (1, height, width),
        order,
    )
    units = torch.eye(height * width, dtype=D64).view(-1, 1, height, width)
    draws = p.correlated(units).flatten(1)
    y, x = np.divmod(np.arange(height * width), width)
    expected = np.zeros((height * width, height * width))
    for a, b in itertools.product(range(-8, 9), repeat=2):
        for above, left in itertools.product((True, False), repeat=2):
            row = 2 * height * a + (-1 - y if above else y)
            column = 2 * width * b + (-1 - x if left else x)
            expected += matern_correlation(np.hypot(y[:, None] - row, x[:, None] - column), length, order)
    expected *= height * width / np.trace(expected)
    np.testing.assert_allclose((draws.T @ draws).numpy(), expected, atol=0.012 if order == 1 else 1e-3)


def test_field_has_the_variogram_of_its_kernel_inside():
    """At lags of 1 to 10 pixels, along rows and along diagonals, in the middle of a 64 × 64 image."""
    p = MaternField(torch.zeros(1, 64, 64, dtype=D64), *torch.tensor([1.0, 3.0, 0.0], dtype=D64), (1, 64, 64), 1)
    spike = torch.zeros(1, 64, 64, dtype=D64)
    spike[0, 32, 32] = 1.0
    (coefficients,) = torch.autograd.functional.vjp(p.correlated, torch.zeros_like(spike), spike)[1:]
    row = p.correlated(coefficients)[0] / p.variance[0, 32, 32]
    lags = np.arange(11)
    np.testing.assert_allclose(row[32, 32:43].numpy(), matern_correlation(lags, 3.0, 1), atol=0.003)
    np.testing.assert_allclose(row.diagonal()[32:43].numpy(), matern_correlation(2**0.5 * lags, 3.0, 1), atol=0.003)


def precise_and_not(kind, arguments: tuple[Tensor, ...], options: dict, value: Tensor):
    """Log-density and gradients in float64 and in float32."""
    found = []
    for dtype in (D64, torch.float32):
        inputs = [a.to(dtype).requires_grad_() for a in arguments]
        density = kind(*inputs, **options, validate_args=False).log_prob(value.to(dtype)).sum()
        found.append((density.item(), torch.autograd.grad(density, inputs)))
    return found


def in_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Values that float32 holds exactly, so that only the arithmetic differs."""
    return tuple(t.float().double() for t in tensors)


@pytest.mark.parametrize("apart", [1.0, 1e-3])
@pytest.mark.parametrize("scale", [0.1, 1e-3])
def test_low_rank_in_float32_beside_small_diagonals_and_nearly_equal_directions(scale, apart):
    factor = normals(1, 784) + apart * normals(20, 784, seed=1)
    mean, deviations, factor = in_float32(torch.zeros(784), torch.full((784,), scale), factor)
    (value,) = in_float32(normals(20, seed=2) @ factor + scale * normals(784, seed=3))
    (exact, slopes), (found, rough) = precise_and_not(LowRankNormal, (mean, deviations, factor), {}, value)
    assert found == pytest.approx(exact, abs=0.05)
    for a, b in zip(slopes, rough, strict=True):
        assert ((a - b).norm() / a.norm()).item() < 2e-3
    if (scale, apart) == (1e-3, 1.0):  # torch's own class is hundreds of nats off here
        theirs = LowRankMultivariateNormal(mean.float(), factor.float().T, deviations.float() ** 2)
        assert abs(theirs.log_prob(value.float()).item() - exact) > 100


@pytest.mark.parametrize("length", [0.3, 30.0])
@pytest.mark.parametrize("order", [1, 2])
def test_matern_in_float32_at_both_ends_of_its_lengths(length, order):
    image = (1, 28, 28)
    mean, scale, length_, nugget = in_float32(
        torch.zeros(image), 1e-3 * normals(*image).exp(), torch.tensor(length), torch.tensor(1e-3)
    )
    options = {"image_shape": image, "order": order}
    (value,) = in_float32(MaternField(mean, scale, length_, nugget, **options).correlated(normals(*image, seed=1)))
    arguments = (mean, scale, length_, nugget)
    (exact, slopes), (found, rough) = precise_and_not(MaternField, arguments, options, value)
    assert found == pytest.approx(exact, abs=0.05)
    for a, b in zip(slopes, rough, strict=True):
        assert ((a - b).norm() / a.norm()).item() < 2e-3


def test_sparse_in_float32_at_small_scales_and_large_weights():
    image = (3, 8, 8)
    ties = normals(len(later_neighbours(2, 3)), *image, seed=2).clamp(-2, 2) / 1e-4
    mean, log_diagonal, ties = in_float32(torch.zeros(image), -1e-4 * torch.ones(image), ties)
    (value,) = in_float32(normals(*image))
    arguments, options = (mean, log_diagonal + math.log(1e4), ties), {"image_shape": image, "radius": 2}
    (exact, slopes), (found, rough) = precise_and_not(SparsePrecisionNormal, arguments, options, value)
    assert found == pytest.approx(exact, rel=1e-5)
    for a, b in zip(slopes, rough, strict=True):
        assert ((a - b).norm() / a.norm()).item() < 1e-4


def test_what_is_not_positive_definite_is_said():
    zero, far = torch.zeros(4), torch.full((1, 4), torch.inf)
    with pytest.raises(InputError, match="not positive definite in float32: raise the floor"):
        LowRankNormal(zero, torch.tensor(1.0), far, validate_args=True)
    image = (1, 64, 64)
    leaning = torch.full((4, *image), -2.0)
    explosive = SparsePrecisionNormal(torch.zeros(image), torch.zeros(image), leaning, image)
    with pytest.raises(InputError, match=r"not finite: raise the floor .* lean on each other"):
        simulate(explosive, torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="white share"):
        MaternField(
            torch.zeros(image), torch.tensor(0.0), torch.tensor(2.0), torch.tensor(0.1), image, validate_args=True
        )


def test_off_diagonals_of_another_radius_are_refused():
    image = (3, 64, 64)
    ties = torch.zeros(len(later_neighbours(1, 3)), *image)
    with pytest.raises(InputError, match="takes 6 off-diagonals"):
        SparsePrecisionNormal(torch.zeros(image), torch.zeros(image), ties[:5], image)


def test_missing_cells_are_integrated_out_exactly_whatever_fills_them(case):
    """scipy's density of the sub-vector with the sub-covariance, row by row; a row without cells scores 0."""
    kind, arguments, options, dense = case()
    p = kind(*arguments, **options)
    seen = torch.rand(3, *p.event_shape, generator=torch.Generator().manual_seed(1)) < 0.6
    seen[2] = False
    x = p.loc + 0.7 * normals(2, 3, *p.event_shape, seed=5)
    x.requires_grad_()
    found = log_prob_seen(p, x, seen)
    where = seen.flatten(1).numpy()
    mean, rows = (t.detach().reshape(2, 3, -1).numpy() for t in (p.loc.expand(x.shape), x))
    cover = dense.expand(2, 3, *dense.shape[-2:]).numpy()
    for i, j in itertools.product(range(2), range(2)):
        k = where[j]
        want = stats.multivariate_normal(mean[i, j][k], cover[i, j][np.ix_(k, k)]).logpdf(rows[i, j][k])
        assert found[i, j].item() == pytest.approx(want, rel=1e-9)
    assert torch.equal(found[:, 2], torch.zeros(2, dtype=D64))
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert not slope[(~seen).expand_as(slope)].any()
    other = torch.where(seen, x, 1e6).detach().requires_grad_()
    assert torch.equal(log_prob_seen(p, other, seen), found)
    assert torch.equal(torch.autograd.grad(log_prob_seen(p, other, seen).sum(), other)[0], slope)


def test_missing_cells_are_drawn_given_the_seen_ones(case):
    """Mean and covariance of 4,000 draws are those of the dense conditional, within five standard errors."""
    kind, (mean, *others), options, dense = case()
    mean, others = mean[:1, :1], [t[:1, :1] if t.dim() > mean.dim() - 1 and len(t) == 2 else t for t in others]
    p = kind(mean.expand(4_000, *mean.shape[1:]), *others, **options)
    seen = torch.rand(p.event_shape, generator=torch.Generator().manual_seed(2)) < 0.5
    x = (mean + normals(*mean.shape, seed=8))[0, 0]
    drawn = simulate_missing(p, torch.where(seen, x, 1e6), seen, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[..., seen], x[seen].expand(4_000, 1, -1))
    k, covariance = seen.flatten(), dense.reshape(-1, *dense.shape[-2:])[0]
    gain = covariance[~k][:, k] @ covariance[k][:, k].inverse()
    centre = mean.flatten()[~k] + gain @ (x - mean[0, 0]).flatten()[k]
    variance = (covariance[~k][:, ~k] - gain @ covariance[k][:, ~k]).diagonal()
    values = drawn.reshape(4_000, -1)[:, ~k]
    assert ((values.mean(0) - centre).abs() < 5 * (variance / 4_000).sqrt()).all()
    assert (values.var(0) / variance - 1).abs().max() < 5 * (2 / 4_000) ** 0.5
