"""The README's tables, from the records."""

import re
from collections.abc import Callable, Iterable

import numpy as np
from segments import PATCHES
from shelf import HERE, WAYS, Record, Row, models

from elbowroom.atomic import write_atomic
from elbowroom.numerics import rounded, with_error


def run() -> None:
    """Put the tables of today's records into the README."""
    path = HERE / "README.md"
    write_atomic(path, readme(path.read_text(encoding="utf-8")))


def readme(text: str) -> str:
    """The README with its tables made afresh."""
    made: dict[str, Callable[[], Iterable[str]]] = {
        "models": of_models, "few": of_few, "segments": of_segments, "draws": of_draws
    }  # fmt: skip
    for name, table in made.items():
        block = f"<!-- {name} -->\n" + "\n".join(table()) + "\n<!-- end -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _, found=block: found, text, flags=re.DOTALL)
    return text


def of_models() -> Iterable[str]:
    """log p, its bound, rates and information of every model."""
    yield (
        "| decoder | trained | seed | I(colour; z \\| grey), model | by likelihood | H(z \\| grey) | rate of q, data | "
        "rate of p(z \\| colour, grey), data | log p(colour \\| grey) | ELBO | won by z |"
    )
    yield "|---" * 11 + "|"
    for row in models():
        information = row["information"]
        cells = [information["by posterior"], information["by likelihood"], row["entropy"], row["rate"]]
        cells += [row["rate_exact"], row["log_p"], row["elbo"], row.get("gain")]
        if "gain" not in row:
            cells[:5] = [None] * 5
        said = [said_of(one) for one in cells]
        yield f"| {row['decoder'].replace('blind ', 'none, ')} | {how(row)} | {row['seed']} | {' | '.join(said)} |"


def of_few() -> Iterable[str]:
    """The same of models of few images, by seed."""
    yield "| trained | seed | I(colour; z \\| grey), model | rate of q, data | log p(colour \\| grey) | ELBO |"
    yield "|---" * 6 + "|"
    for row in sorted(Record.made("few"), key=lambda r: (list(WAYS).index(r["by"]), r["seed"])):
        cells = [row["information"]["by posterior"], row["rate"], row["log_p"], row["elbo"]]
        yield f"| {how(row)} | {row['seed']} | {' | '.join(map(said_of, cells))} |"


def of_segments() -> Iterable[str]:
    """What segments tell of labels, and how far they agree with clusters of patches."""
    names = " | ".join(f"AMI, {of}" for of in PATCHES)
    yield f"| segments | labels found | labels permuted | {names} | share of the largest class |"
    yield "|---" * 7 + "|"
    for row in Record.made("clusters"):
        yield f"| k-means, {row['of']} | {' | '.join(told(row))} |"
    for row in models():
        for part, name in (("posterior", "q(z \\| colour, grey)"), ("prior", "p(z \\| grey)")):
            if "segments" in row and not row["seed"]:
                yield f"| {row['decoder']}, {how(row)}: {name} | {' | '.join(told(row['segments'][part]))} |"


def told(about: Row) -> list[str]:
    """Cells of a row about segments."""
    spread = f"{about['permuted'][0]:.3f}, sd {about['permuted'][1]:.3f}"
    agreement = [f"{about['agreement'][of]:.3f}" for of in PATCHES]
    return [said_of(about["accuracy"]), spread, *agreement, f"{max(about['shares']):.2f}"]


def of_draws() -> Iterable[str]:
    """The information by draws alone, from above and from below."""
    chosen = [row for row in models() if (row["by"], row["free"], row["seed"]) == ("sums", 0, 0) and "gain" in row]
    chosen = [row for row in chosen if row["beta"] in (0.1, 1.0)]
    draws = list(chosen[0]["nested"])
    yield f"| decoder | exact logs | {' | '.join(f'{n} of q' for n in draws)} |"
    yield "|---" * (len(draws) + 2) + "|"
    for row in chosen:
        ends = [" … ".join(rounded(end[0], 1) for end in reversed(row["nested"][n])) for n in draws]
        exact = said_of(row["information"]["by posterior"])
        yield f"| {row['decoder']}, β = {row['beta']:g} | {exact} | {' | '.join(ends)} |"


def how(row: Row) -> str:
    """How a model was trained, in words."""
    free = [f"{row['free']:g} nats a cell free"] * bool(row["free"])
    return ", ".join([f"β = {row['beta']:g}", *free, *WAYS[row["by"]]])


def said_of(pair: list[float] | None) -> str:
    """A mean and its error."""
    return "–" if pair is None else with_error(float(np.float64(pair[0])), pair[1])
