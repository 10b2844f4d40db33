"""A small AutoencoderKL of diffusers, trained by its trainer's loss on CIFAR-10 for a few hundred steps."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import elbowroom as er
from elbowroom.atomic import write_atomic

STEPS, BATCH, LR, KL_WEIGHT = 500, 32, 1e-3, 1e-6
SHAPE: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "sample_size": 32,
}


def fresh(seed: int = 0) -> Any:
    """The module, untrained."""
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    return AutoencoderKL(**SHAPE)


def images() -> er.data.Dataset:
    """CIFAR-10, as images."""
    return er.load_data("cifar10", flat=False, progress=False)


def signed(x: Tensor) -> Tensor:
    """Grey levels as its trainers map them."""
    return x.float() / 127.5 - 1


def loss_of(model: Any, x: Tensor, generator: torch.Generator) -> Tensor:
    """Sum of squares plus KL_WEIGHT · KL, mean over images."""
    q = model.encode(x).latent_dist
    z = q.mean + q.std * torch.randn(q.mean.shape, generator=generator)
    return ((model.decode(z).sample - x).square().sum() + KL_WEIGHT * q.kl().sum()) / len(x)


def _held(model: Any, adam: torch.optim.Adam, losses: list[float]) -> dict[str, Tensor]:
    """Weights, moments and losses, as tensors by name."""
    found = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for place, state in adam.state_dict()["state"].items():
        found |= {f"adam.{place}.{key}": value.contiguous() for key, value in state.items()}
    return {**found, "losses": torch.tensor(losses, dtype=torch.float64)}


def _restore(held: dict[str, Tensor], model: Any, adam: torch.optim.Adam) -> list[float]:
    """Take up what `_held` gave; the losses so far."""
    model.load_state_dict({name[len("model.") :]: value for name, value in held.items() if name.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name in (name for name in held if name.startswith("adam.")):
        _, place, key = name.split(".")
        state.setdefault(int(place), {})[key] = held[name]
    adam.load_state_dict({**adam.state_dict(), "state": state})
    return held["losses"].tolist()


def train(model: Any, data: er.data.Dataset, steps: int, folder: Path | None = None, every: int = 50) -> list[float]:
    """The losses of all steps; what is in the folder is not trained again. Rows and noise depend on the step alone."""
    adam, losses, first = torch.optim.Adam(model.parameters(), lr=LR), [], 0
    path = None if folder is None else folder / "autoencoder_kl.safetensors"
    if path is not None and path.exists():
        losses = _restore(load_file(path), model, adam)
        first = len(losses)
    model.train()
    for step in range(first, steps):
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(len(data.train), (BATCH,), generator=generator)
        loss = loss_of(model, signed(data.train.rows(rows).x), generator)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        if path is not None and ((step + 1) % every == 0 or step + 1 == steps):
            held = _held(model, adam, losses)
            write_atomic(path, lambda temporary, held=held: save_file(held, temporary))
            print(step + 1, round(sum(losses[-every:]) / len(losses[-every:]), 2), flush=True)
    model.eval()
    return losses
