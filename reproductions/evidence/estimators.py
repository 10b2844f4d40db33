"""Every estimator of log p(x) against exact answers as latent dimensions grow, and the gap of a log against variance.

python reproductions/evidence/estimators.py      # minutes; writes estimators.json, estimators.svg and gap.svg
"""

import json
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.evidence import ais, elbo, iwae_curve, prior_sampling, reciprocal_sampling
from elbowroom.exact import LinearVAE, ProbabilisticPCA, optimal_encoder
from elbowroom.plots import Series, lines
from elbowroom.progress import Progress

HERE = Path(__file__).parent
DIMENSIONS = (1, 2, 3, 5, 10, 20, 50)
POINTS, CURVE = 50, (10, 100, 1_000, 10_000)
SHOWN = (
    "ELBO",
    "IWAE-1,000",
    "prior sampling, 10,000 draws",
    "appendix D, normal density",
    "appendix D, kernel density",
    "AIS-100 from the prior",
    "AIS-100 from the encoder",
    "AIS-100 from both",
)
SHIFT, SPREAD = 0.25, 1.25  # of the encoder, in standard deviations of the exact posterior, per dimension


def model(digits: "er.data.Dataset", rows: np.ndarray, d: int) -> er.VAE:
    """Probabilistic PCA of dequantised digits, whose posterior is diagonal, with an encoder that is a little off."""
    pca = ProbabilisticPCA.fit(rows, d)
    weights, variances = optimal_encoder(pca.weights, pca.noise_variance)
    decoder, encoder = nn.Linear(d, 64).double(), nn.Linear(64, 2 * d).double()
    with torch.no_grad():
        decoder.weight.copy_(pca.weights)
        decoder.bias.copy_(pca.mean)
        encoder.weight.zero_()[:d] = weights
        encoder.bias[:d] = SHIFT * variances.sqrt() - weights @ pca.mean
        encoder.bias[d:] = (SPREAD * variances.sqrt()).log()
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d, spread="exp", floor=0.0),
        er.likelihoods.Normal(decoder, 64, scale=pca.noise_variance**0.5, floor=1e-6),
        preprocess=digits.preprocess,
    ).double()


def relative_variances(vae: er.VAE, examples: "er.data.Examples") -> dict[str, Tensor]:
    """Var(weight) / p(x)² of one draw from the encoder and from the prior, [n], in closed form."""
    exact = LinearVAE(vae)
    p, q = exact.posterior(examples), exact.encoder(examples)
    spread = p.variance.sqrt()

    def of(mean: Tensor, stddev: Tensor) -> Tensor:
        """∫ p² / q − 1 for diagonal Gaussians, ∏ s² / √(2 s² − 1) · exp(m² / (2 s² − 1)) − 1 in units of p."""
        m, s2 = (mean - p.mean) / spread, (stddev / spread).square()
        return torch.expm1((s2.log() - 0.5 * (2 * s2 - 1).log() + m.square() / (2 * s2 - 1)).sum(-1))

    return {"IWAE": of(q.mean, q.stddev), "prior sampling": of(torch.zeros_like(q.mean), torch.ones_like(q.mean))}


def estimates(vae: er.VAE, examples: "er.data.Examples") -> dict[str, er.Estimate]:
    """Every estimator; IWAE for all K of the curve."""
    curve = iwae_curve(vae, examples, draws=CURVE)
    posterior_draws = {"draws": 2000, "chains": 64, "warm_up": 50, "leapfrog": 5}
    annealing = {"temperatures": 100, "chains": 16, "leapfrog": 5}
    return {
        "ELBO": elbo(vae, examples, draws=64),
        **{f"IWAE-{draws:,}": estimate for draws, estimate in zip(curve.draws, curve.estimates, strict=True)},
        "prior sampling, 10,000 draws": prior_sampling(vae, examples, draws=10_000),
        "appendix D, normal density": reciprocal_sampling(vae, examples, **posterior_draws),
        "appendix D, kernel density": reciprocal_sampling(vae, examples, **posterior_draws, density="kernel"),
        "AIS-100 from the prior": ais(vae, examples, **annealing, start="prior"),
        "AIS-100 from the encoder": ais(vae, examples, **annealing, start="posterior"),
        "AIS-100 from both": ais(vae, examples, **annealing),
    }


