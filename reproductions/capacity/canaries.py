"""First steps of the narrowest VAE of every split, its kernels, and mixtures of one and two components."""

import sys
from functools import partial
from pathlib import Path

from run import FLOOR, HERE, LATENTS, SEEDS, WIDTHS, kernels, split

import elbowroom as er
from elbowroom.exact import fit_normal_mixture
from elbowroom.studies.seen import seen_rows

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, into, main, numbers_of

__all__ = ["canaries", "into", "steps"]

RECORD = HERE / "record.json"


def canaries() -> list[Canary]:
    """One for each split."""
    return [Canary(RECORD, str(seed), partial(steps, seed)) for seed in SEEDS]


def steps(seed: int) -> Numbers:
    """Twenty steps of the VAE; the others as the record has them, on the same rows."""
    data = er.load_data("digits", seed=seed)
    (train, jacobian), (test, _) = (seen_rows(data, part, seed, 10_000) for part in (data.train, data.test))
    about = (train, test, float(jacobian[0]))
    mixtures = [fit_normal_mixture(train, k, uncorrelated=1.0, floor=FLOOR) for k in (1, 2)]
    vae = er.models.build({"latents": LATENTS, "widths": [WIDTHS[0]], "seed": seed}, data)
    found = first_steps(vae, data, lr=2e-3, seed=seed)
    found |= {"kernel": numbers_of(kernels(*about))}
    return found | {"mixture": numbers_of([split(one.log_prob, *about) for one in mixtures])}


if __name__ == "__main__":
    main(canaries())
