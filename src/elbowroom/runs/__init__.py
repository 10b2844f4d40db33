"""A run: the folder that training leaves, and what can be read, drawn and measured from it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
