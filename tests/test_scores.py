"""Gradients by scores: their mean against the exact one by enumeration, and the order of their variances."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

import elbowroom as er
from elbowroom.components import Component
from elbowroom.numerics import Batch, CapabilityError, Given
from elbowroom.objectives import Elbo, Iwae
from elbowroom.training import fit_stacked, why_alone

END = torch.tensor(math.inf)
X = torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64)
LOGITS = torch.tensor([0.4, -0.7, 0.2], dtype=torch.float64)


class Own(nn.Module):
    """Outputs of an encoder that are a parameter of their own for every copy of one example."""

    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = nn.Parameter(raw)

    def forward(self, x: Tensor) -> Tensor:
        return self.raw


class Bits(Component):
    """A block of zeros and ones, which cannot be drawn with a gradient."""

    def __init__(self, network: nn.Module | None, event: int, given: tuple[str, ...] = ()) -> None:
        super().__init__(event, given=given, network=network)

    def forward(self, given: Given) -> Distribution:
        logits = torch.zeros(1, 1, *self.event) if self.network is None else self.parameters_from(given, 1)[0]
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


def table_model(kind: str, copies: int) -> er.VAE:
    torch.manual_seed(2)
    raw, decoder = LOGITS.repeat(copies, 1), nn.Linear(3, 3)
    if kind == "bits":
        prior, posterior = Bits(None, 3), Bits(Own(raw), 3, ("x",))
    else:
        prior = er.priors.Categorical(3, probabilities=[0.5, 0.2, 0.3])
        posterior = er.posteriors.Categorical(Own(raw), 3)
    return er.VAE(prior, posterior, er.likelihoods.Normal(decoder, 3, scale=0.9)).double()


def exact_gradients(vae: er.VAE, objective: Elbo | Iwae) -> tuple[Tensor, Tensor]:
    """Of the expected total: to the logits of one example, and to the decoder; a sum over all that can be drawn."""
    logits = LOGITS.clone().requires_grad_()
    bits = isinstance(vae.prior["z"], Bits)
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).double() if bits else torch.eye(3).double()
    q = Bernoulli(logits=logits).log_prob(states).sum(1) if bits else logits.log_softmax(0)
    p = torch.full((8,), -3 * math.log(2)).double() if bits else torch.tensor([0.5, 0.2, 0.3]).double().log()
    net = vae.likelihood.network
    log_x = -0.5 * ((X - net(states)) / 0.9).square().sum(1) - 3 * math.log(0.9 * math.sqrt(2 * math.pi))
    if isinstance(objective, Elbo):
        total = (q.exp() * (float(objective.beta) * (q - p) - log_x)).sum()
    else:
        size = objective.draws // objective.groups
        chosen = torch.tensor(list(itertools.product(range(len(states)), repeat=size)))
        bound = (p + log_x - q)[chosen].logsumexp(1) - math.log(size)
        elbo = float(objective.elbo)
        mixed = elbo * (q.exp() * (p + log_x - q)).sum() + (1 - elbo) * (q[chosen].sum(1).exp() * bound).sum()
        total = -mixed
    found = torch.autograd.grad(total, [logits, net.weight, net.bias])
    return found[0], torch.cat([g.flatten() for g in found[1:]])


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        ("classes", Elbo(gradient="score")),
        ("classes", Elbo(2.0, gradient="score", kl="sampled", draws=3)),
        ("bits", Elbo(2.0, gradient="score", kl="sampled", draws=3)),
        ("classes", Iwae(gradient="vimco", draws=4, groups=2, elbo=0.4)),
        ("bits", Iwae(gradient="vimco", draws=3)),
    ],
)
def test_the_mean_gradient_is_the_one_of_the_sum_over_all_states(kind: str, objective: Elbo | Iwae) -> None:
    copies, parts = 10_000, 20
    vae = table_model(kind, copies)
    batch = Batch(X.expand(copies, -1), torch.arange(copies))
    noise = vae.keyed_noise(objective.draws, batch.index, 0)
    to_q, to_p = exact_gradients(vae, objective)
    (copies * objective(vae, batch, noise, END).total).backward()
    found = vae.posterior["z"].network.raw.grad
    assert ((found.mean(0) - to_q).abs() < 4.5 * found.std(0) / math.sqrt(copies)).all()
    of_parts = []
    for part in range(parts):
        vae = table_model(kind, copies // parts)
        place = slice(part * copies // parts, (part + 1) * copies // parts)
        some = objective(vae, Batch(batch.x[place], batch.index[place]), {"z": noise["z"][:, place]}, END).total
        found = torch.autograd.grad(some, list(vae.likelihood.parameters()))
        of_parts.append(torch.cat([g.flatten() for g in found]))
    stacked = torch.stack(of_parts)
    assert ((stacked.mean(0) - to_p).abs() < 4.5 * stacked.std(0) / math.sqrt(parts)).all()


def normal_model(copies: int) -> er.VAE:
    """One latent and one example, with a q beside the posterior and a little too wide."""
    torch.manual_seed(3)
    raw = torch.tensor([0.2, 0.3], dtype=torch.float64).repeat(copies, 1)
    posterior = er.posteriors.DiagonalNormal(Own(raw), 1, spread="exp", floor=0.0)
    return er.VAE(er.priors.StandardNormal(1), posterior, er.likelihoods.Normal(nn.Linear(1, 3), 3, scale=0.7)).double()


def drawn_gradients(objective: Elbo | Iwae, copies: int = 10_000, seed: int = 0) -> Tensor:
    """The gradient of the total to the two numbers of q, for every copy."""
    vae = normal_model(copies)
    batch = Batch(X.expand(copies, -1), torch.arange(copies))
    total = objective(vae, batch, vae.keyed_noise(objective.draws, batch.index, seed), END).total
    (copies * total).backward()
    return vae.posterior["z"].network.raw.grad


def test_variances_are_ordered_as_theory_says_and_the_means_are_one() -> None:
    """At equal draws: through z < by scores beside the other draws < by scores alone; VIMCO's mean is plain."""
    draws = 4
    path = drawn_gradients(Elbo(kl="sampled", draws=draws))
    beside = drawn_gradients(Elbo(kl="sampled", gradient="score", draws=draws))
    alone = drawn_gradients(Elbo(kl="sampled", gradient="score"), seed=1)
    for one, other in itertools.combinations((path, beside, alone), 2):
        error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 4.5 * error).all()
    assert (2 * path.var(0) < beside.var(0)).all()
    assert (2 * beside.var(0) < alone.var(0) / draws).all()
    plain, vimco = (drawn_gradients(Iwae(draws=draws, gradient=how)) for how in ("plain", "vimco"))
    assert ((plain.mean(0) - vimco.mean(0)).abs() < 4.5 * ((plain.var(0) + vimco.var(0)) / len(plain)).sqrt()).all()


