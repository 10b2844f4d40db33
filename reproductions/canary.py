"""Whether today's code would make the records again: what each computation gave in its first steps, recomputed.

    python reproductions/canary.py                            # all records: which differ, which are not checked
    python reproductions/canary.py variance_chapter           # those of one folder
    python reproductions/variance_chapter/canaries.py Matérn  # rows whose names hold these letters

A record carries under "canary", by row, what twenty training steps and ten examples' evidence gave to the code that
made it. A folder says in its canaries.py how they are computed. Numbers that lie further apart than one in ten
thousand, or two in a thousand where they are the evidence of one example (kernels of other machines differ by less; of
rows where they do not, canaries.py says so), say that the record is stale. Data that are not at hand leave their
records unchecked, which is said. Exits with 1 where a record differs or carries no canary.
"""

import argparse
import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import elbowroom as er
from elbowroom.atomic import write_atomic

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-4  # relative; a β of 0.9 for 1 moves nothing by more than 1e-3 in twenty steps of a small model
BY_EXAMPLE = 2e-3  # of one example's evidence from few draws, the most sensitive: other processors moved it by 8e-4
EPOCHS, STEPS, EXAMPLES, DRAWS = 2, 10, 10, 50
NAME = "canaries.py"
Numbers = dict[str, list[float]]


@dataclass(frozen=True)
class Canary:
    """One row of a record, and how its first steps are computed.

    `needs` names data sets and packages it reads; `rounding` is by how much the tolerance is wider, for models that
    make much of the last digit within twenty steps, so that another processor gives other numbers.
    """

    record: Path
    row: str
    make: Callable[[], Numbers]
    needs: tuple[str, ...] = ()
    rounding: float = 1.0

    @property
    def missing(self) -> list[str]:
        """Data sets and packages that are not at hand."""
        at_hand = {data.name for data in er.data.list_data() if data.at_hand}
        return [name for name in self.needs if name not in at_hand and find_spec(name) is None]


def first_steps(vae: er.VAE, data: Any, objective: Any = None, *, batch_size: int = 100, **settings: Any) -> Numbers:
    """Train for two epochs of ten steps: the objective of each, held-out rate, and IWAE of ten test examples, nats."""
    fixed = {"epochs": EPOCHS, "select": "last", "progress": False}
    history = er.fit(vae, fewer(data, batch_size), objective, batch_size=batch_size, **(settings | fixed))
    return {
        "training": history.column("train", "objective"),
        "validation": history.column("validation", "objective") + history.column("validation", "rate")[-1:],
        "evidence": evidence(vae, data.test[:EXAMPLES]),
    }


def first_steps_stacked(
    vaes: Sequence[er.VAE], data: Any, betas: float | Sequence[float] = 1.0, *, batch_size: int = 100, **settings: Any
) -> Numbers:
    """The same of several models that are trained as one stack, with the ELBO's rate weighted by β."""
    weights = [betas] * len(vaes) if isinstance(betas, float) else betas
    goals = [er.objectives.Elbo(beta) for beta in weights]
    fixed = {"epochs": EPOCHS, "select": "last", "progress": False}
    histories = er.fit_stacked(vaes, fewer(data, batch_size), goals, batch_size=batch_size, **(settings | fixed))
    return {
        "training": [value for history in histories for value in history.column("train", "objective")],
        "evidence": [value for vae in vaes for value in evidence(vae, data.test[:EXAMPLES])],
    }


def fewer(data: Any, batch_size: int = 100) -> Any:
    """The data set with as many rows to train on as ten steps take, and 100 for validation."""
    shorter = copy.copy(data)
    shorter.train, shorter.validation = data.train[: STEPS * batch_size], data.validation[:100]
    return shorter


def evidence(vae: er.VAE, examples: Any) -> list[float]:
    """IWAE of each example, nats."""
    return [float(value) for value in er.evidence.iwae(vae, examples, draws=DRAWS).values]


def numbers_of(found: Any) -> list[float]:
    """Every number in nested lists and mappings, in their order."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [number for part in found for number in numbers_of(part)]
    return [float(found)] if isinstance(found, int | float) else []


def into(content: dict[str, Any], row: str, numbers: Numbers) -> None:
    """Write a row's canary into the content of a record, at seven digits."""
    short = {name: [float(f"{value:.7g}") for value in values] for name, values in numbers.items()}
    content.setdefault("canary", {})[row] = short


