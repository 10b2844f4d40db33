"""Numbers of things, in words."""

__all__ = ["count"]


def count(number: int, noun: str = "") -> str:
    """A whole number with commas, and its noun in the plural where that is due.

    >>> count(1200), count(1, "example"), count(397, "example")
    ('1,200', '1 example', '397 examples')
    """
    return f"{number:,}" + (f" {noun}{'' if number == 1 else 's'}" if noun else "")
