from .convolutional import conv as conv
from .convolutional import residual as residual
from .dense import mlp as mlp
from .presets import preset as preset
from .stacking import stackable as stackable
from .standardised import standardised as standardised
from .tempered import tempered as tempered
