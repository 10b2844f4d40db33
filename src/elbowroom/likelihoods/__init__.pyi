from .base import Likelihood as Likelihood
from .bernoulli import Bernoulli as Bernoulli
from .normal import Normal as Normal
from .normal import mass_outside as mass_outside
