"""Two-sided gap at equal processor time: `evidence.bdmc` and the public BDMC code on one decoder and the same points.

    ELBOWROOM_DATA=... python benchmarks/bdmc_peer.py --peer BDMC --run runs/mnist50      # records/bdmc_peer.json

--peer is a checkout of github.com/lxuechen/BDMC (dd79cff was measured, unchanged; it needs tqdm), --run a folder that
`reproductions/evidence/bdmc.py train` wrote. 16 points simulated from the model with their exact z, 16 chains, one
thread. elbowroom runs once from the encoder and once from the prior, where the peer begins, its pilots included; then
the peer, with its own tuning of step sizes and its 10 leapfrog steps, over as many temperatures as take it the same
processor time (the wall-clock time of an idle machine), once linear, as in its demo, and once by the sigmoid that its
authors recommend. Limit: a smaller gap than either.
"""

import argparse
import contextlib
import importlib
import io
import sys
import time
from pathlib import Path
from types import ModuleType

import torch
from record import write_record
from torch import Tensor

import elbowroom as er
from elbowroom.evidence.simulated_examples import simulated, subject_with
from elbowroom.runs import read_run
from elbowroom.sampling.schedules import fixed_schedule

POINTS, CHAINS, SEED, TRIAL = 16, 16, 0, 10


class Decoder:
    """What the peer asks of a model."""

    def __init__(self, vae: er.VAE) -> None:
        self.latent_dim = vae.latents
        self.decode = vae.likelihood.network.requires_grad_(False)


def peer_from(checkout: Path) -> ModuleType:
    """Its module `ais`."""
    missing = [name for name in ("ais.py", "hmc.py", "utils.py") if not (checkout / name).exists()]
    if missing:
        sys.exit(f"{checkout} has no {', '.join(missing)}: give --peer a checkout of github.com/lxuechen/BDMC.")
    sys.path.insert(0, str(checkout))
    return importlib.import_module("ais")


def gap_of(ais: ModuleType, decoder: Decoder, x: Tensor, z: Tensor, schedule: Tensor) -> tuple[Tensor, float]:
    """upper − lower [n] by the peer, and processor seconds."""
    torch.manual_seed(SEED)
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        (lower,) = ais.ais_trajectory(decoder, [(x, z)], True, schedule, CHAINS)
        (upper,) = ais.ais_trajectory(decoder, [(x, z)], False, schedule.flip(0).contiguous(), CHAINS)
    return (upper - lower).double(), time.process_time() - began


def row(gap: Tensor, temperatures: int, seconds: float) -> dict[str, float]:
    """One line of the record."""
    error = gap.std().item() / len(gap) ** 0.5
    return {"temperatures": temperatures, "gap": gap.mean().item(), "se": error, "processor_seconds": seconds}


def main() -> None:
    """Measure, print, and write records/bdmc_peer.json."""
    from canaries import canaries
    from canary import keep

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--temperatures", type=int, default=200)
    parser.add_argument("--leapfrog", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ais = peer_from(arguments.peer)
    vae, _ = read_run(arguments.run)
    target, z = next(simulated(subject_with(vae, POINTS, SEED).target(SEED), SEED, "bdmc"))
    x, decoder = target.decoded(z)[1][0], Decoder(vae)

    began = time.process_time()
    settings = {"temperatures": arguments.temperatures, "leapfrog": arguments.leapfrog}
    ours = er.evidence.bdmc(vae, POINTS, chains=CHAINS, seed=SEED, **settings)
    seconds = time.process_time() - began
    rows = {"elbowroom": row(torch.as_tensor(ours.gap.values), arguments.temperatures, seconds)}
    print(rows["elbowroom"], flush=True)
    began = time.process_time()
    other = er.evidence.bdmc(vae, POINTS, chains=CHAINS, seed=SEED, start="prior", **settings)
    spent = time.process_time() - began
    rows["elbowroom, from the prior"] = row(torch.as_tensor(other.gap.values), arguments.temperatures, spent)
    print(rows["elbowroom, from the prior"], flush=True)

    gap_of(ais, decoder, x, z[0], fixed_schedule("linear", 2).float())
    trial = gap_of(ais, decoder, x, z[0], fixed_schedule("linear", TRIAL).float())[1]
    temperatures = round(seconds / trial * TRIAL)
    for word in ("linear", "sigmoid"):
        gap, spent = gap_of(ais, decoder, x, z[0], fixed_schedule(word, temperatures).float())
        rows[f"peer, {word}"] = row(gap, temperatures, spent)
        print(word, rows[f"peer, {word}"], flush=True)

    numbers = {
        "peer": "github.com/lxuechen/BDMC at dd79cff, unchanged",
        "points": POINTS,
        "chains": CHAINS,
        "leapfrog": {"elbowroom": arguments.leapfrog, "peer": 10},
        "rows": rows,
        "limit": "a smaller gap than the peer's at equal processor time",
        "held": all(rows["elbowroom"]["gap"] < found["gap"] for name, found in rows.items() if "peer" in name),
    }
    record = write_record("bdmc_peer", numbers)
    keep(record, canaries())
    print(record)


if __name__ == "__main__":
    main()
