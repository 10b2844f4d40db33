"""One model of a sweep, and what it measures on validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elbowroom.models import Recipe, label
from elbowroom.numerics import Estimate, count, rounded
from elbowroom.runs import History
from elbowroom.vae import VAE

__all__ = ["PASS", "Swept"]

PASS = "256 MiB"
"""What a pass through a model may take while a sweep, or a study, is measured: beside its other models and the data."""


@dataclass(frozen=True)
class Swept:
    """One model of a sweep, and what it measures on validation, in nats per example.

    Printed: one line, with its label, its bounds and how many latents it uses.

    Parameters
    ----------
    name : str
        Its name as a folder.
    label : str
        Its name for people, such as "β = 0.5".
    settings : mapping
        Its value on every axis.
    vae : VAE
        The trained model.
    history : History
        Of its training.
    rate : Estimate
        KL(q(z | x) ‖ p(z)).
    distortion : Estimate
        −E log p(x | z) under q; rate + distortion = −elbo.
    elbo : Estimate
        A lower bound on log p(x), whatever β the model was trained with.
    iwae : Estimate
        The importance-weighted bound, by which `choose` chooses.
    active : int
        Active latent units.
    squared_error : float or None
        Of reconstructions; None where p(x | z) has no mean, as over classes without an order.
    recipe : Recipe, optional
        What it was built and trained by, its settings among the rest; None where it was not trained by a recipe.
    """

    name: str
    label: str
    settings: Mapping[str, Any]
    vae: VAE
    history: History
    rate: Estimate
    distortion: Estimate
    elbo: Estimate
    iwae: Estimate
    active: int
    squared_error: float | None
    recipe: Recipe | None = None

    @property
    def family(self) -> str:
        """What it has in common with the models that differ from it in β and seed alone; empty where that is all."""
        return label({name: value for name, value in self.settings.items() if name not in ("beta", "seed")})

    def __str__(self) -> str:
        bounds = [f"{rounded(bound.mean)} ± {rounded(bound.se_total)}" for bound in (self.elbo, self.iwae)]
        return f"{self.label}: ELBO {bounds[0]}, IWAE {bounds[1]} nats, {count(self.active, 'active latent')}"

    __repr__ = __str__