def test_scores_leave_the_value_as_it_is_and_are_nothing_where_q_is_the_posterior() -> None:
    """The cost is then the same at every draw, so that no draw has an advantage over another."""
    raw, batch = torch.zeros(5, 2).double(), Batch(torch.zeros(5, 1).double(), torch.arange(5))
    decoder = nn.Linear(1, 1)
    with torch.no_grad():
        decoder.weight.fill_(2.0), decoder.bias.zero_()
        raw[:, 1] = -0.5 * math.log(5.0)  # p(z | x = 0) has variance 1 / (1 + 2²)
    posterior = er.posteriors.DiagonalNormal(Own(raw), 1, spread="exp", floor=0.0)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, er.likelihoods.Normal(decoder, 1, scale=1.0)).double()
    noise = vae.keyed_noise(3, batch.index, 0)
    for score, plain in (
        (Elbo(gradient="score", kl="sampled", draws=3), Elbo(kl="sampled", draws=3)),
        (Iwae(gradient="vimco", draws=3), Iwae(draws=3)),
    ):
        total = score(vae, batch, noise, END).total
        torch.testing.assert_close(total, plain(vae, batch, noise, END).total)
        (found,) = torch.autograd.grad(total, list(vae.posterior.parameters()))
        assert found.abs().max() < 1e-12


def test_an_observed_block_and_an_example_of_which_nothing_is_known_move_nothing() -> None:
    vae = normal_model(3)
    observed = {"z": (torch.ones(3, 1).double(), torch.tensor([True, False, False]))}
    seen = torch.tensor([[True] * 3, [True] * 3, [False] * 3])
    batch = Batch(X.expand(3, -1), torch.arange(3), observed=observed, seen=seen)
    noise = vae.keyed_noise(4, batch.index, 0)
    for objective in (Elbo(gradient="score", draws=4), Iwae(gradient="vimco", draws=4)):
        vae.zero_grad()
        objective(vae, batch, noise, END).total.backward()
        moved = vae.posterior["z"].network.raw.grad.abs().sum(1)
        assert (moved > 0).tolist() == [False, True, False]


@pytest.mark.parametrize("what", ["numbers", "classes"])
@pytest.mark.parametrize("how", [{"gradient": "score"}, {"gradient": "vimco"}])
def test_stacked_is_alone(what: str, how: dict[str, Any]) -> None:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).numpy()
    data = er.load_data(x, validation=10, test=10)

    def pair(seed: int) -> tuple[er.VAE, Elbo | Iwae]:
        torch.manual_seed(seed)
        q = er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2), er.posteriors.Categorical(nn.Linear(3, 2), 2)
        p = er.priors.StandardNormal(2), er.priors.Categorical(2)
        likelihood = er.likelihoods.Normal(nn.Linear(2, 3), 3)
        vae = er.VAE(p[what == "classes"], q[what == "classes"], likelihood).double()
        return vae, (Elbo if how["gradient"] == "score" else Iwae)(draws=2, **how)

    settings: dict[str, Any] = {"epochs": 2, "batch_size": 20, "progress": False, "select": "last"}
    models, goals = zip(*[pair(seed) for seed in (0, 1)], strict=True)
    assert why_alone(*pair(0), data) is None
    fit_stacked(models, data, goals, **settings)
    alone, goal = pair(1)
    start = {name: value.clone() for name, value in alone.state_dict().items()}
    er.fit(alone, data, goal, **settings)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], value, rtol=1e-8, atol=1e-9)
    assert any(
        not torch.equal(start[name], value) for name, value in alone.posterior.state_dict(prefix="posterior.").items()
    )


def test_what_scores_cannot_do_is_said() -> None:
    with pytest.raises(er.InputError, match="2 draws a group or more"):
        Iwae(draws=4, groups=4, gradient="vimco")
    with pytest.raises(er.InputError, match="leave out kl"):
        Elbo(kl="sticking-the-landing", gradient="score")
    with pytest.raises(er.InputError, match="gradient must be 'plain' or 'score'"):
        Elbo(gradient="reinforce")  # type: ignore[arg-type]
    likelihood = er.likelihoods.Normal(nn.Linear(1, 3), 3, scale="optimal")
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood)
    batch = Batch(X.float(), torch.arange(1))
    for objective in (Elbo(gradient="score", draws=2), Iwae(gradient="vimco", draws=2)):
        with pytest.raises(CapabilityError, match="take scale='shared'"):
            objective(vae, batch, vae.keyed_noise(2, batch.index, 0), END)
