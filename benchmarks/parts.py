"""A training step of each part that a word swaps, against a loop written by hand for that part alone, one thread.

    python benchmarks/parts.py                 # all parts; writes records/parts.json
    python benchmarks/parts.py vamp flow       # these parts; nothing is written

784-200-200-50, batch 100, Bernoulli, fused Adam; five draws for the importance-weighted bounds. Both sides start from
the same weights and compute the same loss under the same noise, which is checked first. The loop is the one under
`er.fit`. pythae's model (needs elbowroom[bench]) goes through the bare loop, with networks of the same sizes and the
draws of its own; its losses are its own. Cases run in turn; a ratio is taken against the two bare runs around it.
"""

import argparse
import copy
import importlib.util
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from record import write_record
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from training_step import BATCH, FLOOR, HIDDEN, LATENTS, PIXELS, RATE, Case, measured

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import BetaTC, Elbo, FreeBits, Iwae
from elbowroom.training.engines import Adam, Alone
from elbowroom.training.loop import Loop
from elbowroom.training.settings import Settings
from elbowroom.training.split import Split
from elbowroom.training.stream import Stream
from elbowroom.training.training_step import TrainingStep

LIMIT, STEPS, DRAWS = 1.2, 10, 5
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def binary_data() -> er.data.Dataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((STEPS * BATCH + 200, PIXELS), 0.13), generator=generator)
    return er.load_data(x.numpy(), validation=100, test=100)


def encoder(numbers: int) -> nn.Module:
    return er.networks.MLP([PIXELS, HIDDEN, HIDDEN, numbers])


def vae(prior: str = "standard", posterior: str = "diagonal") -> er.VAE:
    torch.manual_seed(0)
    q = {
        "diagonal": lambda: er.posteriors.DiagonalNormal(encoder(2 * LATENTS), LATENTS, floor=FLOOR),
        "full": lambda: er.posteriors.FullNormal(
            encoder(2 * LATENTS + LATENTS * (LATENTS - 1) // 2), LATENTS, floor=FLOOR
        ),
        "flow": lambda: er.posteriors.Flow(encoder(2 * LATENTS + 32), LATENTS, flow="maf"),
    }[posterior]()
    p = {
        "standard": lambda: er.priors.StandardNormal(LATENTS),
        "mixture": lambda: er.priors.Mixture(LATENTS, components=10),
        "vamp": lambda: er.priors.Vamp(q, PIXELS, pseudo_inputs=100),
    }[prior]()
    return er.VAE(p, q, er.likelihoods.Bernoulli(er.networks.MLP([LATENTS, HIDDEN, HIDDEN, PIXELS]), PIXELS))


# By hand ------------------------------------------------------------------------------------------------------------


class Hand:
    """A bare loop: copies of the model's modules, and a loss of these."""

    def __init__(self, model: er.VAE, x: Tensor, loss: Callable[["Hand", Tensor, Tensor], Tensor], draws: int) -> None:
        self.model, self.x, self.of, self.draws = copy.deepcopy(model), x, loss, draws
        self.encoder = self.model.posterior["z"].network.layers
        self.decoder = self.model.likelihood.network.layers
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE, fused=True)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.of(self, x, noise)

    def __call__(self) -> int:
        for rows in torch.randperm(len(self.x)).split(BATCH):
            x = self.x.index_select(0, rows)
            loss = self.loss(x, torch.randn(self.draws, len(x), LATENTS))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.after(x)
        return STEPS

    def after(self, x: Tensor) -> None:
        """What another optimizer does on the same batch."""

    def q(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.encoder(x).chunk(2, -1)
        return mean, softplus(raw) + FLOOR

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        logits = self.decoder(z)
        return -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)


def rates(mean: Tensor, variance: Tensor) -> Tensor:
    return 0.5 * (mean.square() + variance - variance.log() - 1)


def normal(z: Tensor, mean: Tensor | float = 0.0, variance: Tensor | None = None) -> Tensor:
    if variance is None:
        return (-0.5 * z.square() - HALF_LOG_TAU).sum(-1)
    return (-0.5 * (z - mean).square() / variance - 0.5 * variance.log() - HALF_LOG_TAU).sum(-1)


def elbo(self: Hand, x: Tensor, noise: Tensor, beta: float = 1.0) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    return (beta * rates(mean, variance).sum(-1) - self.log_likelihood(z, x)).mean()


