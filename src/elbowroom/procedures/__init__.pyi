from .phase import Phase as Phase
from .procedure import Procedure as Procedure
from .total_correlation import TotalCorrelation as TotalCorrelation
from .wake_sleep import WakeSleep as WakeSleep
