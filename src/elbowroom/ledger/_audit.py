"""The audit: where log-likelihood goes, what is wrong, and what would win it back."""

import importlib.metadata
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from elbowroom.data import Dataset
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import CapabilityError, InputError, plain_arguments
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.progress import Progress
from elbowroom.records import AuditRecord
from elbowroom.training.placement import threads_for
from elbowroom.vae import VAE

from ._context import context
from ._identity import identity
from .aggregate import chosen
from .budgets import FULL, QUICK
from .certificate import certificate
from .prices import prices

__all__ = ["audit"]

_Part = TypeVar("_Part")


@plain_arguments
def audit(
    vae: VAE,
    data: Dataset,
    *,
    objective: Objective | Procedure | None = None,
    n: int | None = None,
    quick: bool = False,
    both_ends: bool = False,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = True,
) -> AuditRecord:
    """Say where a model's log-likelihood goes, what is wrong with it, and what would win some back, in nats.

    log p(x) − ELBO is split into what the family of q loses and what the encoder loses, on test examples; beside it
    stand findings, each with the number that decided it and its threshold, what is known of the prior, the latents and
    generalisation, and what remedies would win that train no decoder.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is; one that was made elsewhere comes from `er.adapters`.
    data : Dataset
        Of which the test part was used neither to train nor to choose. Training and validation examples enter only
        what compares with them, fits a density or chooses a remedy.
    objective : Objective or Procedure, optional
        What the model was trained by, of which is asked whether it is a bound.
    n : int, optional
        Test examples that log p(x) is measured on, 2 or more; by default 100, and 20 of a quick audit. Its errors fall
        with the root of n, and most of the time goes with n.
    quick : bool, default False
        Whether to give up precision for speed, about a twentieth of the time; the record says what is left of it.
    both_ends : bool, default False
        Whether to measure the other end of log p(x) too, an upper bound if the chains have mixed.
    seed : int, default 0
        Keys all noise, and which examples are taken.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB".
    progress : bool, default True
        Whether to show progress on standard error.

    Returns
    -------
    AuditRecord
        Printed by `elbowroom audit`, drawn by `er.report`; `to_dict()` is JSON, `to_frame()` a table. What the model
        cannot have is None, with the reason in `missing`.

    Raises
    ------
    InputError
        Where the data are not what the model takes, or a setting is out of range.

    References
    ----------
    Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018).
    Hoffman & Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower bound" (2016).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = er.audit(vae, digits, n=4, quick=True, progress=False)
    >>> found.n, found.identity.log_p.direction, found.quick
    (4, 'lower', True)
    """
    if n is not None and n < 2:
        raise InputError(f"An audit needs n=2 examples or more, as their spread is its error; got {n}.")
    began, budget = time.monotonic(), QUICK if quick else FULL
    rows = vae.examples(chosen(data.test, min(n or budget.n, len(data.test)), seed))
    common: dict[str, Any] = {"seed": seed, "memory": memory, "progress": progress}
    said: list[str] = []
    with threads_for(vae, data, len(rows) * budget.identity["chains"]), Progress("audit", 4, show=progress) as bar:
        measure = _Measured(said, bar)
        gap = measure("identity", lambda: (identity(vae, rows, both_ends=both_ends, **budget.identity, **common), []))
        beside = measure("context", lambda: context(vae, data, budget.context, **common))
        won = measure("prices", lambda: prices(vae, data, budget.prices, seed=seed, memory=memory))
    record = AuditRecord(
        quantity=vae.quantity if gap is None else gap.log_p.quantity,
        n=len(rows),
        name=data.name,
        data=data.sha256,
        seed=seed,
        identity=gap,
        context=beside,
        prices=won or (),
        missing=tuple(said),
        assumed=tuple(getattr(vae, "assumed", ())),
        versions=_versions(),
        seconds=time.monotonic() - began,
        quick=quick,
    )
    return replace(record, certified=certificate(record))


class _Measured:
    """Measures the parts one by one, and keeps the reasons for what a model cannot have."""

    def __init__(self, missing: list[str], bar: Progress) -> None:
        self.missing, self.bar = missing, bar

    def __call__(self, what: str, part: Callable[[], tuple[_Part, list[str]]]) -> _Part | None:
        self.bar.doing(what)
        try:
            found, missing = part()
        except (CapabilityError, InputError) as error:
            found, missing = None, [f"{what.capitalize()}: {error}"]
        self.missing += missing
        self.bar.advance()
        return found


def _versions() -> dict[str, str]:
    own = importlib.metadata.version("elbowroom")
    return {"elbowroom": own, "torch": str(torch.__version__), "python": platform.python_version()}
