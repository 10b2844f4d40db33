"""How long an audit of a 784-200-200-50 model of static MNIST takes, and how surely it then knows the gap.

Needs the data: ELBOWROOM_DATA=… python benchmarks/audit_time.py [--model FILE] [--epochs 5] [--threads 1 2]

Without --model one is trained for a few epochs first. Every row is a process's own measurement of one audit: wall and
processor seconds, and the 95 % interval of the gap that they bought.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from record import write_record

import elbowroom as er


def model(data: er.data.Dataset, file: Path | None, epochs: int) -> er.VAE:
    """784-200-200-50 and back, a Bernoulli of each pixel."""
    if file is not None:
        return er.load_model(file)
    vae = er.models.build({"latents": 50, "widths": [200, 200]}, data)
    er.fit(vae, data, epochs=epochs)
    return vae


def timed(vae: er.VAE, data: er.data.Dataset, quick: bool, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    wall, processor = time.monotonic(), time.process_time()
    found = er.audit(vae, data, quick=quick, progress=False)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    assert found.identity is not None
    assert found.log_p is not None
    assert found.log_p.se is not None
    return {
        "audit": "quick" if quick else "full",
        "threads": threads,
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(processor, 1),
        "examples": found.n,
        "gap": round(found.identity.total.mean, 3),
        "gap_half_width_95": round(1.96 * found.identity.total.se_total, 3),
        "log_p": round(found.log_p.value, 2),
        "log_p_half_width_95": round(1.96 * found.log_p.se, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    data = er.load_data("binarized-mnist")
    vae = model(data, arguments.model, arguments.epochs)
    timed(vae, data, True, 1)  # imports, once
    rows = []
    for quick, threads in [(quick, threads) for quick in (True, False) for threads in arguments.threads]:
        rows.append(timed(vae, data, quick, threads))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    write_record("audit_time", {"model": "784-200-200-50, static MNIST", "audits": rows})


if __name__ == "__main__":
    main()
