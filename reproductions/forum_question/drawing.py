"""The figures, from the records."""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sandwich import LAMBDAS, at_least, exact
from shelf import HERE, Row, by, first, over, records

from elbowroom.plots import Series, lines


def run() -> None:
    """figures/<name>.svg of every record that is there."""
    (HERE / "figures").mkdir(exist_ok=True)
    for name, (record, draw) in FIGURES.items():
        if (HERE / "records" / f"{record}.json").exists():
            with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
                draw(records(record)).savefig(HERE / "figures" / f"{name}.svg", metadata={"Date": None})


def _series(name: str, rows: list[Row], across: str, value: Callable[[Row], float], look: Any = "line") -> Series:
    """Means over seeds of a value, against another, with standard errors."""
    groups = sorted(by(rows, across).items())
    found = [over([{"value": value(row)} for row in group], "value") for _, group in groups]
    x = [key for (key,), _ in groups]
    return Series(name, x, [mean for mean, _ in found], [error for _, error in found], look)


def _sheet(panels: int) -> tuple[Figure, Any]:
    sheet = Figure(figsize=(5.4 * panels, 4.4), layout="constrained")
    return sheet, sheet.subplots(1, panels)


def scan(rows: list[Row]) -> Figure:
    """Bounds at σ = 1 and calibrated; rate and information."""
    sheet, (left, middle, right) = _sheet(3)
    annealed = [row for row in rows if "ais" in row]
    lines([_series("ELBO", rows, "beta", lambda row: first(row["elbo"])),
           _series("AIS, 50 images", annealed, "beta", lambda row: first(row["ais"]), "points")],
          across="β", up="nats, at σ = 1", log_x=True, ax=left)  # fmt: skip
    lines([_series("ELBO", rows, "beta", lambda row: first(row["calibrated"]["elbo"])),
           _series("IWAE-100", rows, "beta", lambda row: first(row["calibrated"]["iwae"])),
           _series("AIS, 50 images", annealed, "beta", lambda row: first(row["calibrated_ais"]), "points")],
          across="β", up="nats, σ calibrated", log_x=True, ax=middle)  # fmt: skip
    lines([_series("rate", rows, "beta", lambda row: first(row["rate"])),
           _series("I(x; z) over 1,200 images", rows, "beta", lambda row: first(row["information"]))],
          across="β", up="nats", log_x=True, ax=right)  # fmt: skip
    return sheet


def sizes(rows: list[Row]) -> Figure:
    """Squared error, rate and units, log p, against the number of latents."""
    sheet, (left, middle, right) = _sheet(3)
    pca = records("pca")
    lines([_series("VAE, test", rows, "d", lambda row: row["squared_error"][1]),
           _series("VAE, training", rows, "d", lambda row: row["squared_error"][0], "dashed"),
           _series("PCA, test", pca, "d", lambda row: row["squared_error"][1]),
           _series("PCA, training", pca, "d", lambda row: row["squared_error"][0], "dashed")],
          across="latents", up="squared error per image", log_x=True, ax=left)  # fmt: skip
    lines([_series("rate, nats", rows, "d", lambda row: first(row["test"]["rate"])),
           _series("units in use", rows, "d", lambda row: row["active"]),
           _series("rate of probabilistic PCA, nats", pca, "d", lambda row: row["rate"], "dashed")],
          across="latents", up="rate; units in use", log_x=True, ax=middle)  # fmt: skip
    lines([_series("VAE, test (IWAE-100)", rows, "d", lambda row: first(row["test"]["iwae"])),
           _series("VAE, training", rows, "d", lambda row: first(row["train"]["iwae"]), "dashed"),
           _series("probabilistic PCA, test", pca, "d", lambda row: row["log_p"][1][0]),
           _series("probabilistic PCA, training", pca, "d", lambda row: row["log_p"][0][0], "dashed")],
          across="latents", up="log p(x), nats", log_x=True, ax=right)  # fmt: skip
    return sheet


def curve(rows: list[Row]) -> Figure:
    """The plane, and how far the one network is behind."""
    sheet, (left, right) = _sheet(2)
    kinds = list(dict.fromkeys(row["how"] for row in rows))
    planes = []
    for kind in kinds:
        groups = by([row for row in rows if row["how"] == kind], "beta").values()
        points = [(over(group, "rate")[0], over(group, "distortion")[0]) for group in groups]
        looks = {"grid": "points"}
        planes.append(Series(kind, *map(list, zip(*points, strict=True)), look=looks.get(kind, "line")))  # type: ignore[arg-type]
    lines(planes, across="rate, nats", up="distortion, nats", ax=left)
    grid = {(row["beta"], row["seed"]): row["objective"] for row in rows if row["how"] == "grid"}
    behind = [row | {"behind": row["objective"] - grid[row["beta"], row["seed"]]} for row in rows
              if row["how"] != "grid"]  # fmt: skip
    lines([_series(kind, [row for row in behind if row["how"] == kind], "beta", lambda row: row["behind"])
           for kind in kinds[1:]],
          across="β", up="D + βR above the grid's, nats", log_x=True, ax=right)  # fmt: skip
    return sheet


def between(rows: list[Row]) -> Figure:
    """R(D) from above and from below: of a Gaussian source, whose own is known, and of the digits."""
    sheet, panels = _sheet(2)
    for source, panel in zip(("Gaussian", "digits"), panels, strict=True):
        own = [row for row in rows if row["source"] == source]
        points = [(first(row["distortion"]), first(row["rate"])) for row in own]
        series = [Series("VAEs, test: above", *map(list, zip(*points, strict=True)), look="points")]
        across = np.linspace(min(points)[0], max(points)[0], 60)
        series.append(Series("from below", list(across), [at_least(own, d) for d in across], look="line"))
        if source == "Gaussian":
            known = sorted(tuple(exact(slope).values()) for slope in np.geomspace(min(LAMBDAS), max(LAMBDAS), 40))
            series.append(Series("R(D)", *map(list, zip(*known, strict=True)), look="dashed"))
        lines(series, across=f"squared error, {source}", up="rate, nats", ax=panel)
    return sheet


FIGURES: dict[str, tuple[str, Callable[[list[Row]], Figure]]] = {
    "scan": ("scan", scan),
    "sizes": ("sizes", sizes),
    "curve": ("curve", curve),
    "sandwich": ("sandwich", between),
}
