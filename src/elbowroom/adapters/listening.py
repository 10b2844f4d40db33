"""One forward of a module, and what its own decoder read and returned meanwhile."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics.seeded import seeded

from .outputs import outputs

__all__ = ["DECODES", "ENCODES", "FAILURES", "Call", "Heard", "Listener", "has_forward"]

ENCODES = ("encode", "encoder", "enc", "inference", "recognition")
DECODES = ("decode", "decoder", "dec", "generator", "generate", "decoding")
_DRAWS = (
    *("reparameterize", "reparametrize", "reparameterise", "reparametrise", "reparameterization", "reparametrization"),
    *("reparam", "sampling", "sampler", "sample_z", "sample_latent", "sample", "_sample_gauss"),
)
FAILURES = (
    *(RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError),
    ArithmeticError,
)
"""What a module raises at an input that it was not made for."""


@dataclass
class Call:
    """One call of a part: its name, the tensors that it read, and what it returned."""

    name: str
    read: list[Tensor]
    returned: Any = None


@dataclass
class Heard:
    """What a forward returned, flat names, and the calls meanwhile, those that began first before the others."""

    out: dict[str, Tensor]
    calls: list[Call] = field(default_factory=list)

    def decoding(self, name: str | None) -> list[Call]:
        """Calls of a decoder, or of the part of this name."""
        names = DECODES if name is None else (name,)
        return [call for call in self.calls if call.name in names and call.read]

    def value(self, place: int) -> Tensor:
        """The output at a place."""
        return list(self.out.values())[place]

    def name(self, place: int) -> str:
        """What stands for it in a sentence."""
        return repr(list(self.out)[place])

    @property
    def drawn(self) -> Tensor | None:
        """What the part that draws z returned, where one was called."""
        for call in self.calls:
            found = outputs(call.returned)
            if call.name in _DRAWS and found:
                return next(iter(found.values()))
        return None


class Listener:
    """A copy of a module in evaluation mode, whose parts are listened to; the module itself stays as it is.

    Parameters
    ----------
    model : nn.Module
        The module.
    also : sequence of str
        Parts to listen to beside those with the usual names of decoders and draws.
    call : callable, optional
        From the copy and x to what it returns; by default its forward.
    """

    def __init__(
        self, model: nn.Module, also: Sequence[str] = (), call: Callable[[nn.Module, Tensor], Any] | None = None
    ) -> None:
        self.model = copy.deepcopy(model).eval()
        self._call = call or (_forward if has_forward(model) else _composed)
        self._calls: list[Call] = []
        for name in dict.fromkeys([*also, *DECODES, *_DRAWS]):
            self._listen(name, getattr(self.model, name, None))

    @torch.no_grad()
    def hear(self, x: Tensor, seed: int) -> Heard:
        """A forward of x [n, *event], with the global generator at `seed` and left as it was."""
        self._calls = []
        with seeded(seed, x.device):
            return Heard(outputs(self._call(self.model, x)), list(self._calls))

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Training mode, in which many modules draw z and only then; batch norm and dropout stay in evaluation mode."""
        for part in self.model.modules():
            part.training = not isinstance(part, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd)
        yield
        self.model.eval()

    def _listen(self, name: str, part: Any) -> None:
        if isinstance(part, nn.Module):
            part.register_forward_pre_hook(lambda _, args, more: self._begin(name, args, more), with_kwargs=True)
            part.register_forward_hook(lambda _, args, out: self._end(name, out))
        elif callable(part):
            object.__setattr__(self.model, name, self._listened(name, part))

    def _listened(self, name: str, part: Any) -> Any:
        def method(*args: Any, **more: Any) -> Any:
            self._begin(name, args, more)
            out = part(*args, **more)
            self._end(name, out)
            return out

        return method

    def _begin(self, name: str, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        read = [one for one in (*args, *more.values()) if one is not None and not isinstance(one, bool)]
        self._calls.append(Call(name, read))

    def _end(self, name: str, out: Any) -> None:
        for call in reversed(self._calls):
            if call.name == name and call.returned is None:
                call.returned = out
                return


def has_forward(model: nn.Module) -> bool:
    """Whether a module defines its forward."""
    return type(model).forward is not nn.Module.forward


def _forward(model: nn.Module, x: Tensor) -> Any:
    return model(x)


def _composed(model: Any, x: Tensor) -> Any:
    """What a forward would return, of a module that has its parts alone."""
    encode, decode = (next((n for n in names if hasattr(model, n)), names[0]) for names in (ENCODES, DECODES))
    found = outputs(getattr(model, encode)(x))
    draw = next((name for name in _DRAWS if hasattr(model, name)), None)
    z = getattr(model, draw)(*found.values()) if draw else next(iter(found.values()))
    return {"reconstruction": getattr(model, decode)(z), **found}
