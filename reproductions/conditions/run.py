"""Conditions: where one is lost, classes by Bayes' rule, columns from columns; one experiment per word.

    python reproductions/conditions/run.py lost classes columns canaries      # makes records/<experiment>.json
    python reproductions/conditions/run.py tables                             # tables of the README, from records

A row that is in a record is not made again.
"""

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.ledger.symptoms_of_condition import condition_lost
from elbowroom.metrics import latent_use

sys.path.insert(1, str(Path(__file__).parents[1]))
sys.path.insert(2, str(Path(__file__).parents[1] / "forum_question"))

import condition
import growing
from growing import Row, by, over

HERE = Path(__file__).parent
SEEDS = (0, 1)
SIGMA, BETAS = 0.14, (0.1, 1.0, 10.0, 100.0, 1_000.0)
WAYS = (*condition.WAYS, "both")
NAMES = ("lost", "held", "shown")
ESTIMATES = {"ELBO": ("elbo", 500), "IWAE-50": ("iwae", 50), "IWAE-500": ("iwae", 500)}
PRIORS: dict[str, Any] = {"p(z)": "standard-normal", "p(z | label)": {"kind": "normal-prior", "given": ["label"]}}
PREDICTED = {
    "diabetes": ("target", "bp"),
    "wine": ("alcohol", "proline"),
    "breast_cancer": ("mean smoothness", "worst concavity"),
}
FITTING: dict[str, Any] = {"epochs": 400, "patience": 40, "lr_final": 1e-4, "progress": False}


class Record(growing.Record):
    """One of this folder's records."""

    folder = HERE / "records"


def lost() -> None:
    """records/lost.json: the lower half of a digit from the upper one by three ways, along β at the σ that fits."""
    keys = [{"way": way, "beta": beta, "seed": s} for way in WAYS for beta in BETAS for s in SEEDS]
    Record("lost", sigma=SIGMA, latents=condition.LATENTS, epochs=condition.TRAINING["epochs"]).rows(keys, _lost)
    Record("baselines").rows([{"data": "digits"}], condition._baselines)


def _lost(way: str, beta: float, seed: int) -> Row:
    data = condition.halves(way == "joint")
    vae = condition.model(way, SIGMA, seed)
    er.fit(vae, data, er.objectives.Elbo(beta), seed=seed, **condition.TRAINING)
    rate = er.evidence.rate_distortion(vae, data.test, draws=16).rate
    row = {"rate": [rate.mean, rate.se_total], "active": int(latent_use(vae, data.test).active.sum())}
    if way != "joint":
        found = condition_lost(vae, data, data.test, 0)
        row |= {name: [one.value, one.se] for name, one in zip(NAMES, found, strict=False)}
    some = data.test[: condition.SHOWN]
    means, noise = condition.predicted(vae, way, some)
    return row | condition.judged(means, some.x[:, -condition.HALF :].double().numpy(), noise)


@cache
def digits() -> er.data.Dataset:
    """scikit-learn's digits, whose label is the condition."""
    return er.load_data("digits", context="label", progress=False)


def conditional(prior: str, seed: int) -> er.models.Recipe:
    """A VAE of log p(x | label)."""
    return er.models.Recipe(latents=10, widths=[256], seed=seed, prior=PRIORS[prior])


def classes() -> None:
    """records/classes.json: labels of digits by Bayes' rule; classifiers.json: by what learns p(label | x) itself."""
    keys = [{"prior": prior, "seed": seed} for prior in PRIORS for seed in SEEDS]
    Record("classes", epochs=100).rows(keys, _classes)
    Record("classifiers").rows([{"seed": seed} for seed in SEEDS], _classifiers)


def _classes(prior: str, seed: int) -> Row:
    data, row = digits(), {}
    vae = er.models.build(conditional(prior, seed), data)
    er.fit(vae, data, epochs=100, lr_final=1e-4, seed=seed, progress=False)
    found = condition_lost(vae, data, data.test, 0)
    row |= {name: [one.value, one.se] for name, one in zip(NAMES, found, strict=False)}
    for name, (estimator, draws) in ESTIMATES.items():
        found = er.classify(vae, data, estimator=estimator, draws=draws)
        truth = np.arange(len(found)), found.truth
        right, opened = found.decisions == found.truth, found.open
        row[name] = {
            "accuracy": list(found.accuracy),
            "open": int(opened.sum()),
            "open_right": int((right & opened).sum()),
            "missed": found.missed,
            "log_score": float(np.log(np.maximum(found.probabilities[truth], 1e-300)).mean()),
        }
    return row


def _classifiers(seed: int) -> dict[str, list[float]]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    train, test = digits().train.batch(), digits().test.batch()
    found = {
        "logistic regression": LogisticRegression(max_iter=2_000),
        "gradient boosting": HistGradientBoostingClassifier(random_state=seed),
        "5 neighbours": KNeighborsClassifier(5),
    }
    shares = {name: one.fit(train.x / 16, train.labels).score(test.x / 16, test.labels) for name, one in found.items()}
    return {name: [share, (share * (1 - share) / len(test.x)) ** 0.5] for name, share in shares.items()}


