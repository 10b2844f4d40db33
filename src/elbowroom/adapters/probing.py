"""What a module's outputs are, found by asking it and not by reading its source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from elbowroom.numerics import CapabilityError, InputError

from .listening import DECODES, ENCODES, FAILURES, Call, Heard, Listener
from .outputs import outputs
from .parts import LOG_SIGMA, SQUASHES, only, tensors

__all__ = ["Found", "draws_fit", "probe"]

_EXAMPLES = 32
_CLOSE = 1e-3  # of 1 + |ε|; the module is asked in 64 bits where it can be


@dataclass(frozen=True)
class Found:
    """Where mu, the spread, and the way from z to x are, and what was assumed.

    Attributes
    ----------
    encode : str
        Method that returns mu and the spread; "" for the module itself.
    mean, spread : int
        Their places among the tensors that it returns.
    form : str
        What the spread is, a key of `LOG_SIGMA`.
    decode, squash : str
        Method from z to x, and what is applied to its result.
    event : tuple of int
        Shape of z.
    said : tuple of str
        Sentences.
    """

    encode: str
    mean: int
    spread: int
    form: str
    decode: str
    squash: str
    event: tuple[int, ...]
    said: tuple[str, ...]


@torch.no_grad()
def probe(model: nn.Module, event: Sequence[int], like: Tensor, decode: str | None = None) -> Found:
    """Ask a module which of its outputs are what.

    Parameters
    ----------
    model : nn.Module
        As for `from_forward`.
    event : sequence of int
        Shape of one x.
    like : Tensor
        Of the module's type and device.
    decode : str, optional
        As for `from_forward`.

    Returns
    -------
    Found
        Places and names.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, _EXAMPLES, *event, generator=generator, dtype=torch.float64)
    listener, x = _listener(model, decode, x, like)
    first, again, other = listener.hear(x[0], 0), listener.hear(x[0], 1), listener.hear(x[1], 0)
    call = _decoder_call(listener, first, decode)
    z = _z(first, call)
    recon, squash, said_recon = _reconstruction(listener, first, call, z, x[0], event)
    if z is None:
        mean, spread = _by_order(first, recon, x[0])
        form, said = "log σ²", _UNCHECKED.format(mean=_name(first, mean), spread=_name(first, spread))
    else:
        mean, spread, form, said = _by_draws(listener, first, again, other, call, x, recon)
    _check_constant(first, again, mean, spread)
    shape = tuple((z if z is not None else _value(first, mean)).shape[1:])
    found = Found("", mean, spread, form, call.name, squash, shape, (said, said_recon))
    return _with_encoder(listener, found, first, x[0])


_UNCHECKED = (
    "mu is output {mean} and log σ² output {spread} of its forward, by their order: its forward calls neither its "
    "decoder nor a reparameterize by name, so its own draws of z could not be asked."
)
_FITS = (
    "mu is output {mean} and {form} output {spread} of its forward: its own draws are mu + σ · ε with the same ε for "
    "every x{only}."
)
_NEVER = (
    "Its forward decodes mu output {mean} and never draws z, so that output {spread} is taken for log σ² unchecked: "
    "what it calls an ELBO is none, and the bounds here draw z from q."
)


def _listener(model: nn.Module, decode: str | None, x: Tensor, like: Tensor) -> tuple[Listener, Tensor]:
    """In 64 bits where the module can, and x to ask with."""
    named = [decode] if decode else []
    listener = Listener(model, named)
    try:
        listener.model.double()
        x = x.to(like.device)
        listener.hear(x[0], 0)
    except FAILURES:
        listener, x = Listener(model, named), x.to(like)
        try:
            listener.hear(x[0], 0)
        except FAILURES as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise InputError(
                f"The {type(model).__name__} does not take x of the likelihood's event {tuple(x.shape[2:])} ({reason})."
            ) from error
    return listener, x


