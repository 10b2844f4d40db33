"""Monte-Carlo EM: the model learns from draws of its posterior by Hamiltonian Monte Carlo."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.distributions import draw, on_real_line
from elbowroom.networks import stackable
from elbowroom.numerics import Batch, CapabilityError, Given, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.recipes import described
from elbowroom.sampling import hmc
from elbowroom.vae import VAE
from elbowroom.vae.terms import log_likelihood

from .phase import Phase
from .procedure import Procedure

__all__ = ["MonteCarloEM"]

_FIRST_SIZE = 0.1
_SPEED = 0.5  # by which the log of the step size follows the acceptance, per update


@described("monte-carlo-em")
class MonteCarloEM(Procedure):
    """Monte-Carlo EM: prior and likelihood climb log p(x, z) at draws from p(z | x), which Hamiltonian chains make.

    Every chain starts at a draw of q(z | x), and q is trained beside the model by log q(z | x) at the draw where the
    chain ends, so that it follows the posterior and chains start ever nearer to it. What is descended,
    −log p(x, z) − log q(z | x) at those draws, each a constant, is no bound on log p(x). The logged rate and distortion
    are those of q: their sum is the negative ELBO, a bound, by which epochs are compared. Logged besides: "acceptance",
    the chains' mean acceptance, and "step_size".

    Parameters
    ----------
    transitions : int, default 5
        Transitions of a chain, 1 or more. With few of them draws lie between q(z | x) and p(z | x).
    leapfrog : int, default 10
        Leapfrog steps of a transition, each one gradient in z.
    acceptance : float, default 0.9
        Mean acceptance, in (0, 1), that the step size is led to, by one number for all examples.
    draws : int, default 1
        Chains per example.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    Blocks over classes and bounded blocks are refused, as the chains move along gradients on the real line; so is a
    likelihood with scale='optimal', whose density depends on all chains of a batch at once, and one with dropout or
    batch norm, whose density is another at every step. Validation runs chains too.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014), appendix E: Monte-Carlo EM with Hamiltonian draws.
    Wei & Tanner, "A Monte Carlo implementation of the EM algorithm" (1990).
    Li, Turner & Liu, "Approximate inference with amortised MCMC" (2017): q learns from chains that start at it.

    Examples
    --------
    >>> procedure = MonteCarloEM(transitions=2, draws=3)
    >>> procedure.draws, procedure["vae"].parts
    (3, ('vae',))
    """

    alone = "The chains of MonteCarloEM take gradients in z of their own, which a stack of models cannot."

    def __init__(self, *, transitions: int = 5, leapfrog: int = 10, acceptance: float = 0.9, draws: int = 1) -> None:
        if min(transitions, leapfrog, draws) < 1 or not 0 < acceptance < 1:
            raise InputError(
                f"MonteCarloEM needs transitions, leapfrog and draws of 1 or more and an acceptance between 0 and 1; "
                f"got {transitions}, {leapfrog}, {draws} and {acceptance}."
            )
        super().__init__({"vae": Phase(_AtChainEnds(transitions, leapfrog, acceptance, draws), parts=("vae",))})


class _AtChainEnds(Objective):
    """−log p(x, z) − log q(z | x) where chains end that started at q."""

    acceptance: Tensor
    log_size: Tensor

    def __init__(self, transitions: int, leapfrog: int, acceptance: float, draws: int) -> None:
        super().__init__()
        self.transitions, self.leapfrog, self.draws = transitions, leapfrog, draws
        self.register_buffer("acceptance", torch.tensor(float(acceptance)))
        self.register_buffer("log_size", torch.tensor(math.log(_FIRST_SIZE)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of momenta, and of what transitions are accepted and stretched by."""
        return {"chain.momentum": (self.transitions, vae.latents), "chain.uniforms": (self.transitions, 2)}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        _check(vae, batch)
        log_joint = _Joint(vae, batch, noise)
        z, acceptance = self._run(log_joint, log_joint.flat(log_joint.start(noise)), noise)
        given = log_joint.namespace(z)
        log_q = sum((block(given).log_prob(given[name]) for name, block in vae.posterior.items()), torch.zeros(()))
        total = -(log_joint.of(given) + log_joint.log_jacobian + log_q).mean()
        moved = {"log_size": self.log_size + _SPEED * (acceptance - self.acceptance)}
        return Loss(total, None, {"acceptance": acceptance, "step_size": self.log_size.exp()}, moved)

    def _run(self, log_joint: "_Joint", z: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Where chains from z end, and their mean acceptance."""
        state, size, accepted = hmc.init(log_joint, z), self.log_size.exp(), []
        for i in range(self.transitions):
            accept, stretch = noise["chain.uniforms"][:, :, i].unbind(-1)
            own = hmc.TransitionNoise(
                noise["chain.momentum"][:, :, i],
                torch.special.log_ndtr(accept),
                0.5 + 0.5 * torch.special.ndtr(stretch),
            )
            state, diagnostics = hmc.step(log_joint, state, own, size, self.leapfrog)
            accepted.append(diagnostics.acceptance.mean())
        return state.z, torch.stack(accepted).mean().to(self.log_size)

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The negative ELBO."""
        return means["rate"] + means["distortion"]


class _Joint:
    """log p(z) + log p(x | z) of flat z [draws, batch, dim], on the scale that the likelihood sees."""

    def __init__(self, vae: VAE, batch: Batch, noise: Noise) -> None:
        self.vae, (self.given, self.log_jacobian) = vae, vae.given(batch, noise)
        self.seen, _ = vae.mask_of(batch)

    def __call__(self, z: Tensor) -> Tensor:
        return self.of(self.namespace(z))

    def of(self, given: Given) -> Tensor:
        """Of a namespace with all blocks, [draws, batch]."""
        log_prior = sum((p(given).log_prob(given[name]) for name, p in self.vae.prior.items()), torch.zeros(()))
        return log_prior + log_likelihood(self.vae.likelihood(given), given["x"], self.seen)

    @torch.no_grad()
    def start(self, noise: Noise) -> Given:
        """Every block drawn from q."""
        given = dict(self.given)
        for name, block in self.vae.posterior.items():
            q = block(given)
            if not on_real_line(q):
                raise CapabilityError(
                    f"Block {name!r} lives on {q.support}, and Hamiltonian chains move on the real line: take "
                    f"objectives.Elbo or objectives.Iwae."
                )
            given[name] = draw(q, noise[name])[0]
        return given

    def flat(self, given: Given) -> Tensor:
        """All blocks side by side, [draws, batch, dim]."""
        return torch.cat([given[name].flatten(2) for name in self.vae.prior], -1)

    def namespace(self, z: Tensor) -> Given:
        """The blocks by name, with all that is given."""
        shapes = {name: block.event for name, block in self.vae.prior.items()}
        parts = zip(shapes.items(), z.split([math.prod(shape) for shape in shapes.values()], -1), strict=True)
        return {**self.given, **{name: part.unflatten(-1, shape) for (name, shape), part in parts}}


def _check(vae: VAE, batch: Batch) -> None:
    if vae.over_classes:
        raise CapabilityError(
            "MonteCarloEM moves z along its gradient, and classes have none: take objectives.Elbo, which sums them."
        )
    if batch.observed:
        raise CapabilityError(
            f"Block {next(iter(batch.observed))!r} is known for some examples, and the chains of MonteCarloEM move "
            f"every block of all of them: take objectives.Elbo."
        )
    if not (stackable(vae.likelihood) and stackable(vae.prior)):
        raise CapabilityError(
            "Chains need one density, and dropout or batch norm in p makes another at every step: leave them out."
        )
    if getattr(vae.likelihood, "scale", None) == "optimal":
        raise InputError(
            "scale='optimal' follows the chains' own errors, so that they have no density: take scale='shared'."
        )
