"""The README's tables, printed from the records."""

import json
import math

import compression as shown
import numpy as np
from shelf import HERE, Row, by, first, over, records, said, show

ELSEWHERE = HERE.parent


def run() -> None:
    """Every table whose record is there."""
    print("Tables of [README.md](README.md), printed from the records by `run.py tables`.")
    for name, table in TABLES.items():
        if (HERE / "records" / f"{_record(name)}.json").exists():
            print(f"\n### {name}\n")
            table()


def _record(name: str) -> str:
    return name.partition(":")[0].partition(" ")[0]


def collapse() -> None:
    """How far decoded means are from the mean image, how much they vary; samples' variance, distance, recall."""
    head = ["β", "active", "decoded means: away from the mean image", "vary by",
            "samples, cut to the grid, vary by: σ² = β",
            "calibrated", "means", "recall: calibrated", "means"]  # fmt: skip
    lines = []
    for (beta,), rows in by(records("scan"), "beta").items():
        away = [said(rows, key, 1, percent=True) for key in ("from_mean_image", "decoded_variance")]
        kinds = ("σ² = β", "σ calibrated", "means")
        vary = [said(_of(rows, kind), "variance_of_data", 0, percent=True) for kind in kinds]
        recall = [said(_of(rows, kind), "recall", 1, percent=True) for kind in kinds[1:]]
        lines.append([f"{beta:g}", said(rows, "active", 0), *away, *vary, *recall])
    show(head, lines)


def frechet() -> None:
    """Distance of samples from data, against β; the distance between two sets of the data themselves beside it."""
    head = ["β", "squared error, dB", "σ² = β", "calibrated", "means", "latent share at σ² = β", "calibrated"]
    lines = []
    for (beta,), rows in by(records("scan"), "beta").items():
        kinds = [said(_of(rows, kind), "distance", 0) for kind in ("σ² = β", "σ calibrated", "means")]
        shares = [said(rows, key, 1, percent=True) for key in ("share_trained_for", "share_calibrated")]
        error = f"{said(rows, 'squared_error', 1)}, {over(rows, 'psnr')[0]:.1f}"
        lines.append([f"{beta:g}", error, *kinds, *shares])
    show(head, lines)
    print(f"\nfloor {over(_of(records('scan'), 'means'), 'floor')[0]:.2f}")


def z_variance() -> None:
    """Var z = between + within, and how units correlate; rate against information."""
    head = ["β", "sd of q", "within", "between", "sum", "rms correlation", "greatest", "rate R, training", "I(x; z)",
            "R − I = KL(q(z) ‖ p(z))"]  # fmt: skip
    lines = []
    for (beta,), rows in by(records("scan"), "beta").items():
        totals = [{"sum": row["z_within"] + row["z_between"], "gap": row["train_rate"] - first(row["information"])}
                  for row in rows]  # fmt: skip
        parts = [said(rows, key, 3) for key in ("z_sd", "z_within", "z_between")]
        corr = [said(rows, key, 2) for key in ("z_correlation", "z_greatest_correlation")]
        lines.append([f"{beta:g}", *parts, said(totals, "sum", 2), *corr, said(rows, "train_rate", 1),
                      said(rows, "information", 2), said(totals, "gap", 1)])  # fmt: skip
    show(head, lines)


def bound() -> None:
    """The β-objective beside what it is taken for."""
    head = ["β", "−D − βR at σ = 1", "ELBO at σ = 1", "IWAE-128 at σ = 1", "objective − IWAE", "IWAE-128, calibrated"]
    lines = []
    for (beta,), rows in by(records("scan"), "beta").items():
        gaps = [{"gap": first(row["objective"]) - first(row["iwae_at_1"])} for row in rows]
        bounds = [said(rows, key, 1) for key in ("objective", "elbo_at_1", "iwae_at_1")]
        lines.append([f"{beta:g}", *bounds, said(gaps, "gap", 1), said(rows, "calibrated_iwae", 0)])
    show(head, lines)


