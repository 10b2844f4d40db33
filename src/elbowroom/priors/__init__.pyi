from .categorical import Categorical as Categorical
from .flow import Flow as Flow
from .mixture import Mixture as Mixture
from .normal import Normal as Normal
from .standard_normal import StandardNormal as StandardNormal
from .vamp import Vamp as Vamp
