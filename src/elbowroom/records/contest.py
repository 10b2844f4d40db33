"""What the stage `contest` leaves: the classics on the same data."""

from dataclasses import dataclass

from .values import EstimateField

__all__ = ["ClassicRecord", "ContestRecord", "SearchRecord"]


@dataclass(frozen=True)
class SearchRecord:
    """Where the search for the best setting of a classic ended.

    Parameters
    ----------
    said : str
        That the best is inside what was tried, at the edge of it, or where the budget was spent, in sentences.
    inside : bool, default True
        Whether every step from the best one was tried.
    won : float, optional
        Nats per held-out row that the last step towards what was not tried won, the greatest; None where nobody knows.
    """

    said: str
    inside: bool = True
    won: float | None = None


@dataclass(frozen=True)
class ClassicRecord:
    """A density model that is no VAE, tuned on validation.

    Parameters
    ----------
    name, setting : str
        What it is, and what won on validation.
    estimate : Estimate
        Its exact log p(x) of the test examples, in nats.
    latent, noise : float
        Its Var E[x | z] and E Var[x | z], summed over dimensions of the preprocessed data, where z is its factors, its
        component, or the training example that a kernel stands on.
    search : SearchRecord, optional
        Where the search for its setting ended; None in older records.
    """

    name: str
    setting: str
    estimate: EstimateField
    latent: float
    noise: float
    search: SearchRecord | None = None


@dataclass(frozen=True)
class ContestRecord:
    """What `contest` leaves: the classics. It knows no VAE, so it stands whatever is measured of one.

    Parameters
    ----------
    classics : tuple of ClassicRecord
        Each tuned on validation and measured on test; none where none could be fitted.
    left_out : str, optional
        What was left out and why, in words: densities that mean nothing on such data, settings and rows that would
        cost too much, and families that could not be fitted or whose likelihood has no maximum.
    variance : float
        Of the validation examples on the network's scale, summed over dimensions.
    tuned : str, optional
        How the settings were chosen, and what they were fitted to, in words.
    """

    classics: tuple[ClassicRecord, ...]
    left_out: str | None
    variance: float
    tuned: str | None = None

    @property
    def said(self) -> str | None:
        """How the classics were tuned, where each search ended, and what was left out."""
        return " ".join(one for one in (self.tuned, *self._searched, self.left_out) if one) or None

    @property
    def _searched(self) -> list[str]:
        """Sentences: one for all whose best is inside, and then those of the others."""
        ended = [(one.name, one.search) for one in self.classics if one.search]
        inside = [name for name, search in ended if search.inside]
        said = [f"The best of {', '.join(inside)} is inside what was tried."] if inside else []
        return said + [search.said for _, search in ended if not search.inside]

    @property
    def best(self) -> ClassicRecord | None:
        """The classic with the highest log p(x) on test, where there is any."""
        return max(self.classics, key=lambda one: one.estimate.mean, default=None)
