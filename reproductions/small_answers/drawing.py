"""The figures, from the records."""

import math
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from shelf import HERE, Row, by, first, over, records

from elbowroom.plots import Series, images, lines


def run() -> None:
    """figures/<name>.svg of every record that is there."""
    (HERE / "figures").mkdir(exist_ok=True)
    for name, (record, draw) in FIGURES.items():
        if not (HERE / "records" / f"{record}.json").exists():
            continue
        with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
            draw(records(record)).savefig(HERE / "figures" / f"{name}.svg", metadata={"Date": None})


def _series(name: str, rows: list[Row], across: str, value: Callable[[Row], float], look: Any = "line") -> Series:
    """Means over seeds of a value, against another, with standard errors."""
    groups = by(rows, across)
    found = [over([{"value": value(row)} for row in group], "value") for group in groups.values()]
    return Series(name, [key for (key,) in groups], [mean for mean, _ in found], [error for _, error in found], look)


def _sheet(panels: int) -> tuple[Figure, Any]:
    sheet = Figure(figsize=(5.4 * panels, 4.6), layout="constrained")
    return sheet, np.atleast_1d(sheet.subplots(1, panels))


def distance(rows: list[Row]) -> Figure:
    """Samples against data, and their variance, over β."""
    sheet, (left, right) = _sheet(2)
    panels = (
        (left, "distance", "Fréchet distance of features from test images", 1),
        (right, "variance_of_data", "variance of samples on the grid, % of the data's", 100),
    )
    for ax, key, up, factor in panels:
        kinds = [_series(kind, rows, "beta", lambda row, kind=kind, key=key, f=factor: f * row["samples"][kind][key])
                 for kind in ("σ² = β", "σ calibrated", "means")]  # fmt: skip
        lines(kinds, across="β at σ = 1", up=up, log_x=True, ax=ax)
    return sheet


def z_variance(rows: list[Row]) -> Figure:
    """Var z, within and between; rate and information."""
    sheet, (left, right) = _sheet(2)
    parts = {"between: Var E[z | x]": lambda row: row["z_between"], "within: E Var[z | x]": lambda row: row["z_within"],
             "sum": lambda row: row["z_between"] + row["z_within"]}  # fmt: skip
    lines([_series(name, rows, "beta", value, "dashed" if name == "sum" else "line") for name, value in parts.items()],
          across="β at σ = 1", up="variance of z per unit (the prior's is 1)", log_x=True, ax=left)  # fmt: skip
    ceiling = Series("log N, the most that I can be", [row["beta"] for row in rows], [math.log(10_000)] * len(rows),
                     look="dashed")  # fmt: skip
    lines([_series("rate R", rows, "beta", lambda row: row["train_rate"]),
           _series("I(x; z) over 10,000 images", rows, "beta", lambda row: first(row["information"])), ceiling],
          across="β at σ = 1", up="nats", log_x=True, ax=right)  # fmt: skip
    return sheet


def bound(rows: list[Row]) -> Figure:
    """The objective beside bounds, at σ = 1 and calibrated."""
    sheet, (left, right) = _sheet(2)
    names = {"−D − βR": "objective", "ELBO": "elbo_at_1", "IWAE-128": "iwae_at_1"}
    lines([_series(name, rows, "beta", lambda row, key=key: first(row[key])) for name, key in names.items()],
          across="β", up="nats, at σ = 1", log_x=True, ax=left)  # fmt: skip
    names = {"ELBO": "calibrated_elbo", "IWAE-128": "calibrated_iwae"}
    lines([_series(name, rows, "beta", lambda row, key=key: first(row[key])) for name, key in names.items()],
          across="β", up="nats, σ calibrated", log_x=True, ax=right)  # fmt: skip
    return sheet


def share(rows: list[Row]) -> Figure:
    """The latent's share of the variance of x against σ."""
    sheet, (ax,) = _sheet(1)
    scaled = [row | {"sigma": math.sqrt(row["beta"])} for row in rows if row["beta"] <= 3]
    lines([_series("latent share", scaled, "sigma", lambda row: 100 * row["share_trained_for"])],
          across="σ, fixed", up="latent's share of Var x, %", log_x=True, ax=ax)  # fmt: skip
    return sheet


def floors(rows: list[Row]) -> Figure:
    """Bits per dimension against the least σ, training and held out."""
    sheet, axes = _sheet(2)
    smooth = [row for row in rows if row["kind"] == "discretised logistic" and not row["floor"]]
    for ax, part, title in zip(axes, ("train", "test"), ("the 100 training images", "held out"), strict=True):
        kinds = []
        for kind in ("raw", "dequantised"):
            own = [row for row in rows if row["kind"] == kind]
            for name, exact, look in (
                (f"{kind}, one normal per pixel", True, "line"),
                (f"{kind}, VAE", False, "points"),
            ):
                group = [row for row in own if ("exact" in row) == exact]
                kinds.append(_series(name, group, "floor", lambda row, part=part: first(row[part]), look))
        level = over(smooth, part)[0]
        kinds.append(
            Series("discretised logistic, default floor", list(kinds[0].x), [level] * len(kinds[0].x), look="dashed")
        )
        cut = (0.0, 6.0) if part == "train" else (1.0, 1e8)
        lines(kinds, across="least σ", up=f"bits per dimension, {title}", log_x=True, limits=cut, ax=ax)
        if part == "test":
            ax.set_yscale("log")
    return sheet


def latents(rows: list[Row]) -> Figure:
    """Errors against the size of the latent, with the prior's term and without; the bound beside."""
    sheet, (left, right) = _sheet(2)
    term, free = ([row for row in rows if row["prior_term"] == wanted] for wanted in (True, False))
    lines([_series("with the prior's term, held out", term, "d", lambda row: row["test_error"]),
           _series("with, training", term, "d", lambda row: row["train_error"], "dashed"),
           _series("without (β = 0), held out", free, "d", lambda row: row["test_error"]),
           _series("without, training", free, "d", lambda row: row["train_error"], "dashed")],
          across="latents", up="squared error per image", log_x=True, ax=left)  # fmt: skip
    lines([_series("training", term, "d", lambda row: first(row["train_iwae"]), "dashed"),
           _series("held out", term, "d", lambda row: first(row["test_iwae"]))],
          across="latents", up="log p(x) by IWAE-500, nats", log_x=True, ax=right)  # fmt: skip
    return sheet


def one_class(rows: list[Row]) -> Figure:
    """A three a row, then from 1, 10, 50 and 250 components of all digits, then of the threes alone."""
    return _by_rows(rows[0]["pictures"])


def compression(rows: list[Row]) -> Figure:
    """One image a row: the original, then from ever more of its latents."""
    return _by_rows(rows[0]["pictures"])


def _by_rows(columns: list[Any]) -> Figure:
    found = [column[i] for i in range(len(columns[0])) for column in columns]
    figure = images(np.clip(found, 0, 1), image_shape=(28, 28), across=len(columns)).figure
    assert isinstance(figure, Figure)
    return figure


FIGURES: dict[str, tuple[str, Callable[[list[Row]], Figure]]] = {
    "distance": ("scan", distance),
    "z_variance": ("scan", z_variance),
    "bound": ("scan", bound),
    "share": ("scan", share),
    "floors": ("floors", floors),
    "latents": ("latents", latents),
    "one_class": ("one_class", one_class),
    "compression": ("compression", compression),
}
