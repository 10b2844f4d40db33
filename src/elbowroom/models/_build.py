"""Data and words → VAE."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from elbowroom import likelihoods, networks, priors
from elbowroom.components import Component
from elbowroom.data import Dataset
from elbowroom.likelihoods import Likelihood
from elbowroom.networks._preset import PRESETS
from elbowroom.numerics import Given, InputError, Support, own_modes
from elbowroom.numerics.seeded import seeded
from elbowroom.vae import VAE

from .absent_classes import refuse_absent
from .at_scale import at_scale
from .class_prior import class_prior
from .counted import numbers_of
from .for_images import check_images
from .on_top_of import on_top_of
from .recipe import Recipe, as_recipe
from .size_block import LOG_SIZE, refuse_for_one_block, size_arguments, size_prior, sized_word
from .sizes import AUTO
from .words import Word, classes_of, instance_of, split, takes

__all__ = ["build", "class_counts"]

_RAW = ("grid", "counts", "categorical", "mixed")  # values may be large: encoders read them standardised

NetworkOf = Callable[[Sequence[str], int], nn.Module]
"""Makes the network that reads these names and returns so many numbers per example."""


@own_modes
def build(recipe: Recipe | Mapping[str, Any], data: Dataset, *, below: VAE | None = None) -> VAE:
    """Build the VAE that a recipe means for a data set.

    Parameters
    ----------
    recipe : Recipe or mapping
        A `Recipe`, or the words in which it differs from the default one, such as {"latents": 2}.
    data : Dataset
        Its event, support and preprocessing decide the sizes of the networks, the likelihood and the scale of x, and
        what "auto" means. The values of its examples are not read, but for which classes are known.
    below : VAE, optional
        A trained model of one layer, whose q(z | x) and p(x | z) a copy of becomes the lowest of several layers, and is
        kept as it is by `fit`: its parameters ask for no gradient. So M1+M2 is made of M1, and scored in x.

    Returns
    -------
    VAE
        Untrained but for what was `below`, with the data's preprocessing; its weights are drawn by the recipe's seed.

    Raises
    ------
    InputError
        For words that are not known, do not fit each other, or do not fit the data.

    Notes
    -----
    An encoder of grid levels or mixed columns reads them standardised, one of counts their logarithms and that of their
    total, and classes without an order are read one-hot.
    Where cells of the data are missing it also reads which are seen. Networks read contexts of numbers standardised.
    What a component takes from the data, such as the scale of its noise, it takes when `fit` begins.

    Examples
    --------
    >>> from elbowroom import load_data
    >>> vae = build({"latents": 2, "likelihood": {"kind": "normal", "scale": "shared"}}, load_data("digits"))
    >>> vae.latents, vae.likelihood.scale
    (2, 'shared')
    """
    recipe = as_recipe(recipe)
    with seeded(recipe.seed):
        vae = _Builder(recipe, data).vae()
    return vae if below is None else on_top_of(vae, below)


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
        self.data = data
        self.recipe = recipe = recipe.sized(data)
        self.sizes = {"z" if level == 1 else f"z{level}": size for level, size in enumerate(recipe.layers, 1)}
        self.y = self._block_of_classes()
        self.drawn_sizes: dict[str, int] = {}
        self.trunks: dict[int, nn.Module] = {}
        self.support = data.preprocess.support(data.support)
        self.classes = class_counts(self.support, math.prod(data.event))
        self.log_counts = self.support.kind == "counts" and len(data.event) == 1
        self.gaps = any(part.fill is not None for part in data.parts.values())
        self.network, self.options = split("network", recipe.network)
        self.decoder_widths = self.options.pop("decoder", None)
        objective = split("objective", recipe.objective)[0]
        self.drawn = tuple(getattr(classes_of("objective")[objective], "contexts", ()))
        if self._dense and "widths" in self.options:
            raise InputError("The widths of an mlp are a word of their own: widths=[256, 256].")
        if not self._dense:
            check_images(self.network, recipe, data, any(self.classes))
        self.named: tuple[str, ...] = ()
        with torch.random.fork_rng([]):
            likelihood = self._likelihood(recipe.likelihood, None)
        self.latent_size = LOG_SIZE in likelihood.beside
        if self.latent_size:
            refuse_for_one_block(objective)
        self.named = recipe.contexts_of(data, [one for one in likelihood.beside if one != "batch"])

    def vae(self) -> VAE:
        below = {name: self._lower_prior(name, above) for name, above in pairwise(self.sizes)}
        posterior = self._posterior(below)
        if self.latent_size:
            reads = {"given": self._reads({}, ["x", *["seen"] * self.gaps])}
            posterior[LOG_SIZE] = self._posterior_of(LOG_SIZE, "diagonal-normal", reads, self._encoder)
        likelihood = self._likelihood(self.recipe.likelihood, self._decoder)
        top = list(self.sizes)[-1]
        at_hand = self._latent_arguments(top) | {"posterior": posterior[top], "decoder": likelihood.network}
        prior = self._prior(at_hand)
        sized = {LOG_SIZE: size_prior(self.data, self.named)} if self.latent_size else {}
        blocks = {**class_prior(self.recipe, self.y), **below, top: prior, **sized}
        vae = VAE(blocks, posterior, likelihood, preprocess=self.data.preprocess)
        vae.table, vae.coding = self.data.train.table, self.data.train.coding
        return vae

    def _prior(self, at_hand: Mapping[str, Any]) -> Component:
        """p of the top layer, with a network where its word says which contexts it is given."""
        kind, options = split("prior", self.recipe.prior)
        if not options.get("given") or "network" not in takes(classes_of("prior")[kind]):
            made: Component = instance_of("prior", kind, options, at_hand)
            return made
        with torch.random.fork_rng([]):
            counted = instance_of("prior", kind, options, {**at_hand, "network": nn.Identity()})
        numbers = numbers_of(counted, self._blank_example())
        network = self._dense_network(counted.reads, numbers, tuple(reversed(self.recipe.hidden)))
        with_network: Component = instance_of("prior", kind, options, {**at_hand, "network": network})
        return with_network

    def _reads(self, options: Mapping[str, Any], usual: Sequence[str], classes: Sequence[str] = ()) -> list[str]:
        """What a part reads: what its word says, or else the usual and the contexts; its class, and what is drawn."""
        named = self.named if self.recipe.context != AUTO or "given" not in options else ()
        return [*dict.fromkeys([*options.get("given", usual), *classes, *named, *self.drawn])]

    def _latent_arguments(self, block: str) -> dict[str, Any]:
        """What prior and posterior of a block may ask for by name."""
        size = (self.sizes | self.y | {LOG_SIZE: 1})[block]
        return {"event": size, "classes": size, "cells": size, "inputs": self.data.event}

    def _block_of_classes(self) -> dict[str, int]:
        """Name and number of classes of the block that the recipe names; empty where it names none."""
        asked = self.recipe.block_of_classes
        if asked is None:
            return {}
        name, words = asked[0], self.data.beside_classes.get(asked[0])
        if name not in self.data.train.observed or words is None:
            there = ", ".join(one for one in self.data.train.observed if one in self.data.beside_classes) or "none"
            raise InputError(
                f"The recipe's classes={name!r} is no block of classes of these data (they have: {there}): load them "
                f"with load_data(..., labels=COLUMN, observed='label') and say classes='label'."
            )
        if name in self.sizes or name == "x":
            raise InputError(f"A block of classes cannot be called {name!r}, as a layer of z or x is: rename it.")
        refuse_absent(name, words, self.data)
        return {name: len(words)}

    def _classes_of(self, block: str) -> tuple[str, ...]:
        """The block of classes, where it belongs to this layer: to the top one."""
        return tuple(self.y) if block == list(self.sizes)[-1] else ()

    def _with_classes(self, kind: str, options: dict[str, Any], reads: list[str], make: NetworkOf) -> dict[str, Any]:
        """q of the block of classes, and of the top layer that reads it, given what both of them read."""
        top = list(self.sizes)[-1]
        found = {name: self._posterior_of(name, "categorical-posterior", {"given": reads}, make) for name in self.y}
        options = options | {"given": [*reads, *self.y]} if self.y else options
        return found | {top: self._posterior_of(top, kind, options, make)}

    def _lower_prior(self, block: str, above: str) -> Component:
        """p(z | z above) of a layer below the top, a normal."""
        reads = (above, *self._classes_of(above), *self.named, *self.drawn)
        network = self._dense_network(reads, 2 * self.sizes[block], tuple(reversed(self.recipe.hidden)))
        return priors.Normal(self.sizes[block], network=network, given=reads)

    def _posterior(self, below: Mapping[str, Component]) -> dict[str, Component]:
        """Posteriors by block, in the order in which they are drawn."""
        kind, options = split("posterior", self.recipe.posterior)
        usual = takes(classes_of("posterior")[kind])["given"].default
        reads = self._reads(options, usual)
        if self.gaps and "x" in reads:  # or a filler would be taken for a value
            reads = [*dict.fromkeys([*reads, "seen"])]
        if reads != [*usual]:
            options["given"] = reads
        bottom, *others = self.sizes
        if kind == "ladder":
            rungs = {name: self._rung(name, level, below.get(name), options) for level, name in enumerate(self.sizes)}
            return dict(reversed(rungs.items()))
        if not others:
            return self._with_classes(kind, options, [*reads], self._encoder)
        found = {bottom: self._posterior_of(bottom, kind, options, self._encoder)}
        contexts = [name for name in reads if name not in ("x", "seen")]
        *_, top = others
        for name, under in zip(others, self.sizes, strict=False):
            options["given"] = [under, *contexts]
            if name == top:
                found |= self._with_classes(kind, options, options["given"], self._up)
            else:
                found[name] = self._posterior_of(name, kind, options, self._up)
        return found

    def _posterior_of(
        self, block: str, kind: str, options: Mapping[str, Any], network_of: NetworkOf, **more: Any
    ) -> Component:
        """One block, with a network of the size that it asks for."""

        def over(network: nn.Module) -> Component:
            at_hand = self._latent_arguments(block) | {"network": network, **more}
            made_of: Component = instance_of("posterior", kind, options, at_hand)
            return made_of

        with torch.random.fork_rng([]):
            counted = over(nn.Identity())
        self.drawn_sizes[block] = math.prod(counted.event)
        return over(network_of(counted.reads, numbers_of(counted, self._blank_example())))

    def _rung(self, block: str, level: int, prior: Component | None, options: Mapping[str, Any]) -> Component:
        """A ladder's posterior of one layer, which goes on from the features of the layer below."""

        def network_of(reads: Sequence[str], numbers: int) -> nn.Module:
            if self._dense and not self.recipe.hidden:
                return self._encoder(reads, numbers)
            head = self._dense_network([], numbers, self.recipe.hidden[-1:])
            return self._standardised(networks.Chained(self._features(reads, level), head))

        if prior is None:
            return self._posterior_of(block, "diagonal-normal", options, network_of)
        return self._posterior_of(block, "ladder", options, network_of, prior=prior)

    def _features(self, reads: Sequence[str], level: int) -> nn.Module:
        """The deterministic way up to a layer, shared with those above."""
        if level not in self.trunks:
            *hidden, last = self.recipe.hidden
            ends = {"output": self.options.get("activation", "silu")}
            if level == 0:
                made = self._make_network(reads, last, hidden, ends if self._dense else {})
            else:
                step = self._dense_network([], last, (last, *hidden), ends)
                made = networks.Chained(self._features(reads, level - 1), step)
            self.trunks[level] = made
        return self.trunks[level]

    def _likelihood(self, word: Word, network_of: NetworkOf | None) -> Likelihood:
        """The likelihood of a word; without a network where there is none to make."""
        kind, options = split("likelihood", word)
        if kind == "auto":
            kind, options = sized_word(self.data, self.support, options)
        if kind == "auto":
            return self._auto(network_of, **options)
        if isinstance(options.get("family"), str | Mapping):
            options["family"] = self._likelihood(options["family"], None)
        if (reads := self._reads(options, ("z",), self._classes_of("z"))) != ["z"]:
            options["given"] = reads
        with torch.random.fork_rng([]) if network_of else contextlib.nullcontext():
            counted: Likelihood = instance_of("likelihood", kind, options, self._likelihood_arguments(None))
        counted.check(self.support)
        if network_of is None:
            return counted
        reads = [name for name in counted.given if name not in counted.beside]
        network = network_of(reads, counted.numbers)
        full: Likelihood = instance_of("likelihood", kind, options, self._likelihood_arguments(network))
        return full

    def _auto(self, network_of: NetworkOf | None, scale: str | None = None, **options: Any) -> Likelihood:
        reads = self._reads(options, ("z",), self._classes_of("z"))

        def network(numbers: int) -> Any:
            return None if network_of is None else network_of(reads, numbers)

        return likelihoods.auto(self.support, self.data.event, network, given=reads, scale=scale)[0]

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
        known |= size_arguments(self.data)
        if self.support.atoms:
            known["atoms"] = list(self.support.atoms)
        if self.data.image_shape is not None and len(self.data.event) == 1:
            known["image_shape"] = self.data.image_shape
        return known

    def _blank_example(self) -> Given:
        """One blank example, to ask components by."""
        context = {name: value[:1].unsqueeze(0) for name, value in self.data.train.context.items()}
        x = torch.zeros(1, 1, *self.data.event)
        more = {name: x.new_zeros(1, 1, size) for name, size in self.y.items()}
        more |= {name: x.new_zeros(1, 1, 1) for name in (*self.drawn, LOG_SIZE)}
        return {"x": x, "seen": torch.ones_like(x), **context, **more}

    def _encoder(self, reads: Sequence[str], numbers: int) -> nn.Module:
        return self._standardised(self._make_network(reads, numbers, self.recipe.hidden))

    def _standardised(self, network: nn.Module) -> nn.Module:
        if self.support.kind not in _RAW:
            return network
        event = () if self.support.kind == "grid" else self.data.event
        classes = self.classes if any(self.classes) else ()
        return networks.Standardised(network, event=event, classes=classes, log1p=self.log_counts)

    def _up(self, reads: Sequence[str], numbers: int) -> nn.Module:
        """The network of a posterior that reads the layer below."""
        return self._dense_network(reads, numbers, self.recipe.hidden)

    def _decoder(self, reads: Sequence[str], numbers: int) -> nn.Module:
        hidden = tuple(reversed(self.recipe.hidden)) if self.decoder_widths is None else tuple(self.decoder_widths)
        return self._make_network(reads, numbers, hidden)

    def _dense_network(
        self, reads: Sequence[str], numbers: int, widths: Sequence[int], more: Mapping[str, Any] = MappingProxyType({})
    ) -> nn.Module:
        """An mlp from these names, or else from the first width, to these numbers."""
        sizes = [sum(map(self._size, reads))] if reads else []
        options = {**(self.options if self._dense else {}), **more}
        network: nn.Module = instance_of("network", "mlp", options, {"widths": [*sizes, *widths, numbers]})
        return at_scale(network, reads, self.data.train.context)

    def _make_network(
        self, reads: Sequence[str], numbers: int, widths: Sequence[int], more: Mapping[str, Any] = MappingProxyType({})
    ) -> nn.Module:
        """The network from these names to these numbers, as an image where it is one."""
        if self._dense:
            return self._dense_network(reads, numbers, widths, more)
        first, *others = [self._size(name) for name in reads]
        encodes, image = reads[0] == "x", self.data.event
        parts = 1 if encodes else numbers // math.prod(image)
        if self.network in PRESETS:
            return at_scale(self._preset(encodes, numbers, parts, sum(others)), reads, self.data.train.context)
        ends = (image, numbers) if encodes else (first, image)
        at_hand = {"inputs": ends[0], "outputs": ends[1], "parts": parts, "context": sum(others)}
        network: nn.Module = instance_of("network", self.network, self.options, at_hand)
        return at_scale(network, reads, self.data.train.context)

    def _preset(self, encodes: bool, numbers: int, parts: int, context: int) -> nn.Module:
        latents = self.sizes["z"]
        if encodes and numbers != 2 * latents:
            raise InputError(
                f"The encoder of {self.network!r} returns two numbers per latent, and this posterior needs {numbers} "
                f"for {latents} latents: take network='conv'."
            )
        both = networks.preset(self.network, image=self.data.event, latents=latents, parts=parts, context=context)
        return both[0] if encodes else both[1]

    def _size(self, name: str) -> int:
        """How many numbers a network reads of what has this name."""
        if name == "x":
            return sum(k or 1 for k in self.classes) + self.log_counts
        if name in self.y:
            return self.y[name]
        if name in self.sizes:
            return self.drawn_sizes.get(name, self.sizes[name])
        if name == "seen":
            return math.prod(self.data.event)
        if name in self.drawn:
            return 1
        if name not in self.data.train.context:
            there = ", ".join(self.data.train.context) or "none"
            raise InputError(f"The recipe reads the context {name!r}, which the data lack (they have: {there}).")
        return math.prod(self.data.train.context[name].shape[1:])

    @property
    def _dense(self) -> bool:
        return self.network not in PRESETS and "widths" in takes(classes_of("network")[self.network])
