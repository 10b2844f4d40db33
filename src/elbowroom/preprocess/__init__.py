"""Maps from the user's scale to the network's, with log-Jacobians: log p(x) stays on the user's scale."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
