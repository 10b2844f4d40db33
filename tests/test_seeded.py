"""The global random state within `seeded` is torch's for that seed, and what it was comes back, whatever happens."""

import contextlib

import pytest
import torch

import elbowroom as er
from elbowroom.numerics.seeded import seeded


@pytest.mark.parametrize("seed", [0, -(2**63), -1, 2**63 - 1, 2**64 - 1])
def test_the_draws_are_those_of_torch_and_nothing_is_left(seed: int) -> None:
    torch.manual_seed(7)
    before, waiting = torch.get_rng_state(), len(torch.cuda._queued_calls)
    with contextlib.suppress(ZeroDivisionError), seeded(seed, torch.device("cpu")):
        drawn = torch.rand(4)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)
    assert len(torch.cuda._queued_calls) == waiting  # no device that is not used is told to seed itself later
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        assert torch.equal(torch.rand(4), drawn)


def _made() -> None:
    er.models.build({"latents": 2, "widths": [4]}, er.load_data(torch.randn(20, 3).numpy(), progress=False))


def _read() -> None:
    er.read_loss(lambda recon, x, mu, logvar: ((recon - x) ** 2).sum() + (mu**2).sum() + logvar.sum(), event=3)


@pytest.mark.parametrize("call", [_made, _read])
def test_no_call_tells_a_device_that_is_not_used_to_seed_itself(call) -> None:
    """A seed of the CPU's for every device would change what somebody else's model on a GPU draws next."""
    call()
    waiting = len(torch.cuda._queued_calls)
    call()
    assert len(torch.cuda._queued_calls) == waiting
