"""Engines: a step of a phase is torch's own, alone and stacked, and goes on from a saved state."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import Elbo
from elbowroom.procedures import Phase, Procedure
from elbowroom.training import TrainingStep
from elbowroom.training.adam import Adam
from elbowroom.training.engines import Alone, Stacked

D, LATENTS, N = 5, 2, 40


class Across(nn.Module):
    """A linear layer whose gradient, under vmap, comes in another memory order than its weight."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        twice = torch.cat([self.weight.t(), self.weight.t()])
        return (x @ twice.t()).unflatten(1, (2, -1)).mean(1)


def step(seed: int = 0, beta: float = 1.0) -> TrainingStep:
    torch.manual_seed(seed)
    vae = er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(Across(D, 2 * LATENTS), LATENTS),
        er.likelihoods.Normal(Across(LATENTS, D), D, scale="shared"),
    )
    phases = {
        "q": Phase(Elbo(beta), parts=("posterior",), lr=1e-2, clip=0.5),
        "p": Phase(Elbo(beta), parts=("likelihood",), clip=1.0),
    }
    return TrainingStep(vae.double(), Procedure(phases)).train()


def batches(count: int) -> list[tuple[Batch, dict[str, Tensor], Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for i in range(count):
        x = torch.randn(N, D, generator=generator, dtype=torch.float64)
        noise = {"z": torch.randn(1, N, LATENTS, generator=generator, dtype=torch.float64)}
        found.append((Batch(x, torch.arange(N)), noise, torch.tensor(float(i))))
    return found


SETTINGS = Adam(lr=3e-3, betas=(0.8, 0.95), clip=2.0)


def test_two_phases_are_two_optimizers_of_torch_with_clips_of_their_own() -> None:
    mine, theirs = step(), step()
    engine = Alone(mine, SETTINGS)
    parts = {"q": (theirs.vae.posterior, 1e-2, 0.5), "p": (theirs.vae.likelihood, 3e-3, 1.0)}
    optimizers = {
        name: torch.optim.Adam(part.parameters(), lr=lr, betas=(0.8, 0.95), fused=True)
        for name, (part, lr, _) in parts.items()
    }
    for batch, noise, clock in batches(6):
        engine.update(batch, noise, clock)
        for name, (part, _, clip) in parts.items():
            theirs.zero_grad()
            Elbo()(theirs.vae, batch, noise, clock).total.backward()
            norm = nn.utils.clip_grad_norm_(part.parameters(), clip)
            assert norm > clip
            optimizers[name].step()
    assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))


def test_a_stack_makes_the_steps_and_has_the_state_of_each_alone() -> None:
    members = [(0, 1.0), (1, 3.0)]
    adams = [SETTINGS, replace(SETTINGS, lr=1e-3, lr_final=1e-4)]
    stack = Stacked([step(*m) for m in members], adams)
    alone = [Alone(step(*m), adam) for m, adam in zip(members, adams, strict=True)]
    for engine in (stack, *alone):
        engine.begin(2, 3)
    for batch, noise, clock in batches(5):
        together = stack.update(batch, noise, clock)
        each = [engine.update(batch, noise, clock) for engine in alone]
        for name in ("objective", "rate", "distortion", "beta", "p.objective"):
            torch.testing.assert_close(together[name], torch.stack([logged[name] for logged in each]))
    for member, engine in enumerate(alone):
        torch.testing.assert_close(stack.state(member), engine.state(0), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(stack.optimizer_state(member), engine.optimizer_state(0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stacked", [False, True])
def test_an_engine_goes_on_from_a_saved_state_bit_for_bit(stacked: bool) -> None:
    def engine(seed: int) -> Alone | Stacked:
        if not stacked:
            return Alone(step(seed), SETTINGS)
        return Stacked([step(seed), step(seed + 1)], [SETTINGS, replace(SETTINGS, lr=1e-3)])

    straight, first, again = engine(0), engine(0), engine(7)
    members = range(straight.members)
    work = batches(6)
    for item in work:
        straight.update(*item)
    for item in work[:3]:
        first.update(*item)
    again.restore([first.state(i) for i in members], [first.optimizer_state(i) for i in members])
    for item in work[3:]:
        again.update(*item)
    for i in members:
        one, other = straight.state(i) | straight.optimizer_state(i), again.state(i) | again.optimizer_state(i)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_evaluation_changes_nothing() -> None:
    engine = Alone(step(), SETTINGS)
    (batch, noise, clock), *_ = batches(1)
    engine.update(batch, noise, clock)
    before = copy.deepcopy(engine.state(0))
    one, two = (engine.evaluate(batch, noise) for _ in range(2))
    assert one.keys() == two.keys() >= {"objective", "rate", "distortion", "p.objective"}
    assert all(value.shape == (1,) and torch.equal(value, two[name]) for name, value in one.items())
    assert all(torch.equal(before[name], value) for name, value in engine.state(0).items())
    assert engine.step.training
