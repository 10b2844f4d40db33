from ._from_forward import from_forward as from_forward
from ._from_modules import from_modules as from_modules
