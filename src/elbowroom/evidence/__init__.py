"""Evidence: what is true of a trained model, with errors that mean what they say."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
