"""A model in one file: weights as safetensors, and a recipe in plain words in the file's header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file
from torch import Tensor

from elbowroom.atomic import write_atomic
from elbowroom.components import Blocks
from elbowroom.recipes import recipe_of

from .vae import VAE

__all__ = ["FORMAT", "model_recipe", "save_model"]

FORMAT = 2
"""Version of the recipe; version 1 described a module at every place where it stood, and is read too."""


def model_recipe(vae: VAE) -> dict[str, Any]:
    """Describe how a model was made, in plain values.

    Parameters
    ----------
    vae : VAE
        The model. The user's own networks are named "encoder", "decoder", or "encoder.BLOCK".

    Returns
    -------
    dict
        What `build_model` takes.
    """

    def blocks(part: Blocks, role: str) -> tuple[dict[str, Any], dict[str, str]]:
        name = "{role}" if len(part) == 1 else "{role}.{block}"
        return dict(part.items()), {key: name.format(role=role, block=key) for key in part}

    (prior, priors), (posterior, posteriors) = blocks(vae.prior, "prior"), blocks(vae.posterior, "encoder")
    parts = {"prior": prior, "posterior": posterior, "likelihood": vae.likelihood, "preprocess": vae.preprocess}
    names = {"prior": priors, "posterior": posteriors, "likelihood": "decoder", "preprocess": "preprocess"}
    assumed = {"assumed": list(vae.assumed)} if vae.assumed else {}
    beta = {"beta": vae.beta} if vae.beta != 1 else {}
    return {"version": FORMAT, **recipe_of(parts, names), **assumed, **beta}


def save_model(vae: VAE, path: str | Path) -> Path:
    """Write a model to one file: its weights as safetensors, and in the file's header the recipe that builds it.

    The names of a table's columns, and the words that their codes mean, go with it, so that the model that is read
    again refuses other columns. The file is whole or absent, whatever interrupts the writing, and of one model it
    is the same bytes.

    Parameters
    ----------
    vae : VAE
        The model.
    path : str or Path
        The file, such as "vae.safetensors".

    Returns
    -------
    Path
        The same.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(er.networks.MLP([3, 4]), 2),
    ...              er.likelihoods.Normal(er.networks.MLP([2, 3]), 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(vae, f"{folder}/vae.safetensors").name
    'vae.safetensors'
    """
    path = Path(path)
    recipe = yaml.safe_dump(model_recipe(vae), sort_keys=False)
    # Cloned, because a network that stands in two places is two entries of one memory, which safetensors refuses.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in vae.state_dict().items()}
    metadata = {"recipe": recipe, "tied": json.dumps(_shared_names(vae)), "table": json.dumps(vae.table)}
    metadata["coding"] = json.dumps(vae.coding)
    write_atomic(path, lambda temporary: _save(tensors, temporary, metadata))
    return path


def _save(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write the file with its header in alphabetical order; safetensors has another order each time it is called."""
    save_file(dict(tensors), path, metadata=metadata)
    whole = path.read_bytes()
    begins = 8 + int.from_bytes(whole[:8], "little")
    header = json.dumps(json.loads(whole[8:begins]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # so that tensors begin where memory can be mapped
    path.write_bytes(len(header).to_bytes(8, "little") + header + whole[begins:])


def _shared_names(vae: VAE) -> list[list[str]]:
    """Names of the parameters that stand under several, by parameter."""
    names: dict[int, list[str]] = {}
    for name, parameter in vae.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [same for same in names.values() if len(same) > 1]
