"""One page: the chapter's figures, under each what the chapter claims, what was measured, and whether it held.

python reproductions/variance_chapter/page.py [--runs FOLDER]      # chapter.html, from records/ and the trained models
"""

import argparse
import base64
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import CELLS, FAMILIES, GRID, Cell, data_of, folder_of
from numpy.typing import NDArray
from torch import Tensor

import elbowroom as er
from elbowroom import figures
from elbowroom.training import read_run

HERE = Path(__file__).parent
WIDE = 760
ROW = 12
SIMPLE = "normal, σ(z)"
"""The chapter's simple VAE at d = 20: mean and σ of every pixel predicted."""
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
ABBREVIATED = "5L: mixture of 5 logistics; nbrs: neighbours; ep.: epochs."
MODELS: dict[str, Any] = {}
SAMPLES: dict[str, Any] = {}


class Shelf:
    """The trained models by name, and MNIST."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.cells = runs, {cell.name: cell for cell in CELLS}
        self.data = data_of(self.cells[SIMPLE])
        self.levels = data_of(self.cells["discretised logistic"])

    def model(self, name: str) -> er.VAE:
        """A trained model in evaluation mode."""
        from models import model_of

        cell = self.cells[name]
        if cell.family not in GRID:
            return read_run(self.runs / folder_of(cell))[0]
        from safetensors.torch import load_file

        vae = model_of(cell, self.levels)
        vae.load_state_dict(load_file(self.runs / folder_of(cell) / "model.safetensors"))
        return vae

    def data_for(self, name: str) -> Any:
        """The data that the model reads."""
        cell = self.cells[name]
        if cell.family in GRID:
            return self.levels
        return self.data if cell.data == "mnist" and not cell.logits else data_of(cell)


def pictures(rows: Sequence[Tensor]) -> str:
    """Rows of images [n, 784] in levels, as one picture."""
    drawn: list[NDArray[np.uint8]] = [figures.to_bytes(row.numpy(), (28, 28), (0, 255)) for row in rows]
    return f'<img alt="" src="{figures.mosaic(drawn)}">'


def reconstructions(shelf: Shelf, *names: str) -> str:
    """Test images on top, under them their decoded means by each model."""
    rows = [shelf.data.test.x[:ROW]]
    rows += [shelf.model(name).reconstruct(shelf.data_for(name).test[:ROW]) for name in names]
    return pictures(rows) + caption("test images", *names)


def samples(shelf: Shelf, name: str, mode: str = "ancestral", rows: int = 4) -> str:
    """Samples of one model; the same seed draws the same z in every mode."""
    word, _, offset = mode.partition(" ")
    x = shelf.model(name).sample(rows * ROW, mode=word, offset=float(offset or 0), seed=2)  # type: ignore[arg-type]
    return pictures(list(x.split(ROW)))


def decoded_grid(shelf: Shelf, name: str, side: int = 10) -> str:
    """Decoded means over the plane of a two-dimensional latent, from −2.5 to 2.5 both ways."""
    vae = shelf.model(name).eval()
    line = torch.linspace(-2.5, 2.5, side)
    z = torch.stack(torch.meshgrid(line, -line, indexing="xy"), -1).reshape(1, -1, 2)
    with torch.no_grad():
        x = vae.preprocess.inverse(vae.likelihood({"z": z}).mean[0])
    return pictures(list(x.split(side)))


def latent_plane(shelf: Shelf, name: str) -> str:
    """z ~ q(z | x) of 2,000 test images by digit."""
    vae, data = shelf.model(name), shelf.data_for(name)
    test = data.test[:2_000]
    with torch.no_grad():
        z = vae.eval()(test.batch(), vae.keyed_noise(1, test.index, 0)).z["z"][0]
    return figures.latent_map(z.numpy(), test.labels.numpy(), None, "z₁ across, z₂ up", width=560, title=f"z of {name}")


def pca_rows(shelf: Shelf) -> str:
    """Reconstructions by PCA and by a VAE with one learned σ, at equal d."""
    from sklearn.decomposition import PCA

    train, test = shelf.data.train.x[:30_000].double().numpy(), shelf.data.test.x[:ROW]
    rows = [test]
    for d in (1, 10, 50, 250):
        pca = PCA(d, svd_solver="covariance_eigh").fit(train)
        rows.append(torch.from_numpy(pca.inverse_transform(pca.transform(test.double().numpy()))))
        rows.append(shelf.model(f"one σ d={d}").reconstruct(shelf.data.test[:ROW]))
    return pictures(rows) + caption("test images", *(f"{m} d={d}" for d in (1, 10, 50, 250) for m in ("PCA", "VAE")))


def caption(*rows: str) -> str:
    """What the rows of a picture are, from the top."""
    return f"<figcaption>From the top: {html.escape(', '.join(rows))}.</figcaption>"


def error(name: str) -> float:
    """Squared error of a model's reconstructions on test; "PCA 10" is PCA's."""
    row = MODELS["pca"][name.split()[1]] if name.startswith("PCA") else MODELS[name]
    return float(row["squared_error"][0])


def errors(*names: str) -> str:
    """Squared error, PSNR and share that changes class, in words."""
    said = []
    for name in names:
        row = MODELS["pca"][name.split()[1]] if name.startswith("PCA") else MODELS[name]
        moved = row.get("changed_class")
        said.append(
            f"{name}: squared error {figures.with_error(*row['squared_error'])}, PSNR {row['psnr']:.1f} dB"
            + (f", {moved['value']:.1%} ± {moved['se']:.1%} change class" if moved else "")
        )
    return "; ".join(said) + "."


def apart(name: str) -> str:
    """How far samples are from data, in words."""
    row = SAMPLES[name]
    odds = "/".join(f"{row['two_sample'][kind]['log_odds']:.3f}" for kind in row["two_sample"])
    near = row["precision_recall"]
    return (
        f"{name.replace(' | ', ', ')}: log-odds {odds} of at most 0.693, Fréchet {row['frechet']['distance']:.1f} ± "
        f"{row['frechet']['se']:.1f}, precision {near['precision']:.0%}, recall {near['recall']:.0%}"
    )


def frechet(name: str) -> float:
    """Fréchet distance of samples to test images."""
    return float(SAMPLES[name]["frechet"]["distance"])


def section(title: str, claim: str, body: str, measured: str, held: bool | str) -> str:
    """One figure with its three lines."""
    word = held if isinstance(held, str) else "It held." if held else "It did not hold."
    return (
        f"<figure><h3>{html.escape(title)}</h3><p class=how>The chapter: {html.escape(claim)}</p>{body}"
        f"<p class=note>Measured: {html.escape(measured)} <strong>{html.escape(word)}</strong></p></figure>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, the first column in words."""
    top = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th scope=row>{html.escape(row[0])}</th>{''.join(f'<td>{html.escape(c)}</td>' for c in row[1:])}</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def chapter(shelf: Shelf) -> list[str]:
    """The chapter's own figures."""
    floors = (SIMPLE, "simple d=20, floor 0.01", "simple d=20, floor 0.1")
    two = ("simple d=2", "simple d=2, floor 0.01", "simple d=2, floor 0.1")
    small, tiny, one = "simple d=20, β=0.01", "σ=0.0001 d=20", "σ=1 d=20"
    ancestral, mean = f"{SIMPLE} | ancestral", f"{SIMPLE} | mean"
    shifted = [f"simple d=20, floor 0.1 | offset {a}" for a in (-2, -1, 1, 2)]
    offsets = [shifted[0], shifted[1], "simple d=20, floor 0.1 | mean", shifted[2], shifted[3]]
    low, high = "simple d=2, β=0.001", "simple d=2, β=1000"
    floor = SAMPLES["training images"]["frechet"]["distance"]
    return [
        section(
            "5.3 Latent space of the simple VAE, d = 2",
            "the encoded images and the decoded plane of a VAE whose network predicts a mean and a σ for every pixel.",
            latent_plane(shelf, two[0]) + decoded_grid(shelf, two[0]),
            f"rate {MODELS[two[0]]['rate'][0]:.1f} nats; σ is floored at one grid step's noise, 1/256/√12, as "
            "otherwise the black border would buy a density without limit.",
            "A picture; no claim to hold.",
        ),
        section(
            "5.4 Reconstructions, simple VAE, d = 2, at three floors of σ",
            "blurry, and sometimes the digit is another one.",
            reconstructions(shelf, *two),
            errors(*two),
            MODELS[two[0]]["changed_class"]["value"] > 0.05,
        ),
        section(
            "5.5 Reconstructions, simple VAE, d = 20, at three floors of σ",
            "still imperfect with twenty numbers.",
            reconstructions(shelf, *floors),
            errors(*floors) + " The floor decides: the mean is fitted only as well as σ makes worth while.",
            MODELS[floors[0]]["changed_class"]["value"] > 0.02,
        ),
        section(
            "5.6 PCA at d = 1, 10, 50, 250, beside VAEs of the same d with one learned σ",
            "PCA with ten components reconstructs as well as the simple VAE with twenty.",
            pca_rows(shelf),
            errors("PCA 10", "PCA 20", *floors, "normal, one σ")
            + f" At equal d = 20, one learned σ leaves {error('normal, one σ') / error('PCA 20'):.2f} of PCA's error.",
            error("PCA 10") <= error(SIMPLE),
        ),
        section(
            "5.7 Ancestral samples of the simple VAE",
            "blurry, imperfect, and lacking diversity.",
            samples(shelf, SIMPLE),
            apart(ancestral)
            + f"; training images against test: Fréchet {floor:.2f}. Recall says how much of the data's "
            "variety is reached, precision how many samples look like data.",
            SAMPLES[ancestral]["precision_recall"]["recall"] < 0.5,
        ),
        section(
            "5.8 A counterpart to the pictures of the literature: means of a VAE with one learned σ",
            "published pictures are far more flattering.",
            samples(shelf, "normal, one σ", "mean"),
            apart("normal, one σ | mean") + "; ancestral, " + apart("normal, one σ | ancestral") + ".",
            frechet("normal, one σ | mean") < frechet(ancestral),
        ),
        section(
            "5.9 Reconstructions with a small β, d = 20",
            "much better than those of figure 5.5.",
            reconstructions(shelf, SIMPLE, small),
            errors(SIMPLE, small),
            error(small) < 0.8 * error(SIMPLE),
        ),
        section(
            "5.10 and 5.11 Reconstructions with σ = 1, d = 2 and 20",
            "noticeably better than with a predicted σ.",
            reconstructions(shelf, "σ=1 d=2", one),
            errors("simple d=2", "σ=1 d=2", SIMPLE, one),
            error("σ=1 d=2") < error("simple d=2") and error(one) < error(SIMPLE),
        ),
        section(
            "5.12 Means instead of samples, from the z of figure 5.7",
            "the same model looks better when its means are shown for samples.",
            samples(shelf, SIMPLE, "mean"),
            apart(mean) + ". A model sampled by its means has no log p(x) at all; they leave out "
            f"{1 - MODELS[SIMPLE]['variance']['prior']['latent_share'][0]:.0%} of its variance.",
            frechet(mean) < frechet(ancestral),
        ),
        section(
            "5.13 and 5.14 Reconstructions with σ = 0.0001, d = 2 and 20",
            "as good as with a small β: both move variance into the latent.",
            reconstructions(shelf, "σ=0.0001 d=2", tiny),
            errors("σ=0.0001 d=2", tiny, small)
            + f" Latent share: {MODELS[tiny]['variance']['posterior']['latent_share'][0]:.1%} and "
            f"{MODELS[small]['variance']['posterior']['latent_share'][0]:.1%}.",
            error(tiny) < 1.2 * error(small),
        ),
        section(
            "5.15 Samples μ + ασ, α = −2 … 2",
            "look as good as the means for every α, since pixels move together.",
            "".join(samples(shelf, "simple d=20, floor 0.1", o.split(" | ")[1], rows=1) for o in offsets),
            "; ".join(f"α = {o.split()[-1] if 'offset' in o else 0}: Fréchet {frechet(o):.1f}" for o in offsets)
            + f"; ancestral {frechet('simple d=20, floor 0.1 | ancestral'):.1f} (floor of σ 0.1).",
            max(frechet(o) for o in offsets) < 1.2 * frechet(offsets[2]),
        ),
        section(
            "5.16 β far too small and far too large, d = 2",
            "too small a β spreads and correlates the latent; too large a β leaves the average of all digits.",
            "".join(latent_plane(shelf, name) + decoded_grid(shelf, name, 10) for name in (low, high)),
            _spread_words(low, high, "simple d=2"),
            MODELS[low]["z"]["greatest"] > 1.5 and MODELS[high]["rate"][0] < 0.5,
        ),
        section(
            "5.17 The same on one digit",
            "small β: more variety, more flaws; large β: all alike.",
            "".join(decoded_grid(shelf, f"digit 3, simple d=2, {beta}", 10) for beta in ("β=0.001", "β=1000")),
            _spread_words("digit 3, simple d=2, β=0.001", "digit 3, simple d=2, β=1000", "digit 3, one σ d=2"),
            _varies("digit 3, simple d=2, β=0.001") > _varies("digit 3, simple d=2, β=1000"),
        ),
        section(
            "5.18 Latent space with σ = 0.0001, d = 2",
            "a small σ spreads the latent as a small β does.",
            latent_plane(shelf, "σ=0.0001 d=2") + decoded_grid(shelf, "σ=0.0001 d=2", 10),
            _spread_words("σ=0.0001 d=2", "σ=1 d=2", "one σ d=2"),
            MODELS["σ=0.0001 d=2"]["z"]["greatest"] > MODELS["σ=1 d=2"]["z"]["greatest"],
        ),
    ]


