"""Every exhibit of the museum is found and named by a door, and none of its repaired twins is."""

import pytest

from .evaluations import CLAIMS
from .exhibit import Exhibit
from .losses import LOSSES

EXHIBITS = [*LOSSES, *CLAIMS]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda one: one.name)
def test_an_exhibit_is_found_and_named_and_its_twin_is_not(exhibit: Exhibit) -> None:
    for door, look in exhibit.doors.items():
        found = look(False)
        assert any(exhibit.words in sentence for sentence in found), (door, found)
        assert not (spared := look(True)), (door, spared)
