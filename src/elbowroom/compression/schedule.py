"""In which order latents are taken from a stack and all is put on it."""

from collections.abc import Mapping, Sequence

__all__ = ["schedule"]

Step = tuple[str, str]
"""("pop" or "push", name of a block or "x")."""


def schedule(reads_q: Mapping[str, Sequence[str]], reads_p: Mapping[str, Sequence[str]]) -> list[Step]:
    """The order for an encoder; a decoder goes through it backwards, with push and pop exchanged.

    What is popped by q must still be known to the decoder when it puts it back, so something is pushed only when no
    later block's q reads it; and only after everything whose p reads it, so that the decoder has it in time. Where q is
    Markov (z2 given z1 alone) this is Bit-Swap's interleaving, which needs the initial bits of one block at a time;
    elsewhere all blocks are popped first.

    Parameters
    ----------
    reads_q : mapping
        Block → what its posterior reads, in the order in which they are drawn.
    reads_p : mapping
        Block → what its prior reads; "x" → what the likelihood reads.

    Returns
    -------
    list of (str, str)
        ("pop", block) or ("push", block or "x").

    References
    ----------
    Kingma, Abbeel & Ho, "Bit-Swap: recursive bits-back coding for lossless compression with hierarchical latent
    variables" (2019).

    Examples
    --------
    >>> markov = schedule({"z": ["x"], "z2": ["z"]}, {"x": ["z"], "z": ["z2"], "z2": []})
    >>> " ".join(f"{do} {name}," for do, name in markov)
    'pop z, push x, pop z2, push z, push z2,'
    >>> other = schedule({"z": ["x"], "z2": ["x"]}, {"x": ["z"], "z": ["z2"], "z2": []})
    >>> [name for do, name in other if do == "push"], other[1]
    (['x', 'z', 'z2'], ('pop', 'z2'))
    """
    steps, popped, pushed = list[Step](), list[str](), list[str]()
    waiting = list(reads_q)
    while len(pushed) < len(reads_p):
        ready = next((name for name in reads_p if _ready(name, waiting, popped, pushed, reads_q, reads_p)), None)
        if ready is not None:
            steps.append(("push", ready))
            pushed.append(ready)
        else:
            popped.append(waiting.pop(0))
            steps.append(("pop", popped[-1]))
    return steps


def _ready(
    name: str,
    waiting: Sequence[str],
    popped: Sequence[str],
    pushed: Sequence[str],
    reads_q: Mapping[str, Sequence[str]],
    reads_p: Mapping[str, Sequence[str]],
) -> bool:
    """Whether this can be pushed now."""
    known = {"x", *popped}
    parents_known = name in known and set(reads_p[name]) & set(reads_p) <= known
    read_later = any(name in reads_q[block] for block in waiting)
    children_done = all(child in pushed for child, read in reads_p.items() if name in read)
    return name not in pushed and parents_known and not read_later and children_done
