"""What is refused when a recipe is read is what would fail, and nothing that would fail is let through."""

import itertools

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom.models import Recipe, build, known_words
from elbowroom.models.misfits import refuse_misfits
from elbowroom.models.words import instance_of, split
from elbowroom.training import TrainingStep

DATA = er.load_data(np.random.default_rng(0).normal(size=(40, 3)), validation=5, test=5)
LABELLED = er.load_data(
    np.random.default_rng(0).normal(size=(40, 3)),
    labels=np.where(np.arange(40) % 3 == 0, -1, np.arange(40) % 2),
    observed="label",
    validation=5,
    test=5,
)
OBJECTIVES = [
    "elbo",
    {"kind": "elbo", "kl": "closed"},
    {"kind": "elbo", "kl": "sticking-the-landing"},
    {"kind": "elbo", "gradient": "score", "draws": 2},
    "iwae",
    {"kind": "iwae", "gradient": "vimco"},
    {"kind": "iwae", "gradient": "doubly-reparameterised"},
    {"kind": "capacity", "capacity": 2.0},
    {"kind": "free-bits", "allowance": 0.1},
    {"kind": "free-bits", "allowance": 0.1, "per": "dimension"},
    {"kind": "geco", "tolerance": 3.0},
    "rate-distortion",
    {"kind": "prior-sampling", "draws": 3},
    "multi-rate",
    "semi-supervised",
    "beta-tc",
    "dip",
    "discrepancy",
    "wake-sleep",
    "reweighted-wake-sleep",
    "aggressive",
    "semi-amortised",
    "monte-carlo-em",
    {"kind": "total-correlation", "weight": 2.0},
    "adversarial",
]
PAIRS = list(itertools.product(known_words()["prior"], known_words()["posterior"]))
FLOWS = {one: {"kind": one, "transforms": 1, "hidden": [4]} for one in ("flow-prior", "flow-posterior")}
"""As small as they come: what fits what does not depend on how many transforms there are."""


def test_every_objective_is_tried() -> None:
    assert {split("objective", one)[0] for one in OBJECTIVES} == set(known_words()["objective"])


@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_what_is_refused_fails_and_what_is_not_does_not(prior: str, posterior: str) -> None:
    words = {"prior": FLOWS.get(prior, prior), "posterior": FLOWS.get(posterior, posterior)}
    refused_or_failing_alike({**words, "latents": [2, 3][: 2 if posterior == "ladder" else 1], "widths": [4]})


@pytest.mark.parametrize("posterior", ["diagonal-normal", "full-normal", "flow-posterior"])
def test_so_it_is_of_several_layers(posterior: str) -> None:
    refused_or_failing_alike({"posterior": FLOWS.get(posterior, posterior), "latents": [2, 3], "widths": [4]})


@pytest.mark.parametrize("posterior", ["diagonal-normal", "flow-posterior", "mixture-posterior"])
@pytest.mark.parametrize("latents", [[2], [2, 3]])
def test_so_it_is_beside_a_block_of_classes(posterior: str, latents: list[int]) -> None:
    words = {"posterior": FLOWS.get(posterior, posterior), "latents": latents, "widths": [4], "classes": "label"}
    refused_or_failing_alike(words, LABELLED)


def refused_or_failing_alike(words: dict, data: er.data.Dataset = DATA) -> None:
    batch = data.train.batch().rows(slice(0, 12))
    try:
        recipe = Recipe().where(**words)
        vae = build(recipe if words.get("prior") == "vamp-prior" else recipe.where(objective="multi-rate"), data)
    except er.InputError:
        return  # over different things, which is refused whatever the objective
    for objective in OBJECTIVES:
        try:
            classes = recipe.classes is not None
            refuse_misfits(recipe.prior, recipe.posterior, objective, layers=len(recipe.layers), classes=classes)
            refused = None
        except er.InputError as error:
            refused = str(error)
        critic = torch.nn.Linear(sum(recipe.layers), 1)
        step = TrainingStep(vae, instance_of("objective", *split("objective", objective), {"critic": critic}))
        failed = None
        try:
            noise = step.keyed_noise(step.procedure.draws, batch.index, 0)
            for phase, _ in step.procedure.items():
                step(batch, noise, torch.tensor(torch.inf), phase).total.backward()
        except (er.InputError, er.CapabilityError) as error:
            failed = str(error)
        assert (refused is None) == (failed is None), (objective, refused, failed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"objective": {"kind": "capacity", "capacity": -1.0}}, "A rate is 0 or more"),
        ({"posterior": "flow-posterior", "objective": {"kind": "elbo", "kl": "closed"}}, "leave out kl='closed'"),
        ({"objective": {"kind": "iwae", "gradient": "sticking-the-landing"}}, "biased"),
        ({"classes": {"block": "label"}}, "classes is the name of a block of the data"),
        ({"classes": {"name": "label", "prior": "flat"}}, "classes is the name of a block of the data"),
        ({"classes": "label", "prior": "vamp-prior"}, "whose class nobody knows: take prior='mixture-prior'"),
        ({"classes": "label", "posterior": "ladder", "latents": [3, 2]}, "A ladder draws its top layer first"),
        ({"objective": "semi-supervised"}, "say classes='label' for data loaded with observed='label'"),
        ({"classes": "label", "objective": "discrepancy"}, "the classes of the recipe are laid out"),
    ],
)
def test_a_recipe_is_refused_when_it_is_read(words: dict, said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        Recipe(**words)
