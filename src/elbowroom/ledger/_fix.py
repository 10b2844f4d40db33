"""`fix`: remedies one by one within a time, kept where they pay on validation; before and after on test."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from elbowroom import evidence
from elbowroom.data import Dataset
from elbowroom.numerics import CapabilityError, InputError, own_modes, plain_arguments
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.progress import Progress, say
from elbowroom.remedies import Remedied
from elbowroom.vae import VAE
from elbowroom.vae.coarse import refuse_coarse

from ._audit import audit
from .aggregate import chosen
from .fixed import Fixed
from .order import AGAIN, RIVALS, Attempt, in_order

__all__ = ["fix"]

_DRAWS, _TEST_DRAWS = 16, 16


@own_modes
@plain_arguments
def fix(
    vae: VAE,
    data: Dataset,
    *,
    objective: Objective | Procedure | None = None,
    remedies: Sequence[str] | None = None,
    seconds: float | None = 600.0,
    epochs: int = 50,
    audits: bool = True,
    quick: bool = True,
    validation: int = 1_000,
    test: int = 2_000,
    seed: int = 0,
    progress: bool = True,
) -> Fixed:
    """Try remedies one by one, keep those that pay on validation, and say once what they win on test.

    What needs no training comes first, then what trains the whole model, and q last; within these, what an audit on
    validation points to. Each remedy is tried on what was kept before it, kinds of correlated noise in each other's
    place. It pays where the ELBO rises by more than the
    standard error of the paired difference and the importance-weighted bound does not fall by more than its.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        Parts are fitted on train, chosen on validation; test is looked at when all is decided.
    objective : Objective or Procedure, optional
        What the model was trained by, for the audits.
    remedies : sequence of str, optional
        Names of those that are tried, from `er.remedies`; by default all but `refine`, whose q is of single examples.
    seconds : float, optional
        How long remedies are tried, by default 600; of what is left trainings get equal shares, and what has no time
        left is not tried. The audits come on top. None sets no limit.
    epochs : int, default 50
        Of every training, at most.
    audits : bool, default True
        Whether an audit on validation says what comes first, and audits on test stand before and after.
    quick : bool, default True
        Whether the audits on test are quick ones.
    validation : int, default 1000
        Validation examples that decide, at most.
    test : int, default 2000
        Test examples of the ELBO before and after, at most.
    seed : int, default 0
        Keys all noise, weights and which examples are taken. With a limit of time the result depends on the machine as
        well: how many epochs fit, and what is tried at all.
    progress : bool, default True
        Whether to show progress on standard error.

    Returns
    -------
    Fixed
        The model, the steps with their gains and errors, and before and after.

    Raises
    ------
    InputError
        For a name that is no remedy, or a setting out of range.

    References
    ----------
    Breiman, Friedman, Olshen & Stone, "Classification and regression trees" (1984): the rule of one standard error.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> words = {"latents": 2, "widths": [8], "likelihood": {"kind": "normal", "scale": 1.0}}
    >>> vae = er.models.build(words, digits)
    >>> done = er.fix(vae, digits, remedies=["calibrate"], audits=False, progress=False)
    >>> [step.pays for step in done.steps][0], done.won.mean > 10
    (True, True)
    """
    refuse_coarse(vae)
    since = time.monotonic()
    if min(epochs, validation, test) < 2 or (seconds is not None and not seconds > 0):
        raise InputError(
            f"fix needs 2 epochs and 2 examples or more, and seconds above 0; got {epochs}, {validation}, {test}, "
            f"{seconds}."
        )
    in_order((), remedies)  # refuses a strange name before anything is measured
    deciding = replace(data, validation=chosen(data.validation, min(validation, len(data.validation)), seed))
    told: dict[str, Any] = {"objective": objective, "seed": seed, "progress": progress}
    first = audit(vae, replace(deciding, test=deciding.validation), quick=True, **told).ill if audits else ()
    search = _Search(vae, deciding, seconds, epochs, seed)
    with Progress("fix", None, show=progress) as bar:
        search.run(in_order(first, remedies), bar, progress)
    rows = chosen(data.test, min(test, len(data.test)), seed)
    first_bound, last_bound = (evidence.elbo(one, rows, draws=_TEST_DRAWS, seed=seed) for one in (vae, search.vae))
    before, after = (audit(one, data, quick=quick, **told) if audits else None for one in (vae, search.vae))
    return Fixed(
        search.vae,
        tuple(search.steps),
        tuple(search.untried),
        first_bound,
        last_bound,
        before,
        after,
        time.monotonic() - since,
    )


class _Search:
    """What has been tried so far, and what is left of the time."""

    def __init__(self, vae: VAE, data: Dataset, seconds: float | None, epochs: int, seed: int) -> None:
        self.vae, self.data, self.epochs, self.seed = vae, data, epochs, seed
        self.end = math.inf if seconds is None else time.monotonic() + seconds
        self.steps: list[Remedied] = []
        self.untried: list[str] = []

    def run(self, waiting: list[Attempt], bar: Progress, show: bool) -> None:
        """Try one after another; what p had before a training that was kept is tried again after it."""
        before: list[Attempt] = []
        while waiting:
            rivals = [waiting.pop(0)]
            while waiting and rivals[0].name in RIVALS and waiting[0].name == rivals[0].name:
                rivals.append(waiting.pop(0))
            made, kept = self._best(rivals, waiting, bar, show)
            if kept is not None:
                self.vae = kept.vae
                if rivals[0].cost >= 2:
                    waiting, before = [*(old for old in before if old.name in AGAIN), *waiting], []
            before += made

    def _best(
        self, rivals: Sequence[Attempt], waiting: Sequence[Attempt], bar: Progress, show: bool
    ) -> tuple[list[Attempt], Remedied | None]:
        """Rivals that could be tried, on the same model, and that which wins most; None where none pays."""
        made, tried = list[Attempt](), list[Remedied]()
        for place, one in enumerate(rivals):
            bar.doing(one.words)
            step = self._tried(one, sum(other.trains for other in [*rivals[place:], *waiting]))
            if step is not None:
                made, tried = [*made, one], [*tried, step]
            bar.advance()
        kept = max((step for step in tried if step.pays), key=lambda step: step.gain.mean, default=None)
        for step in tried:
            self.steps.append(step if step is kept or not step.pays else replace(step, beaten=True))
            gain, verdict = step.gain, "kept" if step is kept else "not kept"
            say(f"fix: {step.name} {gain.mean:+.2f} ± {gain.se_total:.2f} nats, {verdict}", show=show)
        return made, kept

    def _tried(self, one: Attempt, trainings: int) -> Remedied | None:
        """The step; None, with a sentence, where it cannot be made. So many trainings share the time that is left."""
        left = self.end - time.monotonic()
        if left <= 0:
            self.untried.append(f"{one.words}: there was no time left for it.")
            return None
        told: dict[str, Any] = {"draws": _DRAWS, "seed": self.seed, **one.options}
        if one.trains:
            told |= {"epochs": self.epochs, "seconds": None if math.isinf(left) else left / trainings}
        try:
            return one.call(self.vae, self.data, **told)
        except (CapabilityError, InputError) as error:
            self.untried.append(f"{one.words}: {error}")
            return None
