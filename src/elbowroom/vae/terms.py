"""What one pass through a VAE gives, computed when first asked for."""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from elbowroom.distributions import detached, kl, log_prob_seen
from elbowroom.numerics import CapabilityError, Given

from .layout import Layout

__all__ = ["KL", "PerDraw", "Terms", "log_likelihood"]

PerDraw = Float[Tensor, "draws batch"]
"""One number per draw and example; a first dimension of 1 where it is the same for every draw."""

KL = Literal["auto", "closed", "sampled", "sticking-the-landing"]
"""Closed form, draws of log q − log p, the first where it can be; or draws whose q passes no gradient through its
parameters but only through z (Roeder, Wu & Duvenaud, "Sticking the landing", 2017): the same value, and less noise in
its gradient where q is nearly right."""


def log_likelihood(p_x: Distribution, y: Tensor, seen: Tensor | None) -> PerDraw:
    """log p of the cells of y that are seen, or of all of them.

    Parameters
    ----------
    p_x : Distribution
        The likelihood, with batch shape [draws, batch].
    y : Tensor
        Preprocessed x, [1, batch, *event].
    seen : Tensor or None
        [batch, *event] bool, False where a cell is missing; None: all are seen.

    Returns
    -------
    Tensor
        [draws, batch], in nats.

    Raises
    ------
    CapabilityError
        Where cells are missing that the likelihood cannot leave out.
    """
    return p_x.log_prob(y) if seen is None else log_prob_seen(p_x, y, seen)


