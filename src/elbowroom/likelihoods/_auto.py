"""The likelihood for data of a given support."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from elbowroom.numerics import InputError, Support, one_of, plain_arguments

from .bernoulli import Bernoulli
from .counts import NegativeBinomial
from .grid import Categorical, DiscretisedLogistic
from .likelihood import Likelihood
from .mixed import Mixed
from .normal import Normal
from .unit import TruncatedNormal
from .with_atoms import NormalWithAtoms

__all__ = ["SCALES", "auto", "family_of", "has_scale", "why_auto"]

SCALES = ("predicted", "feature")
"""Noise that is a function of z, and noise that is one number per element."""

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
    scale: str | None = None,
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
    scale : {"predicted", "feature"} or None, default None
        Of families whose noise has a scale, or counts a dispersion: a function of z, or one learned per element. None
        takes what the sentence says: predicted, but one dispersion for each count.

    Returns
    -------
    likelihood : Likelihood
        The likelihood with its network.
    why : str
        Which family it is and why, in a sentence.

    Raises
    ------
    InputError
        For another scale, and for one of families that have none.

    Examples
    --------
    >>> likelihood, why = auto(Support("counts"), 5, lambda numbers: nn.Linear(2, numbers))
    >>> why.split(":")[0], likelihood.network.out_features
    ('NegativeBinomial', 5)
    """

    if scale is not None:
        one_of("scale", scale, SCALES)
        if not has_scale(support):
            raise InputError(f"On the {support} the likelihood has no scale that could be chosen: leave scale out.")
    numbers = family_of(support, None, event, given, scale).numbers
    return family_of(support, network_of(numbers), event, given, scale), why_auto(support)


def has_scale(support: Support) -> bool:
    """Whether the default likelihood for data of a support, or for a column of them, has noise that `scale` is of."""
    return any(has_scale(one) for one in support.columns) or support.kind in ("grid", "unit", "real", "counts")


def family_of(
    support: Support,
    network: nn.Module | None,
    event: int | Sequence[int],
    given: Sequence[str],
    scale: str | None = None,
) -> Likelihood:
    """The default likelihood for data of a given support, with this network."""
    levels: Any = support.levels
    own: Any = scale or "predicted"
    dispersion: Any = scale or "feature"

    def one_by_one() -> Likelihood:
        families = [family_of(one, None, n, given, scale) for one, n in support.groups]
        return Mixed(network, families, given=given)

    made: dict[str, Callable[[], Likelihood]] = {
        "binary": lambda: Bernoulli(network, event, given=given),
        "grid": lambda: DiscretisedLogistic(network, event, levels, scale=own, given=given),
        "unit": lambda: TruncatedNormal(network, event, scale=own, given=given),
        "real": lambda: (
            NormalWithAtoms(network, event, support.atoms, scale=own, given=given)
            if support.atoms
            else Normal(network, event, scale=own, given=given)
        ),
        "counts": lambda: NegativeBinomial(network, event, dispersion=dispersion, given=given),
        "categorical": lambda: Categorical(network, event, levels, ordered=False, given=given),
        "mixed": one_by_one,
    }
    return made[support.kind]()


def why_auto(support: Support) -> str:
    """Which family data of a support get by default and why, in a sentence."""
    if support.kind != "mixed":
        return _WHY["atoms" if support.atoms else support.kind]
    kinds = dict.fromkeys("atoms" if one.atoms else one.kind for one in support.columns)
    return "Mixed: the columns are of different kinds. " + " ".join(_WHY[kind] for kind in kinds)
