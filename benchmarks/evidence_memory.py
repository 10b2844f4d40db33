"""How far the process grows while IWAE runs, against the memory it was told to keep to: an MLP and a convolutional VAE.

    python benchmarks/evidence_memory.py      # records/evidence_memory.json

Every case runs in a process of its own: import, model and data first, one small run to warm up, then the peak of the
resident memory during `er.evidence.iwae` less what was resident before. The budget is for the tensors of a pass; what a
convolution needs as scratch space, and what the allocator keeps, come on top and are seen here.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from record import write_record
from torch import nn

import elbowroom as er

BUDGETS = (64, 256)  # MiB
SIZES = ((20, 400), (5_000, 2), (100_000, 1))  # draws, points
ALLOWED = 48  # MiB beyond the budget: what the allocator keeps, and buffers of the libraries


def model(kind: str) -> er.VAE:
    torch.manual_seed(0)
    if kind == "mlp":
        encoder, decoder = er.networks.MLP([784, 200, 200, 100]), er.networks.MLP([50, 200, 200, 784])
        return er.VAE(
            er.priors.StandardNormal(50),
            er.posteriors.DiagonalNormal(encoder, 50),
            er.likelihoods.Bernoulli(decoder, 784),
        )
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(3136, 40)
    )
    decoder = nn.Sequential(
        nn.Linear(20, 3136),
        nn.SiLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1),
    )
    event = (1, 28, 28)
    return er.VAE(
        er.priors.StandardNormal(20),
        er.posteriors.DiagonalNormal(encoder, 20),
        er.likelihoods.Bernoulli(decoder, event),
    )


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


class Peak(threading.Thread):
    """The greatest resident memory seen, looked at every millisecond."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.running = resident(), True

    def run(self) -> None:
        while self.running:
            self.bytes = max(self.bytes, resident())
            time.sleep(0.001)


def grown(kind: str, budget: int, draws: int, points: int) -> float:
    """MiB by which the process grows at most."""
    torch.set_num_threads(1)
    vae = model(kind)
    event = vae.likelihood.event
    x = torch.bernoulli(torch.full((points, *event), 0.13), generator=torch.Generator().manual_seed(0))
    examples = er.Batch(x, torch.arange(points))
    er.evidence.iwae(vae, er.Batch(x[:1], torch.arange(1)), draws=2, memory=f"{budget} MiB")
    before, peak = resident(), Peak()
    peak.start()
    er.evidence.iwae(vae, examples, draws=draws, memory=f"{budget} MiB")
    peak.running = False
    peak.join()
    return (peak.bytes - before) / 2**20


def main() -> None:
    """Measure, print, and write records/evidence_memory.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs=4, help="one case: kind, MiB, draws, points; prints the MiB it grew by")
    arguments = parser.parse_args()
    if arguments.case:
        kind, *numbers = arguments.case
        print(json.dumps(grown(kind, *map(int, numbers))))
        return
    rows = []
    for kind in ("mlp", "convolutional"):
        for budget in BUDGETS:
            for draws, points in SIZES if kind == "mlp" else SIZES[:2]:
                case = ("--case", kind, str(budget), str(draws), str(points))
                found = subprocess.run([sys.executable, __file__, *case], check=True, capture_output=True, text=True)
                row = {"model": kind, "budget_mib": budget, "draws": draws, "points": points}
                rows.append({**row, "grown_mib": round(json.loads(found.stdout), 1)})
                print(rows[-1], flush=True)
    within = all(row["grown_mib"] <= row["budget_mib"] + ALLOWED for row in rows)
    record = {"cases": rows, "allowed_beyond_mib": ALLOWED, "within_limit": within}
    print(f"within: {within}; written: {write_record('evidence_memory', record)}")


if __name__ == "__main__":
    main()
