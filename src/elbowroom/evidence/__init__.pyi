from .bounds import RateDistortion as RateDistortion
from .bounds import elbo as elbo
from .bounds import rate_distortion as rate_distortion
from .weighted import IwaeCurve as IwaeCurve
from .weighted import iwae as iwae
from .weighted import iwae_curve as iwae_curve
from .weighted import prior_sampling as prior_sampling
