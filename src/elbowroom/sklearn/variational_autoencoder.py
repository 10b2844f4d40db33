"""The VAE as a scikit-learn estimator: a transformer and a density in one, for pipelines and grid searches."""

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from elbowroom.evidence import iwae
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.objectives import Elbo
from elbowroom.preprocess import mean_of_x
from elbowroom.training import fit as train
from elbowroom.training.adam import CLIP
from elbowroom.vae import VAE

from .settings import seed_from
from .supports import Floats
from .table import TableEstimator

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, TableEstimator):
    """A variational autoencoder of a table [n, features], as a scikit-learn transformer and density estimator.

    `transform` gives latent means, `score_samples` a lower bound on log p(x) in nats. Labels (y) are ignored
    everywhere.

    Parameters
    ----------
    n_components : int, default 2
        Latent dimensions.
    likelihood : str or mapping, default "auto"
        A word for p(x | z), as in `elbowroom.models`; "auto" is a Bernoulli for zeros and ones, a
        family per column where whole numbers, flags or values that occur again and again stand among fractions, else a
        Normal.
    network : sequence of int, default (64, 64)
        Hidden layers of the encoder; the decoder has them in reverse order. () makes both linear.
    scale : {"shared", "feature", "predicted"} or float, default "predicted"
        Of a likelihood that has one: one for all columns, one for each, one that depends on z, or so many standard
        deviations.
    beta : float, default 1.0
        Weight of the KL in training.
    max_epochs : int, default 300
        Passes over the training rows.
    batch_size : int, default 32
        Rows per step.
    learning_rate : float, default 3e-3
        Of the first epoch; the last has a tenth of it. Gradients are clipped to a norm of 10.
    validation_fraction : float, default 0.1
        Share of the rows that is kept apart to choose the epoch; where it is less than one row, the last is kept.
    draws : int, default 64
        Of the importance-weighted bound that is the score.
    random_state : int, RandomState or None, default None
        Of weights, split, shuffling and noise of training.

    Attributes
    ----------
    vae_ : VAE
        The trained model, for `elbowroom.evidence` and the rest.
    history_ : History
        Of its training.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Columns.
    constant_ : array
        [features], the value of each column of real numbers that did not vary, NaN of the others. The model leaves them
        out: all their mass is on that value, and rows with another are refused.

    Notes
    -----
    Everything is computed in float64 and with the same draws for every row, so that a row's numbers depend neither on
    the order nor on the number of rows. Densities of real numbers are taken on standardised columns, whole numbers from
    0 and numbers that were rounded being dequantised; probabilities of counts and levels, and densities on [0, 1], on
    the values as they are. NaN is a missing cell, which is left out of training and scores. What cannot be used raises
    InputError, a ValueError; so do rows that the fitted data exclude, as fractions where whole numbers were fitted, or
    anything but 0 and 1 where these were.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> vae = VariationalAutoencoder(n_components=1, max_epochs=5, random_state=0).fit(x)
    >>> vae.transform(x).shape, vae.score_samples(x).shape, vae.sample(4).shape
    ((60, 1), (60,), (4, 3))
    """

    def __init__(
        self,
        n_components: Any = 2,
        *,
        likelihood: Any = "auto",
        network: Any = (64, 64),
        scale: Any = "predicted",
        beta: Any = 1.0,
        max_epochs: Any = 300,
        batch_size: Any = 32,
        learning_rate: Any = 3e-3,
        validation_fraction: Any = 0.1,
        draws: Any = 64,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.network = network
        self.scale = scale
        self.beta = beta
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.draws = draws
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VariationalAutoencoder":
        """Train on rows.

        Parameters
        ----------
        X : array
            [n, features], n ≥ 2.
        y : Any, default None
            Ignored: the model reads no labels.

        Returns
        -------
        VariationalAutoencoder
            Itself.
        """
        asked = self._numbers()
        x = self._read(X, ensure_min_samples=2)
        seed = seed_from(self.random_state)
        data, self.vae_ = self._data_and_model(x, seed)
        chosen = "objective" if data.validation is not data.train else "last"
        self.history_ = train(
            self.vae_,
            data,
            Elbo(asked["beta"]),
            epochs=asked["max_epochs"],
            batch_size=asked["batch_size"],
            lr=asked["learning_rate"],
            lr_final=asked["learning_rate"] / 10,
            clip=CLIP,
            select=chosen,  # type: ignore[arg-type]
            seed=seed,
            progress=False,
        )
        self.n_iter_ = len(self.history_.rows)
        return self

    def transform(self, X: Any) -> Floats:
        """Means of q(z | x), [n, n_components]."""
        means = self._trained_vae().encode(self._batch(X))["z"]
        return means.numpy()

    def inverse_transform(self, X: Any) -> Floats:
        """Means of p(x | z) for z = X [n, n_components], on the scale of the data, [n, features].

        A mean may lie between the values that x takes: of whole numbers, or of −1 and 1.
        """
        vae = self._trained_vae()
        z = torch.tensor(check_array(X, dtype=np.float64, order="C"))
        if z.shape[1] != vae.latents:
            raise InputError(f"inverse_transform takes {vae.latents} columns, one per component; got {z.shape[1]}.")
        with torch.no_grad():
            return self._with_constants(mean_of_x(vae.preprocess, vae.likelihood({"z": z[None]}))[0])

    def score_samples(self, X: Any) -> Floats:
        """The importance-weighted lower bound on log p(x) of each row on the scale of the data, [n], nats."""
        return iwae(self._trained_vae(), self._batch(X), draws=self._numbers()["draws"]).values

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, nats per row.

        Parameters
        ----------
        X : array
            [n, features].
        y : Any, default None
            Ignored.

        Returns
        -------
        float
            A lower bound on the mean log p(x).
        """
        return float(self.score_samples(X).mean())

    @plain_arguments
    def sample(self, n_samples: int = 1, random_state: Any = None) -> Floats:
        """Draw x from p(x), and not the means of p(x | z).

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        random_state : int, RandomState or None, default None
            Of z and of x.

        Returns
        -------
        array
            [n_samples, features], on the scale of the data.
        """
        return self._with_constants(self._trained_vae().sample(n_samples, seed=seed_from(random_state)))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may hand over: NaN is a missing cell."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @property
    def _n_features_out(self) -> int:
        return self._trained_vae().latents

    def _trained_vae(self) -> VAE:
        check_is_fitted(self)
        return self.vae_
