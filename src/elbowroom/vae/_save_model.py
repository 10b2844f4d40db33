"""A model in one file: weights as safetensors, and a recipe in plain words in the file's header."""

import json
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file

from elbowroom.atomic import write_atomic
from elbowroom.components import Blocks
from elbowroom.recipes import recipe_of

from .vae import VAE

__all__ = ["FORMAT", "model_recipe", "save_model"]

FORMAT = 2
"""Version of the recipe; version 1 described a module at every place where it stood, and is read too."""


def model_recipe(vae: VAE) -> dict[str, Any]:
    """How the model was made, in plain values; the user's own modules are named "encoder", "decoder", or by block."""

    def blocks(part: Blocks, role: str) -> tuple[dict[str, Any], dict[str, str]]:
        name = "{role}" if len(part) == 1 else "{role}.{block}"
        return dict(part.items()), {key: name.format(role=role, block=key) for key in part}

    (prior, priors), (posterior, posteriors) = blocks(vae.prior, "prior"), blocks(vae.posterior, "encoder")
    parts = {"prior": prior, "posterior": posterior, "likelihood": vae.likelihood, "preprocess": vae.preprocess}
    names = {"prior": priors, "posterior": posteriors, "likelihood": "decoder", "preprocess": "preprocess"}
    return {"version": FORMAT, **recipe_of(parts, names)}


def save_model(vae: VAE, path: str | Path) -> Path:
    """Write the model to one file, atomically: safetensors with the recipe (YAML) in its header. Returns the path."""
    path = Path(path)
    recipe = yaml.safe_dump(model_recipe(vae), sort_keys=False)
    # Cloned, because a network that stands in two places is two entries of one memory, which safetensors refuses.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in vae.state_dict().items()}
    metadata = {"recipe": recipe, "tied": json.dumps(_tied(vae))}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))
    return path


def _tied(vae: VAE) -> list[list[str]]:
    """Names of the parameters that stand under several, by parameter."""
    names: dict[int, list[str]] = {}
    for name, parameter in vae.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [same for same in names.values() if len(same) > 1]
