"""The README's tables, written between its marks from the records, so that they say what the records say.

python reproductions/variance_chapter/tables.py                      # writes README.md
python reproductions/variance_chapter/tables.py --since 7994394      # and which rows moved since a commit
"""

import argparse
import json
import math
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from models import CELLS, FAMILIES
from verdicts import CLAIMS, FLOORS, HERE, MODELS, SAMPLES, frechet, read_records

from elbowroom.atomic import write_atomic

README = HERE / "README.md"
ALIKE = 0.1  # between two correlations of adjacent residuals
MOVED = (0.01, 0.001)  # shares of log p(x): more than the first is listed, between the two is counted
KINDS = {
    "normal, σ(z)": ("low rank 10", "sparse precision", "sparse precision, one stencil", "Matérn field"),
    "normal, σ per pixel": ("Matérn field, σ per pixel",),
    "normal, one σ": ("one stencil, one σ", "Matérn field, one σ", "low rank 10, one F, one σ"),
    "logit-normal": ("sparse precision on logits", "Matérn field on logits"),
}
"""Gaussians with correlated pixels, by the diagonal one of the same kind of scale."""
Rows = dict[str, Any]


def claims() -> Iterator[str]:
    """The chapter's claims at three floors of σ."""
    yield from _head("figure", "claim", "at a floor of σ of one grid step's noise (0.0011)", "0.01", "0.1", "verdict")
    for each in CLAIMS:
        at = each.at()
        cells = [at[floor][0] if floor in at else "–" for floor in FLOORS]
        yield _row(each.figure, each.said, *cells, each.verdict())


def samples() -> Iterator[str]:
    """How far samples of every family are from test images: training images, then ancestral samples, then means."""
    yield from _head("samples", "logistic", "trees", "convolutional", "Fréchet", "precision", "recall", "total ink",
                     "bits per dimension")  # fmt: skip
    yield _sample("training images", "10,000 training images", "–")
    families = [name for name in SAMPLES if name.partition(";")[0].partition(" | ")[0] in {c.name for c in FAMILIES}]
    for mode, said in (("ancestral", ""), ("mean", ", mean")):
        drawn = [name for name in families if name.endswith(f" | {mode}")]
        for name in sorted(drawn, key=lambda name: frechet(name)[0]):
            model = name.partition(" | ")[0]
            yield _sample(name, model + said, f"{MODELS[model]['bits'][0]:.2f}")


def _sample(name: str, said: str, bits: str) -> str:
    row = SAMPLES[name]
    odds = [f"{row['two_sample'][kind]['log_odds']:.3f}" for kind in ("logistic", "trees", "convolutional")]
    (distance, se), near = frechet(name), row["precision_recall"]
    far = f"{distance:.0f} ± {max(se, 1):.0f}" if distance > 10 else f"{distance:.1f}"
    return _row(said, *odds, far, f"{near['precision']:.0%}", f"{near['recall']:.0%}", _ink(row["ink"]), bits)


def _ink(found: Rows) -> str:
    return f"{found['value']:,.0f} ± {found['se']:,.0f}"


def structured() -> Iterator[str]:
    """What correlated pixels add to each kind of scale, and what it does to residuals, latent and ink."""
    yield from _head("p(x \\| z)", "nats above the diagonal", "adjacent residuals: data", "model", "latent share",
                     "total ink of samples", "ink of the noise, z from q(z \\| x)", "z from p(z)")  # fmt: skip
    for diagonal, correlated in KINDS.items():
        for name in (diagonal, *correlated):
            yield _row(name, _above(name, diagonal), *_parts(name))
    alike = [name for names in KINDS.values() for name in names if _apart(name) < ALIKE]
    yield ""
    yield f"Total ink of the test images: {_ink(MODELS['ink of test images'])}. Adjacent residuals correlate as the"
    yield f"data's do, within {ALIKE}, in {len(alike)} of {sum(map(len, KINDS.values()))}: {'; '.join(alike)}."


def _above(name: str, diagonal: str) -> str:
    if name == diagonal:
        return f"({MODELS[name]['iwae'][0]:,.0f})".replace("-", "−")
    (a, se_a), (b, se_b) = MODELS[name]["iwae"], MODELS[diagonal]["iwae"]
    return f"{a - b:+.0f} ± {math.hypot(se_a, se_b):.0f}".replace("-", "−")


