"""A function of tensors on a CUDA device, recorded as a graph of kernels that the device runs by itself."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Recorded"]


class Recorded:
    """A function of tensors, which gives what it gives, without the time that it takes to launch kernel after kernel.

    What it returns stands in memory of its own and is overwritten by the next call. Where the function cannot be
    recorded, because it waits for the device in between, it is called as it is.

    Parameters
    ----------
    function : callable
        Of tensors on one CUDA device, always of the same shapes; draws no random numbers.
    still : int
        How many of its first tensors are the same in every call, so that their values are read where they lie; the
        others are copied. Where one of them is another after all, all is recorded anew.
    """

    def __init__(self, function: Callable[..., list[Tensor]], still: int) -> None:
        self.function, self.still = function, still
        self._graph: torch.cuda.CUDAGraph | None = None
        self._read: list[Tensor] = []
        self._found: list[Tensor] = []
        self._refused = False

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """The function's value."""
        if self._refused:
            return self.function(*tensors)
        if self._graph is None or self._moved(tensors):
            try:
                self._record(tensors)
            except RuntimeError:  # an operation that a graph cannot hold; the function itself is still there
                self._refused, self._graph = True, None
                return self.function(*tensors)
        for read, given in zip(self._read[self.still :], tensors[self.still :], strict=True):
            read.copy_(given)
        assert self._graph is not None
        self._graph.replay()
        return self._found

    def _moved(self, tensors: Sequence[Tensor]) -> bool:
        pairs = zip(self._read[: self.still], tensors[: self.still], strict=True)
        return any(one.data_ptr() != other.data_ptr() or one.stride() != other.stride() for one, other in pairs)

    def _record(self, tensors: Sequence[Tensor]) -> None:
        self._graph, self._found = None, []  # their memory is free before more is taken
        self._read = [*tensors[: self.still], *(one.clone() for one in tensors[self.still :])]
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):  # libraries take their memory at a first call, which is no part of the graph
            self.function(*self._read)
        here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._found = self.function(*self._read)
        self._graph = graph
