from ._from_diffusers import from_diffusers as from_diffusers
from ._from_forward import from_forward as from_forward
from ._from_modules import from_modules as from_modules
from ._from_pythae import from_pythae as from_pythae
from ._from_scvi import from_scvi as from_scvi
from ._scvi_data import scvi_data as scvi_data
