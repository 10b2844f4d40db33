"""Compression, seen: an image from ever more of its latents, with the nats that they cost and the error left."""

import math

import torch
from shelf import Record, Row, mnist, said, show, vae
from torch import Tensor

import elbowroom as er
from elbowroom.metrics import latent_use, psnr

KEPT = (0, 1, 2, 4, 8, 12, 20)
IMAGES = 3


def run() -> None:
    """records/compression.json: latents in the order of their mean KL; those left out stand at the prior's mean."""
    Record("compression", images=10_000, epochs=10, latents=20, hidden=[256, 256]).rows([{"seed": 0}], _compression)


@torch.no_grad()
def _compression(seed: int) -> Row:
    data = mnist()
    model = vae(data, seed, latents=20, hidden=[256, 256], scale="shared")
    with torch.enable_grad():
        er.fit(model, data, epochs=10, lr_final=1e-4, seed=seed, progress=False)
    use = latent_use(model, data.test)
    order = torch.from_numpy(use.kl.argsort()[::-1].copy())
    batch = data.test.batch()
    given = model.given(batch, model.keyed_noise(0, batch.index, 0))[0]
    q, x = model.posterior["z"](given), given["x"][0].double()
    cost = 0.5 * (q.mean.square() + q.variance - 1 - q.variance.log())[0].double()
    rows, pictures = [], [x[:IMAGES]]
    for kept in KEPT:
        z = torch.zeros_like(q.mean)
        z[..., order[:kept]] = q.mean[..., order[:kept]]
        mean = model.likelihood({"z": z}).mean[0].double()
        squares = (mean - x).square().sum(1)
        rows.append({"kept": kept, "nats": _mean(cost[:, order[:kept]].sum(1)), "squared_error": _mean(squares),
                     "psnr": psnr(float(squares.mean()), 784)})  # fmt: skip
        pictures.append(mean[:IMAGES])
    return {"kl": use.kl[order.numpy()].tolist(), "rows": rows, "pictures": [_rounded(part) for part in pictures]}


def _mean(values: Tensor) -> list[float]:
    return [float(values.mean()), float(values.std()) / math.sqrt(len(values))]


def _rounded(images: Tensor) -> list[list[float]]:
    return [[round(value, 2) for value in image] for image in images.tolist()]


def table(row: Row) -> None:
    """How the error falls with the nats that are kept."""
    show(["latents kept", "nats", "bits", "squared error", "dB"],
         ([one["kept"], said([one], "nats", 1), f"{one['nats'][0] / math.log(2):.0f}", said([one], "squared_error", 1),
           f"{one['psnr']:.1f}"] for one in row["rows"]))  # fmt: skip
