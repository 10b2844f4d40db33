"""First steps of every row; those of a package that is not installed, or of weights that are not at hand, stay."""

import os
import sys
from functools import partial
from pathlib import Path

import autoencoder_kl
import bits_back
import small_pythae
from run import RECORD, WEIGHTS, rows

import elbowroom as er
from elbowroom.adapters import from_diffusers

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, main

NEEDS = {"pythae": ("pythae",), **dict.fromkeys(("AutoencoderKL", "AutoencoderKL, fixed"), ("diffusers", "cifar10"))}


def canaries() -> list[Canary]:
    """One for each row."""
    weights = Path(os.environ[WEIGHTS]) if WEIGHTS in os.environ else None
    needs = ("mnist",) if weights else ("mnist", f"the weights that {WEIGHTS} names")
    making = {"pythae": small_pythae.first_steps, "AutoencoderKL": steps, "AutoencoderKL, fixed": steps}
    of_bits = partial(bits_back.first_steps, weights or Path())
    return [
        Canary(RECORD, name, making.get(name, of_bits), NEEDS.get(name, needs), rounding=3.0)
        for name in rows(Path(), weights or Path())
    ]


def steps() -> Numbers:
    """Twenty losses of an AutoencoderKL, and the ELBO of ten images at σ = 0.1."""
    model, data = autoencoder_kl.fresh(), autoencoder_kl.images()
    losses = autoencoder_kl.train(model, data, 20)
    vae = from_diffusers(model, kl_weight=0.02)
    return {
        "training": losses,
        "evidence": [float(one) for one in er.evidence.elbo(vae, data.test[:10], draws=2).values],
    }


if __name__ == "__main__":
    main(canaries())
