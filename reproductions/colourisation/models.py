"""Models of colour given grey: a grid of classes between, and decoders with and without neighbours."""

from dataclasses import dataclass
from typing import Any

import torch
from colours import LEVELS
from torch import Tensor, nn

import elbowroom as er

GRID, CLASSES = 8, 8
CHANNELS, RADIUS, HIDDEN = 24, 2, 16
START = 0.05  # of the scale of a logistic, in the range of the levels

DECODERS = ("weak", "strong")
"""Pixels that are independent given the segment and grey; the same, with neighbours' colours beside them."""


class Features(nn.Module):
    """What is seen around every pixel, [n, channels, H, W]: 13 pixels across."""

    def __init__(self, inputs: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, stride=stride, padding=1),
            nn.SiLU(),
        )

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.body(image)
        return out


class Colours(nn.Module):
    """The numbers of every chroma value, of which the class of its cell picks one set.

    `blind`: all classes have the same, so that there is no segmentation.
    """

    def __init__(self, classes: int, parts: int, side: int, *, blind: bool = False, channels: int = CHANNELS) -> None:
        super().__init__()
        self.classes, self.shape = classes, (parts, 2, side, side)
        self.sets = 1 if blind else classes
        self.features = Features(1, channels)
        self.head = nn.Conv2d(channels, self.sets * parts * 2, 1)
        with torch.no_grad():  # locations are on [0, 1], and no colour is in the middle
            self.head.bias.view(self.sets, parts, 2)[:, 0] = 0.5

    def of_classes(self, grey: Tensor) -> Tensor:
        """[n, classes, parts, 2, H, W]."""
        out = self.head(self.features(2 * grey - 1)).unflatten(1, (self.sets, self.shape[0] * 2))
        return out.expand(-1, self.classes, -1, -1, -1).unflatten(2, self.shape[:2])

    def forward(self, z: Tensor, grey: Tensor) -> Tensor:
        """[n, parts · 2, H, W], by z [n, cells, cells, classes]."""
        chosen = z.movedim(-1, 1).repeat_interleave(self.shape[2] // z.shape[1], 2)
        chosen = chosen.repeat_interleave(self.shape[3] // z.shape[2], 3)
        return torch.einsum("nkpchw,nkhw->npchw", self.of_classes(grey), chosen).flatten(1, 2)


class Segments(nn.Module):
    """Logits of every cell's class, [n, classes, cells, cells], from grey, or from grey and colour."""

    def __init__(self, classes: int, stride: int, *, colour: bool, channels: int = CHANNELS) -> None:
        super().__init__()
        self.features = Features(3 if colour else 1, channels, stride)
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, *images: Tensor) -> Tensor:
        """Grey alone, or colour [n, 2, H, W] in levels and grey [n, 1, H, W]."""
        *colour, grey = images
        read = torch.cat([*((x - LEVELS / 2) / 8 for x in colour), 2 * grey - 1], 1)
        out: Tensor = self.head(self.features(read))
        return out


@dataclass(frozen=True)
class Plan:
    """A model's sizes: `decoder` with "blind" in it has no segmentation."""

    decoder: str = "weak"
    classes: int = CLASSES
    grid: int = GRID
    side: int = 16
    channels: int = CHANNELS
    levels: int = LEVELS


def vae(plan: Plan, seed: int) -> er.VAE:
    """p(z | grey), q(z | colour, grey) and p(colour | z, grey)."""
    torch.manual_seed(seed)
    stride, sizes = plan.side // plan.grid, {"per_cell": plan.classes}
    cells, channels = (plan.grid, plan.grid), plan.channels
    of_grey = Segments(plan.classes, stride, colour=False, channels=channels)
    of_both = Segments(plan.classes, stride, colour=True, channels=channels)
    prior = er.priors.CategoricalGrid(cells, network=of_grey, given=("grey",), **sizes)
    posterior = er.posteriors.CategoricalGrid(of_both, cells, given=("x", "grey"), **sizes)
    return er.VAE(prior, posterior, likelihood(plan))


def likelihood(plan: Plan) -> Any:
    """Logistics rounded to the levels, with neighbours (strong) or without (weak)."""
    event, reads = (2, plan.side, plan.side), ("z", "grey")
    blind = "blind" in plan.decoder
    network = Colours(plan.classes, 2, plan.side, blind=blind, channels=plan.channels)
    logistic = er.likelihoods.DiscretisedLogistic
    if "weak" in plan.decoder:
        return logistic(network, event, levels=plan.levels, start=START, given=reads)
    family = logistic(None, event, levels=plan.levels, start=START)
    return er.likelihoods.Autoregressive(network, family, radius=RADIUS, hidden=HIDDEN, given=reads)
