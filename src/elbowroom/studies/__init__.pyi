from ._report_run import report_run as report_run
from .study import Study as Study
from .study import study as study
from .train import AXES as AXES
