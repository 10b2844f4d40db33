"""Whether a file that was just written can be read again."""

from pathlib import Path

from elbowroom.numerics import InputError
from elbowroom.vae import VAE

from .archives import ArchiveTarget
from .arrays import ArrayTarget
from .cell_data import CellTarget
from .codec import Codec
from .container import Reader
from .contexts import Contexts
from .heads import settings_of, steps_of
from .images import image_names
from .tables import TableTarget

__all__ = ["refuse_other_places", "refuse_unreadable"]


def refuse_unreadable(path: Path, vae: VAE, codec: Codec | None = None) -> None:
    """Refuse data whose file a reader would refuse: every check of a head is made by the writer too.

    Parameters
    ----------
    path : Path
        The file, before it is moved to its place.
    vae : VAE
        The model.
    codec : Codec or None, default None
        Of the file; None for lossy ones.

    Raises
    ------
    InputError
        For ranges, steps, shapes, names and sizes beyond what a reader takes.
    """
    reader = Reader(path, fresh=True)
    kind = reader.head["source"]["kind"]
    contexts = Contexts.read(reader, vae.context_names)
    if codec is None:
        reader.beside = b""  # steps and masses of codes
    else:
        steps_of(reader)
        sizes = {name: len(pair[0]) for name, pair in codec.settings.references.items()}
        settings_of(reader, codec.cells, sizes)
    if kind == "table":
        TableTarget(reader, vae, contexts)
        return
    if kind == "cells":
        CellTarget(reader)
        return
    target = ArchiveTarget(reader, contexts) if kind == "arrays" else ArrayTarget(reader)
    if kind == "images":
        image_names(reader, target)


def refuse_other_places(out: Path, data: object) -> None:
    """Refuse a folder as a file's place, and the place of the data themselves.

    Parameters
    ----------
    out : Path
        Where the file shall be.
    data : object
        What is compressed.

    Raises
    ------
    InputError
        In a sentence.
    """
    if out.is_dir():
        raise InputError(f"{str(out)!r} is a folder: name a file, FILE.elb.")
    if isinstance(data, str | Path) and out.exists() and Path(data).exists() and out.samefile(data):
        raise InputError(
            f"{str(out)!r} holds the data themselves, which only this model would bring back: name another."
        )
