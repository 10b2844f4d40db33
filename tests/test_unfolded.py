"""Convolutions as matrix products are the convolutions, values and gradients, alone and under vmap."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from elbowroom.training.unfolded import Unfolded

LAYERS = {
    "plain": nn.Conv2d(3, 4, 3),
    "strided": nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(1, 2), bias=False),
    "dilated": nn.Conv2d(3, 4, 3, dilation=2, padding=1),
    "back": nn.ConvTranspose2d(3, 4, 3, 2, 1, (0, 1)),
    "back, dilated": nn.ConvTranspose2d(3, 4, (1, 3), dilation=2, bias=False),
    "grouped": nn.Conv2d(3, 6, 3, groups=3),
    "same": nn.Conv2d(3, 4, 3, padding="same"),
    "one axis": nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3)),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
def test_products_are_the_convolutions(layer: nn.Module) -> None:
    layer, x = layer.double(), torch.randn(5, 3, 9, 8, dtype=torch.float64)
    expected = layer(x)
    with Unfolded():
        torch.testing.assert_close(layer(x), expected)
    parameters, _ = stack_module_state([layer, layer])
    weights = torch.linspace(0, 1, expected[0].numel(), dtype=torch.float64).view(expected[0].shape)

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return (functional_call(layer, parameters, x).sin() * weights).sum()

    slopes = vmap(grad(loss, (0, 1)), in_dims=(0, None))
    wanted = slopes(parameters, x)
    with Unfolded():
        torch.testing.assert_close(slopes(parameters, x), wanted)
