"""Models of columns of any kind, independent or independent within a class: how their settings move."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elbowroom.exact import fit_latent_classes
from elbowroom.numerics import Support

from .candidates import Array, Axis, Family, Fitted, Learned, Setting, sizes

__all__ = ["class_families"]

_MOST_CLASSES = 128
_FLOORS = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5)
_WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_FEW_CELLS, _RESTARTS = 20_000, 3
_PER_STEP = 2e6  # multiplications, what a step costs beside its arithmetic
_LARGE = 10_000_000  # training rows × columns, beyond which fewer settings are tried


def class_families(supports: Sequence[Support], train: Array, seed: int) -> list[Family]:
    """Models of columns that are not all real numbers, or of which cells are missing.

    Parameters
    ----------
    supports : sequence of Support
        Of every column.
    train : array or CSR matrix
        Rows [n, dimensions].
    seed : int
        Of where the fit begins.

    Returns
    -------
    list of Family
        The independence model and the latent class model; the setting of both is (classes, floor, smoothing).
    """
    different = _different(train)
    most = max(min(different // 2, _MOST_CLASSES), 1)
    cells = float(np.prod(train.shape))
    large = cells > _LARGE
    tables = any(one.atoms or one.kind not in ("real", "unit", "counts") for one in supports)
    normals = any(one.continuous for one in supports)
    floors = Axis("floor", _FLOORS if normals and not large else (1e-3,), ("a lower floor would be rounding", None))
    smoothed = Axis("smoothing", _WEIGHTS if tables and not large else (1.0,), ("there is next to none", None))
    several = _RESTARTS if cells <= _FEW_CELLS else 1

    def fit(setting: Setting, learned: Learned) -> Fitted:
        classes, floor, smoothing = setting
        about: dict[str, Any] = {"floor": floor, "smoothing": smoothing, "restarts": several}
        model = fit_latent_classes(learned.rows, supports, classes, seed=seed, **about)
        return Fitted(model.log_prob, (model.between, model.within))

    def words(setting: Setting) -> str:
        return _words(setting, normals=len(floors.values) > 1, tables=len(smoothed.values) > 1)

    def cost(setting: Setting) -> float:
        return 50 * several * (8 * cells * setting[0] + _PER_STEP) / 1e9

    ladder = [k for k in sizes(most) if k > 1] or [1]
    ladder = ladder[::2] if large else ladder
    top = f"no more than {_MOST_CLASSES} classes are tried" if most == _MOST_CLASSES else None
    classes = Axis("classes", ladder, (None, top or "more would leave classes of one row"))
    grouped = tuple((k, 1e-2, 1.0) for k in (2, 6) if k <= ladder[-1]) or ((ladder[0], 1e-2, 1.0),)
    return [
        Family("independence model", (Axis("classes", (1,)), floors, smoothed), ((1, 1e-3, 1.0),), fit, words, cost),
        Family("latent class model", (classes, floors, smoothed), grouped, fit, words, cost),
    ]


def _words(setting: Setting, *, normals: bool, tables: bool) -> str:
    classes, floor, smoothing = setting
    alone = "a table, a normal or a negative binomial per column, as its kind asks"
    said = [alone if classes == 1 else f"{classes} classes"]
    if normals:
        said.append(f"{floor:g} of a column's variance added to it")
    if tables:
        said.append(f"tables smoothed by {smoothing:g} of a row")
    return ", ".join(said)


def _different(train: Array) -> int:
    """How many rows are different."""
    if hasattr(train, "indptr"):
        parts = zip(train.indptr[:-1], train.indptr[1:], strict=True)
        return len({train.indices[a:b].tobytes() + train.data[a:b].tobytes() for a, b in parts})
    return len({row.tobytes() for row in train})
