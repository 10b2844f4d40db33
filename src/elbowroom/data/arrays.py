"""From arrays, tensors and sparse matrices of any kind to raw data: tables [n, columns], images with channels first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support

from .cells import absent
from .raw import Raw
from .values import blocks, is_sparse

__all__ = ["as_array", "bits_of", "from_array", "named_columns", "notes_on_gaps", "ranks_of_channels"]

_FEW_LEVELS = 8  # which may share a factor by chance
_WANTED = "give an array, a tensor, a sparse matrix, a DataFrame or a path"


def from_array(values: Any, what: str = "The array") -> Raw:
    """Raw data of an array; memory-mapped arrays are not read whole, sparse matrices not densified.

    Parameters
    ----------
    values : array, memory-mapped array, masked array, tensor, sparse matrix or nested list
        [n, D] for a table; [n, H, W], [n, C, H, W] or [n, H, W, C] for images.
    what : str, default "The array"
        What errors call it.

    Returns
    -------
    Raw
        Channels first; NaN where a cell was masked.

    Raises
    ------
    InputError
        For another shape, or what are no numbers.
    """
    x = as_array(values, what)
    if is_sparse(x):
        return Raw(x)
    if x.ndim < 2:
        raise InputError(f"{what} has shape {x.shape}: one row per example is needed; one column? use x[:, None].")
    if x.ndim > 4:
        raise InputError(
            f"{what} has shape {x.shape}: give [n, columns], [n, H, W] or [n, C, H, W]; of films and volumes make each "
            "picture an example, x.reshape(-1, *x.shape[2:])."
        )
    raw = Raw(x)
    if x.ndim > 2 and x.size:
        _channels_first(raw)
        _without_opaque_alpha(raw)
        raw.notes += _notes_on_images(raw.x)
        raw.support = _deep_support(raw)
    return raw


def as_array(source: Any, what: str = "The array") -> Any:
    """Numbers of any kind as an array of numbers, or as a CSR matrix.

    Parameters
    ----------
    source : Any
        An array, masked array, tensor (sparse ones too), sparse matrix or nested list; of objects and of texts, those
        that are numbers are taken.
    what : str, default "The array"
        What errors call it.

    Returns
    -------
    array or CSR matrix
        NaN where a cell was masked; a memory-mapped array as it is.

    Raises
    ------
    InputError
        For ragged rows, and for anything but numbers.
    """
    if isinstance(source, Tensor):
        source = _of_tensor(source, what)
    if is_sparse(source):
        return _csr(source, what)
    if isinstance(source, np.memmap):
        return _numbers(source, what)
    if isinstance(source, list | tuple) and any(isinstance(row, Tensor) for row in source):
        source = [row.numpy(force=True) if isinstance(row, Tensor) else row for row in source]
    if isinstance(source, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in source):
        source = np.ma.stack(source)
    if isinstance(source, np.ma.MaskedArray):
        return _numbers(_filled(source), what)
    _refuse_no_array(source)
    try:
        return _numbers(np.asarray(source), what)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{what} is ragged: every row needs the same number of values; labels beside x are given as labels=."
        ) from error


def named_columns(source: Any, what: str = "The array") -> Any:
    """A structured array as a DataFrame with a column for each field; anything else as it is.

    Parameters
    ----------
    source : Any
        Of an array with named fields, [n].
    what : str, default "The array"
        What errors call it.

    Returns
    -------
    DataFrame or Any
        The same numbers and words.

    Raises
    ------
    InputError
        For fields that are arrays, and for several structured columns.
    """
    names = getattr(getattr(source, "dtype", None), "names", None)
    if not names or not isinstance(source, np.ndarray):
        return source
    if source.size != len(source) or any(source.dtype[name].shape or source.dtype[name].names for name in names):
        raise InputError(f"{what} has fields that hold several values: give [n] with one number or word in each field.")
    import pandas

    rows = source.reshape(len(source))
    return pandas.DataFrame({name: _field(rows[name]) for name in names})


def _field(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace").astype(object)
    if isinstance(column, np.ma.MaskedArray):
        column = _filled(column) if column.dtype.kind in "buif" else np.ma.filled(column.astype(object), None)
    return column.astype(column.dtype.newbyteorder("="))


def _of_tensor(tensor: Tensor, what: str) -> Any:
    """A tensor as an array, a sparse one as a sparse matrix."""
    if tensor.is_nested or tensor.device.type == "meta":
        raise InputError(f"{what} is a tensor that {'is nested' if tensor.is_nested else 'has no values'}: {_WANTED}.")
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_floating_point() and tensor.itemsize <= 2:
        tensor = tensor.float()
    if tensor.layout == torch.strided:
        return tensor.resolve_conj().resolve_neg().numpy()
    if tensor.ndim != 2 or tensor.dense_dim():
        raise InputError(
            f"{what} is a tensor of layout {tensor.layout} and {tensor.ndim} dimensions: give a dense one."
        )
    from scipy import sparse

    pairs = tensor.to_sparse_coo().coalesce()
    return sparse.coo_array((pairs.values().numpy(), pairs.indices().numpy()), shape=tuple(tensor.shape))


def _csr(values: Any, what: str) -> Any:
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise InputError(
            f"{what} is sparse, of shape {values.shape} and type {values.dtype}: give numbers [n, columns]."
        )
    return values.tocsr()


def _filled(values: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """A masked array with NaN where it masks."""
    if not np.ma.is_masked(values) or values.dtype.kind not in "buif":
        return np.asarray(values)
    floats = values if values.dtype.kind == "f" else values.astype(np.float64)
    return np.asarray(np.ma.filled(floats, np.nan))


def _refuse_no_array(source: Any) -> None:
    """Refuse what numpy would make an array of one object of, or of the wrong thing."""
    kind = type(source).__name__
    if isinstance(source, Mapping):
        raise InputError(f"The source is a {kind}: pandas.DataFrame(x) makes a table of its columns.")
    if isinstance(source, torch.utils.data.Dataset):
        raise InputError(f"The source is a {kind}: give its values, such as dataset.tensors[0], and labels=.")
    if hasattr(source, "to_frame") and not hasattr(source, "columns"):
        raise InputError(f"The source is a {kind} of one column: x.to_frame() makes a table of it.")
    numbers = hasattr(source, "__array__") or hasattr(source, "__array_interface__")
    if not numbers and not isinstance(source, list | tuple | memoryview | bytearray | range):
        listed = isinstance(source, Iterator) and not hasattr(source, "read")
        raise InputError(f"The source is a {kind}: {'give list(x)' if listed else _WANTED}.")


def _numbers(array: NDArray[Any], what: str) -> NDArray[Any]:
    """An array of numbers or booleans, of at most 64 bits."""
    kind = array.dtype.kind
    if kind in "OUST":
        return _parsed(array, what)
    if array.dtype.names:
        raise InputError(f"{what} has named fields: give it as it is, or as a DataFrame.")
    if kind == "c":
        raise InputError(
            f"{what} holds complex numbers: give real and imaginary parts as columns, "
            "np.concatenate([x.real, x.imag], axis=1)."
        )
    if kind in "mM":
        raise InputError(
            f"{what} holds {array.dtype} values: give numbers, such as days, (x - x.min()) / np.timedelta64(1, 'D')."
        )
    if kind not in "buif":
        raise InputError(f"{what} holds {array.dtype} values; give numbers.")
    return array


def _parsed(array: NDArray[Any], what: str) -> NDArray[np.float64]:
    """Numbers of an array of objects or of texts, NaN for what is missing."""
    cells = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in array.ravel().tolist()]
    bad = next((cell for cell in cells if not _is_number(cell)), None)
    if bad is not None:
        raise InputError(
            f"{what} holds values that are no numbers, such as {_short(bad)}: give numbers, or a DataFrame where "
            "columns hold words."
        )
    numbers = [np.nan if absent(cell) else float(cell) for cell in cells]
    whole = [cell for cell in cells if isinstance(cell, int)]
    if any(int(float(cell)) != cell for cell in whole):
        raise InputError(f"{what} holds whole numbers beyond 2^53, which floats merge: take an offset away from them.")
    return np.array(numbers).reshape(array.shape)


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, a text of one (without underscores, which Python reads over), or missing."""
    if absent(cell):
        return True
    if not isinstance(cell, str):
        return isinstance(cell, Number) and not isinstance(cell, complex)
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) < 40 else f"{text[:36]}…"


