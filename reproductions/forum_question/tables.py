"""The tables of the README, from the records."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from fitting import RULES, chosen
from sandwich import at_least
from shelf import HERE, Row, by, first, over, records


def run() -> None:
    """Print every table whose record is there."""
    for title, (record, show) in TABLES.items():
        if (HERE / "records" / f"{record}.json").exists():
            print(f"\n## {title}\n")
            show(records(record))


def table(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")


def said(rows: Iterable[Row], key: str, digits: int = 1) -> str:
    """Mean ± standard error over seeds, and in brackets the error over examples where there is one."""
    rows = list(rows)
    mean, error = over(rows, key)
    spread = "" if math.isnan(error) else f" ± {error:.{digits}f}"
    own = [row[key][1] for row in rows if isinstance(row[key], list)]
    return f"{mean:.{digits}f}{spread}" + (f" ({np.mean(own):.{digits}f})" if own else "")


def flat(rows: Iterable[Row], *parts: str) -> list[Row]:
    """Rows with what stands in a part of them, under "part.name"."""
    return [
        row | {f"{part}.{key}": value for part in parts for key, value in row.get(part, {}).items()} for row in rows
    ]


def at_sigma(row: Row, sigma: float) -> float:
    """The ELBO of a model of the scan at any σ, from its rate and squared error, nats on the scale of the levels."""
    squares, normaliser = row["expected_error"] / (2 * sigma**2), 32 * math.log(2 * math.pi * sigma**2)
    return float(-squares - normaliser - 64 * math.log(17) - row["rate"][0])


SIGMAS = (2.0, 1.0, 0.5, 0.25, 0.14)


def noise(rows: list[Row]) -> None:
    """For every σ at which a scan may be made: its winner raw and its winner calibrated."""
    groups, lines = by(rows, "beta"), []
    calibrated = max(groups, key=lambda key: over(flat(groups[key], "calibrated"), "calibrated.elbo")[0])
    for sigma in SIGMAS:
        raw = max(groups, key=lambda key: np.mean([at_sigma(row, sigma) for row in groups[key]]))
        best = groups[raw]
        lines.append(
            [f"{sigma:g}", f"{raw[0] / sigma**2:.2g}", said(best, "rate"), said(best, "active", 0),
             f"{np.mean([at_sigma(row, sigma) for row in best]):.1f}", f"{calibrated[0] / sigma**2:.2g}",
             said(groups[calibrated], "rate"), said(flat(groups[calibrated], "calibrated"), "calibrated.elbo")]
        )  # fmt: skip
    head = ["σ of the scan", "best β, raw", "its rate", "its units", "its ELBO at σ", "best β, calibrated", "rate"]
    table([*head, "calibrated ELBO"], lines)


def learned(rows: list[Row]) -> None:
    """β with a learned σ."""
    keys = ("rate", "active", "elbo", "iwae", "validation_elbo")
    lines = [[f"{beta:g}", *(said(group, key, int(key != "active")) for key in keys), said(group, "sigma2", 4)]
             for (beta,), group in by(rows, "beta").items()]  # fmt: skip
    table(["β, σ learned", "rate", "units", "test ELBO", "IWAE-100", "validation ELBO", "σ²"], lines)


def along(rows: list[Row]) -> None:
    """The scan at σ = 1 by every score."""
    lines = []
    for (beta,), group in sorted(by(rows, "beta").items()):
        wide, one = flat(group, "calibrated", "frechet"), [row for row in group if "ais" in row]
        lines.append(
            [f"{beta:g}", said(group, "rate"), said(group, "information"), said(group, "active", 0),
             said(group, "elbo"), said(wide, "calibrated.elbo"), said(wide, "calibrated.iwae"),
             said(group, "probe", 3), said(wide, "frechet.ancestral", 0), said(wide, "frechet.mean", 0)]
        )  # fmt: skip
        assert one or group
    head = ["β", "rate", "I(x; z)", "units", "ELBO at σ = 1", "ELBO calibrated", "IWAE-100 calibrated", "probe"]
    table([*head, "Fréchet, draws", "Fréchet, means"], lines)


def annealed(rows: list[Row]) -> None:
    """AIS beside the ELBO of the same test images, for the seed that was annealed."""
    lines = []
    for row in sorted((row for row in rows if "ais" in row), key=lambda row: row["beta"]):
        pairs = [("ais_elbo", "ais"), ("calibrated_ais_elbo", "calibrated_ais")]
        numbers = [f"{row[key][0]:.1f} ± {row[key][1]:.1f}" for pair in pairs for key in pair]
        gaps = [f"{row[high][0] - row[low][0]:.2f}" for low, high in pairs]
        lines.append([f"{row['beta']:g}", *numbers[:2], gaps[0], *numbers[2:], gaps[1]])
    head = ["β", "ELBO, σ = 1", "AIS, σ = 1", "difference", "ELBO, calibrated", "AIS, calibrated", "difference"]
    table(head, lines)


def _log_p(row: Row) -> dict[str, float]:
    """The mean ELBO of the test images plus what AIS found beside it: nothing where z says nothing."""
    gaps = {name: row[name][0] - row[f"{name}_elbo"][0] if name in row else 0.0 for name in ("ais", "calibrated_ais")}
    elbos = {"ais": row["elbo"][0], "calibrated_ais": row["calibrated"]["elbo"][0]}
    return {name: elbos[name] + gap for name, gap in gaps.items()}


SCORES = {
    "ELBO": lambda row: row["elbo"][0],
    "ELBO calibrated": lambda row: row["calibrated"]["elbo"][0],
    "AIS": lambda row: _log_p(row)["ais"],
    "AIS calibrated": lambda row: _log_p(row)["calibrated_ais"],
    "Fréchet, draws": lambda row: -row["frechet"]["ancestral"][0],
    "Fréchet, means": lambda row: -row["frechet"]["mean"][0],
    "probe": lambda row: row["probe"][0],
    "information": lambda row: row["information"][0],
}  # each: more is better


def ranks(rows: list[Row]) -> dict[tuple[str, str], float]:
    """Kendall's tau of every two scores over the scan's models, each a mean over the seeds that have it."""
    from scipy.stats import kendalltau

    scores: dict[str, list[float]] = {name: [] for name in SCORES}
    for _, group in sorted(by(rows, "beta").items()):
        for name, score in SCORES.items():
            scores[name].append(float(np.mean([score(row) for row in group if "AIS" not in name or row["seed"] == 0])))
    return {(a, b): float(kendalltau(scores[a], scores[b]).statistic) for a in SCORES for b in SCORES}


def disagreement(rows: list[Row]) -> None:
    """The matrix of Kendall's tau."""
    found = ranks(rows)
    table(["", *SCORES], [[a, *(f"{found[a, b]:+.2f}" for b in SCORES)] for a in SCORES])


