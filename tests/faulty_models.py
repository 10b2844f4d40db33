"""Small models with exactly one fault each, and models without one, in families that share nothing but the faults.

A world is a planted data set: z from a known density, a known decoder, known noise. A model of it is healthy where it
has the right likelihood and the right number of latents and was trained by the ELBO to convergence; in families B and C
these are the four best of those tried, on validation. What the world's own density says of the same test examples
is known, and a model more than `NEAR` nats below it is not called healthy. `Case.how` names the way of a fault:

collapsed             a fixed noise above the greatest eigenvalue; a decoder, or data, that need no z
inference lagging     a decoder that was trained on while the encoder was not; an encoder that sees a part of x
overconfident encoder a q whose spreads are too narrow, scaled or trained so at a fixed decoder
holes in the prior    z in clusters or on a ring under a linear decoder; a decoder that was trained for another prior
noise mis-scaled      a fixed scale, or a temperature of the logits, that is not the data's
residuals correlated  noise that neighbours share, under a likelihood whose elements are independent
overfitted            a few rows, a wide network and many epochs
underfitted           training that was stopped early, or had next to no learning rate
no bound              the rate weighed by another number than 1, or replaced

The families differ in decoders, sizes, numbers of rows, networks, seeds, and mostly in the way a fault is built.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from planted_worlds import World, worlds_of

import elbowroom as er

Array = NDArray[np.float64]

FAULTS = (
    "collapsed",
    "inference lagging",
    "overconfident encoder",
    "holes in the prior",
    "noise mis-scaled",
    "residuals correlated",
    "overfitted",
    "underfitted",
    "no bound",
)
NEAR = 1.0
"""Nats of log p(x) below the planted density within which a model counts as healthy."""
LIKELIHOODS = {"normal": {"kind": "normal", "scale": "shared"}, "bernoulli": "bernoulli", "poisson": "poisson"}


@dataclass(frozen=True)
class Case:
    """A model, its data, and what it was trained by, if that is known."""

    name: str
    fault: str  # "healthy", or one of FAULTS
    how: str
    vae: er.VAE
    data: er.data.Dataset
    objective: Any = None
    world: World | None = None  # where the model should have come to the world's own density


@dataclass(frozen=True)
class Family:
    """What tells two families apart."""

    name: str
    worlds: tuple[World, ...]
    clusters: tuple[World, ...]
    correlated: tuple[World, ...]
    empty: tuple[World, ...]  # data that need no z
    widths: tuple[int, ...]
    epochs: int
    lr: float
    seed: int
    tried: int = 4  # models of each world; the four with the best ELBO on validation are healthy


FAMILIES = {
    "A": Family(
        "A",
        worlds=(
            *worlds_of(
                "normal", [(2, 6, 600), (2, 10, 800), (3, 8, 800), (3, 12, 1000), (4, 12, 1000), (4, 16, 800)], 10
            ),
            *worlds_of("bernoulli", [(2, 16, 1000), (2, 12, 800), (3, 16, 1000)], 30),
            *worlds_of("poisson", [(2, 8, 800), (3, 10, 800), (3, 12, 1000)], 40),
        ),
        clusters=worlds_of("normal", [(2, 8, 800), (2, 10, 800), (3, 12, 1000)], 50, decoder="linear", z="clusters"),
        correlated=(
            *worlds_of("normal", [(2, 8, 800), (2, 12, 800), (3, 16, 1000)], 60, noise="shared"),
            *worlds_of("poisson", [(2, 10, 1000)], 64, noise="shared"),
        ),
        empty=(
            *worlds_of("normal", [(2, 8, 800), (2, 12, 800)], 70, z="none", noise="shared"),
            *worlds_of("bernoulli", [(2, 12, 1000)], 74, z="none"),
            *worlds_of("poisson", [(2, 8, 800)], 76, z="none"),
        ),
        widths=(24,),
        epochs=100,
        lr=6e-3,
        seed=100,
    ),
    "B": Family(
        "B",
        worlds=(
            *worlds_of("normal", [(2, 7, 700), (3, 9, 700), (3, 14, 900)], 210, decoder="waves", sigma=0.35),
            *worlds_of(
                "normal", [(2, 9, 900), (4, 10, 1000), (5, 14, 1000), (3, 11, 800)], 220, decoder="waves", sigma=0.6
            ),
            *worlds_of("bernoulli", [(2, 14, 900), (3, 15, 1000), (2, 11, 1000)], 230, decoder="waves"),
            *worlds_of("poisson", [(2, 9, 900), (3, 11, 1000)], 240, decoder="waves"),
        ),
        clusters=worlds_of(
            "normal", [(2, 7, 700), (2, 11, 900), (3, 9, 1000)], 250, decoder="linear", z="ring", sigma=0.3
        ),
        correlated=(
            *worlds_of("normal", [(2, 9, 900), (3, 14, 900)], 260, decoder="waves", noise="shared", sigma=0.4),
            *worlds_of("poisson", [(2, 12, 900)], 264, decoder="waves", noise="shared"),
            *worlds_of("bernoulli", [(2, 16, 1000)], 266, decoder="waves", noise="shared"),
        ),
        empty=(
            *worlds_of("normal", [(3, 10, 900)], 270, z="none", noise="shared"),
            *worlds_of("bernoulli", [(2, 14, 1000)], 272, z="none", noise="shared"),
            *worlds_of("normal", [(2, 9, 700)], 274, z="none"),
            *worlds_of("poisson", [(3, 10, 900)], 276, z="none"),
        ),
        widths=(32, 16),
        epochs=200,
        lr=6e-3,
        seed=700,
        tried=6,
    ),
    "C": Family(
        "C",
        worlds=(
            *worlds_of("normal", [(2, 8, 900), (3, 10, 1000), (3, 12, 1100)], 410, decoder="folded", sigma=0.45),
            *worlds_of(
                "normal",
                [(2, 11, 900), (4, 13, 1100), (4, 9, 1100), (3, 15, 900), (2, 8, 1000)],
                420,
                decoder="folded",
                sigma=0.55,
            ),
            *worlds_of("bernoulli", [(2, 15, 1000), (3, 14, 1100), (2, 13, 900)], 430, decoder="folded"),
            *worlds_of("poisson", [(2, 10, 1000), (3, 9, 1000)], 440, decoder="folded"),
        ),
        clusters=worlds_of("normal", [(2, 9, 900), (3, 11, 1000)], 450, decoder="linear", z="ring", sigma=0.4),
        correlated=(
            *worlds_of("normal", [(2, 10, 900), (3, 12, 900)], 460, decoder="folded", noise="pairs"),
            *worlds_of("poisson", [(2, 12, 1000)], 464, decoder="folded", noise="pairs"),
            *worlds_of("bernoulli", [(2, 16, 1000)], 466, decoder="folded", noise="pairs"),
        ),
        empty=(
            *worlds_of("normal", [(2, 9, 900)], 470, z="none", noise="shared"),
            *worlds_of("bernoulli", [(2, 13, 1000)], 472, z="none"),
            *worlds_of("normal", [(2, 10, 800)], 474, z="none"),
        ),
        widths=(40,),
        epochs=150,
        lr=6e-3,
        seed=1300,
        tried=5,
    ),
}


# How each fault is built.


def groups(family: Family) -> dict[str, Callable[[], Iterator[Case]]]:
    """What is trained together: the name of a group, and what makes its cases."""
    made: dict[str, Callable[[], Iterator[Case]]] = {}
    for place, world in enumerate(family.worlds):
        made[f"{family.name} {world.name}"] = partial(_of_world, family, world, place)
        made[f"{family.name} {world.name} few rows"] = partial(_overfitted, family, world, place)
    for world in family.clusters:
        made[f"{family.name} {world.name} {world.z}"] = partial(_holes, family, world)
    for world in family.correlated:
        made[f"{family.name} {world.name} shared noise"] = partial(_correlated, family, world)
    for world in family.empty:
        made[f"{family.name} {world.name} no z"] = partial(_needs_no_z, family, world)
    return made


def words_of(family: Family, world: World, seed: int, **others: Any) -> dict[str, Any]:
    """The recipe of the right model of a world, or another where told."""
    """The recipe of the right model of a world, or another where told."""
    words = {
        "latents": world.latents,
        "widths": list(family.widths),
        "likelihood": LIKELIHOODS[world.kind],
        "posterior": {"kind": "diagonal-normal", "spread": "softplus" if family.name == "B" else "exp", "floor": 1e-6},
        "seed": family.seed + seed,
    }
    return {**words, **others}


def _trained(
    family: Family, data: Any, words: list[dict[str, Any]], goals: list[Any] | None = None, **settings: Any
) -> list[er.VAE]:
    """Models of these words, trained together where they can be."""
    vaes = [er.models.build(one, data) for one in words]
    about = {"epochs": family.epochs, "lr": family.lr, "lr_final": family.lr / 20, "seed": family.seed}
    goals = goals or [er.objectives.Elbo() for _ in vaes]
    er.fit_stacked(vaes, data, goals, **(about | settings), progress=False, processes=1)
    return vaes


def _of_world(family: Family, world: World, place: int) -> Iterator[Case]:
    """Healthy models of a world, and those that are made of them or trained beside them."""
    data = world.data()
    words = [words_of(family, world, seed) for seed in range(family.tried)]
    goals = [er.objectives.Elbo() for _ in words]
    other, about = _goal(family, place)
    found = _trained(family, data, [*words, words[0]], [*goals, other])
    *plain, weighed = found
    healthy = _best(plain, data, 4)
    early = _trained(family, data, words[:1], **_EARLY[family.name])[0]
    for seed, vae in enumerate(healthy):
        yield Case(f"{world.name} healthy {seed}", "healthy", "", vae, data, er.objectives.Elbo(), world)
    yield Case(f"{world.name} {about}", "no bound", about, weighed, data, other)
    yield Case(f"{world.name} early", "underfitted", "stopped early", early, data)
    spoilt: dict[str, tuple[str, er.VAE | None]] = {
        "inference lagging": _lagging(family, healthy[0], early, data, place),
        "overconfident encoder": _overconfident(family, healthy[1], data, place),
        "holes in the prior": _other_prior(family, healthy[2], place),
        "noise mis-scaled": _rescaled(family, healthy[3], place),
    }
    for fault, (how, made) in spoilt.items():
        if made is not None:
            yield Case(f"{world.name} {how}", fault, how, made, data)
    if world.kind == "normal":
        more = {"latents": world.latents + 1}
        spare = _best(
            _trained(family, data, [words_of(family, world, seed, **more) for seed in _SPARE[family.name]]), data, 1
        )[0]
        yield Case(
            f"{world.name} healthy spare", "healthy", "a latent to spare", spare, data, er.objectives.Elbo(), world
        )
        yield from _fixed_scales(family, world, data)


_SPARE = {"A": (9,), "B": (9, 10), "C": (9, 10)}  # seeds
_EARLY = {"A": {"epochs": 2, "lr_final": None}, "B": {"lr": 1e-4, "epochs": 40, "lr_final": None}}
_EARLY["C"] = {"lr": 1e-3, "epochs": 8, "lr_final": None}


def _first_way(family: Family, place: int) -> bool:
    """Whether a fault is built as in family A: in C for every other world."""
    return family.name == "A" or (family.name == "C" and place % 2 == 0)


def _best(vaes: list[er.VAE], data: Any, n: int) -> list[er.VAE]:
    """The n of the best ELBO on validation, in their order."""
    if len(vaes) == n:
        return vaes
    scores = [er.evidence.elbo(vae, data.validation, draws=8).mean for vae in vaes]
    kept = sorted(sorted(range(len(vaes)), key=lambda at: -scores[at])[:n])
    return [vaes[at] for at in kept]


def _goal(family: Family, place: int) -> tuple[Any, str]:
    """An objective that is no bound."""
    if family.name == "A":
        beta = (0.2, 0.5, 2.0, 4.0)[place % 4]
        return er.objectives.Elbo(beta), f"β = {beta:g}"
    if family.name == "C":
        beta = (0.3, 2.5)[place % 2]
        other = er.objectives.Discrepancy(weight=5.0), "a Wasserstein autoencoder"
        return other if place % 3 == 2 else (er.objectives.Elbo(beta), f"β = {beta:g}")
    return (
        (er.objectives.FreeBits(2.0), "free bits"),
        (er.objectives.Elbo(0.1), "β = 0.1"),
        (er.objectives.Discrepancy(weight=10.0), "a Wasserstein autoencoder"),
    )[place % 3]


def _lagging(family: Family, vae: er.VAE, early: er.VAE, data: Any, place: int) -> tuple[str, er.VAE]:
    """A decoder whose encoder stayed behind, or one that sees a part of x."""
    lagging = copy.deepcopy(vae)
    if _first_way(family, place):
        lagging.posterior["z"].load_state_dict(early.posterior["z"].state_dict())
        return "the encoder of an early epoch", lagging
    columns = data.event[0]
    with torch.no_grad():
        first = _linears(lagging.posterior["z"])[0]
        first.weight[:, columns // 2 :] = 0.0
    _train_encoder(lagging, data, 1.0, blind=columns // 2, seed=place)
    return "an encoder that sees half of x", lagging


def _overconfident(family: Family, vae: er.VAE, data: Any, place: int) -> tuple[str, er.VAE]:
    """Spreads that are too narrow by a factor, or trained with next to no entropy at the same decoder."""
    narrow = copy.deepcopy(vae)
    if _first_way(family, place):
        factor = (0.3, 0.4, 0.5)[place % 3]
        _scale_spreads(narrow, factor)
        return f"spreads × {factor:g}", narrow
    _train_encoder(narrow, data, 0.15, seed=place)
    return "an encoder trained at β = 0.15", narrow


def _other_prior(family: Family, vae: er.VAE, place: int) -> tuple[str, er.VAE | None]:
    """The same model in other coordinates of z, as if it had been trained for another normal as its prior."""
    moved = copy.deepcopy(vae)
    inward, outward = _linears(moved.likelihood)[0], _linears(moved.posterior["z"])[-1]
    d = moved.latents
    with torch.no_grad():
        if _first_way(family, place):
            scale = (2.0, 2.5)[place % 2]
            outward.weight[:d] *= scale
            outward.bias[:d] *= scale
            outward.bias[d:] += float(np.log(scale))
            inward.weight /= scale
            return f"trained for a prior of {scale:g} times the spread", moved
        outward.bias[:d] += 1.3
        inward.bias -= 1.3 * inward.weight.sum(1)
    return "trained for a prior that is centred elsewhere", moved


def _rescaled(family: Family, vae: er.VAE, place: int) -> tuple[str, er.VAE | None]:
    """The noise of a trained model, changed; in family A a fixed scale is trained in its place."""
    if family.name == "A" or vae.likelihood.calibrates is None:
        return "", None
    other, factor = copy.deepcopy(vae), (1.8, 0.55)[place % 2]
    if other.likelihood.calibrates == "temperature":
        factor = (2.5, 0.3)[place % 2]
        other.likelihood = other.likelihood.at_temperature(factor)
        return f"logits × {factor:g}", other
    other.likelihood = other.likelihood.at_scale(factor * float(other.likelihood.common_scale().mean()))
    return f"noise × {factor:g}", other


def _fixed_scales(family: Family, world: World, data: Any) -> Iterator[Case]:
    """A fixed noise beyond the data's, short of the greatest eigenvalue or above it."""
    x = data.preprocess(data.train.x)[0].numpy()
    greatest, next_one = np.sqrt(np.linalg.eigvalsh(np.cov(x.T))[:-3:-1])
    partly = world.seed % 3 == 2
    scales = {"collapsed": [float(np.sqrt(greatest * next_one)) if partly else 1.3 * float(greatest)]}
    scales["noise mis-scaled"] = [0.2, 0.85] if family.name == "A" else []
    about = "between the two greatest eigenvalues" if partly else "above the greatest eigenvalue"
    for fault, values in scales.items():
        for scale in values:
            words = words_of(family, world, 7, likelihood={"kind": "normal", "scale": scale})
            vae = _trained(family, data, [words], epochs=family.epochs // 2)[0]
            how = f"a fixed noise {about}" if fault == "collapsed" else f"fixed σ = {scale:g}"
            yield Case(f"{world.name} {how}", fault, how, vae, data)


def _overfitted(family: Family, world: World, place: int) -> Iterator[Case]:
    rows, widths, epochs = {"A": (40, [64], 1200), "B": (50, [48, 48], 900), "C": (45, [80], 1000)}[family.name]
    data = world.data(rows)
    vae = _trained(
        family, data, [words_of(family, world, 0, widths=widths)], epochs=epochs, batch_size=40, select="last"
    )[0]
    yield Case(f"{world.name} {rows} rows", "overfitted", f"{rows} rows, {epochs} epochs", vae, data)


def _holes(family: Family, world: World) -> Iterator[Case]:
    """A linear decoder cannot bend clusters or a ring back to a normal."""
    data = world.data()
    words = [words_of(family, world, seed, widths=[]) for seed in range(2)]
    for seed, vae in enumerate(_trained(family, data, words)):
        yield Case(f"{world.name} {world.z} {seed}", "holes in the prior", f"z in {world.z}", vae, data)


def _correlated(family: Family, world: World) -> Iterator[Case]:
    data = world.data()
    words = [words_of(family, world, seed) for seed in range(3)]
    for seed, vae in enumerate(_trained(family, data, words)):
        yield Case(f"{world.name} shared noise {seed}", "residuals correlated", "noise of neighbours", vae, data)


def _needs_no_z(family: Family, world: World) -> Iterator[Case]:
    """Columns that explain one another in an autoregressive decoder, or that have nothing in common."""
    data = world.data()
    likelihood: Any = LIKELIHOODS[world.kind]
    if world.noise == "shared":
        likelihood = {"kind": "autoregressive", "family": likelihood, "image_shape": [1, world.columns], "radius": 1}
    words = [words_of(family, world, seed, likelihood=likelihood) for seed in range(2)]
    how = "an autoregressive decoder" if world.noise == "shared" else "columns with nothing in common"
    vaes = _trained(family, data, words, [er.objectives.Elbo(4.0) for _ in words])
    er.fit_stacked(vaes, data, [er.objectives.Elbo() for _ in words], epochs=family.epochs // 4, progress=False)
    for seed, vae in enumerate(vaes):
        yield Case(f"{world.name} no z {seed}", "collapsed", how, vae, data)


def _linears(module: torch.nn.Module) -> list[torch.nn.Linear]:
    return [part for part in module.modules() if isinstance(part, torch.nn.Linear)]


def _scale_spreads(vae: er.VAE, factor: float) -> None:
    """Multiply the standard deviations of q, whose logarithm the network returns."""
    with torch.no_grad():
        _linears(vae.posterior["z"])[-1].bias[vae.latents :] += float(np.log(factor))


def _train_encoder(
    vae: er.VAE, data: Any, beta: float, *, blind: int | None = None, seed: int, steps: int = 400
) -> None:
    """Train q alone, with the rate weighed by β; `blind`: the columns from there on stay unseen."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(vae.posterior.parameters(), lr=3e-3)
    first = _linears(vae.posterior["z"])[0]
    for _ in range(steps):
        rows = data.train.rows(torch.randint(len(data.train), (200,), generator=generator))
        terms = vae(rows, vae.draw_noise(1, len(rows), generator))
        loss = (beta * terms.rate() - terms.log_likelihood).mean()
        adam.zero_grad()
        loss.backward()
        if blind is not None and first.weight.grad is not None:
            first.weight.grad[:, blind:] = 0.0
        adam.step()
    vae.zero_grad(set_to_none=True)
    vae.eval()
