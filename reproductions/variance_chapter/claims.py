"""The chapter's own figures: what it claims, what was measured, and whether it held."""

import html

import torch
from shelf import ROW, Shelf, drawing, pictures, samples
from verdicts import MODELS, SAMPLES, SIMPLE, error, frechet, less, measured, varies, verdict, widest

from elbowroom.numerics import with_error
from elbowroom.plots import latent_map


def reconstructions(shelf: Shelf, *names: str) -> str:
    """Test images on top, under them their decoded means by each model."""
    rows = [shelf.data.test.x[:ROW]]
    rows += [shelf.model(name).reconstruct(shelf.data_for(name).test[:ROW]) for name in names]
    return pictures(rows) + caption("test images", *names)


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
    points, labels = z.numpy(), test.labels.numpy()
    return drawing(
        lambda sheet: latent_map(points, labels, axes="z₁ across, z₂ up", ax=sheet.subplots()), f"z of {name}"
    )


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


def errors(*names: str) -> str:
    """Squared error, PSNR and share that changes class, in words."""
    said = []
    for name in names:
        row = MODELS["pca"][name.split()[1]] if name.startswith("PCA") else MODELS[name]
        moved = row.get("changed_class")
        said.append(
            f"{name}: squared error {with_error(*row['squared_error'])}, PSNR {row['psnr']:.1f} dB"
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


def section(title: str, claim: str, body: str, measured: str, held: str) -> str:
    """One figure with its three lines."""
    return (
        f"<figure><h3>{html.escape(title)}</h3><p class=how>The chapter: {html.escape(claim)}</p>{body}"
        f"<p class=note>Score: {html.escape(measured)} <strong>{html.escape(held)}</strong></p></figure>"
    )


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
            verdict("5.4"),
        ),
        section(
            "5.5 Reconstructions, simple VAE, d = 20, at three floors of σ",
            "still imperfect with twenty numbers.",
            reconstructions(shelf, *floors),
            errors(*floors) + " The floor decides: the mean is fitted only as well as σ makes worth while.",
            verdict("5.5"),
        ),
        section(
            "5.6 PCA at d = 1, 10, 50, 250, beside VAEs of the same d with one learned σ",
            "PCA with ten components reconstructs as well as the simple VAE with twenty.",
            pca_rows(shelf),
            errors("PCA 10", "PCA 20", *floors, "normal, one σ")
            + f" One learned σ at d = 20 leaves {error('normal, one σ')[0] / error('PCA 20')[0]:.2f} of PCA's error.",
            verdict("5.6"),
        ),
        section(
            "5.7 Ancestral samples of the simple VAE",
            "blurry, imperfect, and lacking diversity.",
            samples(shelf, SIMPLE),
            apart(ancestral)
            + f"; training images against test: Fréchet {floor:.2f}. Recall says how much of the data's "
            "variety is reached, precision how many samples look like data.",
            verdict("5.7"),
        ),
        section(
            "5.8 A counterpart to the pictures of the literature: means of a VAE with one learned σ",
            "published pictures are far more flattering.",
            samples(shelf, "normal, one σ", "mean"),
            apart("normal, one σ | mean") + "; ancestral, " + apart("normal, one σ | ancestral") + ".",
            f"Means of one σ are nearer: {less(frechet('normal, one σ | mean'), frechet(ancestral))}.",
        ),
        section(
            "5.9 Reconstructions with a small β, d = 20",
            "much better than those of figure 5.5.",
            reconstructions(shelf, SIMPLE, small),
            errors(SIMPLE, small) + " At each floor: " + measured("5.9"),
            verdict("5.9"),
        ),
        section(
            "5.10 and 5.11 Reconstructions with σ = 1, d = 2 and 20",
            "noticeably better than with a predicted σ.",
            reconstructions(shelf, "σ=1 d=2", one),
            errors("simple d=2", "σ=1 d=2", SIMPLE, one) + f" d = 2, {measured('5.10')} d = 20, {measured('5.11')}",
            f"d = 2: {verdict('5.10')} d = 20: {verdict('5.11')}",
        ),
        section(
            "5.12 Means instead of samples, from the z of figure 5.7",
            "the same model looks better when its means are shown for samples.",
            samples(shelf, SIMPLE, "mean"),
            apart(mean) + ". A model sampled by its means has no log p(x) at all; they leave out "
            f"{1 - MODELS[SIMPLE]['variance']['prior']['latent_share'][0]:.0%} of its variance.",
            verdict("5.12"),
        ),
        section(
            "5.13 and 5.14 Reconstructions with σ = 0.0001, d = 2 and 20",
            "as good as with a small β: both move variance into the latent.",
            reconstructions(shelf, "σ=0.0001 d=2", tiny),
            errors("σ=0.0001 d=2", tiny, small)
            + f" Latent share: {MODELS[tiny]['variance']['posterior']['latent_share'][0]:.1%} and "
            f"{MODELS[small]['variance']['posterior']['latent_share'][0]:.1%}.",
            f"d = 2: {verdict('5.13')} d = 20: {verdict('5.14')}",
        ),
        section(
            "5.15 Samples μ + ασ, α = −2 … 2",
            "look as good as the means for every α, since pixels move together.",
            "".join(samples(shelf, "simple d=20, floor 0.1", o.split(" | ")[1], rows=1) for o in offsets),
            "; ".join(f"α = {o.split()[-1] if 'offset' in o else 0}: Fréchet {frechet(o)[0]:.1f}" for o in offsets)
            + f"; ancestral {frechet('simple d=20, floor 0.1 | ancestral')[0]:.1f} (floor of σ 0.1).",
            verdict("5.15"),
        ),
        section(
            "5.16 β far too small and far too large, d = 2",
            "too small a β spreads and correlates the latent; too large a β leaves the average of all digits.",
            "".join(latent_plane(shelf, name) + decoded_grid(shelf, name, 10) for name in (low, high)),
            _spread_words(low, high, "simple d=2") + " At each floor: " + measured("5.16"),
            verdict("5.16"),
        ),
        section(
            "5.17 The same on one digit",
            "small β: more variety, more flaws; large β: all alike.",
            "".join(decoded_grid(shelf, f"digit 3, simple d=2, {beta}", 10) for beta in ("β=0.001", "β=1000")),
            _spread_words("digit 3, simple d=2, β=0.001", "digit 3, simple d=2, β=1000", "digit 3, one σ d=2"),
            verdict("5.17"),
        ),
        section(
            "5.18 Latent space with σ = 0.0001, d = 2",
            "a small σ spreads the latent as a small β does.",
            latent_plane(shelf, "σ=0.0001 d=2") + decoded_grid(shelf, "σ=0.0001 d=2", 10),
            _spread_words("σ=0.0001 d=2", "σ=1 d=2", "one σ d=2"),
            "It held." if widest("σ=0.0001 d=2") > widest("σ=1 d=2") else "It did not hold.",
        ),
    ]


def _spread_words(*names: str) -> str:
    said = []
    for name in names:
        z = MODELS[name]["z"]
        said.append(
            f"{name}: rate {MODELS[name]['rate'][0]:.1f} nats, variance of z {z['greatest']:.2g} in the widest unit "
            f"({z['within']:.2g} of it within an image on average), correlation of units up to {z['correlation']:.2f}, "
            f"decoded means vary by {varies(name):.0%} of the data's variance"
        )
    return "; ".join(said) + "."
