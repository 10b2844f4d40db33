"""What a study knows before it trains: what it refuses, and what it will not measure."""

import torch

from elbowroom.data import Dataset
from elbowroom.distributions import capabilities
from elbowroom.numerics import InputError
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["check_parts", "no_squares"]

_LEAST = 2  # examples of a part, so that means over it have an error


def check_parts(data: Dataset) -> None:
    """Raise InputError where a part is too small to train on, choose by or measure on, or has missing cells."""
    if data.train.fill is not None:
        raise InputError(
            f"{data.name!r} has missing cells, and the classics of a study score complete rows alone: train with "
            f"er.fit and measure with er.evidence, or load complete rows."
        )
    for name, part in data.parts.items():
        if len(part) < _LEAST:
            raise InputError(
                f"A study needs {_LEAST} {name} examples or more, and {data.name!r} has {len(part)}: load the data "
                f"with a larger share for that part."
            )


@torch.no_grad()
def no_squares(vae: VAE, data: Dataset) -> str | None:
    """Why squared errors and variances mean nothing on these data, in a sentence; None where they mean something."""
    support, said = vae.preprocess.support(data.support), "There is no squared error and no split of the variance"
    if support.kind == "categorical":
        return f"{said}: the data are classes without an order, which have no mean."
    if support.kind == "mixed":
        classes = any(one.kind == "categorical" for one in support.columns)
        also = ", and classes without an order have no mean" if classes else ""
        return f"{said}: the columns are of different kinds, whose squares have no unit in common{also}."
    batch = data.validation[:_LEAST].batch()
    with evaluating(vae):
        p_x = vae(batch, vae.keyed_noise(1, batch.index, 0), lay_out=False).p_x
    return None if "mean" in capabilities(p_x) else f"{said}: the model's p(x | z) has no mean."