def _parts(name: str) -> Iterator[str]:
    row = MODELS[name]
    yield from (f"{_adjacent(name, who):.2f}" for who in ("data", "model"))
    yield f"{row['variance']['posterior']['latent_share'][0]:.0%}"
    yield _ink(SAMPLES[f"{name} | ancestral"]["ink"])
    yield from (_noise(row["variance"][over]["ink"]) for over in ("posterior", "prior"))


def _noise(ink: Sequence[float]) -> str:
    value = sum(ink[2:])  # were pixels independent, and what their covariance adds
    if value < 1e7:
        return f"{value:,.0f}"
    power = math.floor(math.log10(value))
    return f"{value / 10**power:.0f} · 10{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _adjacent(name: str, who: str) -> float:
    return abs(value) if (value := round(MODELS[name]["residuals"][who]["adjacent"], 2)) == 0 else value


def _apart(name: str) -> float:
    adjacent = [MODELS[name]["residuals"][who]["adjacent"] for who in ("data", "model")]
    return abs(adjacent[0] - adjacent[1])


def other_data() -> Iterator[str]:
    """Bits per dimension on Fashion-MNIST and CIFAR-10, by those of the first."""
    data = ("fashion-mnist", "cifar10")
    names = [c.name for c in FAMILIES if any(f"{one}: {c.name}" in MODELS for one in data)]

    def bits(name: str, one: str) -> tuple[float, float] | None:
        row = MODELS.get(f"{one}: {name}")
        return row and tuple(row["bits"])

    yield from _head("p(x \\| z)", "Fashion-MNIST", "CIFAR-10")
    for name in sorted(names, key=lambda name: [(bits(name, one) or (math.inf,))[0] for one in data]):
        found = [bits(name, one) for one in data]
        yield _row(name, *("–" if one is None else f"{one[0]:.2f} ± {one[1]:.2f}" for one in found))


def moved(was: Rows) -> Iterator[str]:
    """Rows that rounding moved: IWAE of the models in an earlier record and now."""
    names = [name for cell in CELLS if (name := cell.name) in was.keys() & MODELS and was[name] != MODELS[name]]
    share = {name: MODELS[name]["iwae"][0] / was[name]["iwae"][0] - 1 for name in names}
    yield from _head("model", "IWAE, nats: first", "again", "moved by", "of it", "error over images")
    far = [name for name in names if abs(share[name]) > MOVED[0]]
    for name in sorted(far, key=lambda name: -abs(share[name])):
        before, now = was[name]["iwae"][0], MODELS[name]["iwae"]
        cells = (f"{before:,.0f}", f"{now[0]:,.0f}", f"{now[0] - before:+,.0f}")
        yield _row(name, *(cell.replace("-", "−") for cell in cells), f"{abs(share[name]):.1%}", f"{now[1]:.0f}")
    between = sum(MOVED[1] < abs(share[name]) <= MOVED[0] for name in names)
    yield ""
    yield f"{len(far)} of {len(names)} rows that were made again moved by more than {MOVED[0]:.0%}, {between} by"
    yield f"{MOVED[1]:.1%} to {MOVED[0]:.0%}, {len(names) - len(far) - between} by less than {MOVED[1]:.1%}."


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield "|---" * len(names) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "claims": claims,
    "samples": samples,
    "structured": structured,
    "other data": other_data,
}


def written(text: str, name: str, lines: Iterator[str]) -> str:
    """The text with a table between the mark of its name and the next end."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    return re.sub(marks, lambda m: m[1] + "\n".join(lines) + "\n" + m[2], text, flags=re.S)


def readme(text: str) -> str:
    """The README with every table as the records have it."""
    read_records()
    for name, lines in TABLES.items():
        text = written(text, name, lines())
    return text


def main() -> None:
    """Write the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", help="a commit whose record of models is compared with today's")
    since = parser.parse_args().since
    text = readme(README.read_text(encoding="utf-8"))
    if since:
        show = ["git", "-C", str(HERE), "show", f"{since}:./records/models.json"]
        text = written(text, "moved", moved(json.loads(subprocess.check_output(show))))
    write_atomic(README, text)


if __name__ == "__main__":
    main()
