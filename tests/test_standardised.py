"""Encoders of raw levels and counts: what the network reads is standardised, and no density changes."""

import numpy as np
import torch
from torch import nn

import elbowroom as er
from elbowroom.networks import Standardised


def on_raw_levels(encoder: nn.Module, data: "er.data.Dataset") -> er.VAE:
    """A small model of the raw digits; the decoder is the same whatever the encoder."""
    torch.manual_seed(1)
    likelihood = er.likelihoods.DiscretisedLogistic(er.networks.MLP([4, 32, 128]), 64, 17)
    return er.VAE(er.priors.StandardNormal(4), er.posteriors.DiagonalNormal(encoder, 4), likelihood)


def test_it_is_scikit_learns_scaling_of_what_the_network_reads() -> None:
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 9, 0.0])
    each, common = Standardised(nn.Identity(), event=(3,)).double(), Standardised(nn.Identity()).double()
    each.settle(x)
    common.settle(x)
    torch.testing.assert_close(each(x)[:, :2], (x - x.mean(0))[:, :2] / x.std(0, correction=0)[:2])
    assert torch.equal(each(x)[:, 2], torch.zeros(50, dtype=torch.float64))
    torch.testing.assert_close(common(x), (x - x.mean()) / x.std(correction=0))


def test_the_model_is_one_with_the_scaling_in_its_first_layer() -> None:
    data = er.load_data("digits", preprocess="none")
    torch.manual_seed(0)
    plain = er.networks.MLP([64, 16, 8])
    torch.manual_seed(0)
    scaled = Standardised(er.networks.MLP([64, 16, 8]))
    vae = on_raw_levels(scaled, data)
    vae.posterior["z"].settle(data.train.x, None, 4)
    first = next(layer for layer in plain.modules() if isinstance(layer, nn.Linear))
    with torch.no_grad():
        first.weight.div_(scaled.std)
        first.bias.sub_(first.weight.sum(1) * scaled.mean)
    bounds = [er.evidence.elbo(model, data.test, draws=2) for model in (vae, on_raw_levels(plain, data))]
    np.testing.assert_allclose(bounds[0].values, bounds[1].values, rtol=1e-4)


def test_training_on_raw_digits_is_better_and_the_file_keeps_the_scale(tmp_path) -> None:
    data = er.load_data("digits", preprocess="none")
    elbo = []
    for wrap in (Standardised, lambda network: network):
        torch.manual_seed(1)
        vae = on_raw_levels(wrap(er.networks.MLP([64, 32, 8])), data)
        er.fit(vae, data, epochs=12, progress=False)
        elbo.append(er.evidence.elbo(vae, data.test, draws=4))
        again = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
        np.testing.assert_allclose(er.evidence.elbo(again, data.test, draws=4).values, elbo[-1].values, rtol=1e-5)
    assert (elbo[0] - elbo[1]).mean > 0


def test_the_default_model_standardises_what_is_raw_only() -> None:
    raw, scaled = (er.load_data("digits", preprocess=word) for word in ("none", "auto"))
    assert isinstance(er.models.build({"latents": 2}, raw).posterior["z"].network, Standardised)
    assert not isinstance(er.models.build({"latents": 2}, scaled).posterior["z"].network, Standardised)
