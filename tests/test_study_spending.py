"""What a study of cells spends: by the multiplications of a pass, and what it cannot afford is said."""

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom.distributions import NegativeBinomial
from elbowroom.distributions import counts as of_counts
from elbowroom.models import Recipe
from elbowroom.studies import spending
from elbowroom.studies.train import training_of


def cells(genes: int, rows: int = 60) -> er.data.Dataset:
    x = np.random.default_rng(0).poisson(1.0, (rows, genes)).astype(np.float32)
    return er.load_data(x, support="counts", preprocess="none", size_factor="observed", progress=False)


@pytest.fixture(scope="module")
def few() -> er.data.Dataset:
    return cells(60)


def test_cheap_cells_get_the_epochs_that_few_rows_bear_and_all_draws(few: er.data.Dataset) -> None:
    training = training_of(None, None, None, few, 0)
    assert (training.epochs, training.draws, len(training.axes)) == (40, 100, 2)
    assert training_of(None, None, 3, few, 0).epochs == 3
    vae = er.models.build({"latents": 2, "widths": [8]}, few)
    assert spending.measuring(vae, few, None, None) == (1_000, len(few.test), spending.ANNEALING, ())


def test_dear_cells_get_fewer_models_first_and_less_of_everything_else_with_its_reason() -> None:
    dear = cells(3_000)
    recipe = Recipe(widths=[2_000])
    said = {"likelihood": "negative-binomial", "latents": 10}
    costs = spending.cost_of(er.models.build(recipe.where(**said), dear), dear)
    assert costs > 2 * 3_000 * 2_000 + 100 * 3_000  # the layers at both ends, and the densities of the counts
    shorter = spending.trained(recipe.where(likelihood="negative-binomial"), {"latents": [10, 20]}, dear, True)
    assert shorter == ({"latents": [10]}, shorter.epochs, shorter.draws)
    asked = spending.trained(recipe.where(likelihood="negative-binomial"), {"latents": [10, 20]}, dear, False)
    assert asked == ({"latents": [10, 20]}, asked.epochs, asked.draws)
    vae = er.models.build(recipe.where(**said), dear)
    found = spending.measuring(vae, dear, None, None)
    assert found.annealed < 50
    assert found.settings["temperatures"] < 100
    assert all("million multiplications" in one for one in found.said)
    wanted = spending.measuring(vae, dear, 500, 7)
    assert (wanted.draws, wanted.annealed, wanted.settings, wanted.said) == (500, 7, spending.ANNEALING, ())


def test_other_data_are_spent_on_as_ever() -> None:
    digits = er.load_data("digits")
    assert spending.trained(Recipe(), {"latents": [2]}, digits, True) is None
    vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    assert spending.measuring(vae, digits, None, None)[:2] == (1_000, 50)


@pytest.mark.parametrize("dispersion", [(40,), (1, 7, 40), (3, 7, 40)])
def test_zeros_left_out_of_the_gamma_functions_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, dispersion: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x = torch.poisson(torch.rand(1, 7, 40) ** 4)
    found = []
    for chosen in (of_counts._chosen, lambda there: False):
        monkeypatch.setattr(of_counts, "_chosen", chosen)
        torch.manual_seed(1)
        mean, r = torch.randn(3, 7, 40, requires_grad=True), torch.randn(dispersion, requires_grad=True)
        value = NegativeBinomial(mean, r).log_prob(x)
        value.sum().backward()
        found.append((value.detach(), mean.grad, r.grad))
    assert 2 * int((x != 0).sum()) < x.numel()
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_cells_are_not_scored_where_rows_are_meant_and_a_context_is_not_taken_for_a_size(few: er.data.Dataset) -> None:
    anndata = pytest.importorskip("anndata")
    x = np.random.default_rng(0).poisson(1.0, (12, 60)).astype(np.float32)
    vae = er.models.build({"latents": 2, "widths": [8]}, few)
    with pytest.raises(er.InputError, match="annotate"):
        er.evidence.elbo(vae, anndata.AnnData(x))
    with pytest.raises(er.InputError, match="size_factor="):
        er.load_data(x, support="counts", context={"size": x.sum(1)}, size_factor="none", progress=False)
