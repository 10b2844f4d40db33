"""Estimates of log p(x) against decoder evaluations: IWAE, AIS from the prior, AIS from the encoder, on MNIST images.

python reproductions/evidence/bdmc.py train --run runs/mnist50      # the model, a minute or two of one core
python reproductions/evidence/cost.py measure --run runs/mnist50    # minutes; adds to cost.json, piece by piece
python reproductions/evidence/cost.py show                          # writes cost.svg, prints the table
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from bdmc import load
from matplotlib.axes import Axes
from torch import nn

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
CURVE = (1, 10, 100, 1_000, 10_000, 100_000)
ANNEALED = {"posterior": (10, 30, 100, 300, 500), "prior": (30, 100, 300, 1_000)}
WORDS = {"posterior": "encoder", "prior": "prior"}
ORDER = [("posterior", 10), ("posterior", 30), ("posterior", 100), ("prior", 30), ("prior", 100), ("IWAE", 0)]
ORDER += [("posterior", 300), ("posterior", 500), ("prior", 300), ("prior", 1_000)]  # what costs most comes last
SETTINGS = {"chains": 16, "leapfrog": 5}
BEST = "AIS-500 from the encoder"  # named before the measurement: the settings of bdmc.json
LIMITS = (-2.6, 0.25)  # of the figure; IWAE-1 lies below
GRADIENT = 3  # evaluations: forwards, and a backward of about twice the work


def measure(run: Path, record: Path, points: int) -> None:
    """Every piece that the record lacks, written as soon as it is there."""
    from bdmc import TRAINING
    from canaries import both_ends, canaries
    from canary import begin, keep

    from elbowroom.runs import read_run

    begin(run, {"epochs": 10} | TRAINING, both_ends)
    vae, _ = read_run(run)
    test = load().test
    some = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:points]]
    found = json.loads(record.read_text()) if record.exists() else {"points": points, **SETTINGS, "rows": {}}
    if found["points"] != points:
        raise er.InputError(f"{record} holds {found['points']} points; give another record for {points}.")
    for start, temperatures in ORDER:
        name = "IWAE-1" if start == "IWAE" else annealed(start, temperatures)
        if name in found["rows"]:
            continue
        cpu = time.process_time()
        with counted(vae) as work:
            if start == "IWAE":
                curve = er.evidence.iwae_curve(vae, some, draws=CURVE, progress=True)
                new = {f"IWAE-{k}": (k, estimate) for k, estimate in zip(curve.draws, curve.estimates, strict=True)}
            else:
                estimate = er.evidence.ais(vae, some, start=start, temperatures=temperatures, progress=True, **SETTINGS)
                new = {name: ((work["forward"] + GRADIENT * work["gradient"]) / points, estimate)}
        spent = time.process_time() - cpu
        for each, (cost, estimate) in new.items():
            found["rows"][each] = {
                "evaluations_per_point": round(cost),
                "mean": estimate.mean,
                "se_draws": estimate.se_mc,
                "values": estimate.values.round(4).tolist(),
                "processor_seconds": spent,
            }
        found["rows"][list(new)[-1]]["counted"] = {kind: count / points for kind, count in work.items()}
        write_atomic(record, json.dumps(found, indent=1) + "\n")
    keep(record, canaries())


@contextmanager
def counted(vae: er.VAE) -> Iterator[dict[str, int]]:
    """Rows that the decoder sees, those whose gradient is taken apart."""
    work = {"forward": 0, "gradient": 0}

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        (z,) = given
        if z.device.type != "meta":
            work["gradient" if z.requires_grad else "forward"] += math.prod(z.shape[:-1])

    first = next(layer for layer in vae.likelihood.modules() if isinstance(layer, nn.Linear))
    hook = first.register_forward_pre_hook(count)
    try:
        yield work
    finally:
        hook.remove()


def annealed(start: str, temperatures: int) -> str:
    return f"AIS-{temperatures} from the {WORDS[start]}"


LINES = {
    "IWAE": [f"IWAE-{k}" for k in CURVE],
    **{f"AIS from the {WORDS[start]}": [annealed(start, t) for t in many] for start, many in ANNEALED.items()},
}


def rows_of(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mean of estimate − best over the points and its paired standard error, beside the cost, for every piece."""
    best = np.array(found["rows"][BEST]["values"])
    rows = {}
    for name, row in found["rows"].items():
        apart = np.array(row["values"]) - best
        error = float(apart.std(ddof=1) / math.sqrt(len(apart)))
        rows[name] = {"cost": row["evaluations_per_point"], "apart": float(apart.mean()), "se": error}
    return rows


def figure(found: dict[str, Any], certified: dict[str, Any]) -> Axes:
    """Estimate − best against cost; the band is what BDMC leaves open on simulated points, moved to the best."""
    rows = rows_of(found)
    series = []
    for name, pieces in LINES.items():
        known = [rows[piece] for piece in pieces]
        series.append(Series(name, *([row[key] for row in known] for key in ("cost", "apart", "se"))))
    mean, error = certified["gap"]
    return lines(
        series,
        across=f"decoder evaluations per image, a gradient counted as {GRADIENT}",
        up=f"estimate − {BEST}, nats; band: its BDMC gap, 95 %",
        log_x=True,
        limits=LIMITS,
        band=(mean - 1.96 * error, mean + 1.96 * error),
    )


def show(record: Path) -> None:
    """Write the figure; print the record as the table of the page."""
    found = json.loads(record.read_text())
    with matplotlib.rc_context({"svg.hashsalt": "cost", "svg.fonttype": "none"}):
        ax = figure(found, json.loads((HERE / "bdmc.json").read_text()))
        ax.figure.savefig(HERE / "cost.svg", metadata={"Date": None})
    print("| estimate | decoder evaluations per image | mean − best, nats | mean, nats |")
    print("|---|---|---|---|")
    rows = rows_of(found)
    for name in (piece for pieces in LINES.values() for piece in pieces):
        row = rows[name]
        numbers = f"{row['apart']:z.3f} ± {row['se']:.3f} | {found['rows'][name]['mean']:.2f}"
        print(f"| {name} | {row['cost']:,} | {numbers.replace('-', '−')} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "show"])
    parser.add_argument("--run", type=Path, default=Path("runs/mnist50"))
    parser.add_argument("--record", type=Path, default=HERE / "cost.json")
    parser.add_argument("--points", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "measure":
        measure(arguments.run, arguments.record, arguments.points)
    else:
        show(arguments.record)


if __name__ == "__main__":
    main()