def _channels_first(raw: Raw) -> None:
    """Turn images whose channels come last, and say what was assumed where shapes leave it open."""
    x = raw.x
    if x.ndim == 3:
        if x.shape[2] in (3, 4) and x.shape[1] > 4 and len(x) > 4:
            raw.notes.append(
                f"The shape {x.shape} was taken for {len(x):,} grey images of {x.shape[1]}×{x.shape[2]}; one image in "
                "colour would be one example, x[None]."
            )
        return
    first, last = ranks_of_channels(x.shape)
    if last > first:
        raw.x = x.transpose(0, 3, 1, 2)
        raw.notes.append("The channels came last; they now come first.")
    if first == last:
        raw.notes.append(
            f"The shape {x.shape} was taken for {_channels(x.shape[1])} of {x.shape[2]}×{x.shape[3]}; if channels come "
            "last, give x.transpose(0, 3, 1, 2)."
        )


def ranks_of_channels(shape: Sequence[int]) -> tuple[int, int]:
    """How much the first and the last side of images [n, a, b, c] look like channels: the greater is taken for them.

    Parameters
    ----------
    shape : sequence of int
        Of all images.

    Returns
    -------
    first, last : int
        Equal where the shape leaves it open, and the first is taken.
    """
    _, a, b, c = shape
    first, last = _rank(a), _rank(c)
    if not first and not last:  # many channels: those of square images, else those that are fewer than sides
        return int(b == c != a or a < min(b, c)), int(a == b != c)
    return first, last


