"""A condition that reaches x only through z is lost when z collapses; one that the decoder reads is not."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.ledger.symptoms import Symptoms
from elbowroom.ledger.symptoms_of_condition import condition_lost
from elbowroom.ledger.verdict import verdict
from elbowroom.networks import MLP
from elbowroom.pages import audit_advice
from elbowroom.records import Number

D, N = 6, 1_500
FROM_C = torch.tensor([[1.0, 0.5, 0.0, -0.5, 0.8, 0.0], [0.0, 0.6, 1.0, 0.4, -0.3, 0.2]]).T
FROM_Z = torch.tensor([[0.5, 0.0, 0.4, 0.0, 0.0, 0.6]]).T


@functools.cache
def planted() -> er.data.Dataset:
    """x = B c + A z + noise of deviation 0.3."""
    rng = np.random.default_rng(0)
    c, z = rng.normal(size=(N, 2)), rng.normal(size=(N, 1))
    x = c @ FROM_C.numpy().T + z @ FROM_Z.numpy().T + 0.3 * rng.normal(size=(N, D))
    return er.load_data(x, preprocess="none", context={"c": c}, test=400, validation=100)


THROUGH_Z = {"prior": {"kind": "normal-prior", "given": ["c"]}, "likelihood": {"kind": "normal", "given": ["z"]}}


@functools.cache
def trained(way: str, beta: float) -> er.VAE:
    words = THROUGH_Z if way == "through z" else {"likelihood": "normal"}
    recipe = er.models.Recipe(latents=3, widths=[16], objective={"kind": "elbo", "beta": beta}).where(**words)
    vae = er.models.build(recipe, planted())
    er.fit(vae, planted(), er.models.goal(recipe), epochs=15, lr=1e-2, batch_size=100, progress=False)
    return vae


def reader(weight: float, at: str) -> er.VAE:
    """A linear model that moves x by `weight` · B c, by its prior or by its decoder."""
    x_given, prior = ("z",), er.priors.StandardNormal(2)
    decoder = MLP([2, D])
    if at == "prior":
        network = MLP([2, 4])
        with torch.no_grad():
            network.layers[0].weight.copy_(torch.cat([weight * torch.eye(2), torch.zeros(2, 2)]))
            network.layers[0].bias.zero_()
            decoder.layers[0].weight.copy_(FROM_C)
        prior = er.priors.Normal(2, network=network, given=("c",))
    if at == "decoder":
        x_given, decoder = ("z", "c"), MLP([4, D])
        with torch.no_grad():
            decoder.layers[0].weight.copy_(torch.cat([torch.zeros(D, 2), weight * FROM_C], 1))
    posterior = er.posteriors.DiagonalNormal(nn.Linear(D, 4), 2)
    return er.VAE(prior, posterior, er.likelihoods.Normal(decoder, D, scale=0.3, given=x_given))


@pytest.mark.parametrize(("weight", "at"), [(1.0, "decoder"), (0.5, "decoder"), (0.0, "decoder"), (0.6, "prior")])
def test_shares_are_those_of_linear_models(weight, at) -> None:
    """Of the variance of x, tr B Bᵀ is the context's; a model that moves x by w B c shows w² of it."""
    lost, held, shown, reads = condition_lost(reader(weight, at), planted(), planted().test, 0)
    x, c = planted().test.x.double(), planted().test.context["c"].double()
    exact = 100 * (c @ FROM_C.double().T).var(0).sum() / x.var(0).sum()
    assert abs(held.value - exact) < 4 * held.se
    assert abs(shown.value - weight**2 * exact) < 4 * shown.se + 1e-6
    assert abs(lost.value - 100 * (1 - weight**2)) < 4 * lost.se + 1e-6
    assert lost.se < 3
    assert reads is (at == "decoder")


def test_a_collapsed_latent_takes_the_condition_with_it() -> None:
    """β = 1,000: x does not move with c where z alone carries it, and does where the decoder reads it; it is said."""
    data = planted()
    spread = {way: emits(trained(way, 1_000.0)).var(0).sum().item() for way in ("through z", "decoder")}
    assert spread["through z"] < 1e-3 * spread["decoder"]
    for way, lost in (("through z", True), ("decoder", False)):
        names = ("condition", "condition_held", "condition_shown", "decoder_reads")
        numbers = condition_lost(trained(way, 1_000.0), data, data.test, 0)
        (finding,), said = verdict(Symptoms(**dict(zip(names, numbers, strict=True))))
        assert (finding.name, finding.found) == ("condition lost", lost)
        assert ("p(x | z) does not read it" in said) is lost
    cured = condition_lost(trained("through z", 1.0), data, data.test, 0)[0]
    assert cured.value < 20


def emits(vae: er.VAE) -> torch.Tensor:
    """The mean of x under every context of the test rows, over draws of z."""
    context = {"c": planted().test.context["c"]}
    return torch.stack([vae.sample(400, mode="mean", context=context, seed=seed) for seed in range(16)]).mean(0)


def test_it_is_found_beyond_two_errors_and_looked_for_where_there_is_something_to_lose() -> None:
    held, shown = Number(40.0, 2.0), Number(10.0, 1.0)
    for value, reads, cause in (
        (75.0, False, "z carries it alone"),
        (75.0, True, "z takes its place"),
        (55.0, True, ""),
        (20.0, False, ""),
    ):
        numbers = {"condition": Number(value, 3.0), "condition_held": held, "condition_shown": shown}
        (finding,), _ = verdict(Symptoms(**numbers, decoder_reads=reads))
        assert (finding.found, finding.cause) == (bool(cause), cause)
        assert (audit_advice._way(finding) == "see the audit below") is not bool(cause)
    rng = np.random.default_rng(1)
    nothing = er.load_data(rng.normal(size=(200, 3)), context={"c": rng.normal(size=200)})
    vae = er.models.build({"latents": 1, "widths": [4]}, nothing)
    with pytest.raises(er.InputError, match="explains next to nothing of x"):
        condition_lost(vae, nothing, nothing.test, 0)
    only_q = {"latents": 1, "widths": [4], "context": [], "posterior": {"kind": "diagonal-normal", "given": ["x", "c"]}}
    for words, match in ((only_q, r"Only q\(z \| x\) reads c"), ({"latents": 1, "context": []}, "reads no context")):
        with pytest.raises(er.InputError, match=match):
            condition_lost(er.models.build(words, nothing), nothing, nothing.test, 0)
