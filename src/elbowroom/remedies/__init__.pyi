from ._calibrate import Calibration as Calibration
from ._calibrate import calibrate as calibrate
from ._refine import Refinement as Refinement
from ._refine import refine as refine
from ._refine_inference import refine_inference as refine_inference
from ._refit_prior import refit_prior as refit_prior
from .remedied import Remedied as Remedied
