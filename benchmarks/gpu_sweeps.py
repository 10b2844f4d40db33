"""A sweep of 64 members on a GPU against one member alone, and against one bare eager training.

    dense           784-200-200-50, Bernoulli
    convolutional   28 × 28, strided convolutions of 32, 64 and 128 channels and their mirror image, 50 latents

    stack    the loop under `er.fit_stacked(..., device="cuda")`: 64 values of β as one stack
    alone    the same loop for one member, as `er.fit(..., device="cuda")` trains one: operations recorded as a graph
    eager    the same loop for one member without that, as models are trained that cannot be stacked
    bare     a loop written by hand for one member: autograd, fused Adam, batches and noise made on the GPU

All are warm: what is paid once (checks, the first hundred calls) is left out. Blocks of 100 steps of batches of 100
alternate, and the GPU is waited for around each. Members of the stack are compared with members alone before.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from record import write_record
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from training_step import BATCH, FLOOR, RATE, spread

import elbowroom as er
from elbowroom.numerics import whole_products
from elbowroom.objectives import Elbo
from elbowroom.training import TrainingStep
from elbowroom.training.engines import Adam, Alone, Stacked
from elbowroom.training.loop import Loop
from elbowroom.training.settings import Settings
from elbowroom.training.split import Split
from elbowroom.training.stream import Stream

MEMBERS, STEPS, LATENTS, LIMIT = 64, 100, 50, 3.0
_WARM = 3  # blocks until a stack's operations are written down
DEVICE = torch.device("cuda")


def data(kind: str) -> er.data.Dataset:
    """Random bits: the time of a step does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    event = (784,) if kind == "dense" else (1, 28, 28)
    x = torch.bernoulli(torch.full((STEPS * BATCH + 200, *event), 0.13), generator=generator)
    return er.load_data(x.numpy(), validation=100, test=100, flat=kind == "dense")


def model(kind: str) -> er.VAE:
    torch.manual_seed(0)
    if kind == "dense":
        event: Any = 784
        encoder: Any = er.networks.MLP([784, 200, 200, 2 * LATENTS])
        decoder: Any = er.networks.MLP([LATENTS, 200, 200, 784])
    else:
        event = (1, 28, 28)
        encoder, decoder = er.networks.ConvNet(event, LATENTS, parts=2), er.networks.ConvNet(LATENTS, event)
    q = er.posteriors.DiagonalNormal(encoder, LATENTS, floor=FLOOR)
    return er.VAE(er.priors.StandardNormal(LATENTS), q, er.likelihoods.Bernoulli(decoder, event))


class Bare:
    """What a careful person writes for one model."""

    def __init__(self, vae: er.VAE, x: Tensor) -> None:
        vae = vae.to(DEVICE)
        self.encoder, self.decoder, self.x = vae.posterior["z"].network, vae.likelihood.network, x.to(DEVICE)
        self.optimizer = torch.optim.Adam(vae.parameters(), lr=RATE, fused=True)

    def __call__(self) -> None:
        for rows in torch.randperm(len(self.x), device=DEVICE).split(BATCH):
            x = self.x.index_select(0, rows)
            mean, raw = self.encoder(x).chunk(2, -1)
            variance = softplus(raw) + FLOOR
            z = mean + variance.sqrt() * torch.randn_like(mean)
            distortion = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
            rate = 0.5 * (mean.square() + variance - variance.log() - 1).sum()
            self.optimizer.zero_grad(set_to_none=True)
            ((distortion + rate) / len(x)).backward()
            self.optimizer.step()


class Ours:
    """The loop under `fit_stacked`, without its validation."""

    def __init__(
        self, vaes: Sequence[er.VAE], betas: Sequence[float], data: er.data.Dataset, eager: bool = False
    ) -> None:
        steps = [TrainingStep(vae.to(DEVICE), Elbo(b)).to(DEVICE).train() for vae, b in zip(vaes, betas, strict=True)]
        settings, adam = Settings(1, BATCH, 0, None, "last", 1, 0), Adam(RATE)
        split = Split(data.train, (), DEVICE, torch.float32)
        self.engine = Alone(steps[0], adam) if eager else Stacked(steps, [adam] * len(steps))
        stream = Stream(steps[0], settings, split, data.validation)
        self.loop = Loop(self.engine, [stream] * len(steps), split, [], settings)
        self.loop.epoch = 1

    def __call__(self) -> None:
        self.loop._train()


def milliseconds(block: Callable[[], None]) -> float:
    """Per step, of a block that the GPU is waited for around."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    block()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - begun) / STEPS


def furthest(stack: Ours, alone: Ours, member: int) -> float:
    """The largest difference of a parameter of a member and of the member alone, after as many steps."""
    one, other = stack.engine.state(member), alone.engine.state(0)
    return max(float((one[name].double() - value.double()).abs().max()) for name, value in other.items())


def measured(kind: str, rounds: int) -> dict[str, Any]:
    """Rounds of stack, alone, bare, …"""
    of = data(kind)
    betas = [0.1 * (1 + i) for i in range(MEMBERS)]
    stack, alone = Ours([model(kind) for _ in betas], betas, of), Ours([model(kind)], betas[-1:], of)
    with whole_products():  # so that rounding to TF32, which differs from kernel to kernel, is no part of it
        stack()
        alone()
    apart = furthest(stack, alone, MEMBERS - 1)
    eager = Ours([model(kind)], betas[-1:], of, eager=True)
    cases: dict[str, Callable[[], None]] = {
        "stack": stack,
        "alone": alone,
        "eager": eager,
        "bare": Bare(model(kind), of.train.x.float()),
    }
    for _ in range(_WARM):
        for case in cases.values():
            case()
    torch.cuda.reset_peak_memory_stats()
    taken: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, block in cases.items():
            taken[case].append(milliseconds(block))
    ratios = {
        f"stack to {one}": statistics.median(taken["stack"]) / statistics.median(taken[one])
        for one in ("alone", "eager", "bare")
    }
    return {
        "milliseconds_per_step": {case: spread(values) for case, values in taken.items()},
        "member_steps_per_second": {
            c: round(1e3 * (MEMBERS if c == "stack" else 1) / statistics.median(v)) for c, v in taken.items()
        },
        "ratio": {name: round(value, 2) for name, value in ratios.items()},
        "limit": LIMIT,
        "within_limit": {name: value <= LIMIT for name, value in ratios.items()},
        "parameters_apart_after_one_block": apart,
        "gigabytes": round(torch.cuda.max_memory_allocated() / 2**30, 2),
    }


def main() -> None:
    """Measure, print, and write records/gpu_sweeps.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], "dense", "convolutional"], default=[])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    found = {}
    for kind in arguments.kinds or ["dense", "convolutional"]:
        found[kind] = measured(kind, arguments.rounds)
        print(kind, found[kind], flush=True)
    about = {
        "gpu": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "convolutions_in_tf32": torch.backends.cudnn.allow_tf32,
        "members": MEMBERS,
        "batch": BATCH,
        "rounds": arguments.rounds,
    }
    if not arguments.kinds:
        print(f"written: {write_record('gpu_sweeps', about | {'sweeps': found})}")


if __name__ == "__main__":
    main()
