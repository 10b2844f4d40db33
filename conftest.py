"""Every annotation of elbowroom, shapes included, is checked at run time while the tests run."""

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
install_import_hook("elbowroom", "typechecked.check")
