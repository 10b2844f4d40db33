"""How often training ends in NaN: floor of the posterior's variance on or off, spread by softplus or by exp.

    python benchmarks/nan_rates.py        # 200 short runs; records/nan_rates.json

The setting is one where NaN happens: digits, a Normal likelihood with σ fixed at 0.01, which drives the posterior's
variance towards zero, and learning rates from 0.001 to 0.1. Every cell gets the same seeds, weights and noise.
"""

import argparse
import math
import statistics
from typing import Any

import torch
from record import write_record

import elbowroom as er

SPREADS, FLOORS = ("softplus", "exp"), (1e-5, 0.0)
RATES, SEEDS, EPOCHS, LATENTS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), range(10), 10, 8


def words(spread: str, floor: float, seed: int) -> dict[str, Any]:
    """The model of one run."""
    return {
        "posterior": {"kind": "diagonal-normal", "spread": spread, "floor": floor},
        "likelihood": {"kind": "normal", "scale": 0.01},
        "latents": LATENTS,
        "widths": [64],
        "seed": seed,
    }


def outcome(data: Any, spread: str, floor: float, rate: float, seed: int) -> float | None:
    """The best validation objective of one run, or None where a number stopped being finite on the way."""
    vae = er.models.build(words(spread, floor, seed), data)
    try:
        history = er.fit(vae, data, epochs=EPOCHS, lr=rate, seed=seed, progress=False)
    except er.InputError:
        return None
    finite = all(math.isfinite(row[part]["objective"]) for row in history.rows for part in ("train", "validation"))
    return history.best["validation"]["objective"] if finite else None


def median(ends: list[float | None]) -> float | None:
    """Median bound in nats where all runs stayed finite, else None."""
    bounds = [-end for end in ends if end is not None]
    return statistics.median(bounds) if len(bounds) == len(ends) else None


def main() -> None:
    from canaries import canaries
    from canary import keep

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    data = er.load_data("digits")
    cells = []
    for spread in SPREADS:
        for floor in FLOORS:
            ends = {rate: [outcome(data, spread, floor, rate, seed) for seed in SEEDS] for rate in RATES}
            failed = {f"{rate:g}": sum(end is None for end in found) for rate, found in ends.items()}
            bounds = {f"{rate:g}": median(found) for rate, found in ends.items()}
            cells.append({"spread": spread, "floor": floor, "not_finite": failed, "median_bound": bounds})
            print(
                f"{spread:>8}, floor {floor:g}: {sum(failed.values())} of {len(RATES) * len(SEEDS)} not finite", failed
            )
    setting = {"epochs": EPOCHS, "runs_per_rate": len(SEEDS), "sigma": 0.01, "latents": LATENTS, "data": "digits"}
    record = write_record("nan_rates", {"setting": setting, "cells": cells})
    keep(record, canaries())


if __name__ == "__main__":
    main()
