"""Examples, and the data set that holds three parts of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import Batch, Support, as_tensor
from elbowroom.preprocess import Preprocess
from elbowroom.recipes import recipe_of

from .columns import Column, column_rows
from .given import given_values, known_contexts
from .repeats import Repeats
from .size_factors import SizeFactors
from .values import Dense, Values

__all__ = ["Dataset", "Examples", "describe", "filled"]

_SHOWN = 4  # numbers of a list


class Examples:
    """Some examples of a data set, on the user's scale, from which batches are read.

    Parameters
    ----------
    x : Tensor or Values
        The values [n, *event] in their own type, or what they are read from.
    index : Tensor
        The place of each example in the whole data set, [n] int64, which keys the noise of every estimate.
    labels : Tensor, optional
        Class codes, [n] int64.
    context : dict of Tensor, optional
        Name → [n, ...], with the one-hot "label" [n, classes] where there are labels.
    data : str, default ""
        The sha256 of the whole data set, so that estimates on the same data know each other.
    observed : dict of (Tensor, Tensor), optional
        Latent block → (value [n, ...], mask [n]), for blocks that are known for some examples.
    fill : Tensor, optional
        Where cells may be missing (NaN in x), what a batch holds there, [*event]. By default no cell may be missing.
    table : sequence of (str, sequence of str), default ()
        Of a table with names, each column's name and the words that its codes mean, by which a model knows its columns.

    Examples
    --------
    >>> part = Examples(torch.eye(3), torch.tensor([7, 3, 5]))[1:]
    >>> len(part), part.index.tolist(), part.rows(slice(0, 1)).x.tolist()
    (2, [3, 5], [[0.0, 1.0, 0.0]])
    """

    coding: tuple[tuple[str, tuple[str, ...]], ...] = ()  # what its numbers mean, by `coding_of`

    def __init__(
        self,
        x: Tensor | Values,
        index: Tensor,
        *,
        labels: Tensor | None = None,
        context: dict[str, Tensor] | None = None,
        data: str = "",
        observed: dict[str, tuple[Tensor, Tensor]] | None = None,
        fill: Tensor | None = None,
        table: Sequence[tuple[str, tuple[str, ...]]] = (),
    ) -> None:
        self.values, self.table = Dense(x) if isinstance(x, Tensor) else x, tuple(table)
        self.index, self.labels, self.data, self.fill = index, labels, data, fill
        self.context, self.observed = dict(context or {}), dict(observed or {})

    def __len__(self) -> int:
        return len(self.values)

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.values.event

    @property
    def x(self) -> Tensor:
        """All of x, [n, *event], in memory."""
        return self.batch().x

    def __getitem__(self, key: Any) -> "Examples":
        """Some of the examples: a number, slice, list of numbers, mask or tensor of either."""
        rows = torch.arange(len(self))[key if isinstance(key, slice) else _positions(key)]
        some = Examples(self.values.chosen(rows), **self._beside(rows), data=self.data, fill=self.fill)
        some.table, some.coding = self.table, self.coding
        return some

    def some(self, most: int) -> "Examples":
        """At most so many, drawn at random and always the same: an official part may be sorted by its classes."""
        if len(self) <= most:
            return self
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        return self[order[:most].sort().values]

    def rows(self, positions: Tensor | slice) -> Batch:
        """The examples at these positions, as a batch; no others are read."""
        if not isinstance(positions, slice):
            positions = torch.arange(len(self))[positions.cpu()]
        x, seen = filled(self.values.take(positions), self.fill)
        return Batch(x, **self._beside(positions), seen=seen)

    def batch(self) -> Batch:
        """All of the examples as one batch."""
        return self.rows(slice(None))

    def _beside(self, rows: Tensor | slice) -> dict[str, Any]:
        return {
            "index": self.index[rows],
            "labels": None if self.labels is None else self.labels[rows],
            "context": {name: value[rows] for name, value in self.context.items()},
            "observed": {name: (value[rows], mask[rows]) for name, (value, mask) in self.observed.items()},
        }

    def __repr__(self) -> str:
        return f"Examples({len(self):,} of event {self.event})"


def filled(x: Tensor, fill: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Fill the missing cells of x.

    Parameters
    ----------
    x : Tensor
        Values [batch, *event], NaN where a cell is missing.
    fill : Tensor or None
        What stands there instead, [*event]; None where no cell may be missing.

    Returns
    -------
    x : Tensor
        The values without NaN, or as they were where `fill` is None.
    seen : Tensor or None
        [batch, *event], False where a cell was missing; None where `fill` is None.
    """
    if fill is None:
        return x, None
    seen = ~x.isnan()
    return torch.where(seen, x, fill.to(x)), seen


