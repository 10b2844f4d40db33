"""VAEs in which x and z take finitely many values, so that every quantity is a finite sum.

The best of several models by KL(pop ‖ p) is the best by mean log p, since the two differ by the entropy of pop:

>>> pop = torch.tensor([0.5, 0.3, 0.2])
>>> models = torch.tensor([[0.4, 0.4, 0.2], [0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3]])
>>> divergence = (pop * (pop / models).log()).sum(1)
>>> mean_log_p = (pop * models.log()).sum(1)
>>> divergence.argmin() == mean_log_p.argmax()
tensor(True)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from elbowroom.numerics import InputError, own_modes, plain_arguments

__all__ = ["Table", "train_tables"]

_LEAST = 1e-12  # stands in for probability 0 at the start of training, as 0 has no logarithm


@dataclass(frozen=True, eq=False)
class Table:
    """A VAE whose x takes n values and whose z takes m, as tables of probabilities.

    Leading dimensions [...] of the tables, and of every result, are models side by side. Results are in nats; rates,
    distortions and gaps are means over pop.

    Parameters
    ----------
    pop : Tensor
        The population: probabilities of x, [n].
    posterior : Tensor
        q(z | x), [..., n, m].
    prior : Tensor
        p(z), [..., m].
    conditional : Tensor
        p(x | z), [..., m, n].

    Raises
    ------
    InputError
        If shapes do not fit, or a row is not probabilities that add to 1.

    Notes
    -----
    For every table, with H the entropy of pop and I the information,

        objective(β) = H + (β − 1) I + β · prior_gap + conditional_gap.

    References
    ----------
    McAllester, "Fundamentals of deep learning" (2020), lecture slides on non-identifiability of VAEs.
    Alemi et al., "Fixing a broken ELBO" (2018).

    Examples
    --------
    >>> coin = torch.tensor([0.5, 0.5], dtype=torch.float64)
    >>> copy = Table.optimal(coin, torch.eye(2, dtype=torch.float64))         # z = x
    >>> blind = Table.optimal(coin, torch.full((2, 2), 0.5, dtype=torch.float64))      # z tells nothing
    >>> [round(float(v), 3) for v in (copy.information, blind.information, copy.objective(), blind.objective())]
    [0.693, 0.0, 0.693, 0.693]
    """

    pop: Tensor
    posterior: Tensor
    prior: Tensor
    conditional: Tensor

    def __post_init__(self) -> None:
        n, m = self.posterior.shape[-2:]
        shapes = (self.pop.shape, self.prior.shape[-1:], self.conditional.shape[-2:])
        if shapes != ((n,), (m,), (m, n)):
            raise InputError(
                f"With q(z | x) {n} × {m}, pop must be [{n}], the prior [{m}] and the conditional [{m}, {n}]; got "
                f"{', '.join(str(tuple(shape)) for shape in shapes)}."
            )
        for name in ("pop", "posterior", "prior", "conditional"):
            table = getattr(self, name).detach()
            if not bool((table >= 0).all()) or not torch.allclose(table.sum(-1), table.new_ones(()), atol=1e-5):
                raise InputError(f"Each row of the {name} must be probabilities that add to 1.")

    @classmethod
    def optimal(cls, pop: Tensor, posterior: Tensor) -> "Table":
        """The table with the best prior and decoder for a given q: p(z) = E q(z | x) and p(x | z) ∝ pop(x) q(z | x).

        Parameters
        ----------
        pop : Tensor
            Probabilities of x, [n].
        posterior : Tensor
            q(z | x), [..., n, m].

        Returns
        -------
        Table
            The table; the p(x | z) of a z that q never takes is pop.
        """
        prior = pop @ posterior
        joint = (pop[:, None] * posterior).mT
        unused = (prior == 0)[..., None]
        conditional = torch.where(unused, pop, joint / torch.where(unused, 1.0, prior[..., None]))
        return cls(pop, posterior, prior, conditional)

    @property
    def entropy(self) -> Tensor:
        """Entropy H(x) of pop, in nats."""
        return -torch.xlogy(self.pop, self.pop).sum()

    @property
    def aggregate(self) -> Tensor:
        """The aggregate posterior q(z) = E q(z | x), [..., m]."""
        return self.pop @ self.posterior

    @property
    def rate(self) -> Tensor:
        """E KL(q(z | x) ‖ p(z)), [...]."""
        return self._mean(_divergence(self.posterior, self.prior[..., None, :]))

    @property
    def distortion(self) -> Tensor:
        """−E_q log p(x | z), [...]."""
        return -self._mean(torch.xlogy(self.posterior, self.conditional.mT).sum(-1))

    @property
    def information(self) -> Tensor:
        """Mutual information I(x; z) under pop(x) q(z | x), [...]."""
        return self._mean(_divergence(self.posterior, self.aggregate[..., None, :]))

    @property
    def prior_gap(self) -> Tensor:
        """KL(q(z) ‖ p(z)), [...]: rate − information."""
        return _divergence(self.aggregate, self.prior)

    @property
    def conditional_gap(self) -> Tensor:
        """E_{q(z)} KL(q(x | z) ‖ p(x | z)), [...]: distortion − H(x | z) under q."""
        best = Table.optimal(self.pop, self.posterior).conditional
        return (self.aggregate * _divergence(best, self.conditional)).sum(-1)

    @property
    def elbo(self) -> Tensor:
        """The ELBO of each x, [..., n]."""
        log_likelihood = torch.xlogy(self.posterior, self.conditional.mT).sum(-1)
        return log_likelihood - _divergence(self.posterior, self.prior[..., None, :])

    @property
    def log_evidence(self) -> Tensor:
        """log p(x) of each x, [..., n]."""
        return (self.prior[..., None, :] @ self.conditional).squeeze(-2).log()

    @property
    def gap(self) -> Tensor:
        """KL(q(z | x) ‖ p(z | x)) of each x, [..., n]: log p(x) − ELBO."""
        joint = (self.prior[..., None] * self.conditional).mT
        return _divergence(self.posterior, joint / joint.sum(-1, keepdim=True))

    @plain_arguments
    def objective(self, beta: float | Tensor = 1.0) -> Tensor:
        """Distortion + β · rate, [...]; −ELBO at β = 1."""
        return self.distortion + beta * self.rate

    def _mean(self, values: Tensor) -> Tensor:
        return (self.pop * values).sum(-1)


@own_modes
@plain_arguments
def train_tables(
    start: Table,
    beta: float | Tensor = 1.0,
    *,
    rank: int | None = None,
    fixed_posterior: bool = False,
    steps: int = 2000,
    lr: float = 0.03,
) -> Table:
    """Train tables by Adam on their logits, to lower distortion + β · rate.

    Parameters
    ----------
    start : Table
        Where training starts.
    beta : float or Tensor, default 1.0
        β, one or one for each model side by side.
    rank : int, default None
        Inputs of the decoder's last layer, which all z share: log p(x | z) = c(x) + Σ_r a(z, r) b(x, r) up to its
        normaliser. None for a free row for each z.
    fixed_posterior : bool, default False
        Whether to train the prior and the decoder only.
    steps : int, default 2000
        Steps of Adam.
    lr : float, default 0.03
        Learning rate of the first step, which falls to 0 along a cosine.

    Returns
    -------
    Table
        The trained tables.

    Examples
    --------
    >>> pop = torch.tensor([0.7, 0.3], dtype=torch.float64)
    >>> q = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    >>> trained = train_tables(Table.optimal(pop, q), beta=1.5, steps=200)
    >>> bool(trained.information < 0.01)
    True
    """
    tables = [start.posterior, start.prior]
    logits = [_logits(table) for table in tables]
    decoder = _decoder_logits(start, rank)
    logits[0].requires_grad_(not fixed_posterior)
    trained = [tensor.requires_grad_() for tensor in (logits[1], *decoder)] + [logits[0]] * (not fixed_posterior)

    def current() -> Table:
        conditional = decoder[0] if rank is None else decoder[0] + decoder[1] @ decoder[2]
        return Table(start.pop, logits[0].softmax(-1), logits[1].softmax(-1), conditional.softmax(-1))

    optimizer = torch.optim.Adam(trained, lr=lr, foreach=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        current().objective(beta).sum().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return current()


def _decoder_logits(start: Table, rank: int | None) -> list[Tensor]:
    """The decoder's logits; with a rank, their common part and the two factors of the nearest matrix of that rank."""
    logits = _logits(start.conditional)
    if rank is None:
        return [logits]
    common = _logits(start.pop.expand(*logits.shape[:-2], 1, -1))
    left, singular, right = torch.linalg.svd(logits - common, full_matrices=False)
    root = singular[..., :rank].sqrt()
    return [common, left[..., :rank] * root[..., None, :], (root[..., None] * right[..., :rank, :]).contiguous()]


def _logits(table: Tensor) -> Tensor:
    return table.detach().clamp_min(_LEAST).log().contiguous()


def _divergence(q: Tensor, p: Tensor) -> Tensor:
    """KL(q ‖ p) over the last dimension."""
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)
