"""Small models of pythae on scikit-learn's digits, trained by their own losses."""

import math
from importlib.metadata import version
from typing import Any

import torch

import elbowroom as er
from elbowroom.adapters import from_pythae

STEPS, BATCH, LR, LATENTS = 400, 100, 1e-3, 8
MODELS: dict[str, dict[str, Any]] = {"VAE": {}, "BetaVAE": {"beta": 0.1}}
REFUSED = ("VAMP", "VAE_IAF", "HVAE", "SVAE", "AE", "VAEGAN")


def fresh(name: str, **more: Any) -> Any:
    """An untrained model of pythae."""
    import pythae.models as made

    torch.manual_seed(0)
    config = getattr(made, f"{name}Config", None) or getattr(made, f"{name}_Config")
    return getattr(made, name)(config(input_dim=(1, 8, 8), latent_dim=LATENTS, **more))


def train(model: Any, data: er.data.Dataset, steps: int) -> list[float]:
    """Losses of the steps, by the model's own forward."""
    adam, losses = torch.optim.Adam(model.parameters(), lr=LR), []
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        batch = data.train.rows(torch.randint(len(data.train), (BATCH,), generator=generator))
        noise = torch.rand(batch.x.shape, generator=generator)
        x, _ = data.preprocess(batch.x, noise)
        torch.manual_seed(step)
        loss = model({"data": x}).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def digits() -> er.data.Dataset:
    """As images in [0, 1], dequantised."""
    return er.load_data("digits", flat=False)


def measured() -> dict[str, Any]:
    """Adapted and measured, with what is refused in whose words."""
    found: dict[str, Any] = {"versions": {"pythae": version("pythae"), "torch": version("torch")}}
    for name, more in MODELS.items():
        data, model = digits(), fresh(name, **more)
        losses = train(model, data, STEPS)
        vae = from_pythae(model, preprocess=data.preprocess)
        better = er.remedies.calibrate(vae, data)
        bounds = [er.evidence.elbo(one, data.test, draws=64) for one in (vae, better.vae)]
        found[name] = {
            "loss of the last 50": sum(losses[-50:]) / 50,
            "assumed": list(vae.assumed),
            "implied σ": vae.likelihood.scale,
            "best σ": better.value,
            "ELBO at the implied σ": [bounds[0].mean, bounds[0].se_total],
            "ELBO at the best σ": [bounds[1].mean, bounds[1].se_total],
            "loss / β + normaliser on test": of_loss(model, vae, data),
        }
    found["refused"] = {name: refusal(name) for name in REFUSED}
    return found


@torch.no_grad()
def of_loss(model: Any, vae: er.VAE, data: er.data.Dataset) -> float:
    """Their loss of test images, scaled as the adapter says, plus the normaliser and log 17 per pixel: −ELBO."""
    x, _ = data.preprocess(data.test.rows(slice(None)).x, torch.rand(len(data.test), 1, 8, 8))
    model.eval()
    sigma = vae.likelihood.scale
    loss = sum(float(model({"data": x}).loss) for _ in range(64)) / 64
    return loss / sigma**2 + 64 * math.log(sigma * math.sqrt(2 * math.pi)) + 64 * math.log(17)


def refusal(name: str) -> str:
    """Why a model is not taken."""
    try:
        from_pythae(fresh(name))
    except (er.InputError, er.CapabilityError) as error:
        return str(error)
    return ""


def first_steps() -> dict[str, list[float]]:
    """Twenty losses, and IWAE of ten images."""
    data, model = digits(), fresh("VAE")
    losses = train(model, data, 20)
    vae = from_pythae(model, preprocess=data.preprocess)
    return {
        "training": losses,
        "evidence": [float(one) for one in er.evidence.iwae(vae, data.test[:10], draws=50).values],
    }
