"""Which members of a stack can be trained as one, and why not the others."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn

from elbowroom.data import Dataset
from elbowroom.networks import stackable
from elbowroom.numerics import CapabilityError
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.vae import VAE

from .adam import Adam
from .checks import reason, two_examples
from .engines import Stacked
from .lanes import Batches
from .padding import sizes
from .training_step import TrainingStep

__all__ = ["groups", "joined", "reason_alone", "reason_by_seed", "why_alone"]


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


def joined(groups: Sequence[list[int]], steps: Sequence[TrainingStep], data: Dataset) -> list[list[int]]:
    """The groups, those in one that differ in latent sizes alone.

    Parameters
    ----------
    groups : sequence of list of int
        Positions, as `groups` gives them.
    steps : sequence of TrainingStep
        The steps.
    data : Dataset
        What they are trained on.

    Returns
    -------
    list of list of int
        Positions, group by group; the first step of each has the most latents.
    """
    found: list[list[int]] = []
    for group in sorted(groups, key=lambda group: -steps[group[0]].vae.latents):
        first = steps[group[0]]
        for other in found:
            if reason_apart(first, steps[other[0]], data) is None:
                other += group
                break
        else:
            found.append(list(group))
    return sorted(found, key=min)


def why_alone(vae: VAE, objective: Objective | Procedure, data: Dataset, *, beside: VAE | None = None) -> str | None:
    """Say why models like this one are trained one by one in `fit_stacked`.

    Parameters
    ----------
    vae : VAE
        The model.
    objective : Objective or Procedure
        What it is to be trained by.
    data : Dataset
        What it is to be trained on.
    beside : VAE, optional
        A model with more latents and alike otherwise: then why the two are not trained as one.

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
    step = TrainingStep(vae, objective)
    if beside is None:
        return reason_alone(step, data)
    return reason_alone(step, data) or reason_apart(step, TrainingStep(beside, copy.deepcopy(objective)), data)


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
            Stacked([step], [Adam()]).evaluate(batch, noise)
    except (RuntimeError, ValueError, TypeError) as error:
        said = reason(error).removeprefix("vmap: ")
        return f"A stack runs under torch.func.vmap, which cannot branch on data or draw for itself ({said})."
    return None


def reason_by_seed(step: TrainingStep, data: Dataset) -> str | None:
    """Say why such steps are not trained as one where each is served batches of its own.

    Parameters
    ----------
    step : TrainingStep
        The step.
    data : Dataset
        What it is to be trained on.

    Returns
    -------
    str or None
        A sentence; None where they are.
    """
    if type(step.procedure).update is not Procedure.update:
        return f"A {type(step.procedure).__name__} orders its steps by one batch, and each member draws its own."
    batch, noise = two_examples(step, data, step.procedure.draws, seed=0)
    stack = Stacked([step], [Adam()])
    try:
        with torch.random.fork_rng([]):
            stack.evaluate(Batches.of([batch]), stack.noises([noise]))
    except (RuntimeError, ValueError, TypeError) as error:
        return f"A part of the model cannot read a batch for each member ({reason(error).removeprefix('vmap: ')})."
    return None


def reason_apart(step: TrainingStep, whole: TrainingStep, data: Dataset) -> str | None:
    """Say why a step is not trained in one stack with one that has more latents, by trying it at two examples.

    Parameters
    ----------
    step : TrainingStep
        The step.
    whole : TrainingStep
        The one with more latents.
    data : Dataset
        What they are trained on.

    Returns
    -------
    str or None
        A sentence; None where they can be.
    """
    if not _alike(step, whole):
        return "The two differ in more than numbers that belong to one latent each."
    said = reason_alone(whole, data) or reason_by_seed(whole, data)
    if said is not None:
        return said
    try:
        with torch.random.fork_rng([]):
            small, large = (copy.deepcopy(one).double().train() for one in (step, whole))
            same = _same(small, large, data)
    except (RuntimeError, ValueError, TypeError, CapabilityError) as error:
        return f"Latent sizes stack by units that are not seen, which these models cannot have ({reason(error)})."
    return (
        None
        if same
        else "With units that are not seen the objective would be another, as it asks for more than densities of z."
    )


def _same(step: TrainingStep, whole: TrainingStep, data: Dataset) -> bool:
    """Whether losses and gradients at two examples are those of the step alone, and 0 for what is not its own."""
    (batch, noise), (_, more) = (two_examples(one, data, one.procedure.draws, seed=0) for one in (step, whole))
    stack, clock = Stacked([step, whole], [Adam()] * 2), torch.tensor(torch.inf)
    both, noises = Batches.of([batch, batch]), stack.noises([noise, more])
    for phase in step.procedure.phases:
        gradients, logged, _ = stack.slopes(phase, both, noises, clock)
        loss, own = step(batch, noise, clock, phase), step.moved_by(phase)
        alone = torch.autograd.grad(loss.total, list(own.values()), allow_unused=True, materialize_grads=True)
        pairs = [(logged[name][0], value) for name, value in loss.logged.items()]
        pairs += [(gradients[name][0], stack.paddings[0].pad(name, g)) for name, g in zip(own, alone, strict=True)]
        if not all(torch.allclose(one, other, rtol=1e-6, atol=1e-8, equal_nan=True) for one, other in pairs):
            return False
    return True


def _structure(module: nn.Module) -> list[Any]:
    """All that makes two modules compute the same function of their parameters and buffers."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
    return [
        shapes,
        _places(module),
        *((name, type(part), _attributes(part)) for name, part in module.named_modules()),
    ]


def _alike(step: TrainingStep, whole: TrainingStep) -> bool:
    """Whether the structures differ in nothing but numbers that come of fewer latents."""
    ours, theirs = sizes(step), sizes(whole)
    if ours.keys() != theirs.keys() or _structure(step.procedure) != _structure(whole.procedure):
        return False
    pairs = [(math.prod(event), math.prod(theirs[name])) for name, event in ours.items()]
    if any(few > many for few, many in pairs):
        return False
    pairs.append((step.vae.latents, whole.vae.latents))
    return _agree(_structure(step.vae), _structure(whole.vae), pairs)


def _agree(one: Any, other: Any, pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether two values are the same but for numbers that are some times the latents of either, and a rest."""
    if type(one) is int and type(other) is int and one < other:
        times = [(divmod(other - one, many - few), few) for few, many in pairs if many > few]
        return any(not rest and one >= k * few for (k, rest), few in times)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_agree(a, b, pairs) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(value, other[name], pairs) for name, value in one.items())
    return bool(one == other)


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
    """Plain values as they are; anything else only equals itself, and is no number."""
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else f"at {id(value):#x}"
