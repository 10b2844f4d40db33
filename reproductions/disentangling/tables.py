"""From the cases to the record, the README's tables with what they decide, and the figure."""

import json
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from run import BETAS, COSTS, HERE, SCORES, SEEDS, name_of

from elbowroom.atomic import write_atomic
from elbowroom.plots import Series, lines

RECORD, README = HERE / "record.json", HERE / "README.md"
FIGURE = "![Scores, total correlation and test log p against β](figure.svg)"
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


def gather(runs: Path) -> None:
    """Write record.json from the cases in a folder and in the record, then what is made of it."""
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"cases": {}, "canary": {}}
    for beta in BETAS:
        for seed in SEEDS:
            path = runs / f"{name_of(beta, seed)}.json"
            if path.exists():
                found = json.loads(path.read_text())
                record["canary"] |= found.pop("canary")
                record["cases"][path.stem] = found
    wanted = [name_of(beta, seed) for beta in BETAS for seed in SEEDS]
    missing = [name for name in wanted if name not in record["cases"]]
    for part in ("cases", "canary"):
        record[part] = {name: record[part][name] for name in wanted if name in record[part]}
    write_atomic(RECORD, json.dumps(record, indent=1) + "\n")
    print(f"{len(record['cases'])} of {len(wanted)} cases" + (f"; missing: {', '.join(missing)}" if missing else ""))
    draw(record["cases"])
    write(record["cases"])


def of(cases: dict[str, Any], beta: float, key: str) -> dict[int, float]:
    """A number of every seed."""
    return {one["seed"]: one[key] for one in cases.values() if one["beta"] == beta}


def mean_of(values: list[float]) -> tuple[float, float]:
    """Mean and standard error over seeds, NaN where there are too few."""
    if not values:
        return math.nan, math.nan
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), float(error)


def slopes(cases: dict[str, Any], key: str) -> list[float]:
    """How much a score rises when β is doubled, by least squares over β ≥ 1, of every seed that has all of them."""
    x = np.log2([beta for beta in BETAS if beta >= 1])
    by_beta = [of(cases, beta, key) for beta in BETAS if beta >= 1]
    seeds = set.intersection(*map(set, by_beta))
    return [float(np.polyfit(x, [one[seed] for one in by_beta], 1)[0]) for seed in sorted(seeds)]


def gained(cases: dict[str, Any], beta: float, key: str) -> list[float]:
    """A score less that of β = 1, seed by seed."""
    here, there = of(cases, beta, key), of(cases, 1.0, key)
    return [here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())]


def verdict(values: list[float]) -> str:
    """Held, refuted or neither, at two standard errors over seeds."""
    mean, error = mean_of(values)
    if not len(values) > 2:
        return "too few seeds"
    return "held" if mean > 2 * error else "refuted" if mean < -2 * error else "undecided"


def cell(mean: float, error: float, digits: int) -> str:
    """A number with its error."""
    if math.isnan(mean):
        return "–"
    shown = f"{mean:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")
    return shown.replace("-", "−")


def table(cases: dict[str, Any], columns: dict[str, str]) -> list[str]:
    """Means ± standard errors over seeds, a row per β."""
    rows = [f"| β | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for beta in BETAS:
        found = [cell(*mean_of(list(of(cases, beta, key).values())), _digits(key)) for key in columns]
        rows.append(f"| {beta:g} | {' | '.join(found)} |")
    return rows


def _digits(key: str) -> int:
    return {"log_p": 2, "rate": 2, "active": 1}.get(key, 3)


def decided(cases: dict[str, Any]) -> list[str]:
    """The claim, score by score: a row per way to ask."""
    rows = [f"| a larger β disentangles | {' | '.join(SCORES.values())} |", "|---" * (len(SCORES) + 1) + "|"]
    asked = [("doubling β, over 1 … 16", lambda key: slopes(cases, key))]
    asked += [(f"β = {beta:g} less β = 1", lambda key, b=beta: gained(cases, b, key)) for beta in BETAS if beta > 1]
    for words, values_of in asked:
        found = [values_of(key) for key in SCORES]
        rows.append(f"| {words} | {' | '.join(f'{cell(*mean_of(v), 3)}: {verdict(v)}' for v in found)} |")
    return rows


def write(cases: dict[str, Any]) -> None:
    """Put the tables into the README."""
    before, rest = README.read_text().split(BEGIN)
    tables = [table(cases, SCORES), decided(cases), table(cases, COSTS)]
    middle = "\n\n".join([FIGURE, *("\n".join(rows) for rows in tables)])
    write_atomic(README, f"{before}{BEGIN}\n{middle}\n{END}{rest.split(END)[1]}")


def draw(cases: dict[str, Any]) -> None:
    """figure.svg: scores, dependence and nats against β."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    panels: list[tuple[dict[str, str], str]] = [
        (SCORES, "score"),
        ({"tc": "total correlation", "gaussian_tc": "of a normal with its covariance"}, "nats"),
        ({"log_p": "test log p(x)"}, "nats"),
    ]
    for axis, (columns, up) in zip(axes, panels, strict=True):
        series = []
        for key, words in columns.items():
            numbers: NDArray[np.float64] = np.array([mean_of(list(of(cases, b, key).values())) for b in BETAS])
            series.append(Series(words, BETAS, numbers[:, 0].tolist(), numbers[:, 1].tolist()))
        lines(series, across="β", up=up, log_x=True, ax=axis)
    figure.savefig(HERE / "figure.svg", metadata={"Date": None})
    plt.close(figure)
