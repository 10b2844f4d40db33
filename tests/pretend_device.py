"""A device that needs no hardware: tensors that say they are on a GPU and are computed on the CPU.

It refuses what CUDA refuses: arithmetic between a tensor of its own and one of the CPU (a CPU tensor without dimensions
is a number and may join; a CPU index may pick from its tensors, not the other way round), a generator of another device,
numpy without a copy to the CPU. What it cannot see are the kernels: their numbers, their memory, their speed.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
_BACK = torch.device("meta")  # what torch's own C++ sees, which knows no device that is not there
_CPU = torch.device("cpu")
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
_PICKS = {_aten.index.Tensor, _aten._unsafe_index.Tensor}
_PUTS = {_aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
_NO_NUMBERS = {_aten.cat.default, _aten.stack.default, _aten.mm.default, _aten.addmm.default, _aten.bmm.default}
_FROM_NUMPY = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."


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
        kwargs = kwargs or {}
        first = args[0] if args else None
        if isinstance(first, Pretended) and func in _BY_HAND:
            return _BY_HAND[func](first, *args[1:], **kwargs)
        if func is Tensor.cuda:
            return first.to(DEVICE)
        leaves = tree_leaves((args, kwargs))
        generators = [one for one in leaves if isinstance(one, torch._C.Generator)]
        if generators:
            _refuse_other_generator(generators[0], leaves, kwargs.get("device"))
        args, kwargs = tree_map(_other_name, (args, kwargs))
        if "device" in kwargs and isinstance(kwargs["device"], str | int):
            kwargs["device"] = _BACK if _is_pretended(kwargs["device"]) else kwargs["device"]
        if func is Tensor.to and len(args) > 1 and isinstance(args[1], str) and _is_pretended(args[1]):
            args = (first, _BACK, *args[2:])
        if func is torch.tensor and kwargs.get("device") == _BACK:
            return torch.tensor(*args, **{**kwargs, "device": _CPU}).to(_BACK)
        found = func(*args, **kwargs)
        return DEVICE if isinstance(found, torch.device) and found.type == "meta" else found


class _Factories(TorchDispatchMode):
    """Makes what a factory makes on the device, and what moves there, a tensor of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _refuse(*_: Any, **__: Any) -> None:
    raise TypeError(_FROM_NUMPY)


def _numpy(x: Pretended, *, force: bool = False) -> Any:
    return x.detach().inner.numpy(force=True) if force else _refuse()


_BY_HAND = {
    Tensor.tolist: lambda x: x.detach().inner.tolist(),
    Tensor.numpy: _numpy,
    Tensor.__array__: _refuse,
}


def _is_pretended(device: Any) -> bool:
    return device is not None and torch.device(device).type in ("cuda", "meta")


def _other_name(value: Any) -> Any:
    return _BACK if isinstance(value, torch.device) and value.type == "cuda" else value


def _refuse_other_generator(generator: torch.Generator, leaves: list[Any], device: Any) -> None:
    """Numbers are drawn where their generator is."""
    drawn = _is_pretended(device) or any(isinstance(one, Pretended) for one in leaves)
    if drawn != isinstance(generator, PretendedGenerator):
        one, other = ("cuda", "cpu") if drawn else ("cpu", "cuda")
        raise RuntimeError(f"Expected a '{one}' device type for generator but found '{other}'")


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What the operation gives on the inner numbers, on the device that torch would have left it on."""
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    own = any(isinstance(one, Pretended) for one in tensors)
    target = kwargs.get("device")
    if not own and target != _BACK:
        return func(*args, **kwargs)
    if own:
        _refuse_two_devices(func, args, tensors)
    if target is not None:
        kwargs = {**kwargs, "device": _CPU}
    plain_args, plain_kwargs = tree_map(lambda one: one.inner if isinstance(one, Pretended) else one, (args, kwargs))
    found = func(*plain_args, **plain_kwargs)
    if func is _aten.copy_.default:
        return args[0]
    if (target is not None and target != _BACK) or not own and func is not _aten._to_copy.default and target is None:
        return found
    if func is _aten._to_copy.default and any(found is one for one in tree_leaves(plain_args)):
        found = found.clone()
    found = tree_map(lambda one: Pretended(one) if type(one) is Tensor else one, found)
    return return_and_correct_aliasing(func, args, kwargs, found) if own else found


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
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({func})"
            )


@contextlib.contextmanager
def pretended_device() -> Iterator[torch.device]:
    """The device, while it is open; neither torch's own CUDA nor any other is initialised."""
    patch = pytest.MonkeyPatch()
    named = [one for name, one in sys.modules.items() if name == "torch" or name.startswith("elbowroom")]
    for module in named:
        if module.__dict__.get("Generator") is torch._C.Generator:
            patch.setattr(module, "Generator", PretendedGenerator)
    patch.setattr(torch.cuda, "get_rng_state", lambda _=None: torch.get_rng_state())
    patch.setattr(torch.cuda, "set_rng_state", lambda state, _=None: torch.set_rng_state(state))
    try:
        with _Names(), _Factories():
            yield DEVICE
    finally:
        patch.undo()
