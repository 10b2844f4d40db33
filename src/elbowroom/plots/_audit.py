"""Where nats go: the identity of an audit, what remedies win, the two parts of a rate, and which units carry none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from elbowroom.numerics import InputError, plain_arguments, rounded, with_error

from ._curves import Series, lines
from .style import ACCENT, INK, PAPER, SOFT, canvas, describe, interval, interval_of, is_narrow, name_row

_TALL = 14.0  # points
_ROW, _NARROW_ROW = 44, 58
# Dark, pale and hollow with a dashed rim, so that they differ in grey print too.
_LOOKS: dict[str, Any] = {
    "own": {"fc": ACCENT},
    "other": {"fc": SOFT, "alpha": 0.35},
    "maybe": {"fc": PAPER, "ec": INK, "ls": (0, (3, 2))},
}


@dataclass(frozen=True)
class Span:
    """A row of `spans`: a bar from one number to another.

    Parameters
    ----------
    name : str
        What it is called.
    start, end : float
        In the unit of the axis.
    number : str
        What stands beside the bar.
    half : float, default 0.0
        Half the 95 % interval of its end.
    detail : str, default ""
        A second line under the name, on wide axes.
    look : {"own", "other", "maybe"}, default "own"
        Dark, pale, or hollow with a dashed rim.
    """

    name: str
    start: float
    end: float
    number: str
    half: float = 0.0
    detail: str = ""
    look: str = "own"


@plain_arguments
def spans(rows: Sequence[Span], *, axis: str, at: float | None = None, ax: Axes | None = None) -> Axes:
    """Bars between two numbers each, below each other, with the 95 % interval of their ends.

    A row whose ends are not finite numbers is named, with what stands beside it, and has no bar.

    Parameters
    ----------
    rows : sequence of Span
        From above.
    axis : str
        What runs across, and its unit.
    at : float, default None
        Where a dashed line stands; None: nowhere.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where no row has finite ends.

    Examples
    --------
    >>> spans([Span("calibrate", 0.0, 2.5, "2.5")], axis="nats per example").get_label()
    'calibrate: 2.5.'
    """
    drawn = [row for row in rows if math.isfinite(row.start + row.end)]
    if not drawn:
        raise InputError("No row has ends that are finite numbers, so there is nothing to draw.")
    reach = [place for row in drawn for place in (row.start, row.end - row.half, row.end + row.half)]
    low, high = min(0.0, *reach), max(0.0, *reach)
    pad = 0.03 * (high - low) or 1.0
    with canvas(ax, 62 + _ROW * len(rows), 66 + _NARROW_ROW * len(rows), grid="x") as ax:
        ax.set(xlim=(low - pad * (low < 0), high + pad), ylim=(-len(rows) + 0.5, 0.75 if is_narrow(ax) else 0.5))
        ax.set_yticks([])
        ax.axvline(0, color=INK, linewidth=1, zorder=1)
        if at is not None and low - pad <= at <= high + pad:
            ax.axvline(at, color=SOFT, linewidth=1, linestyle=(0, (3, 4)), zorder=1)
        for level, row in enumerate(rows):
            _draw(ax, -level, row)
        describe(ax, "; ".join(f"{row.name}: {_in_words(row.number)}" for row in rows) + ".", axis)
    return ax


def identity(found: Any, *, ax: Axes | None = None) -> Axes:
    """From the ELBO to log p(x): amortisation, approximation, both together, and the other end where it was measured.

    Intervals are those of the differences, paired by example, and so are narrower than those of the bounds themselves.

    Parameters
    ----------
    found : IdentityRecord
        Of `er.audit`: with the Estimates `total`, `elbo`, and `amortisation`, `approximation` and `upper` or None.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where a part is not a finite number.

    References
    ----------
    C. Cremer, X. Li, D. Duvenaud, "Inference Suboptimality in Variational Autoencoders" (2018).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.plots import Value
    >>> parts = SimpleNamespace(amortisation=Value(2.0, 0.1), approximation=Value(1.0, 0.1), total=Value(3.0, 0.1))
    >>> parts.upper = None
    >>> identity(parts).get_label()
    'amortisation: 2.00 ± 0.10; approximation: 1.00 ± 0.10; log p(x) − ELBO: 3.00 ± 0.10.'
    """
    first, second, total = found.amortisation, found.approximation, found.total
    rows = []
    if first is not None and second is not None:
        own, family = "best q of the family − encoder", "log p(x) − best q of the family"
        rows += [
            Span("amortisation", 0.0, first.mean, _number(first), interval_of(first), own),
            Span("approximation", first.mean, total.mean, _number(second), interval_of(second), family),
        ]
    rows.append(Span("log p(x) − ELBO", 0.0, total.mean, _number(total), interval_of(total), "both together", "other"))
    if found.upper is not None:
        end = found.upper - found.elbo
        number = f"{_number(end)} if mixed"
        rows.append(
            Span("other end", total.mean, end.mean, number, interval_of(end), "above only if chains mixed", "maybe")
        )
    return spans(rows, axis="nats per example above the ELBO", ax=ax)


def gains(prices: Sequence[Any], *, ax: Axes | None = None) -> Axes:
    """What each remedy wins on held-out examples, the most first.

    Parameters
    ----------
    prices : sequence of PriceRecord
        Of `er.audit`: with `remedy`, `gain`, a Number in nats per example, and `n`, the examples that it is over.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where no gain is a finite number.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.records import Number
    >>> gains([SimpleNamespace(remedy="calibrate", gain=Number(2.5, 0.25))]).get_label()
    'calibrate: 2.50 ± 0.25.'
    """
    rows = [
        Span(
            one.remedy,
            0.0,
            one.gain.value,
            with_error(one.gain.value, one.gain.se),
            interval(one.gain.se or 0.0, getattr(one, "n", None)),
        )
        for one in sorted(prices, key=_greatest_first)
    ]
    return spans(rows, axis="nats per example won", ax=ax)


def rate_parts(context: Any, *, ax: Axes | None = None) -> Axes:
    """The rate, and the two things it pays for: what z says about x, and how far q(z) is from the prior.

    Rate = I(x; z) + KL(q(z) ‖ p(z)). The second is an interval; where it has no upper end, the bar has none either and
    the rate ends it. The dashed line is the ceiling log N of the estimate of I(x; z).

    Parameters
    ----------
    context : ContextRecord
        Of `er.audit`: with `rate`, and `information` and `prior_gap` or None.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the rate is not a finite number.

    References
    ----------
    M. Hoffman, M. Johnson, "ELBO Surgery" (2016).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.plots import Value
    >>> rate_parts(SimpleNamespace(rate=Value(9.0, 0.2), information=None, prior_gap=None)).get_label()
    'rate: 9.00 ± 0.20.'
    """
    rate, information, gap = context.rate, context.information, context.prior_gap
    rows, at = [Span("rate", 0.0, rate.mean, _number(rate), interval_of(rate), "KL(q(z | x) ‖ p(z))", "other")], None
    if information is not None:
        value, at = information.value, information.ceiling
        number = "≥ " * information.saturated + with_error(value.value, value.se)
        most = f"log {information.n:,} = {rounded(at, 1)} at most"
        rows.append(Span("I(x; z)", 0.0, value.value, number, interval(value.se or 0.0), most))
    if gap is not None:
        low, high = gap.ends
        number = f"≥ {low}" if high is None else f"{low} to {high}"
        start, end = sorted((gap.low.value, rate.mean if gap.high is None else gap.high.value))
        detail = f"KL(q(z) ‖ p(z)), {'about' if gap.crossed else 'between'}"
        rows.append(Span("prior gap", start, end, number, 0.0, detail, "maybe"))
    return spans(rows, axis="nats per example", at=at, ax=ax)


def collapse_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """The share of latent units that are collapsed, whatever threshold of the KL one takes.

    Parameters
    ----------
    curve : CollapseCurve
        Of `er.audit`: with `epsilon`, `share` and `delta`.
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
    J. Lucas, G. Tucker, R. Grosse, M. Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse"
    (2019).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> ax = collapse_curve(SimpleNamespace(epsilon=(0.01, 1.0), share=(0.25, 0.5), delta=0.01))
    >>> ax.get_title("left")
    'share of latent units, %'
    """
    name = f"KL below ε on {rounded(100 * (1 - curve.delta), 0)} % of examples"
    series = Series(name, curve.epsilon, [100 * share for share in curve.share])
    across = "ε, nats (logarithmic)"
    return lines([series], across=across, up="share of latent units, %", log_x=True, limits=(-3.0, 103.0), ax=ax)


def _draw(ax: Axes, level: float, row: Span) -> None:
    narrow = is_narrow(ax)
    look: Any = {"color": ACCENT, "weight": "bold"} if row.look == "own" else {}
    name_row(ax, level, row.name, row.number, row.detail, aside=(10, 8 - 8 * narrow), above=20, **look)
    thick = _TALL / (_NARROW_ROW if narrow else _ROW)
    if not math.isfinite(row.start + row.end):
        return
    left, right = sorted((row.start, row.end))
    ax.barh(level, right - left, thick, left, zorder=2, clip_on=False, **_LOOKS[row.look])
    if row.half:
        ends = [row.end - row.half, row.end + row.half]
        ax.plot(ends, [level] * 2, color=INK, linewidth=1.5, solid_capstyle="butt", zorder=3)


def _greatest_first(price: Any) -> float:
    return -price.gain.value if math.isfinite(price.gain.value) else math.inf


def _number(e: Any) -> str:
    return with_error(e.mean, e.se_total)


def _in_words(number: str) -> str:
    return number.replace("≥", "at least").replace("≤", "at most")
