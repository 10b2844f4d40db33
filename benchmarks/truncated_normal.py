"""Log-density and gradient of 100 × 64 truncated normals, location and scale each its own, against normals; one thread.

    python benchmarks/truncated_normal.py      # records/truncated_normal.json

    likelihood   log_prob, sum, backward
    step         one training step of the demo's model with the one likelihood and with the other

Rounds alternate; a ratio is taken within each.
"""

import statistics
import time
from collections.abc import Callable

import torch
from record import write_record
from torch.distributions import Normal

import elbowroom as er
from elbowroom.distributions import TruncatedNormal
from elbowroom.training import TrainingStep
from elbowroom.training.engines import Adam, Alone
from elbowroom.training.split import Split

LIMIT = 4.0
ROWS, CELLS, ROUNDS, CALLS = 100, 64, 30, 40


def microseconds(case: Callable[[], object]) -> float:
    """Processor time of the one thread per call."""
    start = time.thread_time()
    for _ in range(CALLS):
        case()
    return 1e6 * (time.thread_time() - start) / CALLS


def likelihood(family: Callable[[torch.Tensor, torch.Tensor], torch.distributions.Distribution]) -> Callable[[], None]:
    torch.manual_seed(0)
    x, loc = torch.rand(2, 1, ROWS, CELLS)
    scale = (0.03 + 0.2 * torch.rand(1, ROWS, CELLS)).requires_grad_()
    loc.requires_grad_()

    def case() -> None:
        loc.grad = scale.grad = None
        family(loc, scale).log_prob(x).sum().backward(inputs=[loc, scale])

    return case


def step(kind: str, data: er.data.Dataset) -> Callable[[], object]:
    recipe = {"likelihood": {"kind": kind, "scale": "predicted"}}
    training = TrainingStep(er.models.build(recipe, data), er.objectives.Elbo()).train()
    engine, few = Alone(training, Adam()), data.train[:ROWS]
    batch = Split(few, (), training.vae.device, training.vae.dtype).batch(torch.arange(ROWS))
    noise = training.keyed_noise(1, few.index, 0)
    return lambda: engine.update(batch, noise, torch.tensor(0.0))


def compared(normal: Callable[[], object], truncated: Callable[[], object]) -> dict[str, float]:
    normal(), truncated()
    rounds = [(microseconds(normal), microseconds(truncated)) for _ in range(ROUNDS)]
    ratios = [other / one for one, other in rounds]
    return {
        "normal_microseconds": round(statistics.median(one for one, _ in rounds), 1),
        "truncated_microseconds": round(statistics.median(other for _, other in rounds), 1),
        "ratio": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "greatest": round(max(ratios), 3),
    }


def main() -> None:
    """Measure, print, and write records/truncated_normal.json."""
    torch.set_num_threads(1)
    data = er.load_data("digits")
    plain = likelihood(lambda loc, scale: Normal(loc, scale, validate_args=False))
    numbers = {
        "likelihood": compared(plain, likelihood(TruncatedNormal)),
        "step": compared(step("normal", data), step("truncated-normal", data)),
    }
    found = {**numbers, "limit": LIMIT, "within_limit": numbers["likelihood"]["ratio"] <= LIMIT}
    print(found)
    print(f"written: {write_record('truncated_normal', found)}")


if __name__ == "__main__":
    main()
