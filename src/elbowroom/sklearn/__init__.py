"""Estimators for scikit-learn: a VAE that transforms and scores, and one that classifies."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
