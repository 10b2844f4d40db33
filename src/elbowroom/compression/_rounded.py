"""The model whose networks are exact: the same numbers on every machine."""

import copy
import hashlib

import torch
from torch import Tensor, nn

from elbowroom.likelihoods import Autoregressive
from elbowroom.networks import MLP, Beside, Chained, ConvNet, ResNet, ScaledInputs, Standardised, Tempered, Wired
from elbowroom.networks.image_network import Block, Decoder, Encoder, OnFirst
from elbowroom.numerics import CapabilityError, own_modes, plain_arguments
from elbowroom.priors import Flow
from elbowroom.vae import VAE
from elbowroom.vae.coarse import refuse_coarse

from .exact_flows import affine_layer, unmasked
from .exact_layers import EXACT
from .portable import log

__all__ = ["exact_network", "fingerprint", "rounded"]

_CONTAINERS = (
    MLP, ConvNet, ResNet, Encoder, Decoder, OnFirst, Block, ScaledInputs, Standardised, Tempered, Chained, Beside,
    Wired, nn.Sequential, nn.Identity, nn.Flatten,
)  # fmt: skip
"""What only hands on, joins, or does one operation per number."""


@own_modes
@plain_arguments
@torch.no_grad()
def rounded(vae: VAE) -> VAE:
    """The model that files are made with: its networks rounded, so that their sums are exact in any order.

    Weights and what layers read lie on grids whose sums stay below 2⁵² in 64-bit floats: threads, batches, instruction
    sets and libraries cannot change them. Nonlinearities are looked up in tables. It is a model like any other, a
    little another one, and its bound can be measured like any other's.

    Parameters
    ----------
    vae : VAE
        The trained model, which stays as it is.

    Returns
    -------
    VAE
        In 64-bit floats on the CPU, with the same parts but for the networks.

    Raises
    ------
    CapabilityError
        For a network with a layer that cannot be made exact.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> exact = rounded(vae)
    >>> bound, other = (er.evidence.elbo(one, digits.test, draws=1).mean for one in (vae, exact))
    >>> bool(abs(bound - other) < 0.1)
    True
    """
    refuse_coarse(vae)
    other = copy.deepcopy(vae).cpu().double().eval()
    made: dict[int, nn.Module] = {}
    for part in [*other.prior.values(), *other.posterior.values(), other.likelihood]:
        if part.network is not None:
            part.network = made.setdefault(id(part.network), exact_network(part.network))
    for tied in [one for one in other.likelihood.modules() if isinstance(one, Autoregressive)]:
        for name in ("inner", "activation", "outer"):
            setattr(tied, name, exact_network(getattr(tied, name)))
    for part in other.prior.values():
        layer = affine_layer(part) if isinstance(part, Flow) else None
        if layer is not None:
            layer.hyper = nn.Sequential(*map(exact_network, unmasked(layer)))
    for one in other.parameters():
        one.requires_grad_(False)
    return other


def fingerprint(vae: VAE) -> bytes:
    """A hash of a model, 32 bytes: kinds of its parts, and every number in them.

    Parameters
    ----------
    vae : VAE
        In 64-bit floats.

    Returns
    -------
    bytes
        The same for the same model.
    """
    found = hashlib.sha256()
    for name, module in vae.named_modules():
        found.update(f"{name}:{type(module).__name__};".encode())
    for name, tensor in sorted(vae.state_dict().items()):
        array = tensor.detach().cpu().numpy()
        found.update(f"{name}:{array.dtype.str}{array.shape};".encode() + array.astype("<f8").tobytes())
    return found.digest()


def exact_network(network: nn.Module) -> nn.Module:
    """A network with exact layers in the place of its own; shared layers stay shared.

    Parameters
    ----------
    network : nn.Module
        It is changed in place, but for itself.

    Returns
    -------
    nn.Module
        The exact one.

    Raises
    ------
    CapabilityError
        For a layer of another kind.

    Examples
    --------
    >>> exact_network(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))[1]
    Rectifier()
    """
    made = EXACT.get(type(network))
    if made is not None:
        return made(network)
    if type(network) in EXACT.values():
        return network
    if type(network) not in (*_CONTAINERS, _OfLogs):
        raise CapabilityError(
            f"A {type(network).__name__} cannot be made exact, so that a file might not decode on another machine: "
            f"networks of linear layers, convolutions, batch norm and the activations of networks.MLP can."
        )
    if getattr(network, "approximate", "none") != "none":
        raise CapabilityError("A GELU by tanh cannot be made exact: take the GELU itself.")
    if isinstance(network, Standardised) and network.log1p:
        network = _OfLogs(network)
    for name, child in list(network.named_children()):
        setattr(network, name, exact_network(child))
    return network


class _OfLogs(Standardised):
    """`Standardised` of logarithms that are the same on every machine."""

    def __init__(self, network: Standardised) -> None:
        super().__init__(network.network, event=(len(network.mean) - 1,), log1p=True)
        self.mean, self.std = network.mean, network.std

    def _values(self, x: Tensor) -> Tensor:
        counts = torch.cat([x, x.sum(-1, keepdim=True)], -1)
        return torch.from_numpy(log(1.0 + counts.numpy()))
