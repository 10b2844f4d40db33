"""Likelihoods whose elements see their neighbours: exact probabilities, exact samples, and what ties are worth."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

import elbowroom as er
from elbowroom import likelihoods as L
from elbowroom.distributions import simulate
from elbowroom.networks import MLP, stackable
from elbowroom.numerics import CapabilityError, InputError, Support

COLOUR = (2, 2, 3)  # channels, height, width
FAMILIES = {
    "binary": lambda: L.Bernoulli(None, (6,)),
    "levels": lambda: L.DiscretisedLogistic(None, (6,), levels=3, scale="feature"),
    "mixture": lambda: L.DiscretisedLogistic(None, COLOUR, levels=5, components=3),
    "counts": lambda: L.NegativeBinomial(None, COLOUR),
    "normal": lambda: L.Normal(None, (12,), scale="feature"),
    "classes": lambda: L.Categorical(None, (6,), levels=3, ordered=False),
}
SHAPES = {"binary": (2, 3), "levels": (2, 3), "mixture": None, "counts": None, "normal": COLOUR, "classes": (2, 3)}
families = pytest.mark.parametrize("name", FAMILIES)


def tied(name: str, seed: int = 0, radius: int = 1) -> L.Autoregressive:
    """The likelihood with weights far from zero, so that neighbours matter."""
    torch.manual_seed(seed)
    network = MLP([2, 8, FAMILIES[name]().numbers])
    made = L.Autoregressive(network, FAMILIES[name](), image_shape=SHAPES[name], radius=radius, hidden=6)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.7)
    return made.double().eval()


def latents(draws: int = 1, batch: int = 1, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"z": torch.randn(draws, batch, 2, dtype=torch.float64, generator=generator)}


def everything(levels: int, elements: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(levels), repeat=elements)), dtype=torch.float64)


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize(("name", "levels"), [("binary", 2), ("levels", 3), ("classes", 3)])
def test_probabilities_sum_to_one_and_samples_follow_them(name, levels, radius):
    p = tied(name, radius=radius)(latents())
    every = everything(levels, 6)
    probability = p.log_prob(every.unsqueeze(1)).exp().flatten()
    assert probability.sum().item() == pytest.approx(1, abs=1e-12)
    many = tied(name, radius=radius)({"z": latents()["z"].expand(1, 20_000, 2)})
    drawn = simulate(many, torch.Generator().manual_seed(1))[0]
    which = (drawn * levels ** torch.arange(5, -1, -1)).sum(-1).long()
    counted = torch.bincount(which, minlength=len(every)).double().numpy()
    expected = (20_000 * probability).detach().numpy()
    order = np.argsort(expected)
    often = order[1 + np.searchsorted(expected[order].cumsum(), 5) :]  # the others go into one cell
    rare = np.setdiff1d(order, often)
    counted = np.append(counted[often], counted[rare].sum())
    expected = np.append(expected[often], expected[rare].sum())
    assert stats.chisquare(counted, expected).pvalue > 1e-3


@families
def test_an_element_sees_its_later_neighbours_and_nothing_else(name):
    """Changing x_j changes log p(x_i | …) only where j = i or j is a later neighbour of i, by hand."""
    made = tied(name)
    p, x = made(latents()), torch.ones(1, *made.event, dtype=torch.float64)
    elements = x[0].numel()
    channels, height, width = made.image

    def each(value: Tensor) -> Tensor:
        return p.conditional(value, None).log_prob(value.flatten(1)).flatten()

    for j in range(elements):
        other = x.clone().flatten(1)
        other[:, j] = 2.0 if name != "binary" else 0.0
        changed = (each(other.view_as(x)) != each(x)).nonzero().flatten().tolist()
        c, y, w = np.unravel_index(j, (channels, height, width))
        readers = {j} | {
            int(np.ravel_multi_index((k, y - dy, w - dx), (channels, height, width)))
            for k in range(channels)
            for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1))
            if y - dy >= 0 and 0 <= w - dx < width
        }
        readers |= {int(np.ravel_multi_index((k, y, w), (channels, height, width))) for k in range(c)}
        assert set(changed) == readers


@families
def test_some_elements_alone_are_as_among_all(name):
    made = tied(name)
    x = simulate(made(latents(2, 4)), torch.Generator().manual_seed(0))
    p = made(latents(2, 4))
    whole = p.conditional(x, None).log_prob(x.flatten(2))
    for front in p.fronts:
        part = p.conditional(x, front).log_prob(x.flatten(2)[..., front])
        torch.testing.assert_close(part, whole[..., front])
    assert sorted(torch.cat(list(p.fronts)).tolist()) == list(range(x[0, 0].numel()))


@families
def test_it_begins_as_its_family(name):
    torch.manual_seed(0)
    network = MLP([2, 8, FAMILIES[name]().numbers])
    made = L.Autoregressive(network, FAMILIES[name](), image_shape=SHAPES[name])
    family = FAMILIES[name]()
    family.network = network
    x, z = torch.ones(1, 3, *made.event), {"z": torch.randn(2, 3, 2)}
    torch.testing.assert_close(made(z).log_prob(x), family(z).log_prob(x))


@families
def test_gradients_in_float32_are_those_in_float64(name):
    double, single = tied(name), tied(name).float()
    x = simulate(double(latents(1, 5)), torch.Generator().manual_seed(0))
    slopes = torch.autograd.grad(double(latents(1, 5)).log_prob(x).sum(), list(double.parameters()))
    z = {"z": latents(1, 5)["z"].float()}
    rough = torch.autograd.grad(single(z).log_prob(x.float()).sum(), list(single.parameters()))
    for slope, other in zip(slopes, rough, strict=True):
        torch.testing.assert_close(other.double(), slope, rtol=2e-4, atol=2e-4)


@families
@pytest.mark.parametrize("size", [-1e3, 1e3])
def test_whatever_the_network_says_nothing_is_nan(name, size):
    made = tied(name).float()
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.fill_(size)
    log_p = made({"z": torch.ones(1, 2, 2)}).log_prob(torch.ones(1, 2, *made.event))
    log_p.sum().backward()
    assert bool(torch.isfinite(log_p).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in made.parameters())


@families
def test_stacked_likelihoods_are_each_as_alone(name):
    members = [tied(name, seed) for seed in (0, 1)]
    assert all(stackable(member) for member in members)
    z, x = latents(1, 5), torch.ones(1, 5, *members[0].event, dtype=torch.float64)

    def loss(parameters, buffers):
        return functional_call(members[0], (parameters, buffers), (z,)).log_prob(x).mean()

    together = vmap(grad(loss))(*stack_module_state(members))
    for i, member in enumerate(members):
        alone = grad(loss)(dict(member.named_parameters()), dict(member.named_buffers()))
        for key, slope in alone.items():
            torch.testing.assert_close(together[key][i], slope)


def stripes(n: int, seed: int = 0) -> np.ndarray:
    """6 × 6 binary images: rows are Markov chains that keep their value with probability 0.9; entropy known."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 2, (n, 6, 1))
    flips = generator.random((n, 6, 5)) < 0.1
    return np.concatenate([first, (first + flips.cumsum(-1)) % 2], -1).reshape(n, 36).astype(np.float32)


