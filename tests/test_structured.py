"""Gaussians with correlated elements: densities, draws and gradients against dense matrices."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.func import grad, vmap

from elbowroom.distributions import capabilities, draw, simulate
from elbowroom.distributions.fields import MaternField
from elbowroom.distributions.low_rank import LowRankNormal
from elbowroom.distributions.sparse_precision import SparsePrecisionNormal, later_neighbours

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


def grid_covariance(height: int, width: int, length: float, nugget: float, order: int) -> np.ndarray:
    """(κ² + graph Laplacian)^−(ν+1), scaled to mean variance 1, by dense matrices."""

    def path(n: int) -> np.ndarray:
        steps = np.diff(np.eye(n), axis=0)
        return steps.T @ steps

    laplacian = np.kron(path(height), np.eye(width)) + np.kron(np.eye(height), path(width))
    operator = 2 * order / length**2 * np.eye(height * width) + laplacian
    smooth = np.linalg.matrix_power(np.linalg.inv(operator), order + 1)
    smooth *= height * width / np.trace(smooth)
    return (1 - nugget) * smooth + nugget * np.eye(height * width)


def matern(image=(1, 5, 6), order=1, pixelwise=True, flat=False):
    def make(seed: int = 0):
        channels = image[0]
        length, nugget = torch.tensor(1.7, dtype=D64), torch.tensor(0.1, dtype=D64)
        mean = normals(2, 3, *image, seed=seed)
        scale = normals(2, 3, *image, seed=seed + 1).exp() if pixelwise else torch.tensor(0.3, dtype=D64)
        mixing = torch.linalg.cholesky(torch.eye(channels, dtype=D64) * 0.4 + 0.6) if channels > 1 else None
        field = torch.from_numpy(grid_covariance(*image[1:], 1.7, 0.1, order))
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
    assert torch.autograd.gradcheck(lambda *a: kind(*a, **options, validate_args=False).log_prob(value), inputs)
    assert torch.autograd.gradcheck(lambda *a: kind(*a, **options, validate_args=False).correlated(noise), inputs)


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
