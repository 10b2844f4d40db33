"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from elbowroom.numerics import InputError
from elbowroom.recipes import described

from .layers import activation_layers, at_least_one, dense_step, side_by_side

__all__ = ["MLP"]


@described("mlp")
class MLP(nn.Module):
    """A multilayer perceptron.

    It reads one or more inputs [N, *event_i], flattened and side by side, and returns [N, widths[-1]].

    Parameters
    ----------
    widths : sequence of int
        The total size of the inputs, the widths of the hidden layers, and the number of outputs.
    activation : {"silu", "relu", "leaky-relu", "elu", "gelu", "softplus", "tanh", "sigmoid"}, default "silu"
        Activation after every hidden layer; leaky ReLU has slope 0.2 below zero.
    norm : {"batch", "group", None}, default None
        Normalisation before every activation: over the batch with running statistics, over each example in groups of 16
        features, or none.
    output : str or None, default None
        Activation on every output; None for none.

    Raises
    ------
    InputError
        For a width below 1, an unknown word, or inputs of another size than widths[0].

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> er.networks.MLP([64 + 10, 256, 32])(torch.zeros(5, 1, 8, 8), torch.zeros(5, 10)).shape
    torch.Size([5, 32])
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: str = "silu",
        norm: str | None = None,
        output: str | None = None,
    ) -> None:
        super().__init__()
        self.widths = at_least_one(widths, "The widths of an mlp")
        if len(self.widths) < 2:
            raise InputError(f"An mlp needs at least two widths, inputs and outputs; got {self.widths}.")
        *hidden, last = self.widths
        layers: list[nn.Module] = []
        for width, wider in pairwise(hidden):
            layers += dense_step(width, wider, norm, activation)
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], last), *activation_layers(output))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs [N, *event_i] → [N, widths[-1]]."""
        return self.layers(side_by_side(inputs, self.widths[0], "widths[0] of the mlp"))
