from .bounds import RateDistortion as RateDistortion
from .bounds import elbo as elbo
from .bounds import iwae as iwae
from .bounds import rate_distortion as rate_distortion
