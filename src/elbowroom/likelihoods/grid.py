"""Likelihoods of raw integer grids 0 … levels − 1: log-probabilities, so bits per dimension without dequantising."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent, MixtureSameFamily

from elbowroom.distributions import DiscretisedLogistic as DiscretisedLogisticDistribution
from elbowroom.distributions import DiscretisedNormal as DiscretisedNormalDistribution
from elbowroom.distributions import Levels
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .likelihood import Likelihood, not_whole_from_0, refuse
from .scaled import Scale, Scaled

__all__ = ["Categorical", "DiscretisedLogistic", "DiscretisedNormal"]

_LEAST_STEPS = 0.05
_OTHERWISE = "take likelihoods.Normal for continuous data, likelihoods.NegativeBinomial for counts, or more levels"
_WHOLE = "load whole levels as they are, preprocess='none', or take likelihoods.Normal for continuous data"


class OnLevels(Likelihood):
    """A family on the whole numbers 0 … levels − 1: what it can hold."""

    levels: int

    def outside(self, y: Tensor) -> Tensor:
        """All but the whole numbers 0 … levels − 1."""
        return not_whole_from_0(y, self.levels)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return f"the whole numbers 0…{self.levels - 1}"

    def check(self, support: Support) -> None:
        """Levels of a grid only, and no more of them than `levels`."""
        needs_levels(self, support, ("grid", "binary"))


class _Discretised(OnLevels, Scaled):
    """A scaled family rounded to the grid.

    Network, scale, floor and start are on the unit scale, where 0 is level 0 and 1 is level levels − 1.
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
        self.levels = at_least_two(self, levels)
        self.top = levels - 1
        super().__init__(network, event, scale, _LEAST_STEPS / self.top if floor is None else floor, start, given)

    @property
    def calibrates(self) -> Literal["noise scale", "temperature"] | None:
        """ "noise scale" where there is one scale for all; the best has no closed form, as the ends take the tails."""
        return None if self.scale in ("predicted", "feature") else "noise scale"

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the start from the training data y [n, *event], which are levels."""
        return super().settle(y / self.top, None, latents)

    def _scale_of(self, p_x: Distribution) -> Tensor:
        return super()._scale_of(p_x) / self.top


@described("discretised-normal")
class DiscretisedNormal(_Discretised):
    """Independent normals rounded to an integer grid; gives log P(x) of raw grey levels, without preprocessing.

    The first and last level take the tails. The network works on the unit scale, where 0 is level 0 and 1 is level
    levels − 1.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location on the unit scale; with
        scale="predicted" 2 numbers per element, the locations of all elements first, then raw scales r of scale = floor
        + softplus(r + c), with c such that r = 0 gives `start`. None where another likelihood brings the network
        (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x; a number n stands for (n,).
    levels : int
        Number of levels of the grid, 2 or more.
    scale : float or {"shared", "feature", "predicted"}, default "predicted"
        The scale, on the unit scale, where 1 is level levels − 1. A number fixes it; "shared" learns one for all
        elements; "feature" learns one per element; "predicted" makes it a function of z.
    floor : float or None, default None
        Least scale, on the unit scale, where it is not fixed. None is 0.05 of a grid step: a probability cannot grow
        without limit, so the floor serves numerical stability alone.
    start : float or None, default None
        Where a scale that is not fixed starts, on the unit scale. None settles it from the training data, so that the
        standard deviation is the one that PCA with as many components as latents leaves: a scale that starts too large
        collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive, or fewer than 2 levels.

    Examples
    --------
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
    """Independent logistics, or mixtures of them, rounded to an integer grid; gives log P(x) of raw grey levels.

    To be used without preprocessing. The first and last level take the tails. The network works on the unit scale,
    where 0 is level 0 and 1 is level levels − 1.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location on the unit scale; with
        scale="predicted" 2 numbers per element, the locations of all elements first, then raw scales r of scale = floor
        + softplus(r + c), with c such that r = 0 gives `start`. With K > 1 components 3 K numbers per element: the K
        logits, then the K locations, then the K raw scales, each number for all elements before the next. None where
        another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x; a number n stands for (n,).
    levels : int
        Number of levels of the grid, 2 or more.
    components : int, default 1
        Number K of logistics in the mixture of each element. Their locations start evenly spaced over the grid; more
        than one needs scale="predicted".
    scale : float or {"shared", "feature", "predicted"}, default "predicted"
        The scale, on the unit scale, where 1 is level levels − 1. A number fixes it; "shared" learns one for all
        elements; "feature" learns one per element; "predicted" makes it a function of z. The standard deviation is π /
        √3 of it.
    floor : float or None, default None
        Least scale, on the unit scale, where it is not fixed. None is 0.05 of a grid step: a probability cannot grow
        without limit, so the floor serves numerical stability alone.
    start : float or None, default None
        Where a scale that is not fixed starts, on the unit scale. None settles it from the training data, so that the
        standard deviation is the one that PCA with as many components as latents leaves: a scale that starts too large
        collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive, fewer than 2 levels or 1 component, or a
        mixture with another scale than "predicted".

    References
    ----------
    Salimans et al., "PixelCNN++" (2017); here without its autoregression over colours, so channels are independent
    given z.

    Examples
    --------
    >>> p = DiscretisedLogistic(nn.Linear(2, 45), 3, levels=256, components=5)
    >>> p.parts, p({"z": torch.zeros(1, 4, 2)}).event_shape
    (15, torch.Size([3]))
    """

    unit_deviation = 1.8137993642342178  # π / √3

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
class Categorical(OnLevels):
    """Independent categoricals over the levels or classes 0 … levels − 1.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns `levels` numbers per element, its logits: level 0 of all elements
        first, then level 1, and so on. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x; a number n stands for (n,).
    levels : int
        Number of levels or classes, 2 or more.
    ordered : bool, default True
        Whether the levels are numbers, as grey levels are, and so have a mean; False for classes without an order.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For fewer than 2 levels.

    Examples
    --------
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
        self.parts = self.levels = at_least_two(self, levels)
        self.ordered = ordered

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        logits = torch.stack(raw, -1)
        family = Levels(logits) if self.ordered else TorchCategorical(logits=logits, validate_args=False)
        return Independent(family, len(self.event), False)

    def check(self, support: Support) -> None:
        """Levels or categories only, and no more of them than `levels`."""
        needs_levels(self, support, ("grid", "binary", "categorical"))


def at_least_two(likelihood: Likelihood, levels: int) -> int:
    if levels < 2:
        raise InputError(f"A {type(likelihood).__name__} likelihood needs at least 2 levels; got {levels}.")
    return levels


def needs_levels(likelihood: Any, support: Support, kinds: tuple[str, ...]) -> None:
    found = 2 if support.kind == "binary" else support.levels or 0
    if support.kind not in kinds or found > likelihood.levels:
        holds = f"one of the integers 0…{likelihood.levels - 1}, without preprocessing"
        raise refuse(likelihood, holds, support, _WHOLE if support.continuous else _OTHERWISE)
