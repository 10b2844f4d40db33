"""The demo, stage by stage: seconds on the clock and of processors, against what each may take on two cores.

    python benchmarks/front_door.py      # records/front_door.json; --data and --folder for another study

A stage's processor seconds are those of this process and of the processes that it began; on two idle cores, they tell
what the clock would say between their half and their whole. The clock of a machine that is in use tells of its users.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from record import write_record

import elbowroom as er
from elbowroom.studies.stages import Stages
from elbowroom.studies.study import Study

BUDGET = {"contest": 30, "train": 45, "measure": 20, "audit": 15, "page": 10}
WHOLE = 120


def processor_seconds() -> float:
    """Of this process and its finished children, user and system."""
    return sum(os.times()[:4])


def main() -> None:
    """Run, print, and write records/front_door.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--folder", help="by default one that is deleted")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--resume", action="store_true", help="measure the stages that the folder lacks; no record")
    arguments = parser.parse_args()
    begun = time.monotonic() - processor_seconds()  # importing takes its processor seconds
    taken: dict[str, dict[str, float]] = {}
    inside = Stages.going_on

    @contextlib.contextmanager
    def timed(self: Stages, stage: str) -> Iterator[None]:
        wall, processor = time.monotonic(), processor_seconds()
        with inside(self, stage):
            yield
        taken[stage] = {
            "seconds": round(time.monotonic() - wall, 2),
            "processor_seconds": round(processor_seconds() - processor, 2),
        }
        print(stage, taken[stage], flush=True)

    Stages.going_on = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as temporary:
        study = er.study(
            arguments.data,
            arguments.folder or temporary,
            overwrite=not arguments.resume,
            resume=arguments.resume,
            progress=arguments.progress,
            command="demo",
        )
        numbers = against(taken, time.monotonic() - begun, study)
    print(study.sentence)
    print(numbers["whole"], "" if arguments.resume else f"written: {write_record('front_door', numbers)}")


def against(taken: dict[str, dict[str, float]], seconds: float, study: Study) -> dict[str, Any]:
    """What was taken, and what each stage may take."""
    whole = {"seconds": round(seconds, 2), "processor_seconds": round(processor_seconds(), 2)}
    late = [stage for stage, budget in BUDGET.items() if stage in taken and taken[stage]["seconds"] > budget]
    models = study.record.sweep.models
    return {
        "stages": {stage: {**found, "budget": BUDGET.get(stage)} for stage, found in taken.items()},
        "whole": {**whole, "budget": WHOLE},
        "within_budget": not late and whole["seconds"] <= WHOLE,
        "epochs": {one.label: [one.epochs, one.best_epoch] for one in models},
        "verdict": study.sentence,
    }


if __name__ == "__main__":
    main()
