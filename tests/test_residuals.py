"""Correlation of residuals by lag against pairs of pixels and closed forms; total ink against its variance."""

import math

import numpy as np
import pytest
import torch
from torch import Generator

from elbowroom.distributions import LowRankNormal, simulate
from elbowroom.metrics import residual_correlation, total_ink
from elbowroom.numerics import InputError


def white(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def pair_by_pair(images: np.ndarray, dy: int, dx: int) -> float:
    """The mean of np.corrcoef over all pairs of varying pixels (dy, dx) apart in one channel."""
    _, channels, height, width = images.shape
    found = []
    for c, y, x in np.ndindex(channels, height, width):
        if 0 <= y + dy < height and 0 <= x + dx < width:
            pair = images[:, c, y, x], images[:, c, y + dy, x + dx]
            if all(pixel.std() > 0 for pixel in pair):
                found.append(np.corrcoef(*pair)[0, 1])
    return float(np.mean(found))


def test_every_lag_is_the_mean_of_the_pairs() -> None:
    images = white(50, 2, 4, 6)
    images = (images + 0.5 * images.roll(1, 3) + 0.3 * images.roll(1, 2)) * (1 + torch.arange(6)) + 7
    images[:, 0, 1, 2] = 0.25
    found = residual_correlation(images, lags=3)
    expected = [[pair_by_pair(images.numpy(), dy, dx) for dx in range(-3, 4)] for dy in range(-3, 4)]
    np.testing.assert_allclose(found.by_lag, expected, atol=1e-10)
    assert np.argwhere(found.constant).tolist() == [[0, 1, 2]]
    assert "1 constant pixels left out" in str(found)
    flat = residual_correlation(images.flatten(1), lags=3, image_shape=(2, 4, 6))
    np.testing.assert_array_equal(found.by_lag, flat.by_lag)


def test_a_model_with_a_covariance_shows_the_map_of_that_covariance() -> None:
    """x = f e + ε on 3 × 4 pixels: every pair of pixels correlates by f²/(f² + 1)."""
    model = LowRankNormal(torch.zeros(4_000, 12), torch.ones(12), torch.full((1, 12), 0.8))
    found = residual_correlation(simulate(model, Generator().manual_seed(0)), lags=2, image_shape=(3, 4))
    expected = np.full((5, 5), 0.64 / 1.64)
    expected[2, 2] = 1.0
    assert (np.abs(found.by_lag - expected) <= 3.5 * found.se + 1e-12).all()
    assert found.adjacent == pytest.approx((found.by_lag[2, 3] + found.by_lag[3, 2]) / 2)


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    images = white(100, 100, 7, 7)
    found = [residual_correlation(part + part.roll(1, 2), lags=2) for part in images]
    spread = np.std([f.by_lag for f in found], axis=0, ddof=1)
    expected = np.sqrt(np.mean([f.se**2 for f in found], axis=0))
    off_centre = np.arange(25) != 12
    assert expected[2, 2] < 1e-12
    assert (np.abs((spread / expected).flatten()[off_centre] - 1) < 3.5 / math.sqrt(200)).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(10, 6, 6), "Too few pixels have residual variance"),
        (torch.randn(10, 3, 3), "Lags up to 5 need 3 images that are larger"),
        (torch.randn(10, 9), "no images.*image_shape"),
    ],
)
def test_what_has_no_correlation_by_lag_is_refused(images: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        residual_correlation(images)


def test_total_ink_has_the_variance_of_the_sum_and_an_error_that_repetitions_show() -> None:
    """Ink = f Σ e + Σ ε with e shared: variance 16 · 0.5² · 4 + 16 · 1, for skewed e too."""
    shared = torch.distributions.Exponential(1.0)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        e = shared.sample((400, 300, 1, 1)).double()
    found = [total_ink(part) for part in white(400, 300, 2, 2) + 0.5 * e]
    values = np.array([f.value for f in found])
    assert abs(values.mean() - (4 + 4**2 * 0.25)) < 3 * values.std() / math.sqrt(400)
    assert abs(values.std() / math.sqrt(np.mean([f.se**2 for f in found])) - 1) < 0.15
    with pytest.raises(InputError, match="4 images or more; got 3"):
        total_ink(torch.zeros(3, 2))
