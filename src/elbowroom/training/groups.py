"""Which members of a stack can be trained as one, and why not the others."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn

from elbowroom.data import Dataset
from elbowroom.networks import stackable
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.vae import VAE

from .adam import Adam
from .checks import reason, two_examples
from .engines import Stacked
from .training_step import TrainingStep

__all__ = ["groups", "reason_alone", "why_alone"]


def groups(steps: Sequence[nn.Module], reason: Callable[[Any], str | None] = lambda step: None) -> list[list[int]]:
    """Positions of the steps, those together that differ in nothing but the values of parameters and buffers.

    Parameters
    ----------
    steps : sequence of Module
        The steps.
    reason : callable, default none
        Step → why it must stand alone, or None.

    Returns
    -------
    list of list of int
        Positions, group by group.

    Examples
    --------
    >>> lone = lambda step: "running statistics" if isinstance(step, nn.BatchNorm1d) else None
    >>> groups([nn.Linear(2, 2), nn.Linear(2, 3), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2)], lone)
    [[0, 2], [1], [3], [4]]
    """
    found: list[tuple[Any, list[int]]] = []
    for position, step in enumerate(steps):
        structure = _structure(step)
        for other, members in found:
            if other == structure:
                members.append(position)
                break
        else:
            found.append((structure, [position]))
    together = [members if len(members) == 1 or reason(steps[members[0]]) is None else None for _, members in found]
    alone = [[[position] for position in members] for _, members in found]
    return sorted(g for group, each in zip(together, alone, strict=True) for g in ([group] if group else each))


def why_alone(vae: VAE, objective: Objective | Procedure, data: Dataset) -> str | None:
    """Say why models like this one are trained one by one in `fit_stacked`.

    Parameters
    ----------
    vae : VAE
        The model.
    objective : Objective or Procedure
        What it is to be trained by.
    data : Dataset
        What it is to be trained on.

    Returns
    -------
    str or None
        A sentence; None where such models are stacked.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> encoder = nn.Sequential(nn.Linear(64, 4), nn.Dropout(0.1))
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(encoder, 2),
    ...              er.likelihoods.Normal(er.networks.MLP([2, 64]), 64), preprocess=digits.preprocess)
    >>> print(why_alone(vae, er.objectives.Elbo(), digits))
    vae.posterior.z.network.1, a Dropout, draws noise of its own or keeps running statistics.
    """
    return reason_alone(TrainingStep(vae, objective), data)


def reason_alone(step: TrainingStep, data: Dataset) -> str | None:
    """Say why such steps are trained one by one: a layer, the procedure, or what a stack of one raises at two examples.

    Parameters
    ----------
    step : TrainingStep
        The step.
    data : Dataset
        What it is to be trained on.

    Returns
    -------
    str or None
        A sentence; None where they are stacked.
    """
    for name, layer in step.named_modules():
        if not list(layer.children()) and not stackable(layer):
            return f"{name}, a {type(layer).__name__}, draws noise of its own or keeps running statistics."
    if step.procedure.alone is not None:
        return step.procedure.alone
    batch, noise = two_examples(step, data, step.procedure.draws, seed=0)
    try:
        with torch.random.fork_rng([]):
            Stacked([step], Adam()).evaluate(batch, noise)
    except (RuntimeError, ValueError, TypeError) as error:
        said = reason(error).removeprefix("vmap: ")
        return f"A stack runs under torch.func.vmap, which cannot branch on data or draw for itself ({said})."
    return None


def _structure(module: nn.Module) -> list[Any]:
    """All that makes two modules compute the same function of their parameters and buffers."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
    steps = [part.schedule_steps for part in module.modules() if isinstance(part, Objective)]  # epochs count from there
    return [
        shapes,
        _places(module),
        steps,
        *((name, type(part), _attributes(part)) for name, part in module.named_modules()),
    ]


def _places(module: nn.Module) -> list[int]:
    """Which parameters stand under several names, and which names these are."""
    order: dict[int, int] = {}
    return [order.setdefault(id(p), len(order)) for _, p in module.named_parameters(remove_duplicate=False)]


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What is set on the module itself, beside what every module has; `arguments` only repeat how it was made."""
    kept = set(vars(module)) - set(vars(nn.Module())) - {"arguments"}
    cached = {name for name in kept if isinstance(getattr(type(module), name, None), cached_property)}
    return {name: _comparable(vars(module)[name]) for name in kept - cached}


def _comparable(value: Any) -> Any:
    """Plain values as they are; anything else only equals itself."""
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else id(value)
