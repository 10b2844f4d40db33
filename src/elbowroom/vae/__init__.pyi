from .files import load_model as load_model
from .files import save_model as save_model
from .model import VAE as VAE
from .probe import check_readings as check_readings
from .target import VAETarget as VAETarget
from .terms import Terms as Terms
