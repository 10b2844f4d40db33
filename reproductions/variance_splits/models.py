"""What the experiments share: models by name, held-out figures, records that grow row by row."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import elbowroom as er
from elbowroom.metrics import latent_use, reconstruction_error, variance_budget

HERE = Path(__file__).parent
RANK = 6


def likelihood(
    kind: str, latents: int, pixels: int, network: Callable[[list[int]], nn.Module], **settings: Any
) -> er.likelihoods.Likelihood:
    """A Gaussian decoder by name; `network` makes a network of the widths [latents, …, outputs]."""
    side = round(pixels**0.5)
    if kind == "low-rank":
        return er.likelihoods.LowRankNormal(network([latents, pixels]), pixels, RANK, factor="shared", **settings)
    if kind == "sparse":
        made = er.likelihoods.SparsePrecisionNormal
        return made(network([latents, 2 * pixels]), pixels, image_shape=(side, side), neighbours="shared", **settings)
    scale = 1.0 if kind == "fixed" else kind
    return er.likelihoods.Normal(
        network([latents, (2 if kind == "predicted" else 1) * pixels]), pixels, scale=scale, **settings
    )


def vae(
    kind: str, seed: int, latents: int, pixels: int, preprocess: nn.Module, hidden: Sequence[int], **settings: Any
) -> er.VAE:
    """A VAE with `hidden` layers on both sides, none of them for a linear one; settings: of the likelihood."""

    def network(ends: list[int]) -> nn.Module:
        return er.networks.MLP([ends[0], *hidden, ends[1]]) if hidden else nn.Linear(*ends)

    torch.manual_seed(seed)
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(network([pixels, 2 * latents]), latents),
        likelihood(kind, latents, pixels, network, **settings),
        preprocess=preprocess,
    )


def stack(vaes: Sequence[er.VAE], data: Any, betas: float | Sequence[float] = 1.0, **settings: Any) -> list[Any]:
    """Train the models as one stack, on the same batches and noise."""
    weights = [betas] * len(vaes) if isinstance(betas, float) else betas
    return er.fit_stacked(vaes, data, [er.objectives.Elbo(beta) for beta in weights], progress=False, **settings)


def measure(model: er.VAE, examples: Any, draws: int = 2_000) -> dict[str, Any]:
    """Held-out bound (nats per example, the user's scale), latent shares over both laws of z, ink, activity."""
    held = er.evidence.rate_distortion(model, examples, draws=32)
    posterior, prior = (variance_budget(model, examples, over=over, draws=draws) for over in ("posterior", "prior"))
    return {
        "elbo": held.elbo.mean,
        "elbo_se": held.elbo.se_total,
        "rate": held.rate.mean,
        "share": posterior.latent_share,
        "share_se": posterior.latent_share_se,
        "share_prior": prior.latent_share,
        "variance": posterior.latent + posterior.noise,
        "data_variance": posterior.data,
        "ink": {
            "data": posterior.ink_data,
            "latent": posterior.ink_latent,
            "diagonal": posterior.ink_noise_diagonal,
            "covariance": posterior.ink_noise_covariance,
        },
        "squared_error": reconstruction_error(model, examples),
        "active": int(latent_use(model, examples).active.sum()),
    }


def seen(data: Any, examples: Any) -> np.ndarray:
    """The examples as the network sees them, with the noise that evidence uses."""
    noise = None
    if data.preprocess.noise_shape is not None:
        noise = er.numerics.keyed_uniform(data.preprocess.noise_shape, examples.index, 0)
    return data.preprocess(examples.x, noise)[0].flatten(1).double().numpy()


class Record:
    """records/<name>.json: settings, rows and canaries, written after every row; a row is not made again."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.path = HERE / "records" / f"{name}.json"
        fresh = json.dumps({"settings": settings, "torch": torch.__version__, "rows": []})
        self.content = json.loads(self.path.read_text() if self.path.exists() else fresh)
        if self.content["settings"] != json.loads(fresh)["settings"]:
            raise SystemExit(f"{self.path.name} was made with other settings: remove it first.")

    def row(self, key: dict[str, Any], made: Callable[[], dict[str, Any]]) -> None:
        """Make and write the row of this key, unless it is there."""
        if any(all(row.get(name) == value for name, value in key.items()) for row in self.content["rows"]):
            return
        start = time.process_time()
        found = key | made()
        self.content["rows"].append(found | {"cpu_seconds": round(time.process_time() - start, 1)})
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(rounded(self.content), indent=1, ensure_ascii=False) + "\n")
        self._keep(", ".join(f"{name} {value}" for name, value in key.items()))
        print(f"{self.path.stem}: {key}, {time.process_time() - start:.0f} s", flush=True)

    def _keep(self, row: str) -> None:
        """Write the canary of the row, or that of a record that has one for all its rows."""
        from canaries import canaries
        from canary import keep

        mine = [canary for canary in canaries() if canary.record == self.path]
        keep(self.path, mine, row if any(canary.row == row for canary in mine) else "training")
        self.content = json.loads(self.path.read_text())


def rounded(value: Any) -> Any:
    """Seven significant digits are enough for a record."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def records(name: str) -> list[dict[str, Any]]:
    """The rows of a record."""
    rows: list[dict[str, Any]] = json.loads((HERE / "records" / f"{name}.json").read_text())["rows"]
    return rows
