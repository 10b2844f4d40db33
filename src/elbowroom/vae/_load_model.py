"""Models from the files that `save_model` wrote."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from elbowroom.numerics import InputError, own_modes
from elbowroom.recipes import build

from ._save_model import FORMAT
from .vae import VAE

__all__ = ["build_model", "load_model"]

# Kinds register themselves when their modules are imported.
_ROOMS_WITH_KINDS = ("priors", "posteriors", "likelihoods", "preprocess", "networks", "adapters")
_PARTS = ("prior", "posterior", "likelihood", "preprocess")
_READ = (1, FORMAT)


def build_model(recipe: Any, modules: Mapping[str, nn.Module] | None = None) -> VAE:
    """Build the model that `model_recipe` described, with fresh weights.

    Parameters
    ----------
    recipe : mapping
        Plain values, as `model_recipe` gives them.
    modules : mapping of str to Module, optional
        The user's own networks by the names that the recipe gives them.

    Returns
    -------
    VAE
        Untrained.

    Raises
    ------
    InputError
        For a recipe of another version or without one of its parts.
    """
    for room in _ROOMS_WITH_KINDS:
        _import_all(f"elbowroom.{room}")
    if not isinstance(recipe, Mapping):
        raise InputError(f"A model's recipe is a table of its parts; this one is a {type(recipe).__name__}.")
    if recipe.get("version") not in _READ:
        raise InputError(
            f"The recipe is of version {recipe.get('version')!r} and this elbowroom reads versions 1 and {FORMAT}: "
            f"use the elbowroom that wrote it, or train again."
        )
    missing = [name for name in _PARTS if name not in recipe]
    if missing:
        raise InputError(f"The recipe lacks the {missing[0]}; save the model again with er.save_model.")
    parts: dict[str, Any] = build({name: recipe[name] for name in _PARTS}, modules=modules)
    vae = VAE(**parts)
    vae.assumed = tuple(map(str, recipe.get("assumed", ())))
    beta = recipe.get("beta", 1.0)
    return vae if beta == 1 else vae.at_beta(beta)


def _tie(vae: VAE, tied: list[list[str]]) -> None:
    for first, *others in tied:
        for name in others:
            module, _, own = name.rpartition(".")
            setattr(vae.get_submodule(module), own, vae.get_parameter(first))


@own_modes
def load_model(path: str | Path, *, modules: Mapping[str, nn.Module] | None = None) -> VAE:
    """Read the model that `save_model` wrote, in evaluation mode.

    A network that stood in two places of the model stands there again as one.

    Parameters
    ----------
    path : str or Path
        The file.
    modules : mapping of str to Module, optional
        The user's own networks by name, as "encoder" and "decoder": a file holds their weights and not their code.

    Returns
    -------
    VAE
        With the saved weights, on the CPU.

    Raises
    ------
    InputError
        For a missing, damaged or foreign file, an unknown version, or a network that was not given.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.MLP([3, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.MLP([2, 3]), 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_model(er.save_model(vae, f"{folder}/vae.safetensors"))
    >>> bool((again.sample(4) == vae.sample(4)).all())
    True
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or is no safetensors file ({error}): save the model again.") from error
    if "recipe" not in header:
        raise InputError(f"{path} holds weights but no recipe; elbowroom writes models with er.save_model.")
    try:
        recipe = yaml.safe_load(header["recipe"])
    except yaml.YAMLError as error:
        raise InputError(f"The recipe in {path} is no plain YAML: save the model again.") from error
    vae = build_model(recipe, modules)
    shapes = {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    different = [name for name in {**shapes, **found} if shapes.get(name) != found.get(name)]
    if different:
        name = different[0]
        raise InputError(
            f"The weights in {path} do not fit its recipe, or the modules given for it: {name} is "
            f"{found.get(name, 'absent')} in the file and {shapes.get(name, 'absent')} in the model."
        )
    of_parameters = (tensors[name].dtype for name, _ in vae.named_parameters())
    vae.to(next(of_parameters, vae.dtype))
    vae.load_state_dict(tensors)
    _tie(vae, json.loads(header.get("tied", "[]")))
    vae.table, vae.coding = (
        tuple((name, tuple(words)) for name, words in json.loads(header.get(key, "[]"))) for key in ("table", "coding")
    )
    return vae.eval()


def _import_all(package: str) -> None:
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        importlib.import_module(f"{package}.{found.name}")
