"""Side information: the lower half of a digit predicted from the upper half, by three ways to a conditional model.

"joint": a VAE of the whole image; the lower half is drawn given the upper one through z alone. "prior": a VAE of the
lower half whose p(z) reads the upper one, again through z alone. "direct": a VAE of the lower half whose decoder reads
the upper one beside z.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from shelf import SEEDS, Record, Row, digits, pair, seen

import elbowroom as er
from elbowroom.metrics import latent_use

HALF, LATENTS, SHOWN, DRAWS = 32, 10, 100, 200
WAYS = ("joint", "prior", "direct")
NOISE: dict[str, Any] = {"σ = 1": 1.0, "σ learned": "shared"}
TRAINING: dict[str, Any] = {"epochs": 100, "lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/condition.json: rate, squared error of the prediction and its sensitivity to the condition."""
    keys = [{"way": way, "noise": noise, "seed": seed} for way in WAYS for noise in NOISE for seed in SEEDS[:2]]
    Record("condition", latents=LATENTS, hidden=[128], epochs=TRAINING["epochs"]).rows(keys, _one)
    Record("condition_baselines").rows([{"data": "digits"}], _baselines)


@cache
def pixels() -> np.ndarray:
    """All digits in [0, 1], dequantised once, [1,797, 64]."""
    data = digits()
    return np.concatenate([seen(data, part) for part in (data.train, data.validation, data.test)]).astype(np.float32)


@cache
def halves(whole: bool) -> er.data.Dataset:
    """Whole images, or lower halves with the upper ones as the context "upper"."""
    x = pixels()
    context = None if whole else {"upper": x[:, :HALF]}
    settings: dict[str, Any] = {"support": "unit", "preprocess": "none", "validation": 200, "test": 397, "seed": 0}
    return er.load_data(x if whole else x[:, HALF:], context=context, progress=False, **settings)


def model(way: str, noise: str | float, seed: int) -> er.VAE:
    """A VAE of one way, or whose prior and decoder "both" read the upper half; a number as noise is σ."""
    torch.manual_seed(seed)
    size, scale = (64 if way == "joint" else HALF), NOISE.get(noise, noise)
    reads = ("x",) if way == "joint" else ("x", "upper")
    encoder = er.networks.MLP([64, 128, 2 * LATENTS])
    posterior = er.posteriors.DiagonalNormal(encoder, LATENTS, given=reads)
    prior: Any = er.priors.StandardNormal(LATENTS)
    if way in ("prior", "both"):
        prior = er.priors.Normal(LATENTS, network=er.networks.MLP([HALF, 128, 2 * LATENTS]), given=("upper",))
    reads = way in ("direct", "both")
    beside = ("z", "upper") if reads else ("z",)
    decoder = er.networks.MLP([LATENTS + HALF * reads, 128, size])
    return er.VAE(prior, posterior, er.likelihoods.Normal(decoder, size, scale=scale, given=beside))


def _one(way: str, noise: str, seed: int) -> Row:
    data = halves(way == "joint")
    vae = model(way, noise, seed)
    er.fit(vae, data, seed=seed, **TRAINING)
    found = er.evidence.rate_distortion(vae, data.test, draws=16)
    lower = data.test[:SHOWN].x[:, -HALF:].double().numpy()
    means, noise = predicted(vae, way, data.test[:SHOWN])
    use = {"rate": pair(found.rate), "active": int(latent_use(vae, data.test).active.sum())}
    return use | judged(means, lower, noise)


def predicted(vae: er.VAE, way: str, examples: Any) -> tuple[np.ndarray, float]:
    """The mean of the lower half given the upper one, by draws, [n, 32], and the error that draws alone make."""
    if way == "joint":
        x = examples.x.clone()
        x[:, HALF:] = float("nan")
        found = er.impute(vae, x.numpy(), samples=DRAWS, draws=200, temperatures=50)
        return found.mean[:, HALF:], found.drawn.var(0, ddof=1).sum() / DRAWS / len(x)
    batch = examples.batch()
    settings: dict[str, Any] = {"mode": "mean", "context": batch.context}
    drawn = [vae.sample(len(batch.x), seed=draw, **settings).double().numpy() for draw in range(DRAWS)]
    return np.mean(drawn, 0), float(np.var(drawn, axis=0, ddof=1).sum()) / DRAWS / len(batch.x)


def judged(means: np.ndarray, lower: np.ndarray, noise: float = 0.0) -> Row:
    """The squared error of predictions, and their variance over conditions as a share of the lower half's variance.

    Both are without the variance that a mean of few draws has.
    """
    errors = np.square(means - lower).sum(1) - noise
    return {
        "squared_error": [float(errors.mean()), float(errors.std(ddof=1)) / len(errors) ** 0.5],
        "sensitivity": float((means.var(0, ddof=1).sum() - noise) / lower.var(0, ddof=1).sum()),
    }


def _baselines(data: str) -> Row:
    """The mean of the lower half, whatever the condition, and a ridge regression from the upper one."""
    from sklearn.linear_model import RidgeCV

    loaded = halves(False)
    train, some = loaded.train.batch(), loaded.test[:SHOWN].batch()
    lower, means = some.x.double().numpy(), train.x.double().numpy().mean(0)
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(train.context["upper"].numpy(), train.x.numpy())
    fitted = ridge.predict(some.context["upper"].numpy())
    return {"mean": judged(np.tile(means, (len(lower), 1)), lower), "ridge": judged(fitted, lower)}
