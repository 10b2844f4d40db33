"""Models by the names of the literature: every name with a recipe is built and has a loss; the others say why not."""

import numpy as np
import pytest
import torch
from test_size_block import cells

import elbowroom as er
from elbowroom.models import Recipe, build, goal, named
from elbowroom.training import TrainingStep

# Of pythae's models for one kind of data, by our names.
PYTHAE = {
    "AE": "ae", "VAE": "vae", "BetaVAE": "beta-vae", "VAE_LinNF": "planar-vae", "VAE_IAF": "iaf-vae",
    "DisentangledBetaVAE": "capacity-vae", "FactorVAE": "factor-vae", "BetaTCVAE": "beta-tc-vae", "IWAE": "iwae",
    "MIWAE": "miwae", "PIWAE": "piwae", "CIWAE": "ciwae", "MSSSIM_VAE": "ms-ssim-vae", "WAE_MMD": "wae",
    "INFOVAE_MMD": "info-vae", "VAMP": "vampprior", "Adversarial_AE": "aae", "VAEGAN": "vae-gan", "VQVAE": "vq-vae",
    "RAE_L2": "rae", "RAE_GP": "rae", "HVAE": "hamiltonian-vae", "RHVAE": "riemannian-hamiltonian-vae",
    "PoincareVAE": "poincare-vae", "HRQVAE": "hrq-vae",
}  # fmt: skip

DATA = er.load_data(np.random.default_rng(0).normal(size=(60, 5)), validation=10, test=10)
LABELLED = er.load_data(
    np.random.default_rng(0).normal(size=(60, 5)),
    labels=np.arange(60) % 3 - 1,
    observed="label",
    validation=10,
    test=10,
)
WITH_WORDS = [one.name for one in er.zoo() if one.words is not None]


@pytest.mark.parametrize("name", WITH_WORDS)
def test_every_name_with_a_recipe_is_built_and_has_a_loss(name: str) -> None:
    layers = Recipe().where(model=name).depth
    recipe = Recipe().where(model=name, latents=[3, 2, 2][:layers])
    recipe = recipe if recipe.widths == () else recipe.where(widths=[8])
    data = DATA if recipe.classes is None else LABELLED
    if name in ("scvi", "ldvae", "scanvi", "peakvi"):
        data = cells(labels=recipe.classes is not None, binary=name == "peakvi")
    vae, objective = build(recipe, data), goal(recipe)
    step = TrainingStep(vae, objective)
    batch = data.train.batch().rows(slice(0, 20))
    total = step(batch, step.keyed_noise(step.procedure.draws, batch.index, 0), torch.tensor(torch.inf)).total
    assert torch.isfinite(total)
    assert Recipe(**recipe.to_dict()) == recipe


def test_words_that_are_said_stand_before_the_model_s() -> None:
    recipe = Recipe().where(model="beta-vae", beta=2.0, latents=4)
    assert recipe == Recipe().where(objective={"kind": "elbo", "beta": 2.0}, latents=4)


def test_names_of_other_packages_are_known() -> None:
    names = {one.name for one in er.zoo()}
    assert set(PYTHAE.values()) <= names
    assert len(names) == len(er.zoo())
    assert all(one.paper[-1] == ")" and (one.words is not None or one.said.endswith(".")) for one in er.zoo())


def test_names_without_a_recipe_say_why_and_others_what_is_near() -> None:
    with pytest.raises(er.InputError, match="'vq-vae' has no recipe: Its code is the nearest of a book"):
        Recipe().where(model="vq-vae")
    with pytest.raises(er.InputError, match=r"no model 'betavae'.*Did you mean 'beta-vae'"):
        named("betavae")


@pytest.mark.parametrize("name", ["scvi", "ldvae", "scanvi", "peakvi"])
def test_models_of_cells_have_the_size_that_the_data_were_loaded_with(name: str) -> None:
    recipe = Recipe().where(model=name, widths=[4], prior={"kind": "normal-prior", "given": ["batch"]})
    about = {"labels": recipe.classes is not None, "binary": name == "peakvi"}
    latent, observed = (build(recipe, cells(latent=one, **about)) for one in (True, False))
    assert "log_size" in latent.prior
    assert "log_size" not in observed.prior
    assert observed.likelihood.size_factor == "size"
    assert latent.quantity.endswith(" | batch)")
    assert observed.quantity.endswith(" | batch, size)")
    assert "x" not in latent.likelihood.given
    layers = [one for one in latent.likelihood.network.modules() if isinstance(one, torch.nn.Linear)]
    assert len(layers) == (1 if name == "ldvae" else 2)
