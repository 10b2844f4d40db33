"""Models from words: the default by hand, every kind that a room hands on, and what is refused."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
import yaml

import elbowroom as er
from elbowroom.models import Recipe, build, goal, known_words
from elbowroom.models.sizes import sizes_for
from elbowroom.models.words import classes_of
from elbowroom.objectives import Objective
from elbowroom.vae._save_model import model_recipe

rng = np.random.default_rng(0)
N = 60
SHADES = rng.random((N, 4, 4)).clip(0.01, 0.99)
MIXED = np.c_[rng.normal(size=(N, 2)), rng.integers(0, 2, (N, 1)), rng.poisson(300, (N, 1))]
SOURCES = {
    "real": (rng.normal(size=(N, 4)), {}),
    "unit": (rng.random((N, 4)).clip(0.01, 0.99), {}),
    "binary": ((rng.random((N, 4)) < 0.3).astype(float), {}),
    "grid": (rng.integers(0, 5, (N, 4)), {"preprocess": "none"}),
    "counts": (rng.poisson(300, (N, 4)), {"support": "counts"}),
    "categorical": (rng.integers(0, 3, (N, 4)), {"support": "categorical"}),
    "mixed": (MIXED, {"support": ["real", "real", "binary", "counts"]}),
    "image": (SHADES, {"support": "unit", "flat": True}),
}
DATA = {name: er.load_data(x, name=name, **options) for name, (x, options) in SOURCES.items()}
IMAGES = er.load_data(SHADES, support="unit", flat=False, name="images")


def by_hand(data, encoder, likelihood_of, latents=2, widths=(128, 128), wrap=lambda network: network) -> er.VAE:
    """The default model of four columns, its networks drawn encoder first."""
    torch.manual_seed(3)
    q = er.posteriors.DiagonalNormal(wrap(er.networks.MLP([encoder, *widths, 2 * latents])), latents)
    likelihood = likelihood_of(lambda numbers: er.networks.MLP([latents, *widths[::-1], numbers]))
    return er.VAE(er.priors.StandardNormal(latents), q, likelihood, preprocess=data.preprocess)


def counts_by_hand():
    data = DATA["counts"]
    return by_hand(
        data,
        5,
        lambda net: er.likelihoods.NegativeBinomial(net(4), (4,)),
        wrap=lambda network: er.networks.Standardised(network, event=(4,), log1p=True),
    )


def classes_by_hand():
    data = DATA["categorical"]
    return by_hand(
        data,
        12,
        lambda net: er.likelihoods.Categorical(net(12), (4,), 3, ordered=False),
        wrap=lambda network: er.networks.Standardised(network, event=(4,), classes=[3] * 4),
    )


BY_HAND = {
    "real": lambda: by_hand(DATA["real"], 4, lambda net: er.likelihoods.Normal(net(8), (4,), scale="predicted")),
    "binary": lambda: by_hand(DATA["binary"], 4, lambda net: er.likelihoods.Bernoulli(net(4), (4,))),
    "counts": counts_by_hand,
    "categorical": classes_by_hand,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_default_is_the_model_by_hand_bit_for_bit(name) -> None:
    before = torch.get_rng_state()
    found = build({"seed": 3}, DATA[name])
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's draws are moved
    expected = BY_HAND[name]()
    assert model_recipe(found) == model_recipe(expected)
    ours, theirs = found.state_dict(), expected.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_digits_get_wider_networks_than_four_columns() -> None:
    digits, wide = er.load_data("digits"), {"latents": 16, "widths": (256, 256)}
    expected = by_hand(
        digits, 64, lambda net: er.likelihoods.TruncatedNormal(net(128), (64,), scale="predicted"), **wide
    ).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in build({"seed": 3}, digits).state_dict().items())


@pytest.mark.parametrize(
    ("columns", "rows", "latents", "sizes"),
    [
        (1, 40, 1, [1]),
        (2, 40, 1, [1]),
        (4, 40, 2, [2]),
        (9, 40, 4, [2, 5]),
        (30, 40, 15, [2, 5, 10, 20]),
        (3_000, 8, 5, [5]),
        (64, 40, 16, [10, 20]),
    ],
)
def test_auto_is_a_size_that_columns_and_rows_bear(columns, rows, latents, sizes) -> None:
    data = er.load_data(np.random.default_rng(1).normal(size=(rows, columns)), validation=1, test=1)
    recipe = Recipe().sized(data)
    assert (recipe.latents, sizes_for(data)) == (latents, sizes)
    assert recipe.hidden == ((128, 128) if columns < 64 else (256, 256))
    assert model_recipe(build(recipe, data)) == model_recipe(build({}, data))
    assert Recipe(latents=3, widths=[8]).sized(data) == Recipe(latents=3, widths=[8])


def test_what_auto_means_without_data_is_refused_in_words() -> None:
    for ask in (lambda: Recipe().layers, lambda: Recipe().hidden, lambda: goal({"objective": "adversarial"})):
        with pytest.raises(er.InputError, match=r"'auto' .* is for the data to say: ask recipe.sized\(data\)"):
            ask()
    with pytest.raises(er.InputError, match="latents must be whole numbers or 'auto'; got 'many'"):
        Recipe(latents="many")


@pytest.mark.parametrize("name", ["real", "counts", "mixed", "image"])
def test_auto_with_a_scale_has_noise_that_depends_on_z_or_does_not(name) -> None:
    """Feature: as many numbers of noise as columns, one each, and none from the network."""
    per_column, predicted = (
        build({"likelihood": {"kind": "auto", "scale": scale}}, DATA[name]).likelihood
        for scale in ("feature", "predicted")
    )
    columns = np.prod(DATA[name].event)
    free = sum(p.numel() for key, p in per_column.named_parameters() if key.rpartition(".")[2].startswith("raw"))
    noisy = sum(one.kind != "binary" for one in DATA[name].support.columns) if name == "mixed" else columns
    assert free == noisy
    assert predicted.numbers == per_column.numbers + noisy


def test_auto_takes_no_scale_where_the_family_has_none() -> None:
    with pytest.raises(er.InputError, match="has no scale that could be chosen: leave scale out"):
        build({"likelihood": {"kind": "auto", "scale": "feature"}}, DATA["binary"])


def built(part: str, kind: str) -> tuple[er.VAE, er.data.Dataset]:
    """The first model of the kind that other words and the data allow; an option that is asked for is 2."""
    partners = {"prior": "posterior", "posterior": "prior"}.get(part)
    others = [{partners: word} for word in known_words()[partners]] if partners else [{}]
    said = []
    for other, data in itertools.product(others, DATA.values()):
        word: dict = {"kind": kind}
        for _ in range(3):
            try:
                return build({part: word, "latents": 3, "widths": [8], **other}, data), data
            except er.InputError as error:
                said.append(str(error))
                missing = re.search(r"needs (\w+), which the data do not tell", said[-1])
                if not missing:
                    break
                word = {**word, missing[1]: 2}
    for sentence in said:
        assert re.fullmatch(r"[^\n]+\.", sentence), sentence
    pytest.skip(said[0])


KINDS = [(part, kind) for part in ("prior", "posterior", "likelihood") for kind in sorted(classes_of(part))]


@pytest.mark.parametrize(("part", "kind"), KINDS)
def test_every_kind_that_a_room_hands_on_is_built_drawn_and_scored(part, kind) -> None:
    vae, data = built(part, kind)
    er.fit(vae, data, epochs=1, progress=False)  # settles what is left to the data
    component = vae.likelihood if part == "likelihood" else getattr(vae, part)["z"]
    assert type(component) is classes_of(part)[kind]
    rate, distortion, elbo = er.evidence.rate_distortion(vae, data.test, draws=8)
    assert np.isfinite(elbo.mean)
    assert elbo.mean == pytest.approx(-rate.mean - distortion.mean, rel=1e-5)
    drawn = vae.sample(30)
    assert drawn.shape == (30, *data.event)
    if data.support.kind in ("binary", "grid", "categorical"):
        assert torch.equal(drawn, drawn.round())
        assert drawn.min() >= 0
    again = build(Recipe(**yaml.safe_load(yaml.safe_dump(Recipe().to_dict()))), data)
    assert model_recipe(again) == model_recipe(build(Recipe(), data))


@pytest.mark.parametrize("network", [word for word in known_words()["network"] if word != "mlp"])
def test_every_image_network_is_built_between_images_and_numbers(network) -> None:
    word = {"kind": network} if network == "conv-2018" else {"kind": network, "channels": [4, 8]}
    vae = build({"network": word, "latents": 3}, IMAGES)
    assert vae.encode(IMAGES.test[:5])["z"].shape == (5, 3)
    assert vae.sample(2).shape == (2, 1, 4, 4)
    with pytest.raises(er.InputError, match=r"reads images of numbers \(C, H, W\).*flat=False"):
        build({"network": network}, DATA["image"])
    with pytest.raises(er.InputError, match="take network='mlp'"):
        build({"network": network}, DATA["real"])


def test_a_conditional_model_in_words() -> None:
    data = er.load_data("digits", preprocess="binarise-fixed")
    words = {"posterior": {"kind": "diagonal-normal", "given": ["x", "label"]}, "latents": 2}
    vae = build({**words, "likelihood": {"kind": "bernoulli", "given": ["z", "label"]}}, data)
    assert vae.context_names == ("label",)
    assert vae.posterior["z"].network.widths[0] == 64 + 10
    assert vae.likelihood.network.widths[0] == 2 + 10
    assert np.isfinite(er.evidence.elbo(vae, data.test[:5], draws=2).mean)


def test_an_autoregressive_likelihood_ties_the_family_it_is_told() -> None:
    family = {"kind": "truncated-normal", "scale": "predicted"}
    vae = build({"likelihood": {"kind": "autoregressive", "family": family, "radius": 1}}, DATA["image"])
    assert isinstance(vae.likelihood.family, er.likelihoods.TruncatedNormal)
    assert vae.likelihood.image == (1, 4, 4)


def test_a_recipe_goes_to_yaml_and_back() -> None:
    recipe = Recipe(
        likelihood={"kind": "normal", "scale": "shared"},
        widths=[8, 4],
        training={"betas": (0.8, 0.9)},
    ).where(latents=np.int64(3), beta=np.float64(0.5), lr=1e-4)
    assert Recipe(**yaml.safe_load(yaml.safe_dump(recipe.to_dict()))) == recipe
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.training == {"betas": [0.8, 0.9], "lr": 1e-4}


def test_the_goal_of_a_recipe() -> None:
    rising = {"kind": "linear-schedule", "steps": 20}
    elbo = goal(Recipe(objective={"kind": "elbo", "schedule": rising}).where(beta=4.0, draws=2))
    assert (elbo.beta.item(), elbo.schedule_steps, elbo.draws) == (4.0, 20, 2)
    with pytest.raises(er.InputError, match="cannot be negative"):
        goal({"beta": -1.0})


def test_every_objective_has_a_word() -> None:
    handed_on = [getattr(er.objectives, name) for name in er.objectives.__all__]
    kinds = {
        one.kind for one in handed_on if isinstance(one, type) and "kind" in vars(one) and issubclass(one, Objective)
    }
    assert kinds == set(known_words()["objective"]) & kinds
    assert {"elbo", "iwae", "capacity", "free-bits", "rate-distortion", "geco"} <= kinds
    assert "linear-schedule" not in known_words()["objective"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"prior": "standart-normal"}, "no prior 'standart-normal'; there are: .*standard-normal"),
        ({"posterior": "flow-of-mine"}, "no posterior 'flow-of-mine'; there are: .*diagonal-normal"),
        ({"likelihood": "gauss"}, "no likelihood 'gauss'; there are: .*normal.*auto"),
        ({"likelihood": {"scale": "shared"}}, "no likelihood None; there are"),
        ({"likelihood": {"kind": "normal", "skale": 1}}, "'normal' has no option 'skale'; it has: scale, floor"),
        ({"likelihood": {"kind": "auto", "skale": 1}}, "'auto' has no option 'skale'; it has: scale"),
        ({"likelihood": {"kind": "auto", "scale": "wide"}}, "scale must be .*'predicted'.*'feature'"),
        ({"likelihood": "low-rank-normal"}, "needs rank, which the data do not tell"),
        ({"likelihood": "bernoulli"}, "Bernoulli likelihood is a density of binary data"),
        ({"likelihood": {"kind": "normal", "scale": "wide"}}, "scale must be a number"),
        ({"likelihood": {"kind": "normal", "given": ["z", "label"]}}, "reads the context 'label', which the data lack"),
        ({"network": "transformer"}, "no network 'transformer'; there are: conv, mlp"),
        ({"network": {"kind": "mlp", "widths": [8]}}, "widths of an mlp are a word of their own"),
        ({"prior": "categorical-prior"}, "is over classes, and the posterior 'diagonal-normal' over real numbers"),
        ({"objective": "elbow"}, "no objective 'elbow'; there are: .*elbo"),
        ({"latents": 0}, "latents must be 1 or more; got 0"),
        ({"betta": 1.0}, "no word 'betta'; it has: prior, .*beta"),
        ({"training": {"epoch": 3}}, "Training has no setting 'epoch'; it has: epochs"),
    ],
)
def test_what_means_nothing_is_refused_in_one_sentence(words, said) -> None:
    with pytest.raises(er.InputError, match=said) as caught:
        build(words, DATA["real"])
    assert "\n" not in str(caught.value)


def test_widths_are_not_quietly_dropped() -> None:
    with pytest.raises(er.InputError, match="widths are of an mlp"):
        build({"network": "conv", "widths": [8]}, IMAGES)
