"""From any source to a data set: values checked, support found, parts drawn, preprocessing chosen."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support, keyed_uniform, own_modes, plain_arguments
from elbowroom.preprocess import Preprocess
from elbowroom.progress import Progress
from elbowroom.vae.meanings import SIZE

from ._values_of import values_of
from .anndata_objects import is_anndata, of_anndata
from .arrays import from_array, named_columns
from .batches import batches_of, refuse_unseen_batches
from .beside import beside_of, context_sources, names_in, without_labels
from .cell_table import from_cells
from .choices import choose_preprocess, fill_for
from .coding import coding_of
from .counted import counted, refuse_size_names
from .csr_on_disk import CsrOnDisk
from .dataset import Dataset, Examples
from .files import read_path
from .frames import from_frame
from .grey_levels import with_grey_levels
from .judged import judge, left_out_note, without_left_out
from .loading import loading_of
from .named import NAMED, read_named
from .notes import fingerprints, hidden_grid, notes_on
from .raw import Raw, without_columns
from .repeats import repeats_of
from .scan import Scan, scan
from .sentinels import sentinels
from .shapes import event_of, image_shape_of
from .size_factors import LATENT, NONE, OBSERVED
from .values import is_sparse

__all__ = ["load_data"]

BATCH = "batch"  # the context that batch= makes
_SIZES = (OBSERVED, LATENT, NONE)
_SIX = 6  # examples, of which every part gets two, so that means over it have an error


_Arguments = ParamSpec("_Arguments")


def _shown(load: Callable[_Arguments, Dataset]) -> Callable[_Arguments, Dataset]:
    """Say on standard error that data are loaded, where that takes time and `progress` is not False."""

    @functools.wraps(load)
    def shown(*source: _Arguments.args, **options: _Arguments.kwargs) -> Dataset:
        named = [str(one) for one in source if isinstance(one, str | Path)]
        with Progress(f"loading {named[0] if named else 'the data'}", None, show=bool(options.get("progress", True))):
            return load(*source, **options)

    return shown


@dataclass
class _Split:
    """Row numbers of the three parts."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def sorted(self) -> "_Split":
        """The same parts in the order of the source, in which a file is read at less cost."""
        return _Split(np.sort(self.train), np.sort(self.validation), np.sort(self.test))


