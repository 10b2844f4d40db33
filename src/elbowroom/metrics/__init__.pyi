from .latents import ACTIVE as ACTIVE
from .latents import LatentUse as LatentUse
from .latents import latent_use as latent_use
from .latents import neighbour_accuracy as neighbour_accuracy
from .latents import psnr as psnr
from .latents import reconstruction_error as reconstruction_error
from .variance import VarianceBudget as VarianceBudget
from .variance import variance_budget as variance_budget
