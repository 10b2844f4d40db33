"""What scikit-learn's users say of an estimator, checked."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from elbowroom.numerics import InputError, plain_arguments

__all__ = ["checked_numbers", "seed_from"]


@plain_arguments
def checked_numbers(
    *,
    n_components: int,
    network: Sequence[int],
    max_epochs: int,
    batch_size: int,
    learning_rate: float,
    validation_fraction: float,
    beta: float = 1.0,
    weight: float = 0.0,
    draws: int = 1,
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


def seed_from(random_state: Any) -> int:
    """A seed from whatever scikit-learn takes for a random state."""
    wrong = isinstance(random_state, bool | np.bool_)
    with contextlib.suppress(ValueError, TypeError):
        if not wrong:
            return int(check_random_state(random_state).randint(2**31 - 1))
    raise InputError(
        f"random_state must be a whole number from 0 to 2^32 − 1, a RandomState or None; got {random_state!r}."
    )