def on_tables(rows: list[Row]) -> None:
    """I before and after, by β."""
    lines = [[f"{row['beta']:g}", f"{row['greatest_error']:.0e}", f"{row['elbo_range'][1] - row['elbo_range'][0]:.0e}",
              ", ".join(f"{value:.3f}" for value in row["before"]), ", ".join(f"{value:.3f}" for value in row["after"])]
             for row in rows]  # fmt: skip
    table(["β", "most by which D + βR ≠ H + (β − 1) I", "−ELBO, greatest − least", "I before", "I trained"], lines)


def decoders(rows: list[Row]) -> None:
    """Two decoders over β."""
    keys = ("rate", "information", "active", "elbo", "iwae")
    lines = [[decoder, f"{beta:g}", *(said(group, key, int(key != "active")) for key in keys)]
             for (decoder, beta), group in by(rows, "decoder", "beta").items()]  # fmt: skip
    table(["decoder", "β", "rate", "I(x; z)", "units", "test ELBO", "IWAE-100"], lines)


def overfitting(rows: list[Row]) -> None:
    """Bounds on training and test images."""
    keys = ("train_rate", "test_rate", "train_elbo", "test_elbo")
    lines = [[images, f"{beta:g}", *(said(group, key) for key in keys)]
             for (images, beta), group in sorted(by(rows, "images", "beta").items())]  # fmt: skip
    table(["images", "β", "rate, training", "rate, test", "ELBO, training", "ELBO, test"], lines)


