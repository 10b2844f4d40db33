"""Where models are trained: on how many threads, in one stack or each for itself, in how many processes.

Threads and stacks follow from the size of a step and the number of cores, never from a clock, so that on one machine
the same seed gives the same bits; a short measurement decides on processes only, which change no number.
"""

import copy
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from elbowroom.data import Dataset
from elbowroom.data.values import Dense
from elbowroom.evidence.memory import Counter
from elbowroom.numerics import CapabilityError, InputError
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .adam import Adam
from .engines import Alone
from .split import Split
from .training_step import TrainingStep

__all__ = ["multiplications", "processes_for", "shared", "threads_for", "worth_stacking"]

_ONE_THREAD = 2**26  # multiplications of a pass below which a second thread waits longer than it works
_STACKED = 2**28  # above them what a step costs by itself is little, and nothing is won in a stack
_MOST_TOGETHER = 2**22  # parameters of a stack: with gradients and moments four times as many numbers, 64 MiB
_MOST_ON_A_GPU = 2**28  # parameters of a stack there: 4 GiB
_TINY, _FEWEST_TOGETHER = 2**22, 4  # below, a stack of fewer is no faster on a core of its own than beside others
_WORTH_PROCESSES = 20.0  # seconds of training, against the few that it takes until new processes have begun
_BYTES_COPIED = 2**28  # of data, which every process holds for itself
_UPDATES = 3


def multiplications(vae: VAE, data: Dataset, examples: int) -> int:
    """Multiplications of the matrix products and convolutions in one pass over so many examples.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        What it reads.
    examples : int
        Of a pass, times draws.

    Returns
    -------
    int
        Their number; 0 for a model that cannot take these data, which is refused elsewhere.
    """
    few, counter = data.train[:2], _Operations()
    try:
        with torch.random.fork_rng([]), torch.no_grad(), evaluating(vae), counter:
            _ = vae(few.batch(), vae.keyed_noise(1, few.index, 0)).log_likelihood
    except (InputError, CapabilityError, RuntimeError, ValueError, TypeError, IndexError, KeyError):
        return 0
    return counter.total * examples // (2 * len(few))  # an operation is half a multiplication


class _Operations(Counter):
    """Counts what torch's FlopCounterMode does, which loads torch's compiler and so takes a second."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.total += 0 if count is None else int(count(*args, **(kwargs or {}), out_val=out))
        return out


def worth_stacking(vae: VAE, data: Dataset, examples: int) -> bool:
    """Whether models of this size are trained faster as one than one by one.

    Parameters
    ----------
    vae : VAE
        One of them.
    data : Dataset
        What they are trained on.
    examples : int
        Of a step, times draws.

    Returns
    -------
    bool
        The same on every machine.
    """
    return multiplications(vae, data, examples) < _STACKED


def shared(
    group: Sequence[int],
    first: TrainingStep,
    data: Dataset,
    batch_size: int,
    where: torch.device = torch.device("cpu"),  # noqa: B008
) -> list[list[int]]:
    """A group in parts, each of which is a stack: one for every core, or for a GPU, and none that is too large.

    Parameters
    ----------
    group : sequence of int
        Positions of models that can be trained as one; those beside one another are most alike.
    first : TrainingStep
        The largest of them.
    data : Dataset
        What they are trained on.
    batch_size : int
        Examples per step.
    where : torch.device, default CPU
        Where they are trained.

    Returns
    -------
    list of list of int
        Of nearly equal sizes. They follow from the number of cores on the CPU, side by side or not.
    """
    most, for_cores = _MOST_ON_A_GPU, 1
    if where.type == "cpu":
        tiny = multiplications(first.vae, data, batch_size * first.procedure.draws) < _TINY
        most, for_cores = _MOST_TOGETHER, min(_cores(), len(group) // (_FEWEST_TOGETHER if tiny else 1))
    for_memory = -(-len(group) * sum(p.numel() for p in first.parameters()) // most)
    parts = min(max(for_memory, for_cores, 1), len(group))
    ends = [len(group) * part // parts for part in range(parts + 1)]
    return [list(group[start:end]) for start, end in pairwise(ends)]


@contextmanager
def threads_for(vae: VAE, data: Dataset, examples: int) -> Iterator[None]:
    """One thread for small models on the CPU, for which two are slower than one; else as many as there were.

    Parameters
    ----------
    vae : VAE
        What is trained, or measured.
    data : Dataset
        What it reads.
    examples : int
        Of a step of training, times draws.

    Yields
    ------
    None
        While it is trained.
    """
    before = torch.get_num_threads()
    if before == 1 or vae.device.type != "cpu" or multiplications(vae, data, examples) >= _ONE_THREAD:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processes_for(
    groups: Sequence[Sequence[TrainingStep]], data: Dataset, batch_size: int, updates: int, wanted: int | None
) -> int:
    """How many processes the groups are trained in.

    Parameters
    ----------
    groups : sequence of sequence of TrainingStep
        What is trained as one.
    data : Dataset
        For all of them.
    batch_size : int
        Examples per step.
    updates : int
        Optimizer steps of each.
    wanted : int, optional
        What the caller asked for; by default as many as there are cores for, where the training is long enough.

    Returns
    -------
    int
        1 for this process alone: also on a GPU, with one core, where there is one group, where the data are large or
        read from disk, and where a part of a model cannot be found by another process, as a class of a notebook.
    """
    steps = [step for group in groups for step in group]
    possible = len(groups) > 1 and all(map(_found_elsewhere, steps)) and _copied(data)
    if not possible or wanted == 1:
        return 1
    most = min(_cores() if wanted is None else wanted, len(groups))
    if most == 1 or (wanted is None and len(steps) * updates * _seconds(steps[0], data, batch_size) < _WORTH_PROCESSES):
        return 1
    return most


def _cores() -> int:
    """Of this machine that this process may use."""
    from joblib import cpu_count

    return int(cpu_count())


def _found_elsewhere(step: TrainingStep) -> bool:
    """Whether another process finds the code of every module by importing it."""
    classes = {type(module) for module in step.modules()}
    local = any("<locals>" in one.__qualname__ for one in classes)
    return step.vae.device.type == "cpu" and not local and all(map(_importable, {one.__module__ for one in classes}))


def _importable(module: str) -> bool:
    """Whether it is found on the path, and not only here, as what a script, a notebook or a test defines."""
    package = module.partition(".")[0]
    return package != "__main__" and any(finder.find_spec(package, None) for finder in sys.meta_path)


def _copied(data: Dataset) -> bool:
    """Whether the data are so few that every process may have them."""
    values = [part.values for part in data.parts.values()]
    return all(isinstance(one, Dense) for one in values) and sum(map(_bytes, values)) <= _BYTES_COPIED


def _bytes(values: Any) -> int:
    return int(values.tensor.nbytes)


def _seconds(step: TrainingStep, data: Dataset, batch_size: int) -> float:
    """Of one update of a copy, on one thread, measured."""
    step = copy.deepcopy(step).train()
    few, engine = data.train[:batch_size], Alone(step, Adam())
    batch = Split(few, step.vae.context_names, step.vae.device, step.vae.dtype).batch(torch.arange(len(few)))
    noise = step.keyed_noise(step.procedure.draws, few.index, 0)
    engine.batches = lambda: (batch, noise)
    taken: list[float] = []
    with torch.random.fork_rng([]), threads_for(step.vae, data, batch_size):
        for _ in range(_UPDATES):
            begun = time.perf_counter()
            engine.update(batch, noise, torch.tensor(0.0))
            taken.append(time.perf_counter() - begun)
    return min(taken)
