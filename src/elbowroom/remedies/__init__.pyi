from ._calibrate import Calibration as Calibration
from ._calibrate import calibrate as calibrate
from ._refine import Refinement as Refinement
from ._refine import refine as refine
