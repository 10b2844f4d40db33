"""Missing cells filled in: draws from p(x_missing | x_seen), and what is said of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
