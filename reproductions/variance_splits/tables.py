"""The README's tables, from the records."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from models import HERE, records

from elbowroom.metrics import psnr

Row = dict[str, Any]


def run() -> None:
    for name, table in TABLES.items():
        if (HERE / "records" / f"{name}.json").exists():
            print(f"\n### {name}\n")
            table(records(name))


def show(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def over(models: list[Row], of: str | Callable[[Row], float], places: int = 3, percent: bool = False) -> str:
    """Mean ± standard deviation over seeds."""
    values = np.array([one[of] if isinstance(of, str) else of(one) for one in models]) * (100 if percent else 1)
    places = 1 if percent else places
    spread = f" ± {values.std(ddof=1):.{places}f}" if len(values) > 1 else ""
    return f"{values.mean():.{places}f}{spread}{' %' if percent else ''}".replace("-", "−")


def named(row: Row) -> str:
    if row["decoder"] == "fixed":
        return f"σ = 1, β = {row['beta']:g}"
    start = row.get("start")
    return row["decoder"] + (f", start {start:g}" if start else "")


def raw_and_calibrated(rows: list[Row]) -> Iterable[tuple[str, list[Row], Row]]:
    for row in rows:
        yield named(row), row["models"], row
        if "calibrated" in row:
            yield named(row) + ", calibrated", row["calibrated"], row


def spread(rows: list[Row]) -> None:
    """± is the standard deviation over seeds."""
    head = ["decoder", "latent share (aggregate q)", "sd at equal ELBO", "(prior)", "thrown away by means", "test ELBO",
            "rate", "active"]  # fmt: skip
    show(
        head,
        (
            [
                name,
                over(models, "share", percent=True),
                at_equal_bound(models),
                over(models, "share_prior", percent=True),
                over(models, lambda one: 1 - one["share"], percent=True),
                over(models, "elbo", 1),
                over(models, "rate", 1),
                over(models, "active", 1),
            ]
            for name, models, _ in raw_and_calibrated(rows)
        ),
    )


def at_equal_bound(models: list[Row]) -> str:
    """Standard deviation of the share over seeds around its regression on the ELBO, in points."""
    shares, bounds = (100 * np.array([one["share"] for one in models]), np.array([one["elbo"] for one in models]))
    left = shares - np.polyval(np.polyfit(bounds, shares, 1), bounds)
    return f"{np.sqrt(np.square(left).sum() / (len(models) - 2)):.1f}"


def two_seeds(rows: list[Row]) -> None:
    head = ["decoder", "pairs", "mean |IWAE difference|", "its se", "pairs within 2 se", "R²", "R² unit to unit", "CKA"]

    def line(row: Row) -> list[Any]:
        pairs = row["pairs"]
        within = np.mean([abs(pair["iwae_difference"]) < 2 * pair["se"] for pair in pairs])
        mean = {key: np.mean([pair[key] for pair in pairs]) for key in ("se", "r2", "r2_unit_to_unit", "cka")}
        gap = np.mean([abs(pair["iwae_difference"]) for pair in pairs])
        numbers = [f"{mean[key]:.2f}" for key in ("r2", "r2_unit_to_unit", "cka")]
        return [row["decoder"], len(pairs) // 2, f"{gap:.2f}", f"{mean['se']:.2f}", f"{within:.0%}", *numbers]

    show(head, map(line, rows))


def planted(rows: list[Row]) -> None:
    head = [
        "planted",
        "decoder",
        "share (prior)",
        "(aggregate q)",
        "correlation of σ(z)",
        "mean σ over planted",
        "ELBO",
    ]

    def lines() -> Iterable[list[Any]]:
        for name, models, row in raw_and_calibrated(rows):
            world = f"{row['planted_share']:.0%}" + (", correlated" if row["correlated"] else "")
            shares = [over(models, key, percent=True) for key in ("share_prior", "share")]
            sigma = [over(models, key, 2) for key in ("sigma_correlation", "sigma_ratio")]
            yield [world, name, *shares, *sigma, over(models, "elbo", 1)]

    show(head, lines())


def over_training(rows: list[Row]) -> None:
    epochs = rows[0]["epochs"]
    shown = [i for i, epoch in enumerate(epochs) if epoch in (0, 1, 4, 10, 20, 40, 70, 100, 150)]

    def lines() -> Iterable[list[Any]]:
        for row in rows:
            start = [row["network"], f"{row['start_sigma2']:g}"]
            yield [*start, "σ²", *(f"{np.mean(row['sigma2'][i]):.3g}" for i in shown)]
            yield [*start, "active", *(f"{np.mean(row['active'][i]):.1f}" if row["active"][i] else "–" for i in shown)]
            yield [*start, "ELBO", *(f"{np.mean(row['elbo'][i]):.1f}" if row["elbo"][i] else "–" for i in shown)]

    show(["network", "start σ²", "epoch", *(str(epochs[i]) for i in shown)], lines())


def collapse(rows: list[Row]) -> None:
    scans = {row["network"]: row for row in rows if row["noise"] == "fixed"}
    first = next(iter(scans.values()))
    counts = [(network, kind) for network in scans for kind in ("active", "directions")]
    names = {"active": "active units", "directions": "directions"}
    show(
        ["σ²", "eigenvalues above, of the first 20", *(f"{network}: {names[kind]}" for network, kind in counts)],
        (
            [
                f"{value:g}",
                first["eigenvalues_above"][i],
                *(f"{np.mean(scans[network][kind][i]):g}" for network, kind in counts),
            ]
            for i, value in enumerate(first["sigma2"])
        ),
    )
    for row in rows:
        if row["noise"] == "learned":
            active, directions = (f"{np.mean(row[kind]):g}" for kind in ("active", "directions"))
            print(
                f"\n{row['network']}, σ² learned: {np.mean(row['sigma2']):.3g}, {active} active units, {directions} "
                f"directions; mean discarded eigenvalue {row['mean_discarded_eigenvalue']:.3g}"
            )


def linear_mnist(rows: list[Row]) -> None:
    keys = ["train_elbo", "train_log_p", "test_elbo", "test_log_p"]
    show(
        ["model", *keys, "σ²"],
        ([row["model"], *(f"{row[k]:.2f}" if k in row else "–" for k in keys), f"{row['sigma2']:.5f}"] for row in rows),
    )


def equal_d(rows: list[Row]) -> None:
    def line(row: Row) -> list[Any]:
        if "models" not in row:
            return [row["d"], row["model"], f"{row['share']:.1%}", "–", "–"]
        models = row["models"]
        shares = [over(models, key, percent=True) for key in ("share_prior", "share")]
        return [row["d"], row["model"], *shares, over(models, "elbo", 1)]

    show(["d", "model", "latent share (prior)", "(aggregate q, test)", "test ELBO"], map(line, rows))


def beta_zero(rows: list[Row]) -> None:
    def line(row: Row) -> list[Any]:
        keys = ("sd_before", "sd_after", "sd_after_over_means")
        sds = [over(row["models"], key, 4) if key in row["models"][0] else "–" for key in keys]
        decibels = psnr(float(np.mean([model["squared_error"] for model in row["models"]])), 64)
        return [row["model"], over(row["models"], "squared_error"), f"{decibels:.1f}", *sds]

    show(["model", "held-out squared error", "dB", "sd of q before", "after", "over the means' sd"], map(line, rows))


def collapsed(rows: list[Row]) -> None:
    keys = ["no_unit_active", "some_active", "all_active", "greatest_kl_per_unit", "least_kl_per_unit"]
    show(["σ²", *keys], ([row["sigma2"], *(row[key] for key in keys)] for row in rows))


TABLES: dict[str, Callable[[list[Row]], None]] = {
    "spread": spread,
    "two_seeds": two_seeds,
    "planted": planted,
    "over_training": over_training,
    "collapse_digits": collapse,
    "collapse_mnist": collapse,
    "linear_mnist": linear_mnist,
    "equal_d": equal_d,
    "beta_zero": beta_zero,
    "collapsed": collapsed,
}
