"""The rate–distortion plane with lines of equal ELBO, and the rate–distortion curve of a decoder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from elbowroom.numerics import InputError, plain_arguments, rounded, with_error

from .plane import FAULTS, Place, best_entropy, corners_of, limits, places_of, short_label, within
from .style import ACCENT, BAND, INK, PAPER, SOFT, Plain, Sheet, canvas, describe, fits, interval_of, key, note

_EQUAL, _LIMIT = "equal-elbo", "entropy"

# Where a label may stand beside its dot, in points, best first.
_PLACES = [(14, 8), (14, -8), (-14, -8), (-14, 8), (18, 0), (14, 22), (14, -22), (-14, 22), (-14, -22)]
_FURTHER = [(x, y) for y in (36, -36, 50, -50) for x in (14, -14, 40, -40)]  # for the chosen one, which has its name


@dataclass(frozen=True)
class Value:
    """A mean and its standard error, for numbers that come from elsewhere than an Estimate.

    Parameters
    ----------
    mean : float
        Nats per example.
    se_total : float, default NaN
        From draws and examples together; NaN where unknown.
    """

    mean: float
    se_total: float = math.nan


@dataclass(frozen=True)
class Model:
    """A point of the plane that comes from elsewhere than a sweep.

    Parameters
    ----------
    label : str
        What people call it.
    rate, distortion : Value
        Nats per example.
    family : str, default ""
        What it has in common with others that differ from it in β alone.
    """

    label: str
    rate: Value
    distortion: Value
    family: str = ""


@plain_arguments
def rate_distortion(
    models: Sequence[Any],
    *,
    chosen: Any = None,
    entropy: Any = None,
    calibrated: Sequence[Any] | None = None,
    healthy: Sequence[bool | None] | None = None,
    frontiers: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Rate across, distortion up; ELBO = −(rate + distortion), so lines of equal ELBO fall from left to right.

    Crosses are 95 % intervals. Models whose rate or distortion is not finite are named and not drawn, nor is one that
    would squeeze all others into a corner: whose rate is three interquartile ranges above the upper quartile, at an
    ELBO below the median. The marks of model i have the ids "point-i.…", by which a page finds them.
    `rate_distortion_curve` draws what the decoder of one model could reach with a better encoder onto the Axes that
    are returned, and their `figure.savefig("plane.pdf")` keeps them for a paper.

    Parameters
    ----------
    models : sequence of Swept or Model
        What `er.sweep` returns, or anything with `label`, and `rate` and `distortion` (nats per example) that have
        `mean` and `se_total`. Models with the same `family` share colour, mark and frontier.
    chosen : one of `models`, default None
        The model that is set apart; one that `choose` has calibrated stands for the one that it was made of.
    entropy : Estimate or Value, default None
        An estimate of the entropy H of x, in nats per example. As −ELBO = R + D ≥ H, the corner below that line, which
        is shaded, is out of reach. Nobody knows H: −E log p̂(x) lies above it, so that against such an estimate of
        another model points may lie below the line. None: the least that the models' own bounds on log p(x) give, below
        which none of them can lie but by its error; without such bounds no line.
    calibrated : sequence of Estimate, Value or None, default None
        For every model the nats that `remedies.calibrate` wins (its `gain`); None for one that is not calibrated. The
        rate stays, so the point after calibration stands right below the point as trained.
    healthy : sequence of bool or None, default None
        For every model whether its audit found no fault; None for one without an audit.
    frontiers : bool, default True
        Whether the lower-left convex frontier of every family is drawn, after calibration. Where every model is a
        family of its own, all are taken for one.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where no model has a finite rate and distortion, where `calibrated` or `healthy` has not one for each, and where
        `chosen` is none of the models.

    References
    ----------
    A. Alemi et al., "Fixing a Broken ELBO" (2018).

    Examples
    --------
    >>> from elbowroom.plots import Model, Value
    >>> ax = rate_distortion([Model("β = 1", Value(18.0, 0.3), Value(-85.0, 1.0))])
    >>> ax.get_xlabel(), ax.get_title("left")
    ('rate, nats per example', 'distortion, nats per example')
    """
    for name, given in (("calibrated", calibrated), ("healthy", healthy)):
        if given is not None and len(given) != len(models):
            raise InputError(f"{name} must have one for each of the {len(models)} models; it has {len(given)}.")
    chosen = _one_of(models, chosen)
    places = places_of(models, chosen, calibrated, healthy)
    if not places:
        raise InputError("No model has a finite rate and distortion, so there is no plane to draw.")
    number = next((i for i, m in enumerate(models) if m is chosen), None)
    shown = within(places, number)
    limit = _entropy_of(entropy, models, calibrated)
    with canvas(ax, 450, 370) as ax:
        _frame(ax, models, shown, limit)
        _equal_elbo(ax)
        handles = _draw_families(ax, shown, frontiers)
        if limit:
            _draw_limit(ax, limit[0])
        for i in sorted(shown, key=lambda i: (i == number, shown[i].rate)):
            _point(ax, i, models[i], shown[i], i == number)
        if handles := handles + _marks_said(shown, healthy, limit):
            key(ax, handles, lift=24)
            _make_room(ax)
        _name_the_lost(ax, models, places, shown)
        about = "; ".join(map(_said, models)) + "." + (f" Chosen: {chosen.label}." if chosen else "")
        about += f" Best estimate of the entropy: {limit[1]}." if limit else ""
        describe(ax, about, "rate, nats per example", "distortion, nats per example")
        _label(ax, models, shown, number)
    return ax


