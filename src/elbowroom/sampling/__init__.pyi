from .diagnostics import effective_draws as effective_draws
from .diagnostics import rhat as rhat
