"""Which families give log p(x) itself, which bounds of it, on digits and binarised digits: one run, one split.

python benchmarks/which_density.py         # records/which_density.json
"""

import argparse
from typing import Any

import torch
from record import write_record

import elbowroom as er
from elbowroom.studies.contest import contest

DATA = {
    "digits": ({}, {}),
    "digits, levels": ({"preprocess": "none"}, {"likelihood": "discretised-logistic"}),
    "digits, binarised": ({"preprocess": "binarise-fixed"}, {}),
}
"""How the data are loaded, and the words of their VAE."""
EPOCHS, DRAWS, ANNEALED = 100, 1_000, 40
PATH: dict[str, Any] = {"temperatures": 200, "chains": 8, "leapfrog": 5}


def exact(data: Any) -> dict[str, Any]:
    """Every density of the contest, on test."""
    found = contest(data, seed=0, progress=False).classics
    return {one.name: [one.estimate.mean, one.estimate.se_total, one.setting] for one in found}


def bounds(data: Any, words: dict[str, Any]) -> dict[str, Any]:
    """A VAE's: from below on all of test and by annealing on some, from both sides on what it draws itself."""
    vae = er.models.build(words, data)
    er.fit(vae, data, epochs=EPOCHS, progress=False)
    some = data.test[:ANNEALED]
    ends = er.evidence.bdmc(vae, ANNEALED, **PATH)
    kinds = {
        "ELBO": er.evidence.elbo(vae, data.test, draws=100),
        f"IWAE-{DRAWS}": er.evidence.iwae(vae, data.test, draws=DRAWS),
        f"IWAE-{DRAWS}, some": er.evidence.iwae(vae, some, draws=DRAWS),
        "AIS, some": er.evidence.ais(vae, some, **PATH),
        "gap of BDMC on simulated": ends.gap,
    }
    return {name: [one.mean, one.se_total] for name, one in kinds.items()}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    numbers = {}
    for name, (loaded, words) in DATA.items():
        data = er.load_data("digits", **loaded)
        numbers[name] = {"exact": exact(data), "bounds of the VAE": bounds(data, words)}
        print(name, *(f"  {k}: {v}" for part in numbers[name].values() for k, v in part.items()), sep="\n", flush=True)
    write_record("which_density", numbers)


if __name__ == "__main__":
    main()
