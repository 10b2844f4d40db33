from .study import default_model as default_model
from .study import study as study
