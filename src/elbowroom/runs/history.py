"""What happened in a training run, epoch by epoch."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["History"]


@dataclass
class History:
    """Rows per epoch (nats per example), the epoch whose parameters were kept, and what a person should know.

    Attributes
    ----------
    rows : list of dict
        {"epoch", "step", "seconds", "train": {...}, "validation": {...}}, where train and validation hold "objective"
        (what is minimised), "rate", "distortion" and what the objective logs, as "beta" of `Elbo`; phases of a
        procedure after the first have their name before theirs, as in "sleep.objective".
    best_epoch : int
        The epoch whose parameters were kept; 0 before there is one.
    selected_by : {"objective", "calibrated", "last"}
        How it was chosen.
    notes : list of str
        What a person should know.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    selected_by: str = "objective"
    notes: list[str] = field(default_factory=list)

    def column(self, part: str, name: str) -> list[float]:
        """One number over the epochs, as in column("validation", "rate")."""
        return [row[part][name] for row in self.rows]

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
