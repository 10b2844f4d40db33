"""The optimizer's step: torch's own, bit for bit."""

import copy

import torch
from torch import nn

from elbowroom.training.adam import Adam, advance


def test_a_step_has_the_bits_of_torchs_fused_adam():
    torch.manual_seed(0)
    mine = nn.ModuleList([nn.Linear(7, 5), nn.Linear(5, 3), nn.Linear(3, 2)])
    theirs = copy.deepcopy(mine)
    settings = Adam(lr=0.01, betas=(0.8, 0.95))
    optimizers = [settings.over(list(nets.parameters())) for nets in (mine, theirs)]
    for step in range(6):
        x = torch.randn(4, 7)
        for nets, optimizer in zip((mine, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            hidden = nets[0](x)
            # The second layer joins at the third step; the last is never used.
            (nets[1](hidden) if step >= 2 else hidden).square().sum().backward()
        advance(optimizers[0])
        optimizers[1].step()
        for group in (optimizers[0].param_groups[0], optimizers[1].param_groups[0]):
            group["lr"] *= 0.9
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    ours, torchs = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert [k for k, s in ours.items() if s] == [k for k, s in torchs.items() if s] == [0, 1, 2, 3]
    for key in range(4):
        assert all(torch.equal(ours[key][name], torchs[key][name]) for name in ("step", "exp_avg", "exp_avg_sq"))
