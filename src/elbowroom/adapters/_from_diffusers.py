"""diffusers' AutoencoderKL, the VAE of latent diffusion, as a VAE of ours."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from elbowroom.components import as_event
from elbowroom.likelihoods import DiscretisedNormal, Laplace, Likelihood, Normal
from elbowroom.numerics import CapabilityError, InputError, one_of, own_modes, plain_arguments
from elbowroom.preprocess import Affine, Chain, Dequantise, Preprocess
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .listening import FAILURES
from .parts import CalledDecoder, CalledEncoder, Rescaled, assemble, floating, two_halves

__all__ = ["from_diffusers"]

_LEVELS = 256

Loss = Literal["squares", "absolute"]
Reduction = Literal["sum", "mean"]
Pixels = Literal["dequantised", "levels", "signed"]


@own_modes
@plain_arguments
def from_diffusers(
    autoencoder: nn.Module,
    *,
    event: int | Sequence[int] | None = None,
    loss: Loss = "squares",
    kl_weight: float = 1e-6,
    reduction: Reduction = "sum",
    pixels: Pixels = "dequantised",
) -> VAE:
    """Make a VAE of diffusers' AutoencoderKL, with the noise that its trainer's loss stands for.

    Its posterior is a normal over [channels, height, width]. A trainer's loss names no noise but implies one: the sum
    of squares plus w · KL is w times −ELBO of a Gaussian with σ² = w / 2, up to its normaliser, and a bound on log p(x)
    at that σ and no other. `remedies.calibrate` finds the σ that the same networks would rather have, and
    `metrics.latent_statistics` says what a diffusion model trained on z would ask.

    Parameters
    ----------
    autoencoder : nn.Module
        Whose `encode(x).latent_dist` has `mean` and `logvar`, and whose `decode(z).sample` is x in [-1, 1]: an
        AutoencoderKL, or another of this shape. In 32 or 64 bits.
    event : int or sequence of int, optional
        Shape of one x; by default (in_channels, sample_size, sample_size) of its `config`.
    loss : {"squares", "absolute"}, default "squares"
        What of x − x̂ was trained on, x in [-1, 1]. Perceptual and adversarial terms stand for no density.
    kl_weight : float, default 1e-6
        Weight w of the KL, summed over the latents of an example, as `latent_dist.kl()` is.
    reduction : {"sum", "mean"}, default "sum"
        Whether the loss sums over the D elements of x, or takes their mean, as `mse_loss` does; the mean implies a
        variance that is D times as large.
    pixels : {"dequantised", "levels", "signed"}, default "dequantised"
        What the user's x are, and which density of them is meant. "dequantised": grey levels 0…255 with uniform noise,
        mapped to [-1, 1]. "levels": grey levels 0…255, whose probabilities come from the Gaussian rounded to them.
        "signed": real numbers, mapped to [-1, 1] already.

    Returns
    -------
    VAE
        With the module in it, p(z) = N(0, I), and in `assumed` what was taken as given. It is saved by `er.save_model`,
        and loaded with `er.load_model(path, modules={"encoder": autoencoder, "decoder": autoencoder})`.

    Raises
    ------
    CapabilityError
        For a module without a density of q, as vector quantisation and deterministic encoders have none, or whose
        latent_dist has another std than its logvar says.
    InputError
        For a weight that is not positive, a loss that has no rounded family, an event that the module does not take, or
        half precision.

    References
    ----------
    Rombach, Blattmann, Lorenz, Esser & Ommer, "High-resolution image synthesis with latent diffusion models" (2022).
    Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class Small(nn.Module):                      # of the shape of diffusers' AutoencoderKL
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.down, self.up = nn.Conv2d(1, 4, 2, 2), nn.ConvTranspose2d(2, 1, 2, 2)
    ...     def encode(self, x):
    ...         mean, logvar = self.down(x).chunk(2, 1)
    ...         return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, logvar=logvar.clamp(-30, 20)))
    ...     def decode(self, z):
    ...         return SimpleNamespace(sample=self.up(z))
    >>> vae = from_diffusers(Small(), event=(1, 4, 4))
    >>> vae.prior["z"].event, vae.likelihood.scale
    ((2, 2, 2), 0.0007071067811865475)
    """
    one_of("loss", loss, ("squares", "absolute"))
    one_of("reduction", reduction, ("sum", "mean"))
    one_of("pixels", pixels, ("dequantised", "levels", "signed"))
    if not (kl_weight > 0 and math.isfinite(kl_weight)):
        raise InputError(f"kl_weight is positive: without the KL no noise is implied; got {kl_weight}.")
    if pixels == "levels" and loss == "absolute":
        raise InputError("Absolute errors stand for a Laplace, which has no rounded family here: pixels='dequantised'.")
    shape = _event_of(autoencoder) if event is None else as_event(event, "x")
    latent = _latent_event(autoencoder, shape)
    times = math.prod(shape) if reduction == "mean" else 1
    scale = math.sqrt(kl_weight * times / 2) if loss == "squares" else kl_weight * times
    likelihood, preprocess = _density(shape, loss, scale, pixels)
    parts = CalledEncoder(autoencoder, "encode"), CalledDecoder(autoencoder, "decode")
    encoder: nn.Module
    decoder: nn.Module
    encoder, decoder, of_weights = two_halves(*parts, shape, latent)
    if pixels == "levels":
        encoder, decoder = Rescaled(encoder, before=(2 / (_LEVELS - 1), -1.0)), Rescaled(decoder, after=(0.5, 0.5))
    said = [
        "q(z | x) is the module's latent_dist, a normal with independent elements, log-variances clamped as the module "
        "does it; N(0, I) is what the KL of the loss is taken to, while latent diffusion draws z from another density.",
        _of_noise(loss, kl_weight, reduction, scale),
        _PIXELS[pixels],
        *of_weights,
    ]
    return assemble(encoder, latent, decoder, likelihood, preprocess=preprocess, assumed=said, floor=0.0)


_PIXELS = {
    "dequantised": "x are grey levels 0…255, with uniform noise, on [-1, 1]; the trainer's own x / 127.5 - 1 is off "
    "their centres by 1/256 at most.",
    "levels": "x are grey levels 0…255, x / 127.5 - 1 for the encoder; their probabilities are the noise's, rounded.",
    "signed": "x are real numbers in [-1, 1] as the module takes them, which log p(x) is a density over.",
}


def _of_noise(loss: str, kl_weight: float, reduction: str, scale: float) -> str:
    of, family, symbol = ("squares", "Gaussian", "σ") if loss == "squares" else ("absolute errors", "Laplace", "scale")
    return (
        f"The noise is what a loss of the {reduction} of {of} plus {kl_weight:g} · KL stands for: {family}, {symbol} "
        f"= {scale:.2g} on [-1, 1]; perceptual and adversarial terms stand for no density."
    )


def _event_of(autoencoder: Any) -> tuple[int, ...]:
    """(channels, size, size), from its config."""
    config = getattr(autoencoder, "config", None)
    channels, size = (getattr(config, name, None) for name in ("in_channels", "sample_size"))
    if not isinstance(channels, int) or not isinstance(size, int):
        raise InputError("The module's config has no in_channels and sample_size, so say the shape of x: event=.")
    return channels, size, size


@torch.no_grad()
def _latent_event(autoencoder: Any, event: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of mu, which must come with a log-variance."""
    missing = [name for name in ("encode", "decode") if not callable(getattr(autoencoder, name, None))]
    if missing:
        raise CapabilityError(f"The {type(autoencoder).__name__} has no {missing[0]}: take adapters.from_modules.")
    with evaluating(autoencoder):
        try:
            found = autoencoder.encode(floating(autoencoder).new_zeros(2, *event))
        except FAILURES as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise InputError(f"The module's encode does not take x of shape {event} ({reason}): say event=.") from error
    q = getattr(found, "latent_dist", None)
    mean, logvar = getattr(q, "mean", None), getattr(q, "logvar", None)
    if not isinstance(mean, Tensor) or not isinstance(logvar, Tensor) or mean.shape != logvar.shape:
        raise CapabilityError(
            f"encode of this {type(autoencoder).__name__} returns no latent_dist with mean and logvar, so that "
            f"q(z | x) has no density (vector quantisation, a deterministic encoder): no bound on log p(x) can be had, "
            f"and with it no item of an audit but reconstructions."
        )
    _check_std(autoencoder, event)
    return tuple(mean.shape[1:])