def test_it_learns_ties_that_independent_pixels_cannot(tmp_path):
    """Trained on Markov rows its evidence comes within a nat of the entropy; independent pixels stay far away."""
    x = stripes(4_000)
    entropy = 6 * (np.log(2) + 5 * stats.entropy([0.1, 0.9]))
    data = er.load_data(x, support="binary", preprocess="none", name="stripes", seed=0)
    found = {}
    for kind in ("tied", "independent"):
        torch.manual_seed(0)
        family = L.Bernoulli(None, 36)
        network = MLP([2, 32, 36])
        tie = kind == "tied"
        likelihood = (
            L.Autoregressive(network, family, image_shape=(6, 6), radius=1) if tie else L.Bernoulli(network, 36)
        )
        vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([36, 32, 4]), 2), likelihood)
        er.fit(vae, data, epochs=8, lr=1e-2, batch_size=100, seed=0, run=tmp_path / kind, progress=False)
        found[kind] = er.evidence.iwae(vae, data.test, draws=32).mean
        assert np.isfinite(found[kind])
        if tie:
            rows = vae.sample(4_000, seed=0).reshape(-1, 6, 6)
            assert abs((rows[..., 1:] != rows[..., :-1]).double().mean().item() - 0.1) < 0.01
    assert found["tied"] == pytest.approx(-entropy, abs=1.0)
    assert found["independent"] < found["tied"] - 2


def test_what_it_cannot_do_is_said_in_a_sentence():
    made = L.Autoregressive(None, L.Bernoulli(None, 4), image_shape=(2, 2))
    made.check(Support("binary"))
    with pytest.raises(InputError, match=r"Bernoulli likelihood is .* likelihoods\."):
        made.check(Support("real"))
    with pytest.raises(InputError, match="make the Bernoulli with None"):
        L.Autoregressive(None, L.Bernoulli(nn.Identity(), 4), image_shape=(2, 2))
    with pytest.raises(InputError, match="is over images"):
        L.Autoregressive(None, L.Bernoulli(None, 5), image_shape=(2, 2))
    for settings in ({"radius": 0}, {"hidden": 0}):
        with pytest.raises(InputError, match="1 or more"):
            L.Autoregressive(None, L.Bernoulli(None, 4), image_shape=(2, 2), **settings)
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([6, 4]), 2), tied("binary").float())
    with pytest.raises(CapabilityError, match="Autoregressive has no mean"):
        vae.sample(3, mode="mean")


@pytest.mark.parametrize("name", ["levels", "binary"])
def test_the_variance_budget_is_that_of_every_image_summed(name):
    """Both parts by quadrature over z of the probabilities of all images, against pairs of draws."""
    likelihood = tied(name)
    levels = {"levels": 3, "binary": 2}[name]
    every = everything(levels, 6)
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    z = torch.tensor(list(itertools.product(nodes, repeat=2))).unsqueeze(1)
    weight = torch.tensor(np.outer(weights, weights).flatten() / weights.sum() ** 2)
    p = likelihood({"z": z}).log_prob(every.unsqueeze(0)).exp().detach()
    mean = p @ every
    noise = (p @ every.square() - mean.square()).sum(1)
    ink = p @ every.sum(1).square() - (p @ every.sum(1)).square()
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([6, 4]), 2), likelihood).double()
    budget = er.variance_budget(vae, er.Batch(every[:50], torch.arange(50)), over="prior", draws=20_000)
    assert budget.latent == pytest.approx((weight @ mean.square() - (weight @ mean).square()).sum().item(), rel=0.06)
    assert budget.noise == pytest.approx((weight @ noise).item(), rel=0.03)
    total = budget.ink_noise_diagonal + budget.ink_noise_covariance
    assert total == pytest.approx((weight @ ink).item(), rel=0.04)


def test_classes_without_an_order_have_no_variance():
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(MLP([6, 4]), 2), tied("classes").float())
    with pytest.raises(CapabilityError, match="no mean"):
        er.variance_budget(vae, er.Batch(torch.zeros(5, 6), torch.arange(5)))
