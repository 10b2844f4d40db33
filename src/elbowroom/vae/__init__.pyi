from ._check_readings import check_readings as check_readings
from ._load_model import load_model as load_model
from ._save_model import save_model as save_model
from .terms import Terms as Terms
from .vae import VAE as VAE
from .vae_target import VAETarget as VAETarget
