"""One training step of an MLP VAE (784-200-200-50, batch 100): elbowroom, a bare PyTorch loop, and pythae.

    bare        a loop written by hand for this one model: nothing is recorded, checked or chosen
    step        the loop under `er.fit`: shuffling, noise, batches by rows, loss, backward, Adam, running means
    pythae      an epoch of pythae's own BaseTrainer (needs elbowroom[bench]; left out where it is missing)
    bare whole  the bare loop for some epochs, with the loss of the validation part after each
    fit         `er.fit` whole for as many: set-up, epochs, the same validation, the choice of an epoch

All start from the same weights and compute the same loss (softplus variance + 1e-5, closed KL, Bernoulli), which is
checked first, in float32 with fused Adam. Cases run in turn; a ratio is taken against the two bare runs around it,
and the record has its median over the rounds.
"""

import argparse
import contextlib
import copy
import importlib.util
import io
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from record import write_record
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.training.engines import Adam, Alone
from elbowroom.training.loop import Loop
from elbowroom.training.settings import Settings
from elbowroom.training.split import Split
from elbowroom.training.stream import Stream
from elbowroom.training.training_step import TrainingStep

LIMIT = 1.15  # median ratio of step, and of whole fit, to bare
PIXELS, HIDDEN, LATENTS, BATCH, RATE, FLOOR = 784, 200, 50, 100, 1e-3, 1e-5
STEPS, VALIDATION, ROWS, EPOCHS, PYTHAE_STEPS = 100, 2_000, 1_000, 5, 10

Case = Callable[[], int]
"""Trains for some steps; returns how many."""


def binary_data() -> er.data.Dataset:
    """Random binary images as dark as MNIST's: the time of a step does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((STEPS * BATCH + 2 * VALIDATION, PIXELS), 0.13), generator=generator)
    return er.load_data(x.numpy(), validation=VALIDATION, test=VALIDATION)


def model() -> er.VAE:
    torch.manual_seed(0)
    encoder = er.networks.MLP([PIXELS, HIDDEN, HIDDEN, 2 * LATENTS])
    decoder = er.networks.MLP([LATENTS, HIDDEN, HIDDEN, PIXELS])
    return er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(encoder, LATENTS, floor=FLOOR),
        er.likelihoods.Bernoulli(decoder, PIXELS),
    )


def layers(vae: er.VAE) -> tuple[nn.Module, nn.Module]:
    """Copies of the model's encoder and decoder as plain nn.Sequential."""
    return copy.deepcopy(vae.posterior["z"].network.layers), copy.deepcopy(vae.likelihood.network.layers)


class Bare:
    """What a careful person writes for this model alone."""

    def __init__(self, vae: er.VAE, x: Tensor) -> None:
        self.encoder, self.decoder = layers(vae)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
        self.x = x

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, raw = self.encoder(x).chunk(2, 1)
        variance = softplus(raw) + FLOOR
        logits = self.decoder(mean + variance.sqrt() * noise)
        distortion = binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = 0.5 * (mean.square() + variance - variance.log() - 1).sum()
        return (distortion + rate) / len(x)

    def __call__(self) -> int:
        for rows in torch.randperm(len(self.x)).split(BATCH):
            x = self.x.index_select(0, rows)
            loss = self.loss(x, torch.randn(len(x), LATENTS))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return STEPS


class Step:
    """An epoch of the loop under `er.fit`, without its validation."""

    def __init__(self, vae: er.VAE, data: er.data.Dataset) -> None:
        vae = copy.deepcopy(vae)
        self.step = TrainingStep(vae, er.objectives.Elbo()).train()
        split = Split(data.train, (), vae.device, vae.dtype)
        settings = Settings(epochs=1, batch_size=BATCH, seed=0, patience=None, select="last", draws=1, schedule_steps=0)
        stream = Stream(self.step, settings, split, data.validation)
        self.loop = Loop(Alone(self.step, Adam(RATE)), [stream], split, [], settings)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.step(Batch(x, torch.arange(len(x))), {"z": noise.unsqueeze(0)}, torch.tensor(0.0)).total

    def __call__(self) -> int:
        self.loop._train()
        return STEPS


class Whole:
    """The bare loop for some epochs from the same weights, each followed by the loss of the validation part."""

    def __init__(self, vae: er.VAE, data: er.data.Dataset) -> None:
        self.vae, self.x, self.held_out = vae, data.train.x.float(), data.validation.x.float()

    def __call__(self) -> int:
        bare = Bare(self.vae, self.x)
        for _ in range(EPOCHS):
            bare()
            with torch.no_grad():
                parts = self.held_out.split(ROWS)
                losses = [bare.loss(x, torch.randn(len(x), LATENTS)).item() * len(x) for x in parts]
            assert math.isfinite(sum(losses) / len(self.held_out))
        return EPOCHS * STEPS


def fit(vae: er.VAE, data: er.data.Dataset) -> int:
    er.fit(copy.deepcopy(vae), data, epochs=EPOCHS, batch_size=BATCH, lr=RATE, progress=False)
    return EPOCHS * STEPS


