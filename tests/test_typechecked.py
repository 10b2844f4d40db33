"""What the tests' type checker refuses: it stands around every function of the package, so it must miss nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
import typechecked
from jaxtyping import Bool, Float
from jaxtyping._storage import get_shape_memo, pop_shape_memo, push_shape_memo
from torch import Tensor

import elbowroom as er


def checked(function):
    return typechecked.jaxtyped(function, typechecker=typechecked.check)


@checked
def product(a: Float[Tensor, "n k"], b: "Float[Tensor, ' k']", *, wrong: float = 0) -> Float[Tensor, " n"]:
    return a[0] if wrong else a @ b


@checked
def plain(number: int) -> "float":
    return "a word" if number else 0.0


@checked
@dataclass
class Square:
    side: int
    x: Float[Tensor, "n n"]


@checked
def drawn(n: int) -> Iterator[Float[Tensor, " n"]]:
    yield torch.ones(n)


def said(word: Literal["yes"]) -> str:
    return word


A, B = torch.ones(3, 2), torch.ones(2)


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        (lambda: product(A, torch.ones(3)), TypeError),
        (lambda: product(A.double().long(), B), TypeError),
        (lambda: product(A, B, wrong="yes"), TypeError),
        (lambda: product(A, B, wrong=1), TypeError),
        (lambda: plain("1"), TypeError),
        (lambda: plain(1), TypeError),
        (lambda: Square(1, torch.ones(2, 3)), TypeError),
        (lambda: Square("1", torch.ones(2, 2)), TypeError),
        (lambda: drawn("1"), Exception),
        (lambda: er.numerics.Budget(draws="1", seed=0), TypeError),
        (lambda: er.numerics.keyed_uniform((2,), [0], 0), TypeError),
    ],
)
def test_what_an_annotation_does_not_allow_is_refused(call, refused) -> None:
    with pytest.raises(refused):
        call()


HINTS = [kind[Tensor, sizes] for kind in (Float, Bool) for sizes in ("n k", "n n", "2 k", "_n k", "n *k", "", "#n k")]
VALUES = [torch.ones(sizes) for sizes in ((2, 2), (3, 2), (2, 3), (1, 2), (2,), ())]
OTHERS = [VALUES[0].double(), VALUES[0].long(), VALUES[0].bool(), torch.nn.Parameter(VALUES[0]), None, "word"]


def judged(judge, hint, known, value) -> tuple[bool, dict[str, int]]:
    """Whether a value fits, and the sizes that are known then."""
    push_shape_memo({})
    try:
        get_shape_memo()[0].update(known)
        return judge(hint, value), dict(get_shape_memo()[0])
    finally:
        pop_shape_memo()


@pytest.mark.parametrize("known", [{}, {"n": 2}, {"n": 2, "k": 2}, {"k": 3}])
def test_a_shape_is_judged_as_jaxtyping_does(known) -> None:
    for value in [*VALUES, *OTHERS] * 2:  # as what the first look finds is remembered
        for hint in HINTS:
            ours, theirs = (judged(judge, hint, known, value) for judge in (typechecked.fits, typechecked._fits))
            assert ours == theirs, (hint, value)


def test_letters_are_forgotten_between_calls_and_words_are_not_judged() -> None:
    assert product(A, B).tolist() == [2.0] * 3
    assert product(torch.ones(5, 4), torch.ones(4)).shape == (5,)
    assert (plain(0), Square(2, torch.ones(2, 2)).side, len(list(drawn(3)))) == (0.0, 2, 1)
    assert checked(said)("no") == "no"  # which a function itself must refuse


def test_the_first_calls_within_each_test_are_checked() -> None:
    def trusts(number: int) -> int:
        return number

    one = checked(trusts)
    for _ in range(2):
        typechecked.begin()
        for _ in range(typechecked.CHECKED):
            with pytest.raises(TypeError):
                one("1")
        assert one("1") == "1"
