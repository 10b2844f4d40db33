"""Studies that nobody ran: plausible numbers and pictures in a folder, of which a page can be made."""

import functools
import json

import numpy as np
import yaml
from invented_audits import healthy, ill, without_anything
from safetensors.numpy import save_file
from staged import keep_study, kept_study

from elbowroom.numerics import Budget, Estimate
from elbowroom.pages import report

HOSTILE = "<script>alert(1)</script>"
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
CLASSICS = {
    "probabilistic PCA": ("d = 20 of 5, 10, 20, 30", 37.2, 31.0),
    "factor analysis": ("d = 20 of 5, 10, 20, 30", 51.3, 24.0),
    "Gaussian mixture (k=30, full)": ("k = 30 of 10, 20, 30, 50; ridge 0.001", 64.0, 26.0),
    "kernel density": ("bandwidth 0.12 of 8 tried", 45.9, 28.0),
}
COLUMNS = ["age", "blood pressure, systolic", HOSTILE, "glucose", "a rather long name of a column that must be cut"]
KINDS = ("digits", "two", "loses", "table")
AUDITS = {"digits": healthy(), "two": ill(), "loses": without_anything(), "table": None}


@functools.cache
def digits():
    from sklearn.datasets import load_digits

    return load_digits()


def normal(size):
    """A diagonal normal block of a recipe."""
    return {"kind": "diagonal-normal", "network": {"kind": "mlp", "widths": [64, 256, 256, 2 * size]}, "event": size}


def model_recipe(latents):
    network = {"kind": "mlp", "widths": [latents, 256, 256, 128]}
    return {
        "version": 1,
        "prior": {"z": {"kind": "standard-normal", "event": latents}},
        "posterior": {"z": normal(latents) | {"given": ["x"]}},
        "likelihood": {"kind": "normal", "network": network, "event": 64, "scale": "predicted", "given": ["z"]},
        "preprocess": {"kind": "dequantise", "levels": 17},
    }


def evidence(rng, vae, n=397):
    """Rows of the last table: a bound, a tighter bound, and classics whose densities are exact."""
    common = rng.normal(size=n)

    def estimate(mean, spread, estimator, direction, draws, mc):
        values = mean + spread * (0.8 * common + 0.6 * rng.normal(size=n))
        budget = Budget(draws=draws, seed=0, seconds=1.0)
        kind = {"quantity": "log p(x)", "estimator": estimator, "direction": direction}
        return Estimate.of(values, mc, budget=budget, data="d1g1t5", **kind)

    def row(name, kind, setting, e):
        bits = e.bits_per_dimension(64)
        sizes = [bits.mean, bits.se_mc, bits.se_points]
        return {"name": name, "kind": kind, "setting": setting, "estimate": e.to_dict(), "bits_per_dimension": sizes}

    tuned = "β = 0.5 of 6; epoch 181 of 400"
    rows = [
        row("VAE (chosen)", "vae", tuned, estimate(vae - 3.1, 22.0, "ELBO", "lower", 64, 0.4)),
        row("VAE (chosen)", "vae", tuned, estimate(vae, 22.0, "IWAE-500", "lower", 500, 0.09)),
    ]
    for name, (setting, mean, spread) in CLASSICS.items():
        rows.append(row(name, "classic", setting, estimate(mean, spread, "exact density", "exact", 0, 0.0)))
    return rows


def sweep(latents, images):
    models = []
    for beta in BETAS:
        rate = 33.0 / (1 + beta) ** 0.9
        distortion = -104.0 + 19.0 * beta**0.62
        se = 0.35 + 0.1 / beta
        bounds = {"rate": [rate, se / 2], "distortion": [distortion, 1.2], "elbo": [-rate - distortion, 1.3]}
        models.append(
            {
                "name": f"beta-{beta:g}", "label": f"β = {beta:g}", "settings": {"beta": beta},
                "axes": {"β": f"{beta:g}"}, "epochs": 400, "best_epoch": 181, "seconds": 8.4,
                "parameters": 181_536, "validation": {**bounds, "iwae": [3.1 - rate - distortion, 1.3]}, "n": 200,
                "draws": 64, "active": max(latents - int(3 * beta), 1), "latents": latents,
                "squared_error": 1.4 + 0.7 * beta, "psnr": 16.6 - beta if images else None,
                "notes": ["the scale reached its floor on 3 elements"] if beta == 0.1 else [],
            }
        )  # fmt: skip
    return models


