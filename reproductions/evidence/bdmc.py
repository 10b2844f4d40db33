"""The two-sided gap of bidirectional Monte Carlo on a 784-200-200-50 VAE of MNIST, and how far it carries over.

python reproductions/evidence/bdmc.py train --run runs/mnist50          # 10 epochs, a minute or two of one core
python reproductions/evidence/bdmc.py measure --run runs/mnist50        # writes bdmc.json
python reproductions/evidence/bdmc.py compare --run runs/mnist50        # simulated against real; adds to bdmc.json
"""

import argparse
import json
import time
from pathlib import Path

import torch

import elbowroom as er

HERE = Path(__file__).parent
TRAINING = {"batch_size": 200, "lr": 1e-3, "seed": 0}
START = "posterior"


def load() -> "er.data.Dataset":
    """MNIST, binarised afresh each epoch."""
    return er.load_data("mnist", preprocess="binarise", validation=2_000)


def model(data: "er.data.Dataset") -> er.VAE:
    """784-200-200-50 tanh, weights from seed 0."""
    torch.manual_seed(0)
    return er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.MLP([784, 200, 200, 100], activation="tanh"), 50),
        er.likelihoods.Bernoulli(er.networks.MLP([50, 200, 200, 784], activation="tanh"), 784),
        preprocess=data.preprocess,
    )


def train(run: Path) -> None:
    """Ten epochs of the ELBO; training from seed 0."""
    from canaries import both_ends
    from canary import begin

    data = load()
    begin(run, {"epochs": 10} | TRAINING, both_ends)
    print(er.fit(model(data), data, er.objectives.Elbo(), epochs=10, run=run, **TRAINING))


def measure(run: Path, record: Path, points: int, settings: dict[str, int]) -> None:
    """The gap over simulated points."""
    from canaries import both_ends, canaries
    from canary import begin, keep

    from elbowroom.runs import read_run

    begin(run, {"epochs": 10} | TRAINING, both_ends)
    vae, history = read_run(run)
    began, cpu = time.perf_counter(), time.process_time()
    found = er.evidence.bdmc(vae, points, start=START, seed=0, progress=True, **settings)
    gap = found.gap
    row = {
        "model": "784-200-200-50 tanh, dynamic binarised MNIST",
        "epochs": len(history.rows),
        **settings,
        "start": START,
        "schedule": "sigmoid",
        "simulated_points": points,
        "gap": [gap.mean, gap.se_total],
        "gap_95_percent_limit": found.gap_limit,
        "lower": [found.lower.mean, found.lower.se_mc, found.lower.se_points],
        "upper": [found.upper.mean, found.upper.se_total],
        "lower_values": found.lower.values.round(4).tolist(),
        "upper_values": found.upper.values.round(4).tolist(),
        "examples_with_ess_below_8": found.lower.collapsed,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - cpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    record.write_text(json.dumps(row, indent=1) + "\n")
    keep(record, canaries())
    print(found, found.lower, found.upper, sep="\n")


def compare(run: Path, record: Path, points: int, settings: dict[str, int]) -> None:
    """The same annealing on test images and on as many simulated ones."""
    from elbowroom.runs import read_run

    vae, _ = read_run(run)
    test = load().test
    some = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:points]]
    found = er.evidence.simulated_against_real(vae, some, seed=0, progress=True, **settings)
    row = json.loads(record.read_text())
    row["simulated_against_real"] = {"points": points, **settings}
    for name in ("real", "simulated"):
        trace = getattr(found, name)
        tenths = [part.mean() for part in torch.as_tensor(trace.acceptance).mean(1).tensor_split(10)]
        row["simulated_against_real"][name] = {
            "half_variance_of_log_w": [trace.shortfall.mean, trace.shortfall.se_total],
            "acceptance_by_tenths_of_the_run": [round(float(part), 3) for part in tenths],
        }
    record.write_text(json.dumps(row, indent=1) + "\n")
    print(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "measure", "compare"])
    parser.add_argument("--run", type=Path, default=Path("runs/mnist50"))
    parser.add_argument("--record", type=Path, default=HERE / "bdmc.json")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--temperatures", type=int, default=500)
    parser.add_argument("--chains", type=int, default=16)
    parser.add_argument("--leapfrog", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {name: getattr(arguments, name) for name in ("temperatures", "chains", "leapfrog")}
    if arguments.what == "train":
        train(arguments.run)
    elif arguments.what == "measure":
        measure(arguments.run, arguments.record, arguments.points, settings)
    else:
        compare(arguments.run, arguments.record, arguments.points, settings)


if __name__ == "__main__":
    main()
