"""The stage `contest`: the classics on the same data, whatever was measured of a VAE."""

from elbowroom.data import Dataset
from elbowroom.records import ContestRecord

from .classics import as_seen, classics, classics_left_out

__all__ = ["contest"]


def contest(data: Dataset, *, seed: int, progress: bool) -> ContestRecord:
    """Tune the classics on validation and measure them on test.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation, and of the classics that draw anything.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    ContestRecord
        The record of the stage.
    """
    seen, _ = as_seen(data, data.validation, seed)
    return ContestRecord(
        classics=tuple(classics(data, seed, progress)),
        left_out=classics_left_out(data),
        variance=float(seen.var(0, ddof=1).sum()),
    )