@cache
def table(name: str, seed: int) -> er.data.Dataset:
    """A table of scikit-learn, split by a seed."""
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = loaded.frame if name == "diabetes" else loaded.data
    return er.load_data(frame, seed=seed, name=name, progress=False)


def columns() -> None:
    """records/columns.json: some columns of tables from the others, with intervals."""
    keys = [{"data": name, "seed": seed} for name in PREDICTED for seed in SEEDS]
    Record("columns", **{k: v for k, v in FITTING.items() if k != "progress"}).rows(keys, _columns)


def _columns(data: str, seed: int) -> Row:
    loaded, row = table(data, seed), {}
    vae = er.models.build({"seed": seed}, loaded)
    er.fit(vae, loaded, seed=seed, **FITTING)
    for name in PREDICTED[data]:
        found = er.impute(vae, loaded, columns=[name], samples=200, imputations=1, temperatures=50)
        (score,) = found.scores
        row[name] = {
            "rmse": list(score.rmse),
            "spread": score.spread,
            "n": score.n,
            "coverage": {f"{level:g}": list(share) for level, share in score.coverage.items()},
            "annealed": int(found.annealed.sum()),
            **_regressions(loaded, name),
        }
    return row


def _regressions(data: er.data.Dataset, name: str) -> dict[str, float]:
    """RMSE on the test rows of regressions that were fitted to this column."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    at = list(data.columns or ()).index(name)
    (x, y), (x_test, y_test) = (
        (np.delete(part, at, 1), part[:, at]) for part in (one.x.double().numpy() for one in (data.train, data.test))
    )
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
    found = {"ridge": ridge, "boosting": HistGradientBoostingRegressor(random_state=0)}
    return {k: float(np.sqrt(np.square(one.fit(x, y).predict(x_test) - y_test).mean())) for k, one in found.items()}


def _mean(rows: list[Row], key: str, digits: int = 2) -> str:
    value, error = over(rows, key)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def tables() -> None:
    """Print the tables of the README."""
    print("| way | β | rate | units | squared error | lost, % |\n|---|---|---|---|---|---|")
    for (way, beta), rows in by(Record.made("lost"), "way", "beta").items():
        gone = _mean(rows, "lost", 0) if "lost" in rows[0] else "–"
        units = "–".join(str(one) for one in dict.fromkeys(sorted(row["active"] for row in rows)))
        print(f"| {way} | {beta:g} | {_mean(rows, 'rate')} | {units} | {_mean(rows, 'squared_error')} | {gone} |")
    print("\n| prior | by | right, % | open | of these right | k̂ > 0.7 | log score |\n|" + "---|" * 7)
    for (prior,), rows in by(Record.made("classes"), "prior").items():
        prior = prior.replace("|", r"\|")
        print(f"| {prior} | condition lost, % | {_mean(rows, 'lost', 0)} | – | – | – | – |")
        for name in ESTIMATES:
            own = [row[name] for row in rows]
            right = [{"accuracy": 100 * one["accuracy"][0]} for one in own]
            counts = (" / ".join(str(one[key]) for one in own) for key in ("open", "open_right", "missed"))
            score = _mean(own, "log_score", 3)
            print(f"| {prior} | {name} | {_mean(right, 'accuracy', 1)} | {' | '.join(counts)} | {score} |")
    for name, share in Record.made("classifiers")[0].items():
        if isinstance(share, list):
            print(f"| – | {name} | {100 * share[0]:.1f} ({100 * share[1]:.1f}) | – | – | – | – |")
    print("\n| table | column | its mean | VAE | ridge | boosting | in 50 % | in 90 % | in 95 % |" + "\n|" + "---|" * 9)
    for (data,), some in by(Record.made("columns"), "data").items():
        for name in PREDICTED[data]:
            own = [row[name] for row in some]
            numbers = (over(own, key) for key in ("spread", "rmse", "ridge", "boosting"))
            shares = [np.mean([one["coverage"][level][0] for one in own]) for level in ("0.5", "0.9", "0.95")]
            n = sum(one["n"] for one in own)
            held = " | ".join(f"{100 * p:.0f} ± {100 * (p * (1 - p) / n) ** 0.5:.0f}" for p in shares)
            print(f"| {data} | {name} | {' | '.join(f'{m:.3g} ± {e:.2g}' for m, e in numbers)} | {held} |")


def canaries() -> None:
    """Write the canaries of the records that were just made."""
    import canaries as own

    own.write()


EXPERIMENTS: dict[str, Callable[[], None]] = {one.__name__: one for one in (lost, classes, columns, canaries, tables)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=list(EXPERIMENTS))
    torch.set_num_threads(1)
    for word in parser.parse_args().what:
        EXPERIMENTS[word]()


if __name__ == "__main__":
    main()