def _decoder_call(listener: Listener, heard: Heard, decode: str | None) -> Call:
    """The call of the decoder, its results an output where one is; or one that was never made."""
    calls = heard.decoding(decode)
    for call in calls:
        if len(call.read) > 1:
            raise CapabilityError(
                f"{call.name} reads {len(call.read)} things and not z alone (labels, or skip connections from the "
                f"encoder): p(x | z) then knows of x what z does not say, and nothing here bounds log p(x)."
            )
    known = [call for call in calls if heard.drawn is None or _same(call.read[0], heard.drawn)]
    if known:
        return next((call for call in known if _squash_of(call, heard)), known[0])
    if calls:
        raise InputError(
            f"{calls[0].name} does not read z, but something that was made of it: name a method that takes z to x by "
            f"decode=."
        )
    name = decode or next((n for n in DECODES if callable(getattr(listener.model, n, None))), None)
    if name is None:
        raise InputError(
            "No method or submodule of a usual name (decode, decoder, …) takes z to x: name one by decode=, or take "
            "adapters.from_modules."
        )
    return Call(name, [])


def _z(heard: Heard, call: Call) -> Tensor | None:
    return call.read[0] if call.read else heard.drawn


def _squash_of(call: Call, heard: Heard) -> tuple[int, str] | None:
    """The output that a decoder's result is, and what was done to it."""
    found = outputs(call.returned)
    if len(found) != 1:
        return None
    (result,) = found.values()
    for squash, apply in SQUASHES.items():
        for place, value in enumerate(heard.out.values()):
            if _same(apply(result), value):
                return place, squash
    return None


def _reconstruction(
    listener: Listener, heard: Heard, call: Call, z: Tensor | None, x: Tensor, event: Sequence[int]
) -> tuple[int | None, str, str]:
    """Place of the reconstruction, what is done to the decoder's result, and a sentence."""
    if z is None:
        place = next((i for i, v in enumerate(heard.out.values()) if _may_be(v, x) and not _same(v, x)), None)
        return place, "", f"The reconstruction is {call.name}(z), which its forward could not be heard to call."
    asked = call if call.read else _asked_again(call, z, listener)
    only(asked.returned)
    fits = _squash_of(asked, heard)
    if fits is None:
        if any(_may_be(value, x) and not _same(value, x) for value in heard.out.values()):
            raise InputError(
                f"Its forward does something to {call.name}(z) before it returns it (no sigmoid, no tanh): let "
                f"{call.name} return what the loss sees, or name such a method by decode=."
            )
        return None, "", f"The reconstruction is {call.name}(z), which its forward does not return."
    place, squash = fits
    what = f"{squash} of {call.name}(z)" if squash else f"{call.name}(z)"
    return place, squash, f"The reconstruction is output {_name(heard, place)}, which is {what}."


def _asked_again(call: Call, z: Tensor, listener: Listener) -> Call:
    """The call as it would have been with z."""
    try:
        return replace(call, read=[z], returned=getattr(listener.model, call.name)(z))
    except FAILURES as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(f"{call.name} does not take z of shape {tuple(z.shape[1:])} ({reason}).") from error


def _may_be(value: Tensor, x: Tensor) -> bool:
    return value[0].numel() == x[0].numel()


def _by_order(heard: Heard, recon: int | None, x: Tensor) -> tuple[int, int]:
    """The first two other outputs of one shape, what is called a spread last."""
    left = [i for i, v in enumerate(heard.out.values()) if i != recon and not _same(v, x)]
    for i in left:
        for j in left:
            if i < j and _value(heard, i).shape == _value(heard, j).shape:
                return (j, i) if _is_spread(_name(heard, i)) and not _is_spread(_name(heard, j)) else (i, j)
    raise InputError(f"No two of the outputs {', '.join(heard.out)} have one shape, as mu and a spread would.")


def _is_spread(name: str) -> bool:
    return any(word in name.lower() for word in ("var", "std", "sigma", "cov", "scale"))


def _by_draws(
    listener: Listener, first: Heard, again: Heard, other: Heard, call: Call, x: Tensor, recon: int | None
) -> tuple[int, int, str, str]:
    """mu and the spread as the outputs by which the draws of two x have the same noise."""
    only_in_training = ""
    if _same(_drawn_z(first, call), _drawn_z(again, call)):
        only_in_training = _ONLY
        with listener.drawing():
            first, again, other = listener.hear(x[0], 0), listener.hear(x[0], 1), listener.hear(x[1], 0)
    zs = [_drawn_z(heard, call) for heard in (first, other)]
    if _same(zs[0], _drawn_z(again, call)):
        return _undrawn(first, zs[0], call, recon)
    for i, j in _pairs(first, zs[0], recon):
        for form in LOG_SIGMA:
            if draws_fit(zs, [_value(h, i) for h in (first, other)], [_value(h, j) for h in (first, other)], form):
                said = _FITS.format(mean=_name(first, i), form=form, spread=_name(first, j), only=only_in_training)
                return i, j, form, said
    raise _no_normal(first, call)


