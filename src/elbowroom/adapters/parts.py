"""Modules of somebody else's making as networks of our components, and a VAE of two such networks."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import InputError
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.coarse import refuse_coarse
from elbowroom.vae.evaluating import evaluating

from .asking import questions
from .halves import alone, without
from .outputs import outputs

__all__ = [
    "LOG_SIGMA",
    "SQUASHES",
    "CalledDecoder",
    "CalledEncoder",
    "FlatDecoder",
    "Rescaled",
    "assemble",
    "check_likelihood",
    "floating",
    "only",
    "tensors",
    "two_halves",
]

LOG_SIGMA: dict[str, Callable[[Tensor], Tensor]] = {
    "log σ²": lambda raw: 0.5 * raw,
    "log σ": lambda raw: raw,
    "σ": torch.log,
    "σ²": lambda raw: 0.5 * torch.log(raw),
    "σ before softplus": lambda raw: softplus(raw).log(),
    "σ² before softplus": lambda raw: 0.5 * softplus(raw).log(),
}
"""What the second number of an encoder may be, and the log σ that it says."""

SQUASHES: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda found: found,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
"""What a forward may do to its decoder's result before it returns it."""

_TRIED, _CELLS_TRIED = 32, 2**17
_FLOOR = 1e-8  # so low that losses agree, and so high that no logarithm is of 0


