"""Which networks can be trained many at a time."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

__all__ = ["stackable"]


def stackable(module: nn.Module) -> bool:
    """Whether many copies of the module can be trained as one, with the result each would have alone.

    False where a layer keeps running statistics (batch norm) or draws noise of its own (dropout).

    >>> stackable(nn.Linear(2, 2)), stackable(nn.BatchNorm1d(2)), stackable(nn.GroupNorm(1, 2))
    (True, False, True)
    """
    return not any(_keeps_or_draws(layer) for layer in module.modules())


def _keeps_or_draws(layer: nn.Module) -> bool:
    if isinstance(layer, _NormBase):
        return bool(layer.track_running_stats)
    return isinstance(layer, _DropoutNd | nn.RReLU)
