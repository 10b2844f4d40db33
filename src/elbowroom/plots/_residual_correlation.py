"""The correlation of residuals by lag."""

from matplotlib.axes import Axes

from .records import Residuals
from .style import canvas, name_axes

__all__ = ["residual_correlation"]


def residual_correlation(found: Residuals, *, ax: Axes | None = None) -> Axes:
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
    with canvas(ax, 380, grid="none") as ax:
        reach = (-lags - 0.5, lags + 0.5)
        picture = ax.imshow(found.by_lag, cmap="RdBu_r", vmin=-1, vmax=1, extent=(*reach, *reach[::-1]))
        ax.figure.colorbar(picture, ax=ax, label="correlation")
        name_axes(ax, "lag across, pixels", "lag down, pixels")
        middle = found.by_lag[lags, lags + 1 :]
        ax.set_label(f"Across, from lag 1: {', '.join(f'{value:.3f}' for value in middle)} (n = {found.n:,}).")
    return ax
