"""Models of pythae, as a VAE of ours."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom import priors
from elbowroom.components import Component, as_event
from elbowroom.likelihoods import Bernoulli, Likelihood, Normal
from elbowroom.numerics import CapabilityError, InputError, own_modes, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .asking import Answers, Verdict, agree, hear, judged, listening, questions
from .drawing import draws_fit, follows, noise_of
from .listening import FAILURES, Heard, Listener
from .outputs import outputs
from .parts import CalledDecoder, CalledEncoder, assemble, check_likelihood, floating, two_halves

__all__ = ["from_pythae"]

_LOG_SIGMA_SQUARED = "log σ²"
_NAMES = ("embedding", "log_covariance")


@own_modes
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
        For a model without a density of q that is known here (a flow, Hamiltonian moves, other spaces, clamped draws,
        an encoder without a covariance), or a VAMP whose loss does not say that its prior is such a mixture.
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
    places, latent, where = _check_q(model, event)
    prior = _mixture(model, event, latent) if "vamp" in _name(model).lower() else None
    implied, noise = _implied(model, event, math.prod(latent)) if likelihood is None else (likelihood, _GIVEN)
    said = [
        f"q(z | x) is N(embedding, exp(log_covariance)), as the model's own draws say for {where}; "
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
def _check_q(model: Any, event: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, ...], str]:
    """Places of embedding and log_covariance, the shape of z, and for which x; refuses what draws z in another way."""
    wanted = questions(event)
    places, latent = _encoded(model, wanted.near[0].to(floating(model)))
    try:
        listener, asked = listening(model, wanted, floating(model), _listener)
        answers = hear(listener, asked)
        draws, decoded = _of_draws(answers), judged(answers, lambda answer: _is_decoded(answer.heard))
    except (*FAILURES, IndexError) as error:
        reason = str(error.__cause__ or error).split("\n")[0].rstrip(".")
        raise CapabilityError(_other(model, f"could not be heard ({reason})")) from error
    if draws is None or draws.far:
        how = _NOT_FAR.format(there=draws.far[0].words) if draws else "are no embedding + exp(log_covariance / 2) · ε"
        raise CapabilityError(_other(model, how))
    if decoded.far or _is_decoded(answers.first) is False:
        raise InputError(_CHANGED.format(name=_name(model)))
    return places, latent, asked.words(draws.held)


def _encoded(model: Any, x: Tensor) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Places of embedding and log_covariance among what its encoder returns, and the shape of z."""
    with evaluating(model):
        found = outputs(model.encoder(x))
    if not all(name in found for name in _NAMES):
        raise CapabilityError(
            f"The encoder of this {_name(model)} returns {', '.join(found)} and no embedding with a log_covariance, "
            f"so that q(z | x) is no normal with a density: no bound on log p(x) can be had, and with it no item of an "
            f"audit but reconstructions."
        )
    mean, spread = (list(found).index(name) for name in _NAMES)
    return (mean, spread), tuple(found[_NAMES[0]].shape[1:])


_NOT_FAR = "are embedding + exp(log_covariance / 2) · ε for random x in [0, 1] and not for {there}, as after a clamp"
_CHANGED = (
    "The recon_x of this {name} is not what its decoder returns (a clamp?): let the decoder return what the loss sees."
)


def _listener(model: nn.Module) -> Listener:
    return Listener(model, ["encoder"], lambda copied, x: copied({"data": x}))


def _of_draws(answers: Answers) -> Verdict | None:
    """Where z is drawn from the normal, one for each example or several; None where it is not in [0, 1]."""
    z, mean, _ = _drawn(answers.first)
    if z.numel() % mean.numel():
        return None
    return next((_verdict(answers, beside) for beside in (True, False) if _fit_near(answers, beside)), None)


def _fit_near(answers: Answers, beside: bool) -> bool:
    one, other = (_laid_out(heard, beside) for heard in (answers.first, answers.other))
    z, mean, raw = zip(one, other, strict=True)
    return draws_fit(z, mean, raw, _LOG_SIGMA_SQUARED)