def history(epochs=400):
    rows = []
    for epoch in range(1, epochs + 1):
        gain = 1 - np.exp(-epoch / 40)
        train = {"rate": 6 + 18 * gain, "distortion": 20 - 115 * gain + 30 * np.exp(-epoch / 4)}
        slack = 0.012 * max(epoch - 60, 0)
        held = {"rate": train["rate"] + 0.3, "distortion": train["distortion"] + 3 + slack}
        beta = min(1.0, epoch / 30) * 0.5
        for part in (train, held):
            part["objective"] = part["distortion"] + beta * part["rate"]
        train["beta"] = beta
        rows.append({"epoch": epoch, "step": 12 * epoch, "seconds": 0.02, "train": train, "validation": held})
    return rows


def study(latents, *, images, vae, columns=None):
    rng = np.random.default_rng(7)
    kl = np.sort(rng.gamma(2.0, 0.9, latents))[::-1].copy()
    kl[latents - max(latents // 8, 0) :] = rng.uniform(0.0005, 0.003, max(latents // 8, 0))
    rng.shuffle(kl)
    rows = evidence(rng, vae)
    best = Estimate.from_dict(rows[1]["estimate"])
    rival = Estimate.from_dict(rows[4]["estimate"])
    gap = best - rival
    active = int((kl > 0.01).sum())
    verb = "beats" if gap.mean > 0 else "loses to"
    sentence = (
        f"This VAE uses {active} of its {latents} latents and {verb} a Gaussian mixture by "
        f"{abs(gap.mean):.1f} ± {gap.se_total:.1f} nats on held-out digits."
    )
    lower, upper = {"unit": "nats", "direction": "lower bound"}, {"unit": "bits", "direction": "upper bound"}
    shown, error = (f"{gap.mean:+.1f}".replace("-", "−"), f"{gap.se_total:.1f}")
    tiles = [
        {"label": "log p(x) per test digit", "value": f"{best.mean:.1f}", "error": f"{best.se_total:.1f}", **lower},
        {"label": "against the Gaussian mixture", "value": shown, "error": error, **lower},
        {"label": "bits per dimension", "value": "2.41", "error": "0.03", **upper},
        {"label": "latents in use", "value": f"{active} of {latents}", "error": "", "unit": "", "direction": ""},
    ]
    data = {
        "name": "digits", "source": "scikit-learn, load_digits (UCI optical recognition of handwritten digits)",
        "support": "integer grid 0…16", "sizes": {"train": 1200, "validation": 200, "test": 397}, "split_seed": 0,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "event": [64],
        "image_shape": [8, 8] if images else None, "levels": 17 if images else None, "dimensions": 64,
        "notes": ["3 columns are constant (0, 32, 39)"], "label_names": [str(i) for i in range(10)], "columns": columns,
    }  # fmt: skip
    if columns:
        data |= {"event": [len(columns)], "dimensions": len(columns), "support": "real numbers", "label_names": None}
        for row in rows:
            row["bits_per_dimension"] = None
    return {
        "version": 2, "title": "How good is a VAE of the digits?", "command": "elbowroom study digits",
        "created": "2026-11-21", "data": data,
        "environment": {
            "elbowroom": "0.1.0", "torch": "2.13.0", "python": "3.11.9", "processor": "x86_64, 2 cores", "threads": 2,
            "seconds": {"sweep": 61.2, "evidence": 40.4, "total": 153.0},
        },
        "chosen": "beta-0.5", "models": sweep(latents, images), "evidence": rows,
        "difference": {"against": "Gaussian mixture", "value": gap.mean, "se": gap.se_total, "n": len(gap)},
        "verdict": {"sentence": sentence, "figures": tiles},
        "latents": {
            "kl": kl.tolist(), "active": (kl > 0.01).tolist(), "threshold": 0.01, "n": 397,
            "axes": "z1, z2" if latents == 2 else "first two principal components of z",
            "knn": {"z": 0.952, "x": 0.977, "k": 5, "n": 397} if images else None,
        },
        "reconstruction": {"squared_error": 1.763, "psnr": 15.61 if images else None, "n": 397},
        "draws": {"seed": 0, "n": 16},
        "leak": 0.031 if images else None,
        **variance(),
    }  # fmt: skip


def variance():
    """The split of every model of the sweep and of two classics, and of the chosen model's ink."""
    rows = []
    for beta in BETAS:
        share = 0.95 / (1 + 0.3 * beta)
        sizes = {"latent": 4.0 * share, "noise": 4.0 * (1 - share), "latent_share": share, "latent_share_se": 0.004}
        rows.append({"name": f"beta-{beta:g}", "kind": "vae", **sizes, "data": 4.1, "draws": 2_000})
    for name, latent, noise in (("probabilistic PCA", 3.9, 0.2), ("Gaussian mixture", 2.9, 1.2)):
        sizes = {"latent": latent, "noise": noise, "latent_share": latent / (latent + noise), "latent_share_se": None}
        rows.append({"name": name, "kind": "classic", **sizes, "data": 4.1, "draws": 0})
    ink = {"data": 80.0, "latent": 60.0, "noise_diagonal": 12.0, "noise_covariance": -2.0, "draws": 20_000}
    ink["se"] = {"data": 7.0, "latent": 0.8, "noise_diagonal": 0.016, "noise_covariance": 0.4}
    return {"variance": rows, "ink": ink}


def digit_pictures(latents):
    """Held-out digits, and what PCA makes of them: plausible pictures of a blurred model."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    x, labels = digits().data, digits().target
    pca = PCA(latents, random_state=0).fit(x[:1200])
    held, tags = x[1400:], labels[1400:]
    z = pca.transform(held)
    means = pca.inverse_transform(rng.normal(size=(16, latents)) * pca.explained_variance_**0.5)
    noisy = means + 1.8 * rng.normal(size=means.shape)
    arrays = {
        "held_out": held[:16], "reconstructions": pca.inverse_transform(z[:16]), "samples_ancestral": noisy,
        "samples_mean": means, "latent_map": z[:, :2] / z[:, :2].std(), "latent_labels": tags,
    }  # fmt: skip
    for beta in BETAS:
        kept = PCA(max(int(latents / (1 + beta)), 1), random_state=0).fit(x[:1200])
        arrays[f"models.beta-{beta:g}.reconstructions"] = kept.inverse_transform(kept.transform(held[:8]))
        scale = kept.explained_variance_**0.5
        arrays[f"models.beta-{beta:g}.samples"] = kept.inverse_transform(rng.normal(size=(8, scale.size)) * scale)
    if latents == 2:
        axis = np.linspace(-2, 2, 12)
        z1, z2 = np.meshgrid(axis, axis)
        spread = pca.explained_variance_**0.5
        grid = pca.inverse_transform(np.stack([z1, z2], -1).reshape(-1, 2) * spread)
        arrays |= {"decoded_grid": grid.reshape(12, 12, 64), "decoded_grid_axis": axis}
    return arrays


def table_pictures(columns):
    rng = np.random.default_rng(4)
    width = len(columns)
    scale = 10.0 ** rng.integers(-1, 3, width)
    data, samples = ((rng.gamma(2.0, 1.0, (300, width)) - 1) * scale for _ in range(2))
    arrays = {
        "held_out": data[:16], "reconstructions": 0.9 * data[:16], "samples_ancestral": samples, "data_sample": data,
        "samples_mean": 0.6 * samples, "latent_map": rng.normal(size=(200, 2)), "latent_labels": -np.ones(200),
    }  # fmt: skip
    for beta in BETAS:
        arrays[f"models.beta-{beta:g}.reconstructions"] = data[:8]
        arrays[f"models.beta-{beta:g}.samples"] = samples[:100] / (1 + 0.1 * beta)
    return arrays


def write(folder, record, arrays, recipe):
    run = folder / "runs" / record["chosen"]
    run.mkdir(parents=True)
    keep_study(folder, record)
    (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history()))
    (run / "recipe.yaml").write_text(yaml.safe_dump({"model": recipe}, sort_keys=False))
    plain = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
    save_file(plain, folder / "pictures.safetensors")
    return folder


def make(folder, kind, audit=None):
    """A study folder: "digits", "two" (latents), "loses" (to a Gaussian mixture) or "table"; audited or not."""
    audited = {"audit": audit and audit.to_dict()}
    if kind == "table":
        record = study(4, images=False, vae=74.6, columns=COLUMNS) | audited
        return write(folder, record, table_pictures(COLUMNS), model_recipe(4))
    latents = 2 if kind == "two" else 16
    record = study(latents, images=True, vae=58.0 if kind == "loses" else 74.6) | audited
    return write(folder, record, digit_pictures(latents), model_recipe(latents))


def with_pages(tmp_path_factory, *kinds):
    """Study folders by kind, audited but for the table, each with its page."""
    folders = {kind: make(tmp_path_factory.mktemp(kind), kind, AUDITS[kind]) for kind in kinds}
    return {kind: (folder, report(folder).read_text(encoding="utf-8")) for kind, folder in folders.items()}


def changed(folder, change, kind="digits"):
    """A study folder whose plain values `change` has changed in place."""
    record = kept_study(make(folder, kind))
    change(record)
    keep_study(folder, record)
    return folder
