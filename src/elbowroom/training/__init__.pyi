from .fitting import fit as fit
from .fitting import fit_stacked as fit_stacked
from .folder import read_run as read_run
from .history import History as History
from .step import TrainingStep as TrainingStep
