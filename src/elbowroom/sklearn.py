"""The VAE as a scikit-learn estimator: a transformer and a density in one, for pipelines and grid searches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import known_mean
from elbowroom.evidence import iwae
from elbowroom.models import build
from elbowroom.models.words import classes_of, split, takes
from elbowroom.numerics import Batch, InputError, Support, infer_support
from elbowroom.objectives import Elbo
from elbowroom.preprocess import Chain, Dequantise, Identity, Preprocess, Standardise
from elbowroom.training import fit as train
from elbowroom.vae import VAE

__all__ = ["VariationalAutoencoder"]

Floats = NDArray[np.float64]


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A variational autoencoder of a table [n, features], as a scikit-learn transformer and density estimator.

    `transform` gives latent means, `score_samples` a lower bound on log p(x) in nats. Labels (y) are ignored
    everywhere.

    Parameters
    ----------
    n_components : int, default 2
        Latent dimensions.
    likelihood : str or mapping, default "auto"
        A word for p(x | z), as in `elbowroom.models`; "auto" is a Bernoulli for zeros and ones, else a Normal.
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
        Of the first epoch; the last has a tenth of it.
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

    Notes
    -----
    Everything is computed in float64 and with the same draws for every row, so that a row's numbers depend neither on
    the order nor on the number of rows. Densities of real numbers are taken on standardised columns, whole numbers from
    0 being dequantised; probabilities of counts and levels, and densities on [0, 1], on the values as they are. What
    cannot be used raises InputError, a ValueError.

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
        x = torch.tensor(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        data, self.vae_ = self._data_and_model(x, seed)
        chosen = "objective" if data.validation is not data.train else "last"
        self.history_ = train(
            self.vae_,
            data,
            Elbo(self.beta),
            epochs=self.max_epochs,
            batch_size=self.batch_size,
            lr=self.learning_rate,
            lr_final=self.learning_rate / 10,
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
        """Means of p(x | z) for z = X [n, n_components], on the scale of the data, [n, features]."""
        vae = self._trained_vae()
        z = torch.tensor(check_array(X, dtype=np.float64))
        if z.shape[1] != vae.latents:
            raise InputError(f"inverse_transform takes {vae.latents} columns, one per component; got {z.shape[1]}.")
        with torch.no_grad():
            return vae.preprocess.inverse(known_mean(vae.likelihood({"z": z[None]}))[0]).numpy()

    def score_samples(self, X: Any) -> Floats:
        """The importance-weighted lower bound on log p(x) of each row on the scale of the data, [n], nats."""
        return iwae(self._trained_vae(), self._batch(X), draws=self.draws).values

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
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return self._trained_vae().sample(n_samples, seed=seed).double().numpy()

    @property
    def _n_features_out(self) -> int:
        return self._trained_vae().latents

    def _trained_vae(self) -> VAE:
        check_is_fitted(self)
        return self.vae_

    def _batch(self, X: Any) -> Batch:
        """All rows under one index, which keys the noise: so they share their draws."""
        check_is_fitted(self)
        x = torch.tensor(validate_data(self, X, reset=False, dtype=np.float64))
        return Batch(x, torch.zeros(len(x), dtype=torch.int64))

    def _data_and_model(self, x: Tensor, seed: int) -> tuple[Dataset, VAE]:
        """The rows mapped to where the likelihood is a density, and the model of them in float64."""
        if not 0 <= self.validation_fraction < 1:
            raise InputError(f"validation_fraction is from 0 to below 1; got {self.validation_fraction}.")
        support = infer_support(x.numpy())
        word = self.likelihood
        if word == "auto":
            word = "bernoulli" if support.kind == "binary" else "normal"
        kind, options = split("likelihood", word)
        if "scale" in takes(classes_of("likelihood")[kind]):
            options = {"scale": self.scale, **options}
        words = {"latents": self.n_components, "widths": list(self.network), "likelihood": {"kind": kind, **options}}
        refused = []
        for mapped in _maps(x, support, seed):
            data = self._data(x, *mapped, seed)
            try:
                return data, build({**words, "seed": seed}, data).double()
            except InputError as error:
                refused.append(error)
        raise refused[0]

    def _data(self, x: Tensor, support: Support, preprocess: Preprocess, seed: int) -> Dataset:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
        apart = int(self.validation_fraction * len(x))
        parts = [Examples(x[rows], rows) for rows in (order[apart:], order[:apart])]
        return Dataset(
            name="X",
            train=parts[0],
            validation=parts[1] if apart else parts[0],
            test=Examples(x[:0], order[:0]),
            support=support,
            preprocess=preprocess,
            event=(x.shape[1],),
            image_shape=None,
            columns=None,
            label_names=None,
            source="fit",
            sha256="",
            split_seed=seed,
        )


def _maps(x: Tensor, support: Support, seed: int) -> Iterator[tuple[Support, Preprocess]]:
    """Supports and maps for likelihoods of real numbers, of the values as they are, and of [0, 1], in this order.

    On whole numbers a density means nothing until they are dequantised.
    """
    columns = (x.shape[1],)
    standardise = Standardise(columns).double()
    if support.kind in ("unit", "real"):
        yield support, standardise.fit(x)
        yield support, Identity()
        return
    levels = max(int(x.max()) + 1, 2)
    grid, dequantise = Support("grid", levels), Dequantise(levels, columns)
    uniforms = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    yield grid, Chain([dequantise, standardise.fit(dequantise(x, uniforms)[0])])
    yield support, Identity()
    yield grid, dequantise
