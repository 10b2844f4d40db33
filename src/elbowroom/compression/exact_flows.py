"""Flows whose networks are made exact: one autoregressive layer of affine maps."""

from typing import Any, cast

from torch import nn

from elbowroom.distributions.flows import zuko
from elbowroom.priors import Flow

from .exact_layers import EXACT

__all__ = ["affine_layer", "unmasked"]


def affine_layer(prior: Flow) -> Any:
    """The one layer of a flow of affine maps, each of which reads the latents before it; None for other flows.

    Parameters
    ----------
    prior : Flow
        The prior.

    Returns
    -------
    module or None
        zuko's layer.
    """
    kinds: Any = zuko()
    layers: Any = getattr(getattr(prior.flow, "transform", None), "transforms", ())
    if len(layers) != 1 or type(layers[0]) is not kinds.flows.MaskedAutoregressiveTransform:
        return None
    layer = layers[0]
    affine = layer.univariate is kinds.transforms.MonotonicAffineTransform and layer.order is not None
    return layer if affine else None


def unmasked(layer: Any) -> list[nn.Module]:
    """The layers of the network of an affine layer, masks multiplied into weights.

    Parameters
    ----------
    layer : module
        As `affine_layer` returns it.

    Returns
    -------
    list of Module
        In order, not yet exact.
    """
    return [_plain(one) if isinstance(one, nn.Linear) else one for one in layer.hyper]


def _plain(layer: Any) -> nn.Module:
    if type(layer) in EXACT or not hasattr(layer, "mask"):
        return cast(nn.Module, layer)
    plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None).to(layer.weight)
    plain.weight.data.copy_(layer.weight * layer.mask)
    if layer.bias is not None:
        plain.bias.data.copy_(layer.bias)
    return plain
