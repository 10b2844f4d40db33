"""Learned and structured decoders on the chapter's panels, in tables and pictures."""

import base64
import html
from collections.abc import Sequence

import numpy as np
from models import CELLS, FAMILIES, Cell
from shelf import ROW, Shelf, drawing, samples, table
from verdicts import MODELS, SAMPLES, SIMPLE

import elbowroom as er
from elbowroom.numerics import with_error
from elbowroom.plots import Bar, mosaic, stacked_bars, to_bytes

ANSWERS = (SIMPLE, "sparse precision", "mixture of 5 logistics, 20 epochs",
           "mixture of 5 logistics, 20 epochs, neighbours")  # fmt: skip
"""Whose ancestral samples the README shows under test images."""
MAPPED = ("normal, one σ", "Matérn field, one σ", "normal, σ(z)", "low rank 10", "Matérn field", "sparse precision",
          "discretised logistic", *ANSWERS[2:])  # fmt: skip
"""Whose maps of residual correlation are drawn."""
SHORT = (("mixture of 5 logistics", "5L"), ("discretised", "discr."), (" precision", ""), ("neighbours", "nbrs"),
         ("epochs", "ep."), ("σ per pixel", "σ/pixel"), ("truncated", "trunc."), ("field on", "on"),
         ("low rank 10, one F, one σ", "low rank, one F, σ"))  # fmt: skip
"""What names are cut to beside bars."""
LONGEST = 400  # per cent of the data's variance: longer bars are said, not drawn, or the others could not be read
ABBREVIATED = "5L: mixture of 5 logistics; nbrs: neighbours; ep.: epochs."


def answers(shelf: Shelf) -> list[str]:
    """Learned and structured decoders on the same panels, in tables."""
    return [
        "<h2>Every decoder family, d = 20</h2>",
        _likelihoods([cell.name for cell in FAMILIES]),
        _bars([cell.name for cell in FAMILIES]),
        "<h2>Are the samples samples?</h2>",
        _distances(),
        _ink(),
        _correlations(shelf),
        "<h2>Other data</h2>",
        _likelihoods([c.name for c in CELLS if c.data == "fashion-mnist"]),
        _likelihoods([c.name for c in CELLS if c.data == "cifar10"]),
    ]


def _likelihoods(names: Sequence[str]) -> str:
    rows = []
    for name in [n for n in names if n in MODELS]:
        row = MODELS[name]
        moved = row.get("changed_class")
        rows.append(
            [
                name,
                with_error(*row["bits"]),
                f"{row['rate'][0]:.1f}",
                f"{row['iwae'][0] - row['elbo'][0]:.1f}",
                with_error(*row["squared_error"]),
                f"{row['psnr']:.1f}",
                f"{moved['value']:.1%}" if moved else "–",
                f"{row['variance']['posterior']['latent_share'][0]:.1%}",
                f"{row['images']:,} × {row['epochs']}",
            ]
        )
    rows.sort(key=lambda row: float(row[1].split(" ")[0]))
    head = ["p(x | z)", "bits per dimension, IWAE-128 (neighbours: 32)", "rate", "IWAE − ELBO", "squared error",
            "PSNR, dB", "changes class", "latent share", "images × epochs"]  # fmt: skip
    return table(head, rows)


def _bars(names: Sequence[str]) -> str:
    bars = []
    for name in [n for n in names if n in MODELS]:
        split = MODELS[name]["variance"]["posterior"]
        parts = tuple(100 * split[part] / split["data"] for part in ("latent", "noise"))
        bars.append(Bar(_short(name), parts, f"{split['latent_share'][0]:.0%} latent"))
    total = MODELS["normal, one σ"]["variance"]["posterior"]["data"]
    for d in ("2", "20"):
        left, share = 100 * MODELS["pca"][d]["squared_error"][0] / total, 100 * MODELS["pca"][d]["latent_share"]
        bars.append(Bar(f"PCA d={d}", (100 - left, 0.0), "no noise, no density"))
        bars.append(Bar(f"pPCA d={d}", (share, 100 - share), f"{share:.0f}% latent"))
    mixed = MODELS["Gaussian mixture"]
    halves = tuple(100 * mixed[part] / total for part in ("latent", "noise"))
    between = mixed["latent"] / (mixed["latent"] + mixed["noise"])
    bars.append(Bar(f"mixture of {mixed['components']}", halves, f"{between:.0%} between components"))
    svg = _drawn(
        bars, ("latent, Var E[x | z]", "noise, E Var[x | z]"), "Variance budget",
        "% of the test images' variance; z from the encoder",
    )  # fmt: skip
    caption = _too_long(bars) + ABBREVIATED
    return f"<figure><h3>Where the variance of x goes</h3>{svg}<figcaption>{caption}</figcaption></figure>"


def _drawn(bars: Sequence[Bar], names: Sequence[str], title: str, axis: str) -> str:
    short = [bar for bar in bars if sum(bar.parts) <= LONGEST]
    return drawing(lambda sheet: stacked_bars(short, names, axis=axis, ax=sheet.subplots()), title)


