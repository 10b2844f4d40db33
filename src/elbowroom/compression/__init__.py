"""Lossless files of log p(x): bits back with asymmetric numeral systems."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