def _check_std(autoencoder: Any, event: tuple[int, ...]) -> None:
    """Refuses a latent_dist whose own std, where it has one, is not what its logvar says."""
    x = torch.randn(2, *event, generator=torch.Generator().manual_seed(0)).to(floating(autoencoder))
    with evaluating(autoencoder):
        for size in (0.0, 1.0, 100.0):
            q = autoencoder.encode(size * x).latent_dist
            std, due = getattr(q, "std", None), (0.5 * q.logvar).exp()
            if isinstance(std, Tensor) and not torch.allclose(std, due, rtol=1e-3, atol=0.0, equal_nan=True):
                raise CapabilityError(
                    f"The latent_dist of this {type(autoencoder).__name__} has another std than its logvar says (a "
                    f"clamp of one of them?), so that its own draws are not from the normal that it returns: let "
                    f"logvar be that of its std."
                )


def _density(event: tuple[int, ...], loss: str, scale: float, pixels: str) -> tuple[Likelihood, Preprocess | None]:
    """p(x | z) without its network, and the map from the user's x to what it is of."""
    if pixels == "levels":
        return DiscretisedNormal(None, event, _LEVELS, scale=scale / 2), None
    family = Normal if loss == "squares" else Laplace
    symmetric = Chain([Dequantise(_LEVELS, event), Affine(2.0, shift=-1.0)]) if pixels == "dequantised" else None
    return family(None, event, scale=scale), symmetric