class Terms:
    """What one pass through a VAE gives, per example and draw, in nats: the terms of every bound.

    Log-densities are computed when they are first asked for.

    Parameters
    ----------
    given : dict of Tensor
        The preprocessed "x" [1, batch, *event], contexts [1, batch, ...] and drawn blocks [draws, batch, *event].
    q : dict of Distribution
        Posterior of each block.
    p : dict of Distribution
        Prior of each block.
    p_x : Distribution
        The likelihood, given the drawn blocks.
    log_jacobian : Tensor
        log |dy/dx| of the preprocessing, [batch].
    log_q : mapping of str to callable
        Computes log q of each block's draws; 0 where a block is observed.
    closed_blocks : frozenset of str
        Blocks whose prior reads nothing that is drawn after them, so that their KL may be closed.
    layout : Layout
        How the classes of discrete blocks stand beside the draws.
    masks : mapping of str to Tensor, default {}
        [batch] bool of every block that is observed for some examples, True where it is.
    seen : Tensor or None, default None
        [batch, *event] bool, False where a cell of x is missing; None: all are seen.
    unknown : Tensor or None, default None
        [batch] bool, True where nothing at all is known of an example; None: nowhere.
    units : mapping of str to Tensor, default {}
        [*event] bool of every block that has units which are not the model's own, False where they are not: what is
        told of them is 0.

    Attributes
    ----------
    z : dict of Tensor
        Drawn latent blocks, [draws, batch, *event].
    context : dict of Tensor
        What else components read, [1, batch, ...].
    y : Tensor
        Preprocessed x, [1, batch, *event].
    seen, unknown, units
        As they were given.

    Notes
    -----
    With blocks over classes, z, q, p and p_x have every class beside every draw, [draws × classes, batch], as `Layout`
    says. What is given per draw is summed over the classes: means weighted by q, and `log_weight` the log of a mean.

    Missing cells are left out of the log-likelihood. Where nothing is known of an example, log p(x_seen) is 0 and its
    posterior the prior: the KL and the log-weight are 0, whatever the encoder returns.
    """

    def __init__(
        self,
        given: Given,
        q: dict[str, Distribution],
        p: dict[str, Distribution],
        p_x: Distribution,
        log_jacobian: Float[Tensor, "batch"],
        log_q: Mapping[str, Callable[[], Tensor]],
        closed_blocks: frozenset[str],
        layout: Layout,
        *,
        masks: Mapping[str, Tensor] = MappingProxyType({}),
        seen: Tensor | None = None,
        unknown: Tensor | None = None,
        units: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        self.z = {name: given[name] for name in q}
        self.context = {name: value for name, value in given.items() if name != "x" and name not in q}
        self.y, self.log_jacobian = given["x"], log_jacobian
        self.q, self.p, self.p_x = q, p, p_x
        self._log_q, self._closed_blocks, self._layout = log_q, closed_blocks, layout
        self.seen, self.unknown, self.units, self._masks = seen, unknown, units, masks
        self._kls: dict[tuple[str, KL], PerDraw] = {}  # training asks twice: for the loss and for the log

    @cached_property
    def log_prior(self) -> dict[str, PerDraw]:
        """log p(z) per block, [draws, batch]."""
        return {name: self._layout.mean(log_density) for name, log_density in self._log_prior.items()}

    @cached_property
    def log_posterior(self) -> dict[str, PerDraw]:
        """log q(z | x) per block, [draws, batch]; 0 where the block is observed."""
        return {name: self._layout.mean(log_density) for name, log_density in self._log_posterior.items()}

    @cached_property
    def log_likelihood(self) -> PerDraw:
        """log p(x | z) on the user's scale, [draws, batch]."""
        return self._layout.mean(self._log_likelihood)

    def averaged(self, values: Tensor) -> Tensor:
        """Means over the classes, weighted by q, of values [draws × classes, batch, ...]: [draws, batch, ...]."""
        return self._layout.mean(values)

    @property
    def log_weight(self) -> PerDraw:
        """log p(x, z) − log q(z | x), [draws, batch]: the importance weight of each draw, classes summed out."""
        total = self._log_likelihood
        for name in self.z:
            total = total + (self._log_prior[name] - self._log_posterior[name])
        return self._where_known(self._layout.log_mean_exp(total))

    @property
    def path_log_weight(self) -> PerDraw:
        """The log-weight [draws, batch] with a gradient to q through z alone, not the parameters of log q."""
        total = self.log_likelihood
        for name in self.z:
            total = total + (self.log_prior[name] - self._detached_log_posterior(name))
        return self._where_known(total)

    @property
    def score(self) -> PerDraw:
        """log q of all blocks at their draws, taken as constants [draws, batch]: its gradient is the score of q."""
        total = torch.zeros(())
        for name, q in self.q.items():
            log_q = q.log_prob(self.z[name].detach())
            total = total + (log_q.masked_fill(self._masks[name], 0.0) if name in self._masks else log_q)
        return self._where_known(total)

    def elementwise_kl(self, block: str) -> Float[Tensor, "draws batch *event"] | None:
        """KL(q ‖ p) of a block per element, or None where it has no closed form or elements depend on one another.

        [draws or 1, batch, *event], nats. Closed only where the prior of the block reads nothing drawn after it.
        """
        elements = self._closed_kl(block)
        whole = elements is not None and elements.dim() == 2 and not isinstance(self.q[block], OneHotCategorical)
        return None if whole else elements

    def _closed_kl(self, block: str) -> Tensor | None:
        """The KL in closed form, per element where they are independent, [draws or 1, batch, ...]."""
        elements = kl(self.q[block], self.p[block]) if block in self._closed_blocks else None
        return None if elements is None else self._where_known(self._layout.mean(elements))

    def kl(self, block: str, how: KL = "auto") -> PerDraw:
        """KL(q ‖ p) of a block, in closed form where there is one, else log q − log p of the draws.

        Parameters
        ----------
        block : str
            Its name.
        how : {"auto", "closed", "sampled", "sticking-the-landing"}, default "auto"
            "closed" and "sampled" insist on one of the two; "sticking-the-landing" is sampled too, and passes no
            gradient through the parameters of log q.

        Returns
        -------
        Tensor
            [draws or 1, batch], nats.

        Raises
        ------
        CapabilityError
            For "closed" where there is no closed form.

        References
        ----------
        Roeder, Wu & Duvenaud, "Sticking the Landing: Simple, Lower-Variance Gradient Estimators for Variational
        Inference" (2017).
        """
        if (block, how) not in self._kls:
            self._kls[block, how] = self._kl(block, how)
        return self._kls[block, how]

    def rate(self, how: KL = "auto") -> PerDraw:
        """Sum of the KL of all blocks, [draws or 1, batch]."""
        blocks = iter(self.z)
        total = self.kl(next(blocks), how)
        for name in blocks:
            total = total + self.kl(name, how)
        return total

    def _kl(self, block: str, how: KL) -> PerDraw:
        if how == "sticking-the-landing":
            return self._where_known(self._detached_log_posterior(block) - self.log_prior[block])
        if how != "sampled":
            elements = self._closed_kl(block)
            if elements is not None:
                return elements.flatten(2).sum(-1) if elements.dim() > 2 else elements
            if how == "closed":
                raise CapabilityError(
                    f"The KL of block {block!r} has no closed form ({type(self.q[block]).__name__} against "
                    f"{type(self.p[block]).__name__}, or observed, or conditioned on later draws): use kl='sampled'."
                )
        return self._where_known(self.log_posterior[block] - self.log_prior[block])

    def _where_known(self, values: Tensor) -> Tensor:
        """Values [draws or 1, batch, ...], 0 where nothing is known of an example."""
        if self.unknown is None:
            return values
        return values.masked_fill(self.unknown.view(1, -1, *[1] * (values.dim() - 2)), 0.0)

    def _detached_log_posterior(self, block: str) -> PerDraw:
        """log q of the draws at detached parameters."""
        if isinstance(self.q[block], OneHotCategorical):
            raise CapabilityError(
                f"Block {block!r} is over classes, whose draws carry no gradient that kl='sticking-the-landing' could "
                f"keep: use kl='auto'."
            )
        log_q = self._layout.mean(detached(self.q[block]).log_prob(self.z[block]))
        return log_q.masked_fill(self._masks[block], 0.0) if block in self._masks else log_q

    @cached_property
    def _log_prior(self) -> dict[str, Tensor]:
        return {name: self.p[name].log_prob(value) for name, value in self.z.items()}

    @cached_property
    def _log_posterior(self) -> dict[str, Tensor]:
        return {name: log_density() for name, log_density in self._log_q.items()}

    @cached_property
    def _log_likelihood(self) -> Tensor:
        return log_likelihood(self.p_x, self.y, self.seen) + self.log_jacobian
