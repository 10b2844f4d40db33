"""Which remedies `fix` tries, in which order, and what each is told."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from elbowroom import remedies
from elbowroom.numerics import one_of
from elbowroom.remedies import Remedied

__all__ = ["AGAIN", "RIVALS", "Attempt", "in_order"]


class Attempt(NamedTuple):
    """A remedy as it is tried.

    Attributes
    ----------
    name : str
        Of the remedy, in `er.remedies`.
    options : dict
        What it is told.
    cost : int
        0: no training; 1: q alone; 2: on from the weights there are; 3: from fresh ones.
    against : tuple of str
        Findings of an audit that point to it.
    """

    name: str
    options: dict[str, Any]
    cost: int
    against: tuple[str, ...]

    @property
    def trains(self) -> bool:
        """Whether it takes epochs and a time."""
        return self.cost > 0

    @property
    def words(self) -> str:
        """Its name, with what it is told."""
        told = ", ".join(str(value) for value in self.options.values())
        return f"{self.name} ({told})" if told else self.name

    @property
    def call(self) -> Callable[..., Remedied]:
        """The remedy itself."""
        found: Callable[..., Remedied] = getattr(remedies, self.name)
        return found


_HOLES, _NOISE, _LEFT = "holes in the prior", "noise mis-scaled", "residuals correlated"
_COLLAPSED, _LAGGING, _SURE = "collapsed", "inference lagging", "overconfident encoder"
_OVER, _UNDER, _NONE, _LOST = "overfitted", "underfitted", "no bound", "condition lost"

_ATTEMPTS = (
    Attempt("calibrate", {}, 0, (_NOISE, _COLLAPSED)),
    Attempt("calibrate", {"part": "validation"}, 0, (_OVER,)),
    Attempt("structured_residual", {"kind": "low-rank"}, 0, (_LEFT,)),
    Attempt("structured_residual", {"kind": "matern"}, 0, (_LEFT,)),
    Attempt("shrink_latent", {}, 0, (_COLLAPSED,)),
    Attempt("refit_prior", {"kind": "mixture"}, 0, (_HOLES,)),
    Attempt("lower_beta", {"beta": 1.0}, 2, (_NONE, _UNDER, _COLLAPSED, _NOISE, _LOST)),
    Attempt("stop_earlier", {}, 3, (_OVER,)),
    Attempt("anneal", {}, 3, (_COLLAPSED, _LAGGING)),
    Attempt("free_bits", {}, 3, (_COLLAPSED,)),
    Attempt("aggressive", {}, 3, (_LAGGING, _COLLAPSED)),
    Attempt("refine_inference", {"kind": "encoder"}, 1, (_LAGGING, _SURE)),
    Attempt("refine_inference", {"kind": "flow"}, 1, (_LAGGING, _SURE)),
)
"""In the order of a model of which nothing is known: p before q, as q is refined for the p there is in the end."""

AGAIN = ("calibrate", "refit_prior", "refine_inference")
"""What is tried again after a training that was kept, where it had been tried before."""

RIVALS = ("structured_residual",)
"""Of which one kind takes the place of another: all are tried on the same model, and that which wins most is kept."""


def in_order(found: Sequence[str], only: Sequence[str] | None = None) -> list[Attempt]:
    """What is tried: without training first; of what trains, what findings point to first; q last.

    Parameters
    ----------
    found : sequence of str
        Names of what an audit found.
    only : sequence of str, optional
        Remedies, by name, beside which none is tried.

    Returns
    -------
    list of Attempt
        In order.

    Raises
    ------
    InputError
        For a name that is no remedy.

    Examples
    --------
    >>> [one.name for one in in_order(["overfitted"], only=["anneal", "stop_earlier", "refit_prior"])]
    ['refit_prior', 'stop_earlier', 'anneal']
    """
    for name in only or ():
        one_of("remedies", name, tuple(dict.fromkeys(one.name for one in _ATTEMPTS)))
    asked = [one for one in _ATTEMPTS if only is None or one.name in only]
    return sorted(asked, key=lambda one: (_stage(one), not set(one.against) & set(found)))


def _stage(one: Attempt) -> int:
    """The prior is fitted before the networks are trained and again after; q is refined for the p there is at last."""
    return {0: 0, 1: 2, 2: 1, 3: 1}[one.cost]
