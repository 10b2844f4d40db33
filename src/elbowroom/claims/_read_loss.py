"""Which density somebody's loss function stands for, asked of its numbers."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from elbowroom.numerics import InputError, as_batch, own_modes, plain_arguments

from .divergence import Divergence, read_divergence
from .domain import held_apart, held_at, held_near
from .loss_faults import Found, faults_of, remarks_of
from .loss_reading import LossReading
from .precision import find_rounding
from .probe import Probe, kept_state, make_probe
from .reconstruction import Reconstruction, read_reconstruction
from .roles import spread_of
from .scaling import Growth, at_this_batch, measure_growth
from .standing import Standing, standing_of

__all__ = ["read_loss"]

_SETTLES = 2_000  # calls after which a weight that is annealed by a counter is to stand still
_WEIGHTS = ("beta", "kl", "weight", "coef", "lambda", "gamma")
_COARSE = 1e-5  # rounding from which a loss has too few digits to be read


@own_modes
@plain_arguments
def read_loss(
    fn: Callable[..., Any],
    *,
    x: Any = None,
    event: int | Sequence[int] | None = None,
    latents: int | Sequence[int] | None = None,
    spread: Literal["log-variance", "log-std", "variance", "std"] | None = None,
    others: Mapping[str, Any] | None = None,
) -> LossReading:
    """Say which density of x a loss function stands for, from its values and not from its source.

    The loss is called with numbers of our own: how it moves with the reconstruction says which density its first part
    is the negative logarithm of; how it moves with mu and logvar says whether its second part is the KL of a Gaussian;
    how it grows with the batch, the elements of x and the latents says what is summed and what is averaged. All that is
    said was seen at these numbers only.

    Parameters
    ----------
    fn : callable
        The loss: a function, method or module of a reconstruction, x, mu and logvar, by names and in an order as they
        are common; or of what a model returned (a tuple, a mapping or an object with attributes) and x. Also of z, or
        of a Normal distribution q. It returns a number, one per example, or several, the total first. What it counts
        from call to call is set back afterwards.
    x : array, tensor, DataFrame or part of a data set, default None
        Some examples of the user's data as the loss sees them, [n, *event]: they tell `event`, and whether x is binary,
        grey or real.
    event : int or sequence of int, default None
        Shape of one x, which decides what a mean over elements weighs. By default that of `x`, or the first that the
        loss takes: 784, then images.
    latents : int or sequence of int, default None
        Shape of one z; by default the first that the loss takes: 5, then (4, 3, 3).
    spread : {"log-variance", "log-std", "variance", "std"}, default None
        What the encoder's second output is meant to be. By default what the argument's name says.
    others : mapping of str to Any, default None
        Further arguments of the loss by their names, such as {"beta": 4.0}.

    Returns
    -------
    LossReading
        The density, the weight w of the KL and what it makes of σ and β, the constants that are missing, faults.

    Raises
    ------
    InputError
        For a loss that cannot be called, or asks for arguments that nobody knows.

    Notes
    -----
    A loss a Σ (x − recon)² + b KL is, but for a factor, −ELBO of a Gaussian of standard deviation σ with weight β
    wherever 2σ²β = w = b / a. It is a bound on log p(x) at β = 1, thus at σ = √(w / 2), and at no other.

    References
    ----------
    Kingma & Welling, "Auto-encoding variational Bayes" (2014).
    Lucas, Tucker, Grosse & Norouzi, "Don't blame the ELBO!" (2019).
    Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021).
    Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders" (2019).

    Examples
    --------
    >>> def loss(recon, x, mu, logvar):
    ...     kl = -0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum()
    ...     return (((recon - x) ** 2).sum() + 1e-6 * kl) / len(x)
    >>> print(read_loss(loss, event=(3, 32, 32)))
    Squares of x − recon with a KL of weight 1e-06 are a Gaussian of σ = 0.000707: the bound holds at that noise and no
    other (2σ²β = 1e-06, so that σ = 1 would be β = 5e-07).
    To be −ELBO, the loss divided by 1e-06 lacks D/2·log(2πσ²) = −19,462.32 nats per example (D = 3072).
    Reconstruction summed over elements, averaged over the batch; KL summed over latents, averaged over the batch.
    """
    if not callable(fn):
        raise InputError(f"A loss is a function of recon, x, mu and logvar; got {fn!r:.60}.")
    told = None if x is None else as_batch(x).x.double().numpy()
    shape = _shape(event) or (None if told is None else told.shape[1:])
    with kept_state(fn), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that were tried and do not fit
        probe = make_probe(fn, dict(others or {}), shape, _shape(latents), _values(told))
        moved = _settle(probe)
        if moved == "moves":
            return _unread(probe, _UNSTEADY)
        if find_rounding(probe) > _COARSE:
            return _unread(probe, _FEW_DIGITS)
        at = probe.quiet()
        found, kl = _parts(probe, at, spread or spread_of(probe.plan.named("spread") or ""), told)
        growth = measure_growth(probe, found, kl, at)
        idle = _idle_arguments(probe)
        standing = held_near(probe, found, standing_of(probe, found, kl, growth, at))
    whole = Found(probe, found, kl, growth, standing, told, spread, tuple(idle), moved)
    return _reading(probe, found, kl, growth, standing, whole)


def _shape(size: int | Sequence[int] | None) -> tuple[int, ...] | None:
    return None if size is None else (size,) if isinstance(size, int) else tuple(int(one) for one in size)


def _values(x: Any) -> tuple[float, ...]:
    """Values with which the loss is first called: those of x, where these are few."""
    few = () if x is None else np.unique(x[:100])
    return tuple(map(float, few)) if 2 <= len(few) <= 20 else (0.0, 1.0)


def _settle(probe: Probe) -> str:
    """ "" for a loss that gives one number for the same numbers; what its value does else."""

    def ask() -> float:
        return probe.at(0.4, 1.0, 0.7, 0.9)

    if ask() == ask() == ask():
        return ""
    for count in range(_SETTLES):
        if count % 100 == 99 and ask() == ask() == ask():
            return "settles"
        ask()
    return "moves"


_UNSTEADY = (
    "It gives another number for the same numbers at every call, still after 2,000, so that its weights are not known: "
    "read it with a step, or a weight, that is handed in and stands still."
)
_FEW_DIGITS = (
    "It rounds its value to a few digits (half precision?), in which no shape can be told from another: read it with "
    "single or double precision."
)


def _unread(probe: Probe, fault: str) -> LossReading:
    sizes = probe.sizes
    nothing: tuple[None, None, None, None] = (None, None, None, None)
    return LossReading("unknown", *nothing, sizes.event, sizes.latents, {}, "", "It cannot be read.", (fault,))


def _parts(probe: Probe, at: tuple[float, float], said: str | None, x: Any) -> tuple[Reconstruction, Divergence]:
    known = x if x is not None and x.shape[1:] == probe.sizes.event else None
    found = held_at(probe, read_reconstruction(probe), known)
    if probe.noisy:  # which cancels in the reconstruction's part alone
        batch = probe.sizes.batch
        probe.averaged()
        found = at_this_batch(probe, found, batch)
    return found, held_apart(probe, read_divergence(probe, *at, said), at)


def _idle_arguments(probe: Probe) -> list[str]:
    """Numbers that the loss takes as a weight and that change nothing."""
    try:
        parameters = inspect.signature(probe.fn).parameters.values()
    except (TypeError, ValueError):
        return []
    given = {one.name: one.default for one in parameters if one.default is not one.empty} | probe.others
    numbers = {name: value for name, value in given.items() if _is_weight(name, value)}
    before, idle = probe.at(0.4, 1.0, 0.7, 0.9), []
    for name, value in numbers.items():
        kept = probe.others
        probe.others = {**kept, name: 3.0 * value + 1.7}
        idle += [name] if probe.at(0.4, 1.0, 0.7, 0.9) == before else []
        probe.others = kept
    return idle


def _is_weight(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and any(word in name.lower() for word in _WEIGHTS)


def _reading(
    probe: Probe, found: Reconstruction, kl: Divergence, growth: Growth, standing: Standing, whole: Found
) -> LossReading:
    words = {0.0: "sum", -1.0: "mean"}
    reductions = {
        "batch": words.get(growth.recon["batch"], "?"),
        "elements": words.get(growth.recon["event"], "?"),
        "latents": words.get(growth.kl["latents"], "?"),
    }
    return LossReading(
        standing.family,
        standing.weight,
        standing.beta,
        standing.sigma,
        standing.missing,
        probe.sizes.event,
        probe.sizes.latents,
        reductions,
        kl.spread,
        standing.says,
        faults_of(whole),
        remarks_of(whole),
    )
