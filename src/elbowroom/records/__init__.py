"""What the stages of a study leave on disk: one typed record each, written once and read back as the same type."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
