"""Whether wider grids, searched by hand with scikit-learn, beat the classics of a study, family by family.

    python benchmarks/classics_by_hand.py               # wine, breast cancer, diabetes, digits, bits, mnist
    python benchmarks/classics_by_hand.py wine digits   # some of them; the others' records are kept

Both sides see the same rows: those columns of a table that a study gives a density, dequantised and standardised as
it does. Of a product grid of settings (scikit-learn's densities; mixtures of factor analysers; zuko's masked
autoregressive flow with other depths, widths and rates; mixtures of Bernoullis of bits) the one with the best held-out
score is kept (validation and, where it has fewer than 100 rows, five-fold cross-validation too, but for flows) and
measured on test. What is recorded is the hand's log p(x) less the study's, test row by test row; the bar is 0.5 nats +
2 standard errors.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import zuko
from record import RECORDS, write_record
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn import datasets
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

import elbowroom as er
from elbowroom.exact import fit_factor_mixture
from elbowroom.studies.contest import contest, learned
from elbowroom.studies.seen import seen_rows

MARGIN = 0.5
SMALL = ("wine", "breast_cancer", "diabetes")
FOLDS, FEW = 5, 100


class EveryKernel:
    """A Gaussian kernel density, every distance computed: scikit-learn's trees are 4 nats off on digits."""

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth

    def fit(self, rows: Any) -> "EveryKernel":
        self.rows = rows
        return self

    def score_samples(self, x: Any) -> Any:
        squares = cdist(x, self.rows, "sqeuclidean") / self.bandwidth**2
        constant = np.log(len(self.rows)) + self.rows.shape[1] * (np.log(self.bandwidth) + 0.5 * np.log(2 * np.pi))
        return logsumexp(-0.5 * squares, axis=1) - constant


class Analysers:
    """A mixture of factor analysers with one least noise for all columns, the best of two starts."""

    def __init__(self, components: int, factors: int, floor: float, starts: int) -> None:
        self.components, self.factors, self.floor, self.starts = components, factors, floor, starts

    def fit(self, rows: Any) -> "Analysers":
        floor = np.full(rows.shape[1], self.floor)
        each = (
            fit_factor_mixture(rows, self.components, self.factors, floor=floor, seed=seed)
            for seed in range(self.starts)
        )
        self.model = max(each, key=lambda one: float(one.log_prob(rows).mean()))
        return self

    def score_samples(self, x: Any) -> Any:
        return self.model.log_prob(x)


