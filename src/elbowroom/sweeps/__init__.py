"""Sweeps over the words of a recipe, and the choice among their models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
