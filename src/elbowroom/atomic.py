"""Files that are complete or absent, never half-written."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["append_line", "write_atomic"]


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
