"""The contract of every prior, posterior and likelihood: a new class in a room is tested without a line here.

Only a class whose constructor asks for more than a network and an event needs an entry in ARGUMENTS.
"""

import inspect
import math

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.distributions import Distribution

import elbowroom as er
from elbowroom import likelihoods, posteriors, priors
from elbowroom.components import Component
from elbowroom.distributions import capabilities, draw, simulate
from elbowroom.networks import MLP
from elbowroom.recipes import build, recipe_of

EVENT, READS = 4, 3
ARGUMENTS: dict[str, dict[str, object]] = {
    "Autoregressive": {"family": likelihoods.Bernoulli(None, 4), "image_shape": (2, 2)},
    "BetaBinomial": {"levels": 5},
    "Categorical": {"levels": 5, "classes": EVENT, "given": ("z",)},
    "CategoricalGrid": {"cells": 2, "given": ("z",)},
    "DiscretisedLogistic": {"levels": 5},
    "DiscretisedNormal": {"levels": 5},
    "FixedNormal": {"mean": 0.5, "std": 2.0},
    "Ladder": {"prior": lambda: priors.Normal(EVENT)},
    "LowRankNormal": {"rank": 2},
    "MaternNormal": {"event": (1, 2, 2)},
    "NormalWithAtoms": {"atoms": [0.0, 1.5]},
    "SparsePrecisionNormal": {"event": (1, 2, 2)},
    "Flow": {"context": EVENT, "transforms": 2, "hidden": (8,)},
    "Mixture": {"components": 3},
    "Normal": {"given": ("z",)},
    "Relevance": {"decoder": lambda: MLP([EVENT, 5])},
    "RelaxedCategorical": {"classes": EVENT},
    "Vamp": {"posterior": lambda: posteriors.DiagonalNormal(MLP([6, 8]), EVENT), "inputs": 6, "pseudo_inputs": 3},
    "Mixed": {"families": [likelihoods.Normal(None, 3, scale="feature"), likelihoods.Bernoulli(None, 1)]},
}


def classes(room: object) -> list[type[Component]]:
    """The components that a room hands on, but for the bases, which no recipe can name."""
    found = [getattr(room, name) for name in dir(room) if not name.startswith("_")]
    return [c for c in found if inspect.isclass(c) and issubclass(c, Component) and hasattr(c, "kind")]


def made(cls: type[Component], seed: int = 0) -> Component:
    """A component over 4 numbers; where it has a network, one that reads 3."""
    torch.manual_seed(seed)
    given = {"event": EVENT, **ARGUMENTS.get(cls.__name__, {})}
    takes = inspect.signature(cls).parameters
    given = {name: value() if inspect.isfunction(value) else value for name, value in given.items() if name in takes}
    if "network" not in takes:
        return cls(**given)
    if issubclass(cls, likelihoods.Likelihood):
        return cls(network=MLP([READS, 6, cls(network=None, **given).numbers]), **given)
    triangle = EVENT * (EVENT + 1) // 2
    for numbers in (EVENT, 2 * EVENT, 3 * EVENT, EVENT + triangle, EVENT + 1, 3 * (2 * EVENT + 1)):
        component = cls(network=MLP([READS, 6, numbers]), **given)
        try:
            component(inputs(component))
        except er.InputError:
            continue
        return component
    raise AssertionError(f"{cls.__name__} needs an entry in ARGUMENTS.")


def inputs(component: Component, draws: int = 2, batch: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(draws, batch, READS, generator=generator) for name in component.given}


def value_of(component: Component) -> Tensor:
    """A value [1, 5, *event] inside the support."""
    inside = (
        0.5 if isinstance(component, likelihoods.Beta | likelihoods.LogitNormal) else WITHIN.get(component.over, 0.0)
    )
    typical = torch.full((1, 5, *component.event), inside)
    if isinstance(component, likelihoods.Mixed):
        typical[..., 3:] = 1.0
    if over_classes(type(component)):
        typical[..., -1] = 1.0
    return typical


WITHIN = {"the unit box": 0.3, "the simplex": 1 / EVENT, "the sphere": EVENT**-0.5}


def over_classes(cls: type[Component]) -> bool:
    """Whether its draws are one-hot: test_categorical.py and test_categorical_grid.py have their contract."""
    return cls in (priors.Categorical, posteriors.Categorical) or cls.over == "a grid of classes"


