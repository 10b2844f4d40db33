"""A pair of encoder and decoder modules, and what x is drawn from, as a VAE."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError, own_modes, plain_arguments
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .outputs import outputs
from .parts import assemble, check_likelihood, floating

__all__ = ["from_modules"]


@own_modes
@plain_arguments
def from_modules(
    encoder: nn.Module, decoder: nn.Module, likelihood: Any, *, means: bool | None = None, preprocess: Any = None
) -> VAE:
    """Make a VAE of two modules that exist already, with p(z) = N(0, I) and q(z | x) = N(mu, exp(log_var)).

    The modules are used as they are, weights included. A model saved by `er.save_model` is loaded with
    `er.load_model(path, modules={"encoder": encoder, "decoder": decoder})`.

    Parameters
    ----------
    encoder : nn.Module
        x [n, *event] → (mu, log_var) [n, latents] or [n, channels, height, width] each, as a tuple, a mapping (pythae's
        ModelOutput; by its names), or side by side in one tensor [n, 2 · latents] or [n, 2 · channels, ...].
    decoder : nn.Module
        z of the shape of mu → what the likelihood reads, with as many numbers per example, in any shape.
    likelihood : Likelihood
        Made with network=None: `Bernoulli(None, 784)` for a loss of binary cross-entropy, `Normal(None, 784, scale=σ)`
        for squared error. Which σ a loss stands for is said under Notes.
    means : bool, optional
        For a likelihood of one logit per element: whether the decoder returns means in [0, 1], as after a sigmoid, and
        not logits. By default, whether all that it returns for z far from 0 lies there, which logits would leave.
    preprocess : Preprocess, optional
        From the user's x to what the encoder reads and the likelihood is of; by default x stays as it is.

    Returns
    -------
    VAE
        With the modules in it; `assumed` says what was taken as given.

    Raises
    ------
    InputError
        Where the modules' outputs do not fit one another, or lie in [-1, 1] where means or logits are asked for.

    Notes
    -----
    A loss of the KL and half the summed squares stands for σ = 1; of the KL and the summed squares for σ = √(1/2); of
    the KL and their mean over the D elements of x, as `mse_loss` gives it, for σ = √(D/2): most of x is then noise, and
    the latents collapse.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).

    Examples
    --------
    >>> from elbowroom.likelihoods import Bernoulli
    >>> vae = from_modules(nn.Linear(6, 4), nn.Linear(2, 6), Bernoulli(None, 6))
    >>> vae.latents, vae.sample(3).shape
    (2, torch.Size([3, 6]))
    """
    check_likelihood(likelihood, means)
    paired = PairedEncoder(encoder)
    with torch.no_grad(), evaluating(paired):
        mu, _ = paired.pair(floating(encoder, decoder).new_zeros(2, *likelihood.event))
    assumed = ["The encoder returns mu and log σ² of a normal q(z | x) with independent elements."]
    return assemble(paired, mu.shape[1:], decoder, likelihood, means=means, preprocess=preprocess, assumed=assumed)


@described("mean-and-log-variance")
class PairedEncoder(nn.Module):
    """Any encoder as a network of `DiagonalNormal`: the mean and the log of the standard deviation side by side.

    Parameters
    ----------
    network : nn.Module
        As the encoder of `from_modules`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """[n, 2 · latents]. Raises InputError for what is no pair."""
        mu, log_var = self.pair(x)
        return torch.cat([mu.flatten(1), 0.5 * log_var.flatten(1)], -1)

    def pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log_var, in the shape they come in. Raises InputError for what is no pair."""
        out = self.network(x)
        named = outputs(out)
        if isinstance(out, Mapping):  # the log-variance last, by its name
            named = dict(sorted(named.items(), key=lambda one: any(word in one[0] for word in ("var", "cov"))))
        found = tuple(named.values())
        if not 1 <= len(found) <= 2:
            raise InputError(
                f"The encoder returned {len(found)} tensors, of which mu and log_var can be meant; where one module "
                f"returns the reconstruction too, take adapters.from_forward."
            )
        first, second = found[0].tensor_split(2, 1) if len(found) == 1 else found
        if first.shape != second.shape:
            raise InputError(
                f"The encoder returned {[one[0].numel() for one in (first, second)]} numbers for mu and log_var each."
            )
        return first, second
