from .base import Loss as Loss
from .base import Objective as Objective
from .elbo import Elbo as Elbo
from .geco import Geco as Geco
from .iwae import Iwae as Iwae
