from ._along_beta import along_beta as along_beta
from ._choose import Choice as Choice
from ._choose import choose as choose
from ._sweep import sweep as sweep
from .goals import GOALS as GOALS
from .standings import Standing as Standing
from .swept import Swept as Swept
