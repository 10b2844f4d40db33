"""A sweep of 16 members on two cores against 16 bare eager trainings placed one per core, with one thread each.

    images      784-200-200-50, 16 values of β
    digits      64-64-d with d of 2, 4, 8 and 16, four values of β each: one stack of several latent sizes
    table       9-32-d with d of 1, 2, 4 and 8, four values of β each
    wide        784-512-512-50, 16 values of β
    vamp, iwae, flow      784-200-200-50 with another prior, objective or posterior

Both sides are what two processes of one thread do at once, for the same number of steps: ours is the loop under
`er.fit_stacked` in the stacks that it makes of these members (epochs, batches, noise, gradients, Adam, running means),
the rival a loop written by hand for each member, one after the other. What is paid once (processes, checks, the first
hundred calls) is left out. Blocks alternate; a ratio is taken against the two blocks of the rival around ours. The
time of a block is that of the slower process; "processor" takes the time that the processes were at work instead of
the time that went by, which other programs on the machine stretch less. Before anything is timed, losses are compared.

"written out", for images, is the rival without autograd: the same operations and their gradients by hand, with no
graph and no memory taken anew for gradients, which says what a loop around torch's operations can reach.
"peak" is the share of what matrix products of 1,024 reach in the same two processes, where the loss is the plain ELBO.
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import parts
import torch
from record import write_record
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, silu, softplus
from training_step import BATCH, FLOOR, RATE, spread

import elbowroom as er
from elbowroom.objectives import Elbo, Iwae
from elbowroom.training import TrainingStep
from elbowroom.training._fit import _together
from elbowroom.training.engines import Adam, Alone, Stacked
from elbowroom.training.loop import Loop
from elbowroom.training.placement import multiplications
from elbowroom.training.settings import Settings
from elbowroom.training.split import Split
from elbowroom.training.stream import Stream

CORES, STEPS, DRAWS, MEMBERS = 2, 20, 5, 16
BETAS = [0.1, 0.5, 1.0, 4.0]
_BEFORE = 130  # steps until a stack's operations are written down


@dataclass
class Sweep:
    """What is compared: sizes, the loss by hand, and the asked ratio."""

    pixels: int
    hidden: tuple[int, ...]
    latents: Sequence[int]
    limit: float
    hand: Callable[[Any, Tensor, Tensor], Tensor] = parts.elbo
    prior: str = "standard"
    posterior: str = "diagonal"
    draws: int = 1

    def data(self) -> er.data.Dataset:
        """Random bits: the time of a step does not depend on what they show."""
        generator = torch.Generator().manual_seed(0)
        x = torch.bernoulli(torch.full((STEPS * BATCH + 200, self.pixels), 0.13), generator=generator)
        return er.load_data(x.numpy(), validation=100, test=100)

    def members(self) -> list[tuple[er.VAE, float]]:
        """Models and their β."""
        betas = BETAS if len(self.latents) > 1 else [0.1 * (1 + i) for i in range(MEMBERS)]
        betas = betas if self.hand is parts.elbo else [1.0] * MEMBERS
        return [(self.model(d), beta) for d in self.latents for beta in betas]

    def model(self, d: int) -> er.VAE:
        torch.manual_seed(0)
        encoder = er.networks.MLP([self.pixels, *self.hidden, 2 * d + (32 if self.posterior == "flow" else 0)])
        decoder = er.networks.MLP([d, *reversed(self.hidden), self.pixels])
        q: Any = er.posteriors.DiagonalNormal(encoder, d, floor=FLOOR)
        if self.posterior == "flow":
            q = er.posteriors.Flow(encoder, d, flow="maf")
        p = er.priors.Vamp(q, self.pixels, pseudo_inputs=100) if self.prior == "vamp" else er.priors.StandardNormal(d)
        return er.VAE(p, q, er.likelihoods.Bernoulli(decoder, self.pixels))

    def objective(self, beta: float) -> er.objectives.Objective:
        return Iwae(draws=DRAWS) if self.draws > 1 else Elbo(beta)


SWEEPS = {
    "images": Sweep(784, (200, 200), [50], 0.85),
    "digits": Sweep(64, (64,), [2, 4, 8, 16], 0.6),
    "table": Sweep(9, (32,), [1, 2, 4, 8], 0.6),
    "wide": Sweep(784, (512, 512), [50], 1.0),
    "vamp": Sweep(784, (200, 200), [50], 1.0, parts.vamp, prior="vamp"),
    "iwae": Sweep(784, (200, 200), [50], 1.0, parts.iwae, draws=DRAWS),
    "flow": Sweep(784, (200, 200), [50], 1.0, parts.flow, posterior="flow"),
}


class Rival(parts.Hand):
    """A bare loop for one member."""

    def __init__(self, sweep: Sweep, vae: er.VAE, beta: float, x: Tensor) -> None:
        super().__init__(vae, x, sweep.hand, sweep.draws)
        self.beta, self.latents = beta, vae.latents

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.of(self, x, noise, self.beta) if self.of is parts.elbo else self.of(self, x, noise)  # type: ignore[call-arg]

    def __call__(self, steps: int) -> None:
        for rows in torch.randperm(len(self.x)).split(BATCH)[:steps]:
            x = self.x.index_select(0, rows)
            loss = self.loss(x, torch.randn(self.draws, len(x), self.latents))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()


class WrittenOut(Rival):
    """The same for the plain ELBO with its gradients written out too, into memory that is kept: nothing but the sum."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def loss(self, x: Tensor, noise: Tensor) -> Any:
        up, raw = _up(self.encoder, x)
        mean, raw = raw.chunk(2, -1)
        variance = softplus(raw) + FLOOR
        z = torch.addcmul(mean, variance.sqrt(), noise[0])
        down, logits = _up(self.decoder, z)
        total = binary_cross_entropy_with_logits(logits, x, reduction="sum")
        total += self.beta * parts.rates(mean, variance).sum()
        slope = _down(self.decoder, down, torch.sigmoid(logits).sub_(x).div_(len(x)))
        rate = self.beta / len(x)
        of_variance = slope * noise[0] / (2 * variance.sqrt()) + 0.5 * rate * (1 - 1 / variance)
        _down(self.encoder, up, torch.cat([slope + rate * mean, of_variance * torch.sigmoid(raw)], -1), first=False)
        return total / len(x)

    def __call__(self, steps: int) -> None:
        for rows in torch.randperm(len(self.x)).split(BATCH)[:steps]:
            x = self.x.index_select(0, rows)
            self.loss(x, torch.randn(1, len(x), self.latents))
            self.optimizer.step()


