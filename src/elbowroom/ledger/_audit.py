"""The audit: where log-likelihood goes, what is wrong, and what would win it back."""

import importlib.metadata
import math
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from elbowroom.data import Dataset, Examples
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import CapabilityError, Estimate, InputError, Rows, Support, count, own_modes, plain_arguments
from elbowroom.objectives import Objective
from elbowroom.procedures import Procedure
from elbowroom.progress import Progress
from elbowroom.records import AuditRecord, FindingRecord, Number
from elbowroom.training.placement import multiplications, threads_for
from elbowroom.vae import VAE, check_readings
from elbowroom.vae.coarse import refuse_coarse

from ._context import context
from ._identity import identity
from .aggregate import chosen
from .budgets import FULL, QUICK, Spending, within
from .certificate import certificate
from .prices import prices
from .symptoms import symptoms
from .verdict import verdict

__all__ = ["audit"]

_RESTS_ON = {
    "collapsed": "rate",
    "inference lagging": "amortisation",
    "overconfident encoder": "coverage",
    "holes in the prior": "prior_gap",
    "noise mis-scaled": "noise_gain",
    "residuals correlated": "residual_gain",
    "overfitted": "generalisation",
    "underfitted": "classic",
    "no bound": "objective",
    "condition lost": "condition",
}
"""Faults, and the symptom without which each is not looked for."""
_PARTS = 4
_GRIDS = ("binary", "grid", "counts", "categorical")
_Part = TypeVar("_Part")