def _too_long(bars: Sequence[Bar]) -> str:
    said = [f"{bar.name} {sum(bar.parts):,.0f}%" for bar in bars if sum(bar.parts) > LONGEST]
    return f"Too long to be drawn: {'; '.join(said)}. " if said else ""


def _short(name: str) -> str:
    """A name that fits beside a bar."""
    for long, short in SHORT:
        name = name.replace(long, short)
    return name


def _distances() -> str:
    rows = []
    for name, row in SAMPLES.items():
        odds = [row["two_sample"][kind] for kind in ("logistic", "trees", "convolutional")]
        near = row["precision_recall"]
        rows.append(
            [
                name.replace(" | ", ", "),
                *(f"{one['log_odds']:.3f} ± {one['se']:.3f}" for one in odds),
                with_error(row["frechet"]["distance"], row["frechet"]["se"]),
                f"{near['precision']:.0%}",
                f"{near['recall']:.0%}",
                f"{row['pixel_variance']:.1f}",
            ]
        )
    rows.sort(key=lambda row: float(row[4].split(" ")[0].replace(",", "")))
    head = [
        "samples",
        "log-odds, logistic",
        "trees",
        "convolutional",
        "Fréchet",
        "precision",
        "recall",
        "Σ Var of pixels",
    ]
    return table(head, rows)


def _ink() -> str:
    rows = [["test images", with_error(MODELS["ink of test images"]["value"], MODELS["ink of test images"]["se"])]]
    rows += [[n.replace(" | ", ", "), with_error(r["ink"]["value"], r["ink"]["se"])] for n, r in SAMPLES.items()]
    bars = []
    for name in [cell.name for cell in FAMILIES if cell.name in MODELS]:
        data, latent, diagonal, covariance = MODELS[name]["variance"]["posterior"]["ink"]
        parts = tuple(100 * max(part, 0.0) / data for part in (latent, diagonal, covariance))
        bars.append(Bar(_short(name), parts, f"{latent / (latent + diagonal + covariance):.0%} latent"))
    svg = _drawn(
        bars, ("latent", "noise, were pixels independent", "what their covariance adds"),
        "Variance of the total ink", "% of the test images' variance of Σ pixels; z from the encoder",
    )  # fmt: skip
    return (
        "<h3>Variance of the total ink</h3>" + table(["samples", "Var Σ pixels"], rows)
        + f"<figure><h3>What the ink's variance is made of</h3>{svg}<figcaption>Independent noise averages out over "
        "784 pixels: only the latent and the covariance of the noise can move the total. "
        f"{_too_long(bars)}{ABBREVIATED}</figcaption></figure>"
    )  # fmt: skip


def _correlations(shelf: Shelf) -> str:
    rows = []
    for name in [cell.name for cell in FAMILIES if cell.name in MODELS]:
        found = MODELS[name]["residuals"]
        rows.append([name, *(f"{round(found[who]['adjacent'], 2) + 0.0:.2f}" for who in ("data", "model"))])
    maps = []
    for name in [name for name in MAPPED if name in MODELS]:
        found = MODELS[name]["residuals"]
        both = [np.kron(np.array(found[who]["by_lag"]), np.ones((5, 5))) for who in ("data", "model")]
        drawn = [to_bytes(-one[None], one.shape, (-1.0, 0.0)) for one in both]
        text = html.escape(name) + _field(shelf, name)
        picture = mosaic([np.concatenate(drawn)], gap=5)
        maps.append(f'<figure><img alt="" src="{picture}"><figcaption>{text}</figcaption></figure>')
    return (
        "<h3>Correlation of the residuals of adjacent pixels</h3>" + table(["p(x | z)", "data", "model"], rows)
        + "<h3>Correlation of residuals at lags −5 … 5 both ways</h3><p>Left the data's residuals around the decoder's "
        "mean, right what the model says they are; the middle is lag 0, black is 1, white 0 or less.</p>"
        + f"<div class=maps>{''.join(maps)}</div>"
    )  # fmt: skip


def _field(shelf: Shelf, name: str) -> str:
    likelihood = shelf.model(name).likelihood
    if not isinstance(likelihood, er.likelihoods.MaternNormal):
        return ""
    return f": length {likelihood.length_now():.2f} pixels, white share {likelihood.nugget_now():.1%}"


def gallery(shelf: Shelf, cell: Cell) -> str:
    """A row of a family's samples and, where there are any, of its means."""
    means = "" if cell.neighbours else samples(shelf, cell.name, "mean", rows=1)
    caption = "Ancestral samples" + ("; under them means, from the same z." if means else ".")
    drawn = samples(shelf, cell.name, rows=1) + means
    return f"<figure><h3>{html.escape(cell.name)}</h3>{drawn}<figcaption>{caption}</figcaption></figure>"


def answer(shelf: Shelf) -> bytes:
    """A picture for the README: a row of test images, and one of ancestral samples of each decoder of ANSWERS."""
    rows = [shelf.data.test.x[: 2 * ROW]]
    rows += [shelf.model(name).sample(2 * ROW, seed=2) for name in ANSWERS]
    drawn = [to_bytes(row.numpy(), (28, 28), (0, 255)) for row in rows]
    return base64.b64decode(mosaic(drawn, gap=1).partition("base64,")[2])
