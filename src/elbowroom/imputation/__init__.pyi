from ._impute import impute as impute
from .column_scores import ColumnScore as ColumnScore
from .imputations import Imputations as Imputations
