"""The likelihood that a support asks for."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from elbowroom.numerics import Support

from .base import Likelihood
from .bernoulli import Bernoulli
from .counts import NegativeBinomial
from .grid import Categorical, DiscretisedLogistic
from .normal import Normal
from .unit import TruncatedNormal

__all__ = ["auto"]

_WHY = {
    "binary": "Bernoulli: the data are binary, and it is every distribution of one bit.",
    "grid": "DiscretisedLogistic with a predicted scale: the data are on a grid, where it gives each level a "
    "probability, and its tails forgive more than a normal's.",
    "unit": "TruncatedNormal with a predicted scale: the data are continuous in [0, 1], where a Normal would leak mass "
    "out and a continuous Bernoulli, one of its limits, cannot say how sure it is.",
    "real": "Normal with a predicted scale: the data are continuous and unbounded; the scale must be learned, as it "
    "decides how the variance is split between latent and noise.",
    "counts": "NegativeBinomial: the data are counts, whose variance mostly exceeds their mean; "
    "the Poisson is its limit.",
    "categorical": "Categorical: the data are classes without an order.",
}


def auto(
    support: Support, event: int | Sequence[int], network_of: Callable[[int], nn.Module], given: Sequence[str] = ("z",)
) -> tuple[Likelihood, str]:
    """The likelihood for preprocessed data on `support`, and a sentence that says which and why.

    network_of: makes the network, told how many numbers per example it is to return.

    >>> likelihood, why = auto(Support("counts"), 5, lambda numbers: nn.Linear(2, numbers))
    >>> why.split(":")[0], likelihood.network.out_features
    ('NegativeBinomial', 5)
    """

    def family(network: nn.Module | None) -> Likelihood:
        levels: Any = support.levels
        made: dict[str, Callable[[], Likelihood]] = {
            "binary": lambda: Bernoulli(network, event, given=given),
            "grid": lambda: DiscretisedLogistic(network, event, levels, given=given),
            "unit": lambda: TruncatedNormal(network, event, scale="predicted", given=given),
            "real": lambda: Normal(network, event, scale="predicted", given=given),
            "counts": lambda: NegativeBinomial(network, event, given=given),
            "categorical": lambda: Categorical(network, event, levels, ordered=False, given=given),
        }
        return made[support.kind]()

    return family(network_of(family(None).numbers)), _WHY[support.kind]