def _channels(many: int) -> str:
    return "1 channel" if many == 1 else f"{many} channels"


def _rank(side: int) -> int:
    """How much a side looks like channels: 2 for grey and colour, 1 for these with alpha, else 0."""
    return {1: 2, 3: 2, 2: 1, 4: 1}.get(side, 0)


def _without_opaque_alpha(raw: Raw) -> None:
    """Drop a second or fourth channel that is the same everywhere."""
    x = raw.x
    if x.ndim != 4 or x.shape[1] not in (2, 4):
        return
    value, top = x[0, -1, 0, 0], 255 if x.dtype == np.uint8 else 1
    constant = all((block == value).all() for _, block in blocks(x[:, -1]))
    if constant and (x.shape[1] == 4 or value == top):
        raw.x = x[:, :-1]
        raw.notes.append(f"The last of {x.shape[1]} channels is {value:g} everywhere, as opaque alpha is: dropped.")
    elif x.shape[1] == 4:
        raw.notes.append(
            "All four channels are modelled; if the fourth is transparency, lay the images over a colour first."
        )


def _notes_on_images(x: NDArray[Any]) -> list[str]:
    """Notes on colours that are greys, and on black and white among 256 levels."""
    notes = []
    if x.ndim == 4 and x.shape[1] == 3 and all(_equal_channels(block) for _, block in blocks(x)):
        notes.append("The three channels are equal everywhere: x[:, :1] holds the same images with one.")
    if x.dtype.kind != "b" and all(((block == 0) | (block == 255)).all() for _, block in blocks(x)) and x.any():
        notes.append("The values are 0 and 255 alone: x // 255 is binary, and needs no levels between.")
    return notes


def _equal_channels(block: NDArray[Any]) -> bool:
    colours = block.reshape(len(block), 3, -1)
    return bool((colours == colours[:, :1]).all())


def _deep_support(raw: Raw) -> Support | None:
    """The grid of images of whole numbers that files of 16 bits hold: 64 bits are NumPy's own, and may be counts."""
    if raw.x.dtype.kind not in "iu" or raw.x.dtype.itemsize not in (2, 4):
        return None
    ends = [(int(block.min()), int(block.max())) for _, block in blocks(raw.x)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if low < 0 and high - low >= 256:
        raw.notes.append(
            f"Images of whole numbers, the least {low:,}, have a density, which on a grid grows without limit: give "
            f"x + {-low}, whose levels begin at 0."
        )
    if low < 0 or not 256 <= high < 2**16:
        return None
    bits = 8 * raw.x.dtype.itemsize
    raw.notes.append(
        f"Images of {bits}-bit numbers, the greatest {high:,}, were taken for greys on {bits_of(high)} bits: where "
        'they are counts, say support="counts".'
    )
    raw.notes += notes_on_gaps(raw.x)
    return Support("grid", 2 ** bits_of(high))


def notes_on_gaps(x: NDArray[Any]) -> list[str]:
    """A note where all levels are multiples of a number, as 12 bits that were shifted into 16 are.

    Parameters
    ----------
    x : array
        Whole numbers from 0.

    Returns
    -------
    list of str
        One sentence, or none.

    Examples
    --------
    >>> print(*notes_on_gaps(257 * np.arange(256, dtype=np.uint16).reshape(4, 64)))
    All levels are multiples of 257: what knows it gains 5.55 nats a value; x // 257 holds the same images on 0…255.
    """
    levels = np.unique(np.concatenate([np.unique(block) for _, block in blocks(x)]))
    step = int(np.gcd.reduce(levels))
    if step < 2 or len(levels) < _FEW_LEVELS:
        return []
    return [
        f"All levels are multiples of {step}: what knows it gains {math.log(step):.3g} nats a value; x // {step} holds "
        f"the same images on 0…{int(levels[-1]) // step:,}."
    ]


def bits_of(high: int) -> int:
    """The bits of a grey value whose greatest is `high`: 8, 10, 12, 14 or 16, as cameras and scanners have."""
    return next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
