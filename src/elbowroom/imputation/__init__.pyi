from ._impute import impute as impute
from .imputations import Imputations as Imputations
