"""What a remedy leaves: a model with one part replaced, and its bounds before and after."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from elbowroom import evidence
from elbowroom.data import Dataset
from elbowroom.numerics import Estimate
from elbowroom.vae import VAE

__all__ = ["Remedied", "remedied"]


@dataclass(frozen=True)
class Remedied:
    """A model with one part replaced, and its bounds on validation before and after, in nats per example.

    Parameters
    ----------
    vae : VAE
        The new model; the one that was given stays as it is.
    name : str
        Of the remedy, with what it chose, such as "refit_prior (mixture of 16)".
    elbo_before : Estimate
        ELBO of the model as it was.
    elbo_after : Estimate
        ELBO of the new model: a bound on its own log p(x), whatever the networks were trained by.
    iwae_before : Estimate
        Importance-weighted bound of the model as it was.
    iwae_after : Estimate
        Importance-weighted bound of the new model.
    seconds : float
        What it took, the bounds included.
    beaten : bool, default False
        Whether another remedy, tried in its place, won more, so that it does not pay to keep this one.
    """

    vae: VAE
    name: str
    elbo_before: Estimate
    elbo_after: Estimate
    iwae_before: Estimate
    iwae_after: Estimate
    seconds: float = field(compare=False)
    beaten: bool = field(default=False, kw_only=True)

    @cached_property
    def gain(self) -> Estimate:
        """The ELBO that was won, paired by example."""
        return self.elbo_after - self.elbo_before

    @cached_property
    def gain_iwae(self) -> Estimate:
        """The importance-weighted bound that was won: mostly what p won, since q enters it less."""
        return self.iwae_after - self.iwae_before

    @property
    def gap_opened(self) -> Estimate:
        """How much further IWAE lies above the ELBO than before: what q, unchanged, loses against the new posterior."""
        return (self.iwae_after - self.elbo_after) - (self.iwae_before - self.elbo_before)

    @property
    def pays(self) -> bool:
        """Whether the ELBO rose by more than its standard error, and the tighter bound did not fall by more than its.

        Both errors are those of the paired differences, examples and draws together. What was beaten does not.
        """
        if self.beaten:
            return False
        return bool(self.gain.mean > self.gain.se_total and self.gain_iwae.mean > -self.gain_iwae.se_total)

    def __str__(self) -> str:
        gap = self.gap_opened
        return (
            f"{self.name}: ELBO {self.elbo_before.mean:.1f} → {self.elbo_after.mean:.1f} nats "
            f"({self.gain.mean:+.1f} ± {self.gain.se_total:.1f}); the gap to IWAE changed by {gap.mean:+.1f} ± "
            f"{gap.se_total:.1f}"
        )


def remedied(
    kind: type[Remedied],
    name: str,
    before: VAE,
    after: VAE,
    data: Dataset,
    *,
    draws: int,
    seed: int,
    since: float,
    more: Mapping[str, Any] | None = None,
) -> Any:
    """Measure a remedy on validation.

    Parameters
    ----------
    kind : type
        `Remedied`, or what has more fields.
    name : str
        Of the remedy.
    before, after : VAE
        The models.
    data : Dataset
        Whose validation part is measured.
    draws : int
        Of z, per example.
    seed : int
        Keys all noise, by (seed, example), the same before and after.
    since : float
        When the remedy began, by `time.monotonic`.
    more : mapping, optional
        Further fields.

    Returns
    -------
    Remedied
        Of that kind.
    """
    bounds: dict[str, Any] = {
        f"{word}_{when}": bound(model, data.validation, draws=draws, seed=seed)
        for word, bound in (("elbo", evidence.elbo), ("iwae", evidence.iwae))
        for when, model in (("before", before), ("after", after))
    }
    return kind(vae=after.eval(), name=name, seconds=time.monotonic() - since, **bounds, **(more or {}))
