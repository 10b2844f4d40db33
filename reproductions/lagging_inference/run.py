"""Where inference lags: the true posterior's mean beside the encoder's, and the gap of inference over the epochs.

    python reproductions/lagging_inference/run.py           # record.json, tables, figure; rows that are there stay
    python reproductions/lagging_inference/run.py --draw    # the tables and the figure alone

Sequences of twenty bits, one latent, and a decoder that reads the four bits after each: it can do most without z. With
one latent the true posterior's mean and log p(x) are sums over a grid.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(2)
LENGTH, WINDOW, TRAIN, REST = 20, 4, 2_000, 500
LOADS, PULL = 1.3, 1.2  # of the planted latent on every bit, and of every bit on the one before it
LOOKS = (1, 2, 5, 10, 20, 30)
MEASURED, SHOWN = 200, 100
GRID = torch.linspace(-6, 6, 601)
WAYS: dict[str, Callable[[], Any]] = {
    "plain": lambda: er.procedures.Procedure({"vae": er.procedures.Phase(er.objectives.Elbo())}),
    "aggressive": lambda: er.procedures.Aggressive(updates=20),
    "semi-amortised": er.procedures.SemiAmortised,
}


def sequences() -> er.data.Dataset:
    """Bits, drawn from the last back: each leans to the next one, and by a planted z to 1 or 0 in turn."""
    generator = torch.Generator().manual_seed(3)
    n = TRAIN + 2 * REST
    z, x = torch.randn(n, generator=generator), torch.zeros(n, LENGTH)
    signs = torch.tensor([1.0, -1.0]).repeat(LENGTH // 2)
    for i in reversed(range(LENGTH)):
        after = 2 * x[:, i + 1] - 1 if i + 1 < LENGTH else torch.zeros(n)
        x[:, i] = torch.bernoulli(torch.sigmoid(LOADS * z * signs[i] + PULL * after), generator=generator)
    return er.load_data(x.numpy(), support="binary", validation=REST, test=REST, progress=False)


def model(seed: int) -> er.VAE:
    """One latent, small networks, and a decoder that is autoregressive over a window."""
    torch.manual_seed(seed)
    decoder = er.networks.MLP([1, 32, LENGTH])
    likelihood = er.likelihoods.Autoregressive(
        decoder, er.likelihoods.Bernoulli(None, LENGTH), image_shape=(1, LENGTH), radius=WINDOW
    )
    encoder = er.networks.MLP([LENGTH, 64, 2])
    return er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(encoder, 1), likelihood)


@torch.no_grad()
def true_posterior(vae: er.VAE, rows: Any) -> tuple[Tensor, Tensor]:
    """Mean of p(z | x), and log p(x), of every row: sums over a grid."""
    target = vae.target(rows)
    z = GRID.view(-1, 1, 1).expand(-1, len(rows), 1)
    joint = (target.log_prior(z) + target.log_likelihood(z)).double()
    log_p = joint.logsumexp(0) + torch.log(GRID[1] - GRID[0])
    return joint.softmax(0).T @ GRID.double(), log_p


def look(vae: er.VAE, rows: Any) -> dict[str, Any]:
    """Both means of some rows, and the gap of inference in its parts: means and errors over rows, nats."""
    mean, log_p = true_posterior(vae, rows)
    ours = vae.encode(rows)["z"][:, 0].double()
    refined = er.remedies.refine(vae, rows, steps=100)
    gap, rest = (log_p - torch.as_tensor(one.values) for one in (refined.elbo_before, refined.elbo_after))
    return {
        "true mean": rounded(mean[:SHOWN]),
        "encoder mean": rounded(ours[:SHOWN]),
        "spread of true means": float(mean.std()),
        "spread of encoder means": float(ours.std()),
        "distance of means": float((mean - ours).square().mean().sqrt()),
        "log p": with_error(log_p),
        "inference gap": with_error(gap),
        "amortisation": with_error(gap - rest),
    }


def rounded(values: Tensor) -> list[float]:
    """Four digits, for the picture."""
    return [round(float(value), 4) for value in values]


def with_error(values: Tensor) -> list[float]:
    """Mean over rows and its standard error."""
    return [float(values.mean()), float(values.std() / len(values) ** 0.5)]


def looking(procedure: Any, read: Callable[[], dict[str, Any]], looks: tuple[int, ...]) -> list[dict[str, Any]]:
    """Have a procedure look at the model after some epochs; the list that its looks will stand in."""
    found: list[dict[str, Any]] = []
    before, epoch = procedure.after_epoch, iter(range(1, looks[-1] + 1))

    def after_epoch(means: Mapping[str, float]) -> None:
        before(means)
        if next(epoch) in looks:
            found.append({name: means[name] for name in ("rate", "information") if name in means} | read())

    procedure.after_epoch = after_epoch
    return found


def learned(way: str, seed: int) -> dict[str, Any]:
    """The looks at one model, and the encoder's updates per batch."""
    data, vae, procedure = sequences(), model(seed), WAYS[way]()
    procedure.alone = "Its looks are at one model."
    found = looking(procedure, lambda: look(vae, data.test[:MEASURED]), LOOKS)
    history = er.fit(vae, data, procedure, epochs=LOOKS[-1], select="last", seed=seed, progress=False)
    row: dict[str, Any] = {"looks": found, "rate": history.column("validation", "rate")}
    if way == "aggressive":
        row["encoder.updates"] = history.column("train", "encoder.updates")
    return row


