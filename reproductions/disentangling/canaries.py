"""First steps of every case."""

import json
import sys
from functools import partial
from pathlib import Path

from run import HERE, canary_of

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, main


def canaries() -> list[Canary]:
    """One for each case of the record."""
    record = HERE / "record.json"
    cases = json.loads(record.read_text())["cases"]
    return [Canary(record, name, partial(canary_of, one["beta"], one["seed"])) for name, one in cases.items()]


if __name__ == "__main__":
    main(canaries())