@dataclass(repr=False)
class Dataset:
    """Data in three parts, with their support and their preprocessing; made by `load_data`.

    Parameters
    ----------
    name : str
        What the data set is called.
    train : Examples
        What models learn from.
    validation : Examples
        What the epoch and the model are chosen by.
    test : Examples
        What is measured in the end.
    support : Support
        Where the values lie.
    preprocess : Preprocess
        The map from the data's scale to the scale that the model sees.
    event : tuple of int
        Shape of one example.
    image_shape : tuple of int or None
        (H, W) or (C, H, W) where the examples are images.
    columns : list of str or None
        Names of a table's columns.
    label_names : list of str or None
        Names of the classes that the labels are codes of.
    source : str
        Where the data came from.
    sha256 : str
        Hash of x, the labels, contexts and observed blocks.
    split_seed : int
        The seed that drew the parts which are not official.
    official : tuple of str, default ()
        Names of the parts that came with the data.
    notes : list of str, default []
        What a person should know, such as constant columns and repeated rows.
    classes : dict of list, default {}
        Of each column that came in words: the words in the order of their codes.
    beside_classes : dict of list, default {}
        The same of contexts and observed blocks, whose one-hot columns are in this order.
    judged : list of Column, default []
        Of a table whose columns were looked at one by one: what each is and why, those that were left out too.
    repeats : Repeats, optional
        Which test examples also stand in train.
    conditions : tuple of str, default ()
        Contexts that `load_data` was told by name: what models read beside x unless their recipe says otherwise.
    loading : dict, default {}
        What `load_data` was told, in plain values, by which a run finds its data again.
    row_names : list of str, optional
        Names of all rows in the order of the source, as cells have; `index` of the parts is a place in it.
    sizes : SizeFactors, optional
        How much was counted in the training rows, where a size factor was asked for.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    support: Support
    preprocess: Preprocess
    event: tuple[int, ...]
    image_shape: tuple[int, ...] | None
    columns: list[str] | None
    label_names: list[str] | None
    source: str
    sha256: str
    split_seed: int
    official: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    beside_classes: dict[str, list[str]] = field(default_factory=dict)
    judged: list[Column] = field(default_factory=list)
    repeats: Repeats | None = None
    conditions: tuple[str, ...] = ()
    loading: dict[str, Any] = field(default_factory=dict)
    row_names: list[str] | None = None
    sizes: SizeFactors | None = None

    @property
    def size_factor(self) -> str | None:
        """What the size factor is: "observed", "latent", or the name of the column that holds it."""
        return None if self.sizes is None else self.sizes.word

    @property
    def levels(self) -> int | None:
        """Levels of the grid (or categories), where the support has them."""
        return self.support.levels

    @property
    def parts(self) -> dict[str, Examples]:
        """The three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def given(self, **values: Any) -> dict[str, Tensor]:
        """Contexts by their words and numbers, as `VAE.sample` and `VAE.transfer` take them.

        Parameters
        ----------
        **values : Any
            Context → a class by its name, or numbers; the labels are `label`.

        Returns
        -------
        dict of Tensor
            Context → [1, ...], classes one-hot; one row serves any number of draws.

        Raises
        ------
        InputError
            For a context or a class that these data do not have.

        Examples
        --------
        >>> from elbowroom import load_data
        >>> load_data("digits").given(label=3)["label"].argmax().item()
        3
        """
        return given_values(known_contexts(self.summary()), values)

    def summary(self) -> dict[str, Any]:
        """Plain values that say which data these are and how to find them: what the recipe of a run holds of them.

        Contexts other than the labels, observed blocks, missing cells, columns and classes are named only where there
        are any.
        """
        train = self.train
        beside = {
            "context": {name: list(value.shape[1:]) for name, value in train.context.items() if name != "label"},
            "observed": {name: list(value.shape[1:]) for name, (value, _) in train.observed.items()},
            "missing": None if train.fill is None else "mask",
            "columns": self.columns,
            "classes": self.classes,
            "beside_classes": self.beside_classes,
            "loading": self.loading,
            "size_factor": self.sizes
            and {name: getattr(self.sizes, name) for name in ("word", "mean", "columns", "names")},
        }
        return {
            "name": self.name,
            "source": self.source,
            "sizes": {name: len(part) for name, part in self.parts.items()},
            "official": list(self.official),
            "split_seed": self.split_seed,
            "sha256": self.sha256,
            "parts": self._parts_digest(),
            "support": str(self.support),
            "event": list(self.event),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "label_names": self.label_names,
            "preprocess": recipe_of(self.preprocess),
            "notes": list(self.notes),
            **{name: value for name, value in beside.items() if value},
        }

    def _parts_digest(self) -> str:
        """A short hash of which examples are in which part."""
        digest = hashlib.sha256()
        for name, part in self.parts.items():
            digest.update(name.encode() + part.index.sort().values.numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def __str__(self) -> str:
        return describe(self)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {sum(map(len, self.parts.values())):,} examples of event {self.event})"


