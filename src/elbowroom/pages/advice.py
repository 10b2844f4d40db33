"""What next: everything that the records of a study say could be won, in order of nats."""

import json
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, count, with_error
from elbowroom.records import ModelRecord, StudyRecord
from elbowroom.records.sweep import SEED
from elbowroom.runs.saved_estimates import read_estimates

from .audit_advice import audited, contradicted
from .next_step import LEAST, NOT_MEASURED, Advice, clear, command, sure, wider
from .words import significant, the

__all__ = ["Advice", "advice"]

_MANY = 0.1  # of the examples
_TENFOLD = math.log(10)
_POINTS = 200  # test examples for annealing, where a bound is suspect
_FLOORED = re.compile(r"([\d.]+)% of the scales .* floor ([\d.e+-]+);")


def advice(study: StudyRecord) -> list[Advice]:
    """Everything that applies, the most nats first; then what was not measured, and last what wins nothing.

    Parameters
    ----------
    study : StudyRecord
        With or without a contest; AIS counts where the run's evidence.json has it.

    Returns
    -------
    list of Advice
        Maybe none.
    """
    found = audited(study)
    found += [one for rule in _RULES if rule.__name__[1:] not in contradicted(study) for one in rule(study)]
    return sorted(found, key=lambda one: (1, 0.0) if one.nats is None else (2 * (one.nats == 0), -one.nats))


def _longer(study: StudyRecord) -> Iterator[Advice]:
    """Training ended at its best epoch."""
    chosen = study.chosen
    if chosen.best_epoch != chosen.epochs:
        return
    last, won = _still_won(study.history)
    said = f"Training ended at its best epoch, {chosen.epochs:,}"
    run = command(study, "longer", epochs=2 * chosen.epochs)
    if won is None:
        yield Advice(f"{said}: train longer.", run)
    elif won > 0:
        what = "epoch" if last == 1 else f"{last:,} epochs"
        yield Advice(
            f"{said}: the last {what} still won {significant(won, 2)} nats of ELBO on validation, so train longer.",
            run,
            f"about {significant(won, 2)} nats or more",
            won,
        )


def _still_won(history: Sequence[Mapping[str, Any]]) -> tuple[int, float | None]:
    """The last tenth of the epochs, and by how much they raised the ELBO on validation; None where nobody knows."""
    elbo = [-row["validation"]["rate"] - row["validation"]["distortion"] for row in history]
    last = max(round(len(elbo) / 10), 1)
    if len(elbo) < 2:
        return last, None
    return last, float(elbo[-1] - max(elbo[:-last]))


def _further(study: StudyRecord) -> Iterator[Advice]:
    """The chosen model stands at the end of an axis of numbers."""
    chosen = study.chosen
    for axis, symbol in zip(chosen.settings, chosen.axes, strict=True):
        line = sorted(_line(study, axis), key=lambda one: one.settings[axis])
        if len(line) < 2 or chosen not in (line[0], line[-1]):
            continue
        inner, end = (line[1], "least") if chosen is line[0] else (line[-2], "greatest")
        won, by = chosen.iwae.mean - inner.iwae.mean, chosen.iwae.estimator
        beyond = _beyond(axis, chosen.settings[axis], inner.settings[axis])
        error = math.hypot(*(one.behind.se or 0.0 for one in (chosen, inner) if one.behind))
        if beyond is None or won <= 0 or not clear(won, error, chosen.iwae.n):
            continue
        axes = {name: [value] for name, value in chosen.settings.items()} | {axis: [chosen.settings[axis], beyond]}
        yield Advice(
            f"{symbol} = {chosen.axes[symbol]} is the {end} that was tried, and the step to it from "
            f"{inner.axes[symbol]} won {significant(won, 2)} nats of {by} on validation: go further.",
            command(study, "further", axes),
            f"about {significant(won, 2)} nats for a further step, if it pays as the last did",
            won,
        )


def _line(study: StudyRecord, axis: str) -> list[ModelRecord]:
    """The models that differ from the chosen one on this axis of numbers alone."""
    settings = study.chosen.settings
    others = {name: value for name, value in settings.items() if name != axis}
    models = [one for one in study.sweep.models if {n: v for n, v in one.settings.items() if n != axis} == others]
    numbers = all(type(one.settings[axis]) in (int, float) for one in models)
    return [one for one in models if math.isfinite(one.iwae.mean)] if numbers and axis != SEED else []


