"""Normalizing flows of zuko, made at home: drawn from noise, with a support, and with nothing changed by the import."""

import inspect
from types import ModuleType
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from ._draw import Draw, draw
from .capabilities import declare

__all__ = ["zuko"]

_CHANGED = ("_validate_args", "arg_constraints")  # what importing zuko sets on torch's base class


def zuko() -> ModuleType:
    """The package zuko, imported so that torch goes on checking the arguments of every other distribution.

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


def _own_distribution(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Distribution) and value.__module__.startswith("zuko.")


def _register(flow: Any) -> None:
    """What this house asks of a distribution, for zuko's flows; once."""
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
