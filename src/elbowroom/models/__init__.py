"""Models from words: data and a recipe of plain values → a VAE, and what it is trained by."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