_ONLY = " (in training mode alone; in evaluation mode it decodes mu, and the bounds here draw z from q)"


def _undrawn(heard: Heard, z: Tensor, call: Call, recon: int | None) -> tuple[int, int, str, str]:
    """Of a forward that never draws: mu is what it decodes, and the spread another output of its shape."""
    pairs = [
        (i, j) for i, j in _pairs(heard, z, recon) if _same(_value(heard, i), z) and not _same(_value(heard, j), z)
    ]
    if not pairs:
        raise _no_normal(heard, call)
    mean, spread = pairs[0]
    return mean, spread, "log σ²", _NEVER.format(mean=_name(heard, mean), spread=_name(heard, spread))


def _no_normal(heard: Heard, call: Call) -> CapabilityError:
    return CapabilityError(
        f"What {call.name} reads is no mu + σ · ε for any two of the outputs {', '.join(heard.out) or '(none)'} (a "
        f"flow, a draw of several z, another distribution, no spread at all?), so that q(z | x) has no density that "
        f"is known here: er.VAE takes a posterior of its own."
    )


def _drawn_z(heard: Heard, call: Call) -> Tensor:
    calls = heard.decoding(call.name)
    found = calls[0].read[0] if calls and call.read else heard.drawn
    assert found is not None
    return found.flatten(1)


def _pairs(heard: Heard, z: Tensor, recon: int | None) -> list[tuple[int, int]]:
    """Places of two outputs of the size of z, neither the reconstruction."""
    alike = [i for i, v in enumerate(heard.out.values()) if i != recon and v[0].numel() == z[0].numel()]
    return [(i, j) for i in alike for j in alike if i != j and len(_value(heard, i)) == len(z) == len(_value(heard, j))]


def draws_fit(z: Sequence[Tensor], mean: Sequence[Tensor], raw: Sequence[Tensor], form: str) -> bool:
    """Whether draws with one noise for two x are mean + σ · ε, σ being what `form` makes of `raw`.

    Parameters
    ----------
    z, mean, raw : sequence of two Tensors
        [n, latents] each, of the two x.
    form : str
        A key of `LOG_SIGMA`.

    Returns
    -------
    bool
        Whether ε is the same for both, and of standard deviation near 1.
    """
    noise = [
        (one - m.flatten(1)) * (-LOG_SIGMA[form](r.flatten(1))).exp() for one, m, r in zip(z, mean, raw, strict=True)
    ]
    same = torch.allclose(noise[0], noise[1], rtol=_CLOSE, atol=_CLOSE)
    return same and 0.5 < float(noise[0].double().square().mean().sqrt()) < 2.0


def _check_constant(first: Heard, again: Heard, mean: int, spread: int) -> None:
    for place, what in ((mean, "mu"), (spread, "the spread")):
        if not _same(_value(first, place), _value(again, place)):
            raise InputError(
                f"Output {_name(first, place)}, {what} of q, changes from call to call in evaluation mode (dropout "
                f"that is always on?), so that q(z | x) is no normal: let the encoder draw nothing there."
            )


def _with_encoder(listener: Listener, found: Found, heard: Heard, x: Tensor) -> Found:
    """The encoder alone, where there is one that returns what the forward does; else the whole forward."""
    wanted = [_value(heard, found.mean), _value(heard, found.spread)]
    for name in ENCODES:
        part = getattr(listener.model, name, None)
        try:
            values = tensors(part(x)) if callable(part) else []
        except FAILURES:
            continue
        places = [next((i for i, value in enumerate(values) if _same(value, one)), None) for one in wanted]
        if places[0] is not None and places[1] is not None:
            return replace(found, encode=name, mean=places[0], spread=places[1])
    return found


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers per example, whatever their shapes."""
    if len(one) != len(other) or one[0].numel() != other[0].numel():
        return False
    return torch.allclose(one.flatten(1).double(), other.flatten(1).double(), rtol=1e-5, atol=1e-6)


def _value(heard: Heard, place: int) -> Tensor:
    return list(heard.out.values())[place]


def _name(heard: Heard, place: int) -> str:
    return repr(list(heard.out)[place])
