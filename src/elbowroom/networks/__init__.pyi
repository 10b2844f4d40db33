from ._preset import preset as preset
from ._stackable import stackable as stackable
from .conv_net import ConvNet as ConvNet
from .mlp import MLP as MLP
from .per_example import PerExample as PerExample
from .res_net import ResNet as ResNet
from .standardised import Standardised as Standardised
from .tempered import Tempered as Tempered
