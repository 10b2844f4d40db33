"""A copy of an .h5ad file to which elements are added, whole or absent."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data import Examples
from elbowroom.numerics import InputError

__all__ = ["FileCopy"]

_ROWS = 1_000


class FileCopy:
    """A copy of an .h5ad file, open for new elements; it gets its name when all are written.

    The bytes of the source are copied and its groups opened for adding, so that nothing of it is read or rewritten and
    memory holds what is added alone.

    Parameters
    ----------
    source : Path
        The file.
    out : Path
        The new one.

    Raises
    ------
    InputError
        For a file of an anndata before 0.7, whose obs is no group.
    """

    def __init__(self, source: Path, out: Path) -> None:
        self.source, self.out = source, out

    def __enter__(self) -> "FileCopy":
        import h5py

        self.out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self.out.name}.", suffix=".h5ad", dir=self.out.parent)
        os.close(handle)
        self.path = Path(name)
        try:
            shutil.copyfile(self.source, self.path)
            self.file = h5py.File(self.path, "r+")
            if not isinstance(self.file.get("obs"), h5py.Group):
                raise InputError(
                    f"{self.source.name!r} was written by an anndata before 0.7: anndata.read_h5ad and write_h5ad "
                    "make a file of today's of it."
                )
        except BaseException:
            self._away()
            raise
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            self._away()
            return
        self.file.close()
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.chmod(0o644)
        self.path.replace(self.out)

    def _away(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
        self.path.unlink(missing_ok=True)

    def column(self, name: str, values: NDArray[Any], attributes: Mapping[str, str]) -> None:
        """Add a column to obs, with attributes of its own.

        Parameters
        ----------
        name : str
            Of the column.
        values : array
            [n], numbers or words.
        attributes : mapping
            What it is, in words.
        """
        obs = self.file["obs"]
        self.element("obs", name, values)
        obs[name].attrs.update(attributes)
        order = [str(one) for one in obs.attrs["column-order"]]
        if name not in order:
            import h5py

            obs.attrs.create("column-order", np.array([*order, name], dtype=object), dtype=h5py.string_dtype())

    def element(self, group: str, name: str, values: Any) -> None:
        """Add an element that is held in memory.

        Parameters
        ----------
        group : str
            "obs", "obsm", "layers" or "uns".
        name : str
            In the group; what has the name goes.
        values : array or dict
            As anndata writes it.
        """
        from anndata.io import write_elem

        place = self._group(group)
        if name in place:
            del place[name]
        write_elem(place, name, values)

    def matrix(self, group: str, name: str, cells: Examples) -> Callable[[slice, NDArray[np.float32]], None]:
        """Make room for numbers [n, genes], which are written part by part.

        Parameters
        ----------
        group : str
            "obsm" or "layers".
        name : str
            In the group; what has the name goes.
        cells : Examples
            Whose shape they have.

        Returns
        -------
        callable
            Takes a slice of rows and their numbers.
        """
        place = self._group(group)
        if name in place:
            del place[name]
        shape = (len(cells), *cells.event)
        room = place.create_dataset(name, shape, "f4", chunks=(min(_ROWS, shape[0]), shape[1]))
        room.attrs["encoding-type"], room.attrs["encoding-version"] = "array", "0.2.0"
        return room.__setitem__

    def _group(self, name: str) -> Any:
        if name not in self.file:
            made = self.file.create_group(name)
            made.attrs["encoding-type"], made.attrs["encoding-version"] = "dict", "0.1.0"
        return self.file[name]
