"""The likelihood for data of a given support."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from elbowroom.numerics import Support, plain_arguments

from .bernoulli import Bernoulli
from .counts import NegativeBinomial
from .grid import Categorical, DiscretisedLogistic
from .likelihood import Likelihood
from .mixed import Mixed
from .normal import Normal
from .unit import TruncatedNormal
from .with_atoms import NormalWithAtoms

__all__ = ["auto", "family_of", "why_auto"]

_WHY = {
    "binary": "Bernoulli: the data are binary, and it is every distribution of one bit.",
    "grid": "DiscretisedLogistic with a predicted scale: the data are on a grid, where it gives each level a "
    "probability, and its tails forgive more than a normal's.",
    "unit": "TruncatedNormal with a predicted scale: the data are continuous in [0, 1], where a Normal would leak mass "
    "out and a continuous Bernoulli, one of its limits, cannot say how sure it is.",
    "real": "Normal with a predicted scale: the data are continuous and unbounded; the scale must be learned, as it "
    "decides how the variance is split between latent and noise.",
    "atoms": "NormalWithAtoms: the data are continuous but for values that occur again and again, which get a "
    "probability; a density on them would grow without bound.",
    "counts": "NegativeBinomial: the data are counts, whose variance mostly exceeds their mean; "
    "the Poisson is its limit.",
    "categorical": "Categorical: the data are classes without an order.",
}


@plain_arguments
def auto(
    support: Support,
    event: int | Sequence[int],
    network_of: Callable[[int], nn.Module],
    *,
    given: Sequence[str] = ("z",),
) -> tuple[Likelihood, str]:
    """The default likelihood for data of a given support, and a sentence that says which it is and why.

    Parameters
    ----------
    support : Support
        Where the preprocessed data lie. A mixed table gets a `Mixed`, with a family for each run of columns of one
        kind.
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    network_of : callable
        From the number of numbers per example that the network is to return, to the network.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Returns
    -------
    likelihood : Likelihood
        The likelihood with its network.
    why : str
        Which family it is and why, in a sentence.

    Examples
    --------
    >>> likelihood, why = auto(Support("counts"), 5, lambda numbers: nn.Linear(2, numbers))
    >>> why.split(":")[0], likelihood.network.out_features
    ('NegativeBinomial', 5)
    """

    numbers = family_of(support, None, event, given).numbers
    return family_of(support, network_of(numbers), event, given), why_auto(support)


def family_of(
    support: Support, network: nn.Module | None, event: int | Sequence[int], given: Sequence[str]
) -> Likelihood:
    """The default likelihood for data of a given support, with this network."""
    levels: Any = support.levels
    made: dict[str, Callable[[], Likelihood]] = {
        "binary": lambda: Bernoulli(network, event, given=given),
        "grid": lambda: DiscretisedLogistic(network, event, levels, given=given),
        "unit": lambda: TruncatedNormal(network, event, scale="predicted", given=given),
        "real": lambda: (
            NormalWithAtoms(network, event, support.atoms, given=given)
            if support.atoms
            else Normal(network, event, scale="predicted", given=given)
        ),
        "counts": lambda: NegativeBinomial(network, event, given=given),
        "categorical": lambda: Categorical(network, event, levels, ordered=False, given=given),
        "mixed": lambda: Mixed(network, [family_of(one, None, n, given) for one, n in support.groups], given=given),
    }
    return made[support.kind]()


def why_auto(support: Support) -> str:
    """Which family data of a support get by default and why, in a sentence."""
    if support.kind != "mixed":
        return _WHY["atoms" if support.atoms else support.kind]
    kinds = dict.fromkeys("atoms" if one.atoms else one.kind for one in support.columns)
    return "Mixed: the columns are of different kinds. " + " ".join(_WHY[kind] for kind in kinds)