def equal_rate() -> None:
    """Squared error at equal rate: a β with σ(z), and a fixed σ (σ² = β) at β = 1, by interpolation in log rate."""
    scan = by(records("scan"), "seed")
    head = ["σ(z), floor 0.1: β", "rate", "squared error", "fixed σ at that rate", "its σ², from the scan"]
    lines = []
    for (beta,), rows in by(records("scan_predicted"), "beta").items():
        found = []
        for row in rows:
            ordered = sorted(scan[(row["seed"],)], key=lambda one: first(one["rate"]))
            x, at = [math.log(first(one["rate"])) for one in ordered], math.log(first(row["rate"]))
            error = float(np.interp(at, x, [one["squared_error"] for one in ordered]))
            variance = math.exp(float(np.interp(at, x, [math.log(one["beta"]) for one in ordered])))
            found.append({"error": error, "variance": variance})
        lines.append([f"{beta:g}", said(rows, "rate", 1), said(rows, "squared_error", 1), said(found, "error", 1),
                      said(found, "variance", 4)])  # fmt: skip
    show(head, lines)


def sigma_vae() -> None:
    """σ-VAE's MNIST rows (Rybkin et al. 2021, −log p in nats on [0, 1]) beside ours, from the records of others."""
    paths = sorted((ELSEWHERE / "beta_is_a_variance/records").glob("mnist-unit-*.json"))
    ours = [json.loads(path.read_text()) for path in paths]
    scan = [{"beta": row["beta"], **row} for record in ours for row in record["scan"]]
    learned = [row for record in ours for row in record["learned"]]
    chapter = json.loads((ELSEWHERE / "variance_chapter/records/models.json").read_text())
    jacobian = 784 * math.log(256)
    simple = {name: -(chapter[name]["elbo"][0] + jacobian) for name in chapter if _is_simple(name)}

    def best(key: str, beta: float) -> str:
        return said([{key: -first(row[key])} for row in scan if row["beta"] == beta], key, 1)

    kept = {s: said([{"elbo": -first(r["elbo"])} for r in learned if r["scale"] == s], "elbo", 1)
            for s in ("shared", "optimal")}  # fmt: skip
    per_pixel = ", ".join(
        f"{value:.0f} ({name.partition(', ')[2] or 'one grid step'})" for name, value in simple.items()
    )
    show(["decoder", "σ-VAE", "here"], [
        ["σ = 1, β = 1", "740.5", best("elbo", 1.0)],
        ["σ = 1, best β", "−796.2", f"{best('calibrated_elbo', 0.01)} (β = 0.01, calibrated)"],
        ["σ(z) per pixel", "−2895", f"{per_pixel}: the floor of σ decides it"],
        ["one σ", "−896.1", f"{kept['optimal']} (optimal), {kept['shared']} (learned)"],
    ])  # fmt: skip


def _is_simple(name: str) -> bool:
    return name == "normal, σ(z)" or (name.startswith("simple d=20, floor") and "β" not in name)


def quantiles() -> None:
    head = ["decoder", "data", "ancestral", "μ + ασ", "dB of a sample to its own mean", "dB of the data to it"]
    lines = []
    for (decoder,), rows in by(records("quantiles"), "decoder").items():
        adjacent = [said([row["adjacent"] for row in rows], kind, 3) for kind in ("data", "ancestral", "μ + ασ")]
        lines.append([decoder, *adjacent, said(rows, "psnr_of_sample", 1), said(rows, "psnr_of_data", 1)])
    show(head, lines)


def floors() -> None:
    head = ["pixels", "least σ", "training, bits per dimension", "held out"]
    names = {True: "one normal per pixel, exact", False: "VAE, σ(z)"}
    rows = [row | {"model": names["exact" in row]} for row in records("floors")]
    lines = []
    for (kind, model, floor), group in by(rows, "kind", "model", "floor").items():
        named = f"{kind}: {model}" if kind != "discretised logistic" else f"{kind}, a VAE"
        least = f"{floor:g}" if floor else "by default"
        lines.append([named, least, said(group, "train", 2), said(group, "test", 2)])
    show(head, lines)


def cross_entropy() -> None:
    rows = [row["iwae"] for row in records("cross_entropy")]
    show(["model", "IWAE-500, nats"], ([name, said(rows, name, 1)] for name in rows[0]))


def gradients() -> None:
    rows = [row["epochs"] for row in records("gradients")]
    names = list(rows[0][0]["variance"])
    head = ["epoch", "rate, held out", "ELBO", *(f"{name.replace(', ', ' KL, ')} draw(s)" for name in names)]
    lines = []
    for i, epoch in enumerate(rows[0]):
        at = [row[i] for row in rows]
        base = [row["variance"]["closed, 1"] for row in at]
        ratios = [np.mean([row["variance"][name] / b for row, b in zip(at, base, strict=True)]) for name in names]
        lines.append([epoch["epoch"], said(at, "rate", 1), said(at, "elbo", 1), *(f"{ratio:.2f}" for ratio in ratios)])
    show(head, lines)


