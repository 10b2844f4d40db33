"""What an audit is: where log-likelihood goes, what was found, and what remedies would win."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from elbowroom.numerics import Estimate, InputError, count, places, rounded, with_error
from elbowroom.numerics._standard_errors import standard_errors

from .audit_context import ContextRecord
from .findings import FindingRecord, none_found
from .values import EstimateField, Number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AuditRecord", "IdentityRecord", "PriceRecord"]


@dataclass(frozen=True)
class IdentityRecord:
    """log p(x) − ELBO = approximation + amortisation, of the same examples, in nats.

    The two parts add up example by example. Which nats stand in which part rests on two searches: a best q that is not
    quite found leaves nats in the approximation that belong to the amortisation, and a log p(x) that is too low makes
    the approximation, and so the sum, too small.

    Parameters
    ----------
    log_p : Estimate
        log p(x), by annealed importance sampling, or by importance sampling where z cannot be annealed: a lower bound.
    elbo : Estimate
        ELBO of the encoder's q.
    refined : Estimate, optional
        ELBO of the best q of the encoder's family that was found for each example, scored with fresh noise; None where
        q cannot be fitted to one example, as where its layers read one another: then only the sum is known.
    refined_half : Estimate, optional
        ELBO of the best q after half of the steps: what the other half still won says how much is left to win.
    upper : Estimate, optional
        The other end of log p(x), an upper bound if the chains have mixed.
    """

    log_p: EstimateField
    elbo: EstimateField
    refined: EstimateField | None = None
    refined_half: EstimateField | None = None
    upper: EstimateField | None = None

    @property
    def approximation(self) -> Estimate | None:
        """log p(x) − ELBO of the best q: what the family of q loses, whatever the encoder; None where that is."""
        return None if self.refined is None else _named(self.log_p - self.refined, "approximation gap", "none")

    @property
    def amortisation(self) -> Estimate | None:
        """ELBO of the best q − ELBO of the encoder's: what is lost because one network serves all examples."""
        return None if self.refined is None else _named(self.refined - self.elbo, "amortisation gap", "lower")

    @property
    def total(self) -> Estimate:
        """log p(x) − ELBO of the encoder's q: KL(q(z | x) ‖ p(z | x))."""
        return _named(self.log_p - self.elbo, "gap KL(q(z | x) ‖ p(z | x))", "lower")

    @property
    def still_won(self) -> Estimate | None:
        """What the second half of the search for the best q won; None where it was not measured."""
        if self.refined is None or self.refined_half is None:
            return None
        return _named(self.refined - self.refined_half, "won by the second half of the steps", "unbiased")

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the division into two parts rests on, in words."""
        said = []
        if self.still_won is not None:
            said.append(
                f"The second half of the search for the best q won {_with_error(self.still_won)} nats; one twice as "
                f"long would move about as much from the approximation to the amortisation."
            )
        if self.upper is None:
            said.append("log p(x) is a lower bound: where it is too low, the approximation is too small.")
        else:
            room = _with_error(self.upper - self.log_p)
            said.append(
                f"log p(x) is a lower bound, and the other end lies {room} nats above it, if the chains have mixed: "
                f"by so much the approximation may be too small."
            )
        return (*said, *(f"Of log p(x): {warning}." for warning in self.log_p.warnings))


@dataclass(frozen=True)
class PriceRecord:
    """What a remedy that trains no decoder would win.

    Parameters
    ----------
    remedy : str
        Its name in `er.remedies`.
    gain : Number
        Nats per example of the bound.
    n : int
        Examples it was measured on.
    seconds : float
        What finding it took.
    sentence : str
        In words.
    rate, distortion : Number, optional
        What it adds to each, on the same examples: together they are minus the gain.
    """

    remedy: str
    gain: Number
    n: int
    seconds: float
    sentence: str
    rate: Number | None = None
    distortion: Number | None = None

    @property
    def sure(self) -> bool:
        """Whether it surely wins anything: more than 0 at 95 %, by Student's t."""
        return self.gain.value > (standard_errors(self.n) * self.gain.se if self.gain.se else 0.0)


