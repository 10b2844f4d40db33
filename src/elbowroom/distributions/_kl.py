"""Kullback–Leibler divergences, per element of the event where the distributions factorise."""

from torch import Tensor
from torch.distributions import Distribution, Independent, OneHotCategorical, kl_divergence

__all__ = ["kl"]


def kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) in nats per element, [draws, batch, *event], or [draws, batch] where q does not factorise.

    None where no closed form is registered with torch.

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
    if isinstance(q, OneHotCategorical) and isinstance(p, OneHotCategorical):  # torch's own does not stack
        return (q.probs * (q.logits - p.logits)).sum(-1)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None
