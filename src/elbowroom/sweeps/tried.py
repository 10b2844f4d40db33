"""What became of one trial of a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import rounded

__all__ = ["Trial"]


@dataclass(frozen=True)
class Trial:
    """One trial of a search, and what became of it.

    Printed: one line, with its number, its label, its score and what became of it.

    Parameters
    ----------
    number : int
        In the search's database.
    name : str
        Of its run folder.
    label : str
        For people, such as "d = 8, β = 0.5".
    settings : mapping
        Its value on every axis.
    state : {"finished", "pruned", "diverged", "failed", "refused", "running", "interrupted"}
        What became of it. "refused": its words do not go together, and nothing was trained.
    value : float or None
        Its score for the goal, the greater the better; None where it did not finish, or is beyond the target.
    epochs : int
        How many it was trained for.
    why : str, default ""
        Why it has no score, in a sentence: why it did not finish, or how far it is beyond the target.
    where : str, default ""
        The machine and the folder where its run folder is.
    """

    number: int
    name: str
    label: str
    settings: Mapping[str, Any]
    state: str
    value: float | None
    epochs: int
    why: str = ""
    where: str = ""

    def __str__(self) -> str:
        said = self.state if self.value is None else rounded(self.value)
        return f"{self.name}: {self.label}: {said}" + (f": {self.why}" if self.why else "")

    __repr__ = __str__
