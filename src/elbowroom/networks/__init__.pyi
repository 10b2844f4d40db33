from ._stackable import stackable as stackable
from .convolutional import conv as conv
from .convolutional import residual as residual
from .mlp import mlp as mlp
from .presets import preset as preset
from .standardised import standardised as standardised
from .tempered import tempered as tempered