@own_modes
@_shown
@plain_arguments
def load_data(
    source: Any,
    *,
    support: str | Support | Sequence[str | Support] | None = None,
    preprocess: str | Preprocess = "auto",
    labels: Any = None,
    context: str | Sequence[str] | Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | str | None = None,
    layer: str | None = None,
    batch: Any = None,
    size_factor: Any = None,
    genes: int | str | None = None,
    drop: str | Sequence[str] = (),
    validation: int | float | None = None,
    test: int | float | None = None,
    seed: int = 0,
    name: str | None = None,
    flat: bool | None = None,
    progress: bool = True,
) -> Dataset:
    """Load data, split them into train, validation and test, and choose how they are preprocessed.

    A cell without a value (NaN, or masked) is missing: a batch holds 0 there (or the mean, where preprocessing
    subtracts one) and says which cells are `seen`, also as the context "seen". Values are kept as they came. A
    memory-mapped array (or a .npy file of 256 MB or more) stays on the disk and a sparse matrix stays sparse: their
    rows become numbers in memory batch by batch.

    Parameters
    ----------
    source : str, Path, array, tensor, sparse matrix, DataFrame or AnnData
        The name of a public data set (`er.data.list_data` lists them); the path of a .npy, .npz, .csv, .tsv, .txt
        (these three also packed as .gz), .parquet or .feather file or of a folder of images, whose subfolders are
        classes, or parts (train, validation, test) that hold images or classes; of cells a .h5ad, a .h5 of 10x or with
        X (and Y), or an AnnData, in memory or backed, whose columns beside x are those of obs; or the data: a table
        [n, columns], or images [n, H, W], [n, C, H, W] or [n, H, W, C]. A column of words holds classes, and makes the
        support of a table "mixed"; one that holds neither numbers nor classes is left out with a note.
    support : str, Support or sequence of these, optional
        Where the values lie: "binary", "unit" ([0, 1]), "grid" (levels 0, 1, …), "real", "counts", "categorical", or a
        `Support`; "mixed" infers it for each column of a table, a sequence states it for each. By default inferred.
    preprocess : str or Preprocess, default "auto"
        What is done to x before the model sees it: "dequantise" (adds uniform noise to a grid and maps it to [0, 1]),
        "dequantise-symmetric" (to [−1, 1]), "binarise" (afresh each time), "binarise-fixed" (once, by `seed`),
        "standardise", "none", or a module of `er.preprocess`. "auto" dequantises grids, standardises real numbers (of a
        mixed table these columns only) and leaves the rest as it is.
    labels : array [n], str or int, optional
        The class of each example, as whole numbers or words, or the name of the column that holds it, which is taken
        out of x. Figures of the latent plane are coloured by it and neighbour accuracy is measured by it; a model reads
        it only where context="label", or a word of its recipe, names it (one-hot [n, classes]). By default the source's
        own, if any.
    context : str, sequence of str or mapping, optional
        What models read beside x unless their recipe says otherwise, so that they are of log p(x | context): names of
        columns, which are taken out of x, or name → array [n, ...] (or name of a column). Numbers are served as [n, 1],
        words one-hot; "label" is the labels.
    observed : mapping or "label", optional
        Latent block → array, or name of a column, of what is known of that block for some examples: a class per example
        (−1, None or NaN where it is not known), or real numbers [n, d] (NaN where not). "label" makes such a block,
        "label", of the labels, of which some may then be missing (empty, None, NaN or −1).
    layer : str, optional
        Of cells: the layer that is x, or "raw". By default X. Where none is said and x holds fractions it is refused,
        and the layers that hold counts are named, unless `support` says that fractions are meant.
    batch : str or array [n], optional
        The batch of each row, words or numbers, or the name of the column (of obs) that holds it: the context "batch",
        one-hot, which models read unless their recipe says otherwise, so that they are of log p(x | batch).
    size_factor : str or array [n], optional
        How much was counted in each row; by default "observed" for counts of cells (AnnData, .h5ad, .h5, .mtx) and
        "none" for other tables. "observed" is its total over all columns that are read, before `genes` chooses; a name
        is that of a column, an array holds it: divided by the mean over the training rows it is the context "size",
        [n, 1], for likelihoods of counts alone. "latent" makes no context: the mean and deviation of log size in train
        are kept in `Dataset.sizes`, for the prior of a latent size. "none" leaves how much was counted to z.
    genes : int or "auto", optional
        How many columns of counts are kept: those whose Pearson residuals vary most in the training rows (within
        batches, where these are given). By default all; "auto" keeps 2,000 of cells that have more.
    drop : str or sequence of str, default ()
        Columns (arrays of a .npz, genes) that are left out.
    validation : int or float, default 0.1
        Examples kept for choosing the epoch and the model: how many, or below 1 which fraction of all; by default two
        at least, of six or more. Drawn by `seed`; named sets have defaults of their own, and an official part cannot be
        replaced.
    test : int or float, default 0.2
        Examples kept for the final measurements, as `validation`.
    seed : int, default 0
        Draws the split, and the values of "binarise-fixed".
    name : str, optional
        What to call the data set; by default the name of the set or of the file.
    flat : bool, optional
        Whether images are vectors, [n, C · H · W], and not [n, C, H, W]. By default grey images are and coloured ones
        are not.
    progress : bool, default True
        Whether standard error says that data are loaded, where it takes more than two seconds.

    Returns
    -------
    Dataset
        Its parts `train`, `validation` and `test`, its `support` and its `preprocess`; `print` describes it.

    Raises
    ------
    InputError
        For data or options that cannot be used, in one sentence.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), str(digits.support)
    (1200, 200, 397, 'integer grid 0…16')
    >>> digits.event, er.load_data("digits", flat=False).event
    ((64,), (1, 8, 8))
    """
    labels = str(labels) if isinstance(labels, int | np.integer) else labels
    drop = [drop] if isinstance(drop, str) else [str(column) for column in drop]
    told = {"support": support, "preprocess": preprocess, "labels": labels, "context": context, "observed": observed}
    told |= {"layer": layer, "batch": batch, "size_factor": size_factor, "genes": genes}
    told |= {"drop": drop or None, "seed": seed, "name": name, "flat": flat}
    conditions = tuple(context_sources(context))
    context = without_labels(context, labels is not None or _has_classes(source))
    named = dict.fromkeys(names_in(context, observed), "context or observed")
    named |= {batch: "batch"} if isinstance(batch, str) else {}
    named |= {size_factor: "size_factor"} if isinstance(size_factor, str) and size_factor not in _SIZES else {}
    raw, labels, title, origin = _read(source, labels, named, drop, layer)
    known = NAMED.get(title) if isinstance(source, str) else None
    defaults = (known.validation, known.test) if known else (0.1, 0.2)
    drawn = functools.partial(_split, raw.x.shape[0], raw.official, (validation, test), defaults, seed)
    batches = (
        None if batch is None else batches_of(raw.taken[batch] if isinstance(batch, str) else batch, raw.x.shape[0])
    )
    read = raw.x.shape[1:]
    raw, counts = counted(
        raw,
        lambda: drawn().train,
        size_factor=size_factor,
        genes=genes,
        batches=batches and batches[0],
        stated=support is not None,
    )
    if isinstance(genes, str):
        told["genes"] = raw.x.shape[1] if raw.x.shape[1:] != read else None
    if support is None and isinstance(preprocess, str) and preprocess != "none":
        raw = with_grey_levels(raw)
    scanned = scan(raw.x, raw.columns, raw.official[1], raw.row)
    if scanned.empty.any() and len(raw.x.shape) == 2:
        raw = without_columns(raw, scanned.empty, "no value in any row")
        scanned = scan(raw.x, raw.columns, raw.official[1], raw.row)
    found, judged = judge(raw, scanned.limits, support)
    if any(one.support is None for one in judged):
        raw = without_left_out(raw, judged)
        scanned = scan(raw.x, raw.columns, raw.official[1], raw.row)
    parts = drawn().sorted() if isinstance(raw.x, CsrOnDisk) else drawn()
    beside = beside_of(raw, labels, context, observed, bool(scanned.gaps), conditions)
    if batches:
        beside, conditions = beside.and_context(BATCH, batches[0], "batch", batches[1]), (*conditions, BATCH)
        raw.notes += refuse_unseen_batches(*batches, vars(parts))
    if counts.size is not None:
        beside = beside.and_context(SIZE, counts.size, "size_factor")
    refuse_size_names(counts, beside.context, isinstance(size_factor, str) and size_factor == NONE)
    image_shape, event = image_shape_of(raw.x.shape), event_of(raw.x.shape, flat)
    notes = raw.notes + sentinels(raw)
    if preprocess == "binarise-fixed":
        raw.x, found = _binarise(raw.x, scanned, found, event, seed), Support("binary")
        scanned = scan(raw.x, raw.columns, raw.official[1], raw.row)
        notes.append(f"Binarised once, with seed {seed}: the data are now these zeros and ones.")
        preprocess = "none"
    rows, digest = fingerprints(raw.x, scanned.wide, beside.codes, beside.hashed())
    notes += left_out_note(judged)
    repeats = repeats_of(raw.x, rows, parts.train, parts.test, found)
    notes += notes_on(raw.x, scanned, raw.columns, rows, repeats, len(parts.test))
    notes += repeats_of(raw.x, rows, parts.validation, parts.test, found).note(len(parts.test), "validation")
    if found.kind in ("unit", "real") and not judged:
        notes += hidden_grid(raw.x[: raw.x.shape[0] - raw.official[1]])
    official = tuple(part for part, n in zip(("validation", "test"), raw.official, strict=True) if n)
    # Counts stand for what was asked for, so that a later default draws the same parts.
    told |= {part: len(getattr(parts, part)) for part in ("validation", "test") if part not in official}
    train, held, tested = (
        Examples(values_of(raw.x, which, event, scanned.wide), torch.from_numpy(which), data=digest, **beside.of(which))
        for which in (parts.train, parts.validation, parts.test)
    )
    chosen = choose_preprocess(preprocess, found, train.values, seed)
    coding = coding_of(raw, beside, found, support is not None, counts.sizes if counts.size is not None else None)
    for part in (train, held, tested):
        part.fill = fill_for(chosen, event) if scanned.gaps else None
        part.table = tuple((name, tuple(raw.classes.get(name, ()))) for name in raw.columns or ())
        part.coding = coding
    return Dataset(
        name=name or title,
        train=train,
        validation=held,
        test=tested,
        support=found,
        preprocess=chosen,
        event=event,
        image_shape=image_shape,
        columns=raw.columns,
        label_names=beside.label_names,
        source=origin,
        sha256=digest,
        split_seed=seed,
        official=official,
        notes=notes,
        classes=raw.classes,
        beside_classes=beside.words,
        judged=judged,
        repeats=repeats,
        conditions=conditions,
        row_names=raw.row_names,
        sizes=counts.sizes,
        loading=loading_of(source, isinstance(source, str) and _is_name(source), told),
    )


