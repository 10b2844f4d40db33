from .adversarial import Adversarial as Adversarial
from .phase import Phase as Phase
from .procedure import Procedure as Procedure
from .reweighted_wake_sleep import ReweightedWakeSleep as ReweightedWakeSleep
from .total_correlation import TotalCorrelation as TotalCorrelation
from .wake_sleep import WakeSleep as WakeSleep
