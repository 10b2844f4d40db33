"""elbowroom: train variational autoencoders, measure them honestly, and see where every nat goes.

*Elbow room* is the slack between the ELBO and log p(x).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