def _read(
    source: Any, labels: Any, asked: Mapping[str, str], drop: Sequence[str], layer: str | None
) -> tuple[Raw, Any, str, str]:
    """Raw data, labels, a name and where they come from; of columns asked for beside x, what they are asked for."""
    beside = list(asked)
    if is_anndata(source):
        raw, labels = from_cells(of_anndata(source), labels, beside, drop, layer)
        return raw, labels, "cells", "AnnData"
    if isinstance(source, str | Path) and not (isinstance(source, str) and _is_name(source)):
        path = Path(source).expanduser()
        raw, labels = read_path(path, labels, beside, drop, layer)
        return raw, labels, path.name.removesuffix(".gz").rpartition(".")[0] or path.stem or str(path), str(path)
    if layer is not None:
        raise InputError(f"These data have no layers, so layer={layer!r} means nothing: leave it out.")
    source = named_columns(source)
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        raw, labels = from_frame(source, labels, beside, drop=drop)
        return raw, labels, "table", "DataFrame"
    named = [("labels", labels)] * isinstance(labels, str) + [(use, name) for name, use in asked.items()]
    for given, what in named + [("drop", name) for name in drop]:
        raise InputError(
            f"These data have no columns by name, so {given}={what!r} means nothing: give an array, or leave it out."
        )
    if isinstance(source, str):
        raw, origin = read_named(source)
        if labels is not None:
            raw.label_names = None
        return raw, raw.labels if labels is None else labels, source, origin
    return from_array(source), labels, "array", type(source).__name__


