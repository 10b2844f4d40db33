"""Devices and processes through Lightning Fabric; imported only where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from elbowroom.numerics import InputError

from .history import History

if TYPE_CHECKING:
    from .fitting import Plan

__all__ = ["train_with_fabric"]


def train_with_fabric(plan: Plan, device: str, processes: int, precision: str) -> History:
    """Train the plan's one model on `device`, split over `processes`; it comes back on the CPU.

    With several processes each works on its share of every batch, gradients are averaged, and the script that calls
    this needs the usual `if __name__ == "__main__":` guard.
    """
    from lightning_fabric import Fabric

    if processes < 1:
        raise InputError(f"processes must be 1 or more; got {processes}.")
    strategy = "auto" if processes == 1 else ("ddp_spawn" if device == "cpu" else "ddp")
    try:
        fabric = Fabric(accelerator=device, devices=processes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    except Exception as error:
        raise InputError(
            f"Lightning Fabric cannot train on {processes} × {device!r} in {precision!r}: {error}"
        ) from error
    if processes == 1:
        history, _ = _work(fabric, plan)
        plan.vaes[0].cpu()
        return history
    history, state = fabric.launch(_work, plan)  # type: ignore[arg-type]
    plan.vaes[0].load_state_dict(state)
    plan.vaes[0].eval()
    return history


def _work(fabric: Any, plan: Plan) -> tuple[History, dict[str, Tensor]]:
    vae = plan.vaes[0]
    fabric.to_device(vae)
    history = plan.train(fabric)[0]
    return history, {name: tensor.cpu() for name, tensor in vae.state_dict().items()}
