"""log p(x) − ELBO as the sum of what the family of q loses and what the encoder loses."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from elbowroom import evidence
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import CapabilityError, Estimate, InputError, Rows, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.records import IdentityRecord
from elbowroom.remedies import refine
from elbowroom.vae import VAE

__all__ = ["identity"]

_WON = 0.02  # nats, below which a search that was doubled is not doubled again


@own_modes
@plain_arguments
def identity(
    vae: VAE,
    examples: Any,
    *,
    temperatures: int = 100,
    chains: int = 12,
    leapfrog: int = 5,
    anneal: bool = True,
    steps: int = 400,
    longest: int = 8,
    refine_draws: int = 8,
    draws: int = 256,
    both_ends: bool = False,
    log_p: Estimate | None = None,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> IdentityRecord:
    """Where the distance from the ELBO to log p(x) comes from: the family of q, or the encoder, in nats per example.

    log p(x) − ELBO = approximation + amortisation. The first is what the best q of the family still loses, the second
    what the encoder's q loses against it; they add up example by example.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    examples : Rows, Batch, array, tensor, DataFrame or list
        [n, *event] on the user's scale, used neither to train nor to choose.
    temperatures : int, default 100
        Of annealed importance sampling, which measures log p(x) from the best q and the prior.
    chains : int, default 12
        Annealing chains per example.
    leapfrog : int, default 5
        Leapfrog steps in a Hamiltonian transition.
    anneal : bool, default True
        Whether log p(x) is annealed; else the importance-weighted bound from the best q stands for it, which is cheap
        and may lie far below.
    steps : int, default 400
        Of the search for the best q of each example, 2 or more; where the second half of them still wins, as where the
        encoder is far off, the search goes on.
    longest : int, default 8
        To how many times as many steps at most, 1 or more.
    refine_draws : int, default 8
        Of z, per example and step of the search.
    draws : int, default 256
        Of z, per example, for both ELBOs, whose noise the search has not seen; and, where z cannot be annealed, of the
        importance-weighted bound that stands for log p(x), four times as many.
    both_ends : bool, default False
        Whether to measure the other end of log p(x) too, by annealing backwards: an upper bound if the chains have
        mixed. It takes about three times as long.
    log_p : Estimate, optional
        log p(x) of these examples, where it has been measured; by default it is annealed, as the settings above say.
    seed : int, default 0
        Keys all noise.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB".
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    IdentityRecord
        The estimates, their differences with both errors, and what they rest on in words.

    Raises
    ------
    InputError
        For settings below their least values, or an example that is given twice.

    Notes
    -----
    A best q that is not quite found moves nats from the amortisation to the approximation: `still_won` says how much
    the last half of the steps won. A log p(x) that is too low shrinks the approximation, and so the sum.

    References
    ----------
    Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018).
    Wu, Burda, Salakhutdinov & Grosse, "On the quantitative analysis of decoder-based generative models" (2017).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> torch.manual_seed(0)
    <torch._C.Generator object at ...>
    >>> vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...              er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = identity(vae, torch.zeros(3, 2), temperatures=20, steps=100)
    >>> abs(found.approximation.mean) < 0.01, found.amortisation.mean > 0.02
    (True, True)
    """
    if steps < 2 or longest < 1:
        raise InputError(
            f"The search for the best q needs 2 steps or more, as its second half is judged, and longest of 1 or more; "
            f"got {steps} and {longest}."
        )
    rows = vae.examples(examples)
    common: dict[str, Any] = {"seed": seed, "memory": memory, "progress": progress}

    def bound(model: VAE) -> Estimate:
        # where q is nearly the posterior, log p(x, z) − log q(z | x) hardly varies: no closed form of the KL is as sure
        return evidence.elbo(model, rows, draws=draws, kl="sampled", **common)

    search = _Search(steps, longest, refine_draws, seed)
    start, refined, half = _best_q(vae, rows, search, bound, progress)
    if log_p is not None:
        return IdentityRecord(log_p, bound(vae), refined, half)
    annealing = {"temperatures": temperatures, "chains": chains, "leapfrog": leapfrog} if anneal else None
    lower, upper = _ends(start, rows, both_ends, 4 * draws, annealing, common)  # p is the same, the start better
    return IdentityRecord(lower, bound(vae), refined, half, upper)


class _Search(NamedTuple):
    """For the best q of each example."""

    steps: int
    longest: int
    draws: int
    seed: int

    def refined(self, vae: VAE, rows: Rows, steps: int) -> VAE:
        """The model with q after so many more steps."""
        return refine(vae, rows, steps=steps, refine_draws=self.draws, draws=1, seed=self.seed).vae


def _best_q(
    vae: VAE, rows: Rows, search: _Search, bound: Callable[[VAE], Estimate], progress: bool
) -> tuple[VAE, Estimate | None, Estimate | None]:
    """The model with the best q of each example, its ELBO, and the ELBO when half of the steps were done.

    The search is doubled as long as that wins; there is none where q cannot be fitted to an example.
    """
    done, most = search.steps // 2, 2 * search.longest * (search.steps // 2)
    with Progress("best q of each example", most, show=progress) as bar:
        try:
            best = search.refined(vae, rows, done)
        except CapabilityError:
            return vae, None, None
        after = bound(best)
        bar.advance(done)
        while True:
            best, half = search.refined(best, rows, done), after
            after, done = bound(best), 2 * done
            won = after - half
            bar.advance(done // 2)
            if done >= most or won.mean < max(_WON, 2 * won.se_total):
                return best, after, half


def _ends(
    vae: VAE, rows: Rows, both_ends: bool, draws: int, annealing: Mapping[str, Any] | None, common: Mapping[str, Any]
) -> tuple[Estimate, Estimate | None]:
    """log p(x) from below, and from above where that is asked for; by importance sampling where nothing is annealed."""
    try:
        if annealing is not None and both_ends:
            ends = evidence.reverse_ais(vae, rows, **annealing, **common)
            return ends.lower, ends.upper
        if annealing is not None:
            return evidence.ais(vae, rows, **annealing, **common), None
    except CapabilityError:  # z is of classes, on a sphere, or known for some
        pass
    return evidence.iwae(vae, rows, draws=draws, **common), None