def stopping(rows: list[Row]) -> None:
    """What each rule keeps."""
    lines = []
    for (kind,), group in by(rows, "noise").items():
        for name, rule in RULES.items():
            kept = flat([chosen(own, rule) for own in by(group, "seed").values()], "test")
            epochs = ", ".join(str(row["epochs"]) for row in kept)
            lines.append([kind, name, epochs, said(kept, "test.rate"), said(kept, "active", 0),
                          said(kept, "test.elbo"), said(kept, "test_calibrated_iwae")])  # fmt: skip
    table(["noise", "rule", "epochs kept", "rate", "units", "test ELBO", "IWAE-100 at the noise that fits"], lines)


def condition(rows: list[Row]) -> None:
    """Prediction of the lower half."""
    lines = [[noise, way, said(group, "rate"), said(group, "active", 0), said(group, "squared_error", 2),
              said(group, "sensitivity", 3)] for (noise, way), group in by(rows, "noise", "way").items()]  # fmt: skip
    base = records("condition_baselines")[0]
    lines += [["–", name, "–", "–", f"{base[name]['squared_error'][0]:.2f} ({base[name]['squared_error'][1]:.2f})",
               f"{base[name]['sensitivity']:.3f}"] for name in ("mean", "ridge")]  # fmt: skip
    table(["noise", "way", "rate", "units", "squared error", "variance of predictions / of targets"], lines)


def counts(rows: list[Row]) -> None:
    """Cells over β."""
    keys = {"rate": 1, "information": 2, "active": 0, "elbo": 1, "iwae": 1, "purity": 3}
    lines = [[name, f"{beta:g}", *(said(group, key, digits) for key, digits in keys.items())]
             for (name, beta), group in sorted(by(rows, "data", "beta").items())]  # fmt: skip
    table(["cells", "β", "rate", "I(x; z)", "units", "test ELBO", "IWAE-50", "purity"], lines)


def threshold(rows: list[Row]) -> None:
    """Units in use at a fixed noise."""
    lines = []
    for (sigma2,), group in by(rows, "sigma2").items():
        own = {row["networks"]: row for row in group}
        kinds = ("linear", "one layer of 128")
        trained = [f"{own[k]['active']}, {own[k]['rate'][0]:.3f}" if k in own else "–" for k in kinds]
        lines.append([f"{sigma2:g}", f"{group[0]['exact_active']}, {group[0]['exact_rate']:.3f}", *trained])
    table(["σ²", "closed form: units, rate", "linear, trained", "one layer of 128, trained"], lines)


def sizes(rows: list[Row]) -> None:
    """Latents 1 to 250."""
    pca = {row["d"]: row for row in records("pca")}
    lines = []
    for (d,), group in sorted(by(rows, "d").items()):
        wide = [flat([row], "train", "test")[0] | dict(zip(("fit", "held"), row["squared_error"], strict=True))
                for row in group]  # fmt: skip
        other = pca[d]
        lines.append([d, said(wide, "fit"), said(wide, "held"), said(wide, "test.rate"), said(wide, "active", 0),
                      said(wide, "train.iwae", 0), said(wide, "test.iwae", 0),
                      *(f"{value:.1f}" for value in other["squared_error"]), f"{other['rate']:.1f}",
                      *(f"{value[0]:.0f} ({value[1]:.0f})" for value in other["log_p"])])  # fmt: skip
    head = ["d", "error, training", "test", "rate", "units", "log p, training", "test"]
    table([*head, "PCA: error, training", "test", "rate", "log p, training", "test"], lines)


