"""A device that needs no hardware: tensors that say they are on a GPU and are computed on the CPU.

It refuses what CUDA refuses: arithmetic between a tensor of its own and one of the CPU (a CPU tensor without dimensions
is a number and may join; a CPU index may pick from its tensors, not the other way round), a generator of another
device, numpy without a copy to the CPU. What it cannot see are the kernels: their numbers, their memory, their speed.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda", 0)
_BACK = torch.device("meta")  # what torch's own C++ sees, which knows no device that is not there
_CPU = torch.device("cpu")
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
_PICKS = {_aten.index.Tensor, _aten._unsafe_index.Tensor}
_PUTS = {_aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
_NO_NUMBERS = {_aten.cat.default, _aten.stack.default, _aten.mm.default, _aten.addmm.default, _aten.bmm.default}
_NO_NUMPY = (
    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
)


class Pretended(Tensor):
    """A tensor whose `inner` numbers are on the CPU and whose device reads `DEVICE`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Pretended":
        return Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=_BACK,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"{self.inner!r} on {DEVICE}"

    @property
    def device(self) -> torch.device:
        return DEVICE

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class PretendedGenerator(torch.Generator):
    """A generator of the pretended device: the CPU's numbers, under another device's name."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return torch._C.Generator.__new__(cls) if _is_pretended(device) else torch._C.Generator(device)

    @property
    def device(self) -> torch.device:
        return DEVICE


class _Names(TorchFunctionMode):
    """Gives torch the device's other name, and refuses what torch's C++ would do without asking the dispatcher."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if args and isinstance(args[0], Pretended) and func in _BY_HAND:
            return _BY_HAND[func](*args, **kwargs)
        if func is Tensor.cuda:
            return args[0].to(DEVICE)
        for one in (*args, kwargs.get("generator")):
            if isinstance(one, torch._C.Generator):
                _refuse_other_generator(one, args, kwargs.get("device"))
        args = tuple(_other_name(one) if isinstance(one, torch.device | str) else one for one in args)
        if kwargs.get("device") is not None:
            kwargs["device"] = _other_name(kwargs["device"])
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _with_tensors(args[1]), *args[2:])
        if func is torch.tensor and kwargs.get("device") == _BACK:
            return torch.tensor(*args, **{**kwargs, "device": _CPU}).to(_BACK)
        found = func(*args, **kwargs)
        return DEVICE if isinstance(found, torch.device) and found.type == "meta" else found


class _Factories(TorchDispatchMode):
    """Makes what a factory makes on the device, and what moves there, a tensor of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _refuse(*_: Any, **__: Any) -> None:
    raise TypeError(_NO_NUMPY)


def _numpy(x: Pretended, *, force: bool = False) -> Any:
    return x.detach().inner.numpy(force=True) if force else _refuse()


_BY_HAND = {
    Tensor.tolist: lambda x: x.detach().inner.tolist(),
    Tensor.numpy: _numpy,
    Tensor.__array__: _refuse,
}


def _is_pretended(device: Any) -> bool:
    return str(device).partition(":")[0] in ("cuda", "meta")


def _other_name(value: Any) -> Any:
    return _BACK if _is_pretended(value) else value


def _with_tensors(index: Any) -> Any:
    """An index with tensors for lists, which torch would make on a device of the other name, without numbers."""
    if isinstance(index, tuple):
        return tuple(_with_tensors(one) for one in index)
    return torch.tensor(index, dtype=None if index else torch.int64) if isinstance(index, list) else index


def _refuse_other_generator(generator: torch.Generator, args: Any, device: Any) -> None:
    """Numbers are drawn where their generator is."""
    drawn = _is_pretended(device) or any(isinstance(one, Pretended) for one in args)
    if drawn != isinstance(generator, PretendedGenerator):
        one, other = ("cuda", "cpu") if drawn else ("cpu", "cuda")
        raise RuntimeError(f"Expected a '{one}' device type for generator but found '{other}'")


def mapped(function: Any, value: Any) -> Any:
    """The function of every tensor in what an operation takes or gives."""
    if isinstance(value, tuple | list):
        return type(value)([mapped(function, one) for one in value])
    return function(value) if isinstance(value, Tensor) else value


def _inner(one: Tensor) -> Tensor:
    return one.inner if isinstance(one, Pretended) else one


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What the operation gives on the inner numbers, on the device that torch would have left it on."""
    tensors: list[Tensor] = []
    mapped(tensors.append, [*args, *kwargs.values()])
    own, target = any(isinstance(one, Pretended) for one in tensors), kwargs.get("device")
    assert not any(one.is_meta for one in tensors), f"{func} lost its numbers on the way"
    if not own and target != _BACK:
        return func(*args, **kwargs)
    if own:
        _refuse_two_devices(func, args, tensors)
    plain = {name: mapped(_inner, value) for name, value in kwargs.items()}
    found = func(*mapped(_inner, args), **plain | ({} if target is None else {"device": _CPU}))
    if func._schema.is_mutable and isinstance(found, Tensor):
        return kwargs.get("out", args[0])
    if target is not None and target != _BACK:
        return found
    if func is _aten._to_copy.default and found is _inner(args[0]):
        found = found.clone()
    return mapped(Pretended, found)


def _refuse_two_devices(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """Refuse a CPU tensor beside those of the device, but for numbers, copies and indices."""
    if func in _COPIES:
        return
    if func in _PICKS | _PUTS:
        values = [args[0], *args[2:3]]
        if not isinstance(args[0], Pretended):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        tensors = [one for one in values if isinstance(one, Tensor)]
    writes = func._schema.is_mutable
    for place, one in enumerate(tensors):
        number = one.dim() == 0 and func not in _NO_NUMBERS and not (writes and place == 0)
        if not isinstance(one, Pretended) and not number:
            two = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
            raise RuntimeError(f"{two} ({func})")


@contextlib.contextmanager
def generators_named() -> Iterator[None]:
    """While it is open, a generator made for the device is one of the CPU under the device's name."""
    named = [one for name, one in sys.modules.items() if name == "torch" or name.startswith("elbowroom")]
    with pytest.MonkeyPatch.context() as patch:
        for module in named:
            if module.__dict__.get("Generator") is torch._C.Generator:
                patch.setattr(module, "Generator", PretendedGenerator)
        yield


@contextlib.contextmanager
def pretended_device() -> Iterator[torch.device]:
    """The device, while it is open; neither torch's own CUDA nor any other is initialised."""
    with pytest.MonkeyPatch.context() as patch, generators_named():
        patch.setattr(torch.cuda, "get_rng_state", lambda _=None: torch.get_rng_state())
        patch.setattr(torch.cuda, "set_rng_state", lambda state, _=None: torch.set_rng_state(state))
        with _Names(), _Factories():
            yield DEVICE
