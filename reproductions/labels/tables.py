"""The README's tables, from the records."""

from growing import Row, by, over
from sets import LABELS, Record

PUBLISHED = {
    "M1+TSVM, published": (11.82, 5.72, 4.24, 3.49),
    "M2, published": (11.97, 4.94, 3.60, 3.92),
    "M1+M2, published": (3.33, 2.59, 2.40, 2.18),
}


def show() -> None:
    """Print every table."""
    for name in LABELS:
        if (Record.folder / f"{name}.json").exists():
            rows = Record.made(name)
            table(name, [row for row in rows if row["balanced"]])
            others(rows)
            calibration(name, [row for row in rows if row["balanced"]])


def table(name: str, rows: list[Row]) -> None:
    """Errors in per cent, means over draws and their standard errors."""
    counts = LABELS[name]
    print(f"\n### {name}\n\n| method | " + " | ".join(f"{n:,} labels" for n in counts) + " |")
    print("|---" + "|---:" * len(counts) + "|")
    for (method,), of_method in by(rows, "method").items():
        cells = [cell([row for row in of_method if row["labels"] == n]) for n in counts]
        print(f"| {method} | " + " | ".join(cells) + " |")
    if name == "mnist":
        for method, errors in PUBLISHED.items():
            print(f"| {method} | " + " | ".join(f"{error:.2f}" for error in errors) + " |")


def cell(rows: list[Row], key: str = "error", factor: float = 100.0) -> str:
    """Mean ± standard error, and over how many draws where they are not five."""
    if not rows:
        return ""
    mean, error = over(rows, key)
    spread = f" ± {factor * error:.2f}" if len(rows) > 1 else ""
    few = f" ({len(rows)})" if len(rows) != 5 else ""
    return f"{factor * mean:.2f}{spread}{few}"


def others(rows: list[Row]) -> None:
    """What labels that are not balanced do."""
    for row in rows:
        if not row["balanced"]:
            print(f"not balanced, {row['labels']} labels: {row['method']} {100 * row['error']:.2f} %")


def calibration(name: str, rows: list[Row]) -> None:
    """Scores of the probabilities at the fewest labels."""
    few = [row for row in rows if row["labels"] == LABELS[name][0]]
    print(f"\n{LABELS[name][0]} labels | log score, nats | Brier score | calibration error, % | by chance, %")
    for (method,), found in by(few, "method").items():
        log, brier = cell(found, "log_score", 1), cell(found, "brier", 1)
        print(f"| {method} | {log} | {brier} | {cell(found, 'calibration')} | {cell(found, 'by_chance')} |")
