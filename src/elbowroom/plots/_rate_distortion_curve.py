"""The rate–distortion curve of a decoder."""

from typing import Any

from matplotlib.axes import Axes

from .style import ACCENT, canvas, describe, interval


def rate_distortion_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
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
    rates, distortions = ([e.mean for e in part] for part in (curve.rates, curve.distortions))
    across, up = ([interval(e.se_total) for e in part] for part in (curve.rates, curve.distortions))
    with canvas(ax, 400, 340) as ax:
        ax.errorbar(rates, distortions, up, across, fmt="o-", color=ACCENT, markersize=6, linewidth=1.5)
        pairs = zip(rates, distortions, strict=True)
        about = "; ".join(f"rate {rate:.4g} at distortion {distortion:.4g}" for rate, distortion in pairs) + "."
        describe(ax, f"{ax.get_label()} {about}".strip(), "rate, nats per example", "distortion per example")
    return ax
