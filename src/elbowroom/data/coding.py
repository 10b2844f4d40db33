"""What the numbers of a data set mean, which a model keeps beside its weights."""

from elbowroom.numerics import Support
from elbowroom.vae.meanings import LEFT_OUT, SIZE, STATED, VALUES, observed_key

from .beside import LABEL, Beside
from .raw import Raw
from .size_factors import SizeFactors

__all__ = ["coding_of"]

Coding = tuple[tuple[str, tuple[str, ...]], ...]


def coding_of(raw: Raw, beside: Beside, support: Support, stated: bool, sizes: SizeFactors | None) -> Coding:
    """What contexts, blocks, levels and left out columns of a data set mean.

    Parameters
    ----------
    raw : Raw
        The data as they are modelled.
    beside : Beside
        What stands beside x.
    support : Support
        Of x.
    stated : bool
        Whether somebody said it, so that it was not found in these values.
    sizes : SizeFactors or None
        What the sizes are divided by, where they are a context.

    Returns
    -------
    tuple of (str, tuple of str)
        Of each context and block of classes its words; of x the kind of its support, its levels, and how it was found.
    """
    words = {name: tuple(told) for name, told in beside.words.items() if name in beside.context}
    if beside.label_names and LABEL in beside.context:
        words[LABEL] = tuple(beside.label_names)
    words |= {observed_key(name): tuple(beside.words[name]) for name in beside.observed if name in beside.words}
    if sizes is not None:
        words[SIZE] = (f"{sizes.mean:.6g}",)
    if support.kind != "mixed":
        words[VALUES] = (support.kind, str(support.levels or ""), STATED if stated else raw.turned)
    if raw.columns is None and raw.x.ndim == 2:
        words[LEFT_OUT] = tuple(map(str, raw.left_out))
    return tuple(words.items())
