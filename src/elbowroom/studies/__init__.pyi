from .study import AXES as AXES
from .study import Study as Study
from .study import study as study
