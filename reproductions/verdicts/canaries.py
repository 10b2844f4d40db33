"""First steps of a healthy model of every world, and of the symptoms that the records hold."""

import sys
from functools import partial

from run import FAMILIES, record_of

sys.path[:0] = [str(record_of("A").parents[1])]

import faulty_models  # noqa: E402
from canary import Canary, Numbers, first_steps, keep, main  # noqa: E402

import elbowroom as er  # noqa: E402


def canaries() -> list[Canary]:
    """One for each world of a record."""
    return [
        Canary(record_of(name), f"{name} {world.name}", partial(begun, family, world))
        for name, family in FAMILIES.items()
        if record_of(name).exists()
        for world in (*family.worlds, *family.clusters, *family.correlated, *family.empty)
    ]


def begun(family: faulty_models.Family, world: faulty_models.World) -> Numbers:
    """Twenty steps and ten examples of a model of this world."""
    data = world.data()
    vae = er.models.build(faulty_models.words_of(family, world, 0), data)
    return first_steps(vae, data, lr=family.lr, seed=family.seed)


def keep_all(name: str) -> None:
    """Write the canaries of a family into its record."""
    keep(record_of(name), canaries())


if __name__ == "__main__":
    main(canaries())
