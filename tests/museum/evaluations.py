"""Exhibits that are printed numbers, and the functions that print them."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from museum import models
from museum.exhibit import Claimed, Exhibit, by_audit, by_claim
from museum.models import ELEMENTS, SIGMA
from torch import Tensor

import elbowroom as er

Evaluate = Callable[..., float]


def weights_of(model: er.VAE, x: Tensor, draws: int = 1, *, still: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x | z), log p(z) and log q(z | x) of draws, or of the mean of q, [draws, n] each."""
    q: Any = model.posterior["z"]({"x": x[None]})
    z = q.mean if still else q.sample((draws,))[:, 0]
    p_x = model.likelihood({"z": z})
    return p_x.log_prob(x[None]), model.prior["z"]({"z": z}).log_prob(z), q.log_prob(z)


def elbo_of(model: er.VAE, x: Tensor, **how: Any) -> Tensor:
    """[n], from one draw, with the closed KL."""
    q: Any = model.posterior["z"]({"x": x[None]})
    return (weights_of(model, x, **how)[0] - _kl(q, model))[0]


def _kl(q: Any, model: er.VAE) -> Tensor:
    """[1, n]."""
    p: Any = model.prior["z"]({})
    return torch.distributions.kl_divergence(q.base_dist, torch.distributions.Normal(p.mean, p.stddev)).sum(-1)


def claimed(name: str, evaluate: Evaluate, *, model: er.VAE | None = None, ask: bool = True) -> Claimed:
    """What a function prints of the loose model, on its test examples."""
    vae, data = model or models.loose(), models.data()
    torch.manual_seed(5)
    with torch.no_grad():
        value = float(evaluate(vae, data.test.x.float()))
    return Claimed(vae, data, f"{name} {value:.3f}", evaluate if ask else None)


def _batches(x: Tensor, size: int = 128) -> tuple[Tensor, ...]:
    return x.split(size)


# --- what is evaluated --------------------------------------------------------------------------------------------


def still(repaired: bool) -> Claimed:
    return claimed("ELBO", lambda model, x: elbo_of(model.eval(), x, still=not repaired).mean())


def without_two_pi(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        two_pi = 0.0 if repaired else 0.5 * ELEMENTS * math.log(2 * math.pi)
        return elbo_of(model, x).mean() + two_pi

    return claimed("ELBO", evaluate)


def squares_for_density(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x)
        two_pi = 0.5 * ELEMENTS * math.log(2 * math.pi * SIGMA**2)
        squares = -2 * SIGMA**2 * (log_p + two_pi)
        return -((-log_p if repaired else squares) + log_q - log_prior).mean()

    return claimed("ELBO", evaluate)


def without_log_k(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor, draws: int = 20) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x, draws)
        bound = (log_p + log_prior - log_q).logsumexp(0)
        return (bound - (math.log(draws) if repaired else 0.0)).mean()

    return claimed("IWAE-20", evaluate)


def divisor_asked_for(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor, n_samples: int = 100, at_once: int = 64) -> Tensor:
        passes, parts = math.ceil(n_samples / at_once), []
        for done in range(passes):
            size = min(at_once, n_samples - done * at_once) if repaired else at_once
            log_p, log_prior, log_q = weights_of(model, x, size)
            parts.append((log_p + log_prior - log_q).logsumexp(0))
        return (torch.stack(parts).logsumexp(0) - math.log(n_samples)).mean()

    return claimed("IWAE-100", evaluate)


def draws_ignored(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor, n_samples: int = 10) -> Tensor:
        made = n_samples if repaired else 100
        log_p, log_prior, log_q = weights_of(model, x, made)
        return ((log_p + log_prior - log_q).logsumexp(0) - math.log(made)).mean()

    return claimed("IWAE-10", evaluate)


def softmax_over_losses(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x, 10)
        losses = -(log_p + log_prior - log_q)
        if repaired:
            return ((-losses).logsumexp(0) - math.log(10)).mean()
        return -(F.softmax(losses, 0) * losses).sum(0).mean()

    return claimed("IWAE-10", evaluate)


def weights_of_a_batch(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x, 10)
        weights = log_p + log_prior - log_q
        if not repaired:
            return (weights.sum(1).logsumexp(0) - math.log(10)) / len(x)
        return (weights.logsumexp(0) - math.log(10)).mean()

    return claimed("IWAE-10", evaluate)