def curve(rows: list[Row]) -> None:
    """One training beside seven."""
    kinds = list(dict.fromkeys(row["how"] for row in rows))
    lines = []
    for (beta,), group in by(rows, "beta").items():
        own = {kind: [row for row in group if row["how"] == kind] for kind in kinds}
        lines.append([f"{beta:g}", *(f"{said(own[kind], 'rate')}; {said(own[kind], 'distortion')}; "
                                     f"{said(own[kind], 'elbo')}" for kind in kinds)])  # fmt: skip
    table(["β", *(f"{kind}: R; D; ELBO" for kind in kinds)], lines)
    behind = {kind: _behind(rows, kind) for kind in kinds[1:]}
    seconds = {kind: _seconds(rows, kind) for kind in kinds}
    print("\nD + βR above the grid's at the same β and seed, mean and greatest over β:", behind)
    print("Seconds of training, all β of a seed:", seconds)


def _behind(rows: list[Row], kind: str) -> list[float]:
    grid = {(row["beta"], row["seed"]): row["objective"] for row in rows if row["how"] == "grid"}
    apart: dict[float, list[float]] = {}
    for row in rows:
        if row["how"] == kind and (row["beta"], row["seed"]) in grid:
            apart.setdefault(row["beta"], []).append(row["objective"] - grid[row["beta"], row["seed"]])
    means = [float(np.mean(values)) for values in apart.values()]
    return [round(float(np.mean(means)), 2), round(max(means), 2)]


def _seconds(rows: list[Row], kind: str) -> float:
    """Of a grid the sum over its members, of one network its one training; mean over seeds."""
    own = [row for row in rows if row["how"] == kind]
    seeds = by(own, "seed")
    take = sum if kind == "grid" else max
    return round(float(np.mean([take(first(row["training_seconds"]) for row in group) for group in seeds.values()])), 1)


def between(rows: list[Row]) -> None:
    """Of each source and slope: the point that a VAE has, and what R(D) is at least at its distortion."""
    for source in ("Gaussian", "digits"):
        own = [row for row in rows if row["source"] == source]
        lines = []
        for (slope,), group in sorted(by(own, "slope").items()):
            distortion = over([{"d": first(row["distortion"])} for row in group], "d")[0]
            parts = [row | {"whole": first(row["rate"]) + slope * first(row["distortion"])} for row in group]
            cells = [said(parts, key, 2) for key in ("distortion", "rate", "whole", "lower")]
            known = [
                f"{exact['rate'] + slope * exact['distortion']:.2f}" for row in group[:1] if (exact := row.get("exact"))
            ]
            lines.append([source, slope, *cells[:2], f"{at_least(own, distortion):.2f}", *cells[2:], *(known or ["–"])])
        head = ["source", "λ", "D, test", "R, above", "R(D) at least", "R + λD, above", "R + λD, below", "exact"]
        table(head, lines)
        print()


TABLES: dict[str, tuple[str, Any]] = {
    "Mis-scaled noise": ("scan", noise),
    "β with a learned σ": ("learned", learned),
    "The scan by every score": ("scan", along),
    "ELBO against AIS": ("scan", annealed),
    "Kendall's tau between scores": ("scan", disagreement),
    "Free tables": ("tables", on_tables),
    "Two decoders": ("autoregressive", decoders),
    "Overfitting": ("overfitting", overfitting),
    "When to stop": ("stopping", stopping),
    "Side information": ("condition", condition),
    "Counts": ("counts", counts),
    "The threshold": ("threshold", threshold),
    "Latents 1 to 250": ("sizes", sizes),
    "One training, every β": ("curve", curve),
    "R(D) between two bounds": ("sandwich", between),
}
