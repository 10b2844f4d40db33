"""The bound of a model of x and classes, and the cross-entropy of the classes that are known."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.data import Examples
from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .loss import Loss
from .objective import Objective

__all__ = ["SemiSupervised"]


@described("semi-supervised")
class SemiSupervised(Objective):
    """The negative ELBO + weight · the mean of −log q(y | x) over the labelled examples.

    Each part bounds its own: the ELBO of a labelled example is a lower bound on log p(x, y), in which q(y | x) has no
    part; that of an unlabelled one, summed over the classes, on log p(x). The whole with a weight other than 0 bounds
    neither of them.

    Parameters
    ----------
    weight : float, default 10.0
        Nats of the objective, per example, for a nat of mean cross-entropy over the labelled examples, 0 or more: the
        paper's α divided by the number of examples, 0.1 there in trainings of thousands of epochs.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range, and for training examples of which none is labelled.
    CapabilityError
        Where the model has no block of classes that is known for some examples, or several.

    Notes
    -----
    Batches are drawn from all examples alike. The sum over the labelled examples of a batch is divided by how many it
    has on average, not by how many it has: so the gradient is right in expectation, if a batch has hardly any (with a
    share of labelled examples fixed by the batch, as the paper's, the ELBO would weigh them more). "classification",
    the cross-entropy summed over a batch's labelled examples and divided by all, and "labelled", their share, are
    logged; the ratio of the two is the mean, by which, beside the ELBO, epochs are compared.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014), equation 9.

    Examples
    --------
    >>> SemiSupervised(weight=1.0).weight
    tensor(1.)
    """

    weight: Tensor
    share: Tensor
    of_classes = True

    def __init__(self, *, weight: float = 10.0, draws: int = 1) -> None:
        super().__init__()
        if not 0 <= weight < math.inf or draws < 1:
            raise InputError(
                f"SemiSupervised needs a weight of 0 or more and draws of 1 or more; got {weight}, {draws}."
            )
        self.draws = draws
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.register_buffer("share", torch.tensor(1.0))  # of the examples that are labelled; `fit` says it

    def weigh_against(self, vae: VAE, examples: Examples) -> None:
        """Take the share of labelled examples in training."""
        known = examples.observed[class_block(vae, examples.observed)][1]
        if not bool(known.any()):
            raise InputError(
                "No training example is labelled, so that SemiSupervised has nothing to learn classes from: label "
                "some, or take objectives.Elbo."
            )
        self.share.fill_(known.double().mean().item())

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        name = class_block(vae, batch.observed)
        batch = batch.to(vae.device)
        value, known = batch.observed[name]
        terms = vae(batch, noise)
        surprise = (
            -(terms.q[name].logits * value).sum(-1).mean(0)
        )  # of classes that are not known: 0, as their value is
        known = known.to(surprise.dtype)
        classification, labelled = (surprise * known).mean(), known.mean()
        bound = terms.log_likelihood.mean() - terms.rate().mean()
        total = self.weight * classification / self.share - bound
        return Loss(total, terms, {"classification": classification, "labelled": labelled})

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The negative ELBO and the weighted mean over the labelled examples of validation, if it has any."""
        labelled = means["labelled"]
        mean = means["classification"] / labelled if labelled else 0.0
        return means["rate"] + means["distortion"] + float(self.weight) * mean

    def remarks(self) -> list[str]:
        """What the objective bounds."""
        if not self.weight:
            return []
        return [
            f"Trained with {float(self.weight):g} times the cross-entropy of the known classes: the objective bounds "
            f"neither log p(x, y) nor log p(x); evidence measures bounds on both."
        ]


def class_block(vae: VAE, observed: Mapping[str, tuple[Tensor, Tensor]]) -> str:
    """The one block over classes that is known for some examples."""
    found = [name for name in observed if name in vae.posterior and vae.posterior[name].form == "classes"]
    if len(found) != 1:
        raise CapabilityError(
            f"SemiSupervised needs one block of classes that is known for some examples, and this model has "
            f"{len(found)} with these data: load them with observed='label' and say classes='label' in the recipe."
        )
    return found[0]