def free_bits(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    return rates(mean, variance).mean(0).clamp(min=0.1).sum() - self.log_likelihood(z, x).mean()


def iwae(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise
    log_q = (-0.5 * noise.square() - 0.5 * variance.log() - HALF_LOG_TAU).sum(-1)
    weight = self.log_likelihood(z, x) + normal(z) - log_q
    return -(weight.logsumexp(0) - math.log(len(z))).mean()


def dreg(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise
    weight = self.log_likelihood(z, x) + normal(z) - normal(z, mean.detach(), variance.detach())
    share = weight.detach().softmax(0).unsqueeze(-1)
    z.register_hook(lambda g: g * share)
    return -(weight.logsumexp(0) - math.log(len(z))).mean()


def mixture(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    prior = self.model.prior["z"]
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    scale = prior.floor + softplus(prior.raw[0, 0])
    each = normal(z.unsqueeze(1), prior.means[0, 0], scale.square()) + prior.logits[0, 0].log_softmax(0)
    log_q = (-0.5 * noise[0].square() - 0.5 * variance.log() - HALF_LOG_TAU).sum(-1)
    return (log_q - each.logsumexp(1) - self.log_likelihood(z, x)).mean()


def vamp(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    pseudo = self.model.prior["z"].pseudo_inputs[0]
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    each = normal(z.unsqueeze(1), *self.q(pseudo))
    log_q = (-0.5 * noise[0].square() - 0.5 * variance.log() - HALF_LOG_TAU).sum(-1)
    return (log_q - each.logsumexp(1) + math.log(len(pseudo)) - self.log_likelihood(z, x)).mean()


def flow(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    block, d = self.model.posterior["z"], noise.shape[-1]
    mean, raw, context = self.encoder(x).split([d, d, block.context], -1)
    scale = (softplus(raw) + block.floor).sqrt()
    u, ladj = block.flow(context).transform.inv.call_and_ladj(noise[0])
    z = mean + scale * u
    return (normal(noise[0]) - ladj - scale.log().sum(-1) - normal(z) - self.log_likelihood(z, x)).mean()


_BELOW = torch.tril_indices(LATENTS, LATENTS, -1)


def full(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    mean, raw, below = self.encoder(x).split([LATENTS, LATENTS, LATENTS * (LATENTS - 1) // 2], -1)
    diagonal = (softplus(raw) + FLOOR).sqrt()
    root = torch.diag_embed(diagonal)
    root[:, _BELOW[0], _BELOW[1]] = below
    z = mean + (root @ noise[0].unsqueeze(-1)).squeeze(-1)
    rate = 0.5 * (mean.square().sum(-1) + root.square().sum((-1, -2)) - LATENTS) - diagonal.log().sum(-1)
    return (rate - self.log_likelihood(z, x)).mean()


def beta_tc(self: Hand, x: Tensor, noise: Tensor) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    size, n = STEPS * BATCH, len(x)
    weight = torch.full((n, n), math.log((1 - 1 / size) / (n - 1))).fill_diagonal_(-math.log(size))
    pairs = -0.5 * (z.unsqueeze(1) - mean).square() / variance - 0.5 * variance.log() - HALF_LOG_TAU
    log_q = (-0.5 * noise[0].square() - 0.5 * variance.log() - HALF_LOG_TAU).sum(-1)
    log_all = (pairs.sum(-1) + weight).logsumexp(1)
    log_each = (pairs + weight.unsqueeze(-1)).logsumexp(1).sum(-1)
    rate = (log_q - log_all) + 6.0 * (log_all - log_each) + (log_each - normal(z))
    return (rate - self.log_likelihood(z, x)).mean()


class FactorHand(Hand):
    """FactorVAE: a critic of the same batch, with an optimizer of its own."""

    def __init__(self, model: er.VAE, x: Tensor, critic: nn.Module) -> None:
        super().__init__(model, x, factor, 1)
        self.critic = copy.deepcopy(critic)
        self.others = torch.optim.Adam(self.critic.parameters(), lr=1e-4, betas=(0.5, 0.9), fused=True)

    def after(self, x: Tensor) -> None:
        with torch.no_grad():
            mean, variance = self.q(x)
            z = mean + variance.sqrt() * torch.randn_like(mean)
        factors = z.gather(0, torch.rand_like(z).argsort(0))
        loss = softplus(torch.cat([-self.critic(z), self.critic(factors)])).mean()
        self.others.zero_grad(set_to_none=True)
        loss.backward()
        self.others.step()


def factor(self: Any, x: Tensor, noise: Tensor) -> Tensor:
    mean, variance = self.q(x)
    z = mean + variance.sqrt() * noise[0]
    return (rates(mean, variance).sum(-1) - self.log_likelihood(z, x)).mean() + 6.4 * self.critic(z).mean()


# Ours, and pythae's -------------------------------------------------------------------------------------------------


class Ours:
    """An epoch of the loop under `er.fit`, without its validation."""

    def __init__(self, model: er.VAE, data: er.data.Dataset, objective: Any) -> None:
        self.step = TrainingStep(copy.deepcopy(model), objective).train()
        self.draws = self.step.procedure.draws
        split = Split(data.train, (), torch.device("cpu"), torch.float32)
        settings = Settings(
            epochs=1, batch_size=BATCH, seed=0, patience=None, select="last", draws=self.draws, schedule_steps=0
        )
        stream = Stream(self.step, settings, split, data.validation)
        self.loop = Loop(Alone(self.step, Adam(RATE)), [stream], split, [], settings)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        total: Tensor = self.step(Batch(x, torch.arange(len(x))), {"z": noise}, torch.tensor(0.0)).total
        return total

    def __call__(self) -> int:
        self.loop._train()
        return STEPS


class Pythae:
    """A model of pythae's with networks of the same sizes, in the bare loop."""

    def __init__(self, kind: str, options: dict[str, Any], x: Tensor) -> None:
        from pythae import models
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder

        logging.disable(logging.INFO)

        class Encoder(BaseEncoder):
            def __init__(self) -> None:
                super().__init__()
                self.network = encoder(2 * LATENTS)

            def forward(self, x: Tensor) -> Any:
                mean, raw = self.network(x.reshape(-1, PIXELS)).chunk(2, 1)
                return ModelOutput(embedding=mean, log_covariance=(softplus(raw) + FLOOR).log())

        class Decoder(BaseDecoder):
            def __init__(self) -> None:
                super().__init__()
                self.network = er.networks.MLP([LATENTS, HIDDEN, HIDDEN, PIXELS])

            def forward(self, z: Tensor) -> Any:
                return ModelOutput(reconstruction=self.network(z).sigmoid())

        config = getattr(models, f"{kind}Config")(
            input_dim=(PIXELS,), latent_dim=LATENTS, reconstruction_loss="bce", **options
        )
        self.model, self.x = getattr(models, kind)(config, encoder=Encoder(), decoder=Decoder()), x
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE, fused=True)

    def __call__(self) -> int:
        for rows in torch.randperm(len(self.x)).split(BATCH):
            batch = {"data": self.x.index_select(0, rows), "labels": None}
            loss = self.model(batch, epoch=1, dataset_size=len(self.x)).loss
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return STEPS


@dataclass
class Part:
    """What is compared: a model, its objective, the loss by hand, and pythae's model with its options."""

    objective: Callable[[], Any]
    hand: Callable[[Hand, Tensor, Tensor], Tensor]
    model: dict[str, str] = field(default_factory=dict)
    pythae: tuple[str, dict[str, Any]] | None = None


PARTS = {
    "elbo": Part(Elbo, elbo, pythae=("VAE", {})),
    "beta": Part(lambda: Elbo(4.0), lambda s, x, n: elbo(s, x, n, 4.0), pythae=("BetaVAE", {"beta": 4.0})),
    "free-bits": Part(lambda: FreeBits(0.1, per="dimension"), free_bits),
    "iwae": Part(lambda: Iwae(draws=DRAWS), iwae, pythae=("IWAE", {"number_samples": DRAWS})),
    "dreg": Part(lambda: Iwae(draws=DRAWS, gradient="doubly-reparameterised"), dreg),
    "mixture": Part(Elbo, mixture, {"prior": "mixture"}),
    "vamp": Part(Elbo, vamp, {"prior": "vamp"}, ("VAMP", {"number_components": 100})),
    "flow": Part(Elbo, flow, {"posterior": "flow"}),
    "full": Part(Elbo, full, {"posterior": "full"}),
    "beta-tc": Part(lambda: BetaTC(6.0, examples=STEPS * BATCH), beta_tc, pythae=("BetaTCVAE", {"beta": 6.0})),
    "factor": Part(lambda: None, factor),
}


def cases_of(name: str, data: er.data.Dataset) -> dict[str, Case]:
    """The bare loop first, ours, and pythae's where it has the part."""
    part, x = PARTS[name], data.train.x.float()
    model = vae(**part.model)
    torch.manual_seed(1)
    if name == "factor":
        critic = er.networks.MLP([LATENTS, HIDDEN, HIDDEN, 1])
        ours = Ours(model, data, er.procedures.TotalCorrelation(copy.deepcopy(critic), 6.4))
        bare: Hand = FactorHand(model, x, critic)
    else:
        ours = Ours(model, data, part.objective())
        bare = Hand(model, x, part.hand, ours.draws)
    noise = torch.randn(ours.draws, BATCH, LATENTS)
    torch.testing.assert_close(bare.loss(x[:BATCH], noise), ours.loss(x[:BATCH], noise), rtol=2e-5, atol=0.0)
    found: dict[str, Case] = {"bare": bare, "step": ours}
    if part.pythae and importlib.util.find_spec("pythae"):
        found["pythae"] = Pythae(*part.pythae, x)
    return found


def main() -> None:
    """Measure, print, and write records/parts.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="names of parts; all by default")
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, found = binary_data(), {}
    for name in arguments.parts or PARTS:
        found[name] = numbers = measured(cases_of(name, data), arguments.rounds)
        said = "  ".join(f"{who} {spread['median']:.3f} × bare" for who, spread in numbers["ratio_to_bare"].items())
        print(f"{name:>10}: {numbers['milliseconds']['bare']['median']:8.3f} ms bare  {said}", flush=True)
    if not arguments.parts:
        within = {name: numbers["ratio_to_bare"]["step"]["median"] <= LIMIT for name, numbers in found.items()}
        network = f"{PIXELS}-{HIDDEN}-{HIDDEN}-{LATENTS}"
        about = {"network": network, "batch": BATCH, "steps": STEPS, "rounds": arguments.rounds, "parts": found}
        print(write_record("parts", about | {"limit": LIMIT, "within_limit": within}))


if __name__ == "__main__":
    main()