def rows() -> dict[str, tuple[str, int]]:
    """What is trained, by the name of the row."""
    return {f"{way}, seed {seed}": (way, seed) for seed in SEEDS for way in WAYS}


def over_seeds(record: dict[str, Any], way: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean over seeds at every look, and its standard error."""
    every = [[one[key] for one in record[f"{way}, seed {seed}"]["looks"]] for seed in SEEDS]
    values = np.array([[v[0] if isinstance(v, list) else v for v in one] for one in every])
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


COLUMNS = {
    "log p": 2,
    "rate": 3,
    "inference gap": 4,
    "amortisation": 4,
    "spread of true means": 2,
    "spread of encoder means": 2,
    "distance of means": 3,
}
"""What the table shows, with so many digits."""


def tables(record: dict[str, Any]) -> Iterator[str]:
    """Markdown."""
    yield f"| trained by | epoch | {' | '.join(COLUMNS)} |"
    yield "|---|---" + "|---" * len(COLUMNS) + "|"
    for way in WAYS:
        found = [(over_seeds(record, way, key), digits) for key, digits in COLUMNS.items()]
        for i, epoch in enumerate(LOOKS):
            cells = [f"{mean[i]:.{digits}f} ± {error[i]:.{digits}f}" for (mean, error), digits in found]
            yield f"| {way} | {epoch} | {' | '.join(cells)} |".replace("-0.", "−0.").replace("-1", "−1")


def draw(record: dict[str, Any]) -> None:
    """figure.svg: both means of seed 0 at every look, plain and aggressive; rate and gap of all over the epochs."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "lagging-inference"}):
        figure = plt.figure(figsize=(2.5 * len(LOOKS), 9), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(5, 3))
        panels = above.subplots(2, len(LOOKS), sharex=True, sharey=True)
        for axes, way in zip(panels, ("plain", "aggressive"), strict=True):
            for axis, epoch, one in zip(axes, LOOKS, record[f"{way}, seed 0"]["looks"], strict=True):
                axis.plot([-2.5, 2.5], [-2.5, 2.5], color="0.7", linewidth=1)
                axis.scatter(one["true mean"], one["encoder mean"], s=6)
                axis.set_title(f"{way}, epoch {epoch}", fontsize=9)
            axes[0].set_ylabel("encoder's mean")
        for axis in panels[1]:
            axis.set_xlabel("true posterior's mean")
        curves = below.subplots(1, 3)
        for axis, key in zip(curves, ("rate", "inference gap", "amortisation"), strict=True):
            series = [Series(way, list(LOOKS), *map(list, over_seeds(record, way, key))) for way in WAYS]
            lines(series, across="epoch", up=f"{key} (nats)", log_x=True, ax=axis)
        figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    """Train what is not there, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the tables and the figure")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name, about in rows().items() if not parser.parse_args().draw else ():
        if name not in record:
            from canaries import keep_row

            record[name] = learned(*about)
            write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            keep_row(name)
            record = json.loads(RECORD.read_text(encoding="utf-8"))
            print(name, flush=True)
    path = HERE / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->\n")
    said = "\n".join(tables(record))
    write_atomic(path, f"{head}<!-- table -->\n{said}\n<!-- end -->{rest.partition('<!-- end -->')[2]}")
    draw(record)


if __name__ == "__main__":
    main()
