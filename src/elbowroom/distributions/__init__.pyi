from .capabilities import capabilities as capabilities
from .capabilities import require as require
from .divergences import kl as kl
from .draws import draw as draw
from .draws import simulate as simulate
