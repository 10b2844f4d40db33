"""One scan of β at σ = 1, read by every score: raw and calibrated bounds, AIS, samples, a probe, information.

A model trained at σ = 1 with weight β is the model of noise σ² = β: so the scan is also that of any other σ, with
β / σ² in the place of β, and the bound at any σ follows from the rate and the squared error.
"""

from functools import cache
from typing import Any

import numpy as np
from shelf import SEEDS, Record, Row, digits, information, normal, pair, vae
from torch import Tensor

import elbowroom as er
from elbowroom.metrics import SmallClassifier, frechet_distance, latent_use, reconstruction_error, small_classifier
from elbowroom.remedies import calibrate

BETAS = (0.001, 0.003, 0.01, 0.02, 0.04, 0.1, 0.3, 0.6, 1.0, 3.0)
LEARNED = (0.5, 0.7, 1.0, 1.4, 2.0)
TRAINING: dict[str, Any] = {"epochs": 100, "lr_final": 1e-4, "progress": False}
COLLAPSED = 0.1  # nats; where z says no more than that, the ELBO is log p(x) within as much
ANNEALED, AIS = 50, {"temperatures": 80, "chains": 6}


def run() -> None:
    """records/scan.json: ten β at σ = 1; records/learned.json: five β with one learned σ."""
    about = {"latents": 10, "hidden": [128], "epochs": TRAINING["epochs"]}
    _scan(Record("scan", annealed=ANNEALED, **AIS, **about), BETAS, at_fixed, scale=1.0)
    _scan(Record("learned", **about), LEARNED, at_learned, scale="shared")


def _scan(record: Record, betas: tuple[float, ...], measure: Any, **likelihood: Any) -> None:
    data = digits()
    for seed in SEEDS:
        missing = record.missing({"seed": seed, "beta": beta} for beta in betas)
        if not missing:
            continue
        models = [vae(data, seed, normal(64, **likelihood)) for _ in missing]
        objectives = [er.objectives.Elbo(key["beta"]) for key in missing]
        er.fit_stacked(models, data, objectives, seed=seed, processes=1, **TRAINING)
        for key, model in zip(missing, models, strict=True):
            record.add(key | measure(model, seed))


def bounds(model: er.VAE, examples: Any) -> Row:
    """Rate, distortion, ELBO and IWAE of some examples, with errors."""
    found = er.evidence.rate_distortion(model, examples, draws=16)
    names = {"rate": found.rate, "distortion": found.distortion, "elbo": found.elbo}
    return {name: pair(one) for name, one in names.items()} | {
        "iwae": pair(er.evidence.iwae(model, examples, draws=100))
    }


def at_learned(model: er.VAE, seed: int) -> Row:
    """Bounds on test and training images, and σ²."""
    data = digits()
    train = er.evidence.rate_distortion(model, data.train, draws=4)
    return bounds(model, data.test) | {
        "train_elbo": pair(train.elbo),
        "validation_elbo": pair(er.evidence.elbo(model, data.validation, draws=16)),
        "active": int(latent_use(model, data.test).active.sum()),
        "sigma2": float(model.likelihood.common_scale().detach()) ** 2,
    }


def at_fixed(model: er.VAE, seed: int) -> Row:
    """Everything of one model: raw at σ = 1 and calibrated; annealed for the first seed, and where there is a gap."""
    data, found = digits(), calibrate(model, digits(), draws=16)
    some = data.test[:ANNEALED]
    row = bounds(model, data.test) | {"calibrated": bounds(found.vae, data.test), "sigma2": found.value**2}
    annealed = seed == 0 and row["rate"][0] > COLLAPSED
    for name, one in (("ais", model), ("calibrated_ais", found.vae)) if annealed else ():
        row[name] = pair(er.evidence.ais(one, some, **AIS))
        row[f"{name}_elbo"] = pair(er.evidence.elbo(one, some, draws=100))
    return row | {
        "train_elbo": pair(er.evidence.elbo(model, data.train, draws=4)),
        "squared_error": reconstruction_error(model, data.test),
        "expected_error": _expected_error(row),
        "active": int(latent_use(model, data.test).active.sum()),
        "information": information(model, data.train),
        "probe": probe(model),
        "frechet": {mode: _frechet(one, mode, seed) for mode, one in _drawn(model, found.vae).items()},
    }


def _drawn(raw: er.VAE, calibrated: er.VAE) -> dict[str, er.VAE]:
    return {"ancestral": calibrated, "mean": raw}


def _expected_error(row: Row) -> float:
    """E_q ‖x − x̂(z)‖² on the network's scale, from the distortion at σ = 1 (whose log-Jacobian is 64 log 17)."""
    return float(2 * (row["distortion"][0] - 64 * np.log(17)) - 64 * np.log(2 * np.pi))


def probe(model: er.VAE) -> list[float]:
    """Accuracy of a logistic regression from the means of q to the digit, on test images, and its error."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = digits()
    z = [model.encode(part)["z"].double().numpy() for part in (data.train, data.test)]
    scaler = StandardScaler().fit(z[0])
    fitted = LogisticRegression(max_iter=2_000).fit(scaler.transform(z[0]), np.asarray(data.train.labels))
    share = float(fitted.score(scaler.transform(z[1]), np.asarray(data.test.labels)))
    return [share, (share * (1 - share) / len(data.test)) ** 0.5]


@cache
def classifier() -> SmallClassifier:
    """Whose features the distances are between; trained on the training images."""
    data = digits()
    return small_classifier(data.train.x / 16.0, data.train.labels, image_shape=(8, 8), epochs=20)


def _frechet(model: er.VAE, mode: Any, seed: int) -> list[float]:
    """Distance of as many samples as test images from these, in features."""
    found = frechet_distance(_features(digits().test.x), _features(model.sample(397, mode=mode, seed=seed)))
    return [found.distance, found.se]


def _features(levels: Tensor) -> Tensor:
    return classifier().features(levels / 16.0)
