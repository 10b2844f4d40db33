from .files import load_model as load_model
from .files import save_model as save_model
from .model import VAE as VAE
from .target import VAETarget as VAETarget
from .terms import Terms as Terms
