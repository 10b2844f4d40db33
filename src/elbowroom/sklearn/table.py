"""What estimators of a table have in common: its rows read and checked, and a model of its columns."""

import inspect
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.data.by_columns import by_columns
from elbowroom.data.choices import fill_for
from elbowroom.data.values import Dense
from elbowroom.models import build
from elbowroom.models.words import classes_of, split, takes
from elbowroom.numerics import Batch, InputError, Support, infer_support
from elbowroom.preprocess import Preprocess
from elbowroom.vae import VAE
from elbowroom.vae.outside import refuse_outside

from .settings import checked_numbers
from .supports import Floats, constants, maps, support_by_column

__all__ = ["LABEL", "TableEstimator", "with_each_class_last"]

LABEL = "label"  # the block of classes


class TableEstimator(BaseEstimator):
    """An estimator whose model is of the columns of a table; what it is told is asked of the subclass."""

    vae_: VAE
    constant_: Floats
    fill_: Any
    likelihood: Any
    scale: Any
    validation_fraction: Any

    def _batch(self, X: Any, *, scored: bool = True) -> Batch:
        """Rows under one index, which keys the noise: so they share their draws; `scored` ones have a density."""
        check_is_fitted(self)
        x = self._read(X, reset=False)
        x = self._without_constants(x) if scored else x[:, self._varying()]
        index = torch.zeros(len(x), dtype=torch.int64)
        batch = Batch(x, index)
        if bool(x.isnan().any()):
            filled = torch.where(x.isnan(), self.fill_, x)
            batch = Batch(filled, index, seen=~x.isnan())
        if scored:
            refuse_outside(self.vae_, batch, columns=[self._column(place) for place in self._varying()])
        return batch

    def _read(self, X: Any, **options: Any) -> Tensor:
        """The rows in 64 bits, whatever their layout; sparse and infinite cells are refused."""
        return self._finite(self._validated(X, **options))

    def _validated(self, X: Any, **options: Any) -> Any:
        """The rows, and the labels where `options` hold some, as scikit-learn hands them on."""
        if issparse(X):
            raise InputError(
                "X is sparse, and this estimator takes dense rows: give X.toarray(), or take elbowroom.load_data and "
                "elbowroom.fit, which make a batch dense at a time."
            )
        if isinstance(X, np.ma.MaskedArray):
            X = np.ma.filled(X.astype(np.float64), np.nan)
        try:
            return validate_data(self, X, dtype=np.float64, order="C", ensure_all_finite=False, **options)
        except ValueError as error:
            if "could not convert" not in str(error):  # scikit-learn's own words for shapes and names of columns
                raise
            raise InputError(
                f"X holds words ({error}), and this estimator takes numbers: encode them, as "
                f"sklearn.preprocessing.OneHotEncoder does, or take elbowroom.load_data, which reads words as classes."
            ) from error

    def _finite(self, values: Floats) -> Tensor:
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
        names = inspect.signature(checked_numbers).parameters
        return checked_numbers(**{name: getattr(self, name) for name in names if hasattr(self, name)})

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

    def _data_and_model(self, x: Tensor, seed: int, codes: Tensor | None = None) -> tuple[Dataset, VAE]:
        """The rows mapped to where the likelihood is a density, and the model of them in float64."""
        asked = self._numbers()
        # Beyond 2^53 every float is whole, which says nothing of the data.
        support = infer_support(x.numpy()) if float(x.nan_to_num().max()) < 2**53 else Support("real")
        self.constant_ = constants(x, support)
        x = x[:, self._varying()]
        word, known = self.likelihood, {} if codes is None else {"classes": LABEL}
        if word == "auto" and support.kind in ("unit", "real") and (columns := support_by_column(x, support)):
            data = self._data(x, columns, by_columns(columns, Dense(x), seed), seed, codes)
            words = known | {"latents": asked["n_components"], "widths": asked["network"], "seed": seed}
            return data, build(words | self._likelihood_of(data), data).double()
        if word == "auto":
            word = "bernoulli" if support.kind == "binary" else "normal"
        kind, options = split("likelihood", word)
        if "scale" in takes(classes_of("likelihood")[kind]):
            options = {"scale": self.scale, **options}
        words = known | {"latents": asked["n_components"], "widths": asked["network"]}
        words["likelihood"] = {"kind": kind, **options}
        refused = []
        for mapped in maps(x, support, seed):
            data = self._data(x, *mapped, seed, codes)
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

    def _data(self, x: Tensor, support: Support, preprocess: Preprocess, seed: int, codes: Tensor | None) -> Dataset:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
        order, observed = (order, None) if codes is None else with_each_class_last(order, codes)
        apart = int(float(self.validation_fraction) * len(x))
        self.fill_ = fill_for(preprocess, tuple(x.shape[1:]))
        fill = self.fill_ if bool(x.isnan().any()) else None
        parts = [
            Examples(x[rows], rows, fill=fill, observed=observed and {LABEL: (observed[0][rows], observed[1][rows])})
            for rows in (order[apart:], order[:apart])
        ]
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
            beside_classes={} if observed is None else {LABEL: [str(i) for i in range(observed[0].shape[1])]},
        )


def with_each_class_last(order: Tensor, codes: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The order of the rows with a labelled one of each class at the end, where training is; and the block of classes.

    Parameters
    ----------
    order : Tensor
        [n], the rows.
    codes : Tensor
        [n], the class of each row, −1 where it is not known.

    Returns
    -------
    order : Tensor
        [n].
    block : (Tensor, Tensor)
        One-hot classes [n, classes], and which are known [n].
    """
    known = codes >= 0
    value = torch.nn.functional.one_hot(codes.clamp_min(0)).double() * known.unsqueeze(1)
    last = torch.stack([order[codes[order] == code][-1] for code in range(value.shape[1])])
    return torch.cat([order[~torch.isin(order, last)], last]), (value, known)
