"""Chains drawn again by their weights: how often each is chosen, and what is left where none has a weight."""

import numpy as np
import pytest
import torch

from elbowroom.sampling.hmc import State
from elbowroom.sampling.resampling import Resampling, systematic


def test_draws_are_chosen_as_often_as_they_weigh() -> None:
    """Of n draws one of weight w is chosen ⌊n w⌋ or ⌈n w⌉ times, and over all uniforms n w times."""
    weights = torch.tensor([0.07, 0.0, 0.43, 0.5], dtype=torch.float64)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    chosen = systematic(weights.log()[:, None].expand(-1, 1000), uniforms, 10)
    counts = np.array([np.bincount(one, minlength=4) for one in chosen.T.numpy()])
    assert counts.mean(0) == pytest.approx(10 * weights.numpy(), abs=1e-9)
    assert (np.abs(counts - 10 * weights.numpy()) < 1).all()


def test_chains_are_drawn_again_where_fewer_than_half_count_and_nowhere_else() -> None:
    z = torch.arange(4.0).view(4, 1, 1).expand(4, 3, 2).clone()
    state = State(z, (z[..., 0],), (2 * z,))
    log_weights = torch.tensor([[0.0, 0.0, -torch.inf]] * 3 + [[0.0, 50.0, -torch.inf]])
    again = Resampling(torch.full((1, 3), 0.5))
    moved, weights = again(state, log_weights)
    assert moved.z[:, :, 0].T.tolist() == [[0.0, 1.0, 2.0, 3.0], [3.0] * 4, [3.0] * 4]
    assert torch.equal(moved.log_factors[0], moved.z[..., 0])
    assert torch.equal(moved.gradients[0], 2 * moved.z)
    assert weights.tolist() == [[0.0] * 3] * 4
    assert again.effective.tolist() == pytest.approx([4.0, 1.0, 0.0])
