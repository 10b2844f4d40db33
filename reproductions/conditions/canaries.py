"""First steps of every experiment, on the models and the data that it trains on."""

from functools import partial
from typing import Any

import families
import run as experiments
from run import HERE, PRIORS, SIGMA, WAYS, condition, conditional, digits, table

import elbowroom as er

from canary import Canary, Numbers, first_steps, keep, main, numbers_of  # isort: skip


def canaries() -> list[Canary]:
    """One or a few for every record that is there."""
    found: dict[tuple[str, str], Any] = {("lost", way): partial(of_way, way) for way in WAYS}
    found |= {("baselines", "digits"): of_baselines, ("classifiers", "digits"): of_classifiers}
    found |= {("classes", prior): partial(of_classes, prior) for prior in PRIORS}
    found |= {("columns", name): partial(of_table, name) for name in experiments.PREDICTED}
    found |= {("families", way): partial(of_world, way) for way in families.WAYS}
    paths = {name: HERE / "records" / f"{name}.json" for name, _ in found}
    return [Canary(paths[name], row, make) for (name, row), make in found.items() if paths[name].exists()]


def write() -> None:
    """Write the canaries of records that were just made."""
    every = canaries()
    for record in dict.fromkeys(canary.record for canary in every):
        keep(record, every)


def of_way(way: str) -> Numbers:
    """A model of one way at β = 10."""
    return first_steps(condition.model(way, SIGMA, 0), condition.halves(way == "joint"), er.objectives.Elbo(10.0))


def of_baselines() -> Numbers:
    """Both predictions without a latent."""
    return {"numbers": numbers_of(condition._baselines("digits"))}


def of_classes(prior: str) -> Numbers:
    """A conditional model of digits."""
    return first_steps(er.models.build(conditional(prior, 0), digits()), digits())


def of_classifiers() -> Numbers:
    """Those that learn p(label | x) itself."""
    return {"shares": numbers_of(experiments._classifiers(0))}


def of_world(way: str) -> Numbers:
    """A conditional model of the first planted world."""
    one = families.Conditional(families.WORLDS[0])
    data = one.data()
    return first_steps(er.models.build(families.recipe(one, way, 0), data), data, lr=families.LR)


def of_table(name: str) -> Numbers:
    """A model of a table."""
    return first_steps(er.models.build({"seed": 0}, table(name, 0)), table(name, 0), batch_size=10)


if __name__ == "__main__":
    main(canaries())
