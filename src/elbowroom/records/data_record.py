"""What the stage `load` leaves: which data the study is of."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["DataRecord"]


@dataclass(frozen=True)
class DataRecord:
    """Which data a study is of, how they were split, and what a page has to know to show them.

    Parameters
    ----------
    name, source : str
        What they are called, and where they came from.
    sha256 : str
        Hash of x, the labels and what else comes with x.
    sizes : dict of str to int
        Examples of "train", "validation" and "test".
    official : tuple of str
        The parts that the data's makers fixed.
    split_seed : int
        What drew the others.
    kind, support : str
        Kind of the support ("grid", "real", …), and the support in words.
    seen : str
        Kind of the support that the network sees, after preprocessing.
    levels : int, optional
        Of the grid, or classes, where the support has them.
    event : tuple of int
        Shape of one example.
    image_shape : tuple of int, optional
        (H, W) or (C, H, W) where the examples are images.
    columns : tuple of str, optional
        Names of a table's columns.
    classes : dict of int to tuple of str
        By number of a table's column of classes, their names.
    label_names : tuple of str, optional
        One per label, where the data have labels.
    preprocess : dict
        Recipe of the map from the user's scale to the network's.
    why_likelihood : str
        Which likelihood the data get by default, and why.
    column_rows : tuple of (str, str)
        Columns of a table that were looked at one by one, and what each is.
    repeats : tuple of int
        Places of the test examples that also stand in train.
    repeats_expected : float, optional
        How many would by chance, were columns independent; None for continuous data, where none would.
    notes : tuple of str
        What a person should know about the data.
    context, observed : dict of str to tuple of int
        Shapes of what comes with x.
    missing : str, optional
        How missing cells are told, where there may be any.
    parts : str
        Hash of which examples are in which part.
    entropies : dict of str to float
        Of each context of classes, nats by their shares in training: the most that it can tell of x.
    """

    name: str
    source: str
    sha256: str
    sizes: dict[str, int]
    official: tuple[str, ...]
    split_seed: int
    kind: str
    support: str
    seen: str
    levels: int | None
    event: tuple[int, ...]
    image_shape: tuple[int, ...] | None
    columns: tuple[str, ...] | None
    classes: dict[int, tuple[str, ...]]
    label_names: tuple[str, ...] | None
    preprocess: dict[str, Any]
    why_likelihood: str = ""
    column_rows: tuple[tuple[str, str], ...] = ()
    repeats: tuple[int, ...] = ()
    repeats_expected: float | None = None
    notes: tuple[str, ...] = ()
    context: dict[str, tuple[int, ...]] = field(default_factory=dict)
    observed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    missing: str | None = None
    parts: str = ""
    entropies: dict[str, float] = field(default_factory=dict)

    @property
    def dimensions(self) -> int:
        """Elements of one example."""
        return math.prod(self.event)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of a table's columns, or their numbers from 1 where they have none."""
        return self.columns or tuple(f"column {i + 1}" for i in range(self.dimensions))

    @property
    def numeric_columns(self) -> list[int]:
        """Which columns of a table hold numbers, not classes without an order."""
        return [i for i in range(self.dimensions) if i not in self.classes]

    @property
    def identity(self) -> dict[str, Any]:
        """What tells data apart in a study: not what they are called, where they lie, or what is noted about them."""
        noted = ("name", "source", "notes", "entropies")
        return {name: value for name, value in asdict(self).items() if name not in noted}

    @property
    def repeats_more_than_chance(self) -> bool:
        """Whether more test examples stand in train than chance would have, by three deviations of a Poisson count."""
        expected = self.repeats_expected or 0.0
        return len(self.repeats) > expected + 3.0 * math.sqrt(expected)

    @property
    def in_bits(self) -> bool:
        """Whether log p(x) has a length in bits per dimension: the data are on a grid, and no cell is missing."""
        return self.on_grid and self.missing is None

    @property
    def on_grid(self) -> bool:
        """Whether the data are levels, or zeros and ones."""
        return self.kind in ("grid", "binary")
