"""M2 as a scikit-learn classifier: rows without a label help where the model of x is right."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from elbowroom.data.notation import absent
from elbowroom.numerics import InputError
from elbowroom.objectives import SemiSupervised
from elbowroom.training import fit as train
from elbowroom.training.adam import CLIP

from .settings import seed_from
from .supports import Floats
from .table import LABEL, TableEstimator

__all__ = ["VAEClassifier"]


class VAEClassifier(ClassifierMixin, TableEstimator):
    """A semi-supervised classifier of the rows of a table: M2, a variational autoencoder of x and its class.

    y = −1 says that a row has no label, as elsewhere in scikit-learn. Rows without a label are learned from as the
    model of x says, which lowers the accuracy where that model is wrong (`elbowroom.metrics.unlabelled_gain`).

    Parameters
    ----------
    n_components : int, default 2
        Latent dimensions beside the class.
    likelihood : str or mapping, default "auto"
        A word for p(x | z, y), as of `VariationalAutoencoder`.
    network : sequence of int, default (64, 64)
        Hidden layers of the encoders; the decoder has them in reverse order. () makes all linear.
    scale : {"shared", "feature", "predicted"} or float, default "predicted"
        Of a likelihood that has one, as of `VariationalAutoencoder`.
    weight : float, default 10.0
        Of the cross-entropy of the known classes beside the bound of a row, in `elbowroom.objectives.SemiSupervised`.
    max_epochs : int, default 200
        Passes over the training rows.
    batch_size : int, default 32
        Rows per step.
    learning_rate : float, default 3e-3
        Of the first epoch; the last has a tenth of it. Gradients are clipped to a norm of 10.
    validation_fraction : float, default 0.1
        Share of the rows that is kept apart to choose the epoch, one labelled row of each class never among them;
        where it is less than one row, the last epoch is kept.
    random_state : int, RandomState or None, default None
        Of weights, split, shuffling and noise of training.

    Attributes
    ----------
    classes_ : array
        The classes, in the order of the columns of `predict_proba`.
    vae_ : VAE
        The trained model; its block "label" is the class.
    history_ : History
        Of its training.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Columns.
    constant_ : array
        [features], the value of each column that did not vary, NaN of the others; the model leaves them out.

    Notes
    -----
    Predictions are those of q(y | x); they are made of any row, also of one whose x the model holds impossible. −1
    cannot be a class. NaN is a missing cell.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[-2.0], [2.0]], 30, axis=0)
    >>> y = np.full(60, -1)
    >>> y[[0, 1, 58, 59]] = [7, 7, 9, 9]
    >>> found = VAEClassifier(1, network=(16,), max_epochs=60, random_state=0).fit(x, y)
    >>> found.predict([[-2.0, -2.0], [2.0, 2.0]]), found.predict_proba(x).shape
    (array([7, 9]), (60, 2))
    """

    def __init__(
        self,
        n_components: Any = 2,
        *,
        likelihood: Any = "auto",
        network: Any = (64, 64),
        scale: Any = "predicted",
        weight: Any = 10.0,
        max_epochs: Any = 200,
        batch_size: Any = 32,
        learning_rate: Any = 3e-3,
        validation_fraction: Any = 0.1,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.network = network
        self.scale = scale
        self.weight = weight
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "VAEClassifier":
        """Train on rows, of which some have a label.

        Parameters
        ----------
        X : array
            [n, features], n ≥ 2.
        y : array
            [n], classes; −1 where there is no label.

        Returns
        -------
        VAEClassifier
            Itself.
        """
        asked = self._numbers()
        _refuse_no_labels(y)
        values, labels = self._validated(X, y=y, ensure_min_samples=2)
        check_classification_targets(labels)
        x, missing = self._finite(values), _missing(labels)
        if missing.all():
            raise InputError("All labels are missing (−1), so that nothing says what the classes are: label some rows.")
        self.classes_, found = np.unique(labels[~missing], return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y holds one class alone, {self.classes_[0]}, so that there is nothing to tell apart: give rows of "
                f"another class."
            )
        codes = np.full(len(labels), -1)
        codes[~missing] = found
        seed = seed_from(self.random_state)
        data, self.vae_ = self._data_and_model(x, seed, torch.from_numpy(codes))
        self.history_ = train(
            self.vae_,
            data,
            SemiSupervised(weight=asked["weight"]),
            epochs=asked["max_epochs"],
            batch_size=asked["batch_size"],
            lr=asked["learning_rate"],
            lr_final=asked["learning_rate"] / 10,
            clip=CLIP,
            select="objective" if data.validation is not data.train else "last",
            seed=seed,
            progress=False,
        )
        self.n_iter_ = len(self.history_.rows)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """q(y | x) of each row, [n, classes]."""
        check_is_fitted(self)
        p = self.vae_.encode(self._batch(X, scored=False))[LABEL].numpy()
        return np.asarray(p / p.sum(1, keepdims=True), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, [n]."""
        most = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[most])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy over the rows that have a label.

        Parameters
        ----------
        X : array
            [n, features].
        y : array
            [n], classes; rows of −1 are left out.
        sample_weight : array, default None
            [n], of each row; None: all alike.

        Returns
        -------
        float
            Between 0 and 1.
        """
        _refuse_no_labels(y)
        known = ~_missing(np.asarray(y))
        if not known.any():
            raise InputError("All labels are missing (−1), so that there is no accuracy: give rows that have one.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        right = self.predict(X)[known] == np.asarray(y)[known]
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may hand over: NaN is a missing cell."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have no label: −1 among numbers, "-1" among words."""
    if labels.dtype.kind in "OUS":
        return np.array([str(one) == "-1" for one in labels], dtype=bool)
    return np.asarray(labels == -1)


def _refuse_no_labels(y: Any) -> None:
    """Refuse NaN, None and empty words: a row has its class, or −1."""
    labels = np.asarray(y, dtype=object)
    row = next((row for row, label in enumerate(labels) if absent(label)), None) if labels.ndim == 1 else None
    if row is not None:
        held = repr(labels[row]) if isinstance(labels[row], str) else str(labels[row])
        raise InputError(
            f"Input y contains NaN, or a word that says as much: {held} in row {row} (counted from 0); −1 stands for a "
            "row without a label."
        )
