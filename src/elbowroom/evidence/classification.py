"""What `classify` returns: probabilities of classes, the decisions, and which of them the errors leave open."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import count
from elbowroom.numerics._standard_errors import share_error

__all__ = ["Classification"]

_OPEN = 2.0  # standard errors of a difference


@dataclass(frozen=True)
class Classification:
    """Probabilities of the classes of a context given x, by Bayes' rule; made by `classify`.

    Parameters
    ----------
    log_joint : array [n, classes]
        log p(x | class) + log p(class), nats.
    mc_variance : array [n, classes]
        Its Monte-Carlo variance; NaN where it is unknown, as from one draw.
    classes : sequence of str
        Their names.
    index : array [n]
        The place of each example in its data set.
    truth : array [n] or None
        The class that each example has, by number; None where it is not known.
    quantity : str
        What was estimated for every class, "log p(x | label)".
    estimator : str
        By what, "IWAE-500".
    missed : int
        Pairs of an example and a class with a Pareto shape k̂ above 0.7, where draws miss the posterior.
    notes : list of str
        What a person should know.

    Examples
    --------
    >>> found = Classification(np.log([[0.3, 0.1], [0.2, 0.2]]), np.full((2, 2), 1e-4), ["cat", "dog"], np.arange(2))
    >>> found.probabilities.round(4).tolist(), found.decisions.tolist(), found.open.tolist()
    ([[0.75, 0.25], [0.5, 0.5]], [0, 0], [False, True])
    """

    log_joint: NDArray[np.float64]
    mc_variance: NDArray[np.float64]
    classes: Sequence[str]
    index: NDArray[np.int64]
    truth: NDArray[np.int64] | None = None
    quantity: str = "log p(x | class)"
    estimator: str = ""
    missed: int = 0
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.log_joint)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """p(class | x), [n, classes]."""
        shifted = np.exp(self.log_joint - self.log_joint.max(1, keepdims=True))
        return np.asarray(shifted / shifted.sum(1, keepdims=True))

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of the probabilities due to finitely many draws, [n, classes]."""
        p = self.probabilities
        variance = np.where(p > 0, self.mc_variance, 0.0)
        others = (p**2 * variance).sum(1, keepdims=True) - p**2 * variance
        return np.asarray(p * np.sqrt((1 - p) ** 2 * variance + others))

    @cached_property
    def decisions(self) -> NDArray[np.int64]:
        """Number of the most probable class, [n]."""
        return np.asarray(self.log_joint.argmax(1))

    @cached_property
    def open(self) -> NDArray[np.bool_]:
        """Whether a decision falls inside its errors, [n]: another class is within two standard errors.

        Where errors are unknown, it is. Of the draws alone: what a bound lacks of log p(x | class) is not in them.
        """
        best = self.decisions[:, None]
        lead = np.take_along_axis(self.log_joint, best, 1) - self.log_joint
        variance = np.take_along_axis(self.mc_variance, best, 1) + self.mc_variance
        near = ~(lead > _OPEN * np.sqrt(variance))
        np.put_along_axis(near, best, False, 1)
        return np.asarray((near & (self.probabilities > 0)).any(1))

    @property
    def accuracy(self) -> tuple[float, float]:
        """Share of decisions that are right, and its standard error over examples; NaN where no class is known."""
        if self.truth is None:
            return float("nan"), float("nan")
        share = float((self.decisions == self.truth).mean())
        return share, share_error(share, len(self))

    def to_frame(self) -> Any:
        """A pandas DataFrame, a row per example: its number, decision, whether that is open, and every probability.

        Returns
        -------
        DataFrame
            With "truth" where it is known, and columns "p NAME" and "error NAME" for every class.
        """
        import pandas as pd

        names = np.asarray(self.classes, dtype=object)
        columns: dict[str, Any] = {"row": self.index}
        columns |= {} if self.truth is None else {"truth": names[self.truth]}
        columns |= {"decision": names[self.decisions], "open": self.open}
        for k, name in enumerate(self.classes):
            columns |= {f"p {name}": self.probabilities[:, k], f"error {name}": self.errors[:, k]}
        return pd.DataFrame(columns)

    def __str__(self) -> str:
        inside = int(self.open.sum())
        lines = [
            f"{count(len(self), 'example')} among {len(self.classes):,} classes by {self.quantity}, {self.estimator}"
        ]
        if self.truth is not None:
            share, error = self.accuracy
            lines[0] += f": {100 * share:.1f} % ±{100 * error:.1f} right"
        said = f"{count(inside, 'decision')} {'falls' if inside == 1 else 'fall'} inside the errors of the draws"
        if inside and self.truth is not None:
            right = int((self.decisions == self.truth)[self.open].sum())
            said += f"; {right:,} of these {'is' if right == 1 else 'are'} right" if inside > 1 else ""
        lines.append(f"{said}.")
        if self.missed:
            pairs = len(self) * len(self.classes)
            lines.append(
                f"k̂ is above 0.7 for {self.missed:,} of {pairs:,} pairs of example and class: there draws miss where "
                f"p(z | x) lies, and log p(x | class) is too low by more than its error."
            )
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__
