"""What all other rooms use: batches of examples, reproducible noise, estimates with errors, and refusals in words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
