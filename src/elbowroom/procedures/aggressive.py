"""Aggressive inference training: the encoder goes to its optimum before the decoder makes a step."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.objectives import Elbo, Loss
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

from .phase import Phase
from .procedure import Mover, Procedure

__all__ = ["Aggressive"]

_AT_ONCE = 2**22  # numbers in memory where every draw meets every posterior


@described("aggressive")
class Aggressive(Procedure):
    """Several updates of the encoder for each of the decoder, until z carries as much of x as it will.

    All updates descend the negative ELBO, whose negative is a lower bound on log p(x) and by which epochs are compared.
    In an aggressive update the encoder moves first, on this batch and then on others drawn at random, until the mean
    ELBO over a window of its updates is no better than that of the window before; then prior and likelihood move once.
    When the mutual information of x and z on validation data no longer climbs, the encoder moves once per batch like
    the rest. Logged: "information", an estimate of that mutual information, and for training "encoder.updates", the
    updates of the encoder per batch.

    Parameters
    ----------
    updates : int, default 100
        Most updates of the encoder before one of the decoder.
    window : int, default 10
        Updates of the encoder over which its ELBO is averaged, 1 or more.
    patience : int, default 5
        Epochs without a new greatest mutual information after which the encoder moves once per batch. The paper's 1 can
        end with the noise of the first epochs, while z carries next to nothing.

    Raises
    ------
    InputError
        For a number below 1.

    Notes
    -----
    The mutual information under q, KL(q(z | x) ‖ p(z)) − KL(q(z) ‖ p(z)) on average over x, is estimated by
    log q(z | x) − log q(z) at a draw per example, with the mean of q(z | x) over the examples of a batch (of at most
    1,000 for validation) in the place of q(z). It cannot exceed the log of their number.

    Encoder and the rest have an Adam each and see the same batch one after the other, so a plain update costs two
    passes. Models trained so are trained one by one: each ends its own inner loop.

    References
    ----------
    He, Spokoyny, Neubig & Berg-Kirkpatrick, "Lagging inference networks and posterior collapse in variational
    autoencoders" (2019).
    Hoffman & Johnson, "ELBO surgery" (2016): the mutual information in the rate.

    Examples
    --------
    >>> [phase.parts for _, phase in Aggressive(updates=30).items()]
    [('prior', 'likelihood'), ('posterior',)]
    """

    alone = "Each model ends its own inner loop of Aggressive when its own encoder no longer improves."
    information: Tensor
    waited: Tensor

    def __init__(self, *, updates: int = 100, window: int = 10, patience: int = 5) -> None:
        if min(updates, window, patience) < 1:
            raise InputError(
                f"Aggressive needs updates, window and patience of 1 or more; got {updates}, {window} and {patience}."
            )
        super().__init__(
            {
                "decoder": Phase(_Informed(), parts=("prior", "likelihood")),
                "encoder": Phase(Elbo(), parts=("posterior",)),
            }
        )
        self.updates, self.window, self.patience = updates, window, patience
        self.register_buffer("information", torch.tensor(-math.inf))  # the greatest so far
        self.register_buffer("waited", torch.tensor(0.0))  # epochs since then

    @property
    def aggressive(self) -> bool:
        """Whether the encoder is moved more often than the rest."""
        return bool(self.waited < self.patience)

    def update(self, mover: Mover, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        """Move the encoder, often while the procedure is aggressive, and then the rest.

        Parameters
        ----------
        mover : Mover
            Makes the steps, and draws further batches.
        batch : Batch
            Examples.
        noise : Noise
            Standard-normal noise of the model, [draws, batch, …] each.
        clock : Tensor
            Updates before this one, a float scalar.

        Returns
        -------
        dict of str to Tensor
            What is logged, by name.
        """
        logged, done = mover.move("encoder", batch, noise, clock), 1
        if self.aggressive:
            done += self._pursue(mover, clock, logged["encoder.objective"])
        logged |= mover.move("decoder", batch, noise, clock)
        return logged | {"encoder.updates": torch.tensor(float(done))}

    def _pursue(self, mover: Mover, clock: Tensor, first: Tensor) -> int:
        """Further updates of the encoder, until a window's mean loss is above the one before; how many they were."""
        before, losses = math.inf, [first]
        for done in range(self.updates - 1):
            if len(losses) == self.window:
                mean = float(torch.stack(losses).mean())
                if not mean < before:
                    return done
                before, losses = mean, []
            losses.append(mover.move("encoder", *mover.another(), clock)["encoder.objective"])
        return self.updates - 1

    def after_epoch(self, means: Mapping[str, float]) -> None:
        """End the aggressive phase when the mutual information has not climbed for `patience` epochs.

        Parameters
        ----------
        means : Mapping[str, float]
            Validation means of what is logged, by name.
        """
        if not self.aggressive:
            return
        if means["information"] > float(self.information):
            self.information.fill_(means["information"])
            self.waited.zero_()
        else:
            self.waited.add_(1.0)


class _Informed(Elbo):
    """The negative ELBO, with the mutual information of x and z beside it."""

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        loss = super().forward(vae, batch, noise, step)
        assert loss.terms is not None
        return Loss(loss.total, loss.terms, {**loss.logged, "information": _information(vae, loss.terms)})


@torch.no_grad()
def _information(vae: VAE, terms: Terms) -> Tensor:
    """Mean of log q(z | x) − log q(z) at the first draw of each example; q(z) is the batch's mean of q(z | x)."""
    if vae.over_classes:
        raise CapabilityError("Aggressive reads log q(z) at draws, and classes are not drawn: take objectives.Elbo.")
    n, size = terms.y.shape[1], sum(value[0].numel() for value in terms.z.values())
    found = []
    for rows in torch.arange(n, device=terms.y.device).split(max(_AT_ONCE // size, 1)):
        every = _log_every(vae, terms, rows)
        found.append(every.gather(1, rows.unsqueeze(1)).squeeze(1) - every.logsumexp(1) + math.log(n))
    return torch.cat(found).mean()


def _log_every(vae: VAE, terms: Terms, rows: Tensor) -> Tensor:
    """log q(z_i | x_j) for the rows i and all j, [rows, batch]."""
    given = {"x": terms.y, **terms.context}
    shape = (len(rows), terms.y.shape[1])
    given |= {name: z[0, rows].unsqueeze(1).expand(*shape, *z.shape[2:]) for name, z in terms.z.items()}
    return sum((block(given).log_prob(given[name]) for name, block in vae.posterior.items()), torch.zeros(()))