def describe(dataset: Dataset) -> str:
    """Describe a data set in a few lines: sizes, support, preprocessing, split, labels, hash and notes.

    Parameters
    ----------
    dataset : Dataset
        The data set; `print(dataset)` shows the same.

    Returns
    -------
    str
        Several lines.

    Examples
    --------
    >>> from elbowroom import load_data
    >>> print(describe(load_data("digits")).splitlines()[0])
    digits: 1,797 examples, images 8×8 (64 values, event (64,))
    """
    kept = dict.fromkeys(dataset.official, " (official)")
    sizes = [f"{name} {len(part):,}{kept.get(name, '')}" for name, part in dataset.parts.items()]
    lines = [
        f"{dataset.name}: {sum(map(len, dataset.parts.values())):,} examples, {_event_words(dataset)}",
        f"  support     {dataset.support}",
        f"  preprocess  {_map_words(recipe_of(dataset.preprocess))}; the estimand is {dataset.preprocess.estimand}",
        f"  split       {', '.join(sizes)}; seed {dataset.split_seed}",
    ]
    if dataset.label_names:
        lines.append(f"  labels      {len(dataset.label_names)} classes: {_first_names(dataset.label_names)}")
    if dataset.judged:
        lines += [f"  column      {names}: {why}" for names, why in column_rows(dataset.judged)]
    elif dataset.columns:
        lines.append(f"  columns     {_first_names(dataset.columns)}")
    lines += [f"  classes     {name}: {_first_names(words)}" for name, words in dataset.classes.items()]
    lines += [f"  {line}" for line in _beside_words(dataset)]
    lines += [f"  sha256      {dataset.sha256}", f"  source      {dataset.source}"]
    lines += [f"  note        {note}" for note in dataset.notes]
    return "\n".join(lines)


def _positions(key: Any) -> Tensor:
    positions = torch.atleast_1d(as_tensor(key, "positions"))
    return positions if positions.numel() else positions.long()


def _event_words(dataset: Dataset) -> str:
    values = 1
    for side in dataset.event:
        values *= side
    if dataset.image_shape is None:
        return f"{values:,} columns"
    return f"images {'×'.join(map(str, dataset.image_shape))} ({values:,} values, event {dataset.event})"


def _beside_words(dataset: Dataset) -> list[str]:
    """A line for each context and each block that is known for some examples."""
    lines = []
    for kind, found in (("context ", dataset.train.context), ("observed", dataset.train.observed)):
        for name, value in found.items():
            if name == "label":
                continue
            words = dataset.beside_classes.get(name)
            what = _first_names(words) if words else "numbers"
            known = ""
            if isinstance(value, tuple):
                known = f"; known for {sum(int(p.observed[name][1].sum()) for p in dataset.parts.values()):,}"
            lines.append(f"{kind}    {name}: {what}{known}")
    return lines


def _map_words(recipe: Any) -> str:
    """A preprocessing recipe in one phrase; event shapes, which the first line has, are left out."""
    if recipe["kind"] == "chain":
        return ", then ".join(_map_words(step) for step in recipe["steps"])
    if recipe["kind"] == "columns":
        pairs = zip(recipe["sizes"], recipe["steps"], strict=True)
        return f"by columns ({', '.join(f'{size} {_map_words(step)}' for size, step in pairs)})"
    if "inner" in recipe:
        return f"{_map_words(recipe['inner'])} but for {recipe['kind']} at {_short(recipe['atoms'])}"
    said = {key: value for key, value in recipe.items() if key not in ("kind", "event") and value is not False}
    numbers = [f"{key} {_short(value)}" for key, value in said.items()]
    return f"{recipe['kind']} ({', '.join(numbers)})" if numbers else recipe["kind"]


def _short(value: Any) -> str:
    """A number, or the first and last of many."""
    if not isinstance(value, list) or len(value) <= _SHOWN:
        return ", ".join(f"{one:.6g}" for one in value) if isinstance(value, list) else str(value)
    return f"{value[0]:.6g} … {value[-1]:.6g} ({len(value)})"


def _first_names(names: list[str], most: int = 12) -> str:
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
