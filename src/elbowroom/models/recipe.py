"""A recipe: what a model is and what trains it, in plain values."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from elbowroom.networks import MLP
from elbowroom.numerics import InputError, derived_seed

from .words import SETTINGS, Word, classes_of, made, split, takes

__all__ = ["Recipe", "as_recipe", "goal", "plain"]


@dataclass(frozen=True)
class Recipe:
    """A VAE of some data and its training, in words and numbers that go to YAML and back.

    A word is a kind, or a mapping with "kind" and options: {"kind": "normal", "scale": "shared"}; `known_words` lists
    the kinds.

    Parameters
    ----------
    prior, posterior
        Words for p(z) and q(z | x).
    likelihood
        A word for p(x | z); "auto" takes what the support of the data asks for.
    network
        A word for encoder and decoder: "mlp", or one for images (C, H, W).
    latents
        Dimensions of z, or classes where prior and posterior are categorical; default 16.
    widths
        Hidden layers of the encoder and, turned round, of the decoder, of an "mlp"; default (256, 256).
    seed
        Of the weights, the shuffling and the noise of training.
    objective
        A word for what is minimised, its numbers among the options: {"kind": "elbo", "beta": 0.5}.
    training
        Settings of `fit`, such as epochs, batch_size, lr.

    Raises
    ------
    InputError
        For a word that is not known.

    >>> Recipe(latents=2).where(beta=0.5, lr=1e-4).to_dict()["objective"]
    {'kind': 'elbo', 'beta': 0.5}
    """

    prior: Word = "standard-normal"
    posterior: Word = "diagonal-normal"
    likelihood: Word = "auto"
    network: Word = "mlp"
    latents: int = 16
    widths: Sequence[int] = (256, 256)
    seed: int = 0
    objective: Word = "elbo"
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in ("prior", "posterior", "likelihood", "network", "objective"):
            split(part, getattr(self, part))
        if self.latents < 1:
            raise InputError(f"latents must be 1 or more; got {self.latents}.")
        strange = [name for name in self.training if name not in SETTINGS]
        if strange:
            raise InputError(f"Training has no setting {strange[0]!r}; it has: {', '.join(SETTINGS)}.")
        for one in dataclasses.fields(self):
            object.__setattr__(self, one.name, plain(getattr(self, one.name)))
        object.__setattr__(self, "widths", tuple(self.widths))

    def where(self, **words: Any) -> "Recipe":
        """The recipe with other words: its fields, options of its objective, or settings of training, by name.

        Raises InputError for a name that is none of these.

        >>> Recipe().where(objective={"kind": "elbo", "warmup": 10}, beta=2.0).objective
        {'kind': 'elbo', 'warmup': 10, 'beta': 2.0}
        """
        words, names = plain(words), [one.name for one in dataclasses.fields(self)]
        recipe = dataclasses.replace(self, **{name: words.pop(name) for name in names if name in words})
        kind, options = split("objective", recipe.objective)
        theirs = takes(classes_of("objective")[kind])
        known = dict.fromkeys([*names, *theirs, *SETTINGS])
        for name in words:
            if name not in known:
                raise InputError(f"A recipe has no word {name!r}; it has: {', '.join(known)}.")
        options |= {name: words.pop(name) for name in list(words) if name in theirs}
        objective = {"kind": kind, **options} if options else kind
        return dataclasses.replace(recipe, objective=objective, training={**recipe.training, **words})

    @property
    def model(self) -> tuple[Any, ...]:
        """The words that make the model, those of its training apart."""
        return self.prior, self.posterior, self.likelihood, self.network, self.latents, self.widths

    def trains_by(self, name: str) -> bool:
        """Whether the objective has an option of this name.

        >>> Recipe().trains_by("beta"), Recipe().trains_by("lr")
        (True, False)
        """
        return name in takes(classes_of("objective")[split("objective", self.objective)[0]])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, lists in place of tuples: Recipe(**values) is the recipe again."""
        return {one.name: plain(getattr(self, one.name)) for one in dataclasses.fields(self)}


def as_recipe(words: Recipe | Mapping[str, Any]) -> Recipe:
    """A recipe, or the default one with these words."""
    return words if isinstance(words, Recipe) else Recipe().where(**words)


def goal(recipe: Recipe | Mapping[str, Any]) -> Any:
    """The objective, or the procedure, that a recipe is trained by; what it learns itself begins by the recipe's seed.

    A critic of z is an mlp of the recipe's widths.

    >>> goal({"beta": 0.5}).beta
    tensor(0.5000)
    """
    recipe = as_recipe(recipe)
    with torch.random.fork_rng([]):
        torch.manual_seed(derived_seed(recipe.seed, 1))
        critic = MLP([recipe.latents, *recipe.widths, 1])
        return made("objective", *split("objective", recipe.objective), {"critic": critic})


def plain(value: Any) -> Any:
    """The value as JSON and YAML know it: lists in place of tuples, numbers in place of NumPy's."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
