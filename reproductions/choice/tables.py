"""The README's tables, from the records.

python reproductions/choice/tables.py
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.atomic import write_atomic

HERE = Path(__file__).parent
OWN_ROWS = ("digits",)  # whose seeds draw test rows of their own
Rows = dict[str, dict[str, Any]]


def read(name: str) -> Rows:
    """The rows of a record, empty where there is none."""
    path = HERE / name
    found: Rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {row: about for row, about in found.items() if row != "canary"}


def groups(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Rows that differ in their seed alone."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, about in rows.items():
        found.setdefault(name.split(", seed")[0], []).append(about)
    return found


def over_seeds(found: Sequence[Sequence[float]], own_rows: bool = False) -> tuple[float, float]:
    """Mean, and its error over seeds and over rows, which all seeds share where they do not draw their own."""
    values, errors = np.array(found).T
    between = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    over_rows = np.sqrt((errors**2).sum()) / len(errors) if own_rows else errors.mean()
    if own_rows and len(values) > 1:
        return float(values.mean()), float(max(between, over_rows))
    return float(values.mean()), float(np.hypot(over_rows, between))


def signed(value: float, error: float | None = None, digits: int = 2) -> str:
    """A difference with its error."""
    said = f"{value:+.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
    return said.replace("-", "−")


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def heads(*names: str) -> str:
    return row(*names) + "\n" + "|---" * len(names) + "|"


def of_tables() -> Iterator[str]:
    """Planted sizes and tables: a row for each data set, means over seeds."""
    yield heads("data", "seeds", "chosen (d, noise)", "active", "choice minus d = 16, nats", "processor seconds")
    for name, found in groups(read("record.json")).items():
        apart = signed(*over_seeds([one["difference"] for one in found]))
        cost = [np.mean([one["processor_seconds"][i] for one in found]) for i in (0, 1)]
        active = ", ".join(str(one["active"]) for one in found)
        yield row(name, len(found), chosen(found), active, apart, f"{cost[0]:.0f}, {cost[1]:.0f}")


def chosen(found: Iterable[dict[str, Any]]) -> str:
    return "; ".join(" ".join(str(value) for value in one["chosen"].values()) for one in found)


def of_full() -> Iterator[str]:
    """Images, digits and cells."""
    yield heads(
        "data", "chosen (d, noise)", "choice minus d = 16, nats, by seed", "mean",
        "of those tried the best on test"
    )  # fmt: skip
    for name, found in groups(read("full.json")).items():
        own = name.startswith(OWN_ROWS)
        pairs = [one["difference"] for one in found]
        by_seed = "; ".join(signed(*pair, digits=1) for pair in pairs)
        best = [max(one["every one tried"].values(), key=lambda pair: pair[0]) for one in found]
        mean, top = (signed(*over_seeds(each, own), digits=1) for each in (pairs, best))
        yield row(name, chosen(found), by_seed, mean, top)


def of_probes() -> Iterator[str]:
    """How much better a probe does on test with the model that was chosen for it than with sixteen latents."""
    yield heads(
        "data", "seeds", "right on test: d = 16", "the choice: more, points",
        "the best on validation by log score", "chosen by the share right", "chosen for density",
        "the choice: more log score, nats"
    )  # fmt: skip
    for name, found in groups(read("full.json")).items():
        with_probe = [one for one in found if "probe" in one]
        if with_probe:
            yield probe_row(name, with_probe)


def probe_row(name: str, found: Sequence[dict[str, Any]]) -> str:
    own, probes = name.startswith(OWN_ROWS), [one["probe"] for one in found]

    def points(pick: Callable[[dict[str, Any]], Sequence[float]]) -> str:
        value, error = over_seeds([pick(one) for one in found], own)
        return signed(100 * value, 100 * error, 1)

    right = np.mean([one["right"]["fixed"]["right"] for one in probes])
    asked = (("log score", "within one error"), ("log score", "the best"), ("right", "within one error"))
    ways = [points(lambda one, what=what, way=way: one["probe"][what][way]["more"]["right"]) for what, way in asked]
    density = points(lambda one: one["probe"]["right"]["every one tried"][one["label"]])
    nats = over_seeds([one["log score"]["within one error"]["more"]["log score"] for one in probes], own)
    return row(name, len(found), f"{right:.1%}", *ways, density, signed(*nats, digits=3))


def of_clip() -> Iterator[str]:
    """What the model for all data gains on test by clipped gradients."""
    yield heads("data", "log p(x) of d = 16 on test, at least, without", "with", "gain by seed", "mean")
    for name, found in groups(read("clip.json")).items():
        pairs = [one["difference"] for one in found]
        by_seed = "; ".join(signed(*pair, digits=1) for pair in pairs)
        before, after = ("; ".join(signed(one["log_p"][i], digits=0) for one in found) for i in (0, 1))
        yield row(name, before, after, by_seed, signed(*over_seeds(pairs), digits=1))


TABLES = {"table": of_tables, "full": of_full, "probes": of_probes, "clip": of_clip}


def main() -> None:
    """Write README.md's tables between their marks."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    for name, lines in TABLES.items():
        head, _, rest = text.partition(f"<!-- {name} -->\n")
        text = "\n".join([f"{head}<!-- {name} -->", *lines(), f"<!-- end -->{rest.partition('<!-- end -->')[2]}"])
    write_atomic(HERE / "README.md", text)


if __name__ == "__main__":
    main()
