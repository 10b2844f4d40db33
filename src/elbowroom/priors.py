"""Priors p(z | context)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal, OneHotCategorical
from torch.nn.functional import softplus

from elbowroom.components import Component, as_event, at_least_two
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Categorical", "Mixture", "StandardNormal", "Vamp"]


@described("categorical-prior")
class Categorical(Component):
    """p(y) over classes; y is one-hot, [classes].

    The class probabilities are fixed, learned, or returned by a network.

    Parameters
    ----------
    classes : int
        Number of classes, 2 or more.
    probabilities : sequence of float or None, default None
        Fixed positive probabilities, one per class, that add to 1. None learns them, starting at equal ones, or takes
        them from the network.
    network : nn.Module or None, default None
        Reads the tensors named in `given` and returns one number per class: its logit.
    given : sequence of str, default ()
        Names of the tensors that the network reads, in the order of its arguments: contexts and earlier blocks. Empty
        without a network.

    Raises
    ------
    InputError
        For fewer than 2 classes, probabilities that do not fit, or a network without `given` or beside probabilities.

    Examples
    --------
    >>> Categorical(2, probabilities=[0.25, 0.75])({}).mean
    tensor([[[0.2500, 0.7500]]])
    """

    logits: Tensor

    def __init__(
        self,
        classes: int,
        *,
        probabilities: Sequence[float] | None = None,
        network: nn.Module | None = None,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(at_least_two(classes), given=given, network=network)
        if (network is None) != (not given) or (network is not None and probabilities is not None):
            raise InputError("A Categorical prior has a network that reads what is in `given`, or neither of the two.")
        if probabilities is not None:
            _check_probabilities(probabilities, classes)
            self.register_buffer("logits", torch.tensor(probabilities).log().view(1, 1, classes), persistent=False)
        elif network is None:
            self.logits = nn.Parameter(torch.zeros(1, 1, classes))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [draws or 1, batch] of what the network reads."""
        logits = self.logits if self.network is None else self.parameters_from(given, 1)[0]
        return OneHotCategorical(logits=logits, validate_args=False)


def _check_probabilities(probabilities: Sequence[float], classes: int) -> None:
    inside = len(probabilities) == classes and all(p > 0 for p in probabilities)
    if not inside or not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise InputError(
            f"A Categorical prior needs {classes} positive probabilities that add to 1; got {list(probabilities)}."
        )


@described("standard-normal")
class StandardNormal(Component):
    """The standard normal N(0, I) over a latent block.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).

    Examples
    --------
    >>> StandardNormal(2)({}).log_prob(torch.zeros(1, 1, 2)).exp()      # 1 / 2π
    tensor([[0.1592]])
    """

    like: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        self.register_buffer("like", torch.zeros(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """N(0, I) with batch shape [1, 1]."""
        return Independent(UnitNormal(self.like), len(self.event), False)


@described("mixture-prior")
class Mixture(Component):
    """A learned mixture of Gaussians with diagonal covariances and learned weights.

    Its KL from q has no closed form and is sampled. Draws of it carry no gradient.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    components : int, default 10
        Number of Gaussians. Their means start at draws of N(0, I), their standard deviations at 1.
    floor : float, default 0.01
        Least standard deviation of a component. Without one, a component can shrink onto a single code.

    Raises
    ------
    InputError
        For fewer than one component or a floor that is not positive.

    References
    ----------
    Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders" (2016).

    Examples
    --------
    >>> Mixture(2, components=3)({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(self, event: int | Sequence[int], *, components: int = 10, floor: float = 0.01) -> None:
        super().__init__(event)
        if components < 1 or not floor > 0:
            raise InputError(f"A mixture needs 1 component or more and a positive floor; got {components} and {floor}.")
        self.floor = floor
        self.means = nn.Parameter(torch.randn(1, 1, components, *self.event))
        self.raw = nn.Parameter(torch.full_like(self.means, math.log(math.expm1(1.0))))
        self.logits = nn.Parameter(torch.zeros(1, 1, components))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1]."""
        normal = Normal(self.means, self.floor + softplus(self.raw), validate_args=False)
        each = Independent(normal, len(self.event), False)
        return MixtureSameFamily(TorchCategorical(logits=self.logits, validate_args=False), each, validate_args=False)


@described("vamp-prior")
class Vamp(Component):
    """The VampPrior: the mean of q(z | u) over learned pseudo-inputs u, with q the model's own posterior.

    The posterior is shared, not copied: it is trained through both places and stays one network after save and load.

    Parameters
    ----------
    posterior : Component
        The model's posterior block itself, which reads "x" alone, or with it which of its cells are seen, and is not
        over classes.
    inputs : int or sequence of int
        Shape of one x, as preprocessed.
    pseudo_inputs : int, default 100
        Number of pseudo-inputs. `fit` starts them at training examples, evenly spaced in their order.

    Raises
    ------
    InputError
        For a posterior block that reads anything else, or fewer than one pseudo-input.

    References
    ----------
    Tomczak & Welling, "VAE with a VampPrior" (2018).

    Examples
    --------
    >>> from elbowroom.posteriors import DiagonalNormal
    >>> Vamp(DiagonalNormal(nn.Linear(3, 4), 2), 3)({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(self, posterior: Component, inputs: int | Sequence[int], *, pseudo_inputs: int = 100) -> None:
        super().__init__(posterior.event)
        if set(posterior.given) not in ({"x"}, {"x", "seen"}) or posterior.classes > 1:
            raise InputError(
                f"A VampPrior calls the posterior on pseudo-inputs, so that must read 'x' alone and draw numbers; this "
                f"{type(posterior).__name__} reads {', '.join(posterior.given)}."
            )
        if pseudo_inputs < 1:
            raise InputError(f"pseudo_inputs must be 1 or more; got {pseudo_inputs}.")
        self.posterior = posterior
        self.pseudo_inputs = nn.Parameter(torch.rand(1, pseudo_inputs, *as_event(inputs, "A pseudo-input")))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1]."""
        weights = self.pseudo_inputs.new_zeros(1, self.pseudo_inputs.shape[1])
        each = self.posterior({"x": self.pseudo_inputs, "seen": torch.ones_like(self.pseudo_inputs)})
        return MixtureSameFamily(TorchCategorical(logits=weights, validate_args=False), each, validate_args=False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Start the pseudo-inputs at training examples y [n, *event], as preprocessed."""
        count = self.pseudo_inputs.shape[1]
        with torch.no_grad():
            self.pseudo_inputs.copy_(y[torch.arange(count) * len(y) // count].unsqueeze(0))
        if count <= len(y):
            return []
        return [f"Vamp: {count:,} pseudo-inputs begin at {len(y):,} training examples; those that begin alike stay so."]
