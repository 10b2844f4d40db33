from ._check_claim import check_claim as check_claim
from ._read_loss import read_loss as read_loss
from .claim_check import ClaimCheck as ClaimCheck
from .claim_text import Claim as Claim
from .loss_reading import LossReading as LossReading
from .mistakes import Mistake as Mistake
