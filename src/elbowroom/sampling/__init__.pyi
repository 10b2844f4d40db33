from ._effective_draws import effective_draws as effective_draws
from ._rhat import rhat as rhat
