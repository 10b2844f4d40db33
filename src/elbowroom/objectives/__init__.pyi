from .base import Loss as Loss
from .base import Objective as Objective
from .elbo import Elbo as Elbo
