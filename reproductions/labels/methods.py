"""The methods: probabilities of the test rows from rows of which some labels are shown."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sets import Split, as_data, split
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

import elbowroom as er
from elbowroom.models import Recipe, build, goal

Floats = NDArray[np.float64]
Method = Callable[[Split, str], Floats]

IMAGES: dict[str, Any] = {"latents": 50, "widths": [256], "epochs": 10, "batch_size": 100, "lr": 1e-3}
DIGITS: dict[str, Any] = {"latents": 16, "widths": [128], "epochs": 60, "batch_size": 100, "lr": 2e-3}
SMALL: dict[str, Any] = {"latents": 3, "widths": [32], "epochs": 100, "batch_size": 32, "lr": 3e-3}
WEIGHT = 10.0  # of the class term, fixed before any table was made; records/weights.json has others on digits


def settings(name: str) -> dict[str, Any]:
    """What the models of a data set are, and how they are trained."""
    return IMAGES if "mnist" in name else DIGITS if name == "digits" else SMALL


def searched(estimator: BaseEstimator, grid: dict[str, list[Any]], found: Split, x: Floats) -> Any:
    """The estimator whose number is chosen by cross-validation over the shown labels alone."""
    y = found.y[found.shown]
    folds = int(min(3, np.bincount(y)[np.unique(y)].min()))
    if folds < 2:
        return estimator.fit(x[found.shown], y)
    cv = StratifiedKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GridSearchCV(estimator, grid, cv=cv, scoring="accuracy").fit(x[found.shown], y)


def of_probabilities(model: Any, x: Floats) -> Floats:
    """Probabilities, with a little for classes that a vote gave none."""
    p = np.asarray(model.predict_proba(x), dtype=np.float64)
    p = np.nan_to_num(p) + 1e-6
    return p / p.sum(1, keepdims=True)


PLAIN: dict[str, list[Any]] = {"C": [0.01, 0.1, 1.0, 10.0]}
LOGISTIC = {f"logisticregression__{name}": values for name, values in PLAIN.items()}


def logistic() -> Any:
    return make_pipeline(StandardScaler(), plain_logistic())


def plain_logistic() -> Any:
    return LogisticRegression(max_iter=200, tol=1e-3)


def components(found: Split) -> tuple[Floats, Floats]:
    """Principal components of the rows to train on and to test on, in one common unit: they need no label."""
    columns = found.x.shape[1]
    scale = [] if columns in (64, 784) else [StandardScaler()]
    pca = make_pipeline(*scale, PCA(min(50, columns - 1), random_state=0)).fit(found.x)
    x, test_x = pca.transform(found.x), pca.transform(found.test_x)
    return x / x.std(), test_x / x.std()


def on_pixels(make: Callable[[], Any], grid: dict[str, list[Any]]) -> Method:
    return lambda found, _: of_probabilities(searched(make(), grid, found, found.x), found.test_x)


def on_components(make: Callable[[], Any], grid: dict[str, list[Any]]) -> Method:
    def method(found: Split, _: str) -> Floats:
        x, test_x = components(found)
        return of_probabilities(searched(make(), grid, found, x), test_x)

    return method


def boosting() -> Any:
    return HistGradientBoostingClassifier(max_iter=50, early_stopping=False, min_samples_leaf=5, random_state=0)


def self_training(found: Split, _: str) -> Floats:
    """scikit-learn's, around the logistic regression on components whose C was chosen on the shown labels."""
    x, test_x = components(found)
    best = searched(plain_logistic(), PLAIN, found, x)
    model = SelfTrainingClassifier(getattr(best, "best_estimator_", best), threshold=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return of_probabilities(model.fit(x, found.labels), test_x)


def label_spreading(found: Split, _: str) -> Floats:
    """scikit-learn's, over nearest neighbours of components."""
    x, test_x = components(found)
    model = LabelSpreading(kernel="knn", n_neighbors=7, max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row that no label reaches divides 0 by 0
        return of_probabilities(model.fit(x, found.labels), test_x)


def trained(recipe: Recipe, data: Any, below: er.VAE | None = None) -> er.VAE:
    vae = build(recipe, data, below=below)
    er.fit(vae, data, goal(recipe), select="last", progress=False, **recipe.training)
    return vae


def recipe_of(name: str, **words: Any) -> Recipe:
    """The recipe of a data set with other words."""
    return Recipe(seed=0).where(**(settings(name) | words))


@cache
def m1(name: str) -> er.VAE:
    """M1 of a data set: no label enters, so it is the same for all draws of labels."""
    recipe = recipe_of(name, epochs=2 * settings(name)["epochs"])
    return trained(recipe, as_data(split(name, 60, 0), labelled=False))


def codes(vae: er.VAE, x: Floats) -> Floats:
    return vae.encode(er.Batch(torch.tensor(x), torch.arange(len(x))))["z"].double().numpy()


def m1_classifier(found: Split, name: str) -> Floats:
    """Logistic regression on the codes of M1."""
    vae = m1(name)
    return of_probabilities(searched(logistic(), LOGISTIC, found, codes(vae, found.x)), codes(vae, found.test_x))


def m1_neighbours(found: Split, name: str) -> Floats:
    """k-NN on the codes of M1, which is not linear in them, as the paper's TSVM is not."""
    vae = m1(name)
    model = searched(KNeighborsClassifier(1), {"n_neighbors": [1, 3, 5]}, found, codes(vae, found.x))
    return of_probabilities(model, codes(vae, found.test_x))


def of_classes(name: str, weight: float = WEIGHT, layers: int = 1) -> Recipe:
    """The recipe of M2, or of M1+M2 with two layers."""
    objective = {"kind": "semi-supervised", "weight": weight}
    return recipe_of(name, latents=[settings(name)["latents"]] * layers, classes="label", objective=objective)


def m2(found: Split, name: str, weight: float = WEIGHT) -> Floats:
    return guessed(trained(of_classes(name, weight), as_data(found, labelled=True)), found)


def m1_m2(found: Split, name: str) -> Floats:
    return guessed(trained(of_classes(name, layers=2), as_data(found, labelled=True), below=m1(name)), found)


def guessed(vae: er.VAE, found: Split) -> Floats:
    """q(y | x) of the test rows."""
    batch = er.Batch(torch.tensor(found.test_x), torch.arange(len(found.test_x)))
    p = vae.encode(batch)["label"].double().numpy()
    return p / p.sum(1, keepdims=True)


METHODS: dict[str, Method] = {
    "logistic, pixels": on_pixels(logistic, LOGISTIC),
    "logistic, PCA": on_components(plain_logistic, PLAIN),
    "boosting, pixels": on_pixels(boosting, {"learning_rate": [0.1]}),
    "boosting, PCA": on_components(boosting, {"learning_rate": [0.1]}),
    "k-NN, pixels": on_pixels(lambda: KNeighborsClassifier(1), {"n_neighbors": [1, 3, 5]}),
    "self-training, PCA": self_training,
    "label spreading, PCA": label_spreading,
    "M1 + logistic": m1_classifier,
    "M1 + k-NN": m1_neighbours,
    "M2": m2,
    "M1+M2": m1_m2,
}
