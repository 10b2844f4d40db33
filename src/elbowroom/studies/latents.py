"""What the latents of the chosen model do on test, and what their neighbours tell."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom import networks
from elbowroom.data import Dataset, Examples
from elbowroom.metrics import ACTIVE, neighbour_accuracy
from elbowroom.models._build import class_counts
from elbowroom.numerics import Batch, in_parts
from elbowroom.records import LatentRecord, NeighbourRecord
from elbowroom.vae import VAE

from .cells import axes_of, use_of
from .pictures import within_cells

__all__ = ["comparable", "latent_record"]

_VOTES, _MOST = 5, 10_000  # neighbours, and training examples they are looked for among


def latent_record(vae: VAE, data: Dataset) -> LatentRecord:
    """What each latent unit does over the test examples.

    Parameters
    ----------
    vae : VAE
        The chosen model.
    data : Dataset
        Of the study.

    Returns
    -------
    LatentRecord
        A part of the record of `measure`.
    """
    use, size = use_of(vae, data.test)
    return LatentRecord(
        kl=None if use.kl is None else tuple(use.kl.tolist()),
        active=tuple(use.active.tolist()),
        threshold=ACTIVE,
        n=len(data.test),
        axes=axes_of(vae, data),
        neighbours=_neighbours(vae, data, use.means),
        size=size,
    )


def _neighbours(vae: VAE, data: Dataset, test_codes: Any) -> NeighbourRecord | None:
    train, test = data.train[: within_cells(_MOST, data)], data.test
    if train.labels is None or test.labels is None:
        return None
    labels, truth = train.labels.numpy(), test.labels.numpy()
    raw, raw_test = (comparable(data, part) for part in (train, test))
    return NeighbourRecord(
        z=neighbour_accuracy(use_of(vae, train)[0].means, labels, test_codes, truth, k=_VOTES),
        x=neighbour_accuracy(raw, labels, raw_test, truth, k=_VOTES),
        k=_VOTES,
        n=len(test),
    )


def comparable(data: Dataset, examples: Examples) -> Any:
    """Rows for distances: the raw ones; of columns of different kinds, and of classes, what an encoder reads.

    Parameters
    ----------
    data : Dataset
        Whose training examples say how columns are scaled.
    examples : Examples
        Of these data.

    Returns
    -------
    array
        [n, numbers]; rows that differ in m columns of classes alone are √(2m) apart. A missing cell is at the mean of
        its column, or of no class.
    """
    if data.train.fill is None and data.support.kind not in ("mixed", "categorical"):
        return torch.cat([part.x.flatten(1) for part in in_parts(examples)]).numpy()
    classes = class_counts(data.support, math.prod(data.event))
    known = data.train[: within_cells(len(data.train), data)].batch()
    train, x = (_comparable_cells(part, known, classes) for part in (known, examples.batch()))
    if data.support.kind not in ("mixed", "categorical"):
        return x.flatten(1).numpy()
    scaler = networks.Standardised(nn.Identity(), event=data.event, classes=classes)
    scaler.settle(train)
    return scaler(x).numpy()


def _comparable_cells(batch: Batch, train: Batch, classes: list[int]) -> Tensor:
    """x with the training mean in a missing cell of numbers, and no class (−1) in one of classes."""
    if batch.seen is None or train.seen is None:
        return batch.x
    mean = torch.where(train.seen, train.x.double(), 0.0).sum(0) / train.seen.sum(0).clamp_min(1)
    none = torch.tensor(classes).view(mean.shape) > 0
    return torch.where(batch.seen, batch.x, torch.where(none, -1.0, mean).to(batch.x))
