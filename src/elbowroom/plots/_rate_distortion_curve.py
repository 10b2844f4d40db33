"""The rate–distortion curve of a decoder."""

from matplotlib.axes import Axes

from .records import Rates
from .style import ACCENT, canvas, interval, name_axes

__all__ = ["rate_distortion_curve"]


def rate_distortion_curve(curve: Rates, *, ax: Axes | None = None) -> Axes:
    """The fewest nats that reach each distortion, at most, with crosses of 95 % intervals.

    It may be drawn onto the plane that `rate_distortion` returns, where distortions are −log p(x | z).

    Parameters
    ----------
    curve : RateDistortionCurve
        What `er.evidence.rate_distortion_curve` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    References
    ----------
    S. Huang et al., "Evaluating Lossy Compression Rates of Deep Generative Models" (2020).
    """
    with canvas(ax, 400, 340) as ax:
        ax.errorbar(
            [r.mean for r in curve.rates], [d.mean for d in curve.distortions],
            [interval(d.se_total) for d in curve.distortions], [interval(r.se_total) for r in curve.rates],
            fmt="o-", color=ACCENT, markersize=6, linewidth=1.5, label="at most, by annealing",
        )  # fmt: skip
        name_axes(ax, "rate, nats per example", ax.get_title("left") or "distortion per example")
        pairs = zip(curve.rates, curve.distortions, strict=True)
        ax.set_label("; ".join(f"rate {r.mean:.4g} at distortion {d.mean:.4g}" for r, d in pairs) + ".")
    return ax
