"""Semi-amortised inference: the encoder gives where q starts, and a few gradient steps refine it for each example."""

import math

import torch
from torch import Tensor
from torch.func import grad

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.numbers import numbers_of, with_numbers

from .phase import Phase
from .procedure import Procedure

__all__ = ["SemiAmortised"]

_SMALL = 1e-12


@described("semi-amortised")
class SemiAmortised(Procedure):
    """Model and encoder are trained by the ELBO at q refined by gradient steps of its own on every example.

    The numbers that the encoder returns for an example (means and raw spreads of a normal) climb the example's ELBO by
    `steps` steps; what is descended is the negative ELBO at the q where they end, whose negative is a lower bound on
    log p(x), as the noise of the steps is not that of the bound. Its gradient is the total one: through the steps, for
    the encoder that is refined as for the prior and the likelihood that the steps climb. Epochs are compared by this
    bound. Rate and distortion are logged at the encoder's own q: together they exceed "objective" by what the steps
    win.

    Parameters
    ----------
    steps : int, default 5
        Gradient steps per example.
    rate : float, default 0.1
        Step length: numbers ← numbers + rate · gradient of the example's ELBO.
    clip : float, default 5.0
        Largest norm of an example's gradient, over all its numbers; a longer one is scaled to it.

    Raises
    ------
    InputError
        For fewer steps than 1, or a rate or clip that is not positive.

    Notes
    -----
    The trained model keeps its encoder, and estimators see that encoder's q: `remedies.refine` refines it for rows that
    are measured. An update costs about as much as `steps` further passes, each differentiated twice.

    References
    ----------
    Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders" (2018).

    Examples
    --------
    >>> procedure = SemiAmortised(steps=3)
    >>> procedure["vae"].objective.steps, procedure["vae"].parts
    (3, ('vae',))
    """

    def __init__(self, *, steps: int = 5, rate: float = 0.1, clip: float = 5.0) -> None:
        super().__init__({"vae": Phase(_Refined(steps, rate, clip), parts=("vae",))})


class _Refined(Objective):
    """The negative ELBO at the refined q."""

    rate: Tensor
    clip: Tensor

    def __init__(self, steps: int, rate: float, clip: float) -> None:
        super().__init__()
        if steps < 1 or not 0 < rate < math.inf or not 0 < clip < math.inf:
            raise InputError(
                f"SemiAmortised needs steps of 1 or more, and a positive rate and clip; got {steps}, {rate} and {clip}."
            )
        self.steps = steps
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.register_buffer("clip", torch.tensor(float(clip)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of the draws that the steps are made by."""
        return {f"refine.{name}": (self.steps, *block.noise_shape) for name, block in vae.posterior.items()}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        numbers = numbers_of(vae, batch, noise)

        def negative(numbers: dict[str, Tensor], noise: Noise) -> Tensor:
            """−ELBO of every example, [batch]."""
            terms = vae(batch, noise, posterior=with_numbers(vae, numbers))
            return (terms.rate() - terms.log_likelihood).mean(0)

        for i in range(self.steps):
            drawn = noise | {name: noise[f"refine.{name}"][:, :, i] for name in numbers}
            slopes = grad(lambda numbers, drawn=drawn: negative(numbers, drawn).sum())(numbers)
            shrunk = self.rate * self._shrinking(slopes)
            numbers = {name: value - shrunk.view(-1, 1) * slopes[name] for name, value in numbers.items()}
        return Loss(negative(numbers, noise).mean())

    def _shrinking(self, slopes: dict[str, Tensor]) -> Tensor:
        """The factor that brings each example's gradient to the greatest norm, [batch]."""
        squares = torch.stack([slope.square().sum(1) for slope in slopes.values()])
        norms = (squares.sum(0) + _SMALL).sqrt()  # whose own gradient is finite at 0
        return (self.clip / norms).clamp(max=1.0)
