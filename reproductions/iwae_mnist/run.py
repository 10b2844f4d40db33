"""Burda et al. 2016, table 1, the one-layer VAE: dynamic MNIST, 784-200-200-50 tanh, IWAE-5000 on the test set.

python reproductions/iwae_mnist/run.py train --epochs 800 --threads 1      # resumes where it was stopped
python reproductions/iwae_mnist/run.py evaluate                            # writes record.json
"""

import argparse
import json
import time
from pathlib import Path

import torch

import elbowroom as er

HERE = Path(__file__).parent


def load() -> "er.data.Dataset":
    """MNIST, binarised afresh each epoch."""
    return er.load_data("mnist", preprocess="binarise", validation=2_000)


def model(data: "er.data.Dataset", activation: str) -> er.VAE:
    """The paper's one-layer network (its activation is tanh); weights from seed 0."""
    torch.manual_seed(0)
    return er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.MLP([784, 200, 200, 100], activation=activation), 50),
        er.likelihoods.Bernoulli(er.networks.MLP([50, 200, 200, 784], activation=activation), 784),
        preprocess=data.preprocess,
    )


def train(run: Path, epochs: int, batch_size: int, activation: str, lr: float, take_up: bool) -> None:
    """Train (or go on training) in a run folder."""
    from canaries import steps
    from canary import begin

    data = load()
    recipe = {"epochs": epochs, "batch_size": batch_size, "activation": activation, "lr": lr}
    begin(run, recipe, lambda: steps(activation, lr, batch_size), take_up)
    vae = model(data, activation)
    settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "lr_final": 1e-4, "seed": 0}
    history = er.fit(vae, data, er.objectives.Elbo(), **settings, run=run, resume=(run / "recipe.yaml").exists())
    print(history)


def evaluate(run: Path, record: Path, draws: int, points: int) -> None:
    """IWAE with both errors on the test set, or on the first `points` of a seeded order of it."""
    import canaries  # noqa: F401 - puts the folder of `canary` on the path
    from canary import begun, into

    from elbowroom.runs import read_run

    data = load()
    vae, history = read_run(run)
    test = data.test[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:points]]
    start = time.perf_counter()
    iwae = er.evidence.iwae(vae, test, draws=draws, progress=True)
    elbo = er.evidence.elbo(vae, test, draws=64, progress=True)
    row = {
        "epochs": len(history.rows),
        "best_epoch": history.best_epoch,
        "training_seconds": history.seconds,
        "evaluation_seconds": time.perf_counter() - start,
        "test_examples": len(test),
        "draws": draws,
        "iwae": [iwae.mean, iwae.se_mc, iwae.se_points],
        "elbo": [elbo.mean, elbo.se_mc, elbo.se_points],
        "examples_with_ess_below_10": iwae.collapsed,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    into(row, "training", json.loads(begun(run).read_text(encoding="utf-8"))["canary"])
    record.write_text(json.dumps(row, indent=1) + "\n")
    print(iwae, elbo, row, sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "evaluate"])
    parser.add_argument("--run", type=Path, default=Path("runs/iwae_mnist"))
    parser.add_argument("--record", type=Path, default=HERE / "record.json")
    parser.add_argument("--epochs", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--activation", default="tanh")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--draws", type=int, default=5_000)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--take-up", action="store_true", help="go on with a folder that was begun otherwise")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.what == "train":
        settings = arguments.epochs, arguments.batch_size, arguments.activation, arguments.lr
        train(arguments.run, *settings, arguments.take_up)
    else:
        evaluate(arguments.run, arguments.record, arguments.draws, arguments.points)


if __name__ == "__main__":
    main()
