"""The stage `load`: the data of a study, and the record of which they are."""

import math
from typing import Any

import torch

from elbowroom.data import Dataset, load_data
from elbowroom.data.columns import column_rows
from elbowroom.data.given import known_contexts
from elbowroom.likelihoods._auto import why_auto
from elbowroom.numerics import InputError
from elbowroom.records import DataRecord

__all__ = ["data_of", "load"]

_LEAST = 2  # examples of a part, so that means over it have an error


def data_of(source: Dataset | Any, seed: int, progress: bool) -> Dataset:
    """The data of a study.

    Parameters
    ----------
    source : Dataset or Any
        The data themselves, or anything `load_data` takes, of which 2,000 genes are kept where cells have more.
    seed : int
        Of the split, where they are still to be split.
    progress : bool
        Whether standard error says that data are loaded.

    Returns
    -------
    Dataset
        Of which a study can be made.

    Raises
    ------
    InputError
        As `load_data` does, and where a part is too small.
    """
    data = source if isinstance(source, Dataset) else load_data(source, seed=seed, genes="auto", progress=progress)
    _check_parts(data)
    return data


def load(data: Dataset) -> DataRecord:
    """Which data a study is of.

    Parameters
    ----------
    data : Dataset
        Of the study.

    Returns
    -------
    DataRecord
        The record of the stage.
    """
    known = data.summary()
    return DataRecord(
        name=data.name,
        source=str(data.source),
        sha256=data.sha256,
        sizes=known["sizes"],
        official=data.official,
        split_seed=data.split_seed,
        kind=data.support.kind,
        support=known["support"],
        seen=data.preprocess.support(data.support).kind,
        levels=data.levels,
        event=tuple(data.event),
        image_shape=None if data.image_shape is None else tuple(data.image_shape),
        columns=None if data.columns is None else tuple(map(str, data.columns)),
        classes=_class_names(data),
        label_names=None if data.label_names is None else tuple(map(str, data.label_names)),
        preprocess=known["preprocess"],
        why_likelihood=why_auto(data.preprocess.support(data.support)),
        column_rows=tuple(column_rows(data.judged)),
        repeats=() if data.repeats is None else tuple(data.repeats.index.tolist()),
        repeats_expected=None if data.repeats is None else data.repeats.expected,
        notes=tuple(data.notes),
        context={name: tuple(shape) for name, shape in known.get("context", {}).items()},
        observed={name: tuple(shape) for name, shape in known.get("observed", {}).items()},
        missing=known.get("missing"),
        parts=known["parts"],
        entropies=_entropies(data),
    )


def _entropies(data: Dataset) -> dict[str, float]:
    """Of contexts of classes, in nats."""
    named = [name for name, (_, words) in known_contexts(data.summary()).items() if words]
    shares = {name: data.train.context[name].double().mean(0) for name in named}
    return {name: float(torch.special.entr(share).sum()) for name, share in shares.items()}


def _class_names(data: Dataset) -> dict[int, tuple[str, ...]]:
    """Of a table, by number of the column: the classes' names, or their codes where they have none."""
    if data.image_shape is not None:
        return {}
    columns = data.columns or [""] * math.prod(data.event)
    kinds = data.support.columns or (data.support,) * len(columns)
    return {
        i: tuple(map(str, data.classes.get(name) or range(one.levels or 0)))
        for i, (name, one) in enumerate(zip(columns, kinds, strict=True))
        if one.kind == "categorical"
    }


def _check_parts(data: Dataset) -> None:
    """Raise InputError where a part is too small to train on, choose by or measure on."""
    total = sum(map(len, data.parts.values()))
    for name, part in data.parts.items():
        if len(part) >= _LEAST:
            continue
        needs = f"A study needs {_LEAST} {name} examples or more, and {data.name!r} has {len(part)}"
        if total < 3 * _LEAST:
            raise InputError(f"{needs} of {total} in all: give {3 * _LEAST} rows or more.")
        more = "smaller validation= and test=" if name == "train" else f"{name}={_LEAST} or more"
        raise InputError(f"{needs}: load the data with {more}.")
