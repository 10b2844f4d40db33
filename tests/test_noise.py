"""Keyed noise: the same numbers whatever the batching, standard normal, and independent across keys."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, uniform

from elbowroom.numerics import keyed_normal, keyed_uniform
from elbowroom.numerics.keyed import DRAW_BLOCK, _keys, _mix


@pytest.mark.parametrize(("first", "draws"), [(0, 1), (0, 64), (63, 2), (64, 64), (100, 93), (192, 8), (1, 199)])
def test_chunks_are_parts_of_the_whole(first: int, draws: int) -> None:
    index = torch.tensor([3, 900, 12])
    whole = keyed_normal((2, 3), 200, index, seed=4, stream=1)
    part = keyed_normal((2, 3), draws, index[1:], seed=4, first_draw=first, stream=1)
    assert torch.equal(part, whole[first : first + draws, 1:])


def test_normals_are_normal() -> None:
    values = keyed_normal((4,), 130, torch.arange(50), seed=0)
    assert kstest(values.flatten().numpy(), "norm").pvalue > 1e-3


def test_uniforms_are_uniform() -> None:
    values = keyed_uniform((5,), torch.arange(4000), seed=0)
    assert kstest(values.flatten().numpy(), uniform.cdf).pvalue > 1e-3
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize("other", ["index", "seed", "stream", "block", "draw"])
def test_other_keys_give_independent_noise(other: str) -> None:
    """Correlation over 20,000 pairs within 4.5 standard errors of 0."""
    index, shape = torch.arange(20), (1000,)
    base = keyed_normal(shape, 1, index, seed=1)
    changed = {
        "index": keyed_normal(shape, 1, index + 20, seed=1),
        "seed": keyed_normal(shape, 1, index, seed=2),
        "stream": keyed_normal(shape, 1, index, seed=1, stream=1),
        "block": keyed_normal(shape, 1, index, seed=1, first_draw=DRAW_BLOCK),
        "draw": keyed_normal(shape, 1, index, seed=1, first_draw=1),
    }[other]
    correlation = np.corrcoef(base.flatten().numpy(), changed.flatten().numpy())[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(20_000)


def test_normals_and_uniforms_of_one_key_are_independent() -> None:
    index = torch.arange(20)
    normals = keyed_normal((1000,), 1, index, seed=0)[0]
    correlation = np.corrcoef(normals.flatten().numpy(), keyed_uniform((1000,), index, seed=0).flatten().numpy())[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(20_000)


def test_examples_never_share_a_key() -> None:
    """The mixing is a bijection of 32-bit words; 200,000 examples have as many keys."""
    for seed in (0, 1, 2**31):
        assert len(set(_keys(range(200_000), seed, 0))) == 200_000
    assert len({_mix(word) for word in range(0, 2**32, 104_729)}) == len(range(0, 2**32, 104_729))


def test_noise_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    keyed_normal((2,), 3, torch.arange(2), seed=0)
    keyed_uniform((2,), torch.arange(2), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