def against_exact(vae: er.VAE, examples: "er.data.Examples") -> dict[str, dict[str, Any]]:
    """Mean error over the points of each estimator, its standard error, and what is stated of it.

    predicted: the mean gap of a log-mean of K independent weights, half the relative variance of the mean, where known.
    """
    exact, relative = LinearVAE(vae).log_prob(examples).numpy(), relative_variances(vae, examples)
    found = {}
    for name, estimate in estimates(vae, examples).items():
        error = estimate.values - exact
        draws = int(name.split("-")[1].replace(",", "")) if name.startswith("IWAE") else estimate.budget.draws
        known = relative.get("prior sampling" if name.startswith("prior") else name.split("-")[0])
        found[name] = {
            "error": float(error.mean()),
            "se": float(error.std(ddof=1) / math.sqrt(len(error))),
            "se_stated": estimate.se_mc,
            "direction": estimate.direction,
            "predicted": None if known is None else float(known.mean() / (2 * draws)),
            "median_khat": None if estimate.khat is None else float(np.median(estimate.khat)),
        }
    return found


def main() -> None:
    from canaries import canaries
    from canary import keep

    digits = er.load_data("digits")
    noise = er.numerics.keyed_uniform((64,), digits.train.index, 0)
    rows = digits.preprocess(digits.train.x, noise)[0].double().numpy()
    examples = digits.test[:POINTS]
    record: dict[str, Any] = {"points": POINTS, "shift": SHIFT, "spread": SPREAD, "at": {}}
    with Progress("estimators", len(DIMENSIONS)) as bar:
        for d in DIMENSIONS:
            vae = model(digits, rows, d)
            record["at"][d] = against_exact(vae, examples)
            bar.advance()
    write_atomic(HERE / "estimators.json", json.dumps(record, indent=1) + "\n")
    keep(HERE / "estimators.json", canaries())
    save(record)
    show(record)


def save(record: dict[str, Any]) -> None:
    """estimators.svg and gap.svg, the same bytes for the same record."""
    for name, draw in (("estimators", errors_figure), ("gap", gap_figure)):
        with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
            draw(record).figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})


def errors_figure(record: dict[str, Any]) -> Axes:
    """Error against d, every estimator."""
    series = []
    for name in SHOWN:
        rows = [record["at"][d][name] for d in DIMENSIONS]
        series.append(Series(name, DIMENSIONS, [r["error"] for r in rows], [r["se"] for r in rows]))
    return lines(
        series,
        across="latent dimensions",
        up="estimate − exact, nats",
        log_x=True,
        limits=(-6, 6),
    )


def gap_figure(record: dict[str, Any]) -> Axes:
    """Gap over prediction against prediction, where the error leaves something to see."""
    series = []
    for draws in CURVE:
        rows = [record["at"][d][f"IWAE-{draws:,}"] for d in DIMENSIONS]
        rows = [r for r in rows if r["se"] < 0.25 * r["predicted"]]
        x = [r["predicted"] for r in rows]
        y, error = [-r["error"] / r["predicted"] for r in rows], [r["se"] / r["predicted"] for r in rows]
        if rows:
            series.append(Series(f"IWAE-{draws:,}", x, y, error))
    return lines(
        series,
        across="relative variance / 2K",
        up="gap of the log ÷ (relative variance / 2K)",
        log_x=True,
        limits=(0, 1.4),
        band=(1, 1),
    )


def show(record: dict[str, Any]) -> None:
    """Print the record as the tables of the page."""
    at = record["at"]

    def table(rows: dict[str, list[str]]) -> None:
        print("| d | " + " | ".join(map(str, DIMENSIONS)) + " |\n" + "|---" * (len(DIMENSIONS) + 1) + "|")
        print("".join(f"| {name} | " + " | ".join(cells).replace("-", "−") + " |\n" for name, cells in rows.items()))

    table({name: [f"{at[d][name]['error']:z.3f} ± {at[d][name]['se']:.3f}" for d in DIMENSIONS] for name in SHOWN})
    weighted = [name for name in at[DIMENSIONS[0]] if at[DIMENSIONS[0]][name]["predicted"] is not None]
    rows = {}
    for name in weighted:
        rows[f"{name}: gap"] = [f"{-at[d][name]['error']:.4g} ± {at[d][name]['se']:.1g}" for d in DIMENSIONS]
        rows[f"{name}: relative variance / 2K"] = [f"{at[d][name]['predicted']:.4g}" for d in DIMENSIONS]
        if at[DIMENSIONS[0]][name]["median_khat"] is not None:
            rows[f"{name}: median k̂"] = [f"{at[d][name]['median_khat']:.2f}" for d in DIMENSIONS]
    table(rows)


if __name__ == "__main__":
    main()
