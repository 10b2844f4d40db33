"""What a pass gives the optimizer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from elbowroom.vae.terms import Terms

__all__ = ["Loss"]


@dataclass
class Loss:
    """What an objective returns for one batch.

    Parameters
    ----------
    total : Tensor
        The number that is minimised, a scalar, in nats per example.
    terms : Terms or None, default None
        The terms of the objective's own pass over the batch, from which rate and distortion are logged. None costs
        another pass.
    logged : Mapping[str, Tensor], default {}
        Batch means to be logged beside "objective", "rate" and "distortion": scalars under names of their own.
    moved : Mapping[str, Tensor], default {}
        New values of the objective's own buffers, by name; they are written after the update.

    Examples
    --------
    >>> import torch
    >>> Loss(torch.tensor(3.0), logged={"beta": torch.tensor(1.0)}).logged
    {'beta': tensor(1.)}
    """

    total: Tensor
    terms: Terms | None = None
    logged: Mapping[str, Tensor] = field(default_factory=dict)
    moved: Mapping[str, Tensor] = field(default_factory=dict)
