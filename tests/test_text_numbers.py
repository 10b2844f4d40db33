"""How numbers are written, worked by hand: the error's second significant digit decides the last digit of the value."""

import math

import pytest

from elbowroom.numerics import aligned, with_error


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (3.14159, 0.0123, "3.142 ± 0.012"),
        (-86.4123, 0.24, "−86.41 ± 0.24"),
        (12.4, 0.9, "12.40 ± 0.90"),
        (1234.5, 56.0, "1,234 ± 56"),
        (1234.5, 562.0, "1,230 ± 560"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (0.5, 0.0994, "0.500 ± 0.099"),
        (7.0, 9.96, "7 ± 10"),
        (0.00012345, 0.0000012, "0.0001234 ± 0.0000012"),
        (5.0, 0.0, "5.00 ± 0.00"),
        (5.0, None, "5.00"),
        (5.0, math.nan, "5.00"),
        (math.nan, 0.1, "not available"),
        (None, 0.1, "not available"),
        (-0.001, 0.3, "0.00 ± 0.30"),
    ],
)
def test_the_error_decides_the_digits(value, error, said):
    assert with_error(value, error) == said


def test_decimal_points_align():
    column = aligned(["62.1", "≥ 73.25", "7", "none: exact"])
    assert len({len(text.split(".")[-1]) for text in column[:2]}) == 1
    assert column[2] == "7\u2008\u2007\u2007"
    assert column[3] == "none: exact"
