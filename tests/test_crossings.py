"""Features that are tested alone, together: what is told of a model stays the quantity that it is said to be."""

import copy
import dataclasses

import numpy as np

import elbowroom as er
from elbowroom.ledger._context import ContextBudget, context
from elbowroom.ledger.aggregate import AggregateBudget
from elbowroom.ledger.symptoms import symptoms
from elbowroom.ledger.symptoms_budget import SymptomBudget


def semi_supervised() -> tuple[er.VAE, er.data.Dataset]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(160, 2)), rng.integers(0, 4, 160)
    data = er.load_data(x, labels=y, observed="label", validation=40, test=40)
    return er.models.build({"latents": 1, "widths": [], "classes": "label"}, data).double(), data


def without_labels(data: er.data.Dataset) -> er.data.Dataset:
    parts = {name: copy.copy(part) for name, part in data.parts.items()}
    for part in parts.values():
        part.observed = {}
    return dataclasses.replace(data, **parts)


def test_what_a_known_class_costs_is_in_no_comparison_of_an_audit() -> None:
    """log p(x, y) lies below log p(x) by what y costs: neither a classic nor another part of the data pays that."""
    vae, data = semi_supervised()
    budget = SymptomBudget(annealed=0, bounds=30, steps=2, draws=8, refine_draws=1)
    known, free = (symptoms(vae, one, budget=budget) for one in (data, without_labels(data)))
    assert known.classic is not None
    assert (known.classic, known.generalisation) == (free.classic, free.generalisation)
    few = ContextBudget(draws=2, bounds=30, units=4, samples=0, aggregate=AggregateBudget(4, 4, 4, 4, 99, 1))
    found = [context(vae, one, few, seed=0, memory="1 GiB", progress=False)[0] for one in (data, without_labels(data))]
    assert found[0].generalisation == found[1].generalisation
    assert found[0].elbo.mean < found[1].elbo.mean - 0.3
