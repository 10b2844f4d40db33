"""The correlation of residuals by lag."""

from typing import Any

from matplotlib.axes import Axes

from .style import canvas, describe


def residual_correlation(found: Any, *, ax: Axes | None = None) -> Axes:
    """A heat map of the mean correlation of the residuals of two pixels by their lag, from −1, blue, to 1, red.

    Parameters
    ----------
    found : ResidualCorrelation
        What `er.metrics.residual_correlation` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
    """
    lags = len(found.by_lag) // 2
    reach = (-lags - 0.5, lags + 0.5)
    with canvas(ax, 380, grid="") as ax:
        picture = ax.imshow(found.by_lag, cmap="RdBu_r", vmin=-1, vmax=1, extent=(*reach, *reach[::-1]))
        ax.figure.colorbar(picture, ax=ax, label="correlation")
        across = ", ".join(f"{value:.3f}" for value in found.by_lag[lags, lags + 1 :])
        describe(ax, f"Across, from lag 1: {across} (n = {found.n:,}).", "lag across, pixels", "lag down, pixels")
    return ax