def _up(network: torch.nn.Module, h: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Inputs of the layers, as they come and after the activation, and what the last returns."""
    linear, kept = [layer for layer in network if isinstance(layer, torch.nn.Linear)], [(h, h)]
    for layer in linear[:-1]:
        a = torch.addmm(layer.bias, kept[-1][1], layer.weight.t())
        kept.append((a, silu(a)))
    return kept, torch.addmm(linear[-1].bias, kept[-1][1], linear[-1].weight.t())


def _down(network: torch.nn.Module, kept: list[tuple[Tensor, Tensor]], slope: Tensor, first: bool = True) -> Tensor:
    """Write the gradients of the layers; that of the input, where it is asked for."""
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    for place, (layer, (a, h)) in reversed(list(enumerate(zip(linear, kept, strict=True)))):
        torch.mm(slope.t(), h, out=layer.weight.grad)
        torch.sum(slope, 0, out=layer.bias.grad)
        if place or first:
            slope = slope.mm(layer.weight)
        if place:
            slope = torch.ops.aten.silu_backward(slope, a)
    return slope


class Ours:
    """The loop under `fit_stacked`, without its validation, for what is trained as one."""

    def __init__(self, sweep: Sweep, members: Sequence[tuple[er.VAE, float]], data: er.data.Dataset) -> None:
        self.steps = [TrainingStep(vae, sweep.objective(beta)).train() for vae, beta in members]
        settings = Settings(1, BATCH, 0, None, "last", sweep.draws, 0)
        split = Split(data.train, (), torch.device("cpu"), torch.float32)
        streams: dict[Any, Stream] = {}
        keys = [tuple(step.noise_shapes().items()) for step in self.steps]
        for key, step in zip(keys, self.steps, strict=True):
            streams.setdefault(key, Stream(step, settings, split, data.validation))
        several, adam = len(self.steps) > 1, Adam(RATE)
        engine = Stacked(self.steps, [adam] * len(self.steps)) if several else Alone(self.steps[0], adam)
        self.loop = Loop(engine, [streams[key] for key in keys], split, [], settings)

    def __call__(self) -> None:
        self.loop._train()


class Pythae:
    """The same networks under pythae's own trainer, one member after the other."""

    def __init__(self, vae: er.VAE, x: Tensor) -> None:
        from training_step import PYTHAE_STEPS
        from training_step import Pythae as One

        self.one, self.steps = One(vae, x), PYTHAE_STEPS


def _work(name: str, core: int, connection: Connection) -> None:
    """One of the processes: its members by hand and by ours, a block each when it is asked for."""
    torch.set_num_threads(1)
    sweep = SWEEPS[name]
    data, members = sweep.data(), sweep.members()
    x = data.train.x.float()
    steps = [TrainingStep(vae, sweep.objective(beta)) for vae, beta in members]
    groups = list(_together(steps, [0] * len(steps), data, BATCH))
    mine = [Ours(sweep, [members[i] for i in group], data) for group in groups[core::CORES]]
    bare = [Rival(sweep, *one, x) for one in members[core::CORES]]
    _compare(sweep, members[core], data)
    written = [WrittenOut(sweep, *one, x) for one in members[core::CORES]] if name == "images" else []
    cases: dict[str, Callable[[], Any]] = {
        "bare": lambda: [one(STEPS) for one in bare],
        "ours": lambda: [one() for one in mine],
        "product": _products,
    }
    if written:
        cases["written out"] = lambda: [one(STEPS) for one in written]
    if name == "images" and importlib.util.find_spec("pythae"):
        other = Pythae(members[core][0], x)
        cases["pythae"] = lambda: [other.one() for _ in range(len(bare) * STEPS // other.steps)]
    if any(len(one.steps) > 1 for one in mine):
        for _ in range(-(-_BEFORE // STEPS)):
            cases["ours"]()
    cases["bare"]()
    connection.send((list(cases), [len(group) for group in groups], multiplications(members[0][0], data, BATCH)))
    while (asked := connection.recv()) is not None:
        begun, worked = time.perf_counter(), time.process_time()
        cases[asked]()
        connection.send((time.perf_counter() - begun, time.process_time() - worked))


def _products() -> None:
    a = torch.ones(1024, 1024)
    for _ in range(4):
        a @ a


def _compare(sweep: Sweep, member: tuple[er.VAE, float], data: er.data.Dataset) -> None:
    """The loss by hand and ours on one batch, under the same noise."""
    vae, beta = member
    x = data.train.x.float()[:BATCH]
    noise = torch.randn(sweep.draws, BATCH, vae.latents, generator=torch.Generator().manual_seed(1))
    batch = er.numerics.Batch(x, torch.arange(BATCH))
    ours = TrainingStep(vae, sweep.objective(beta))(batch, {"z": noise}, torch.tensor(0.0)).total
    bare = Rival(sweep, vae, beta, x)
    loss = bare.loss(x, noise)
    torch.testing.assert_close(loss, ours, rtol=2e-5, atol=0.0)
    if sweep.hand is parts.elbo:
        loss.backward()
        written = WrittenOut(sweep, vae, beta, x)
        torch.testing.assert_close(written.loss(x, noise), loss.detach(), rtol=2e-5, atol=0.0)
        for one, other in zip(written.model.parameters(), bare.model.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)


class Both:
    """The two processes."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(CORES)]
        self.ends = [mine for mine, _ in pairs]
        self.processes = [context.Process(target=_work, args=(name, i, pairs[i][1]), daemon=True) for i in range(CORES)]
        for process in self.processes:
            process.start()
        (self.cases, self.groups, self.multiplications), *_ = [end.recv() for end in self.ends]

    def __call__(self, case: str) -> tuple[float, float]:
        """Seconds that a block takes: until the last has ended, and at work, the mean of the processes."""
        for end in self.ends:
            end.send(case)
        found = [end.recv() for end in self.ends]
        return max(wall for wall, _ in found), sum(work for _, work in found) / CORES

    def close(self) -> None:
        for end in self.ends:
            end.send(None)
        for process in self.processes:
            process.join()


def measured(name: str, rounds: int) -> dict[str, Any]:
    """Rounds of bare, ours, bare, …"""
    both, sweep = Both(name), SWEEPS[name]
    others = [case for case in both.cases if case not in ("bare", "product")]
    ratios: dict[str, list[float]] = {f"{case}{kind}": [] for case in others for kind in ("", ", processor")}
    taken: dict[str, list[float]] = {"bare": [], **{case: [] for case in others}}
    peaks: list[float] = []
    before = both("bare")
    for _ in range(rounds):
        for case in others:
            found, after = both(case), both("bare")
            for kind, i in (("", 0), (", processor", 1)):
                ratios[case + kind].append(2 * found[i] / (before[i] + after[i]))
            taken[case].append(found[0])
            taken["bare"].append(after[0])
            before = after
            if case == "ours":
                products = 4 * CORES * 1024**3 / both("product")[1]
                needed = 3 * MEMBERS * STEPS * both.multiplications / found[1]
                peaks.append(needed / products)
    both.close()
    median = statistics.median(ratios["ours"])
    return {
        "sizes": [sweep.pixels, *sweep.hidden, list(sweep.latents)],
        "trained_as_one": both.groups,
        "milliseconds_per_member_step": {k: spread([1e3 * t / MEMBERS / STEPS for t in v]) for k, v in taken.items()},
        "ratio_to_bare": {case: spread(values) for case, values in ratios.items()},
        "share_of_matrix_peak": round(statistics.median(peaks), 3) if sweep.hand is parts.elbo else None,
        "limit": sweep.limit,
        "within_limit": median <= sweep.limit,
    }


def main() -> None:
    """Measure, print, and write records/sweeps.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="*", choices=[[], *SWEEPS], default=[], help="which; by default all")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    found = {}
    for name in arguments.sweeps or SWEEPS:
        found[name] = one = measured(name, arguments.rounds)
        ratio = {case: values["median"] for case, values in one["ratio_to_bare"].items()}
        print(
            f"{name:>8}: {ratio} × bare (asked: {one['limit']}), {one['share_of_matrix_peak']} of the peak", flush=True
        )
    about = {"members": MEMBERS, "processes": CORES, "batch": BATCH, "rounds": arguments.rounds, "sweeps": found}
    if not arguments.sweeps:
        print(f"written: {write_record('sweeps', about)}")


if __name__ == "__main__":
    main()
