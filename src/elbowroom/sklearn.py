"""The VAE as a scikit-learn estimator: a transformer and a density in one, for pipelines and grid searches."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.data.by_columns import by_columns
from elbowroom.data.choices import fill_for
from elbowroom.data.columns import column_support, recorded_step
from elbowroom.data.values import Dense
from elbowroom.distributions import known_mean
from elbowroom.evidence import iwae
from elbowroom.models import build
from elbowroom.models.words import classes_of, split, takes
from elbowroom.numerics import Batch, InputError, Support, infer_support, plain_arguments
from elbowroom.objectives import Elbo
from elbowroom.preprocess import Chain, Dequantise, Identity, Preprocess, Standardise
from elbowroom.training import fit as train
from elbowroom.vae import VAE
from elbowroom.vae.outside import refuse_outside

__all__ = ["VariationalAutoencoder"]

Floats = NDArray[np.float64]

_MOST_UNEVEN = 20  # values of a column that are levels although they lie on no even grid


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
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
        seed = _seed_from(self.random_state)
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
        z = torch.tensor(check_array(X, dtype=np.float64, order="C"))
        if z.shape[1] != vae.latents:
            raise InputError(f"inverse_transform takes {vae.latents} columns, one per component; got {z.shape[1]}.")
        with torch.no_grad():
            return self._with_constants(vae.preprocess.inverse(known_mean(vae.likelihood({"z": z[None]}))[0]))

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
        return self._with_constants(self._trained_vae().sample(n_samples, seed=_seed_from(random_state)))

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

    def _batch(self, X: Any) -> Batch:
        """Rows that can be scored, under one index, which keys the noise: so they share their draws."""
        check_is_fitted(self)
        x = self._without_constants(self._read(X, reset=False))
        index = torch.zeros(len(x), dtype=torch.int64)
        batch = Batch(x, index)
        if bool(x.isnan().any()):
            filled = torch.where(x.isnan(), self.fill_, x)
            batch = Batch(filled, index, seen=~x.isnan())
        refuse_outside(self.vae_, batch, columns=[self._column(place) for place in self._varying()])
        return batch

    def _read(self, X: Any, **options: Any) -> Tensor:
        """The rows in 64 bits, whatever their layout; sparse and infinite cells are refused."""
        if issparse(X):
            raise InputError(
                "X is sparse, and this estimator takes dense rows: give X.toarray(), or take elbowroom.load_data and "
                "elbowroom.fit, which make a batch dense at a time."
            )
        if isinstance(X, np.ma.MaskedArray):
            X = np.ma.filled(X.astype(np.float64), np.nan)
        try:
            values = validate_data(self, X, dtype=np.float64, order="C", ensure_all_finite=False, **options)
        except ValueError as error:
            if "could not convert" not in str(error):  # scikit-learn's own words for shapes and names of columns
                raise
            raise InputError(
                f"X holds words ({error}), and this estimator takes numbers: encode them, as "
                f"sklearn.preprocessing.OneHotEncoder does, or take elbowroom.load_data, which reads words as classes."
            ) from error
        bad = np.isinf(values)
        if bad.any():
            row, place = (int(at) for at in np.argwhere(bad)[0])
            raise InputError(
                f"{int(bad.sum()):,} cells of X are infinite, the first in row {row}, {self._column(place)} (counted "
                f"from 0): leave such rows out, or make them NaN, which is a missing cell."
            )
        return torch.tensor(values)

    def _numbers(self) -> dict[str, Any]:
        """The hyperparameters that are numbers, as Python's own."""
        names = inspect.signature(_checked_numbers).parameters
        return _checked_numbers(**{name: getattr(self, name) for name in names})

    def _column(self, place: int) -> str:
        """A column by its name, where there is one."""
        names = getattr(self, "feature_names_in_", None)
        return f"column {place}" if names is None else f"column {names[place]!r}"

    def _varying(self) -> list[int]:
        """Columns that the model is of."""
        return [int(place) for place in np.flatnonzero(np.isnan(self.constant_))]

    def _without_constants(self, x: Tensor) -> Tensor:
        """The columns that the model is of; the others must hold what they always held."""
        held = torch.from_numpy(self.constant_)
        other = (
            ~held.isnan() & ~x.isnan() & (x != held) & (x.float() != held.float())
        )  # rounded to 32 bits it is the same value
        if bool(other.any()):
            row, place = (int(at) for at in other.nonzero()[0])
            raise InputError(
                f"{int(other.any(1).sum()):,} of {len(x):,} rows hold another value in a column that was constant when "
                f"the model was fitted, where all mass is on that value: row {row} is the first, its "
                f"{self._column(place)} holds {x[row, place].item():g} instead of {held[place].item():g} (counted from "
                f"0); leave them out, or fit a model to data in which the column varies."
            )
        return x[:, self._varying()]

    def _with_constants(self, x: Tensor) -> Floats:
        """Rows of all columns again, in 64 bits."""
        whole: Floats = np.tile(self.constant_, (len(x), 1))
        whole[:, self._varying()] = x.double().numpy()
        return whole

    def _data_and_model(self, x: Tensor, seed: int) -> tuple[Dataset, VAE]:
        """The rows mapped to where the likelihood is a density, and the model of them in float64."""
        asked = self._numbers()
        # Beyond 2^53 every float is whole, which says nothing of the data.
        support = infer_support(x.numpy()) if float(x.nan_to_num().max()) < 2**53 else Support("real")
        self.constant_ = _constants(x, support)
        x = x[:, self._varying()]
        word = self.likelihood
        if word == "auto" and support.kind in ("unit", "real") and (columns := _by_column(x, support)):
            data = self._data(x, columns, by_columns(columns, Dense(x), seed), seed)
            words = {"latents": asked["n_components"], "widths": asked["network"], "seed": seed}
            return data, build(words | self._likelihood_of(data), data).double()
        if word == "auto":
            word = "bernoulli" if support.kind == "binary" else "normal"
        kind, options = split("likelihood", word)
        if "scale" in takes(classes_of("likelihood")[kind]):
            options = {"scale": self.scale, **options}
        words = {"latents": asked["n_components"], "widths": asked["network"], "likelihood": {"kind": kind, **options}}
        refused = []
        for mapped in _maps(x, support, seed):
            data = self._data(x, *mapped, seed)
            try:
                return data, build({**words, "seed": seed}, data).double()
            except InputError as error:
                refused.append(error)
        raise refused[0]

    def _likelihood_of(self, data: Dataset) -> dict[str, Any]:
        """The words for a table whose columns are of different kinds, were rounded or have atoms."""
        support = data.preprocess.support(data.support)
        if support.atoms:
            return {"likelihood": {"kind": "normal-with-atoms", "atoms": list(support.atoms), "scale": self.scale}}
        if support.kind in ("unit", "real"):
            return {"likelihood": {"kind": "normal", "scale": self.scale}}
        if self.scale != "predicted":
            raise InputError(
                f"scale={self.scale!r} is of one Normal over all columns, and these are no continuous numbers, or not "
                f"all of them: leave it out, or name a likelihood."
            )
        return {}

    def _data(self, x: Tensor, support: Support, preprocess: Preprocess, seed: int) -> Dataset:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
        apart = int(float(self.validation_fraction) * len(x))
        self.fill_ = fill_for(preprocess, tuple(x.shape[1:]))
        fill = self.fill_ if bool(x.isnan().any()) else None
        parts = [Examples(x[rows], rows, fill=fill) for rows in (order[apart:], order[:apart])]
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


