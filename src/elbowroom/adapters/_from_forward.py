"""One module whose forward returns a reconstruction, mu and log-variance, as a VAE."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics import CapabilityError, InputError, as_rows, own_modes, plain_arguments
from elbowroom.preprocess import Preprocess
from elbowroom.vae import VAE

from .listening import DECODES, ENCODES, has_forward
from .parts import CalledDecoder, CalledEncoder, assemble, check_likelihood, floating, two_halves
from .probing import probe

__all__ = ["from_forward"]

_MOST_ROWS = 1_024


@own_modes
@plain_arguments
def from_forward(
    model: Any,
    likelihood: Any,
    *,
    decode: str | None = None,
    means: bool | None = None,
    preprocess: Any = None,
    x: Any = None,
) -> VAE:
    """Make a VAE of one module whose forward returns a reconstruction, mu and log-variance, the tutorials' shape.

    Which output is which is found by asking the module: the reconstruction is what its decoder returned, and mu and
    the spread are the two outputs by which its own draws are z = mu + σ · ε, with the same ε for another x. So the
    order does not matter, nor whether the spread is σ, σ² or a logarithm of either. It is asked with random x in [0, 1]
    and, where it takes them, in [-100, 100], so that a clamp before the draw is found; at which x, and what could not
    be found, stands in `assumed`. The module is used as it is, weights included; its source is not read.

    Parameters
    ----------
    model : nn.Module
        Its forward takes x [n, *event] of the likelihood's event and returns reconstruction, mu and spread as a tuple,
        list, mapping, named tuple or dataclass, in any order, beside whatever else. Without a forward, it has the
        methods encode, reparameterize and decode.
    likelihood : Likelihood
        Made with network=None: `Bernoulli(None, 784)` for a loss of binary cross-entropy, `Normal(None, 784, scale=σ)`
        for squared error. Which σ a loss stands for is said under `from_modules`.
    decode : str, optional
        Name of a method or submodule that returns the reconstruction for z; by default one with a usual name.
    means : bool, optional
        For a likelihood of one logit per element: whether the reconstruction lies in [0, 1] and is no logit. By
        default, whether all that is returned for z far from 0 lies there.
    preprocess : Preprocess, optional
        From the user's x to what the module reads and the likelihood is of; by default x stays as it is.
    x : Rows, array, tensor or DataFrame, optional
        Rows of the data, [n, *event] on the user's scale, to ask the module with: for one that takes no random x, or
        whose clamps the data do not reach. Of more than 1,024 rows as many are read, evenly. What does not hold for
        them is an error; what does not hold for random x is then said in `assumed`.

    Returns
    -------
    VAE
        With the module in it, and p(z) = N(0, I). It is saved by `er.save_model`, and loaded with
        `er.load_model(path, modules={"encoder": model, "decoder": model})`.

    Raises
    ------
    InputError
        Where no outputs fit, mu changes from call to call, or the forward clamps what it draws from or decodes and
        returns it unclamped.
    CapabilityError
        Where the forward needs labels, the decoder reads more than z, or z is not drawn from such a normal, as with a
        flow.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).

    Examples
    --------
    >>> import torch
    >>> from elbowroom.likelihoods import Normal
    >>> class Tutorial(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)
    ...     def forward(self, x):
    ...         mu, log_var = self.encoder(x).chunk(2, -1)
    ...         z = mu + torch.randn_like(mu) * (log_var / 2).exp()
    ...         return self.decoder(z), mu, log_var
    >>> vae = from_forward(Tutorial(), Normal(None, 6, scale=1.0))
    >>> print(*vae.assumed[1:], sep="\\n")
    mu is output '1' and log σ² output '2' of its forward: its own draws are mu + σ · ε, with one ε for random x in
    [0, 1] and from -100 to 100.
    The reconstruction is output '0', which is decoder(z).
    The likelihood is the Normal that was given: no loss was asked.
    """
    check_likelihood(likelihood, means)
    if not isinstance(model, nn.Module):
        raise InputError(f"model is an nn.Module; got a {type(model).__name__}: put it into one.")
    said = [f"The likelihood is the {type(likelihood).__name__} that was given: no loss was asked.", *_arguments(model)]
    _check_names(model, decode)
    like = floating(model)
    rows = None if x is None else _rows(x, likelihood.event, preprocess)
    found = probe(model, likelihood.event, like, decode, rows)
    encoder, decoder, of_weights = two_halves(
        CalledEncoder(model, found.encode, found.mean, found.spread, found.form),
        CalledDecoder(model, found.decode, found.squash),
        likelihood.event,
        found.event,
        rows,
    )
    assumed = [*found.said, *said, *of_weights]
    return assemble(encoder, found.event, decoder, likelihood, means=means, preprocess=preprocess, assumed=assumed)


def _arguments(model: nn.Module) -> list[str]:
    """Refuses a forward that needs more than x, as it is conditional, and says which arguments keep their defaults."""
    if not has_forward(model):
        return []
    asked = {
        name: one.default is one.empty
        for name, one in inspect.signature(model.forward).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }
    needed, kept = ([name for name, must in asked.items() if must == wanted] for wanted in (True, False))
    if len(needed) > 1:
        more = ", ".join(needed[1:])
        raise CapabilityError(
            f"The forward of this {type(model).__name__} needs {more} beside {needed[0]}, so it is a model of x given "
            f"{more} and no item of an audit can be had from its forward alone: log p(x | {more}) and every item with "
            f"it can be had from er.VAE(priors.StandardNormal(k), posteriors.DiagonalNormal(encoder, k, given=('x', "
            f"{needed[1]!r})), a likelihood over decoder with given=('z', {needed[1]!r})), where it is a context of "
            f"the data."
        )
    return [f"Its forward also takes {', '.join(kept)}, left as by default."] if kept else []


@torch.no_grad()
def _rows(x: Any, event: tuple[int, ...], preprocess: Any) -> Tensor:
    """Rows of the data as the module reads them, in 64 bits on the CPU."""
    rows = as_rows(x)
    if not len(rows):
        raise InputError("x holds no rows.")
    batch = rows.rows(torch.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).long())
    found = batch.x.double().cpu()
    if batch.seen is not None and not bool(batch.seen.all()):
        raise InputError("x has missing cells, which the module is not asked about: give rows without.")
    if tuple(found.shape[1:]) != event:
        raise InputError(f"x has rows of shape {tuple(found.shape[1:])}, and the likelihood is of {event}.")
    if bool((found == found[0]).all()):
        raise InputError("x needs two rows that differ, so that what depends on x can be seen.")
    return _preprocessed(found, preprocess) if isinstance(preprocess, Preprocess) else found


def _preprocessed(x: Tensor, preprocess: Preprocess) -> Tensor:
    step, shape = copy.deepcopy(preprocess).cpu(), preprocess.noise_shape
    generator = torch.Generator().manual_seed(0)
    noise = None if shape is None else torch.rand(len(x), *shape, generator=generator, dtype=x.dtype)
    found: Tensor = step(x, noise)[0]
    return found.double()


def _check_names(model: nn.Module, decode: str | None) -> None:
    if decode is not None and not callable(getattr(model, decode, None)):
        raise InputError(f"decode={decode!r} names no method or submodule of this {type(model).__name__}.")
    if not has_forward(model):
        for names in (ENCODES, DECODES):
            if not any(callable(getattr(model, name, None)) for name in names):
                raise InputError(f"The {type(model).__name__} has no forward, and no {names[0]} either: give it one.")
