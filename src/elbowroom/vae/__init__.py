"""The model: three components, a preprocessing step, and what one pass through them gives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