def _verdict(answers: Answers, beside: bool) -> Verdict:
    noise = noise_of(*_laid_out(answers.first, beside), _LOG_SIGMA_SQUARED)
    return judged(answers, lambda answer: follows(*_laid_out(answer.heard, beside), _LOG_SIGMA_SQUARED, noise))


def _drawn(heard: Heard) -> tuple[Tensor, Tensor, Tensor]:
    """z, embedding and log_covariance of a forward."""
    q = outputs(heard.decoding("encoder")[0].returned)
    return heard.decoding("decoder")[0].read[0], q[_NAMES[0]], q[_NAMES[1]]


def _laid_out(heard: Heard, beside: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The same, [n, draws · latents]: the draws of an example stand beside one another in z, or batches of them do."""
    z, *of_q = _drawn(heard)
    mean, raw = (one.flatten(1) for one in of_q)
    rows, size = mean.shape
    several = z.reshape(rows, -1) if beside else z.reshape(-1, rows, size).movedim(1, 0).flatten(1)
    times = several.shape[1] // size
    return several, mean.repeat(1, times), raw.repeat(1, times)


def _is_decoded(heard: Heard) -> bool | None:
    """Whether recon_x is what the decoder returned; None where it is one of several, or not there."""
    found, recon = outputs(heard.decoding("decoder")[0].returned), heard.out.get("recon_x")
    value = found.get("reconstruction")
    return None if recon is None or value is None or recon.shape != value.shape else agree((recon, value))


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

    def loss(at: float, recon: float, mean: float = 0.0, log_variance: float = 0.0) -> float:
        return float(copied.loss_function(x + recon, x + at, z + mean, z + log_variance, z)[0])

    bits = model.model_config.reconstruction_loss == "bce"
    start = 0.5 if bits else 0.0
    try:
        with evaluating(copied):
            plain = {at: loss(at, start) for at in (0.0, 1.0)}
            off = [(loss(at, recon) - plain[at]) / math.prod(event) for at, recon in _WRONG[bits]]
            kl = [(loss(0.0, start, *q) - plain[0.0]) / latents for q in _MOVED]
    except FAILURES as error:
        raise _no_sum(model) from error
    weights = [by / _wrong(bits, *place) for by, place in zip(off, _WRONG[bits], strict=True)]
    betas = [by / _kl(*q) for by, q in zip(kl, _MOVED, strict=True)]
    for several in (weights, betas):
        if not all(math.isclose(one, several[0], rel_tol=1e-3) for one in several):
            raise _no_sum(model)
    return float(f"{weights[0]:.4g}"), float(f"{betas[0]:.4g}")


_WRONG = {False: ((0.0, 1.0), (0.0, 0.5), (0.0, 30.0)), True: ((0.0, 0.25), (0.0, 0.99), (1.0, 0.25), (1.0, 0.99))}
"""x and its reconstruction: real numbers, and bits."""

_MOVED = ((1.0, 0.0), (2.0, 0.0), (30.0, 0.0), (0.0, 2.0), (0.0, -8.0))
"""mu and log σ² of q."""


def _wrong(bits: bool, x: float, recon: float) -> float:
    """By how much the loss of one element is more than at a reconstruction of 1/2, or of 0."""
    return -math.log(2 * (recon if x else 1 - recon)) if bits else recon**2


def _kl(mean: float, log_variance: float) -> float:
    return 0.5 * (mean**2 + math.exp(log_variance) - 1 - log_variance)


def _no_sum(model: Any) -> InputError:
    return InputError(
        f"The loss of this {_name(model)} is no weighted sum of its reconstruction_loss and the KL, as far as it could "
        f"be asked, so it stands for no density: give likelihood=, as Normal(None, event, scale=1.0), which half the "
        f"summed squares stand for."
    )
