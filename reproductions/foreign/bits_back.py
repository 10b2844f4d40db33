"""The MNIST weights that the authors of BB-ANS published, in a model of the architecture that their paper describes.

Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding" (2019): one
hidden layer of 100 units on either side, 40 latents, Bernoulli pixels of stochastically binarised MNIST. The weights
are the user's own copy; they are read as tensors alone, and nothing of them is kept.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.adapters import from_forward

POINTS, REFINED, ANNEALED, EPOCHS = 2_000, 500, 60, 8
PIXELS, HIDDEN, LATENTS = 784, 100, 40


class BinaryVAE(nn.Module):
    """784-100-40 and back; the second head is the logarithm of σ."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = (
            nn.Linear(PIXELS, HIDDEN),
            nn.Linear(HIDDEN, LATENTS),
            nn.Linear(HIDDEN, LATENTS),
        )
        self.fc3, self.fc4 = nn.Linear(LATENTS, HIDDEN), nn.Linear(HIDDEN, PIXELS)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        h = torch.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h).exp()

    def reparameterize(self, mean: Tensor, deviation: Tensor) -> Tensor:
        """A draw in training, the mean in use: so it is theirs, and the adapter says so."""
        return mean + deviation * torch.randn_like(mean) if self.training else mean

    def decode(self, z: Tensor) -> Tensor:
        """Logits of the pixels."""
        return self.fc4(torch.relu(self.fc3(z)))


def published(path: Path) -> er.VAE:
    """The model with the weights of a file."""
    model = BinaryVAE()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return from_forward(model, er.likelihoods.Bernoulli(None, PIXELS), preprocess=images().preprocess)


def images() -> er.data.Dataset:
    """MNIST, whose pixels are drawn as bits by their grey levels; 2,000 test images at random, as these lie sorted."""
    data = er.load_data("mnist", preprocess="binarise", progress=False)
    some = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:POINTS]
    data.test, data.validation = data.test[some], data.validation[:1_000]
    return data


def number(estimate: Any) -> list[float]:
    """Mean and standard error over images."""
    return [estimate.mean, estimate.se_total]


def bounds(path: Path) -> dict[str, Any]:
    """ELBO and IWAE-1000."""
    vae, data = published(path), images()
    elbo = er.evidence.elbo(vae, data.test, draws=64)
    iwae = er.evidence.iwae(vae, data.test, draws=1_000)
    return {
        "n": len(data.test),
        "assumed": list(vae.assumed),
        "ELBO": number(elbo),
        "IWAE-1000": number(iwae),
        "IWAE-1000 - ELBO": number(iwae - elbo),
    }


def gap(path: Path) -> dict[str, Any]:
    """How much of it is the encoder's, and how much the family's."""
    vae, data = published(path), images()
    few = data.test[:REFINED]
    refined = er.remedies.refine(vae, few, steps=200, refine_draws=4)
    annealed = er.evidence.ais(vae, few[:ANNEALED], temperatures=200, chains=4, leapfrog=5)
    iwae = er.evidence.iwae(vae, few[:ANNEALED], draws=1_000)
    best = er.evidence.elbo(refined.vae, few[:ANNEALED], draws=64)
    return {
        "n refined": len(few),
        "ELBO": number(refined.elbo_before),
        "amortisation": number(refined.amortisation_gap),
        "n annealed": ANNEALED,
        "AIS - IWAE-1000": number(annealed - iwae),
        "approximation": number(annealed - best),
        "total": number(annealed - er.evidence.elbo(vae, few[:ANNEALED], draws=64)),
    }


def flow(path: Path) -> dict[str, Any]:
    """What a flow as q wins, begun at their encoder's normal, with their decoder untouched."""
    vae, data = published(path), images()
    found = er.remedies.refine_inference(vae, data, epochs=EPOCHS)
    before, after = (er.evidence.elbo(one, data.test, draws=64) for one in (vae, found.vae))
    iwae = er.evidence.iwae(found.vae, data.test[:REFINED], draws=1_000) - er.evidence.iwae(
        vae, data.test[:REFINED], draws=1_000
    )
    same = all(
        torch.equal(a, b) for a, b in zip(vae.likelihood.parameters(), found.vae.likelihood.parameters(), strict=True)
    )
    return {
        "n": len(data.test),
        "epochs": EPOCHS,
        "ELBO before": number(before),
        "ELBO after": number(after),
        "won": number(after - before),
        "IWAE-1000 won": number(iwae),
        "decoder untouched": same,
    }


def first_steps(path: Path) -> dict[str, list[float]]:
    """ELBO and IWAE of ten images, which say whether the model is still read as it was."""
    vae, data = published(path), images()
    few = data.test[:10]
    return {
        "ELBO": [float(one) for one in er.evidence.elbo(vae, few, draws=16).values],
        "evidence": [float(one) for one in er.evidence.iwae(vae, few, draws=50).values],
    }
