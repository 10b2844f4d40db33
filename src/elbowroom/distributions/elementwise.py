"""Functions with a gradient of their own, of tensors whose numbers stand each for itself."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["Elementwise"]


class Elementwise(torch.autograd.Function):
    """A function of tensors of one shape, number by number, whose `forward` sees plain tensors under vmap too.

    So `forward` may look at values, and do what is costly only where it is needed. A subclass defines `forward`, of
    tensors and then plain numbers, which returns a tuple of tensors of that shape; and `backward`, which finds the
    tensors it was given and then those it returned in `ctx.saved_tensors`, the numbers in `ctx.numbers`, and None for
    the gradient of what was not used.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the gradients are made of."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)), *output)
        ctx.numbers = [x for x in inputs if not isinstance(x, Tensor)]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        """All members at once, along a first dimension."""
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        places = zip(tensors, in_dims, strict=False)
        alike = (x.unsqueeze(0) if place is None else x.movedim(place, 0) for x, place in places)
        out = cls.apply(*torch.broadcast_tensors(*alike), *inputs[len(tensors) :])
        return out, (0,) * len(out)
