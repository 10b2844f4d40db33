from ._fit import fit as fit
from ._fit import fit_stacked as fit_stacked
from .groups import why_alone as why_alone
from .training_step import TrainingStep as TrainingStep
