from ._read_loss import read_loss as read_loss
from .loss_reading import LossReading as LossReading
