"""What a printed number or a loss function says of a density, and what it does not: claims put to the test."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
