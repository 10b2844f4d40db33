"""A better q at the same p: more training of the encoder alone, or a flow begun at the encoder's normal."""

import copy
import math
import time
from typing import Any, Literal

from torch import Tensor, nn

from elbowroom import posteriors
from elbowroom.components import Component
from elbowroom.data import Dataset
from elbowroom.networks import MLP, Beside, ScaledInputs, Standardised
from elbowroom.numerics import CapabilityError, Given, derived_seed, one_of, own_modes, plain_arguments
from elbowroom.numerics.seeded import seeded
from elbowroom.objectives import Elbo
from elbowroom.procedures import Phase, Procedure
from elbowroom.vae import VAE

from .parts import one_row, with_parts
from .remedied import Remedied, remedied
from .trained import Training, trained

__all__ = ["refine_inference"]

_CONTEXT, _HIDDEN, _WIDTH = 32, (128, 128), 200
_MADE = 0xF10


@own_modes
@plain_arguments
def refine_inference(
    vae: VAE,
    data: Dataset,
    *,
    kind: Literal["encoder", "flow"] = "flow",
    flow: str = "iaf",
    transforms: int = 4,
    epochs: int = 20,
    seconds: float | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    draws: int = 64,
    seed: int = 0,
) -> Remedied:
    """Keep p, and train q alone: the encoder as it is, or a normalizing flow that begins at its normal.

    log p(x) stays what it is; what is won is KL(q(z | x) ‖ p(z | x)).

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        q is trained on train; validation chooses the epoch, and is measured.
    kind : {"encoder", "flow"}, default "flow"
        "encoder": more steps of the q there is. "flow": every diagonal normal that reads no other block becomes z =
        μ(x) + σ(x) · T(ε; h(x)) with the encoder's own μ and σ, T the identity at first, and a new network for h.
    flow : str, default "iaf"
        Which flow, as for `posteriors.Flow`.
    transforms : int, default 4
        Layers of the flow.
    epochs : int, default 20
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
        Of shuffling, noise and new weights.

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For another word, or settings out of range.
    CapabilityError
        For a flow where no block of q is a diagonal normal of one row that reads no other block; and where p(z) calls
        the encoder, so that p cannot stay as it is.

    See Also
    --------
    refine : A q of its own for each of some examples, without a network.

    Notes
    -----
    Training by `procedures.SemiAmortised` is no kind of this: it makes an encoder from which a few steps lead far, and
    the model that is left would have that encoder's q, without the steps. `refine` makes them for rows at hand.

    References
    ----------
    Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018).
    Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = refine_inference(vae, digits, kind="encoder", epochs=2, draws=4)
    >>> found.name, found.gain.mean > 0
    ('refine_inference (encoder)', True)
    """
    since, how = time.monotonic(), Training(epochs, seconds, batch_size, lr, seed=seed)
    one_of("kind", kind, ("encoder", "flow"))
    _refuse_shared(vae)
    after = copy.deepcopy(vae)
    if kind == "flow":
        with seeded(derived_seed(seed, _MADE)):
            after = with_parts(vae, posterior=_flows(vae, data, flow, transforms))
    trained(after, data, lambda steps: Procedure({"q": Phase(Elbo(), parts=("posterior",))}), how, settle=False)
    # Training may have moved what is no parameter, such as the running statistics of batch norm.
    after.likelihood.load_state_dict(vae.likelihood.state_dict())
    after.prior.load_state_dict(vae.prior.state_dict())
    name = f"refine_inference ({kind if kind == 'encoder' else flow})"
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=seed, since=since)
    return found


def _refuse_shared(vae: VAE) -> None:
    of_q = {id(parameter) for parameter in vae.posterior.parameters()}
    if any(id(parameter) in of_q for part in (vae.prior, vae.likelihood) for parameter in part.parameters()):
        raise CapabilityError(
            "p and the encoder share weights, as with a VampPrior or a ladder, so that q cannot be trained alone: a "
            "VampPrior gets weights of its own by refit_prior, a ladder is trained whole, er.fit."
        )
    if not any(True for _ in vae.posterior.parameters()):
        raise CapabilityError(
            "q has no parameters, so that there is nothing to train: refine gives each example its own."
        )


def _flows(vae: VAE, data: Dataset, flow: str, transforms: int) -> dict[str, Component]:
    """A flow for every block of q that can begin at its normal."""
    fit_for: dict[str, Any] = {
        name: block
        for name, block in copy.deepcopy(vae.posterior).items()
        if isinstance(block, posteriors.DiagonalNormal) and not set(block.given) & set(vae.posterior)
    }
    if not fit_for:
        kinds = ", ".join(type(block).__name__ for block in vae.posterior.values())
        raise CapabilityError(
            f"A flow begins at a diagonal normal that reads no other block, and this q is {kinds}: take kind='encoder'."
        )
    batch = data.train.rows(slice(0, 2))
    given, _ = vae.given(batch, vae.keyed_noise(0, batch.index, 0))
    return {name: _flow(vae, name, block, given, flow, transforms) for name, block in fit_for.items()}


def _flow(vae: VAE, name: str, block: Any, given: Given, flow: str, transforms: int) -> Component:
    size = one_row(vae, name, "A flow")
    made: Component = posteriors.Flow(
        _with_context(block.network, [given[name][0] for name in block.reads]),
        size,
        context=_CONTEXT,
        flow=flow,
        transforms=transforms,
        hidden=_HIDDEN,
        given=block.given,
        spread=block.spread,
        floor=block.floor,
    )
    return made


def _with_context(network: nn.Module, inputs: list[Tensor]) -> nn.Module:
    """The encoder with further outputs, by a network of its own that reads what it reads, on the scale it reads it."""
    if isinstance(network, Standardised):
        inner = _with_context(network.network, [network.read(inputs[0]), *inputs[1:]])
        told: dict[str, Any] = vars(network)["arguments"]
        wider = Standardised(inner, event=told["event"], classes=told["classes"])
        wider.load_state_dict({"mean": network.mean, "std": network.std}, strict=False)
        return wider
    if isinstance(network, ScaledInputs):
        inner = _with_context(network.network, network.read(*inputs))
        scaled = ScaledInputs(inner, vars(network)["arguments"]["events"])
        scaled.load_state_dict(dict(network.named_buffers(recurse=False)), strict=False)
        return scaled
    size = sum(math.prod(one.shape[1:]) for one in inputs)
    return Beside(network, MLP([size, _WIDTH, _CONTEXT]))