def rate_distortion_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """The fewest nats that reach each distortion, at most, with crosses of 95 % intervals.

    It may be drawn onto the plane that `rate_distortion` returns, where distortions are −log p(x | z); the plane grows
    until every point is on it. Points that are not finite are counted in the name of the axis, and not drawn.

    Parameters
    ----------
    curve : RateDistortionCurve
        What `er.evidence.rate_distortion_curve` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where no point is finite.

    References
    ----------
    S. Huang et al., "Evaluating Lossy Compression Rates of Deep Generative Models" (2020).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.plots import Value
    >>> curve = SimpleNamespace(rates=[Value(5.0), Value(10.0)], distortions=[Value(-60.0), Value(-80.0)])
    >>> rate_distortion_curve(curve).get_label()
    'rate 5 at distortion -60; rate 10 at distortion -80.'
    """
    rates, distortions = ([e.mean for e in part] for part in (curve.rates, curve.distortions))
    across, up = ([interval_of(e) for e in part] for part in (curve.rates, curve.distortions))
    finite = [i for i, place in enumerate(zip(rates, distortions, strict=True)) if math.isfinite(sum(place))]
    if not finite:
        raise InputError("No point of the rate–distortion curve is finite, so there is nothing to draw.")
    lost = len(rates) - len(finite)
    without = f" ({lost} of {len(rates)} points not drawn, because not finite)" * bool(lost)
    plane = ax is not None and any(one.get_gid() == _EQUAL for one in ax.get_lines())
    with canvas(ax, *((0, 0) if plane else (400, 340))) as ax:
        ax.errorbar(rates, distortions, up, across, fmt="o-", color=ACCENT, markersize=4 if plane else 6, linewidth=1.5)
        about = "; ".join(map("rate {:.4g} at distortion {:.4g}".format, rates, distortions)) + "."
        _grow(ax, [curve.rates[i] for i in finite], [curve.distortions[i] for i in finite])
        said = f"{ax.get_label()} {about}{without}".strip()
        describe(ax, said, f"rate, nats per example{without}", ax.get_title("left") or "distortion per example")
        if plane:
            _name_the_curve(ax, [(rates[i], distortions[i]) for i in finite])
    return ax


