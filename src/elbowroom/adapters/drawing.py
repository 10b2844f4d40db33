"""Which outputs of a module are mu and the spread of the normal that its own draws come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from elbowroom.numerics import CapabilityError

from .asking import Answer, Answers, Questions, agree, best, enough, hear, judged
from .listening import Call, Heard, Listener
from .parts import LOG_SIGMA

__all__ = ["by_draws", "draws_fit", "drawn_z", "follows", "same"]

_CLOSE = 1e-3  # of 1 + |ε|; the module is asked in 64 bits where it can be
_NARROW = 1e-4  # deviations of q that its floor hides here too
_ROUNDINGS = 8  # by which a sum of mu and σ · ε may be off

_FITS = (
    "mu is output {mean} and {form} output {spread} of its forward: its own draws are mu + σ · ε, with one ε for "
    "{where}{only}."
)
_NEVER = (
    "Its forward decodes mu output {mean} and never draws z, so that output {spread} is taken for log σ² unchecked: "
    "what it calls an ELBO is none, and the bounds here draw z from q."
)
_ONLY = " (in training mode alone; in evaluation mode it decodes mu, and the bounds here draw z from q)"
_WHY = "its forward does something to mu or the spread before it draws, or to z after (a clamp?)"
_INSTEAD = "Return what the draw uses"


def by_draws(
    listener: Listener, asked: Questions, answers: Answers, call: Call, recon: int | None
) -> tuple[int, int, str, list[str]]:
    """mu and the spread as the outputs by which the draws of all x have the same noise.

    Parameters
    ----------
    listener : Listener
        To the module.
    asked : Questions
        What it was asked.
    answers : Answers
        What it answered in evaluation mode.
    call : Call
        Of its decoder.
    recon : int or None
        Place of the reconstruction.

    Returns
    -------
    tuple
        Places of mu and the spread, what the spread is, and sentences.
    """
    only_in_training = ""
    if same(drawn_z(answers.first, call), drawn_z(answers.again, call)):
        only_in_training = _ONLY
        with listener.drawing():
            answers = hear(listener, asked)
    first, z = answers.first, drawn_z(answers.first, call)
    if same(z, drawn_z(answers.again, call)):
        return _undrawn(answers, z, call, recon)
    others = [one.heard for one in answers.far[:2]] if answers.own else []
    bases = [(first, answers.other), *pairwise(others)]
    fitting = [fit for base in bases for fit in _fitting(*base, call, recon)]
    if not fitting:
        raise _no_normal(first, call)
    fit, verdict = best(fitting, lambda one: judged(answers, lambda answer: one.holds(answer.heard, call)))
    doubts = answers.doubts(verdict, "Its draws are mu + σ · ε", _WHY, _INSTEAD)
    names = {"mean": first.name(fit.mean), "spread": first.name(fit.spread), "form": fit.form}
    said = _FITS.format(**names, where=asked.words(verdict.held), only=only_in_training)
    return fit.mean, fit.spread, fit.form, [said, *doubts]


@dataclass(frozen=True)
class _Fit:
    """Places of mu and the spread, what the spread is, and the noise of the draws that they fit."""

    mean: int
    spread: int
    form: str
    noise: Tensor

    def holds(self, heard: Heard, call: Call) -> bool | None:
        """Whether other draws are of the same noise."""
        return follows(drawn_z(heard, call), heard.value(self.mean), heard.value(self.spread), self.form, self.noise)


def _fitting(one: Heard, other: Heard, call: Call, recon: int | None) -> list[_Fit]:
    """Every way in which the draws of two x have the same noise."""
    zs = [drawn_z(heard, call) for heard in (one, other)]
    values = [[heard.value(k) for heard in (one, other)] for k in range(len(one.out))]
    return [
        _Fit(i, j, form, noise_of(zs[0], values[i][0], values[j][0], form))
        for i, j in _pairs(one, zs[0], recon)
        for form in LOG_SIGMA
        if draws_fit(zs, values[i], values[j], form)
    ]


def _undrawn(answers: Answers, z: Tensor, call: Call, recon: int | None) -> tuple[int, int, str, list[str]]:
    """Of a forward that never draws: mu is what it decodes, and the spread another output of its shape."""
    first = answers.first
    pairs = [(i, j) for i, j in _pairs(first, z, recon) if same(first.value(i), z) and not same(first.value(j), z)]
    if not pairs:
        raise _no_normal(first, call)

    def of_mean(pair: tuple[int, int], answer: Answer) -> bool | None:
        return agree((answer.heard.value(pair[0]), drawn_z(answer.heard, call)))

    (mean, spread), verdict = best(pairs, lambda pair: judged(answers, lambda answer: of_mean(pair, answer)))
    why = "its forward does something to mu (a clamp?) before it decodes it"
    doubts = answers.doubts(verdict, "It decodes mu", why, "Return what is decoded")
    return mean, spread, "log σ²", [_NEVER.format(mean=first.name(mean), spread=first.name(spread)), *doubts]


def _no_normal(heard: Heard, call: Call) -> CapabilityError:
    return CapabilityError(
        f"What {call.name} reads is no mu + σ · ε for any two of the outputs {', '.join(heard.out) or '(none)'} (a "
        f"flow, a clamp of mu or the spread before the draw, a draw of several z, another distribution, no spread at "
        f"all?), so that q(z | x) has no density that is known here: er.VAE takes a posterior of its own."
    )


def drawn_z(heard: Heard, call: Call) -> Tensor:
    """What the decoder read, or what was drawn for it, [n, latents]."""
    calls = heard.decoding(call.name)
    found = calls[0].read[0] if calls and call.read else heard.drawn
    assert found is not None
    return found.flatten(1)


def _pairs(heard: Heard, z: Tensor, recon: int | None) -> list[tuple[int, int]]:
    """Places of two outputs of the size of z, neither the reconstruction."""
    alike = [i for i, v in enumerate(heard.out.values()) if i != recon and v[0].numel() == z[0].numel()]
    return [(i, j) for i in alike for j in alike if i != j and len(heard.value(i)) == len(z) == len(heard.value(j))]


def noise_of(z: Tensor, mean: Tensor, raw: Tensor, form: str) -> Tensor:
    """ε of draws z = mean + σ · ε, [n, latents]."""
    return (z - mean.flatten(1)) * (-LOG_SIGMA[form](raw.flatten(1))).exp()


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
    noise = [noise_of(*one, form) for one in zip(z, mean, raw, strict=True)]
    alike = noise[0].allclose(noise[1], rtol=_CLOSE, atol=_CLOSE)
    return alike and 0.5 < float(noise[0].double().square().mean().sqrt()) < 2.0


def follows(z: Tensor, mean: Tensor, raw: Tensor, form: str, noise: Tensor) -> bool | None:
    """Whether draws of other x are mean + σ · ε with a known ε, as far as rounding and overflow let it be seen.

    Parameters
    ----------
    z, mean, raw : Tensor
        [n, latents] each, or of as many numbers.
    form : str
        A key of `LOG_SIGMA`.
    noise : Tensor
        ε, [n, latents].

    Returns
    -------
    bool or None
        Whether they are, wherever z, mean and raw are finite; None where most are not.
    """
    known = (z.isfinite() & mean.flatten(1).isfinite() & raw.flatten(1).isfinite()).cpu()
    rounding = _ROUNDINGS * torch.finfo(z.dtype).eps
    z, mean, raw, noise = (one.flatten(1).double().cpu() for one in (z, mean, raw, noise))
    sigma = LOG_SIGMA[form](raw).exp()
    due = mean + sigma * noise
    allowed = 3 * _CLOSE * sigma * (1 + noise.abs()) + _NARROW * noise.abs() + rounding * (mean.abs() + z.abs())
    return bool((due.isfinite() & ((z - due).abs() <= allowed))[known].all()) if enough(known) else None


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers per example, whatever their shapes."""
    if len(one) != len(other) or one[0].numel() != other[0].numel():
        return False
    return torch.allclose(one.flatten(1).double(), other.flatten(1).double(), rtol=1e-5, atol=1e-6)
