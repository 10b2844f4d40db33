"""zuko's normalizing flows, made to fit: drawn from noise, with a support, and with nothing changed by the import."""

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Distribution, Transform

from elbowroom.numerics import InputError

from ._draw import Draw, draw
from .capabilities import declare
from .invertible import PlanarTransform, RadialTransform

__all__ = ["flow_of", "moved_flow", "without_effect", "zuko"]

_CHANGED = ("_validate_args", "arg_constraints")  # what importing zuko sets on torch's base class


def zuko() -> ModuleType:
    """The package zuko, imported so that torch goes on checking the arguments of every other distribution.

    Returns
    -------
    module
        The package.

    Examples
    --------
    >>> from torch.distributions import Distribution, Normal
    >>> zuko().__name__, Distribution._validate_args
    ('zuko', True)
    """
    before = {name: vars(Distribution)[name] for name in _CHANGED}
    import zuko

    for name, value in before.items():
        setattr(Distribution, name, value)
    kinds: list[Any] = [kind for _, kind in inspect.getmembers(zuko.distributions, _own_distribution)]
    for kind in kinds:
        kind._validate_args = False  # under vmap a check of values raises
        if "arg_constraints" not in vars(kind):
            kind.arg_constraints = {}
    _register(zuko.distributions.NormalizingFlow)
    return zuko


def flow_of(kind: str, features: int, context: int, transforms: int, hidden: Sequence[int]) -> Any:
    """A zuko flow by its name.

    Parameters
    ----------
    kind : str
        "nsf", "maf": coupling layers. "autoregressive": one dimension after another in log_prob's favour; "iaf": the
        same in favour of draws. "planar", "radial": one direction, or one point, per layer.
    features : int
        Dimensions.
    context : int
        Numbers that it is conditioned on; 0 for none.
    transforms : int
        Layers.
    hidden : sequence of int
        Widths of a layer's network, where it has one.

    Returns
    -------
    zuko.flows.Flow
        The flow.

    Raises
    ------
    InputError
        For another word.

    Examples
    --------
    >>> flow_of("planar", 2, 0, 3, ())().event_shape
    torch.Size([2])
    """
    flows: Any = zuko().flows
    named = {
        "nsf": (flows.NSF, 2),
        "maf": (flows.MAF, 2),
        "autoregressive": (flows.MAF, None),
        "iaf": (flows.MAF, None),
    }
    if kind in named:
        make, passes = named[kind]
        flow = make(features, context, transforms=transforms, hidden_features=tuple(hidden), passes=passes)
        if kind != "iaf":
            return flow
        return flows.Flow([flows.LazyInverse(layer) for layer in flow.transform.transforms], flow.base)
    if kind not in _LAYERS:
        raise InputError(f"flow must be {', '.join(map(repr, [*named, *_LAYERS]))}, or a zuko flow; got {kind!r}.")
    layers = [flows.LazyInverse(_Layer(_LAYERS[kind], features, context)) for _ in range(transforms)]
    base = flows.UnconditionalDistribution(zuko().distributions.DiagNormal, *_standard(features), buffer=True)
    return flows.Flow(layers, base)


def without_effect(flow: nn.Module) -> nn.Module:
    """The flow, begun at the identity: the last layer of every network returns the same numbers whatever it reads.

    Parameters
    ----------
    flow : nn.Module
        A flow by its name, from `flow_of`, with a context where it is of planar or radial layers.

    Returns
    -------
    nn.Module
        The same flow.

    Examples
    --------
    >>> flow = without_effect(flow_of("maf", 2, 0, 3, (8,)))
    >>> flow().log_prob(torch.zeros(2)).exp()      # 1 / 2π
    tensor(0.1592, grad_fn=<ExpBackward0>)
    """
    networks: list[Any] = [layer.hyper for layer in flow.modules() if hasattr(layer, "hyper")]
    for network in networks:
        last = [layer for layer in network.modules() if hasattr(layer, "weight")][-1]  # one latent has zuko's own kind
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
    for layer in (layer for layer in flow.modules() if hasattr(layer, "phi")):  # one latent without a context
        own: Any = layer.phi
        for parameter in own:
            nn.init.zeros_(parameter)
    for layer in (layer for layer in flow.modules() if isinstance(layer, _Layer)):
        numbers: Any = layer.numbers
        nn.init.zeros_(numbers.weight)
        numbers.bias.data.copy_(layer.transform.identity(layer.features))
    return flow


def moved_flow(flow: Any, mean: Tensor, scale: Tensor) -> Distribution:
    """The distribution of mean + scale · z where z has a zuko flow.

    Parameters
    ----------
    flow : zuko.distributions.NormalizingFlow
        Over the real numbers, [*batch, d].
    mean, scale : Tensor
        [*batch, d].

    Returns
    -------
    zuko.distributions.NormalizingFlow
        Of the same base.

    Examples
    --------
    >>> flow = without_effect(flow_of("maf", 2, 0, 3, (8,)))()
    >>> moved_flow(flow, torch.ones(2), torch.full((2,), 2.0)).log_prob(torch.ones(2)).exp()      # 1 / 8π
    tensor(0.0398, grad_fn=<ExpBackward0>)
    """
    moved = _Affine(mean, scale, event_dim=1)
    made: Distribution = type(flow)(zuko().transforms.ComposedTransform(moved.inv, flow.transform), flow.base)
    return made


_LAYERS: dict[str, Any] = {"planar": PlanarTransform, "radial": RadialTransform}


def _standard(features: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(features), torch.ones(features)


class _Layer(nn.Module):
    """A planar or radial layer whose numbers are learned, or a linear function of a context."""

    def __init__(self, transform: Any, features: int, context: int) -> None:
        super().__init__()
        self.transform, self.features = transform, features
        self.numbers = nn.Linear(context, transform.numbers(features)) if context else None
        if context == 0:
            self.own = nn.Parameter(0.1 * torch.randn(transform.numbers(features)))

    def forward(self, context: Tensor | None = None) -> Transform:
        numbers = self.own if self.numbers is None else self.numbers(context)
        made: Transform = self.transform(numbers, self.features)
        return made


class _Affine(AffineTransform):
    """An affine map of events, whose numbers' batch is no part of the event."""

    def forward_shape(self, shape: torch.Size) -> torch.Size:
        return shape

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        return shape


def _own_distribution(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Distribution) and value.__module__.startswith("zuko.")


def _register(flow: Any) -> None:
    """Register draws, support and capabilities of zuko's flows, once."""
    if draw.dispatch(flow) is not draw.dispatch(Distribution):
        return

    @draw.register(flow)
    def _(distribution: Any, noise: Tensor) -> Draw:
        before, base_log_density = draw(distribution.base, noise)
        value, log_jacobian = distribution.transform.inv.call_and_ladj(before)
        extra = distribution.reinterpreted
        return value, lambda: base_log_density() - (log_jacobian.flatten(-extra).sum(-1) if extra else log_jacobian)

    flow.support = property(lambda distribution: distribution.transform.domain)
    declare(flow, "draw", "moments", "stack")