def last_batch(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        for batch in _batches(x):
            found = elbo_of(model, batch).mean()
        return elbo_of(model, x).mean() if repaired else found

    return claimed("ELBO", evaluate)


def return_in_the_loop(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        total, batches = 0.0, _batches(x)
        for batch in batches:
            total += elbo_of(model, batch).sum().item()
            if not repaired:
                return total / len(batch) / len(batches)
        return total / len(x)

    return claimed("ELBO", evaluate)


def unequal_batches(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        sums = [(elbo_of(model, batch).mean().item(), len(batch)) for batch in _batches(x)]
        if repaired:
            return sum(mean * n for mean, n in sums) / len(x)
        return sum(mean for mean, _ in sums) / len(sums)

    return claimed("ELBO", evaluate)


def sum_over_batches(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        total = -sum(elbo_of(model, batch).sum().item() for batch in _batches(x))
        return total / (len(x) if repaired else len(_batches(x)))

    return claimed("loss", evaluate)


def other_sign(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x, 20)
        bound = ((log_p + log_prior - log_q).logsumexp(0) - math.log(20)).mean()
        return -bound if repaired else bound

    return claimed("NLL", evaluate, model=models.exact())


def nats_per_element(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(model, x, 20)
        bound = ((log_p + log_prior - log_q).logsumexp(0) - math.log(20)).mean()
        return -bound / ELEMENTS / (math.log(2) if repaired else 1.0)

    return claimed("bits/dim", evaluate, model=models.exact())


def standard_prior(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        q: Any = model.posterior["z"]({"x": x[None]})
        z = q.sample()
        p = (
            model.prior["z"]({})
            if repaired
            else torch.distributions.Independent(torch.distributions.Normal(0 * z, 1.0), 1)
        )
        return (model.likelihood({"z": z}).log_prob(x[None]) + p.log_prob(z) - q.log_prob(z)).mean()

    return claimed("ELBO", evaluate, model=models.with_prior(0.6))


def shrunken_samples(repaired: bool) -> Claimed:
    """Samples come from N(0, 0.5²), so that the model which is shown is one of that prior."""
    loose = models.loose()
    torch.manual_seed(5)
    value = elbo_of(loose, models.data().test.x.float(), draws=1).mean().item()
    return Claimed(loose if repaired else models.with_prior(0.5), models.data(), f"ELBO {value:.3f}")


# --- in which state -----------------------------------------------------------------------------------------------


def training_mode(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        model.train(not repaired)
        return sum(elbo_of(model, batch).sum().item() for batch in _batches(x)) / len(x)

    return claimed("ELBO", evaluate, model=models.vae_of(models.WithNorm()))


def mode_left(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        model = model.eval() if repaired else model
        return sum(elbo_of(model, batch).sum().item() for batch in _batches(x)) / len(x)

    return claimed("ELBO", evaluate, model=models.vae_of(models.WithNorm()))


def refitted_noise(repaired: bool) -> Claimed:
    def evaluate(model: er.VAE, x: Tensor) -> float:
        total = 0.0
        for batch in _batches(x):
            q: Any = model.posterior["z"]({"x": batch[None]})
            squares = (batch[None] - model.likelihood({"z": q.sample()}).mean).square()
            sigma = torch.tensor(0.8) if repaired else squares.mean().sqrt()
            log_p = -squares / (2 * sigma**2) - sigma.log() - 0.5 * math.log(2 * math.pi)
            total += (log_p.sum(-1) - _kl(q, model)).sum().item()
        return total / len(x)

    return claimed("ELBO", evaluate, model=models.vae_of(models.encoder(widen=2.0), scale=0.8))


def train_for_test(repaired: bool) -> Claimed:
    vae, few = models.overfitted()
    x = (few.test if repaired else few.train).x.float()
    return Claimed(vae, few, f"ELBO {elbo_of(vae, x).mean().item():.3f}")


# --- what q is ------------------------------------------------------------------------------------------------------


def planar(repaired: bool) -> Claimed:
    """q through e + u tanh(e) along each axis: where u < −1 it folds, and log |det| gives no density of z."""
    u, wide = (0.3, 0.8) if repaired else (-3.0, 2.5)

    def evaluate(model: er.VAE, x: Tensor) -> Tensor:
        q: Any = model.posterior["z"]({"x": x[None]})
        e = wide * torch.randn(20, *q.mean.shape[1:])
        log_det = (1 + u * (1 - torch.tanh(e) ** 2)).abs().clamp_min(1e-9).log().sum(-1)
        z = q.mean + q.stddev * (e + u * torch.tanh(e))
        log_e = torch.distributions.Normal(0.0, wide).log_prob(e).sum(-1)
        log_q = log_e - log_det - q.stddev.log().sum(-1)
        return (model.likelihood({"z": z}).log_prob(x[None]) + model.prior["z"]({}).log_prob(z) - log_q).mean()

    return claimed("ELBO", evaluate, model=models.exact())


def sees_x(repaired: bool) -> Claimed:
    return claimed("ELBO", lambda model, x: elbo_of(model, x).mean(), model=models.sees_x(repaired), ask=False)


@functools.cache
def _lagging() -> er.VAE:
    return models.vae_of(models.encoder(share=0.3))


def lagging(repaired: bool) -> Claimed:
    model = models.exact() if repaired else _lagging()

    def evaluate(vae: er.VAE, x: Tensor) -> Tensor:
        log_p, log_prior, log_q = weights_of(vae, x)
        return (log_p + log_prior - log_q).mean()

    return claimed("log p(x)", evaluate, model=model, ask=False)


def two_priors(repaired: bool) -> tuple[er.VAE, Any]:
    return (models.exact() if repaired else models.with_prior(0.5)), models.data()


MODELS = [
    Exhibit(
        "dead units",
        "recurrent text VAEs, world models",
        "3 latents in use",
        "2 of 3 units are idle",
        by_audit(lambda repaired: (models.exact() if repaired else models.dead_units(), models.data())),
    ),
    Exhibit(
        "collapse",
        "a benchmark of anomaly detectors",
        "a latent-variable model",
        "wholly below",
        by_audit(lambda repaired: (models.exact() if repaired else models.collapsed(), models.data())),
    ),
]

CLAIMS = [
    Exhibit("z = mean", "bits-back code, a framework's example", "ELBO", "at the mean of q", by_claim(still)),
    Exhibit("2π left out", "a library's training loss", "ELBO", "D/2·log(2π)", by_claim(without_two_pi)),
    Exhibit("squares for a density", "tutorials", "ELBO", "minus squares", by_claim(squares_for_density)),
    Exhibit("−log K left out", "an imputation library", "IWAE-20", "leaves out −log K", by_claim(without_log_k)),
    Exhibit(
        "draws made, divisor asked for",
        "a single-cell library",
        "IWAE-100",
        "makes more draws than are asked for",
        by_claim(divisor_asked_for),
    ),
    Exhibit(
        "draws asked for, 100 made", "a library of VAEs", "IWAE-10", "does not make the draws", by_claim(draws_ignored)
    ),
    Exhibit("softmax over losses", "a collection of VAEs", "IWAE-10", "the worst most", by_claim(softmax_over_losses)),
    Exhibit(
        "weights of a whole batch",
        "a probabilistic language",
        "IWAE-10",
        "not for the batch",
        by_claim(weights_of_a_batch),
    ),
    Exhibit("last batch only", "a single-cell library", "ELBO", "does not count", by_claim(last_batch)),
    Exhibit(
        "return inside the loop",
        "a disentanglement toolkit",
        "ELBO",
        "over the number of batches",
        by_claim(return_in_the_loop),
    ),
    Exhibit(
        "mean of unequal batch means", "two libraries", "ELBO", "weigh batches by their size", by_claim(unequal_batches)
    ),
    Exhibit("sum over a batch", "tutorials", "loss", "divide by", by_claim(sum_over_batches)),
    Exhibit("NLL of the other sign", "two libraries", "NLL", "other sign", by_claim(other_sign)),
    Exhibit("nats for bits", "papers", "bits per dimension", "divide by log 2", by_claim(nats_per_element)),
    Exhibit(
        "N(0, I) hard-coded",
        "a single-cell library",
        "ELBO of a learned prior",
        "and the model's prior is another",
        by_claim(standard_prior),
    ),
    Exhibit(
        "two priors",
        "samplers at a lower temperature",
        "ELBO of the model that is sampled",
        {"check_claim": "and the model's prior is another", "audit": "Holes in the prior"},
        by_claim(shrunken_samples) | by_audit(two_priors),
    ),
    Exhibit("batch norm in training mode", "tutorials", "ELBO", "batch norm", by_claim(training_mode)),
    Exhibit("model.eval() forgotten", "tutorials", "ELBO", "model.eval()", by_claim(mode_left)),
    Exhibit("σ refitted on test", "a calibrated decoder's code", "ELBO", "fit a σ", by_claim(refitted_noise)),
    Exhibit("training set called test", "two toolkits", "test ELBO", "training set", by_claim(train_for_test)),
    Exhibit("planar flow that folds", "a library of VAEs", "ELBO", "no bound of this model", by_claim(planar)),
    Exhibit(
        "decoder that sees x",
        "U-shaped autoencoders",
        "ELBO",
        "encoder sees another x",
        by_claim(sees_x)
        | by_audit(lambda repaired: (models.exact() if repaired else models.sees_x(False), models.data())),
    ),
    Exhibit(
        "lagging encoder",
        "text VAEs",
        "log p(x)",
        {"check_claim": "call it so", "audit": "Inference lagging"},
        by_claim(lagging) | by_audit(lambda repaired: (models.exact() if repaired else _lagging(), models.data())),
    ),
]