def balance() -> None:
    head = ["way", "trainings", "seconds", "σ²", "rate", "squared error", "test IWAE-500"]
    lines = []
    for (way,), rows in by(records("balance"), "way").items():
        columns = [said(rows, "seconds", 0), said(rows, "sigma2", 4), said(rows, "rate", 1),
                   said(rows, "squared_error", 2), said(rows, "iwae", 1)]  # fmt: skip
        lines.append([way, rows[0]["trainings"], *columns])
    show(head, lines)


def latents() -> None:
    head = ["d", "with the prior's term: training error", "held out", "training IWAE", "held out", "rate", "active",
            "without it: training error", "held out"]  # fmt: skip
    groups = by(records("latents"), "d", "prior_term")
    lines = []
    for d in dict.fromkeys(d for d, _ in groups):
        term, free = groups[(d, True)], groups[(d, False)]
        columns = [said(term, key, 2) for key in ("train_error", "test_error")]
        columns += [said(term, key, 1) for key in ("train_iwae", "test_iwae", "rate")] + [said(term, "active", 0)]
        lines.append([d, *columns, *(said(free, key, 2) for key in ("train_error", "test_error"))])
    show(head, lines)


def copies() -> None:
    head = ["σ", "training error, dB", "held out, dB", "training IWAE-500", "held out"]
    lines = []
    for (scale,), rows in by(records("copies"), "scale").items():
        errors = [
            f"{said(rows, f'{part}_error', 3)}, {over(rows, f'{part}_psnr')[0]:.1f}" for part in ("train", "test")
        ]
        lines.append([f"{scale:g}", *errors, said(rows, "train_iwae", 0), said(rows, "test_iwae", 0)])
    show(head, lines)


def classes() -> None:
    rows = records("classes")
    spaces = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    show(["space", "nearest five neighbours", "silhouette"],
         ([name, said([row[name] for row in rows], "neighbours", 1, percent=True),
           said([row[name] for row in rows], "silhouette", 3)] for name in spaces))  # fmt: skip


def spectrum() -> None:
    (row,) = records("spectrum")
    values = ", ".join(f"{value:.3f}" for value in row["principal_variances"])
    print(f"Principal variances {values}; their average {row['their_average']:.3f}; mean of those left over "
          f"{row['mean_discarded']:.4f}; σ² of probabilistic PCA {row['noise_variance']:.4f}.")  # fmt: skip


def one_class() -> None:
    (row,) = records("one_class")

    def cells(name: str) -> str:
        mean, error = row[name]["squared_error"]
        return f"{mean:.1f} ± {error:.1f}, {row[name]['psnr']:.1f} dB"

    sizes = [name.split(", ")[1] for name in row if name.startswith("threes, ")]
    show(["components", "PCA of all digits", "PCA of threes"],
         ([d, cells(f"all digits, {d}"), cells(f"threes, {d}")] for d in sizes))  # fmt: skip


def outliers() -> None:
    groups = by(records("outliers"), "share")
    names = list(next(iter(groups.values()))[0]["degrees"])
    show(["rows with gross errors", *names],
         ([f"{share:.0%}", *(said([row["degrees"] for row in rows], name, 1) for name in names)]
          for (share,), rows in groups.items()))  # fmt: skip


def batch_norm() -> None:
    rows = records("batch_norm")
    show(["images, phase", "ELBO, one draw, nats"],
         ([name, " ± ".join(f"{v:.0f}" for v in rows[0][name])] for name in rows[0] if "phase" in name))  # fmt: skip


def compression() -> None:
    shown.table(records("compression")[0])


def _of(rows: list[Row], kind: str) -> list[Row]:
    return [row["samples"][kind] for row in rows]


TABLES = {
    "scan: collapse": collapse,
    "scan: distance": frechet,
    "scan: variance of z": z_variance,
    "scan: bound": bound,
    "scan_predicted: equal rate": equal_rate,
    "scan (others' records): σ-VAE": sigma_vae,
    "quantiles": quantiles,
    "floors": floors,
    "cross_entropy": cross_entropy,
    "gradients": gradients,
    "balance": balance,
    "latents": latents,
    "copies": copies,
    "classes": classes,
    "spectrum": spectrum,
    "one_class": one_class,
    "outliers": outliers,
    "batch_norm": batch_norm,
    "compression": compression,
}
