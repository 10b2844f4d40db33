"""Kullback–Leibler divergences, per element of the event where the distributions factorise."""

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical, kl_divergence

from .triangular_normal import TriangularNormal

__all__ = ["kl"]


def kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) in closed form, per element where both distributions factorise.

    Parameters
    ----------
    q : Distribution
        The posterior.
    p : Distribution
        The prior.

    Returns
    -------
    Tensor or None
        In nats: [draws, batch, *event], or [draws, batch] where q does not factorise. None where torch has no closed
        form.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Normal
    >>> kl(Normal(torch.tensor(1.0), 1.0), Normal(torch.tensor(0.0), 1.0))
    tensor(0.5000)
    """
    if (
        isinstance(q, Independent)
        and isinstance(p, Independent)
        and q.reinterpreted_batch_ndims == p.reinterpreted_batch_ndims
    ):
        q, p = q.base_dist, p.base_dist
    if isinstance(q, OneHotCategorical) and isinstance(p, OneHotCategorical):  # vmap cannot run torch's own
        return (q.probs * (q.logits - p.logits)).sum(-1)
    if isinstance(q, TriangularNormal) and isinstance(p, Independent) and isinstance(p.base_dist, Normal):
        return _of_triangular(q, p.base_dist)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def _of_triangular(q: TriangularNormal, p: Normal) -> Tensor:
    """KL of a normal with any covariance from one with independent elements, [draws, batch]."""
    rows = q.scale_tril.square().sum(-1) / p.variance
    away = (q.loc - p.loc).square() / p.variance
    logs = 2 * (p.scale.log() - q.scale_tril.diagonal(dim1=-2, dim2=-1).log())
    return 0.5 * (rows + away + logs - 1).sum(-1)
