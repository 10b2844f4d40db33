"""What happened in a training run, epoch by epoch."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["History"]


@dataclass
class History:
    """What happened in training, epoch by epoch, in nats per example, and which epoch was kept.

    Parameters
    ----------
    rows : list of dict, default []
        {"epoch", "step", "seconds", "train": {...}, "validation": {...}}; train and validation hold "objective" (what
        is minimised), "rate", "distortion" and what the objective logs, as "beta" of `Elbo`. Phases of a procedure
        after the first have their name before theirs, as in "sleep.objective".
    best_epoch : int, default 0
        The epoch whose parameters were kept; 0 before there is one.
    selected_by : {"objective", "calibrated", "last"}, default "objective"
        How it was chosen.
    notes : list of str, default []
        What a person should know.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    selected_by: str = "objective"
    notes: list[str] = field(default_factory=list)

    def column(self, part: str, name: str) -> list[float]:
        """One number over the epochs.

        Parameters
        ----------
        part : {"train", "validation"}
            Of the row.
        name : str
            Such as "rate".

        Returns
        -------
        list of float
            One per epoch.

        Examples
        --------
        >>> rows = [{"validation": {"rate": 3.0}}, {"validation": {"rate": 4.0}}]
        >>> History(rows).column("validation", "rate")
        [3.0, 4.0]
        """
        return [row[part][name] for row in self.rows]

    @property
    def diverged(self) -> bool:
        """Whether it was trained and no epoch could be kept: none had a finite validation value."""
        return bool(self.rows) and not self.best_epoch

    @property
    def best(self) -> dict[str, Any]:
        """The row of the kept epoch."""
        return next(row for row in self.rows if row["epoch"] == self.best_epoch)

    @property
    def seconds(self) -> float:
        """Time spent training and validating."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def __str__(self) -> str:
        if not self.rows:
            return "no epochs"
        kept = self.best["validation"]
        text = (
            f"{len(self.rows)} epochs in {self.seconds:.0f} s; kept epoch {self.best_epoch} by the validation "
            f"{self.selected_by}: rate {kept['rate']:.2f}, distortion {kept['distortion']:.2f}, "
            f"ELBO {-kept['rate'] - kept['distortion']:.2f} nats"
        )
        return "\n".join([text, *(f"note: {note}" for note in self.notes)])
