"""Models of pythae, as a VAE of ours."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom import priors
from elbowroom.components import Component, as_event
from elbowroom.likelihoods import Bernoulli, Likelihood, Normal
from elbowroom.numerics import CapabilityError, InputError, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .drawing import draws_fit
from .listening import FAILURES, Listener
from .outputs import outputs
from .parts import CalledDecoder, CalledEncoder, assemble, check_likelihood, floating, two_halves

__all__ = ["from_pythae"]

_EXAMPLES = 32
_LOG_SIGMA_SQUARED = "log σ²"
_NAMES = ("embedding", "log_covariance")


@plain_arguments
def from_pythae(model: nn.Module, *, likelihood: Any = None, preprocess: Any = None) -> VAE:
    """Make a VAE of a model of pythae, with the density that its loss stands for.

    Read are its public attributes alone: `model_config` (input_dim, reconstruction_loss), `encoder` (embedding,
    log_covariance), `decoder` (reconstruction); its loss function and its own draws of z are asked.

    Parameters
    ----------
    model : nn.Module
        A model of pythae whose posterior is a normal and whose prior is N(0, I), as VAE, BetaVAE, IWAE; or VAMP, whose
        prior becomes the mixture of the normals that its encoder returns for its pseudo-inputs as they are.
    likelihood : Likelihood, optional
        Made with network=None, in the place of what the loss stands for: `ContinuousBernoulli(None, (1, 28, 28))` for
        grey levels in [0, 1] under binary cross-entropy.
    preprocess : Preprocess, optional
        From the user's x to what the model was trained on; by default x stays as it is.

    Returns
    -------
    VAE
        With the module in it, and in `assumed` what was taken as given. It is saved by `er.save_model`, and loaded with
        `er.load_model(path, modules={"encoder": model, "decoder": model})`.

    Raises
    ------
    CapabilityError
        For a model without a density of q that is known here (a flow, Hamiltonian moves, other spaces, an encoder
        without a covariance), or a VAMP whose loss does not say that its prior is such a mixture.
    InputError
        For a module that is no such model, or a loss that is no weighted sum of squares or cross-entropy and the KL, as
        those of FactorVAE, INFOVAE_MMD and VAEGAN, where no likelihood is given.

    Notes
    -----
    A loss of w times the sum of squares plus β · KL stands for σ = √(β / 2w); pythae's w is 1/2.

    References
    ----------
    Chadebec, Vincent & Allassonnière, "Pythae: Unifying generative autoencoders in Python" (2022).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class Head(nn.Linear):                       # of the shape of pythae's encoders and decoders
    ...     def forward(self, x):
    ...         found = super().forward(x)
    ...         if self.out_features == 6:
    ...             return {"reconstruction": found}
    ...         return dict(zip(("embedding", "log_covariance"), found.chunk(2, -1)))
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder, self.decoder = Head(6, 4), Head(2, 6)
    ...         self.model_config = SimpleNamespace(input_dim=(6,), reconstruction_loss="mse")
    ...     def loss_function(self, recon_x, x, mu, log_var, z):
    ...         squares = 0.5 * (recon_x - x).square().sum(-1)
    ...         return (squares - 2 * (1 + log_var - mu.square() - log_var.exp()).sum(-1)).mean(), squares.mean()
    ...     def forward(self, inputs):
    ...         q = self.encoder(inputs["data"])
    ...         z = q["embedding"] + (q["log_covariance"] / 2).exp() * torch.randn_like(q["embedding"])
    ...         return {"recon_x": self.decoder(z)["reconstruction"], "z": z}
    >>> from_pythae(Model()).likelihood.scale                # β = 4 is a σ of 2
    2.0
    """
    event = _event_of(model)
    if likelihood is not None:
        check_likelihood(likelihood, None)
        event = likelihood.event
    places, latent = _check_q(model, event)
    prior = _mixture(model, event, latent) if "vamp" in _name(model).lower() else None
    implied, noise = _implied(model, event, math.prod(latent)) if likelihood is None else (likelihood, _GIVEN)
    said = [
        "q(z | x) is N(embedding, exp(log_covariance)), as the model's own draws say; "
        + (
            "its prior is taken for N(0, I)."
            if prior is None
            else "its prior is the mixture of q at its pseudo-inputs."
        ),
        noise,
    ]
    parts = CalledEncoder(model, "encoder", *places, _LOG_SIGMA_SQUARED), CalledDecoder(model, "decoder")
    encoder, decoder, of_weights = two_halves(*parts, event, latent)
    about: dict[str, Any] = {"preprocess": preprocess, "prior": prior, "assumed": [*said, *of_weights]}
    return assemble(encoder, latent, decoder, implied, **about)


_GIVEN = "The likelihood is the one that was given: the model's own loss was not asked."


def _event_of(model: Any) -> tuple[int, ...]:
    config = getattr(model, "model_config", None)
    missing = [name for name in ("encoder", "decoder") if not callable(getattr(model, name, None))]
    if config is None or missing or getattr(config, "input_dim", None) is None:
        raise InputError(
            f"A model of pythae has encoder, decoder and model_config.input_dim, and this {type(model).__name__} has "
            f"not: take adapters.from_forward."
        )
    return as_event(tuple(config.input_dim), "x")


@torch.no_grad()
def _mixture(model: Any, event: tuple[int, ...], latent: tuple[int, ...]) -> Component:
    """The prior of VAMP: q at each pseudo-input, all of the same weight; its loss is asked whether this is so."""
    try:
        with evaluating(model):
            found = outputs(model.encoder(model.pseudo_inputs(model.idle_input).reshape(-1, *event)))
            mean, raw = (found[name].reshape(-1, *latent) for name in _NAMES)
            z = torch.randn(4, math.prod(latent), generator=torch.Generator().manual_seed(0)).to(mean)
            x, none = mean.new_zeros(1, *event), mean.new_zeros(1, z.shape[1])
            losses = [float(model.loss_function(x, x, one[None], none, one[None], 1)[0]) for one in z]
    except (*FAILURES, KeyError) as error:
        raise CapabilityError(_UNLIKE) from error
    prior = priors.Mixture(latent, components=len(mean), floor=_NARROWEST).to(mean)
    prior.begin_at(mean.new_ones(len(mean)) / len(mean), mean, (raw / 2).exp())
    log_p = prior({}).log_prob(z.view(1, -1, *latent))[0] + z.shape[1] * 0.5 * math.log(2 * math.pi)
    if not torch.allclose(-log_p, log_p.new_tensor(losses), rtol=1e-3, atol=1e-2):
        raise CapabilityError(_UNLIKE)
    return prior


_NARROWEST = 1e-6  # deviation of a component
_UNLIKE = (
    "The loss of this VAMP does not say that its prior is the mixture of q at its pseudo_inputs; with N(0, I) in its "
    "place, adapters.from_modules(model.encoder, model.decoder, …) gives a bound, not the model's."
)


def _name(model: Any) -> str:
    return str(getattr(model, "model_name", type(model).__name__))


@torch.no_grad()
def _check_q(model: Any, event: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Places of embedding and log_covariance, and the shape of z; refuses what draws z in another way."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, _EXAMPLES, *event, generator=generator, dtype=torch.float64).to(floating(model))
    listener = Listener(model, ["encoder"], lambda copied, one: copied({"data": one}))
    encoder: Any = listener.model.encoder
    found = outputs(encoder(x[0]))
    places = tuple(list(found).index(name) if name in found else -1 for name in _NAMES)
    if min(places) < 0:
        raise CapabilityError(
            f"The encoder of this {_name(model)} returns {', '.join(found)} and no embedding with a log_covariance, "
            f"so that q(z | x) is no normal with a density: no bound on log p(x) can be had, and with it no item of an "
            f"audit but reconstructions."
        )
    try:
        heard = [listener.hear(one, 0) for one in x]
        z = [one.decoding("decoder")[0].read[0] for one in heard]
        q = [outputs(one.decoding("encoder")[0].returned) for one in heard]
    except (*FAILURES, IndexError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise CapabilityError(_other(model, f"could not be heard ({reason})")) from error
    mean, raw = ([one[name] for one in q] for name in _NAMES)
    if not _fits(z, mean, raw):
        raise CapabilityError(_other(model, "are no embedding + exp(log_covariance / 2) · ε"))
    return (places[0], places[1]), tuple(found[_NAMES[0]].shape[1:])


def _fits(z: list[Tensor], mean: list[Tensor], raw: list[Tensor]) -> bool:
    """Whether z is drawn from the normal, one for each example or several."""
    size, rows = mean[0][0].numel(), len(mean[0])
    if z[0].numel() % mean[0].numel():
        return False
    for order, lead in enumerate([(rows, -1), (-1, rows)]):
        several = [one.reshape(*lead, size).movedim(order, 0).flatten(1) for one in z]
        times = several[0].shape[1] // size
        means, raws = ([one.flatten(1).repeat(1, times) for one in values] for values in (mean, raw))
        if draws_fit(several, means, raws, _LOG_SIGMA_SQUARED):
            return True
    return False


def _other(model: Any, what: str) -> str:
    return (
        f"The draws of z of this {_name(model)} {what} (a flow, Hamiltonian moves, another space?), so that q(z | x) "
        f"has no density that is known here: no bound of its own can be had; adapters.from_modules(model.encoder, "
        f"model.decoder, …) gives that of the normal which it starts from."
    )


def _implied(model: Any, event: tuple[int, ...], latents: int) -> tuple[Likelihood, str]:
    """The density that the loss stands for, and a sentence."""
    loss = getattr(model.model_config, "reconstruction_loss", None)
    if loss not in ("mse", "bce"):
        raise InputError(f"reconstruction_loss={loss!r} stands for no density that is known here: give likelihood=.")
    weight, beta = (0.5 if loss == "mse" else 1.0, 1.0) if _name(model) in _KNOWN else _weights(model, event, latents)
    how = "as pythae has it" if _name(model) in _KNOWN else "its loss function was asked"
    if not (weight > 0 and beta > 0):
        raise InputError(f"The loss weighs reconstruction by {weight:g} and KL by {beta:g}: give likelihood=.")
    if loss == "mse":
        sigma = float(f"{math.sqrt(beta / (2 * weight)):.6g}")  # the weights were read in 32 bits
        of = f"{weight:g} · squares + {beta:g} · KL ({how}), so the noise is a Gaussian of σ = {sigma:.3g}"
        return Normal(None, event, scale=sigma), f"The loss is {of} on the scale of x."
    ratio = beta / weight
    bounds = "" if ratio == 1 else f"; bounds weigh the KL by 1, as those on log p(x) do, and not by {ratio:g}"
    said = f"The loss is {weight:g} · cross-entropy + {beta:g} · KL ({how}), so x are bits{bounds}."
    return Bernoulli(None, event), said


_KNOWN = ("IWAE", "CIWAE", "MIWAE", "PIWAE", "VAMP")
"""Models whose loss is no weighted sum of two terms in closed form."""


@torch.no_grad()
def _weights(model: Any, event: tuple[int, ...], latents: int) -> tuple[float, float]:
    """Weights of the sum of squares, or of cross-entropy, and of the KL, per example, as the loss itself has them."""
    copied, like = copy.deepcopy(model), floating(model)
    x, z = like.new_zeros(2, *event), like.new_zeros(2, latents)
    size = math.prod(event)
    wrong = (
        (1.0, 0.5),
        (1.0 * size, size / 4),
    )  # by how much a reconstruction is off, and what a weight of 1 makes of it
    if model.model_config.reconstruction_loss == "bce":
        wrong = (0.5, 0.25), (size * math.log(2), -size * math.log(0.75))
    try:
        with evaluating(copied):
            plain, once, twice = (float(copied.loss_function(x, x, z + mean, z, z)[0]) for mean in (0.0, 1.0, 2.0))
            off = [float(copied.loss_function(x + by, x, z, z, z)[0]) for by in wrong[0]]
    except FAILURES as error:
        raise _no_sum(model) from error
    weights = [(found - plain) / each for found, each in zip(off, wrong[1], strict=True)]
    betas = [(found - plain) / (latents * half) for found, half in ((once, 0.5), (twice, 2.0))]
    for pair in (weights, betas):
        if not math.isclose(*pair, rel_tol=1e-3):
            raise _no_sum(model)
    return float(f"{weights[0]:.4g}"), float(f"{betas[0]:.4g}")


def _no_sum(model: Any) -> InputError:
    return InputError(
        f"The loss of this {_name(model)} is no weighted sum of its reconstruction_loss and the KL, as far as it could "
        f"be asked, so it stands for no density: give likelihood=, as Normal(None, event, scale=1.0), which half the "
        f"summed squares stand for."
    )
