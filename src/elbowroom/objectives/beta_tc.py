"""The rate in three parts, each with a weight of its own."""

import math

import torch
from torch import Tensor
from torch.distributions import Independent

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

from .loss import Loss
from .objective import Objective

__all__ = ["BetaTC"]


@described("beta-tc")
class BetaTC(Objective):
    """Distortion + information · I(x; z) + β · TC(z) + dimensions · Σ_j KL(q(z_j) ‖ p(z_j)): a rate in three parts.

    The mean rate is the sum of the three: the mutual information of x and z under q, the total correlation of the
    aggregate posterior q(z), and the divergence of its margins. With all weights at 1 the total is the negative ELBO,
    sampled; with weights of 1 or more its negative is a lower bound on log p(x), with others it is none. "information",
    "tc" and "margins" are logged.

    Parameters
    ----------
    beta : float, default 6.0
        Weight of the total correlation, 0 or more.
    information : float, default 1.0
        Weight of the mutual information, 0 or more.
    dimensions : float, default 1.0
        Weight of the divergence of the margins, 0 or more.
    examples : int or None, default None
        Number of training examples N, of which q(z) is the mixture; None takes the batch for all of them.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    In a batch of M, q(z) at a draw for x_i is estimated by q(z | x_i) / N + (N − 1) / N times the mean of q(z | x_j)
    over the others, which is unbiased for q(z) and, as M grows, consistent for its logarithm; that is estimated too
    low, so that information is too high, by about the variance of the estimate over 2 q(z)². A posterior of one block
    of independent elements is needed.

    References
    ----------
    Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders" (2018).

    Examples
    --------
    >>> BetaTC(examples=60_000).beta
    tensor(6.)
    """

    beta: Tensor
    information: Tensor
    dimensions: Tensor

    def __init__(
        self,
        beta: float = 6.0,
        *,
        information: float = 1.0,
        dimensions: float = 1.0,
        examples: int | None = None,
        draws: int = 1,
    ) -> None:
        super().__init__()
        numbers = (information, beta, dimensions)
        if not all(0 <= number < math.inf for number in numbers):
            raise InputError(f"The weights of BetaTC are finite and 0 or more; got {numbers}.")
        if draws < 1 or (examples is not None and examples < 2):
            raise InputError(f"BetaTC needs draws of 1 or more and 2 examples or more; got {draws} and {examples}.")
        self.draws, self.examples = draws, examples
        for name, number in zip(("information", "beta", "dimensions"), numbers, strict=True):
            self.register_buffer(name, torch.tensor(float(number)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        terms = vae(batch, noise)
        log_q, log_each, log_all, log_p = self._densities(terms)
        information, tc = (log_q - log_all).mean(), (log_all - log_each).mean()
        margins = (log_each - log_p).mean()
        rate = self.information * information + self.beta * tc + self.dimensions * margins
        logged = {"information": information, "tc": tc, "margins": margins}
        return Loss(rate - terms.log_likelihood.mean(), terms, logged)

    def _densities(self, terms: Terms) -> tuple[Tensor, ...]:
        """log q(z | x), Σ_j log q(z_j), log q(z) and log p(z) of every draw, [draws, batch]."""
        ((name, q),) = _one_block(terms).items()
        z, n = terms.z[name], terms.z[name].shape[1]
        pairs = q.base_dist.log_prob(z.unsqueeze(2)).flatten(3)  # [draws, batch, of x_j, d]
        own = torch.eye(n, dtype=torch.bool, device=z.device)
        share = 1 / (self.examples or n)
        others = math.log((1 - share) / (n - 1)) if n > 1 else -math.inf
        weight = torch.where(own, math.log(share) if n > 1 else 0.0, others).unsqueeze(-1)
        log_all = (pairs.sum(-1, keepdim=True) + weight).logsumexp(2).squeeze(-1)
        return terms.log_posterior[name], (pairs + weight).logsumexp(2).sum(-1), log_all, terms.log_prior[name]


def _one_block(terms: Terms) -> dict[str, Independent]:
    if len(terms.q) > 1 or not all(isinstance(q, Independent) for q in terms.q.values()):
        raise CapabilityError(
            "The parts of the rate need one block whose posterior has independent elements, as "
            "posteriors.DiagonalNormal has: use objectives.Elbo, or procedures.TotalCorrelation."
        )
    return dict(terms.q)  # type: ignore[arg-type]
