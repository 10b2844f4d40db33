"""Every exhibit of the museum is found and named by each of its doors, and none of its repaired twins is.

`docs/museum.md` is made of the exhibits: `python tests/museum/test_museum.py` (with src and tests on the path) writes
it.
"""

from pathlib import Path

import pytest
from museum.evaluations import CLAIMS, MODELS
from museum.exhibit import Exhibit
from museum.losses import LOSSES

EXHIBITS = [*LOSSES, *CLAIMS, *MODELS]
PAGE = Path(__file__).parents[2] / "docs" / "museum.md"
DOORS = ("read_loss", "check_claim", "audit")
BEGINNING = """# The museum

Faults in likelihood, KL or evidence that have stood in public code, each rebuilt in a few lines
([`tests/museum`](../tests/museum)) beside a repaired twin, with the claim that is made for it. A test asks each door
that a dot stands under: every exhibit is found and named in a sentence, no twin is. Names of projects are left out, as
most of them have mended what they were told of.

- `er.read_loss(loss)`: which density a loss stands for, from its values.
- `er.check_claim(model, data, "ELBO −98.2", evaluate=…)`: which mistake prints a number, and what is wrong with a
  function that prints it.
- `er.audit(model, data)`: where log-likelihood goes, and what is wrong with a model.

"""


def page() -> str:
    """The page, from the exhibits."""
    head = f"| exhibit | seen in | claimed | {' | '.join(DOORS)} | named by the words |\n|{'---|' * 7}\n"
    rows = []
    for one in EXHIBITS:
        dots = " | ".join("●" if door in one.doors else "" for door in DOORS)
        words = "; ".join(dict.fromkeys(f"“{one.named(door)}”" for door in one.doors))
        rows.append(f"| {one.name} | {one.seen} | {one.claim} | {dots} | {words} |")
    counts = [sum(door in one.doors for one in EXHIBITS) for door in DOORS]
    said = ", ".join(f"{door} {count}" for door, count in zip(DOORS, counts, strict=True))
    end = f"\n\n{len(EXHIBITS)} exhibits; found by {said}.\n"
    return BEGINNING + head + "\n".join(rows) + end


CASES = [(one, door) for one in EXHIBITS for door in one.doors]


@pytest.mark.parametrize(("exhibit", "door"), CASES, ids=[f"{one.name}-{door}" for one, door in CASES])
def test_an_exhibit_is_found_and_named_and_its_twin_is_not(exhibit: Exhibit, door: str) -> None:
    found, spared = (exhibit.doors[door](repaired) for repaired in (False, True))
    assert any(exhibit.named(door) in sentence for sentence in found), found
    assert not spared, spared


def test_the_page_of_the_museum_is_that_of_its_exhibits() -> None:
    assert len(EXHIBITS) >= 20
    assert all(one.doors for one in EXHIBITS)
    assert len({one.name for one in EXHIBITS}) == len(EXHIBITS)
    assert page() == PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
