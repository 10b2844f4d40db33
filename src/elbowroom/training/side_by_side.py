"""Trainings side by side, in processes of their own."""

import copy
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom.data import Dataset
from elbowroom.numerics import InputError
from elbowroom.progress import Progress

from .training_plan import Kept, TrainingPlan

__all__ = ["side_by_side"]

_LOOK_EVERY = 0.25
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def side_by_side(plans: Sequence[TrainingPlan], processes: int, progress: bool) -> Iterator[tuple[int, list[Kept]]]:
    """Run the plans, each in one of several processes, and hand over what each leaves when it is done.

    The numbers are those of plans that are run here one after the other. Processes are begun anew, and do not run the
    calling script again, so that it needs no main guard. They end with this one, however it ends, and when the
    iteration is left: on SIGTERM and SIGHUP, which would end this process without a word, by SystemExit.

    Parameters
    ----------
    plans : sequence of TrainingPlan
        Begun, and on the same data.
    processes : int
        2 or more.
    progress : bool
        Whether standard error shows how far they are.

    Yields
    ------
    tuple of (int, list of Kept)
        The place of a plan, and what its `run` returned.

    Raises
    ------
    InputError
        Where a process was ended from outside, as for want of memory; other errors are those of the training.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with tempfile.TemporaryDirectory(prefix="elbowroom-") as name:
        counts, each = Path(name) / "epochs", plans[0].settings.epochs
        epochs = np.memmap(counts, np.int64, "w+", shape=len(plans))
        threads = max(torch.get_num_threads() // processes, 1)
        start = (plans[0].data, counts, os.getpid(), threads, torch.get_default_dtype())
        pool = ProcessPoolExecutor(
            processes, initializer=_begin, initargs=start, env=dict.fromkeys(_THREADS, str(threads))
        )
        before = _ended_in_words()
        try:
            waiting = {pool.submit(_run, _to_send(plan), place): place for place, plan in enumerate(plans)}
            with Progress("training", len(plans) * each, show=progress) as bar:
                bar.doing(f"in {processes} processes")
                while waiting:
                    done, _ = wait(waiting, _LOOK_EVERY, FIRST_COMPLETED)
                    for one in done:
                        place = waiting.pop(one)
                        epochs[place] = each
                        yield place, one.result()
                    bar.advance(int(epochs.sum()) - bar.done)
        except TerminatedWorkerError as error:
            raise InputError(
                "A process that trained models was ended from outside, as systems do where memory is short: say "
                "processes=1, which trains them one after the other."
            ) from error
        finally:
            pool.shutdown(wait=True, kill_workers=True)
            for number, action in before.items():
                signal.signal(number, action)


def _ended_in_words() -> dict[signal.Signals, Any]:
    """Let signals that end this process raise instead, where nobody else has a use for them; what stood there."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    asked = [one for one in _ENDING if signal.getsignal(one) is signal.SIG_DFL]
    return {one: signal.signal(one, _end_by) for one in asked}


def _end_by(number: int, frame: Any) -> None:
    name = signal.Signals(number).name
    print(
        f"Ended by {name}, as are the processes that train: resume=True goes on in their run folders.", file=sys.stderr
    )
    raise SystemExit(128 + number)


def _to_send(plan: TrainingPlan) -> TrainingPlan:
    """A plan without the data, which every process is given once, and without a bar of its own."""
    plan = copy.copy(plan)
    del plan.data
    plan.settings = replace(plan.settings, progress=False)
    return plan


class _Here:
    """What a process is given once."""

    data: Dataset
    epochs: "np.memmap[Any, np.dtype[np.int64]]"


def _begin(data: Dataset, counts: Path, parent: int, threads: int, dtype: torch.dtype) -> None:
    """Make a process what the calling one is, and let it end with that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the calling process ends it
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    _Here.data, _Here.epochs = data, np.memmap(counts, np.int64, "r+")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _run(plan: TrainingPlan, place: int) -> list[Kept]:
    plan.data = _Here.data
    return plan.run(tick=partial(_Here.epochs.__setitem__, place))
