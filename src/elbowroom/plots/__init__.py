"""Plots: one function per figure, from a record onto a matplotlib Axes, for notebook, paper and page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
