"""First passes of every way to the optimum, and first steps of the VAEs that cluster."""

import json
import sys
from functools import partial
from pathlib import Path

from clusters import recipe
from run import PROBLEMS, RECORD, SEEDS, by_em, by_exact_elbo, by_vae, rows_of

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, keep, main

LOOKS = (1, 2, 3, 4)  # passes, of five steps each


def canaries() -> list[Canary]:
    """One for each row of the record."""
    optima = {f"{p}, seed {s}": partial(passes, p, s) for p in PROBLEMS for s in SEEDS}
    made = optima | {f"digits, seed {s}": partial(digits, s) for s in SEEDS}
    there = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return [Canary(RECORD, name, make) for name, make in made.items() if name in there]


def passes(problem: str, seed: int) -> Numbers:
    """log p(x) after the first passes."""
    x = rows_of(problem)
    log_prob, elbo = by_vae(problem, x, seed, LOOKS)
    both = {"EM": by_em(problem, x, seed, LOOKS), "exact-q ELBO": by_exact_elbo(problem, x, seed, LOOKS)}
    return both | {"VAE": log_prob, "VAE, its ELBO": elbo}


def digits(seed: int) -> Numbers:
    """Twenty steps and ten images of the VAE with a mixture prior."""
    data = er.load_data("digits", seed=seed)
    return first_steps(er.models.build(recipe("mixture prior", seed), data), data, seed=seed)


def keep_row(name: str) -> None:
    """Write the canary of a row that was just made."""
    keep(RECORD, canaries(), name)


if __name__ == "__main__":
    main(canaries())
