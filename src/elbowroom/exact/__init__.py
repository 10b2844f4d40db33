"""Models in which every quantity is known exactly, which everything else is tested against."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
