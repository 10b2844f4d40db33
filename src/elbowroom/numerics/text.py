"""How numbers are written: counts with their nouns, and values whose error decides their digits."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["aligned", "count", "name_list", "places", "rounded", "with_error"]

MISSING = "not available"
_DEFAULT_PLACES = 2
_HUGE = 1e9  # from here on digits are not spelled out
_FIGURE_SPACE, _POINT_SPACE = "\u2007", "\u2008"


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


def name_list(names: Iterable[Any], most: int = 8) -> str:
    """Names in quotes, the first of many.

    Parameters
    ----------
    names : iterable
        Of anything that is read as text.
    most : int, default 8
        How many are named.

    Returns
    -------
    str
        With commas between; "" for none.

    Examples
    --------
    >>> name_list("abc", most=2), name_list([1])
    ("'a', 'b' and 1 more", "'1'")
    """
    quoted = [repr(str(name)) for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


def places(error: float | None) -> int:
    """Decimal places that show two significant digits of an error; negative where these are tens or hundreds.

    Parameters
    ----------
    error : float or None
        The error. Zero, or one that could not be had, decides nothing: two places.

    Returns
    -------
    int
        May be handed to `rounded`.

    Examples
    --------
    >>> [places(e) for e in (0.0123, 0.0996, 1.3, 9.96, 56.0, 560.0)]
    [3, 2, 1, 0, 0, -1]
    """
    if error is None or not math.isfinite(error) or error == 0:
        return _DEFAULT_PLACES
    return 1 - int(f"{abs(error):.1e}".split("e")[1])


def rounded(value: float | None, digits: int = _DEFAULT_PLACES) -> str:
    """A value to so many decimal places, with a true minus sign and commas between thousands.

    Parameters
    ----------
    value : float or None
        "not available" where it is no finite number.
    digits : int, default 2
        Decimal places; negative: tens, hundreds.

    Returns
    -------
    str
        The number as text.

    Examples
    --------
    >>> rounded(-1234.56, 1), rounded(1239.0, -1), rounded(-0.001, 1), rounded(-6.2e22)
    ('−1,234.6', '1,240', '0.0', '−6.2e+22')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= _HUGE:
        return f"{value:.3g}".replace("-", "−")
    text = f"{round(value, digits):,.{max(digits, 0)}f}"
    if text.startswith("-"):
        text = text[1:] if float(text.replace(",", "")) == 0 else "−" + text[1:]
    return text


def with_error(value: float | None, error: float | None) -> str:
    """A value ± its error, with the digits that two significant digits of the error allow.

    Parameters
    ----------
    value : float or None
        The value.
    error : float or None
        Left out where it is no finite number.

    Returns
    -------
    str
        The number as text.

    Examples
    --------
    >>> with_error(3.14159, 0.0123), with_error(-86.4123, 0.24), with_error(1234.0, 560.0)
    ('3.142 ± 0.012', '−86.41 ± 0.24', '1,230 ± 560')
    """
    digits = places(error)
    if error is None or not math.isfinite(error) or value is None or not math.isfinite(value):
        return rounded(value, digits)
    return f"{rounded(value, digits)} ± {rounded(error, digits)}"


def aligned(texts: Sequence[str]) -> list[str]:
    """Numbers of one column, padded on the right with spaces as wide as digits so that decimal points align.

    Parameters
    ----------
    texts : sequence of str
        The column; words among the numbers stay as they are.

    Returns
    -------
    list of str
        In their order.

    Examples
    --------
    >>> [t.replace("\\u2007", "_").replace("\\u2008", ",") for t in aligned(["1", "2.5", "3.25", "none"])]
    ['1,__', '2.5_', '3.25', 'none']
    """
    tails = [len(t.partition(".")[2]) if _numeric(t) else 0 for t in texts]
    longest = max(tails, default=0)
    return [
        t + (_POINT_SPACE if longest and not tail else "") + _FIGURE_SPACE * (longest - tail) if _numeric(t) else t
        for t, tail in zip(texts, tails, strict=True)
    ]


def _numeric(text: str) -> bool:
    return bool(text) and text[-1].isdigit()