def keep(record: Path, canaries: Iterable[Canary], row: str | None = None) -> None:
    """Compute the canaries of a record, or of a row of it, that was just made, and write them into it."""
    text = record.read_text(encoding="utf-8")
    content, second = json.loads(text), text.splitlines()[1]
    for canary in canaries:
        if canary.record == record and row in (None, canary.row):
            into(content, canary.row, canary.make())
    indent = len(second) - len(second.lstrip())
    write_atomic(record, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def fill(
    record: Path, rows: dict[str, tuple[Any, ...]], measured: Callable[..., Any], canaries: Callable[[], list[Canary]]
) -> dict[str, Any]:
    """Measure the rows that a record lacks, each written down with its canary before the next; the whole record."""
    content: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    for name, about in rows.items():
        if name not in content:
            content[name] = measured(*about)
            write_atomic(record, json.dumps(content, indent=1) + "\n")
            keep(record, canaries(), name)
            content = json.loads(record.read_text())
            print(name, content[name], flush=True)
    return content


def begun(folder: Path) -> Path:
    """Where it stands how the run in a folder began."""
    return folder.with_name(folder.name + ".begun.json")


def begin(folder: Path, recipe: dict[str, Any], make: Callable[[], Numbers], take_up: bool = False) -> Numbers | None:
    """Write beside an empty run folder what begins there; where training goes on, check that it began likewise.

    Returns the canary of the run, None where a run of unknown or other beginnings is taken up because that was asked.
    """
    path, now = begun(folder), make()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        began = {"recipe": recipe, "elbowroom": version("elbowroom"), "torch": torch.__version__, "canary": now}
        write_atomic(path, json.dumps(began, indent=1, ensure_ascii=False) + "\n")
        return now
    began = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"recipe": None, "canary": {}}
    same = began["recipe"] == json.loads(json.dumps(recipe)) and not list(differences(began["canary"], now))
    if not same and not take_up:
        raise SystemExit(
            f"{folder} was begun by another recipe or other code: remove it (or --take-up, where there is one)."
        )
    return now if same else None


def carried(record: Path) -> dict[str, Numbers]:
    """The canaries of a record by row."""
    found: dict[str, Numbers] = json.loads(record.read_text(encoding="utf-8")).get("canary", {})
    return found


def differences(was: Numbers, now: Numbers, rounding: float = 1.0) -> Iterator[str]:
    """What differs beyond `rounding` times the tolerance, in words."""
    for name in sorted(was.keys() | now.keys()):
        before, after = was.get(name, []), now.get(name, [])
        if len(before) != len(after):
            yield f"{name} was {len(before)} numbers and is {len(after)}"
            continue
        tolerance = rounding * (BY_EXAMPLE if name == "evidence" else TOLERANCE)
        apart = [pair for pair in zip(before, after, strict=True) if not near(*pair, tolerance)]
        if apart:
            a, b = max(apart, key=lambda pair: abs(pair[0] - pair[1]))
            yield f"{name} was {a:.6g} and is {b:.6g} ({len(apart)} of {len(before)} numbers differ)"


def near(a: float, b: float, tolerance: float) -> bool:
    """Whether two numbers are the same but for rounding; a NaN is like a NaN."""
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6)


def check(canaries: Sequence[Canary]) -> bool:
    """Recompute these, print what differs and what is not checked; whether all that could be checked are the same."""
    counts = dict.fromkeys(("as recorded", "differ", "without a canary", "not checked"), 0)
    for canary in canaries:
        was = carried(canary.record).get(canary.row)
        word, why = "without a canary", ""
        if canary.missing:
            word, why = "not checked", f"{', '.join(canary.missing)} is not at hand (ELBOWROOM_DATA, or pip install)"
        elif was is not None:
            why = "; ".join(differences(was, canary.make(), canary.rounding))
            word = "differ" if why else "as recorded"
        counts[word] += 1
        if word != "as recorded":
            said = f": {why}" if why else ""
            print(f"{word:<17} {canary.record.relative_to(ROOT)}: {canary.row}{said}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()), flush=True)
    return not counts["differ"] and not counts["without a canary"]


def main(canaries: Sequence[Canary]) -> None:
    """Check the rows of one folder whose names hold the letters given."""
    torch.set_num_threads(1)
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.exit(not check([canary for canary in canaries if only in canary.row]))


def without(folder: Path) -> list[Path]:
    """Records of a folder that carry no canary."""
    return [path for path in sorted(folder.rglob("*.json")) if not carried(path)]


def folders(asked: Sequence[str]) -> Iterator[Path]:
    """Folders that hold records."""
    for path in sorted([*ROOT.glob("reproductions/*/"), ROOT / "benchmarks"]):
        if any(path.rglob("*.json")) and (not asked or path.name in asked):
            yield path


def check_all(asked: Sequence[str]) -> bool:
    """Check folder by folder; whether none differs."""
    failed = []
    for folder in folders(asked):
        print(f"\n== {folder.relative_to(ROOT)}", flush=True)
        bare = without(folder) if folder.name != "benchmarks" else []  # most of them hold times
        for record in bare:
            print(f"{'without a canary':<17} {record.relative_to(ROOT)}: none of its rows", flush=True)
        if not recomputed(folder) or bare:
            failed.append(folder.name)
    print(f"\nstale: {', '.join(failed)}" if failed else "\nevery record that was checked is as today's code gives it")
    return not failed


def recomputed(folder: Path) -> bool:
    """Whether the folder's canaries are as recorded: in a process of its own, as modules of folders share names."""
    return (folder / NAME).exists() and not subprocess.run([sys.executable, folder / NAME], check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", help="names of folders; all by default")
    sys.exit(not check_all(parser.parse_args().folders))
