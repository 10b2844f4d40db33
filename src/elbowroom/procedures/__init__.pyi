from .aggressive import Aggressive as Aggressive
from .monte_carlo_em import MonteCarloEM as MonteCarloEM
from .phase import Phase as Phase
from .procedure import Procedure as Procedure
from .reweighted_wake_sleep import ReweightedWakeSleep as ReweightedWakeSleep
from .semi_amortised import SemiAmortised as SemiAmortised
from .total_correlation import TotalCorrelation as TotalCorrelation
from .wake_sleep import WakeSleep as WakeSleep