EVERY = [*classes(priors), *classes(posteriors), *classes(likelihoods)]
DRAWN = [
    cls for cls in (*classes(priors), *classes(posteriors)) if cls.form != "mixture" and cls.over == "real numbers"
]
every = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
drawn = pytest.mark.parametrize("cls", DRAWN, ids=lambda cls: cls.__name__)


def test_the_rooms_are_not_empty() -> None:
    assert {"StandardNormal", "DiagonalNormal", "Normal", "Bernoulli"} <= {cls.__name__ for cls in EVERY}


@every
def test_the_recipe_makes_it_again(cls: type[Component]) -> None:
    component = made(cls)
    recipe = recipe_of(component)
    back = build(yaml.safe_load(yaml.safe_dump(recipe)))
    assert type(back) is cls
    assert recipe_of(back) == recipe
    back.load_state_dict(component.state_dict())
    given, x = inputs(component), value_of(component)
    with torch.no_grad():
        torch.testing.assert_close(back.eval()(given).log_prob(x), component.eval()(given).log_prob(x))


@every
def test_shapes_and_examples_that_do_not_see_each_other(cls: type[Component]) -> None:
    component = made(cls).eval()
    given, x = inputs(component), value_of(component)
    with torch.no_grad():
        p = component(given)
        log_density = p.log_prob(x)
        assert p.event_shape == component.event
        if not given:
            return
        assert p.batch_shape == (2, 5)
        assert log_density.shape == (2, 5)
        alone = component({name: t[1:, 2:3] for name, t in given.items()}).log_prob(x[:, 2:3])
    torch.testing.assert_close(alone, log_density[1:, 2:3])


@every
def test_float32_is_float64_rounded(cls: type[Component]) -> None:
    component = made(cls).eval()
    given, x = inputs(component), value_of(component)
    with torch.no_grad():
        single = component(given).log_prob(x)
        double = component.double()({name: t.double() for name, t in given.items()}).log_prob(x.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@every
def test_stacked_is_one_by_one_in_value_and_gradient(cls: type[Component]) -> None:
    members = [made(cls, seed).double() for seed in (0, 1)]
    if not getattr(members[0], "stackable", True) or not list(members[0].parameters()):
        return
    given = {name: t.double() for name, t in inputs(members[0]).items()}
    x = value_of(members[0]).double()

    def score(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(Scored(members[0], x), (parameters, buffers), (given,))

    parameters, buffers = torch.func.stack_module_state([Scored(member, x) for member in members])
    detached = {name: t.detach() for name, t in parameters.items()}
    gradients, values = torch.func.vmap(torch.func.grad_and_value(score))(detached, buffers)
    for position, member in enumerate(members):
        alone = Scored(member, x)(given)
        torch.testing.assert_close(values[position], alone)
        own = list(member.parameters())  # of a prior on weights nothing moves the density of z
        wanted = torch.autograd.grad(alone, own, allow_unused=True) if alone.requires_grad else [None] * len(own)
        for (name, _), gradient in zip(member.named_parameters(), wanted, strict=True):
            expected = torch.zeros_like(gradients[f"component.{name}"][0]) if gradient is None else gradient
            torch.testing.assert_close(gradients[f"component.{name}"][position], expected)


class Scored(nn.Module):
    def __init__(self, component: Component, x: Tensor) -> None:
        super().__init__()
        self.component, self.x = component, x

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        return self.component(given).log_prob(self.x).sum()


def drawn_by_role(cls: type[Component], p: Distribution, component: Component) -> tuple[Tensor, Tensor]:
    """40,000 draws and their log-densities: a posterior's from noise; a prior's too where it can, else simulated."""
    generator = torch.Generator().manual_seed(0)
    if "draw" in capabilities(p) or cls in classes(posteriors):
        noise = torch.randn(40_000, 1, *component.noise_shape, generator=generator).double()
        value, log_density = draw(p, noise)
        return value, log_density()
    value = simulate(p.expand((40_000, 1)), generator)
    return value, p.log_prob(value)


@drawn
def test_draws_have_the_density_that_they_say(cls: type[Component]) -> None:
    """The log-density returned is log_prob; E[p0/p] over draws is 1 for a narrower p0, which fails if either is off."""
    component = made(cls).double()
    given = {name: t.double()[:1, :1] for name, t in inputs(component).items()}
    with torch.no_grad():
        p = component({name: t.expand(40_000, -1, -1) for name, t in given.items()})
        value, log_density = drawn_by_role(cls, p, component)
        torch.testing.assert_close(log_density, p.log_prob(value).expand_as(log_density))
        flat = value.flatten(1).numpy()
        narrow = stats.multivariate_normal(flat.mean(0), 0.5 * np.cov(flat.T)).logpdf(flat)
        ratio = np.exp(narrow - log_density[:, 0].numpy())
    assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(len(ratio))


@drawn
@pytest.mark.parametrize("size", [-30.0, 30.0])
def test_gradients_are_finite_at_extremes(cls: type[Component], size: float) -> None:
    component = made(cls)
    given = {name: size * t.abs().sign().requires_grad_() for name, t in inputs(component).items()}
    noise = torch.full((2, 5, *component.noise_shape), math.copysign(5.0, size))
    p = component(given)
    if "draw" in capabilities(p) or cls in classes(posteriors):
        value, log_density = draw(p, noise)
        total = (value.sum() + log_density().sum()).requires_grad_()
    else:
        total = p.log_prob(size * torch.ones(2, 5, *component.event)).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in component.parameters() if p.grad is not None)


@pytest.mark.parametrize(("spread", "expected"), [("softplus", math.log1p(math.e)), ("exp", math.exp(2.0))])
def test_spread_of_the_diagonal_normal(spread: str, expected: float) -> None:
    network = nn.Linear(1, 2)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor([0.5, 1.0]))
    q = posteriors.DiagonalNormal(network, 1, spread=spread, floor=0.25)({"x": torch.zeros(1, 1, 1)})
    assert q.variance.item() == pytest.approx(expected + 0.25, rel=1e-6)
    assert q.mean.item() == 0.5


