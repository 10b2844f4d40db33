"""How sure a share is, and how many standard errors make an interval of a mean over few points."""

import math

__all__ = ["share_error", "standard_errors"]


def standard_errors(points: float, sides: int = 2) -> float:
    """How many standard errors lie between a mean over points and an end of its 95 % interval, by Student's t.

    Parameters
    ----------
    points : float
        Over how many the mean is; one more than the degrees of freedom, which need not be whole.
    sides : {2, 1}, default 2
        Ends of the interval.

    Returns
    -------
    float
        Near 1.96 of two ends and many points; infinite for fewer than two, which say nothing of their spread.

    Examples
    --------
    >>> [round(standard_errors(n), 2) for n in (2, 10, 10_000)], standard_errors(1)
    ([12.71, 2.26, 1.96], inf)
    """
    from scipy.special import stdtrit

    return float(stdtrit(points - 1, 1 - 0.05 / sides)) if points > 1 else math.inf


def share_error(share: float, n: int) -> float:
    """Binomial standard error of a share, by Laplace's rule of succession: of none or all it is not 0.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    n : int
        What it is a share of.

    Returns
    -------
    float
        NaN of nothing.

    Examples
    --------
    >>> round(share_error(0.5, 100), 3), round(share_error(1.0, 6), 3)
    (0.05, 0.135)
    """
    likely = (share * n + 1) / (n + 2)
    return math.sqrt(likely * (1 - likely) / n) if n else math.nan
