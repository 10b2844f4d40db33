"""Data and words → VAE."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from elbowroom import likelihoods, networks
from elbowroom.components import Component
from elbowroom.data import Dataset
from elbowroom.likelihoods import Likelihood
from elbowroom.networks._preset import PRESETS
from elbowroom.numerics import Given, InputError, Support
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .recipe import Recipe, as_recipe
from .words import Word, classes_of, instance_of, split, takes

__all__ = ["build", "class_counts"]

_RAW = ("grid", "counts", "categorical", "mixed")  # values may be large: encoders read them standardised

NetworkOf = Callable[[Sequence[str], int], nn.Module]
"""Makes the network that reads these names and returns so many numbers per example."""


def build(recipe: Recipe | Mapping[str, Any], data: Dataset) -> VAE:
    """Build the VAE that a recipe means for a data set.

    Parameters
    ----------
    recipe : Recipe or mapping
        A `Recipe`, or the words in which it differs from the default one, such as {"latents": 2}.
    data : Dataset
        Its event, support and preprocessing decide the sizes of the networks, the likelihood and the scale of x. The
        values of its examples are not read.

    Returns
    -------
    VAE
        Untrained, with the data's preprocessing; its weights are drawn by the recipe's seed.

    Raises
    ------
    InputError
        For words that are not known, do not fit each other, or do not fit the data.

    Notes
    -----
    An encoder of grid levels, counts or mixed columns reads them standardised, and classes without an order one-hot.
    Where cells of the data are missing it also reads which are seen.
    What a component takes from the data, such as the scale of its noise, it takes when `fit` begins.

    Examples
    --------
    >>> from elbowroom import load_data
    >>> vae = build({"latents": 2, "likelihood": {"kind": "normal", "scale": "shared"}}, load_data("digits"))
    >>> vae.latents, vae.likelihood.scale
    (2, 'shared')
    """
    recipe = as_recipe(recipe)
    with torch.random.fork_rng([]):
        torch.manual_seed(recipe.seed)
        return _Builder(recipe, data).vae()


def class_counts(support: Support, dimensions: int) -> list[int]:
    """How many classes without an order each element of x holds.

    Parameters
    ----------
    support : Support
        Of preprocessed x.
    dimensions : int
        Elements of x.

    Returns
    -------
    list of int
        0 for an element that is a number.
    """
    columns = support.columns or (support,) * dimensions
    return [one.levels or 0 if one.kind == "categorical" else 0 for one in columns]


class _Builder:
    """One recipe on one data set."""

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self.recipe, self.data, self.latents = recipe, data, recipe.latents
        self.support = data.preprocess.support(data.support)
        self.classes = class_counts(self.support, math.prod(data.event))
        self.gaps = any(part.fill is not None for part in data.parts.values())
        self.network, self.options = split("network", recipe.network)
        if self._dense and "widths" in self.options:
            raise InputError("The widths of an mlp are a word of their own: widths=[256, 256].")
        if not self._dense:
            self._check_images()

    def vae(self) -> VAE:
        posterior = self._posterior()
        likelihood = self._likelihood(self.recipe.likelihood, self._decoder)
        prior = instance_of(
            "prior", *split("prior", self.recipe.prior), self._latent_arguments | {"posterior": posterior}
        )
        vae = VAE(prior, posterior, likelihood, preprocess=self.data.preprocess)
        vae.table = self.data.train.table
        self._check_blocks(vae)
        return vae

    @property
    def _latent_arguments(self) -> dict[str, Any]:
        """What prior and posterior may ask for by name."""
        return {"event": self.latents, "classes": self.latents, "inputs": self.data.event}

    def _posterior(self) -> Component:
        kind, options = split("posterior", self.recipe.posterior)

        def over(network: nn.Module) -> Component:
            made_of: Component = instance_of("posterior", kind, options, self._latent_arguments | {"network": network})
            return made_of

        reads = options.get("given", takes(classes_of("posterior")[kind])["given"].default)
        if self.gaps and "x" in reads and "seen" not in reads:  # or a filler would be taken for a value
            options["given"] = [*reads, "seen"]

        with torch.random.fork_rng([]):
            counted = over(nn.Identity())
        return over(self._encoder(counted.given, _numbers(counted, self._blank_example())))

    def _likelihood(self, word: Word, network_of: NetworkOf | None) -> Likelihood:
        """The likelihood of a word; without a network where there is none to make."""
        kind, options = split("likelihood", word)
        if kind == "auto":
            return self._auto(network_of)
        if isinstance(options.get("family"), str | Mapping):
            options["family"] = self._likelihood(options["family"], None)
        with torch.random.fork_rng([]) if network_of else contextlib.nullcontext():
            counted: Likelihood = instance_of("likelihood", kind, options, self._likelihood_arguments(None))
        counted.check(self.support)
        if network_of is None:
            return counted
        reads = [name for name in counted.given if name not in counted.beside]
        network = network_of(reads, counted.numbers)
        full: Likelihood = instance_of("likelihood", kind, options, self._likelihood_arguments(network))
        return full

    def _auto(self, network_of: NetworkOf | None) -> Likelihood:
        def network(numbers: int) -> Any:
            return None if network_of is None else network_of(["z"], numbers)

        return likelihoods.auto(self.support, self.data.event, network)[0]

    def _likelihood_arguments(self, network: nn.Module | None) -> dict[str, Any]:
        """What a likelihood may ask for by name."""
        alone: Any = self._auto(None)
        known = {
            "network": network,
            "event": self.data.event,
            "levels": self.support.levels or self.data.support.levels or 2,
            "family": alone,
            "families": list(getattr(alone, "families", [alone])),
        }
        if self.support.atoms:
            known["atoms"] = list(self.support.atoms)
        if self.data.image_shape is not None and len(self.data.event) == 1:
            known["image_shape"] = self.data.image_shape
        return known

    def _blank_example(self) -> Given:
        """One blank example, to ask components by."""
        context = {name: value[:1].unsqueeze(0) for name, value in self.data.train.context.items()}
        x = torch.zeros(1, 1, *self.data.event)
        return {"x": x, "seen": torch.ones_like(x), **context}

    def _encoder(self, reads: Sequence[str], numbers: int) -> nn.Module:
        network = self._make_network(reads, numbers, self.recipe.widths)
        if self.support.kind not in _RAW:
            return network
        event = () if self.support.kind == "grid" else self.data.event
        return networks.Standardised(network, event=event, classes=self.classes if any(self.classes) else ())

    def _decoder(self, reads: Sequence[str], numbers: int) -> nn.Module:
        return self._make_network(reads, numbers, tuple(reversed(self.recipe.widths)))

    def _make_network(self, reads: Sequence[str], numbers: int, widths: Sequence[int]) -> nn.Module:
        """The network from these names to these numbers, as an image where it is one."""
        first, *others = [self._size(name) for name in reads]
        if self._dense:
            at_hand: dict[str, Any] = {"widths": [first + sum(others), *widths, numbers]}
        else:
            encodes, image = reads[0] == "x", self.data.event
            parts = 1 if encodes else numbers // math.prod(image)
            if self.network in PRESETS:
                return self._preset(encodes, numbers, parts, sum(others))
            ends = (image, numbers) if encodes else (first, image)
            at_hand = {"inputs": ends[0], "outputs": ends[1], "parts": parts, "context": sum(others)}
        network: nn.Module = instance_of("network", self.network, self.options, at_hand)
        return network

    def _preset(self, encodes: bool, numbers: int, parts: int, context: int) -> nn.Module:
        if encodes and numbers != 2 * self.latents:
            raise InputError(
                f"The encoder of {self.network!r} returns two numbers per latent, and this posterior needs {numbers} "
                f"for {self.latents} latents: take network='conv'."
            )
        both = networks.preset(self.network, image=self.data.event, latents=self.latents, parts=parts, context=context)
        return both[0] if encodes else both[1]

    def _size(self, name: str) -> int:
        """How many numbers a network reads of what has this name."""
        if name == "x":
            return sum(k or 1 for k in self.classes)
        if name == "z":
            return self.latents
        if name == "seen":
            return math.prod(self.data.event)
        if name not in self.data.train.context:
            there = ", ".join(self.data.train.context) or "none"
            raise InputError(f"The recipe reads the context {name!r}, which the data lack (they have: {there}).")
        return math.prod(self.data.train.context[name].shape[1:])

    @property
    def _dense(self) -> bool:
        return self.network not in PRESETS and "widths" in takes(classes_of("network")[self.network])

    def _check_images(self) -> None:
        if len(self.data.event) != 3 or any(self.classes):
            flat = "load the data with flat=False" if self.data.image_shape is not None else "take network='mlp'"
            raise InputError(
                f"The network {self.network!r} reads images of numbers (C, H, W), and the examples of "
                f"{self.data.name!r} have event {self.data.event} on the {self.support}: {flat}."
            )
        if tuple(self.recipe.widths) != Recipe.widths:
            raise InputError(
                f"widths are of an mlp: say the channels of {self.network!r} as options of the word, "
                f"network={{'kind': 'conv', 'channels': [32, 64]}}."
            )

    @torch.no_grad()
    def _check_blocks(self, vae: VAE) -> None:
        """A density cannot be compared with a probability: both factors of z are over classes, or neither."""
        (prior,), (posterior,) = vae.prior.values(), vae.posterior.values()
        with evaluating(vae):
            p: Any = prior({name: value for name, value in self._blank_example().items() if name in prior.given})
        over = [bool(p.support.is_discrete), posterior.classes > 1]
        if over[0] != over[1]:
            where = ["classes" if discrete else "real numbers" for discrete in over]
            raise InputError(
                f"The prior {split('prior', self.recipe.prior)[0]!r} is over {where[0]}, and the posterior "
                f"{split('posterior', self.recipe.posterior)[0]!r} over {where[1]}: take two that are over the same."
            )


class _Asked(Exception):
    """Carries how many numbers a component asked of its network."""

    def __init__(self, numbers: int) -> None:
        super().__init__(numbers)
        self.numbers = numbers


def _numbers(component: Component, given: Given) -> int:
    """How many numbers per example a component asks of its network, found by letting it ask."""

    def ask(_: Given, numbers: int) -> Any:
        raise _Asked(numbers)

    setattr(component, "numbers_from", ask)  # noqa: B010
    try:
        component(given)
    except _Asked as asked:
        return asked.numbers
    raise InputError(f"A {type(component).__name__} asks nothing of its network, so words cannot size it.")
