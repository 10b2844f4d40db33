"""Training a density without latents: Adam, until validation stops improving."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["descend", "scored"]

_EVERY, _PATIENCE = 20, 5  # steps between looks at validation, looks without a gain


def descend(
    model: nn.Module,
    log_prob: Callable[[Tensor], Tensor],
    rows: Tensor,
    validation: Tensor,
    *,
    lr: float,
    steps: int,
    batch: int = 128,
) -> None:
    """Move a model's parameters up the log-density; the weights that are best on validation are kept.

    The rate falls along a cosine. The batches are drawn by torch's own generator.

    Parameters
    ----------
    model : nn.Module
        What is trained, in place.
    log_prob : callable
        Rows to log-densities [n].
    rows, validation : Tensor
        [n, dimensions].
    lr : float
        Adam's rate at the start.
    steps : int
        Of Adam, at most.
    batch : int, default 128
        Rows of a step.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept, looks = -np.inf, None, 0
    for step in range(1, steps + 1):
        chosen = rows[torch.randint(len(rows), (min(batch, len(rows)),))]
        optimizer.zero_grad()
        (-log_prob(chosen).mean()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0, foreach=False)
        optimizer.step()
        schedule.step()
        if step % _EVERY:
            continue
        value, looks = float(scored(log_prob, validation).mean()), looks + 1
        if value > best:
            best, looks = value, 0
            kept = {name: one.clone() for name, one in model.state_dict().items()}
        elif looks >= _PATIENCE:
            break
    if kept is not None:
        model.load_state_dict(kept)


@torch.no_grad()
def scored(log_prob: Callable[[Tensor], Tensor], rows: Tensor, at_once: int = 2_000) -> Tensor:
    """Log-densities [n] of rows [n, dimensions], some at once."""
    return torch.cat([log_prob(part) for part in rows.split(at_once)])
