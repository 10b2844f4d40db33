"""The verdict: one sentence a person could repeat, at most four figures, and what to do next."""

import math
from typing import Any

from elbowroom.data import Dataset
from elbowroom.numerics import Estimate, with_error
from elbowroom.sweeps import Swept

from .classics import Classic

__all__ = ["difference_to", "verdict"]

_TOLD_APART = 2.0
_LOOSE = 1.0


def difference_to(best: Estimate, rivals: list[Classic]) -> dict[str, Any]:
    """The VAE's best bound minus the best classic, paired by test example, in nats."""
    rival = max(rivals, key=lambda one: one.estimate.mean)
    difference = best - rival.estimate
    return {"against": rival.name, "value": difference.mean, "se": difference.se_total, "n": len(difference)}


def verdict(chosen: Swept, bounds: dict[str, Estimate], difference: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """Sentence, figures and what to do next, from the numbers on test."""
    best = max(bounds.values(), key=lambda bound: bound.mean)
    gap = best - bounds["ELBO"]
    contest = _contest(difference, data.name)
    sentence = f"This VAE uses {chosen.active} of its {chosen.vae.latents} latents and {contest}."
    figures = [
        _figure("held-out log-likelihood", best.mean, best.se_total, "nats per example", f"at least; {best.estimator}")
    ]
    if data.support.kind in ("grid", "binary"):
        bits = best.bits_per_dimension(math.prod(data.event))
        figures.append(_figure("compression", bits.mean, bits.se_total, "bits per dimension", "at most"))
    figures.append(_figure("rate", chosen.rate.mean, chosen.rate.se_total, "nats per example", "on validation"))
    figures.append(_figure("lost by the encoder", gap.mean, gap.se_total, "nats per example", "at least"))
    return {"sentence": sentence, "figures": figures, "next": _next_step(chosen, gap, difference)}


def _contest(difference: dict[str, Any], name: str) -> str:
    value, error = difference["value"], difference["se"]
    rival = f"the best classic, {_article(difference['against'])}"
    if abs(value) < _TOLD_APART * error:
        return f"cannot be told apart from {rival}, on held-out {name} ({with_error(value, error)} nats)"
    verb = "beats" if value > 0 else "loses to"
    return f"{verb} {rival}, by {with_error(abs(value), error)} nats on held-out {name}"


def _article(name: str) -> str:
    if name.endswith(("PCA", "analysis", "s")):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _figure(label: str, value: float, error: float, unit: str, direction: str) -> dict[str, str]:
    shown, spread = with_error(value, error).split(" ± ")
    return {"label": label, "value": shown, "error": spread, "unit": unit, "direction": direction}


def _next_step(chosen: Swept, gap: Estimate, difference: dict[str, Any]) -> str | None:
    """Advice that follows from a measured number, or none."""
    if difference["value"] < -_TOLD_APART * difference["se"]:
        return (
            f"The {difference['against']} is the better density of these data: use it, or give the VAE more latents, "
            f"wider networks or more epochs and study again."
        )
    if chosen.history.best_epoch == len(chosen.history.rows):
        return "The best epoch was the last: train for more epochs."
    if gap.mean > _LOOSE:
        return (
            f"The encoder's bound is loose by at least {gap.mean:.1f} nats per example: a wider encoder or a richer "
            f"posterior can win some of that back."
        )
    return None