def _name_the_curve(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    """What the curve is, beside the first of its points where the words fit."""
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    taken = [text.get_window_extent() for text in ax.texts]
    dots = [line.get_xydata() for line in ax.get_lines() if str(line.get_gid()).endswith(".dot")]
    taken += _around(ax, np.concatenate([*dots, points]))
    for point in points:
        text = note(ax, "the decoder’s own curve", point, color=ACCENT, fontsize=12)
        if fits(text, _PLACES + _FURTHER, taken, ax.get_window_extent()):
            return
        text.remove()


def _one_of(models: Sequence[Any], chosen: Any) -> Any:
    """Which of the models was chosen: itself, or by its name where it was calibrated since."""
    if chosen is None or any(one is chosen for one in models):
        return chosen
    name = getattr(chosen, "name", None)
    found = [one for one in models if name is not None and getattr(one, "name", None) == name]
    if len(found) != 1:
        raise InputError(f"chosen, {getattr(chosen, 'label', chosen)}, is none of the models: give it among them.")
    return found[0]


def _entropy_of(entropy: Any, models: Sequence[Any], gains: Sequence[Any] | None) -> tuple[float, str] | None:
    """The estimate of H and its words; None where there is none."""
    if entropy is None:
        return best_entropy(models, gains)
    return (entropy.mean, with_error(entropy.mean, entropy.se_total)) if math.isfinite(entropy.mean) else None


def _frame(ax: Axes, models: Sequence[Any], shown: Mapping[int, Place], limit: tuple[float, str] | None) -> None:
    """Limits that hold all points with their intervals, and the line of H below the best of them."""
    rates = [(models[i].rate.mean, interval_of(models[i].rate)) for i in shown]
    distortions = [(models[i].distortion.mean, interval_of(models[i].distortion)) for i in shown]
    distortions += [(one.calibrated, 0.0) for one in shown.values() if one.calibrated is not None]
    best = min(shown.values(), key=lambda one: sum(one.best))
    if limit is not None:
        distortions.append((limit[0] - best.rate, 0.0))
    ax.set(xlim=limits(rates, at_zero=True), ylim=limits(distortions))


def _draw_families(ax: Axes, shown: Mapping[int, Place], frontiers: bool) -> list[Any]:
    """The frontier of every family; lines for the key where there are several."""
    families = {one.family.name: one.family for one in shown.values()}
    handles: list[Any] = []
    for name, corners in corners_of(shown).items():
        family = families[name]
        colour = SOFT if len(families) == 1 else family.colour
        if frontiers and len(corners) > 1:
            ax.plot(*zip(*corners, strict=True), color=colour, linewidth=1.5, gid="frontier")
        look: Any = {"color": colour, "marker": family.marker, "mfc": PAPER, "markeredgewidth": 2, "linewidth": 1.5}
        handles.append(Line2D([], [], label=name, **look))
    return handles if len(families) > 1 else []


def _draw_limit(ax: Axes, entropy: float) -> None:
    """The line R + D = H, and the corner below it shaded."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    across, up = [x0, x1], [entropy - x0, entropy - x1]
    ax.fill_between(across, up, min(y0, *up), color=BAND, linewidth=0, zorder=0, gid=_LIMIT)
    ax.plot(across, up, color=INK, linewidth=1.2, zorder=1.5, gid=_LIMIT)
    ax.set(xlim=(x0, x1), ylim=(y0, y1))


def _make_room(ax: Axes) -> None:
    """A sheet of ours grows by the key's rows, so that these take nothing from the plane."""
    if isinstance(ax.figure, Sheet) and (legend := ax.get_legend()):
        ax.figure.draw_without_rendering()
        height = legend.get_window_extent().height / ax.figure.dpi
        ax.figure.set_figheight(ax.figure.get_figheight() + max(height - 0.25, 0))


def _marks_said(
    shown: Mapping[int, Place], healthy: Sequence[bool | None] | None, limit: tuple[float, str] | None
) -> list[Any]:
    """What the line of H, a small mark and a fill mean, for the key."""
    look: Any = {"linestyle": "none", "marker": "o", "color": INK}
    handles = []
    if limit:
        number, _, by = limit[1].partition(", ")
        name = f"H is at most {number}" if by else f"H, taken to be {number}"
        handles.append(Line2D([], [], color=INK, linewidth=1.2, label=name))
    if any(one.calibrated is not None for one in shown.values()):
        handles.append(Line2D([], [], label="calibrated", **look | {"linestyle": "-", "markersize": 4, "linewidth": 1}))
    said = {healthy[i] for i in shown} if healthy is not None else set()
    colours = {True: (ACCENT, "audit: healthy"), False: (FAULTS, "audit: faults found")}
    fills = [(colour, words) for one, (colour, words) in colours.items() if one in said]
    return handles + [Line2D([], [], label=words, **look | {"color": colour}) for colour, words in fills]


def _name_the_lost(ax: Axes, models: Sequence[Any], places: Mapping[int, Place], shown: Mapping[int, Place]) -> None:
    """Which models are not drawn, in the upper corner."""
    lost = [m.label for i, m in enumerate(models) if i not in places]
    far = [f"{models[i].label} (rate {one.rate:.3g})" for i, one in places.items() if i not in shown]
    words = [f"{why}: {', '.join(names)}" for why, names in (("not finite", lost), ("far outside", far)) if names]
    for line, text in enumerate(words):
        note(ax, text, (1, 1), (0, -14 * line), xycoords="axes fraction", ha="right", va="top")


def _grow(ax: Axes, rates: Sequence[Any], distortions: Sequence[Any]) -> None:
    """Fixed limits, as those of a plane, made to hold these points; lines of equal ELBO run to the new frame."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    across, up = (limits([(e.mean, interval_of(e)) for e in part]) for part in (rates, distortions))
    wide, high = (min(x0, across[0]), max(x1, across[1])), (min(y0, up[0]), max(y1, up[1]))
    if ax.get_autoscale_on() or (wide, high) == ((x0, x1), (y0, y1)):
        return
    ax.set(xlim=wide, ylim=high)
    if lines := [one for one in (*ax.get_lines(), *ax.texts) if one.get_gid() == _EQUAL]:
        for one in lines:
            one.remove()
        _equal_elbo(ax)
    if limit := [one for one in ax.get_lines() if one.get_gid() == _LIMIT]:
        entropy = float(np.sum(limit[0].get_xydata(), axis=1)[0])
        for mark in [*limit, *(patch for patch in ax.collections if patch.get_gid() == _LIMIT)]:
            mark.remove()
        _draw_limit(ax, entropy)


def _equal_elbo(ax: Axes) -> None:
    """Lines rate + distortion = −ELBO across the frame, named where they leave it."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    ticks = MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(-(x1 + y1), -(x0 + y0))
    for elbo, name in zip(ticks, Plain("").format_ticks(ticks), strict=True):
        left, right = max(x0, -elbo - y1), min(x1, -elbo - y0)
        if right - left > 0.05 * (x1 - x0):
            ax.plot(
                [left, right],
                [-elbo - left, -elbo - right],
                color=SOFT,
                lw=1,
                linestyle=(0, (2, 5)),
                zorder=1,
                gid=_EQUAL,
            )
            look = {"ha": "right", "va": "baseline"} if right < x1 else {}
            note(ax, name, (right, -elbo - right), (-6, 3) if look else (5, 0), gid=_EQUAL, **look)
    note(ax, "ELBO", (1, 1), (5, 8), "axes fraction", va="baseline", gid=_EQUAL)


def _point(ax: Axes, index: int, model: Any, place: Place, chosen: bool) -> None:
    """A cross of 95 % intervals with a dot in its middle, and right below it where calibration would take it."""
    x, y = place.rate, place.distortion
    colour = place.fill if chosen and place.family.colour == INK else place.family.colour
    across, up = interval_of(model.rate), interval_of(model.distortion)
    style: Any = {"color": colour, "linewidth": 1.5, "solid_capstyle": "butt", "clip_on": False}
    if place.calibrated is not None:
        ax.plot([x, x], [y, place.calibrated], gid=f"point-{index}.joined", **style | {"linewidth": 1})
        ax.plot(x, place.calibrated, place.family.marker, markersize=4, gid=f"point-{index}.calibrated", **style)
    ax.plot([x - across, x + across], [y, y], gid=f"point-{index}.rate", **style)
    ax.plot([x, x], [y - up, y + up], gid=f"point-{index}.distortion", **style)
    dot: Any = {"markersize": 11 if chosen else 8, "mfc": place.fill, "markeredgewidth": 2}
    ax.plot(x, y, place.family.marker, gid=f"point-{index}.dot", label=_said(model, place), **dot, **style)


def _label(ax: Axes, models: Sequence[Any], shown: Mapping[int, Place], chosen: int | None) -> None:
    """Names beside the dots, where none covers another or a dot; one that fits nowhere is left out.

    The chosen model comes first, then those on a frontier, then the others from the highest rate down.
    """
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]  # the layout decides where dots stand
    taken = [text.get_window_extent() for text in ax.texts]
    taken += _around(ax, [(one.rate, one.distortion) for one in shown.values()])
    corners = {corner for family in corners_of(shown).values() for corner in family}
    order = sorted(shown, key=lambda i: (i != chosen, shown[i].best not in corners, -shown[i].rate))
    for i in order:
        name, colour, weight = short_label(models[i], shown[i].family), INK, "normal"
        if i == chosen:
            name, colour, weight = f"{name} (chosen)", shown[i].fill, "bold"
        text = note(ax, name, (shown[i].rate, shown[i].distortion), fontsize=12, color=colour, weight=weight)
        text.set_gid(f"point-{i}.name")
        if not fits(text, _PLACES + _FURTHER * (i == chosen), taken, ax.get_window_extent()):
            text.remove()


def _around(ax: Axes, points: Any) -> list[Bbox]:
    """The squares of dots, which no name may cover."""
    return [Bbox([dot, dot]).padded(7 / 72 * ax.figure.dpi) for dot in ax.transData.transform(points)]


def _said(model: Any, place: Place | None = None) -> str:
    pairs = [(part.mean, part.se_total) for part in (model.rate, model.distortion)]
    elbo = rounded(-math.fsum(value for value, _ in pairs), 1)
    after = f", distortion {rounded(place.calibrated, 1)} calibrated" if place and place.calibrated is not None else ""
    return f"{model.label}: rate {with_error(*pairs[0])}, distortion {with_error(*pairs[1])}, ELBO {elbo} nats{after}"
