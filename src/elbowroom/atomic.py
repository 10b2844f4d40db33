"""Files that are complete or absent, never half-written."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["append_line", "hold", "one_at_a_time", "write_atomic"]


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside for this folder, as where a file is read, changed and written again.

    Parameters
    ----------
    folder : Path
        That is there.

    Yields
    ------
    None
        While this process is inside.

    Examples
    --------
    >>> with one_at_a_time(Path(".")):
    ...     pass
    """
    if fcntl is None:
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def hold(path: Path) -> IO[str] | None:
    """Take a lock file for this process, until it is closed or the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there.

    Returns
    -------
    file or None
        None where another process holds it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold(Path(folder) / ".lock") as held:
    ...     held.closed
    False
    """
    held = path.open("a", encoding="utf-8")
    try:
        if fcntl is not None:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        return None
    return held


def write_atomic(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is never half-written: to a temporary file beside it, flushed to disk, then renamed.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    content : str, bytes or callable
        Text, bytes, or a function that writes to the path it is called with.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomic(Path(folder) / "runs" / "note.txt", "done")
    ...     (Path(folder) / "runs" / "note.txt").read_text()
    'done'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        if callable(content):
            content(temporary)
        elif isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            temporary.write_text(content, encoding="utf-8")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Append a JSON object to a file as a line, and flush it.

    Parameters
    ----------
    path : Path
        The file.
    entry : mapping
        The object.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     append_line(Path(folder) / "log.jsonl", {"epoch": 1})
    ...     (Path(folder) / "log.jsonl").read_text()
    '{"epoch": 1}\\n'
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
