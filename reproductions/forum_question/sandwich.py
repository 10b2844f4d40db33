"""R(D) of the digits between two bounds, after Yang & Mandt 2022, beside a Gaussian source, whose R(D) is known.

The distortion is the squared error, summed over x. From above: every VAE of a fixed noise σ has a rate and a distortion
that can be had, and λ = 1 / (2σ²) is the slope at which it is trained. From below: for every function u > 0,

    min over D of R(D) + λ D  ≥  −E log u(X) − log c(u),    c(u) = max over y of E exp(−λ |X − y|²) / u(X),

and k examples stand in for both expectations: the greatest of a mean is on average above the greatest of the mean, so
that the bound stays one on average, with log c ≤ c / a + log a − 1 for an a from other examples. It cannot exceed
log k. The greatest y is looked for from every example by the mean shift, which may miss it: that is not certified.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from shelf import Record, Row, by, digits, first, over
from torch import Tensor, nn

import elbowroom as er

LAMBDAS = (0.5, 1.0, 2.0, 5.0, 10.0, 25.0)
SEEDS = (0, 1, 2)
STEPS, LEARNED = 400, 600  # of u, and digits that it learns from
K = {"Gaussian": 2_000, "digits": 399}
"""By how many examples u is judged, three times."""
EPOCHS = {"Gaussian": 30, "digits": 150}
VARIANCES = (2.0, 1.0, 0.5, 0.1)  # of the Gaussian source
LEVELS = 16.0
Draw = Callable[[], Tensor]


def run() -> None:
    """records/sandwich.json: both bounds of both sources at every λ."""
    record = Record("sandwich", k=K, steps=STEPS, epochs=EPOCHS, variances=VARIANCES)
    keys = [{"source": source, "slope": slope, "seed": seed}
            for seed in SEEDS for source in ("Gaussian", "digits") for slope in LAMBDAS]  # fmt: skip
    record.rows(keys, bounds)


def bounds(source: str, slope: float, seed: int) -> Row:
    """From above a distortion and a rate, from below R + λ D at this slope."""
    upper = above(source, slope, seed)
    generator = torch.Generator().manual_seed(seed)
    if source == "Gaussian":
        lower = below(drawn(generator), drawn(generator), slope, seed)
        return upper | {"lower": lower, "exact": exact(slope)}
    order = torch.randperm(len(pixels()), generator=generator)
    learned, kept = pixels()[order[:LEARNED]], pixels()[order[LEARNED:]].split(K[source])
    parts = iter(kept)
    return upper | {"lower": below(lambda: some(learned, generator), lambda: next(parts), slope, seed)}


def pixels() -> Tensor:
    """All digits, in [0, 1], in the order of their parts."""
    parts = digits().parts.values()
    return torch.cat([part.batch().x.flatten(1).float() for part in parts]) / LEVELS


def some(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[: K["digits"]]]


def drawn(generator: torch.Generator) -> Draw:
    """Samples of the Gaussian source."""
    scale = torch.tensor(VARIANCES).sqrt()
    return lambda: torch.randn(K["Gaussian"], len(scale), generator=generator) * scale


def exact(slope: float) -> dict[str, float]:
    """Reverse water filling: D and R of the Gaussian source where R(D) has this slope."""
    level = 1 / (2 * slope)
    rate = sum(max(math.log(v / level) / 2, 0.0) for v in VARIANCES)
    return {"distortion": sum(min(level, v) for v in VARIANCES), "rate": rate}


def above(source: str, slope: float, seed: int) -> Row:
    """Squared error and rate of a VAE of fixed noise, on examples that it has not seen."""
    data, squared = data_of(source, seed), 1 / slope  # 2 σ²
    vae = model(data, slope, seed)
    er.fit(vae, data, epochs=EPOCHS[source], lr=3e-3, lr_final=1e-4, seed=seed, progress=False)
    found = er.evidence.rate_distortion(vae, data.test, draws=32)
    constant = math.prod(data.event) / 2 * math.log(math.pi * squared)
    distortion = [(found.distortion.mean - constant) * squared, found.distortion.se_total * squared]
    return {"rate": [found.rate.mean, found.rate.se_total], "distortion": distortion}


def data_of(source: str, seed: int) -> er.data.Dataset:
    """Examples of a source, nothing done to them."""
    if source == "digits":
        return er.load_data(pixels().numpy(), preprocess="none", support="real", seed=seed, progress=False)
    x = drawn(torch.Generator().manual_seed(100 + seed))
    return er.load_data(torch.cat([x() for _ in range(4)]).numpy(), preprocess="none", progress=False)


def model(data: er.data.Dataset, slope: float, seed: int) -> er.VAE:
    """A VAE whose −ELBO is rate + slope · squared error, but for a constant."""
    noise = {"kind": "normal", "scale": math.sqrt(1 / (2 * slope))}
    latents = min(math.prod(data.event), 16)
    return er.models.build({"latents": latents, "widths": [128], "likelihood": noise, "seed": seed}, data)


def below(draw: Draw, fresh: Draw, slope: float, seed: int, steps: int = STEPS) -> list[float]:
    """The bound on R + λ D, by u that learns from the one and is judged by three times k of the other; its error."""
    torch.manual_seed(seed)
    first = draw()
    log_u = nn.Sequential(nn.Linear(first.shape[1], 64), nn.SELU(), nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 1))
    adam = torch.optim.Adam(log_u.parameters(), lr=2e-3)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        x = draw()
        value = log_u(x)[:, 0]
        log_c = greatest(x, value, slope)
        adam.zero_grad()
        (value.mean() + log_c).backward()
        adam.step()
        fall.step()
    with torch.no_grad():
        tried = [draw() for _ in range(5)]
        log_a = float(torch.stack([greatest(x, log_u(x)[:, 0], slope) for x in tried]).mean())
        found = [judged(fresh(), log_u, slope, log_a) for _ in range(3)]
    return [float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(len(found)))]


def judged(x: Tensor, log_u: nn.Module, slope: float, log_a: float) -> float:
    """−log u on average, less the tangent of log c at a."""
    value = log_u(x)[:, 0]
    return float(-value.mean() - (greatest(x, value, slope) - log_a).exp() - log_a + 1)


def greatest(x: Tensor, log_u: Tensor, slope: float, steps: int = 30, kept: int = 50) -> Tensor:
    """log of the greatest mean of exp(−λ |x − y|²) / u(x) over y, which is found by the mean shift."""
    with torch.no_grad():
        tops = _log_mean(x, log_u, slope, x).topk(min(kept, len(x))).indices
        y = x[tops]
        for _ in range(steps):
            weights = torch.softmax(-slope * torch.cdist(y, x) ** 2 - log_u, 1)
            y = weights @ x
        best = y[_log_mean(x, log_u, slope, y).argmax()][None]
    return _log_mean(x, log_u, slope, best)[0]


def _log_mean(x: Tensor, log_u: Tensor, slope: float, y: Tensor) -> Tensor:
    squares = (y[:, None] - x).square().sum(2) if len(y) == 1 else torch.cdist(y, x) ** 2
    return torch.logsumexp(-slope * squares - log_u, 1) - math.log(len(x))


def at_least(rows: list[Row], distortion: float) -> float:
    """What R is at least at a distortion, by the bounds at all slopes."""
    low = {slope: over([{"low": first(row["lower"])} for row in group], "low")[0]
           for (slope,), group in by(rows, "slope").items()}  # fmt: skip
    return max(0.0, *(value - slope * distortion for slope, value in low.items()))
