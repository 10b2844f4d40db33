"""Models that were made elsewhere, adapted and measured: diffusers' AutoencoderKL, pythae, the weights of BB-ANS.

    python reproductions/foreign/run.py --runs FOLDER                       # needs diffusers and pythae
    python reproductions/foreign/run.py --runs FOLDER --bits-back FILE      # FILE: your own copy of the weights

FILE is torch_vae/saved_params/torch_binary_vae_params_random of github.com/bits-back/bits-back, as its authors
published it. Rows that are in the record stay; training that was stopped goes on.
"""

import argparse
import dataclasses
import os
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import autoencoder_kl
import bits_back
import small_pythae
from canary import fill

import elbowroom as er
from elbowroom.adapters import from_diffusers
from elbowroom.metrics import latent_statistics

RECORD = Path(__file__).parent / "record.json"
WEIGHTS = "ELBOWROOM_BITS_BACK"
MEASURED, STATISTICS = 200, 500
FITTED, DECIDE = 300, 20


def versions(*packages: str) -> dict[str, str]:
    """Of what made a row."""
    return {name: version(name) for name in ("torch", *packages)}


def autoencoder(runs: Path) -> dict[str, Any]:
    """Trained, adapted, measured at the noise its loss stands for and at the best."""
    model, data = autoencoder_kl.fresh(), autoencoder_kl.images()
    losses = autoencoder_kl.train(model, data, autoencoder_kl.STEPS, runs)
    vae = from_diffusers(model, kl_weight=autoencoder_kl.KL_WEIGHT)
    data.train, data.validation, data.test = data.train[:2_000], data.validation[:MEASURED], data.test[:STATISTICS]
    calibrated = er.remedies.calibrate(vae, data, draws=2)
    z = latent_statistics(vae, data, most=STATISTICS)
    few = data.test[:MEASURED]
    bounds = [er.evidence.elbo(one, few, draws=2) for one in (vae, calibrated.vae)]
    return {
        "versions": versions("diffusers"),
        "steps": len(losses),
        "loss of the last 50": sum(losses[-50:]) / 50,
        "assumed": list(vae.assumed),
        "implied σ": vae.likelihood.scale,
        "best σ": calibrated.value,
        "n": MEASURED,
        "ELBO at the implied σ": bits_back.number(bounds[0]),
        "ELBO at the best σ": bits_back.number(bounds[1]),
        "bits per dimension at the best σ": bits_back.number(bounds[1].bits_per_dimension(3_072)),
        "statistics": str(z).split("\n"),
        "narrowness": z.narrowness.tolist(),
        "deviations": z.deviations.tolist(),
        "nats from N(0, I)": {
            name: [score.value, score.se]
            for name, score in (
                ("per channel", z.per_channel),
                ("across channels", z.across_channels),
                ("mixture", z.mixture),
            )
        },
    }


def fixed(runs: Path) -> dict[str, Any]:
    """Quick audits at the noise that the loss stands for and at the best: the one remedy that trains nothing pays."""
    model, data = autoencoder_kl.fresh(), autoencoder_kl.images()
    autoencoder_kl.train(model, data, autoencoder_kl.STEPS, runs)
    vae = from_diffusers(model, kl_weight=autoencoder_kl.KL_WEIGHT)
    fitted = dataclasses.replace(data, train=data.train[:FITTED], validation=data.validation[:DECIDE])
    done = er.remedies.calibrate(vae, fitted, draws=4)
    return {
        "versions": versions("diffusers"),
        "remedy": done.name,
        "won on validation": bits_back.number(done.gain),
        "audits": {name: told(one, data) for name, one in (("before", vae), ("after", done.vae))},
    }


def told(vae: er.VAE, data: er.data.Dataset) -> dict[str, Any]:
    """A quick audit."""
    found = er.audit(vae, data, quick=True, progress=False)
    ends = {"log p(x), at least": found.identity.log_p, "best q": found.identity.refined, "ELBO": found.identity.elbo}
    return {
        "n": found.n,
        **{name: bits_back.number(one) for name, one in ends.items()},
        "amortisation": bits_back.number(found.identity.amortisation),
        "approximation": bits_back.number(found.identity.approximation),
        "verdict": found.verdict,
        "findings": [one.sentence for one in found.findings],
        "prices": [one.sentence for one in found.prices],
        "missing": list(found.missing),
        "seconds": round(found.seconds, 1),
    }


def rows(runs: Path, weights: Path | None) -> dict[str, tuple[Any, ...]]:
    """What is measured, by name."""
    found: dict[str, tuple[Any, ...]] = {
        "pythae": (small_pythae.measured,),
        "AutoencoderKL": (partial(autoencoder, runs),),
        "AutoencoderKL, fixed": (partial(fixed, runs),),
    }
    if weights is not None:
        found |= {
            "BB-ANS, bounds": (partial(bits_back.bounds, weights),),
            "BB-ANS, where the gap goes": (partial(bits_back.gap, weights),),
            "BB-ANS, a flow as q": (partial(bits_back.flow, weights),),
            "BB-ANS, a wider encoder and a flow": (partial(bits_back.wide, weights),),
        }
    return found


def main() -> None:
    from canaries import canaries

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="where the trained module is kept")
    parser.add_argument("--bits-back", type=Path, help="your own copy of the weights of BB-ANS")
    parser.add_argument("--only", default="", help="rows whose names hold these letters")
    said = parser.parse_args()
    if said.bits_back is not None:
        os.environ[WEIGHTS] = str(said.bits_back)
    torch.set_num_threads(1)
    chosen = {name: about for name, about in rows(said.runs, said.bits_back).items() if said.only in name}
    fill(RECORD, chosen, lambda measure: measure(), canaries)


if __name__ == "__main__":
    main()
