"""Measurements that can be interrupted: group of examples by group, each on disk as soon as it is done."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.atomic import append_line
from elbowroom.data import Examples
from elbowroom.numerics import Estimate, InputError
from elbowroom.numerics.estimate import PER_EXAMPLE
from elbowroom.progress import Progress

__all__ = ["Partial", "joined", "estimate_in_groups"]


class Partial:
    """A file of JSON lines: what is measured with which settings, and the estimates of every finished group.

    Parameters
    ----------
    path : Path
        The file.
    settings : mapping
        Plain values that the numbers depend on, those of the model and the data among them.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(settings))

    def read(self, resume: bool) -> list[tuple[Estimate, ...]]:
        """The finished groups; a last line that was cut short is dropped.

        Raises InputError where there is something to resume that was not asked for, or nothing to resume, or where
        it was measured with other settings.
        """
        if not self.path.exists():
            if resume:
                raise InputError(f"{self.path} does not exist, so there is nothing to resume: leave resume= out.")
            return []
        if not resume:
            raise InputError(
                f"{self.path} holds a measurement that was interrupted: go on with resume=True, or delete the file to "
                f"begin again."
            )
        whole = [line for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]
        try:
            before, *groups = [json.loads(line) for line in whole] or [{}]
            found = [tuple(Estimate.from_dict(one) for one in group["estimates"]) for group in groups]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path} is damaged ({error}): delete it and measure again.") from error
        if before:
            self._compare(before)
        self.path.write_text("".join(whole), encoding="utf-8")
        return found

    def append(self, group: Sequence[Estimate]) -> None:
        """Add the estimates of one group; the settings stand before the first."""
        if not self.path.exists() or not self.path.stat().st_size:
            append_line(self.path, self.settings)
        append_line(self.path, {"estimates": [estimate.to_dict() for estimate in group]})

    def _compare(self, before: Mapping[str, Any]) -> None:
        for name in {**before, **self.settings}:
            old, new = (settings.get(name, "none") for settings in (before, self.settings))
            if old != new:
                raise InputError(
                    f"{self.path} was measured with {name} {old} and now it is {new}: resume with the same, or delete "
                    f"the file to begin again."
                )


def estimate_in_groups(
    measure: Callable[[Examples], tuple[Estimate, ...]],
    examples: Examples,
    size: int,
    partial: Partial,
    *,
    resume: bool = False,
    title: str = "evidence",
    progress: bool = False,
) -> tuple[Estimate, ...]:
    """Measure all examples in groups, and keep each group's estimates on the disk as soon as they are done.

    Groups are the same however often a measurement is interrupted, and so are the numbers. A KeyboardInterrupt is
    raised again with words that say how to go on. The file stays until its owner has written the whole result.

    Parameters
    ----------
    measure : callable
        Examples → tuple of Estimate.
    examples : Examples
        All of them.
    size : int
        About how many are measured at a time.
    partial : Partial
        The file.
    resume : bool, default False
        Whether finished groups are read from the file.
    title : str, default "evidence"
        What the bar is called.
    progress : bool, default False
        Whether standard error shows how far it is, and the running mean of the last estimate with its error.

    Returns
    -------
    tuple of Estimate
        What `measure` gives, for all examples.
    """
    groups = partial.read(resume)
    done = sum(len(group[-1]) for group in groups)
    before = f", {done:,} examples before" if done else ""
    with Progress(title + before, len(examples) - done, show=progress) as bar:
        try:
            for first, last in pairwise(_edges(len(examples), size)[len(groups) :]):
                groups.append(measure(examples[first:last]))
                partial.append(groups[-1])
                running = joined([group[-1] for group in groups])
                bar.advance(len(groups[-1][-1]), **{running.quantity: running.mean, "±": running.se_total})
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_words_on_interruption(groups, len(examples), partial.path)) from None
    return tuple(joined(column) for column in zip(*groups, strict=True))


def joined(parts: Sequence[Estimate]) -> Estimate:
    """One estimate of all the examples of several by the same estimator, by ascending index; their seconds add.

    >>> common = {"quantity": "log p(x)", "estimator": "IWAE-5", "direction": "lower"}
    >>> joined([Estimate.of([3.0, 7.0], index=[3, 7], **common), Estimate.of([1.0], index=[1], **common)]).values
    array([1., 3., 7.])
    """
    order = np.concatenate([part.index for part in parts]).argsort(kind="stable")

    def column(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)[order]

    columns = {name: column(name) for name in PER_EXAMPLE}
    seconds = sum(part.budget.seconds for part in parts)
    return replace(parts[0], budget=replace(parts[0].budget, seconds=seconds), **columns)


def _edges(total: int, size: int) -> list[int]:
    """Where groups of at most `size`, as equal as can be, begin and end."""
    groups = -(-total // size)
    return [total * group // groups for group in range(groups + 1)]


def _words_on_interruption(groups: Sequence[Sequence[Estimate]], total: int, path: Path) -> str:
    if not groups:
        return "interrupted before the first examples were measured, so nothing is kept: the same command begins again."
    done = sum(len(group[-1]) for group in groups)
    return f"interrupted after {done:,} of {total:,} examples, kept in {path}: the same command with --resume goes on."
