"""The standard normal against scipy and against torch's general Normal."""

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence

from elbowroom.distributions import kl
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.priors import StandardNormal


def test_density_is_scipys():
    z = torch.linspace(-9, 9, 181, dtype=torch.float64)
    p = UnitNormal(torch.zeros(181, dtype=torch.float64))
    torch.testing.assert_close(p.log_prob(z), torch.from_numpy(stats.norm.logpdf(z)), rtol=1e-14, atol=1e-14)


def test_divergence_and_its_gradient_are_the_general_ones():
    torch.manual_seed(0)
    loc = torch.randn(50, dtype=torch.float64, requires_grad=True)
    scale = torch.rand(50, dtype=torch.float64).exp().requires_grad_()
    zero, one = torch.zeros(50, dtype=torch.float64), torch.ones(50, dtype=torch.float64)
    mine = kl_divergence(Normal(loc, scale), UnitNormal(zero))
    general = kl_divergence(Normal(loc, scale), Normal(zero, one))
    torch.testing.assert_close(mine, general)
    gradients = [torch.autograd.grad(value.sum(), (loc, scale)) for value in (mine, general)]
    torch.testing.assert_close(*gradients)


def test_the_prior_keeps_its_own_class_when_expanded():
    p = StandardNormal(3)({})
    assert isinstance(p.base_dist, UnitNormal)
    wide = p.expand((2, 5))
    assert isinstance(wide.base_dist, UnitNormal)
    torch.testing.assert_close(kl(wide, p), torch.zeros(2, 5, 3))


def test_no_loc_or_scale_can_be_given_and_ignored():
    p = UnitNormal(torch.tensor([3.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(p.mean, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(p.log_prob(p.mean), torch.from_numpy(stats.norm.logpdf([0.0, 0.0])))
    with pytest.raises(TypeError):
        UnitNormal(3.0, 2.0)
