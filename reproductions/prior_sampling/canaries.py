"""First steps of every row."""

import sys
from functools import partial
from pathlib import Path

from run import RECORD, SETTINGS, drawn, model, objective, rows

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, main


def canaries() -> list[Canary]:
    """One for each row."""
    return [Canary(RECORD, name, partial(steps, *about)) for name, about in rows().items()]


def steps(d: int, draws: int | None, seed: int) -> Numbers:
    """The losses of one epoch, and exact log p(x) of ten examples; with as many draws as cost little."""
    data, vae = drawn(d, seed), model(d, seed)
    few = None if draws is None else min(draws, 100)
    history = er.fit(vae, data, objective(few), epochs=1, select="last", seed=seed, progress=False, **SETTINGS)
    log_p = er.exact.LinearVAE(vae).log_prob(data.test[:10])
    return {"training": history.column("train", "objective"), "log p": [float(value) for value in log_p]}


if __name__ == "__main__":
    main(canaries())
