"""Two figures from the records: σ² over training, and the units in use against a fixed σ²."""

import math
from collections.abc import Sequence

import numpy as np
from models import HERE, records

from elbowroom.figures.svg import INK, SOFT, Scale, document, element, key_places, label_colour, line, path, words

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 380, 56, 44
Line = tuple[str, list[float], list[float], str, str | None]  # name, across, up, colour, dashes


def run() -> None:
    """figures/over_training.svg and figures/collapse_<data>.svg."""
    (HERE / "figures").mkdir(exist_ok=True)
    for name, figure in (("over_training", over_training), ("collapse_digits", collapse), ("collapse_mnist", collapse)):
        if (HERE / "records" / f"{name}.json").exists():
            (HERE / "figures" / f"{name}.svg").write_text(figure(name) + "\n")


def over_training(name: str) -> str:
    rows = records(name)
    starts = sorted({row["start_sigma2"] for row in rows})
    lines = []
    for row in rows:
        up = [math.log10(np.mean(values)) for values in row["sigma2"]]
        colour, dashes = label_colour(starts.index(row["start_sigma2"])), None if row["network"] == "deep" else "6 4"
        lines.append((f"{row['network']}, from {row['start_sigma2']:g}", row["epochs"], up, colour, dashes))
    marks = {k: f"{10.0**k:g}" for k in range(-2, 2)}
    across = {e: str(e) for e in (0, 50, 100, 150)}
    return chart("σ² over training, digits, ten latents", "epoch", "σ²", lines, across, marks)


def collapse(name: str) -> str:
    rows = [row for row in records(name) if row["noise"] == "fixed"]
    across = [math.log10(value) for value in rows[0]["sigma2"]]
    lines: list[Line] = [
        ("eigenvalues above σ², of the first 20", across, rows[0]["eigenvalues_above"], INK, "2 4"),
        *(
            (f"{row['network']} decoder", across, [float(np.mean(n)) for n in row["active"]], label_colour(i), None)
            for i, row in enumerate(rows)
        ),
    ]
    powers = range(math.floor(across[0]), math.ceil(across[-1]) + 1)
    marks = {float(k): f"{10.0**k:g}" for k in powers}
    title = f"Units in use of 20 against a fixed σ², {name.removeprefix('collapse_')}"
    return chart(title, "σ²", "active units", lines, marks, {n: str(n) for n in (0, 5, 10, 15, 20)})


def chart(
    title: str, x_name: str, y_name: str, lines: Sequence[Line], x_marks: dict[float, str], y_marks: dict[float, str]
) -> str:
    """Lines over marked axes, with a key above."""
    places = key_places([name for name, *_ in lines], WIDTH - LEFT)
    top = 48 + places[-1][1]
    xs, ys = ([v for one in lines for v in one[i]] for i in (1, 2))
    x = Scale(min(*xs, *x_marks), max(*xs, *x_marks), LEFT, WIDTH - 16)
    y = Scale(min(*ys, *y_marks), max(*ys, *y_marks), HEIGHT - BOTTOM, top)
    body = [words(0, 14, title, size=13, fill=INK, weight=600)]
    for (name, _, _, colour, dashes), (left, down) in zip(lines, places, strict=True):
        body.append(line(left, down + 20, left + 18, down + 20, stroke=colour, stroke_width=2, stroke_dasharray=dashes))
        body.append(words(left + 23, down + 24, name, size=11))
    for value, text in y_marks.items():
        body += [line(LEFT, y(value), WIDTH - 16, y(value)), words(LEFT - 6, y(value) + 4, text, size=11, anchor="end")]
    body += [words(x(value), HEIGHT - BOTTOM + 16, text, size=11, anchor="middle") for value, text in x_marks.items()]
    body += [words(WIDTH - 16, HEIGHT - 8, x_name, size=11, anchor="end"), words(0, top - 8, y_name, size=11)]
    for _, across, up, colour, dashes in lines:
        points = [(x(a), y(b)) for a, b in zip(across, up, strict=True)]
        body.append(path(points, stroke=colour, stroke_width=2, stroke_dasharray=dashes))
    frame = element("rect", x=0, y=0, width=WIDTH, height=HEIGHT, fill="var(--paper,#ffffff)")
    about = "; ".join(f"{name}: {up[0]:.2f} at the left, {up[-1]:.2f} at the right" for name, _, up, _, _ in lines)
    return document(WIDTH, HEIGHT, title, about, frame, element("g", *body, stroke_opacity=1, fill=SOFT))
