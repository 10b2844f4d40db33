from ._check_readings import check_readings as check_readings
from .model_files import load_model as load_model
from .model_files import save_model as save_model
from .terms import Terms as Terms
from .vae import VAE as VAE
from .vae_target import VAETarget as VAETarget
