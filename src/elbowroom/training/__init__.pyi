from .fitting import fit as fit
from .fitting import fit_stacked as fit_stacked
from .folder import read_run as read_run
from .groups import why_alone as why_alone
from .history import History as History
from .step import TrainingStep as TrainingStep
