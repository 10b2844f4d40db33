"""Likelihoods of raw integer grids 0 … levels − 1: log-probabilities, so bits per dimension without dequantising."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent, MixtureSameFamily

from elbowroom.distributions import DiscretisedLogistic as DiscretisedLogisticDistribution
from elbowroom.distributions import DiscretisedNormal as DiscretisedNormalDistribution
from elbowroom.distributions import Levels
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .likelihood import Likelihood, refuse
from .scaled import Scale, Scaled

__all__ = ["Categorical", "DiscretisedLogistic", "DiscretisedNormal"]

_LEAST_STEPS = 0.05
_OTHERWISE = "take likelihoods.Normal for continuous data, likelihoods.NegativeBinomial for counts, or more levels"


class _Discretised(Scaled):
    """A scaled family rounded to the grid.

    The network works on the unit scale: its 0 is level 0 and its 1 is level levels − 1, and so for scale, floor and
    start. The floor is 0.05 of a step unless it is given: a probability cannot grow without limit, so it serves
    numerics alone.
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        levels: int,
        scale: Scale,
        floor: float | None,
        start: float | None,
        given: Sequence[str],
    ) -> None:
        self.levels = _at_least_two(self, levels)
        self.top = levels - 1
        super().__init__(network, event, scale, _LEAST_STEPS / self.top if floor is None else floor, start, given)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the start from the training data y [n, *event], which are levels."""
        return super().settle(y / self.top, None, latents)

    def check(self, support: Support) -> None:
        """Levels of a grid only, and no more than there are."""
        _needs_levels(self, support, ("grid", "binary"))

    def _scale_of(self, p_x: Distribution) -> Tensor:
        return super()._scale_of(p_x) / self.top


@described("discretised-normal")
class DiscretisedNormal(_Discretised):
    """Independent normals rounded to the grid, the first and last level taking the tails; on the unit scale.

    levels: of the raw grid. scale, floor, start: on the unit scale, where 1 is level levels − 1; see `Scaled`. To be
    used without preprocessing; gives log P(x).

    >>> p = DiscretisedNormal(nn.Linear(2, 3), 3, levels=256, scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).log_prob(torch.tensor([0.0, 128.0, 255.0])).shape
    torch.Size([1, 4])
    """

    symbol = "σ"

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        levels: int,
        *,
        scale: Scale = "predicted",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, levels, scale, floor, start, given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        family = DiscretisedNormalDistribution(self.top * location, self.top * scale, self.levels)
        return Independent(family, len(self.event), False)


@described("discretised-logistic")
class DiscretisedLogistic(_Discretised):
    """Independent logistics rounded to the grid, or mixtures of them, on the unit scale.

    levels: of the raw grid. components: of the mixture of each element, whose locations start spread over the grid;
    the network then returns a logit, a location and a raw scale for each (scale="predicted"). scale, floor, start: on
    the unit scale, where 1 is level levels − 1; see `Scaled`. To be used without preprocessing; gives log P(x).
    Source: Salimans et al., "PixelCNN++", 2017, without its autoregression over colours: channels are independent
    given z.

    >>> p = DiscretisedLogistic(nn.Linear(2, 45), 3, levels=256, components=5)
    >>> p.parts, p({"z": torch.zeros(1, 4, 2)}).event_shape
    (15, torch.Size([3]))
    """

    spread = 1.8137993642342178  # π / √3

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        levels: int,
        *,
        components: int = 1,
        scale: Scale = "predicted",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, levels, scale, floor, start, given)
        if components < 1:
            raise InputError(f"A mixture needs 1 component or more; got {components}.")
        if components > 1 and scale != "predicted":
            raise InputError(
                f"The components of a mixture have scales of their own: use scale='predicted', not {scale}."
            )
        self.components = components
        if components > 1:
            self.parts = 3 * components

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        if self.components > 1:
            return Independent(self._mixture(raw), len(self.event), False)
        location, scale = self.location_and_scale(raw)
        family = DiscretisedLogisticDistribution(self.top * location, self.top * scale, self.levels)
        return Independent(family, len(self.event), False)

    def _mixture(self, raw: tuple[Tensor, ...]) -> Distribution:
        k = self.components
        logits = torch.stack(raw[:k], -1)
        location = torch.stack([part + (i + 0.5) / k for i, part in enumerate(raw[k : 2 * k])], -1)
        scale = torch.stack([self.positive(part) for part in raw[2 * k :]], -1)
        family = DiscretisedLogisticDistribution(self.top * location, self.top * scale, self.levels)
        return MixtureSameFamily(TorchCategorical(logits=logits, validate_args=False), family, validate_args=False)

    def _scale_of(self, p_x: Distribution) -> Tensor:
        family: Any = p_x.base_dist if isinstance(p_x, Independent) else p_x
        return super()._scale_of(getattr(family, "component_distribution", family))


@described("categorical")
class Categorical(Likelihood):
    """Independent categoricals over 0 … levels − 1: the network returns a logit per level and element.

    ordered: the levels are numbers, as grey levels are, and so have a mean; False for classes without an order.

    >>> p = Categorical(nn.Linear(2, 12), 3, levels=4)
    >>> p({"z": torch.zeros(1, 5, 2)}).mean.shape
    torch.Size([1, 5, 3])
    """

    logits = True

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        levels: int,
        *,
        ordered: bool = True,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(event, given=given, network=network)
        self.parts = self.levels = _at_least_two(self, levels)
        self.ordered = ordered

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        logits = torch.stack(raw, -1)
        family = Levels(logits) if self.ordered else TorchCategorical(logits=logits, validate_args=False)
        return Independent(family, len(self.event), False)

    def check(self, support: Support) -> None:
        """Levels or categories only, and no more than there are."""
        _needs_levels(self, support, ("grid", "binary", "categorical"))


def _at_least_two(likelihood: Likelihood, levels: int) -> int:
    if levels < 2:
        raise InputError(f"A {type(likelihood).__name__} likelihood needs at least 2 levels; got {levels}.")
    return levels


def _needs_levels(likelihood: Any, support: Support, kinds: tuple[str, ...]) -> None:
    found = 2 if support.kind == "binary" else support.levels or 0
    if support.kind not in kinds or found > likelihood.levels:
        holds = f"one of the integers 0…{likelihood.levels - 1}, without preprocessing"
        raise refuse(likelihood, holds, support, _OTHERWISE)
