"""Devices and processes through Lightning Fabric; imported only where they are asked for."""

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from elbowroom.numerics import InputError
from elbowroom.runs.history import History

from .checks import reason
from .training_plan import TrainingPlan

__all__ = ["train_with_fabric"]


def train_with_fabric(
    plan: TrainingPlan, run: str | Path | None, resume: bool, device: str, processes: int, precision: str
) -> History:
    """Train one model on a device, or split over processes, through Lightning Fabric; it comes back on the CPU.

    With several processes each works on its share of every batch, gradients are averaged, and the script that calls
    this needs the usual `if __name__ == "__main__":` guard.

    Parameters
    ----------
    plan : TrainingPlan
        Of one model.
    run : str, Path or None
        The run folder.
    resume : bool
        Whether the run in it is continued.
    device : str
        As Fabric names it.
    processes : int
        How many share each batch.
    precision : str
        As Fabric names it.

    Returns
    -------
    History
        As `fit` returns it.
    """
    from lightning_fabric import Fabric

    smallest = min(plan.settings.batch_size, len(plan.data.train))
    if not 1 <= processes <= smallest:
        raise InputError(f"processes must be from 1 to the {smallest} examples of a batch; got {processes}.")
    if processes > 1 and not plan.is_plain():
        raise InputError(
            "Several processes share the batches of one objective that moves no buffer of its own; for this procedure "
            "leave processes at 1."
        )
    strategy = "auto" if processes == 1 else ("ddp_spawn" if device == "cpu" else "ddp")
    try:
        fabric = Fabric(accelerator=device, devices=processes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    except Exception as error:
        raise InputError(
            f"Lightning Fabric cannot train on {processes} × {device!r} in {precision!r} ({reason(error)}): choose "
            f"others, or leave them out for one process on the CPU."
        ) from error
    step = plan.steps[0]
    plan.begin([run], resume, writes=fabric.global_rank == 0)
    outcome = _work(fabric, plan) if processes == 1 else fabric.launch(_work, plan)  # type: ignore[arg-type]
    if isinstance(outcome, InputError):
        raise outcome
    history, state = outcome
    tensors = load(state)
    trained = next((tensors[f"vae.{name}"].dtype for name, _ in step.vae.named_parameters()), None)
    step.vae.to(torch.float32 if trained in (torch.bfloat16, torch.float16) else trained)
    step.load_state_dict(tensors)
    step.eval()
    return history


def _work(fabric: Any, plan: TrainingPlan) -> tuple[History, bytes] | InputError:
    """Train in this process; what is handed back is plain, as tensors and errors do not leave a process whole."""
    step = plan.steps[0] = copy.deepcopy(plan.steps[0])  # spawned processes would else write to the same parameters
    fabric.to_device(step)
    try:
        history = plan.train(fabric)[0]
    except InputError as error:
        return error
    return history, save({name: tensor.cpu().clone().contiguous() for name, tensor in step.state_dict().items()})
