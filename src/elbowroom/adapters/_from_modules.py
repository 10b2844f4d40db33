"""A pair of encoder and decoder modules, and what x is drawn from, as a VAE."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom import posteriors, priors
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["from_modules"]


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
        x [n, *event] → (mu, log_var) [n, latents] each, as a tuple, a mapping (pythae's ModelOutput; by its names), or
        side by side in one tensor [n, 2 · latents].
    decoder : nn.Module
        z [n, latents] → what the likelihood reads, with as many numbers per example, in any shape.
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
        With the modules in it.

    Raises
    ------
    InputError
        Where the modules' outputs do not fit one another.

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
    if not isinstance(likelihood, Likelihood):
        raise InputError(f"likelihood is one made with network=None, as Bernoulli(None, 784); got {likelihood!r}.")
    one_logit = likelihood.logits and likelihood.parts == 1
    if means is not None and not one_logit:
        raise InputError(f"means= is for likelihoods of one logit per element, not for {type(likelihood).__name__}.")
    with torch.no_grad(), evaluating(nn.ModuleList([encoder, decoder])):
        both = PairedEncoder(encoder)(next(encoder.parameters(), torch.zeros(())).new_zeros(2, *likelihood.event))
        far = 100 * torch.randn(1, 64, both.shape[1] // 2, generator=torch.Generator().manual_seed(0)).to(both)
        if one_logit and means is None:
            means = _are_means(FlatDecoder(decoder)(far[0]))
        made = copy.deepcopy(likelihood)
        made.network = FlatDecoder(decoder, bool(means))
        made({"z": far})  # refuses a decoder of another size
    # The floor of the variance is so low that losses agree, and so high that no logarithm is of 0.
    q = posteriors.DiagonalNormal(PairedEncoder(encoder), far.shape[2], spread="exp", floor=1e-8)
    return VAE(priors.StandardNormal(far.shape[2]), q, made, preprocess)


def _are_means(found: Tensor) -> bool:
    """Whether what a decoder returns far from 0 lies in [0, 1]."""
    if bool((found == found.flatten()[0]).all()):
        raise InputError("The decoder returns one number for every z, so say means=True (in [0, 1]) or means=False.")
    return bool((found - 0.5).abs().max() <= 0.5)


def _rows(out: Any, of: str, count: int) -> tuple[Tensor, ...]:
    """The one to `count` tensors that a module returned, flattened per example."""
    if isinstance(out, dict):  # the log-variance last, by its name
        out = tuple(out[key] for key in sorted(out, key=lambda key: any(word in str(key) for word in ("var", "cov"))))
    found = out if isinstance(out, tuple | list) else (out,)
    if not 1 <= len(found) <= count or not all(isinstance(one, Tensor) for one in found):
        kinds = ", ".join(type(one).__name__ for one in found)
        raise InputError(f"The {of} returned {kinds or 'nothing'}, of which {count} tensors at most can be meant.")
    return tuple(one.flatten(1) for one in found)


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
        found = _rows(self.network(x), "encoder", 2)
        pair = found[0].tensor_split(2, -1) if len(found) == 1 else found
        if pair[0].shape != pair[-1].shape:
            raise InputError(f"The encoder returned {[one.shape[1] for one in pair]} numbers for mu and log_var each.")
        return torch.cat([pair[0], 0.5 * pair[-1]], -1)


@described("decoded")
class FlatDecoder(nn.Module):
    """Any decoder as a network of a likelihood: one row per example, means in [0, 1] as logits.

    Parameters
    ----------
    network : nn.Module
        As the decoder of `from_modules`.
    means : bool, default False
        Whether it returns means in [0, 1].
    """

    def __init__(self, network: nn.Module, means: bool = False) -> None:
        super().__init__()
        self.network, self.means = network, means

    def forward(self, *inputs: Tensor) -> Tensor:
        """[n, numbers]. Raises InputError for more than one tensor."""
        (found,) = _rows(self.network(*inputs), "decoder", 1)
        return torch.logit(found, torch.finfo(found.dtype).eps) if self.means else found