@own_modes
@plain_arguments
def audit(
    vae: VAE,
    data: Dataset,
    *,
    objective: Objective | Procedure | None = None,
    n: int | None = None,
    quick: bool = False,
    both_ends: bool = False,
    log_p: Estimate | None = None,
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
        Test examples that log p(x) is measured on, 2 or more and no more than there are; by default 100, and 20 of a
        quick audit, or all of fewer. Its errors fall with the root of n, and most of the time goes with n.
    quick : bool, default False
        Whether to give up precision for speed, about a twentieth of the time; the record says what is left of it. Of a
        model whose passes are dear, as image models' are, examples, draws and steps are fewer in either case, so that
        a quick audit takes a few minutes of one core at most; what cannot be afforded is in `missing`.
    both_ends : bool, default False
        Whether to measure the other end of log p(x) too, an upper bound if the chains have mixed.
    log_p : Estimate, optional
        log p(x) of some test examples, where it has been measured: then the gap is that of these, and nothing is
        annealed for it. Best a lower bound by annealing.
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
        cannot have is None, with the reason in `missing`, as all of it is where it reads a label that the data lack.

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
    >>> found.n, found.identity.log_p.direction, found.quick, found.cells
    (4, 'lower', True, 64)
    """
    if n is not None and n < 2:
        raise InputError(f"An audit needs n=2 examples or more, as their spread is its error; got {n}.")
    if n is not None and n > len(data.test):
        raise InputError(f"There are {count(len(data.test), 'test example')}, so n is at most that; got {n:,}.")
    refuse_coarse(vae)
    began = time.monotonic()
    spending = within(QUICK if quick else FULL, multiplications(vae, data, 1))
    lacking = [name for name in vae.context_names if name not in data.test.rows(slice(0, 1)).context]
    given = _rows(data, n or spending.budget.n, log_p, seed)
    rows = given if lacking else vae.examples(given)
    record = AuditRecord(
        quantity=vae.quantity,
        n=0 if lacking else len(rows),
        name=data.name,
        data=data.sha256,
        seed=seed,
        assumed=vae.assumed,
        versions=_versions(),
        quick=quick,
        cells=math.prod(vae.likelihood.event) if _as_a_file(vae, data) else None,
    )
    if lacking:
        return replace(record, missing=_account(vae, lacking[0]), seconds=time.monotonic() - began)
    try:
        check_readings(vae, rows, seed=seed)
    except InputError as error:
        record = replace(record, findings=(_reads_x(str(error)),), missing=(f"Nothing can be measured: {error}",))
        return replace(record, seconds=time.monotonic() - began)
    with threads_for(vae, data, len(rows) * spending.budget.identity["chains"]):
        common: dict[str, Any] = {"seed": seed, "memory": memory, "progress": progress}
        of_gap = {"both_ends": both_ends, "log_p": log_p, **spending.budget.identity}
        record = _measured(record, vae, data, rows, spending, objective, of_gap, common)
    return replace(record, certified=certificate(record), seconds=time.monotonic() - began)


def _as_a_file(vae: VAE, data: Dataset) -> bool:
    """Whether the bounds are of all cells of x and nothing else, and of values that a file can hold."""
    return data.test.fill is None and not data.test.observed and _on_grid(vae, data.support)


def _on_grid(vae: VAE, support: Support) -> bool:
    """Whether log p(x) is of values that a file can hold, and no density; grids in steps of 1 where dequantised."""
    grids = all(one.kind in _GRIDS and not (one.kind == "grid" and one.values) for one in support.columns or (support,))
    return grids and vae.preprocess.estimand == "log p(x)"


def _rows(data: Dataset, n: int, log_p: Estimate | None, seed: int) -> Examples:
    """The test examples of the identity: those of which log p(x) is known, or so many."""
    if log_p is None:
        return chosen(data.test, min(n, len(data.test)), seed)
    known = data.test[torch.isin(data.test.index, torch.from_numpy(log_p.index))]
    if len(known) < 2 or log_p.data != data.test.data:
        raise InputError("log_p is of no two of these test examples: measure it on the test part, or leave it out.")
    return known


def _measured(
    record: AuditRecord,
    vae: VAE,
    data: Dataset,
    rows: Rows,
    spending: Spending,
    objective: Objective | Procedure | None,
    of_gap: dict[str, Any],
    common: dict[str, Any],
) -> AuditRecord:
    """The record with all that the model can have, and the reasons for what it cannot."""
    missing, budget, gap, found = list(spending.said), spending.budget, None, None
    quiet = {"seed": common["seed"], "memory": common["memory"]}

    def measure(what: str, part: Callable[[], tuple[_Part, list[str]]]) -> _Part | None:
        bar.doing(what)
        try:
            found, reasons = part()
        except (CapabilityError, InputError) as error:
            found, reasons = None, [f"{what.capitalize()}: {error}"]
        missing.extend(reasons)
        bar.advance()
        return found

    with Progress("audit", _PARTS, show=common["progress"]) as bar:
        if spending.searched:
            gap = measure("identity", lambda: (identity(vae, rows, **of_gap, **common), []))
        beside = measure("context", lambda: context(vae, data, budget.context, **common))
        own: dict[str, Any] = {"identity": gap, "context": beside, "objective": objective, "budget": budget.symptoms}
        if spending.searched:
            found = measure("verdict", lambda: _findings(vae, data, **own, **quiet))
        won = measure("prices", lambda: prices(vae, data, budget.prices, **quiet))
    quantity = record.quantity if gap is None else gap.log_p.quantity
    return replace(
        record,
        quantity=quantity,
        identity=gap,
        findings=found or (),
        context=beside,
        prices=won or (),
        missing=tuple(missing),
    )


def _findings(vae: VAE, data: Dataset, **known: Any) -> tuple[tuple[FindingRecord, ...], list[str]]:
    """Every fault that was looked for, and why others were not."""
    found = symptoms(vae, data, **known)
    findings, _ = verdict(found)
    looked = {one.name for one in findings}
    looked |= set() if vae.context_names else {"condition lost"}
    unseen = {name: found.missing.get(symptom, "") for name, symptom in _RESTS_ON.items() if name not in looked}
    return findings, [f"Not looked for, {name}: {reason}" for name, reason in unseen.items()]


def _account(vae: VAE, name: str) -> tuple[str, ...]:
    """What can be had, and what cannot, of a model that reads what the data do not have."""
    parts = {"p(z)": vae.prior.values(), "q(z | x)": vae.posterior.values(), "p(x | z)": [vae.likelihood]}
    readers = [part for part, blocks in parts.items() if any(name in block.given for block in blocks)]
    return (
        f"Identity, verdict, context and prices: {' and '.join(readers)} read {name!r}, without which there is no "
        f"bound on {vae.quantity}, and these data do not have it: load_data(…, context={name!r}) gives it to them.",
        f"Still to be had: samples for a {name!r} that is named, vae.sample(n, context=…).",
    )


def _reads_x(reason: str) -> FindingRecord:
    """A density that has seen its own x is none of it: nothing bounds log p(x)."""
    return FindingRecord("no bound", True, Number(1.0, None), 0.0, "densities that read x", "p reads x", reason)


def _versions() -> dict[str, str]:
    own = importlib.metadata.version("elbowroom")
    return {"elbowroom": own, "torch": str(torch.__version__), "python": platform.python_version()}