@pytest.mark.parametrize("scale", ["shared", "feature", "predicted"])
def test_the_normal_starts_at_what_pca_leaves(scale: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2)) @ generator.normal(size=(2, EVENT)) + generator.normal(size=(300, EVENT)) * [
        0.1,
        0.2,
        0.4,
        0.3,
    ]
    pca = PCA(2).fit(x)
    left = np.sqrt(((x - pca.inverse_transform(pca.transform(x))) ** 2).mean(0))
    expected = np.full(EVENT, np.sqrt((left**2).mean())) if scale == "shared" else left
    network = nn.Linear(READS, EVENT * (2 if scale == "predicted" else 1))
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    p = likelihoods.Normal(network, EVENT, scale=scale)
    notes = p.settle(torch.tensor(x), None, 2)
    found = p({"z": torch.zeros(1, 1, READS)}).stddev[0, 0]
    assert p.floor_value.item() == pytest.approx(0.01 * x.std(ddof=1), rel=1e-5)
    floor = p.floor_value.item()
    np.testing.assert_allclose(found.detach().numpy(), np.maximum(expected, 1.05 * floor), rtol=1e-5)
    assert "what PCA leaves" in notes[0]


def test_the_floor_is_one_steps_uniform_noise_and_binds() -> None:
    p = likelihoods.Normal(nn.Linear(READS, EVENT), EVENT, scale="shared")
    p.settle(torch.rand(50, EVENT), 1 / 17, 2)
    floor = 1 / 17 / math.sqrt(12)
    assert p.floor_value.item() == pytest.approx(floor, rel=1e-6)
    with torch.no_grad():
        p.raw.fill_(-100.0)
    p_x = p({"z": torch.zeros(1, 3, READS)})
    np.testing.assert_allclose(p_x.stddev.detach().numpy(), floor, rtol=1e-6)
    assert "100.0% of the scales" in p.remarks(p_x)[0]


def test_wrong_settings_are_refused_in_words() -> None:
    network = nn.Linear(READS, EVENT)
    for atoms in ([], [1.5, 1.5]):
        with pytest.raises(er.InputError, match=r"values that have a probability, all distinct; got \["):
            likelihoods.NormalWithAtoms(network, EVENT, atoms)
    with pytest.raises(er.InputError, match="cannot be negative"):
        posteriors.DiagonalNormal(network, 2, floor=-1.0)
    with pytest.raises(er.InputError, match="must be positive"):
        likelihoods.Normal(network, EVENT, scale=0.0)
    with pytest.raises(er.InputError, match="needs 10 numbers per example"):
        posteriors.DiagonalNormal(network, 5)({"x": torch.zeros(1, 1, READS)})
    with pytest.raises(er.InputError, match="binarise them"):
        likelihoods.Bernoulli(network, EVENT).check(er.Support("grid", 17))
    with pytest.raises(er.InputError, match="dequantise"):
        likelihoods.Normal(network, EVENT).check(er.Support("grid", 17))
