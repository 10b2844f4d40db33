"""Networks: modules from ordinary batches to the parameters of a distribution."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