@dataclass(frozen=True)
class AuditRecord:
    """What an audit found; made by `er.audit`.

    Parameters
    ----------
    quantity : str
        What the nats are of, "log p(x)".
    n : int
        Test examples that the identity was measured on.
    name : str
        Of the data.
    data : str
        Hash of the data.
    seed : int
        Of all noise, and of which examples are taken.
    identity : IdentityRecord, optional
        Where log-likelihood goes; None where it cannot be had.
    findings : tuple of FindingRecord
        Every fault that was looked for, found or not.
    context : ContextRecord, optional
        What is never added to the identity; None for a model without a bound.
    prices : tuple of PriceRecord
        What remedies would win.
    missing : tuple of str
        A sentence for each item that cannot be had, with the reason.
    assumed : tuple of str
        What had to be assumed to read the model.
    certified : str
        One line to paste into a paper: estimand, estimator, errors, gap, examples, versions, hash.
    versions : dict of str to str
        Of elbowroom, torch and python.
    seconds : float
        What the audit took.
    quick : bool
        Whether precision was given up for speed.
    cells : int, optional
        Cells of a row, where these lie on a grid, so that −log p(x) is what they take as a file; None where log p(x)
        is a density.
    model : str, default ""
        SHA-256 of the weights, where they are those of a run.

    Examples
    --------
    >>> common = {"quantity": "log p(x)", "direction": "lower"}
    >>> log_p, refined, bound = (Estimate.of([high, high - 2], estimator="by hand", **common) for high in (-1, -2, -4))
    >>> identity = IdentityRecord(log_p, bound, refined)
    >>> identity.approximation.mean, identity.amortisation.mean, identity.total.mean
    (1.0, 2.0, 3.0)
    >>> record = AuditRecord("log p(x)", 2, "toy", "1f2e", 0, identity)
    >>> AuditRecord.from_dict(record.to_dict()).identity.total.mean, record.verdict
    (3.0, 'No verdict: no fault was looked for.')
    >>> record.to_frame().set_index("item")["value"].to_dict()
    {'log p(x)': -2.0, 'ELBO of the best q': -3.0, 'ELBO': -5.0, 'approximation': 1.0, 'amortisation': 2.0, 'gap': 3.0}
    """

    quantity: str
    n: int
    name: str
    data: str
    seed: int
    identity: IdentityRecord | None = None
    findings: tuple[FindingRecord, ...] = ()
    context: ContextRecord | None = None
    prices: tuple[PriceRecord, ...] = ()
    missing: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    certified: str = ""
    versions: dict[str, str] | None = None
    seconds: float = 0.0
    quick: bool = False
    cells: int | None = None
    model: str = ""

    @property
    def ill(self) -> tuple[str, ...]:
        """Names of the faults that were found."""
        return tuple(finding.name for finding in self.findings if finding.found)

    @property
    def verdict(self) -> str:
        """The verdict in a sentence."""
        if not self.findings:
            return "No verdict: no fault was looked for."
        if not self.ill:
            return none_found(self.findings)
        return f"{', '.join(self.ill).capitalize()}."

    @property
    def log_p(self) -> Number | None:
        """log p(x) of test examples: the ELBO of many plus the gap of the few it was measured on; None without either.

        The gap mostly varies less between examples than log p(x) does, so that this is surer than log p(x) of the few
        alone; where it is not, as where an encoder has lost some examples, it is log p(x) of the few.
        """
        if self.identity is None or self.context is None:
            return None
        both, few = self._with_gap(self.identity, self.context), self.identity.log_p
        return both if self.from_elbo else Number(few.mean, few.se_total)

    @property
    def from_elbo(self) -> bool:
        """Whether log p(x) is the ELBO of many examples plus the gap of few, and not log p(x) of the few alone."""
        if self.identity is None or self.context is None:
            return False
        both = self._with_gap(self.identity, self.context).se
        return both is not None and not both > self.identity.log_p.se_total

    @staticmethod
    def _with_gap(identity: IdentityRecord, context: "ContextRecord") -> Number:
        bound, gap = context.elbo, identity.total
        return Number(bound.mean + gap.mean, math.hypot(bound.se_total, gap.se_total))

    def log_p_beyond(self, before: "AuditRecord") -> Estimate | None:
        """log p(x) minus that of another model, by the same estimator, paired by example; None without either.

        Parameters
        ----------
        before : AuditRecord
            Of the other model, on the same test examples.

        Returns
        -------
        Estimate or None
            The difference.
        """
        ends = before.identity, self.identity
        return None if ends[0] is None or ends[1] is None else ends[1].log_p - ends[0].log_p

    @property
    def precision(self) -> str:
        """How surely the gap is known, by Student's t, in a sentence; "" where it was not measured."""
        if self.identity is None:
            return ""
        gap, wide = self.identity.total, standard_errors(self.n)
        if not math.isfinite(wide * gap.se_total):
            return f"On {count(self.n, 'example')} nothing says how surely the gap to log p(x) is known."
        half, of_draws = wide * gap.se_total, wide * min(gap.se_mc, gap.se_total)  # by luck, a part may seem more
        rest = (
            "" if math.isnan(gap.se_mc) else f", of which ± {rounded(of_draws, places(half))} would go with more draws"
        )
        return (
            f"On {count(self.n, 'example')} the gap to log p(x) is known to ± {rounded(half, places(half))} nats "
            f"(95 %){rest}."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """How surely the gap is known, what its parts rest on, and what a row takes as a file; () without a gap."""
        if self.identity is None:
            return ()
        return (self.precision, *self.identity.sentences, *([self.as_file] if self.as_file else []))

    @property
    def as_file(self) -> str:
        """What a row takes as a file, in a sentence: nats as bits and bytes; "" of a density, and without a bound.

        Examples
        --------
        >>> low, high = (Estimate.of([x, x], quantity="log p(x)", estimator="by hand", direction="lower")
        ...              for x in (-8 * math.log(2), -4 * math.log(2)))
        >>> print(AuditRecord("log p(x)", 2, "toy", "1f2e", 0, IdentityRecord(high, low), cells=4).as_file)
        A row takes 1.00 ± 0.00 bytes as a file of the ELBO (8.00 bits, 2.000 per cell; elbowroom compress), 0.50 of
        log p(x).
        """
        if self.cells is None or (self.identity is None and self.context is None):
            return ""
        few, many = self.identity, self.context
        bound = many.elbo if many is not None else cast("IdentityRecord", few).elbo
        alone = None if few is None else Number(few.log_p.mean, few.log_p.se_total)
        best = alone if many is None else self.log_p
        bits, byte = -bound.mean / math.log(2), 8 * math.log(2)
        end = "" if best is None else f", {-best.value / byte:,.2f} of {self.quantity}"
        return (
            f"A row takes {with_error(bits / 8, bound.se_total / byte)} bytes as a file of the ELBO ({bits:,.2f} bits, "
            f"{bits / self.cells:.3f} per cell; elbowroom compress){end}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which `from_dict` reads; their JSON schema is that of `AuditRecord.schema()`."""
        plain: dict[str, Any] = json.loads(json.dumps(_adapter().dump_python(self)))
        return plain

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "AuditRecord":
        """The record that `to_dict` wrote.

        Parameters
        ----------
        plain : mapping of str to values
            As read from JSON.

        Returns
        -------
        AuditRecord
            The record.

        Raises
        ------
        InputError
            Where a field is missing or of another kind: which one.
        """
        from pydantic import ValidationError

        try:
            record: AuditRecord = _adapter().validate_python(plain)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"This is no audit ({field}: {first['msg']}): make it again by er.audit.") from error
        return record

    @staticmethod
    def schema() -> dict[str, Any]:
        """The JSON schema of what `to_dict` returns."""
        found: dict[str, Any] = _adapter().json_schema(mode="serialization")
        return found

    def to_frame(self) -> "pd.DataFrame":
        """All numbers as a table, a row each: item, value, se, se of draws, n and unit.

        Returns
        -------
        DataFrame
            The identity first, then the context, the findings and the prices.
        """
        import pandas as pd

        columns = ["item", "value", "se", "se_draws", "n", "unit"]
        return pd.DataFrame([*self._identity_rows(), *self._context_rows(), *self._other_rows()], columns=columns)

    def _identity_rows(self) -> list[tuple[Any, ...]]:
        if self.identity is None:
            return []
        one = self.identity
        rows = [(self.quantity, one.log_p), ("ELBO of the best q", one.refined), ("ELBO", one.elbo)]
        rows += [("approximation", one.approximation), ("amortisation", one.amortisation), ("gap", one.total)]
        known = [(item, found) for item, found in rows if found is not None]
        return [(item, found.mean, found.se_total, found.se_mc, len(found), "nats") for item, found in known]

    def _context_rows(self) -> list[tuple[Any, ...]]:
        if self.context is None:
            return []
        own = self.context
        all_test = [("ELBO of test", own.elbo), ("rate", own.rate), ("distortion", own.distortion)]
        rows: list[tuple[Any, ...]] = [
            (item, one.mean, one.se_total, one.se_mc, one.n, "nats") for item, one in all_test
        ]
        numbers = [("generalisation", own.generalisation)]
        if own.prior_gap is not None:
            numbers += [("prior gap, at least", own.prior_gap.low), ("prior gap, at most", own.prior_gap.high)]
        if own.information is not None:
            numbers.append(("I(x; z)", own.information.value))
        if own.samples is not None:
            numbers.append(("samples from p(z) minus from q(z)", own.samples.difference))
        return rows + [(item, one.value, one.se, None, None, "nats") for item, one in numbers if one is not None]

    def _other_rows(self) -> list[tuple[Any, ...]]:
        found = [(one.name, one.value.value, one.value.se, None, None, one.unit) for one in self.findings]
        prices = [(f"won by {one.remedy}", one.gain.value, one.gain.se, None, one.n, "nats") for one in self.prices]
        return found + prices


def _named(difference: Estimate, quantity: str, direction: Any) -> Estimate:
    return replace(difference, quantity=quantity, direction=direction)


def _with_error(difference: Estimate) -> str:
    return with_error(difference.mean, difference.se_total)


@functools.cache
def _adapter() -> Any:  # a TypeAdapter, a hint that the tests' type checker does not know
    from pydantic import TypeAdapter

    return TypeAdapter(AuditRecord)
