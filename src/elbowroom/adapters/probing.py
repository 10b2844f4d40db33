"""What a module's outputs are, found by asking it and not by reading its source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from elbowroom.numerics import CapabilityError, InputError

from .asking import Answer, Answers, Verdict, agree, best, hear, judged, listening, questions
from .drawing import by_draws, drawn_z, same
from .listening import DECODES, ENCODES, FAILURES, Call, Heard, Listener
from .outputs import outputs
from .parts import SQUASHES, only, tensors

__all__ = ["Found", "probe"]


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
def probe(
    model: nn.Module, event: Sequence[int], like: Tensor, decode: str | None = None, rows: Tensor | None = None
) -> Found:
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
    rows : Tensor, optional
        [n, *event], what it is asked with first; by default random x in [0, 1].

    Returns
    -------
    Found
        Places and names.
    """
    named = [decode] if decode else []
    listener, asked = listening(model, questions(event, rows), like, lambda one: Listener(one, named))
    answers, x = hear(listener, asked), asked.near[0]
    first = answers.first
    call = _decoder_call(listener, first, decode)
    z = _z(first, call)
    recon, squash, said_recon = _reconstruction(listener, answers, call, z, x, event)
    if z is None:
        mean, spread = _by_order(first, recon, x)
        form, said = "log σ²", [_UNCHECKED.format(mean=first.name(mean), spread=first.name(spread))]
    else:
        mean, spread, form, said = by_draws(listener, asked, answers, call, recon)
    _check_constant(answers, mean, spread)
    shape = tuple((z if z is not None else first.value(mean)).shape[1:])
    found = Found("", mean, spread, form, call.name, squash, shape, (*said, *said_recon))
    return _with_encoder(listener, found, answers, x)


_UNCHECKED = (
    "mu is output {mean} and log σ² output {spread} of its forward, by their order: its forward calls neither its "
    "decoder nor a reparameterize by name, so its own draws of z could not be asked."
)


def _decoder_call(listener: Listener, heard: Heard, decode: str | None) -> Call:
    """The call of the decoder, its results an output where one is; or one that was never made."""
    calls = heard.decoding(decode)
    for call in calls:
        if len(call.read) > 1:
            raise CapabilityError(
                f"{call.name} reads {len(call.read)} things and not z alone (labels, or skip connections from the "
                f"encoder): p(x | z) then knows of x what z does not say, and nothing here bounds log p(x)."
            )
    known = [call for call in calls if heard.drawn is None or same(call.read[0], heard.drawn)]
    if known:
        return next((call for call in known if _squashes_of(call, heard)), known[0])
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


def _squashes_of(call: Call, heard: Heard) -> list[tuple[int, str]]:
    """The outputs that a decoder's result may be, and what was done to it."""
    found = outputs(call.returned)
    if len(found) != 1:
        return []
    (result,) = found.values()
    return [
        (place, squash)
        for squash, apply in SQUASHES.items()
        for place, value in enumerate(heard.out.values())
        if same(apply(result), value)
    ]


def _reconstruction(
    listener: Listener, answers: Answers, call: Call, z: Tensor | None, x: Tensor, event: Sequence[int]
) -> tuple[int | None, str, list[str]]:
    """Place of the reconstruction, what is done to the decoder's result, and sentences."""
    heard, decodes = answers.first, call.name
    if z is None:
        place = next((i for i, v in enumerate(heard.out.values()) if _may_be(v, x) and not same(v, x)), None)
        return place, "", [f"The reconstruction is {decodes}(z), which its forward could not be heard to call."]
    asked = call if call.read else _asked_again(call, z, listener)
    only(asked.returned)
    fits = _squashes_of(asked, heard)
    if not fits:
        if any(_may_be(value, x) and not same(value, x) for value in heard.out.values()):
            raise InputError(
                f"Its forward does something to {decodes}(z) before it returns it (no sigmoid, no tanh): let "
                f"{decodes} return what the loss sees, or name such a method by decode=."
            )
        return None, "", [f"The reconstruction is {decodes}(z), which its forward does not return."]
    (place, squash), verdict = best(fits, lambda fit: _of_result(listener, answers, call, *fit))
    what = f"{squash} of {decodes}(z)" if squash else f"{decodes}(z)"
    doubts = answers.doubts(
        verdict,
        f"Output {heard.name(place)} is {what}",
        f"its forward does something to {decodes}(z) (a clamp?) before it returns it",
        f"Let {decodes} return what the loss sees",
    )
    return place, squash, [f"The reconstruction is output {heard.name(place)}, which is {what}.", *doubts]


def _of_result(listener: Listener, answers: Answers, call: Call, place: int, squash: str) -> Verdict:
    """Where an output is what a squash makes of the decoder's result."""
    which = [one is call for one in answers.first.decoding(call.name)]

    def holds(answer: Answer) -> bool | None:
        heard = answer.heard
        calls = [one for one, here in zip(heard.decoding(call.name), which, strict=True) if here]
        try:
            again = calls[0] if calls else _asked_again(call, drawn_z(heard, call), listener)
        except InputError:
            return None
        return agree((SQUASHES[squash](only(again.returned)), heard.value(place)))

    return judged(answers, holds)


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
    left = [i for i, v in enumerate(heard.out.values()) if i != recon and not same(v, x)]
    for i in left:
        for j in left:
            if i < j and heard.value(i).shape == heard.value(j).shape:
                return (j, i) if _is_spread(heard.name(i)) and not _is_spread(heard.name(j)) else (i, j)
    raise InputError(f"No two of the outputs {', '.join(heard.out)} have one shape, as mu and a spread would.")


def _is_spread(name: str) -> bool:
    return any(word in name.lower() for word in ("var", "std", "sigma", "cov", "scale"))


def _check_constant(answers: Answers, mean: int, spread: int) -> None:
    first, again = answers.first, answers.again
    for place, what in ((mean, "mu"), (spread, "the spread")):
        if not same(first.value(place), again.value(place)):
            raise InputError(
                f"Output {first.name(place)}, {what} of q, changes from call to call in evaluation mode (dropout "
                f"that is always on?), so that q(z | x) is no normal: let the encoder draw nothing there."
            )


def _with_encoder(listener: Listener, found: Found, answers: Answers, x: Tensor) -> Found:
    """The encoder alone, where there is one that returns what the forward does for all x; else the whole forward."""
    asked = [(x, answers.first), *((one.asked.x, one.heard) for one in (*answers.own, *answers.far))]
    for name in ENCODES:
        part = getattr(listener.model, name, None)
        try:
            alone = [(tensors(part(one)), heard) for one, heard in asked] if callable(part) else []
        except FAILURES:
            continue
        places = [_place(alone, wanted) for wanted in (found.mean, found.spread)]
        if places[0] is not None and places[1] is not None:
            return replace(found, encode=name, mean=places[0], spread=places[1])
    return found


def _place(alone: Sequence[tuple[list[Tensor], Heard]], wanted: int) -> int | None:
    """Where a part returns what the forward returns at a place."""
    for i, value in enumerate(alone[0][0] if alone else []):
        if same(value, alone[0][1].value(wanted)) and all(
            agree((values[i], heard.value(wanted))) is not False for values, heard in alone
        ):
            return i
    return None
