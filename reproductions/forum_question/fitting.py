"""What held-out data change: the best β on training and on test images, and three rules of when to stop."""

import itertools
from typing import Any

from scan import bounds
from shelf import SEEDS, Record, Row, digits, normal, pair, vae

import elbowroom as er
from elbowroom.metrics import latent_use
from elbowroom.remedies import calibrate

IMAGES, BETAS, SIGMA, STEPS = (100, 1_200), (0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0), 0.14, 2_000
MARKS = (5, 10, 20, 40, 80, 160, 320)
NOISE: dict[str, Any] = {"σ = 1": {"scale": 1.0}, "σ learned": {"scale": "shared"}}
RULES = {"best ELBO on validation": "elbo", "best IWAE on validation": "iwae", "the whole budget": None}


def overfitting() -> None:
    """records/overfitting.json: β at the noise that fits, from few and from many images, trained to the end."""
    record = Record("overfitting", latents=10, hidden=[128], scale=SIGMA, steps=STEPS)
    for images in IMAGES:
        for seed in SEEDS[:2]:
            _stack(record, images, seed)


def _stack(record: Record, images: int, seed: int) -> None:
    missing = record.missing({"images": images, "seed": seed, "beta": beta} for beta in BETAS)
    if not missing:
        return
    data = digits(images)
    models = [vae(data, seed, normal(64, scale=SIGMA)) for _ in missing]
    objectives = [er.objectives.Elbo(key["beta"]) for key in missing]
    epochs = STEPS // -(-images // 100)
    settings: dict[str, Any] = {"epochs": epochs, "select": "last", "lr_final": 1e-4, "progress": False}
    er.fit_stacked(models, data, objectives, seed=seed, processes=1, **settings)
    for key, model in zip(missing, models, strict=True):
        test, train = (er.evidence.rate_distortion(model, part, draws=16) for part in (data.test, data.train))
        record.add(key | {
            "train_elbo": pair(train.elbo), "test_elbo": pair(test.elbo), "train_rate": pair(train.rate),
            "test_rate": pair(test.rate), "active": int(latent_use(model, data.test).active.sum()),
        })  # fmt: skip


def stopping() -> None:
    """records/stopping.json: one training read after 5 to 320 epochs; the rules choose among these."""
    cells = itertools.product(NOISE, SEEDS[:2], MARKS)
    keys = [{"noise": noise, "seed": seed, "epochs": epochs} for noise, seed, epochs in cells]
    Record("stopping", images=300, latents=10, hidden=[128]).rows(keys, _after)


def _after(noise: str, seed: int, epochs: int) -> Row:
    """A training of so many epochs begins as a longer one does, so that these are one training's marks."""
    data = digits(300)
    model = vae(data, seed, normal(64, **NOISE[noise]))
    er.fit(model, data, epochs=epochs, select="last", seed=seed, progress=False)
    fitting = model if noise == "σ learned" else calibrate(model, data, draws=4).vae
    return {
        "validation": bounds(model, data.validation),
        "test": bounds(model, data.test),
        "test_calibrated_iwae": pair(er.evidence.iwae(fitting, data.test, draws=100)),
        "active": int(latent_use(model, data.test).active.sum()),
    }


def chosen(rows: list[Row], rule: str | None) -> Row:
    """The mark that a rule takes of one training."""
    if rule is None:
        return max(rows, key=lambda row: row["epochs"])
    return max(rows, key=lambda row: row["validation"][rule][0])
