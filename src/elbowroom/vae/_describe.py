"""A model in words: p(z), q(z | x), p(x | z), and which density of x it is."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from elbowroom.components import Component

from .core import VAECore

__all__ = ["describe"]

_LEFT_OUT = ("event", "given", "beside")  # said beside the settings


def describe(vae: VAECore) -> str:
    """Describe a model in a few lines: its components, networks and sizes, and what its bounds and its samples are of.

    Parameters
    ----------
    vae : VAE
        The model; `print(vae)` shows the same.

    Returns
    -------
    str
        Several lines.

    Examples
    --------
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> q = posteriors.DiagonalNormal(nn.Linear(3, 4), 2)
    >>> print(VAE(priors.StandardNormal(2), q, likelihoods.Normal(nn.Linear(2, 3), 3, scale=1.0)))
    VAE of x (3,) with 2 latents and 25 parameters
      p(z)        standard-normal over (2,)
      q(z | x)    diagonal-normal (network Linear of 16 parameters, spread softplus, floor 1e-05) over (2,)
      p(x | z)    normal (network Linear of 9 parameters, scale 1.0) over (3,)
      preprocess  identity
    Its bounds are bounds on log p(x), in nats, on the scale of the data.
    Samples have this density with mode="ancestral"; with "mean" or "offset", one x per z, they have none.
    """
    parameters = sum(p.numel() for p in vae.parameters())
    rows = [(_symbol("p", name, block.given), _component(block)) for name, block in vae.prior.items()]
    rows += [(_symbol("q", name, block.given), _component(block)) for name, block in vae.posterior.items()]
    rows += [(_symbol("p", "x", vae.likelihood.given), _component(vae.likelihood))]
    rows += [("preprocess", _settings(vae.preprocess))]
    width = max(len(symbol) for symbol, _ in rows)
    density = "this density" if vae.quantity.startswith("log p") else "no density that was trained"
    return "\n".join(
        [
            f"VAE of x {vae.likelihood.event} with {vae.latents} latents and {parameters:,} parameters",
            *(f"  {symbol:<{width}}  {words}" for symbol, words in rows),
            f"Its bounds are bounds on {vae.quantity}, in nats, on the scale of the data.",
            f'Samples have {density} with mode="ancestral"; with "mean" or "offset", one x per z, they have none.',
            *(f"Assumed: {sentence}" for sentence in vae.assumed),
        ]
    )


def _symbol(density: str, of: str, given: tuple[str, ...]) -> str:
    return f"{density}({of} | {', '.join(given)})" if given else f"{density}({of})"


def _component(component: Component) -> str:
    return "; ".join([f"{_settings(component)} over {component.event}", *component.state_words()])


def _settings(part: Any) -> str:
    """The kind of a described part, with its plain settings and the networks in it."""
    if not hasattr(part, "arguments"):
        return type(part).__name__
    words = [_value(name, value) for name, value in part.arguments.items() if name not in _LEFT_OUT]
    words = [word for word in words if word]
    return f"{part.kind} ({', '.join(words)})" if words else str(part.kind)


def _value(name: str, value: Any) -> str:
    if value is None or (isinstance(value, list | tuple | Mapping) and not value):
        return ""
    if isinstance(value, nn.Module):
        return f"{name} {_network(value)}"
    if isinstance(value, list | tuple) and any(isinstance(item, nn.Module) for item in value):
        return f"{name} [{', '.join(_network(item) for item in value)}]"
    return f"{name} {value}"


def _network(module: Any) -> str:
    """A module in a few words: its kind or class, its widths where it has them, its size."""
    if hasattr(module, "arguments") and not hasattr(module, "widths"):
        return _settings(module)
    widths = "-".join(map(str, getattr(module, "widths", ())))
    name = getattr(module, "kind", type(module).__name__)
    return f"{name} {widths}" if widths else f"{name} of {sum(p.numel() for p in module.parameters()):,} parameters"
