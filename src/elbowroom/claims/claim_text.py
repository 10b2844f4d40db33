"""A printed number and what it is said to be, from the words that people print."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from elbowroom.numerics import InputError

__all__ = ["Claim", "claim_of"]

Quantity = Literal["ELBO", "IWAE", "log-likelihood"]
_NUMBER = r"[-−–+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+−]?\d+)?"
_NEGATIVE = r"\b(nelbo|nll|loss|negative|free energy|vfe|bpd|neg)\b|[-−–] ?(elbo|log|ll\b)|bits? ?(/|per) ?(dim|pix)"


@dataclass(frozen=True)
class Claim:
    """A number and what it is said to be, in nats per example, on the scale where more is better.

    Parameters
    ----------
    text : str
        As it was given.
    quantity : {"ELBO", "IWAE", "log-likelihood"}
        What it is said to be.
    draws : int or None
        K of an IWAE.
    value : float
        In nats per example; of an NLL, a loss or bits per dimension, minus what was said.
    error : float
        The ± that was said, in nats; 0 where none was.
    step : float
        Half of the last digit that was said, in nats.
    unit : {"nats", "bits", "bits per dimension"}
        As it was said.
    said : float
        The number as it was said.
    negative : bool
        Whether less of it is better.
    """

    text: str
    quantity: Quantity
    draws: int | None
    value: float
    error: float
    step: float
    unit: str
    said: float
    negative: bool

    @property
    def name(self) -> str:
        """The quantity in words."""
        return f"IWAE-{self.draws:,}" if self.quantity == "IWAE" else self.quantity

    def as_said(self, nats: float, dimensions: int) -> float:
        """A number in the unit and with the sign of the claim.

        Parameters
        ----------
        nats : float
            Per example, more of which is better.
        dimensions : int
            Elements of one x.

        Returns
        -------
        float
            The number as it would be printed.
        """
        return (-nats if self.negative else nats) / _nats_of(self.unit, dimensions)


def _nats_of(unit: str, dimensions: int) -> float:
    return {"nats": 1.0, "bits": math.log(2)}.get(unit, dimensions * math.log(2))


def claim_of(text: str, dimensions: int) -> Claim:
    """Read a claim.

    Parameters
    ----------
    text : str
        As "ELBO −98.2", "IWAE-5000: -86.4 ± 0.1 nats", "NLL 92.1", "3.21 bits/dim".
    dimensions : int
        Numbers of one x, for bits per dimension.

    Returns
    -------
    Claim
        In nats per example.

    Raises
    ------
    InputError
        Where there is no number, no known quantity, or no K of an IWAE.
    """
    flat = text.lower().replace("_", " ")
    quantity = _quantity(flat)
    head, _, tail = re.sub(r"\+/-|\+-", "±", flat).partition("±")
    numbers = re.findall(_NUMBER, re.sub(r"log ?2|p\(x\)|10\^", " ", head))
    draws = None
    if quantity == "IWAE":
        asked = re.search(r"(?:k ?= ?|iwae[ -]*\(?|iwae \w* ?)(\d[\d,]*)(?![\d.])", head)
        if asked is None or len(numbers) < 2:
            raise InputError(f"The claim {text!r} says no K: write 'IWAE-50 −88.2', as the bound rises with K.")
        draws = int(asked[1].replace(",", ""))
    if not numbers:
        raise InputError(f"The claim {text!r} holds no number: write what was printed, as 'ELBO −98.2'.")
    written, unit = numbers[-1], _unit(flat)
    factor = _nats_of(unit, dimensions)
    said, negative = _float(written), bool(re.search(_NEGATIVE, flat)) or unit == "bits per dimension"
    error = [_float(one) for one in re.findall(_NUMBER, tail)][:1]
    value = (-said if negative else said) * factor
    step = 0.5 * 10.0 ** -_decimals(written) * factor
    return Claim(text, quantity, draws, value, abs(error[0]) * factor if error else 0.0, step, unit, said, negative)


def _quantity(flat: str) -> Quantity:
    if re.search(r"iwae|importance|iwelbo", flat):
        return "IWAE"
    if re.search(r"elbo|lower bound|vlb|loss|free energy|vfe", flat):
        return "ELBO"
    if re.search(r"nll|log ?-?lik|log p|\bll\b|likelihood|bpd|bits? ?(/|per)|evidence|marginal", flat):
        return "log-likelihood"
    raise InputError(
        f"The claim {flat!r} names no quantity: say ELBO, IWAE-K, log p(x), NLL, bits per dimension or loss, and its "
        f"number."
    )


def _unit(flat: str) -> str:
    if re.search(r"bpd|bits? ?(/|per) ?(dim|pix|sub)", flat):
        return "bits per dimension"
    return "bits" if re.search(r"\bbits?\b", flat) else "nats"


def _float(written: str) -> float:
    return float(written.replace("−", "-").replace("–", "-").replace(",", ""))


def _decimals(written: str) -> int:
    mantissa, _, power = written.lower().replace("−", "-").partition("e")
    return len(mantissa.partition(".")[2]) - (int(power) if power else 0)
