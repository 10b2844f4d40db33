"""What models ask of a distribution: a draw from given noise, a simulation, a KL divergence, its capabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
