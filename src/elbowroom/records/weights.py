"""Which weights a run holds, so that what was measured of others is not taken for them."""

import hashlib
from pathlib import Path

__all__ = ["others_now", "weights_digest"]


def weights_digest(run: Path) -> str:
    """SHA-256 of the kept model of a run.

    Parameters
    ----------
    run : Path
        A run folder.

    Returns
    -------
    str
        Of model.safetensors, in hexadecimal digits; "" where there is none.

    Examples
    --------
    >>> weights_digest(Path("no-such-run"))
    ''
    """
    path = Path(run) / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def others_now(measured: str, run: Path) -> bool:
    """Whether a run is known to hold other weights than those that were measured.

    Parameters
    ----------
    measured : str
        Their SHA-256; "" where it was not kept.
    run : Path
        A run folder.

    Returns
    -------
    bool
        False where one of the two is not known.

    Examples
    --------
    >>> others_now("1f2e", Path("no-such-run"))
    False
    """
    now = weights_digest(run)
    return bool(measured and now) and measured != now