@plain_arguments
def _checked_numbers(
    *,
    n_components: int,
    network: Sequence[int],
    beta: float,
    max_epochs: int,
    batch_size: int,
    learning_rate: float,
    validation_fraction: float,
    draws: int,
) -> dict[str, Any]:
    """The hyperparameters by name; what they mean is checked where they are used, but for their least values."""
    given = dict(locals())
    for name in ("n_components", "max_epochs", "batch_size", "draws"):
        if given[name] < 1:
            raise InputError(f"{name} must be 1 or more; got {given[name]}.")
    if learning_rate <= 0:
        raise InputError(f"learning_rate must be a positive number; got {learning_rate}.")
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction is from 0 to below 1; got {validation_fraction}.")
    return given


def _seed_from(random_state: Any) -> int:
    """A seed from whatever scikit-learn takes for a random state."""
    wrong = isinstance(random_state, bool | np.bool_)
    with contextlib.suppress(ValueError, TypeError):
        if not wrong:
            return int(check_random_state(random_state).randint(2**31 - 1))
    raise InputError(
        f"random_state must be a whole number from 0 to 2^32 − 1, a RandomState or None; got {random_state!r}."
    )


def _constants(x: Tensor, support: Support) -> Floats:
    """The value of each column that never changes, NaN of those that do: a density on one value has no end.

    Whole numbers from 0 have masses, which a constant column bounds by 1, so they are all kept.
    """
    low, high = torch.where(x.isnan(), torch.inf, x).amin(0), torch.where(x.isnan(), -torch.inf, x).amax(0)
    if bool((low > high).any()):
        raise InputError("A column of X has no value at all: leave it out.")
    same = (low == high) if support.kind in ("unit", "real") else torch.zeros(x.shape[1], dtype=torch.bool)
    if bool(same.all()):
        raise InputError("Every column of X is constant, so there is nothing to model: give columns that vary.")
    return torch.where(same, low, torch.nan).numpy()


def _by_column(x: Tensor, support: Support) -> Support | None:
    """The support of a table with columns of other kinds among its fractions; None where all are continuous.

    Levels on an even grid are rounded numbers here: the next fold may hold levels that this one lacks.
    """
    found = [column_support(column)[0] or Support("real") for column in x.numpy().T]
    plain = [Support("real") if one.kind == "unit" else _between_levels(one) for one in found]
    return None if all(one == Support("real") for one in plain) else Support.of_columns(plain)


def _between_levels(support: Support) -> Support:
    if support.kind != "grid":
        return support
    step = recorded_step(np.array(support.values)) if support.values else 1.0
    if step is not None:
        return Support("real", step=step)
    return support if len(support.values) <= _MOST_UNEVEN else Support("real")


def _maps(x: Tensor, support: Support, seed: int) -> Iterator[tuple[Support, Preprocess]]:
    """Supports and maps for likelihoods of real numbers, of the values as they are, and of [0, 1], in this order.

    On whole numbers a density means nothing until they are dequantised. On the line it has mass above the greatest too,
    which another fold may hold.
    """
    columns = (x.shape[1],)
    standardise = Standardise(columns).double()
    if support.kind in ("unit", "real"):
        yield support, standardise.fit(x)
        yield support, Identity()
        return
    levels = max(int(x.max()) + 1, 2)
    grid, dequantise = Support("grid", levels), Dequantise(levels, columns, higher=True)
    uniforms = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    yield grid, Chain([dequantise, standardise.fit(dequantise(x, uniforms)[0])])
    yield support, Identity()
    yield grid, Dequantise(levels, columns)
