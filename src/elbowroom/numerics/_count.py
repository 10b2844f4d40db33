"""Numbers of things, in words."""

__all__ = ["count"]


def count(number: int, noun: str = "") -> str:
    """A whole number with commas, and its noun, in the plural unless there is one.

    Parameters
    ----------
    number : int
        How many.
    noun : str, default ""
        Of what, in the singular.

    Returns
    -------
    str
        The words.

    Examples
    --------
    >>> count(1200), count(1, "example"), count(397, "example")
    ('1,200', '1 example', '397 examples')
    """
    return f"{number:,}" + (f" {noun}{'' if number == 1 else 's'}" if noun else "")