def _is_name(source: str) -> bool:
    """Whether a string is meant as a name: known, or without anything that makes it look like a path."""
    path = Path(source).expanduser()
    return source in NAMED or not (path.exists() or path.suffix or len(path.parts) > 1)


def _has_classes(source: Any) -> bool:
    """Whether labels come with the source itself: a named set, or a folder of images."""
    return isinstance(source, str | Path) and (_is_name(str(source)) or Path(source).expanduser().is_dir())


def _binarise(x: Any, scanned: Scan, support: Support, event: tuple[int, ...], seed: int) -> NDArray[Any]:
    """Each value on with the probability its grey level states; keyed by (seed, row), so the split does not matter."""
    maximum = {"unit": 1, "binary": 1, "grid": (support.levels or 2) - 1}.get(support.kind)
    if maximum is None or (support.values and support.kind == "grid"):
        raise InputError(f"Binarising needs data on a grid or in [0, 1]; these are {support}.")
    if scanned.gaps or is_sparse(x) or isinstance(x, np.memmap):
        raise InputError("Binarising once needs whole data in memory; preprocess='binarise' does it batch by batch.")
    uniforms = keyed_uniform(event, torch.arange(len(x)), seed).numpy()
    return (uniforms * maximum < x.reshape(len(x), *event)).astype(np.uint8)


def _split(
    n: int,
    official: tuple[int, int],
    asked: Sequence[int | float | None],
    defaults: Sequence[int | float],
    seed: int,
) -> _Split:
    """Official parts are the last rows; the others are drawn from the rest without replacement."""
    pool = n - sum(official)
    counts = [0, 0]
    for i, part in enumerate(("validation", "test")):
        if official[i] and asked[i] is not None:
            raise InputError(f"These data have an official {part} part of {official[i]:,}; leave {part}= out.")
        if not official[i]:
            wanted = asked[i]
            counts[i] = _count(part, defaults[i] if wanted is None else wanted, pool)
            if wanted is None and pool >= _SIX:
                counts[i] = max(counts[i], 2)
    if pool - sum(counts) < 2:
        raise InputError(
            f"{pool:,} examples are too few to keep {counts[0]:,} for validation and {counts[1]:,} for test and "
            "learn from the rest: give more, or smaller validation= and test=."
        )
    drawn = np.random.default_rng(seed).permutation(pool)
    train, held, tested = np.split(drawn, [pool - sum(counts), pool - counts[1]])
    last = np.arange(pool, n)
    held = last[: official[0]] if official[0] else held
    tested = last[official[0] :] if official[1] else tested
    return _Split(train, held, tested)


def _count(part: str, wanted: int | float, pool: int) -> int:
    """How many rows a number or a fraction means; a fraction above 0 means at least one."""
    if isinstance(wanted, bool) or not (0 <= wanted < 1 or (wanted > 0 and float(wanted).is_integer())):
        raise InputError(f"{part}= is a fraction below 1 or a whole number of examples; got {wanted}.")
    return int(wanted) if wanted >= 1 or wanted == 0 else max(1, round(wanted * pool))
