"""Values that several records hold: an estimate, its summary, and a number with its error."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from elbowroom.numerics import Budget, Estimate

__all__ = ["EstimateField", "Number", "Summary"]


def _estimate(value: Any) -> Estimate:
    if isinstance(value, Estimate):
        return value
    try:
        return Estimate.from_dict(value)
    except (KeyError, TypeError) as error:  # of which pydantic would not say where they are
        raise ValueError(f"no estimate: {error}") from error


EstimateField = Annotated[Estimate, PlainValidator(_estimate), PlainSerializer(Estimate.to_dict)]
"""An Estimate in a record, written and read by its own `to_dict` and `from_dict`."""


@dataclass(frozen=True)
class Summary:
    """An Estimate without its values per example: what is said of a model of the sweep, which has many.

    Its attributes are called as those of an `Estimate`, so whatever draws one draws the other.

    Parameters
    ----------
    mean : float
        Mean over examples, in nats.
    se_mc : float
        Standard error of the mean that more draws would remove.
    se_total : float
        Standard error of the mean, draws and examples together.
    quantity : str
        What is estimated, as "log p(x)".
    estimator : str
        How, as "IWAE-100".
    direction : str
        Whether it is a bound, as in an `Estimate`.
    n : int
        Examples; the length of the summary.
    budget : Budget
        Draws per example, seed and seconds.

    Examples
    --------
    >>> one = Summary.of(Estimate.of([-1.0, -3.0], quantity="log p(x)", estimator="exact", direction="exact"))
    >>> one.mean, one.se_total, len(one)
    (-2.0, 1.0, 2)
    """

    mean: float
    se_mc: float
    se_total: float
    quantity: str
    estimator: str
    direction: str
    n: int
    budget: Budget

    @classmethod
    def of(cls, estimate: Estimate) -> "Summary":
        """The summary of an estimate.

        Parameters
        ----------
        estimate : Estimate
            Of any quantity.

        Returns
        -------
        Summary
            With the estimate's mean and errors.
        """
        return cls(
            mean=estimate.mean,
            se_mc=estimate.se_mc,
            se_total=estimate.se_total,
            quantity=estimate.quantity,
            estimator=estimate.estimator,
            direction=estimate.direction,
            n=len(estimate),
            budget=estimate.budget,
        )

    def __len__(self) -> int:
        return self.n


@dataclass(frozen=True)
class Number:
    """A number with its standard error.

    Parameters
    ----------
    value : float
        The number.
    se : float, optional
        Its standard error; None where it has none.
    n : int, optional
        Examples that it is a mean over, where that is known: of few ones more errors are needed to be sure.
    """

    value: float
    se: float | None
    n: int | None = field(default=None, compare=False)
