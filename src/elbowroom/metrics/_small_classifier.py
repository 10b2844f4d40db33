"""A small convolutional classifier: features to compare images by."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from elbowroom.networks import ConvNet
from elbowroom.numerics import InputError, as_tensor, own_modes, plain_arguments
from elbowroom.numerics.seeded import seeded
from elbowroom.progress import Progress

from .arrays import Array, as_images

__all__ = ["SmallClassifier", "small_classifier", "train_small"]

_FEATURES = 64
_BATCH = 128
_ROWS_AT_ONCE = 1_000
_KEPT_BACK = 0.1


class SmallClassifier:
    """A trained network of two strided convolutions (16 and 32 channels), 64 features and a linear layer.

    It takes images on the scale it was trained on. Made by `small_classifier`.

    Parameters
    ----------
    image : tuple of int
        (C, H, W).
    classes : int
        How many.
    centre : float
        Mean of the training images, which is subtracted.
    deviation : float
        Their standard deviation, which is divided by.
    """

    def __init__(self, image: tuple[int, ...], classes: int, centre: float, deviation: float) -> None:
        self.image, self.centre, self.deviation = image, centre, deviation
        self.body = ConvNet(image, _FEATURES, channels=(16, 32), output="silu")
        self.head = nn.Linear(_FEATURES, classes)
        self.network = nn.Sequential(self.body, self.head)

    def features(self, x: Array) -> Tensor:
        """Images [n, *event] → the last hidden layer [n, 64]."""
        return self._through(self.body, x)

    def log_probabilities(self, x: Array) -> Tensor:
        """Images [n, *event] → log p(class | x), [n, classes], nats."""
        return self._through(self.network, x).double().log_softmax(1)

    def classes(self, x: Array) -> Tensor:
        """Images [n, *event] → the likeliest class, [n] int64."""
        return self._through(self.network, x).argmax(1)

    def prepared(self, x: Array) -> Tensor:
        """Images → [n, C, H, W] float32 with the training images' mean and standard deviation taken out."""
        return ((as_images(x, "images", self.image) - self.centre) / self.deviation).float()

    @torch.no_grad()
    def _through(self, network: nn.Module, x: Array) -> Tensor:
        return torch.cat([network(part) for part in self.prepared(x).split(_ROWS_AT_ONCE)])


@own_modes
@plain_arguments
def small_classifier(
    x: Array, labels: Array, *, image_shape: Sequence[int] | None = None, epochs: int = 4, seed: int = 0
) -> SmallClassifier:
    """Train a small convolutional classifier on images.

    A tenth of the images, which is not trained on, chooses the epoch, by its cross-entropy.

    Parameters
    ----------
    x : array or Tensor
        Images [n, H, W] or [n, C, H, W], or rows with `image_shape`.
    labels : array or Tensor
        Class codes 0 … classes − 1, [n].
    image_shape : sequence of int, optional
        (H, W) or (C, H, W), where images are given as rows.
    epochs : int, default 4
        Passes over the images.
    seed : int, default 0
        Of the split, the weights and the shuffling.

    Returns
    -------
    SmallClassifier
        At the epoch kept.

    Raises
    ------
    InputError
        For what are no images, and for labels that do not fit.

    Examples
    --------
    >>> images = torch.zeros(200, 6, 6)
    >>> images[100:, :3] = 1.0
    >>> classifier = small_classifier(images, torch.arange(200) // 100, epochs=20)
    >>> classifier.classes(images[[0, 150]]).tolist()
    [0, 1]
    """
    images, codes = as_images(x, "images", image_shape), as_tensor(labels, "labels").cpu()
    if codes.shape != (len(images),) or codes.is_floating_point() or int(codes.min()) < 0:
        raise InputError(f"The labels must be one whole number from 0 on for each of the {len(images):,} images.")
    if epochs < 1 or len(images) < 2:
        raise InputError(f"A small classifier needs an epoch and 2 images or more; got {epochs} and {len(images):,}.")
    order = torch.randperm(len(images), generator=Generator().manual_seed(seed))
    kept, fitted = order.tensor_split([max(1, int(_KEPT_BACK * len(images)))])
    return train_small(images[fitted], codes[fitted], images[kept], codes[kept], epochs=epochs, seed=seed)


def train_small(
    images: Tensor, labels: Tensor, kept_images: Tensor, kept_labels: Tensor, *, epochs: int = 4, seed: int = 0
) -> SmallClassifier:
    """Train a small classifier, and keep the epoch with the lowest cross-entropy on the images kept apart.

    Parameters
    ----------
    images : Tensor
        [n, C, H, W].
    labels : Tensor
        Class codes, [n].
    kept_images : Tensor
        [m, C, H, W], not trained on.
    kept_labels : Tensor
        Class codes, [m].
    epochs : int, default 4
        Passes over the images.
    seed : int, default 0
        Of the weights and the shuffling.

    Returns
    -------
    SmallClassifier
        At the epoch kept.
    """
    centre, deviation = float(images.mean()), float(images.std())
    classes = int(torch.cat([labels, kept_labels]).max()) + 1
    generator = Generator().manual_seed(seed)
    with seeded(seed):
        model = SmallClassifier(tuple(images.shape[1:]), classes, centre, deviation or 1.0)
    steps = epochs * -(-len(images) // _BATCH)
    optimiser = torch.optim.Adam(model.network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    inputs, targets, best, state = model.prepared(images), labels.long(), float("inf"), {}
    with Progress("training the small classifier", epochs) as progress:
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs), generator=generator).split(_BATCH):
                optimiser.zero_grad()
                cross_entropy(model.network(inputs[rows]), targets[rows]).backward()
                optimiser.step()
                schedule.step()
            loss = -float(model.log_probabilities(kept_images).gather(1, kept_labels.long()[:, None]).mean())
            if loss < best:
                best, state = loss, deepcopy(model.network.state_dict())
            progress.advance(cross_entropy=loss)
    model.network.load_state_dict(state)
    return model
