from .categorical import Categorical as Categorical
from .diagonal_normal import DiagonalNormal as DiagonalNormal
from .flow import Flow as Flow
from .full_normal import FullNormal as FullNormal
from .ladder import Ladder as Ladder
