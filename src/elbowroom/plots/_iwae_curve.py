"""The bound against the number of draws."""

from typing import Any

from matplotlib.axes import Axes

from ._lines import Series, lines


def iwae_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """The IWAE bound on log p(x) against the number of draws, with 95 % intervals from draws alone.

    All numbers of draws see the same examples, so what examples add to the error moves the whole curve up or down.

    Parameters
    ----------
    curve : IwaeCurve
        What `er.evidence.iwae_curve` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    References
    ----------
    Y. Burda et al., "Importance Weighted Autoencoders" (2016).
    """
    means, errors = [e.mean for e in curve.estimates], [e.se_mc for e in curve.estimates]
    bound, e = Series("IWAE, mean over examples", list(map(float, curve.draws)), means, errors), curve.estimates[0]
    return lines([bound], across="draws", up=f"bound on {e.quantity}, {e.unit} per example", log_x=True, ax=ax)