def _beyond(axis: str, last: float, inner: float) -> float | None:
    """The next value in a row, by the same factor where both are positive; None where there is none.

    >>> _beyond("beta", 0.1, 0.3), _beyond("latents", 16, 8), _beyond("latents", 1, 2), _beyond("beta", 0, 1)
    (0.033, 32, None, None)
    """
    if last <= 0 or inner <= 0:
        return None
    value = last * last / inner
    if axis != "beta" and isinstance(last, int) and isinstance(inner, int):
        return round(value) if round(value) not in (0, last) else None
    return float(f"{value:.2g}")


def _encoder(study: StudyRecord) -> Iterator[Advice]:
    """What the encoder's posteriors lose: log p(x) by the best of the measured bounds minus the ELBO."""
    if study.audit and study.audit.identity:  # which tells more of the same nats
        return
    above = _annealed(study) or study.evidence.best
    gap = above - study.evidence.bounds["ELBO"]
    if not sure(gap) and not (len(gap) == 1 and gap.mean > LEAST):
        return
    size = with_error(gap.mean, gap.se_total)
    of_flow = (study.recipe or {}).get("posterior", {})
    change = {"widths": wider(study)} if "flow" in str(of_flow) else {"posterior": "flow-posterior"}
    how = "a wider encoder" if "widths" in change else "a richer posterior, or a wider encoder,"
    run = command(study, "posterior", **change) if all(change.values()) else ""
    yield Advice(
        f"The encoder's posteriors lose {size} nats, {above.estimator.partition(',')[0]} minus ELBO over "
        f"{count(len(gap), 'test example')}: {how} can win part of that.",
        run,
        f"at most these {size} nats of the ELBO, and of log p(x) what training makes of them",
        gap.mean,
    )


def _loose(study: StudyRecord) -> Iterator[Advice]:
    """The importance weights speak against the bound that the verdict stands on."""
    why, known = _why_loose(study), _annealed(study)
    points = min(_POINTS, len(study.evidence.best))
    if not why or (known and len(known) >= points):
        return
    where, folder = shlex.quote(str(study.run)), shlex.quote(str(study.folder))
    run = f"elbowroom evidence {where} --estimator ais --points {points} && elbowroom report {folder}"
    said = f"{study.evidence.best.estimator} is a loose bound here ({why})"
    if known is None:
        yield Advice(f"{said}: measure log p(x) by AIS.", run)
        return
    apart = known - study.evidence.best
    if not sure(apart):
        return
    size = with_error(apart.mean, apart.se_total)
    over = count(len(apart), "example")
    yield Advice(
        f"{said}: AIS lies {size} nats above it over {over}, so measure more of them by AIS.",
        run,
        f"no nats of the model; the number rises by {size}",
        apart.mean,
    )


def _why_loose(study: StudyRecord) -> str:
    bounds, n = study.evidence.bounds.values(), len(study.evidence.best)
    collapsed, missed = (max(getattr(e, one) for e in bounds) for one in ("collapsed", "missed"))
    said = {"its effective sample size collapsed": collapsed, "k̂ above 0.7": missed}
    return ", ".join(f"{name} on {many:,} of {n:,} examples" for name, many in said.items() if many > _MANY * n)


def _annealed(study: StudyRecord) -> Estimate | None:
    """AIS of the most test examples that the run's evidence.json has, as a finite lower bound of the same quantity."""
    best, found = study.evidence.best, []
    for kept in read_estimates(study.run / "evidence.json", study.weights):
        e = kept.estimate
        same = (e.quantity, e.direction, e.data) == (best.quantity, "lower", best.data) and kept.part == "test"
        if same and e.estimator.startswith("AIS") and math.isfinite(e.mean) and np.isin(e.index, best.index).any():
            found.append(e)
    return max(found, key=len, default=None)