class Flow:
    """zuko's masked autoregressive flow on standardised columns, stopped by a tenth of the rows."""

    def __init__(self, transforms: int, widths: tuple[int, ...], rate: float) -> None:
        self.transforms, self.widths, self.rate = transforms, widths, rate

    def fit(self, rows: Any) -> "Flow":
        torch.manual_seed(1)
        self.mean, self.scale = rows.mean(0), rows.std(0)
        x = torch.from_numpy((rows - self.mean) / self.scale).float()
        held, x = x[: len(x) // 10], x[len(x) // 10 :]
        self.flow = zuko.flows.MAF(
            x.shape[1], transforms=self.transforms, hidden_features=self.widths, randperm=self.transforms > 1
        )
        optimizer, best, looks = torch.optim.Adam(self.flow.parameters(), lr=self.rate), -np.inf, 0
        for step in range(1, 1_501):
            optimizer.zero_grad()
            (-self.flow().log_prob(x[torch.randint(len(x), (64,))]).mean()).backward()
            optimizer.step()
            if step % 25 == 0:
                with torch.no_grad():
                    value, looks = float(self.flow().log_prob(held).mean()), looks + 1
                if value > best:
                    best, looks = value, 0
                    kept = {name: one.clone() for name, one in self.flow.state_dict().items()}
                elif looks == 8:
                    break
        self.flow.load_state_dict(kept)
        return self

    @torch.no_grad()
    def score_samples(self, x: Any) -> Any:
        y = torch.from_numpy((x - self.mean) / self.scale).float()
        return self.flow().log_prob(y).double().numpy() - np.log(self.scale).sum()


class Bernoullis:
    """A mixture of independent bits by expectation–maximisation, the best of several starts."""

    def __init__(self, classes: int, smoothing: float, starts: int) -> None:
        self.classes, self.smoothing, self.starts = classes, smoothing, starts

    def fit(self, rows: Any) -> "Bernoullis":
        found = [self._from(rows, np.random.default_rng(seed)) for seed in range(self.starts)]
        self.model = max(found, key=lambda model: float(self._scores(model, rows).mean()))
        return self

    def _from(self, rows: Any, rng: Any) -> Any:
        shares = rng.dirichlet(np.ones(self.classes), len(rows))
        for _ in range(200):
            size = shares.sum(0)
            on = (shares.T @ rows + self.smoothing) / (size[:, None] + 2 * self.smoothing)
            model = np.log(size / size.sum()), np.log(on), np.log1p(-on)
            joint = self._joint(model, rows)
            shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        return model

    @staticmethod
    def _joint(model: Any, x: Any) -> Any:
        return model[0] + x @ model[1].T + (1 - x) @ model[2].T

    def _scores(self, model: Any, x: Any) -> Any:
        return logsumexp(self._joint(model, x), axis=1)

    def score_samples(self, x: Any) -> Any:
        return self._scores(self.model, x)


def load(name: str) -> Any:
    """The data as a study sees them; of a table the columns that have a density."""
    if name in SMALL:
        x = getattr(datasets, f"load_{name}")().data
        whole = er.load_data(x, name=name)
        kept = [i for i, one in enumerate(whole.support.columns) if one.continuous] if whole.support.columns else ...
        return er.load_data(x[:, kept], name=name)
    if name == "mnist":
        x = er.load_data("mnist").train[:7_000].x.numpy().reshape(7_000, -1)
        return er.load_data(x, name="5,000 rows of MNIST", validation=1_000, test=1_000)
    return er.load_data("digits", preprocess="binarise-fixed") if name == "bits" else er.load_data(name)


def grid(name: str, dimensions: int) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Family, setting in words, and an unfitted model."""
    large = name == "mnist"
    if name == "bits":
        for k, smoothing in itertools.product((5, 10, 15, 20, 30, 50), (0.1, 0.3, 1.0)):
            yield "latent class model", f"{k}, {smoothing:g}", lambda k=k, s=smoothing: Bernoullis(k, s, 3)
        return
    sizes = [64, 128, 256, 400, 550, 650, 720, 770] if large else range(1, dimensions)
    for d in sizes:
        yield "probabilistic PCA", f"{d}", lambda d=d: PCA(d, svd_solver="full")
    for d in [16, 64, 128] if large else [d for d in sizes if d < 10 or d % 4 == 0]:
        yield "factor analysis", f"{d}", lambda d=d: FactorAnalysis(d, max_iter=100 if large else 1_000)
    for h in np.geomspace(0.02, 2.0, 9 if large else 40):
        yield "kernel density", f"{h:.3g}", lambda h=h: EveryKernel(h)
    for kind, k, floor in mixtures(name):
        yield (
            "Gaussian mixture",
            f"{kind}, {k}, {floor:g}",
            lambda kind=kind, k=k, floor=floor: GaussianMixture(
                k, covariance_type=kind, reg_covar=floor, n_init=2 if name in SMALL else 1, random_state=0
            ),
        )
    for k, factors, floor in analysers(name, dimensions):
        yield (
            "mixture of factor analysers",
            f"{k}, {factors}, {floor:g}",
            lambda k=k, factors=factors, floor=floor: Analysers(k, factors, floor, 2 if name in SMALL else 1),
        )
    for depth, widths, rate in itertools.product((2, 5), ((64, 64), (256,)), (5e-4, 3e-3)) if not large else ():
        yield (
            "normalising flow",
            f"{depth} steps, {widths}, {rate:g}",
            lambda depth=depth, widths=widths, rate=rate: Flow(depth, widths, rate),
        )


def analysers(name: str, dimensions: int) -> Iterator[tuple[int, int, float]]:
    """Components, factors and floors."""
    if name in SMALL:
        factors = sorted({max(dimensions * part // 8, 1) for part in (1, 3, 5, 7)})
        yield from itertools.product((1, 2, 3, 5), factors, (1e-6, 1e-3, 1e-2, 0.1))
    elif name == "digits":
        yield from itertools.product((8, 16, 30), (6, 12, 24), (3e-4, 1e-3, 2e-3))
    else:
        yield from itertools.product((10, 20), (6, 12), (3e-5, 1e-4))


def mixtures(name: str) -> Iterator[tuple[str, int, float]]:
    """Kinds of covariance, components and floors."""
    if name in SMALL:
        floors = (1e-6, 1e-3, 1e-2, 3e-2, 0.1, 0.3)
        yield from itertools.product(("full", "tied", "diag", "spherical"), (1, 2, 3, 4, 5, 7, 10, 20), floors)
    elif name == "digits":
        yield from itertools.product(("full",), (1, 3, 5, 8, 12, 20, 30), (1e-4, 3e-4, 1e-3, 2e-3))
        yield from itertools.product(("tied", "diag", "spherical"), (20, 60, 120, 240), (1e-5, 1e-4, 1e-3))
    else:
        yield from itertools.product(("full",), (1,), (1e-4, 1e-3, 1e-2))
        yield from itertools.product(("diag",), (20, 60, 100), (1e-5, 1e-4, 1e-3, 1e-2))


def by_hand(name: str, train: Any, validation: Any, test: Any) -> dict[str, tuple[str, Any]]:
    """The best setting of every family by held-out score, and its log p of test."""
    best: dict[str, tuple[float, str, Any]] = {}
    folds = [np.arange(len(train)) % FOLDS == fold for fold in range(FOLDS if len(validation) < FEW else 0)]
    for family, setting, make in grid(name, train.shape[1]):
        try:
            model = make().fit(train)
            held_out = [model.score_samples(validation)]
            held_out += [
                make().fit(train[~part]).score_samples(train[part]) for part in folds if family != "normalising flow"
            ]
        except ValueError:
            continue
        score = float(np.concatenate(held_out).mean())
        if np.isfinite(score) and (family not in best or score > best[family][0]):
            best[family] = score, setting, model
    return {family: (setting, model.score_samples(test)) for family, (_, setting, model) in best.items()}


def compared(name: str) -> dict[str, Any]:
    """One data set: both sides, and the difference of each family."""
    data = load(name)
    start, cpu = time.perf_counter(), time.process_time()
    record = contest(data, seed=0, progress=False)
    spent = {"seconds": round(time.perf_counter() - start, 1), "cpu": round(time.process_time() - cpu, 1)}
    rows = learned(data, 0)
    validation, _ = seen_rows(data, data.validation, 0, 2_000)
    test, log_jacobian = seen_rows(data, data.test, 0, 2_000)
    start = time.process_time()
    theirs = by_hand(name, rows.rows[: rows.n], validation, test)
    found: dict[str, Any] = {"ours": spent, "hand_cpu": round(time.process_time() - start, 1), "said": record.said}
    found |= {"sizes": [rows.n, len(validation), len(test), rows.dimensions], "families": {}}
    for one in record.classics:
        about = {"ours": round(one.estimate.mean, 3), "setting": one.setting}
        if one.name in theirs:
            setting, scores = theirs[one.name]
            gain = scores + log_jacobian - one.estimate.values
            error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
            about |= {"hand": setting, "gain": round(float(gain.mean()), 3), "error": round(error, 3)}
            about["within"] = bool(gain.mean() <= MARGIN + 2 * error)
        found["families"][one.name] = about
    return found


def main() -> None:
    """Measure, print, and write records/classics_by_hand.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*SMALL, "digits", "bits", "mnist"])
    names = parser.parse_args().names
    kept = RECORDS / "classics_by_hand.json"
    cases = json.loads(kept.read_text())["cases"] if kept.exists() else {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cases[name] = compared(name)
        for family, one in cases[name]["families"].items():
            print(name, family, one, flush=True)
        within = all(one.get("within", True) for case in cases.values() for one in case["families"].values())
        write_record("classics_by_hand", {"margin": MARGIN, "cases": cases, "within": within})


if __name__ == "__main__":
    main()
