from ._preset import preset as preset
from ._stackable import stackable as stackable
from .convolutional import ConvNet as ConvNet
from .convolutional import ResNet as ResNet
from .mlp import MLP as MLP
from .standardised import Standardised as Standardised
from .tempered import Tempered as Tempered