def _behind(study: StudyRecord) -> Iterator[Advice]:
    """A baseline is ahead."""
    apart = study.difference
    if apart is None or apart.tie or not apart.value < 0:
        return
    size = with_error(-apart.value, apart.se)
    widths = wider(study)
    prior: dict[str, Any] = {"prior": "mixture-prior"} if _plain_prior(study) else {}
    how = f"use it, or give the VAE {'a mixture for its prior and ' if prior else ''}wider networks"
    how += "" if _spare(study) else ", and more latents" if prior else " and more latents"
    more: dict[str, Any] = {} if _spare(study) else _resized(study, 2.0)
    run = command(study, "wider", widths=widths, **more, **prior) if widths and (more or _spare(study)) else ""
    by, bound = ("By these bounds", "at most ") if study.direction == "lower" else ("By these numbers", "")
    if why := _why_loose(study):
        how += f"; but the VAE's bound is loose ({why}), so first measure it by AIS"
    yield Advice(
        f"{by} {the(apart.against)} is the better density of these data: {how}.",
        run,
        f"{bound}{size} nats to draw level",
        -apart.value,
    )


def _plain_prior(study: StudyRecord) -> bool:
    """Whether p(z) is one standard normal, in which clusters of x have to be folded."""
    blocks = list((study.recipe or {}).get("prior", {}).values())
    return len(blocks) == 1 and blocks[0].get("kind") == "standard-normal"


def _edges(study: StudyRecord) -> Iterator[Advice]:
    """A baseline's best setting is not inside what was tried, so it may be better than it stands here."""
    for one in study.contest.classics if study.contest else ():
        if one.search is None or one.search.inside:
            continue
        said = f"{one.search.said} {_if_better(study.evidence.best - one.estimate)}"
        won = one.search.won
        if won is None or won <= 0:
            yield Advice(said, "", f"{NOT_MEASURED}, and the baseline's")
        else:
            size = significant(won, 2)
            yield Advice(
                said, "", f"about {size} nats for a further step, and the baseline's, if it pays as the last", won
            )


def _if_better(ahead: Estimate) -> str:
    """What follows where a baseline, which the model is so far ahead of, is better than it stands here."""
    if not clear(ahead.mean, ahead.se_total, len(ahead)):
        return "It may be better than it stands here."
    return "The lead over it may be smaller." if ahead.mean > 0 else "The deficit to it may be larger."


def _spare(study: StudyRecord) -> bool:
    """Whether some latents are not needed."""
    latents = study.evidence.latents
    used = sum(latents.active) if latents.carriers is None else latents.carriers
    return used < len(latents.active)


def _resized(study: StudyRecord, times: float) -> dict[str, Any]:
    """The latents of the recipe, layer by layer, so many times as many; empty where no word says how many they are."""
    blocks = list((study.recipe or {}).get("prior", {"z": {}}).values())
    sizes = [one.get("event") for one in blocks] if len(blocks) > 1 else [study.chosen.latents]
    if not all(isinstance(size, int) for size in sizes) or sum(sizes) != study.chosen.latents:
        return {}
    resized = [max(round(size * times), 1) for size in sizes]
    return {"latents": resized if len(resized) > 1 else resized[0]}


