"""Remedies: a model and its data in, a better model out, with what it cost and won."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
