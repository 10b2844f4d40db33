"""The drawn shapes of reproductions/disentangling, and its estimate of total correlation where the answer is known."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[1] / "reproductions" / "disentangling"


@pytest.fixture
def read(monkeypatch):
    """A module of that folder, whose names others share."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def named(name: str):
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    yield named
    for name in ("run", "shapes"):
        sys.modules.pop(name, None)


def test_every_combination_is_drawn_once_and_where_it_is_said(read) -> None:
    shapes = read("shapes")
    made_of = shapes.factors()
    assert len(np.unique(made_of, axis=0)) == len(made_of) == np.prod(shapes.LEVELS)
    corners = {(x, y): shapes.drawn(1, 3, 0, x, y) for x in (0, 7) for y in (0, 7)}
    for place, one in corners.items():
        middle = [np.average(np.arange(20), weights=one.sum(axis)) for axis in (0, 1)]
        assert middle == pytest.approx([5.5 + 8 * (at == 7) for at in place])
    areas = np.array([[shapes.drawn(shape, size, 2, 4, 4).sum() for size in range(4)] for shape in range(3)])
    assert (np.diff(areas, axis=1) > 0).all()
    radius = 3.2 + 0.7 * np.arange(4)
    np.testing.assert_allclose(areas[0], (1.5 * radius) ** 2, rtol=0.12)
    np.testing.assert_allclose(areas[1], np.pi * radius**2 / 2, rtol=0.15)


def test_total_correlation_of_a_mixture_is_that_of_the_normal_it_makes(read) -> None:
    """Means from N(0, S) and a common scale s make N(0, S + s²): −½ log det of its correlations."""
    run = read("run")
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    mean = torch.from_numpy(rng.multivariate_normal([0, 0], covariance, 4_000))
    scale = torch.full_like(mean, 0.5)
    z = mean[:1_000] + 0.5 * torch.from_numpy(rng.normal(size=(1_000, 2)))
    found = run._dependence_at(z, mean, scale)
    expected = -0.5 * np.log(1 - (0.8 / 1.25) ** 2)
    assert abs(found.mean().item() - expected) < 3 * found.std().item() / np.sqrt(1_000) + 0.02
    alone = run._dependence_at(torch.randn(50, 3, dtype=torch.float64), torch.zeros(9, 3), torch.ones(9, 3))
    torch.testing.assert_close(alone, torch.zeros(50, dtype=torch.float64), atol=1e-10, rtol=0)