def _latents(study: StudyRecord) -> Iterator[Advice]:
    """All latents are needed, none, or half of them at most."""
    latents, size = study.evidence.latents, study.chosen.latents
    used = sum(latents.active) if latents.carriers is None else latents.carriers
    if "latents" in study.chosen.settings:
        return
    if not any(latents.active):
        yield Advice(
            f"None of {count(size, 'latent')} is active: the posterior has collapsed, and a KL that is paid for little "
            "by little can open it.",
            command(study, "warm", objective={"kind": "elbo", "warmup": max(study.chosen.epochs // 4, 1)}),
        )
    elif used == len(latents.active):
        said = f"All of {count(size, 'latent')} are needed for 99 % of the rate: more of them may carry more."
        yield Advice(said, _with_latents(study, 2.0))
    elif latents.carriers and 2 * used <= size:
        said = f"{used} of {size} latents carry 99 % of the rate: a smaller model may do as well."
        yield Advice(said, _with_latents(study, used / size), "no nats, a smaller model", 0.0)


def _with_latents(study: StudyRecord, times: float) -> str:
    words = _resized(study, times)
    return command(study, "latents", **words) if words else ""


def _floors(study: StudyRecord) -> Iterator[Advice]:
    """The noise stands at its floor."""
    for note in study.chosen.notes:
        if not (found := _FLOORED.search(note)):
            continue
        share, floor = float(found[1]) / 100, float(found[2])
        most = share * study.data.dimensions * _TENFOLD
        word = (study.recipe or {}).get("likelihood", {})
        lower = {name: word[name] for name in ("kind", "scale") if name in word} | {"floor": float(f"{floor / 10:.3g}")}
        run = command(study, "floor", likelihood=lower) if "floor" in word else ""
        yield Advice(
            f"{found[1]} % of the noise scales stand at their floor of {floor:g}, which then decides log p(x): see "
            "what a tenth of it scores, and whether a column there repeats or is determined by others.",
            run,
            f"at most {significant(most, 2)} nats for a tenfold lower floor",
            most,
        )


def _outside(study: StudyRecord) -> Iterator[Advice]:
    """The likelihood puts mass where the data cannot be: to renormalise it is worth −log of what is inside."""
    leak = study.evidence.leak or 0.0
    least = -study.data.dimensions * math.log1p(-leak) if leak < 1 else math.inf
    if study.data.seen == "unit" and least > LEAST and math.isfinite(least):
        yield Advice(
            f"The likelihood puts {100 * leak:.2g} % of its mass outside the range of the data: one that is cut off "
            "there loses none.",
            command(study, "inside", likelihood="truncated-normal"),
            f"at least {significant(least, 2)} nats",
            least,
        )


def _repeats(study: StudyRecord) -> Iterator[Advice]:
    """Test examples that stand in train are remembered, maybe, and tell little of new ones."""
    data, best = study.data, study.evidence.best
    if not data.repeats_more_than_chance:
        return
    said = f"{len(data.repeats):,} of {count(data.sizes['test'], 'test example')} also stand in train: "
    worth, nats = _moved_by(best, np.array(data.repeats))
    yield Advice(f"{said}study the data without the repeats.", _without_repeats(study), worth, nats)


def _moved_by(best: Estimate, repeats: NDArray[np.int64]) -> tuple[str, float | None]:
    """By how much repeats move a score, in words and in nats."""
    new, old = best.at(np.setdiff1d(best.index, repeats)), best.at(repeats)
    moved = best.mean - new.mean if len(new) else math.nan
    if not math.isfinite(moved):
        return NOT_MEASURED, None
    error = len(old) / len(best) * math.hypot(old.se_total, new.se_total)
    if not clear(moved, error, min(len(old), len(new))):
        return "no nats of the model; they move the score by less than its error tells", 0.0
    size = f"{significant(abs(moved), 2)} nats {'lower' if moved > 0 else 'higher'}"
    return f"no nats of the model; without them the score is {size}", abs(moved)


def _without_repeats(study: StudyRecord) -> str:
    """Where the data are one file: it without its repeats, and the study of that."""
    source = Path(study.data.source)
    unique = source.with_stem(f"{source.stem}-unique") if source.name else source
    before, after = shlex.quote(str(source)), shlex.quote(str(unique))
    if source.suffix == ".npy":
        old, new = json.dumps(str(source)), json.dumps(str(unique))
        code = f"import numpy as np; np.save({new}, np.unique(np.load({old}), axis=0))"
        first = f"python -c {shlex.quote(code)}"
    elif source.suffix in (".csv", ".tsv", ".txt"):
        first = f"awk '!seen[$0]++' {before} > {after}"
    else:
        return ""
    then = command(study, "unique")
    return f"{first} && {then.replace(before, after, 1)}" if then.startswith("elbowroom") else first


def _seeds(study: StudyRecord) -> Iterator[Advice]:
    """One seed says nothing of how far another would lie."""
    if study.sweep.spread_of(study.chosen) is None:
        axes = {name: [value] for name, value in study.chosen.settings.items() if name != SEED} | {SEED: [0, 1, 2]}
        said = "One seed was trained, so the errors are those of examples and draws, and how far another training would"
        yield Advice(f"{said} lie is not known: train three.", command(study, "seeds", axes))


_RULES: Sequence[Callable[[StudyRecord], Iterator[Advice]]] = (
    _longer, _further, _behind, _edges, _loose, _encoder, _outside, _floors, _repeats, _latents, _seeds,
)  # fmt: skip
