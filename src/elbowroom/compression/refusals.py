"""Models that no file can be made with."""

from elbowroom import likelihoods as lik
from elbowroom.numerics import CapabilityError
from elbowroom.vae import VAE

__all__ = ["refuse_what_reads_more"]


def refuse_what_reads_more(vae: VAE) -> None:
    """Refuse models that read what a file does not hold.

    Parameters
    ----------
    vae : VAE
        The model.

    Raises
    ------
    CapabilityError
        With the reason.
    """
    if vae.context_names:
        raise CapabilityError(
            f"This model reads the context {vae.context_names[0]!r}, which a file does not hold: train one without it."
        )
    if vae.reads_beta or any("index" in block.given for block in vae.posterior.values()):
        raise CapabilityError(
            "The encoder of this model reads more than x (the weight of the rate, or the place of a row), which a "
            "decoder does not know: train one whose q(z | x) reads x alone."
        )
    if isinstance(vae.likelihood, lik.Autoregressive):
        raise CapabilityError(
            "An autoregressive p(x | z) is decoded cell by cell, which this codec does not do: train one whose cells "
            "are independent given z."
        )
