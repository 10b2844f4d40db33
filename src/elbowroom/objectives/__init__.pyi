from .elbo import Elbo as Elbo
from .geco import Geco as Geco
from .iwae import Iwae as Iwae
from .objective import Loss as Loss
from .objective import Objective as Objective
