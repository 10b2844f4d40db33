"""Remedies that train the whole model again: from fresh weights by another objective, or on from those it has."""

import copy
import time

from elbowroom.data import Dataset
from elbowroom.numerics import InputError, derived_seed, own_modes, plain_arguments
from elbowroom.objectives import Elbo, FreeBits, LinearSchedule
from elbowroom.procedures import Aggressive
from elbowroom.vae import VAE

from ._calibrate import calibrate
from .remedied import Remedied, remedied
from .trained import Goal, Training, fresh, trained

__all__ = ["aggressive", "anneal", "free_bits", "lower_beta", "stop_earlier"]

_WEIGHTS = 0x3E1


@own_modes
@plain_arguments
def anneal(
    vae: VAE,
    data: Dataset,
    *,
    share: float = 0.5,
    epochs: int = 50,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Train again from fresh weights, with a weight of the rate that rises from 0 to 1.

    Parameters
    ----------
    vae : VAE
        A model, which stays as it is; its weights are not used.
    data : Dataset
        As `fit` takes it; the bounds reported are on validation.
    share : float, default 0.5
        Of the training over which the weight rises in a straight line, in (0, 1].
    epochs : int, default 50
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, so that the result depends on the
        machine; by default there is no limit.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Of weights, shuffling and noise.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For settings out of range.
    CapabilityError
        For a network of the user's own that cannot draw its weights anew.

    References
    ----------
    Bowman et al., "Generating sentences from a continuous space" (2016).
    Sønderby, Raiko, Maaløe, Sønderby & Winther, "Ladder variational autoencoders" (2016).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> anneal(vae, digits, epochs=2, draws=2).name
    'anneal'
    """
    if not 0 < share <= 1:
        raise InputError(f"share is of the training, above 0 and at most 1; got {share}.")
    how = Training(epochs, seconds, batch_size, lr, seed=seed)

    def goal(steps: int) -> Elbo:
        return Elbo(schedule=LinearSchedule(max(1, int(share * steps))))

    return _restart("anneal", vae, data, goal, how, draws)


@own_modes
@plain_arguments
def free_bits(
    vae: VAE,
    data: Dataset,
    *,
    allowance: float = 0.25,
    epochs: int = 50,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Train again from fresh weights, the first nats of every latent free of charge.

    Parameters
    ----------
    vae : VAE
        A model, which stays as it is; its weights are not used.
    data : Dataset
        As `fit` takes it; the bounds reported are on validation.
    allowance : float, default 0.25
        Nats that cost nothing, per latent dimension; where a block's KL has no closed form, that of all its dimensions
        together.
    epochs : int, default 50
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, so that the result depends on the
        machine; by default there is no limit.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Of weights, shuffling and noise.

    Returns
    -------
    Remedied
        The new model and its bounds before and after: ELBOs, which the objective only bounds from below.

    Raises
    ------
    InputError
        For settings out of range.
    CapabilityError
        For a network of the user's own that cannot draw its weights anew.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> free_bits(vae, digits, epochs=2, draws=2).name
    'free_bits (0.25)'
    """
    how = Training(epochs, seconds, batch_size, lr, seed=seed)
    batch = data.train.rows(slice(0, 2))
    terms = vae(batch, vae.keyed_noise(1, batch.index, seed))
    apart = all(terms.elementwise_kl(block) is not None for block in terms.z)
    each = vae.latents / len(terms.z)

    def goal(steps: int) -> FreeBits:
        return FreeBits(allowance, per="dimension") if apart else FreeBits(allowance * each)

    return _restart(f"free_bits ({allowance:g})", vae, data, goal, how, draws)


@own_modes
@plain_arguments
def aggressive(
    vae: VAE,
    data: Dataset,
    *,
    updates: int = 20,
    epochs: int = 50,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Train again from fresh weights, the encoder first at every step until z carries as much as it will.

    Parameters
    ----------
    vae : VAE
        A model, which stays as it is; its weights are not used.
    data : Dataset
        As `fit` takes it; the bounds reported are on validation.
    updates : int, default 20
        Most updates of the encoder before one of the decoder.
    epochs : int, default 50
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, so that the result depends on the
        machine; by default there is no limit.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Of weights, shuffling and noise.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For settings out of range.
    CapabilityError
        For a network of the user's own that cannot draw its weights anew, and where q is no density at its draws.

    References
    ----------
    He, Spokoyny, Neubig & Berg-Kirkpatrick, "Lagging inference networks and posterior collapse in variational
    autoencoders" (2019).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> aggressive(vae, digits, updates=10, epochs=1, batch_size=400, draws=2).name
    'aggressive'
    """
    how = Training(epochs, seconds, batch_size, lr, seed=seed)
    return _restart("aggressive", vae, data, lambda steps: Aggressive(updates=updates), how, draws)


@own_modes
@plain_arguments
def stop_earlier(
    vae: VAE,
    data: Dataset,
    *,
    patience: int = 5,
    epochs: int = 200,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Train again from fresh weights by the ELBO, and stop where validation no longer improves.

    Parameters
    ----------
    vae : VAE
        A model, which stays as it is; its weights are not used.
    data : Dataset
        As `fit` takes it; validation says when to stop and which epoch is kept, and is what the bounds reported are on,
        so that a little of the gain is choice.
    patience : int, default 5
        Epochs without a better ELBO on validation after which training stops.
    epochs : int, default 200
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, so that the result depends on the
        machine; by default there is no limit.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth by the last of `epochs`.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Of weights, shuffling and noise.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For settings out of range.
    CapabilityError
        For a network of the user's own that cannot draw its weights anew.

    References
    ----------
    Prechelt, "Early stopping – but when?" (1998).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> stop_earlier(vae, digits, epochs=2, draws=2).name
    'stop_earlier'
    """
    how = Training(epochs, seconds, batch_size, lr, patience=patience, seed=seed)
    return _restart("stop_earlier", vae, data, lambda steps: Elbo(), how, draws)


@own_modes
@plain_arguments
def lower_beta(
    vae: VAE,
    data: Dataset,
    *,
    beta: float = 1.0,
    epochs: int = 30,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Train on from the weights there are, with the rate at its own weight, or at a lower one.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is; what was settled or calibrated in it is kept.
    data : Dataset
        As `fit` takes it; the bounds reported are on validation.
    beta : float, default 1.0
        Weight of the rate. At another than 1 a Gaussian of one scale is calibrated afterwards, since β is its variance.
    epochs : int, default 30
        Passes over the training data, at most.
    seconds : float, optional
        Time for them: no more epochs are planned than a rehearsal says will fit, so that the result depends on the
        machine; by default there is no limit.
    batch_size : int, default 100
        Examples per step.
    lr : float, default 1e-3
        Learning rate of Adam at first; it falls to a tenth.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Of shuffling and noise.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For settings out of range.

    References
    ----------
    Lucas, Tucker, Grosse & Norouzi, "Don't blame the ELBO! A linear VAE perspective on posterior collapse" (2019).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> lower_beta(vae, digits, epochs=2, draws=2).name
    'lower_beta (1)'
    """
    since, how = time.monotonic(), Training(epochs, seconds, batch_size, lr, seed=seed)
    after = trained(copy.deepcopy(vae), data, lambda steps: Elbo(beta), how, settle=False)
    if beta != 1 and vae.likelihood.calibrates == "noise scale":
        after = calibrate(after, data, draws=1, seed=seed).vae
    name = f"lower_beta ({beta:g})"
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=seed, since=since)
    return found


def _restart(name: str, vae: VAE, data: Dataset, goal: Goal, how: Training, draws: int) -> Remedied:
    """The same model from fresh weights, trained by this goal."""
    since = time.monotonic()
    after = trained(fresh(vae, derived_seed(how.seed, _WEIGHTS)), data, goal, how, settle=True)
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=how.seed, since=since)
    return found