def _varies(name: str) -> float:
    """Var_z E[x | z] under the prior, over the variance of the data."""
    split = MODELS[name]["variance"]["prior"]
    return float(split["latent"] / split["data"])


def _spread_words(*names: str) -> str:
    said = []
    for name in names:
        z = MODELS[name]["z"]
        said.append(
            f"{name}: rate {MODELS[name]['rate'][0]:.1f} nats, variance of z {z['greatest']:.2g} in the widest unit "
            f"({z['within']:.2g} of it within an image on average), correlation of units up to {z['correlation']:.2f}, "
            f"decoded means vary by {_varies(name):.0%} of the data's variance"
        )
    return "; ".join(said) + "."


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
                figures.with_error(*row["bits"]),
                f"{row['rate'][0]:.1f}",
                f"{row['iwae'][0] - row['elbo'][0]:.1f}",
                figures.with_error(*row["squared_error"]),
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
        bars.append(figures.Bar(_short(name), parts, f"{split['latent_share'][0]:.0%} latent"))
    total = MODELS["normal, one σ"]["variance"]["posterior"]["data"]
    for d in ("2", "20"):
        left, share = 100 * MODELS["pca"][d]["squared_error"][0] / total, 100 * MODELS["pca"][d]["latent_share"]
        bars.append(figures.Bar(f"PCA d={d}", (100 - left, 0.0), "no noise, no density"))
        bars.append(figures.Bar(f"pPCA d={d}", (share, 100 - share), f"{share:.0f}% latent"))
    mixed = MODELS["Gaussian mixture"]
    halves = tuple(100 * mixed[part] / total for part in ("latent", "noise"))
    between = mixed["latent"] / (mixed["latent"] + mixed["noise"])
    bars.append(figures.Bar(f"mixture of {mixed['components']}", halves, f"{between:.0%} between components"))
    svg = figures.variance_bars(
        bars, ("latent, Var E[x | z]", "noise, E Var[x | z]"), width=WIDE, title="Variance budget",
        axis="% of the test images' variance; z from the encoder",
    )  # fmt: skip
    return f"<figure><h3>Where the variance of x goes</h3>{svg}<figcaption>{ABBREVIATED}</figcaption></figure>"


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
                figures.with_error(row["frechet"]["distance"], row["frechet"]["se"]),
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
    rows = [
        ["test images", figures.with_error(MODELS["ink of test images"]["value"], MODELS["ink of test images"]["se"])]
    ]
    rows += [
        [n.replace(" | ", ", "), figures.with_error(r["ink"]["value"], r["ink"]["se"])] for n, r in SAMPLES.items()
    ]
    bars = []
    for name in [cell.name for cell in FAMILIES if cell.name in MODELS]:
        data, latent, diagonal, covariance = MODELS[name]["variance"]["posterior"]["ink"]
        parts = tuple(100 * max(part, 0.0) / data for part in (latent, diagonal, covariance))
        bars.append(figures.Bar(_short(name), parts, f"{latent / (latent + diagonal + covariance):.0%} latent"))
    svg = figures.variance_bars(
        bars, ("latent", "noise, were pixels independent", "what their covariance adds"), width=WIDE,
        title="Variance of the total ink", axis="% of the test images' variance of Σ pixels; z from the encoder",
    )  # fmt: skip
    return (
        "<h3>Variance of the total ink</h3>" + table(["samples", "Var Σ pixels"], rows)
        + f"<figure><h3>What the ink's variance is made of</h3>{svg}<figcaption>Independent noise averages out over "
        "784 pixels: only the latent and the covariance of the noise can move the total. "
        f"{ABBREVIATED}</figcaption></figure>"
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
        drawn = [figures.to_bytes(-one[None], one.shape, (-1.0, 0.0)) for one in both]
        text = html.escape(name) + _field(shelf, name)
        picture = figures.mosaic([np.concatenate(drawn)], gap=5)
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


def _gallery(shelf: Shelf, cell: Cell) -> str:
    means = "" if cell.neighbours else samples(shelf, cell.name, "mean", rows=1)
    caption = "Ancestral samples" + ("; under them means, from the same z." if means else ".")
    drawn = samples(shelf, cell.name, rows=1) + means
    return f"<figure><h3>{html.escape(cell.name)}</h3>{drawn}<figcaption>{caption}</figcaption></figure>"


def page(runs: Path) -> str:
    """The whole page."""
    for store, name in ((MODELS, "models"), (SAMPLES, "samples")):
        store.update(json.loads((HERE / "records" / f"{name}.json").read_text()))
    shelf = Shelf(runs)
    style = files("elbowroom.pages").joinpath("templates/page.css").read_text()
    body = chapter(shelf) + answers(shelf)
    body += ["<h2>Samples of every family</h2>", *(_gallery(shelf, c) for c in FAMILIES if c.name in MODELS)]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Where the variance goes</title><style>{style} .scroll {{ overflow-x: auto; }} "
        ".scroll td { white-space: nowrap; } .scroll th[scope=row] { min-width: 11em; } "
        "figure > img, figure > svg { margin-top: 12px; max-width: 100%; } "
        ".maps { display: flex; flex-wrap: wrap; gap: 12px; } .maps figure { width: 230px; margin: 0; }</style>"
        "<header><h1>Where the variance goes: a chapter's figures, measured</h1>"
        "<p class=how>MNIST, levels 0 … 255 dequantised to [0, 1] unless p(x | z) is over levels; networks "
        "784-256-256-d; seed 0; test images throughout. Squared errors are sums over 784 pixels in [0, 1].</p></header>"
        "<main>" + "".join(body) + "</main></html>\n"
    )


def answer(shelf: Shelf) -> bytes:
    """A picture for the README: a row of test images, and one of ancestral samples of each decoder of ANSWERS."""
    rows = [shelf.data.test.x[: 2 * ROW]]
    rows += [shelf.model(name).sample(2 * ROW, seed=2) for name in ANSWERS]
    drawn = [figures.to_bytes(row.numpy(), (28, 28), (0, 255)) for row in rows]
    return base64.b64decode(figures.mosaic(drawn).partition("base64,")[2])


def main() -> None:
    """Write the page and the README's picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/variance_chapter"))
    arguments = parser.parse_args()
    (HERE / "chapter.html").write_text(page(arguments.runs))
    (HERE / "samples.png").write_bytes(answer(Shelf(arguments.runs)))


if __name__ == "__main__":
    main()