@described("called-encoder")
class CalledEncoder(nn.Module):
    """Two of the tensors that a module returns for x as a network of `DiagonalNormal`: mu and log σ side by side.

    Parameters
    ----------
    network : nn.Module
        Any module.
    method : str, default ""
        Name of its method or submodule that is called; "" for the module itself.
    mean : int, default 0
        Place of mu among the tensors that it returns.
    spread : int, default 1
        Place of what says how wide q is.
    form : str, default "log σ²"
        What that is, a key of `LOG_SIGMA`.
    lacks : sequence of str, default ()
        Submodules and parameters of the network that this part does without.
    """

    def __init__(
        self,
        network: nn.Module,
        method: str = "",
        mean: int = 0,
        spread: int = 1,
        form: str = "log σ²",
        lacks: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.lacks = without(network, lacks), list(lacks)
        self.method, self.mean, self.spread, self.form = method, mean, spread, form

    def forward(self, x: Tensor) -> Tensor:
        """[n, 2 · latents]."""
        found = tensors(_called(self.network, self.method)(x))
        log_sigma = LOG_SIGMA[self.form](found[self.spread])
        return torch.cat([found[self.mean].flatten(1), log_sigma.flatten(1)], -1)


@described("called-decoder")
class CalledDecoder(nn.Module):
    """A method or submodule that makes x of z, with what the module's forward does to its result.

    Parameters
    ----------
    network : nn.Module
        Any module.
    method : str
        Name of its method or submodule.
    squash : {"", "sigmoid", "tanh"}, default ""
        What is applied to its result.
    lacks : sequence of str, default ()
        Submodules and parameters of the network that this part does without.
    """

    def __init__(self, network: nn.Module, method: str, squash: str = "", lacks: Sequence[str] = ()) -> None:
        super().__init__()
        self.network, self.lacks = without(network, lacks), list(lacks)
        self.method, self.squash = method, squash

    def forward(self, z: Tensor) -> Tensor:
        """[n, ...]. Raises InputError for more than one tensor."""
        return SQUASHES[self.squash](only(_called(self.network, self.method)(z)))


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
        found = only(self.network(*inputs)).flatten(1)
        return torch.logit(found, torch.finfo(found.dtype).eps) if self.means else found


@described("rescaled")
class Rescaled(nn.Module):
    """A network whose input and output are shifted and scaled.

    Parameters
    ----------
    network : nn.Module
        Reads one tensor and returns one.
    before : tuple of float, default (1.0, 0.0)
        Scale and shift of what it reads.
    after : tuple of float, default (1.0, 0.0)
        Scale and shift of what it returns.
    """

    def __init__(
        self, network: nn.Module, before: Sequence[float] = (1.0, 0.0), after: Sequence[float] = (1.0, 0.0)
    ) -> None:
        super().__init__()
        self.network, self.before, self.after = network, tuple(before), tuple(after)

    def forward(self, value: Tensor) -> Tensor:
        """[n, ...]."""
        found: Tensor = self.network(value * self.before[0] + self.before[1])
        return found * self.after[0] + self.after[1] if self.after != (1.0, 0.0) else found


def tensors(out: Any) -> list[Tensor]:
    """What an encoder returned; one tensor is mu and the spread side by side."""
    found = list(outputs(out).values())
    return list(found[0].tensor_split(2, 1)) if len(found) == 1 else found


def only(out: Any) -> Tensor:
    """The one tensor that a decoder returned."""
    found = list(outputs(out).values())
    if len(found) != 1:
        raise InputError(f"The decoder returned {len(found)} tensors, of which one can be meant: {list(outputs(out))}.")
    return found[0]


def _called(network: nn.Module, method: str) -> Any:
    return getattr(network, method) if method else network


def two_halves(
    encoder: CalledEncoder,
    decoder: CalledDecoder,
    event: Sequence[int],
    latent_event: Sequence[int],
    rows: Tensor | None = None,
) -> tuple[CalledEncoder, CalledDecoder, list[str]]:
    """Encoder and decoder of one network, each with its own weights where they can be told apart, and what to say.

    Parameters
    ----------
    encoder : CalledEncoder
        x → mu and log σ.
    decoder : CalledDecoder
        z → x, by the same network.
    event, latent_event : sequence of int
        Shapes of x and z.
    rows : Tensor, optional
        [n, *event], x to try the encoder with; by default random ones.

    Returns
    -------
    tuple
        The two, and sentences.
    """
    like, network = floating(encoder.network), encoder.network
    lacks = [alone(encoder, _some_x(event, rows, like)), alone(decoder, _some_z(event, latent_event, like))]
    first = CalledEncoder(network, encoder.method, encoder.mean, encoder.spread, encoder.form, lacks[0])
    second = CalledDecoder(network, decoder.method, decoder.squash, lacks[1])
    both = {id(one) for one in first.parameters()} & {id(one) for one in second.parameters()}
    said = ["Encoder and decoder are one module whose weights could not be told apart, so neither trains alone."]
    return first, second, said if both else []


def _some_x(event: Sequence[int], rows: Tensor | None, like: Tensor) -> list[Tensor]:
    """Rows to try an encoder with: few of large ones, and then only those that it must take."""
    asked, few = questions(event, rows).to(like), _few(event)
    return [one[:few] for one in (*asked.near, *(one.x for one in (*asked.own, *asked.far) if few > 2))]


def _some_z(event: Sequence[int], latent_event: Sequence[int], like: Tensor) -> list[Tensor]:
    z = torch.randn(_few(event), *latent_event, generator=torch.Generator().manual_seed(0)).to(like)
    return [z, 100 * z]


def _few(event: Sequence[int]) -> int:
    return max(2, min(_TRIED, _CELLS_TRIED // math.prod(event)))


def check_likelihood(likelihood: Any, means: bool | None) -> None:
    """Refuse what is no likelihood, and means= where there are no logits."""
    if not isinstance(likelihood, Likelihood):
        raise InputError(f"likelihood is one made with network=None, as Bernoulli(None, 784); got {likelihood!r}.")
    if means is not None and not _one_logit(likelihood):
        raise InputError(f"means= is for likelihoods of one logit per element, not for {type(likelihood).__name__}.")


def floating(*modules: nn.Module) -> Tensor:
    """An empty tensor of the modules' floating type, where they are; InputError for half precision."""
    for module in modules:
        refuse_coarse(module, "module")
        for parameter in module.parameters():
            if parameter.is_floating_point():
                return parameter.detach().new_empty(0)
    return torch.empty(0)


@torch.no_grad()
def assemble(
    encoder: nn.Module,
    latent_event: Sequence[int],
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    means: bool | None = None,
    preprocess: Any = None,
    prior: Component | None = None,
    assumed: Sequence[str] = (),
    floor: float = _FLOOR,
) -> VAE:
    """A VAE of an encoder of mu and log σ and any decoder, with p(z) = N(0, I) or another, that says what it assumed.

    Parameters
    ----------
    encoder : nn.Module
        x → [n, 2 · latents], mu and then log σ.
    latent_event : sequence of int
        Shape of z, as the decoder reads it.
    decoder : nn.Module
        z → what the likelihood reads.
    likelihood : Likelihood
        Made with network=None; it is copied.
    means : bool or None, default None
        As for `from_modules`.
    preprocess : Preprocess or None, default None
        As for `from_modules`.
    prior : Component, optional
        Over z, where it is known; by default N(0, I), which is said to be assumed.
    assumed : sequence of str, default ()
        What the adapter assumed already.
    floor : float, default 1e-8
        Least variance of q.

    Returns
    -------
    VAE
        With the modules in it.
    """
    event, like = tuple(latent_event), floating(encoder, decoder)
    far = 100 * torch.randn(1, 64, *event, generator=torch.Generator().manual_seed(0)).to(like)
    with evaluating(nn.ModuleList([encoder, decoder])):
        raw = _decoded(decoder, far[0])
        if _one_logit(likelihood) and means is None:
            means = _are_means(raw)
        made = copy.deepcopy(likelihood)
        made.network = FlatDecoder(decoder, bool(means))
        made({"z": far})  # refuses a decoder of another size
    q = posteriors.DiagonalNormal(encoder, event, spread="exp", floor=floor)
    vae = VAE(priors.StandardNormal(event) if prior is None else prior, q, made, preprocess)
    unsaid = (f"p(z) is N(0, I) over {event}, which no module says.",) if prior is None else ()
    vae.assumed = (*unsaid, *assumed, *_of_range(made, raw, means))
    return vae


def _decoded(decoder: nn.Module, z: Tensor) -> Tensor:
    try:
        return FlatDecoder(decoder)(z)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(
            f"The decoder does not take z of the shape of mu, {tuple(z.shape[1:])} per example ({reason})."
        ) from error


def _one_logit(likelihood: Likelihood) -> bool:
    return likelihood.logits and likelihood.parts == 1


def _are_means(found: Tensor) -> bool:
    """Whether what a decoder returns far from 0 lies in [0, 1]."""
    if bool((found == found.flatten()[0]).all()):
        raise InputError("The decoder returns one number for every z, so say means=True (in [0, 1]) or means=False.")
    if _signed(found):
        raise InputError(
            "All that the decoder returns lies in [-1, 1], as after a tanh, which are neither means in [0, 1] nor "
            "logits: take likelihoods.Normal over x in [-1, 1] (preprocess.Affine(2, shift=-1) of x in [0, 1]), or say "
            "means=False where they are logits."
        )
    return bool((found - 0.5).abs().max() <= 0.5)


def _signed(found: Tensor) -> bool:
    """Whether it lies in [−1, 1], on both sides of 0 and near an end, as after a tanh."""
    return bool(found.abs().max() <= 1) and bool(found.min() < -0.5)


def _of_range(likelihood: Likelihood, raw: Tensor, means: bool | None) -> list[str]:
    """What the range of a decoder's results says of x."""
    if _one_logit(likelihood):
        return [f"What the decoder returns are {'means in [0, 1]' if means else 'logits'}."]
    if raw.shape[1] != math.prod(likelihood.event) or not bool(raw.isfinite().all()) or bool((raw == raw[0]).all()):
        return []
    if _signed(raw):
        return ["The decoder returns numbers in [-1, 1], as after a tanh: x, as preprocessed, must lie there too."]
    if bool(((raw >= 0) & (raw <= 1)).all()):
        return ["The decoder returns numbers in [0, 1], as after a sigmoid: x, as preprocessed, must lie there too."]
    return []
