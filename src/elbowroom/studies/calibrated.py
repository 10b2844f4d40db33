"""What calibration would win of a model of a sweep: one number for the plane, measured on few examples."""

from dataclasses import replace

from elbowroom.data import Dataset
from elbowroom.numerics import CapabilityError
from elbowroom.records import CalibrationRecord, Number
from elbowroom.remedies import calibrate
from elbowroom.vae import VAE

__all__ = ["calibration_of"]

_CHOOSING, _MEASURED, _DRAWS = 2_000, 1_000, 8


def calibration_of(vae: VAE, data: Dataset, seed: int) -> CalibrationRecord | None:
    """The best noise scale or temperature by at most 2,000 training examples, and what it wins on validation.

    Parameters
    ----------
    vae : VAE
        A trained model.
    data : Dataset
        Of its training; at most 1,000 validation examples are measured, by 8 draws each.
    seed : int
        Of all noise.

    Returns
    -------
    CalibrationRecord or None
        None where the likelihood has no one scale or temperature that could be chosen.
    """
    few = replace(data, train=data.train[:_CHOOSING], validation=data.validation.some(_MEASURED))
    try:
        found = calibrate(vae, few, draws=_DRAWS, seed=seed)
    except CapabilityError:
        return None
    gain, elbo = (Number(one.mean, one.se_total) for one in (found.gain, found.elbo_after))
    return CalibrationRecord(gain, found.what, found.value, len(found.gain), elbo)