class Pythae:
    """The same networks inside pythae's VAE, trained by its own trainer."""

    def __init__(self, vae: er.VAE, x: Tensor) -> None:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        logging.disable(logging.INFO)
        encoder, decoder = layers(vae)

        class Encoder(BaseEncoder):
            def __init__(self) -> None:
                super().__init__()
                self.network = encoder

            def forward(self, x: Tensor) -> ModelOutput:
                mean, raw = self.network(x).chunk(2, 1)
                return ModelOutput(embedding=mean, log_covariance=(softplus(raw) + FLOOR).log())

        class Decoder(BaseDecoder):
            def __init__(self) -> None:
                super().__init__()
                self.network = decoder

            def forward(self, z: Tensor) -> ModelOutput:
                return ModelOutput(reconstruction=self.network(z).sigmoid())

        config = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENTS, reconstruction_loss="bce")
        self.model = VAE(config, encoder=Encoder(), decoder=Decoder())
        self.folder = tempfile.TemporaryDirectory()
        settings = BaseTrainerConfig(
            output_dir=self.folder.name,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            optimizer_params={"fused": True},
            no_cuda=True,
        )
        rows = x[: PYTHAE_STEPS * BATCH]
        self.trainer = BaseTrainer(self.model, BaseDataset(rows, torch.zeros(len(rows))), training_config=settings)
        self.trainer.prepare_training()

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        self.model._sample_gauss, drawing = (
            lambda mean, spread: (mean + spread * noise, noise),
            self.model._sample_gauss,
        )
        value = self.model({"data": x}).loss
        self.model._sample_gauss = drawing
        return value

    def __call__(self) -> int:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            self.trainer.train_step(epoch=1)
        return PYTHAE_STEPS


def milliseconds(case: Case) -> float:
    """Wall time per training step."""
    start = time.perf_counter()
    steps = case()
    return 1e3 * (time.perf_counter() - start) / steps


def spread(values: list[float]) -> dict[str, float]:
    """Least, quartiles and greatest."""
    first, median, third = statistics.quantiles(values, n=4)
    ends = {"least": min(values), "quartile": first, "median": median, "third_quartile": third, "greatest": max(values)}
    return {name: round(value, 3) for name, value in ends.items()}


def measured(cases: dict[str, Case], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Rounds of bare, case, bare, case, …: times of all, and ratios to the two bare runs around each."""
    bare, *others = cases
    taken: dict[str, list[float]] = {name: [] for name in cases}
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for case in cases.values():
        case()  # once unmeasured
    before = milliseconds(cases[bare])
    for _ in range(rounds):
        for name in others:
            found, after = milliseconds(cases[name]), milliseconds(cases[bare])
            taken[name].append(found)
            taken[bare].append(after)
            ratios[name].append(2 * found / (before + after))
            before = after
    return {
        "milliseconds": {name: spread(values) for name, values in taken.items()},
        "ratio_to_bare": {name: spread(values) for name, values in ratios.items()},
    }


def main() -> None:
    """Measure, print, and write records/training_step.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()

    data, vae = binary_data(), model()
    x = data.train.x.float()
    steps: dict[str, Case] = {"bare": Bare(vae, x), "step": Step(vae, data)}
    if importlib.util.find_spec("pythae"):
        steps["pythae"] = Pythae(vae, x)
    check_losses(steps, x)
    wholes: dict[str, Case] = {"bare whole": Whole(vae, data), "fit": lambda: fit(vae, data)}

    found = {}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        by_step, whole = measured(steps, arguments.rounds), measured(wholes, arguments.rounds)
        found[str(threads)] = numbers = {what: by_step[what] | whole[what] for what in by_step}
        for name, times in numbers["milliseconds"].items():
            ratio = numbers["ratio_to_bare"].get(name)
            against = f"{ratio['median']:8.3f} × bare" if ratio else ""
            print(f"{threads} threads {name:>10}: {times['median']:8.3f} ms a step {against}")
    record = {
        "network": f"{PIXELS}-{HIDDEN}-{HIDDEN}-{LATENTS}",
        "batch": BATCH,
        "rounds": arguments.rounds,
        "by_threads": found,
        "epochs": EPOCHS,
        "validation_examples": VALIDATION,
        "limits": {"step": LIMIT, "fit": LIMIT},
        "within_limits": all(
            numbers["ratio_to_bare"][name]["median"] <= LIMIT for numbers in found.values() for name in ("step", "fit")
        ),
    }
    print(f"written: {write_record('training_step', record)}")


def check_losses(cases: dict[str, Case], x: Tensor) -> None:
    """All cases must give one loss to the first batch under one noise."""
    noise = torch.randn(BATCH, LATENTS, generator=torch.Generator().manual_seed(1))
    losses = [case.loss(x[:BATCH], noise).detach() for case in cases.values() if hasattr(case, "loss")]
    for loss in losses:
        torch.testing.assert_close(loss, losses[0], rtol=1e-5, atol=0.0)


if __name__ == "__main__":
    main()
