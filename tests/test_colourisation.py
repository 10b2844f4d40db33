"""The sums of reproductions/colourisation against all segmentations of tiny images, and where the answer is known."""

import importlib
import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import elbowroom as er

FOLDER = Path(__file__).parents[1] / "reproductions" / "colourisation"
MODULES = ("colours", "models", "sums", "segments")
K, CELLS = 3, 4
GRIDS = torch.eye(K)[torch.tensor(list(itertools.product(range(K), repeat=CELLS)))].view(-1, 2, 2, K)


@pytest.fixture(scope="module")
def parts() -> Any:
    """The modules of that folder, whose names others share."""
    sys.path.insert(0, str(FOLDER))
    kept = {name: sys.modules.pop(name, None) for name in MODULES}
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(str(FOLDER))
    for name, module in kept.items():
        sys.modules.pop(name)
        if module is not None:
            sys.modules[name] = module


def tiny(parts: Any, decoder: str, *, side: int = 4, levels: int = 5) -> er.VAE:
    """Four cells of three classes, with neighbours that count where there are any."""
    plan = parts["models"].Plan(decoder, classes=K, grid=2, side=side, channels=3, levels=levels)
    vae = parts["models"].vae(plan, 0)
    with torch.no_grad():
        for name, value in vae.named_parameters():
            if "outer" in name or "head" in name:
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    return vae.double()


def batch_of(n: int, side: int = 4, levels: int = 5) -> er.Batch:
    generator = torch.Generator().manual_seed(2)
    colours = torch.randint(levels, (n, 2, side, side), generator=generator).double()
    grey = torch.rand(n, 1, side, side, generator=generator).double()
    return er.Batch(colours, torch.arange(n), context={"grey": grey})


def every_grid(vae: er.VAE, batch: er.Batch) -> tuple[Tensor, Tensor, Tensor]:
    """log p(z | grey), log q and log p(colour | z, grey) of all 81 segmentations, [81, batch], by the model itself."""
    given, _ = vae.given(batch, {})
    given["z"] = GRIDS.double().unsqueeze(1).expand(-1, len(batch.x), -1, -1, -1)
    found = [part(given).log_prob(given["z"]) for part in (vae.prior["z"], vae.posterior["z"])]
    return (*found, vae.likelihood(given).log_prob(given["x"]))


@pytest.mark.parametrize("decoder", ["weak", "strong", "blind strong"])
def test_sums_and_gradients_are_those_over_all_segmentations(parts: Any, decoder: str) -> None:
    vae, batch = tiny(parts, decoder), batch_of(3)
    log_p, log_q, log_x = every_grid(vae, batch)
    cells = parts["sums"].cells_of(vae, batch)
    torch.testing.assert_close(cells.log_evidence, (log_p + log_x).logsumexp(0))
    torch.testing.assert_close(cells.rate, (log_q.exp() * (log_q - log_p)).sum(0))
    torch.testing.assert_close(cells.distortion, -(log_q.exp() * log_x).sum(0))
    torch.testing.assert_close(cells.entropy, -(log_p.exp() * log_p).sum(0))
    posterior = (log_p + log_x).log_softmax(0)
    own = cells.kl(cells.log_posterior).sum((1, 2))
    torch.testing.assert_close(own, (posterior.exp() * (posterior - log_p)).sum(0))
    total = parts["sums"].BySums(0.3)(vae, batch, {}, torch.tensor(0.0)).total
    wanted = (log_q.exp() * (0.3 * (log_q - log_p) - log_x)).sum(0).mean()
    moved = [p for p in vae.parameters() if p.requires_grad]
    found = torch.autograd.grad(total, moved, allow_unused=True)
    for one, other in zip(found, torch.autograd.grad(wanted, moved, allow_unused=True), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_the_evidence_is_climbed_whatever_q_is(parts: Any) -> None:
    vae, batch = tiny(parts, "strong"), batch_of(3)
    log_p, log_q, log_x = every_grid(vae, batch)
    total = parts["sums"].ByEvidence()(vae, batch, {}, torch.tensor(0.0)).total
    elbo = (log_q.exp() * (log_p + log_x - log_q)).sum(0).mean()
    torch.testing.assert_close(total, -elbo)
    for part, wanted in ((vae.likelihood, -(log_p + log_x).logsumexp(0).mean()), (vae.posterior, -elbo)):
        moved = list(part.parameters())
        expected = torch.autograd.grad(wanted, moved, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(total, moved, retain_graph=True), expected)


def test_what_is_free_costs_no_less_than_its_allowance(parts: Any) -> None:
    vae, batch = tiny(parts, "weak"), batch_of(3)
    cells = parts["sums"].cells_of(vae, batch)
    rates, distortion = cells.kl(cells.log_q).mean(0).detach(), cells.distortion.mean()
    for nats in (0.0, float(rates.median()), 50.0):
        total = parts["sums"].BySums(allowance=nats)(vae, batch, {}, torch.tensor(0.0)).total
        torch.testing.assert_close(total, distortion + rates.clamp(min=nats).sum())


@pytest.mark.parametrize("decoder", ["weak", "strong"])
def test_the_information_is_the_one_over_all_colours_and_segmentations(parts: Any, decoder: str) -> None:
    """Two levels in 2 × 2 pixels: 256 colourings, 81 segmentations."""
    vae, one = tiny(parts, decoder, side=2, levels=2), batch_of(1, 2, 2)
    colours = torch.tensor(list(itertools.product((0.0, 1.0), repeat=8))).double().view(-1, 2, 2, 2)
    grey = one.context["grey"]
    every = er.Batch(colours, torch.arange(256), context={"grey": grey.expand(256, -1, -1, -1)})
    log_p, _, log_x = every_grid(vae, every)
    evidence = (log_p + log_x).logsumexp(0)
    assert evidence.logsumexp(0).item() == pytest.approx(0.0, abs=1e-9)
    wanted = ((log_p + log_x).exp() * (log_x - evidence)).sum().item()
    n = 2_000
    many = er.Batch(one.x.expand(n, -1, -1, -1), torch.arange(n), context={"grey": grey.expand(n, -1, -1, -1)})
    joint = parts["sums"].joint(vae, many, 0)
    found = joint.information()
    assert wanted > 0.01
    for name in ("by posterior", "by likelihood"):
        assert abs(found[name].mean() - wanted) < 4.5 * found[name].std() / math.sqrt(n), name
    ends = {draws: [side.mean().item() for side in joint.nested(draws, 0)] for draws in (1, 64)}
    error = 4.5 * found["by likelihood"].std() / math.sqrt(n)
    for high, low in ends.values():
        assert low - error < wanted < high + error
    assert ends[64][0] - ends[64][1] < 0.2 * (ends[1][0] - ends[1][1])


def test_a_collapsed_segmentation_has_no_information_and_a_planted_one_log_k(parts: Any) -> None:
    collapsed = parts["sums"].joint(tiny(parts, "blind weak"), batch_of(50), 0)
    assert collapsed.information()["by posterior"].abs().max() < 1e-12
    assert collapsed.information()["by likelihood"].abs().max() < 1e-9
    vae = tiny(parts, "strong")
    with torch.no_grad():
        for part in (vae.prior["z"], vae.likelihood):
            part.network.head.weight.zero_()
            part.network.head.bias.zero_()
        vae.likelihood.outer.weight.zero_(), vae.likelihood.outer.bias.zero_()
        numbers = vae.likelihood.network.head.bias.view(K, 2, 2)
        numbers[:, 0] = torch.tensor([0.0, 0.5, 1.0]).unsqueeze(1)  # each class a colour of its own, all but noise-free
        numbers[:, 1] = -10.0
    planted = parts["sums"].joint(vae, batch_of(50), 0).information()
    for name in ("by posterior", "by likelihood", "entropy"):
        torch.testing.assert_close(planted[name], torch.full((50,), CELLS * math.log(K)).double(), rtol=1e-5, atol=1e-5)


def test_training_finds_a_segmentation_that_was_planted(parts: Any) -> None:
    """Cells of three colours, whatever grey says: the segments are these colours, at the rate of log 3 a cell."""
    generator = np.random.default_rng(0)
    which = generator.integers(0, K, (40, 4, 4))
    levels = np.kron(np.array([8, 16, 24])[which], np.ones((2, 2))) + generator.integers(-1, 2, (40, 8, 8))
    chroma = torch.from_numpy(np.stack([levels, 32 - levels], 1)).float()
    grey = {"grey": torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))}
    plan = parts["models"].Plan("weak", classes=K, grid=4, side=8, channels=4)
    vae, batch = parts["models"].vae(plan, 3), er.Batch(chroma, torch.arange(40), context=grey)
    goal, adam = parts["sums"].BySums(), torch.optim.Adam(vae.parameters(), 0.02)
    for _ in range(80):
        adam.zero_grad()
        goal(vae, batch, {}, torch.tensor(0.0)).total.backward()
        adam.step()
    with torch.no_grad():
        cells = parts["sums"].cells_of(vae, batch)
    rate = cells.kl(cells.log_posterior).sum((1, 2)).mean().item()
    assert rate == pytest.approx(16 * math.log(K), rel=0.1)
    assert parts["segments"].agreement(cells.log_posterior.argmax(-1).numpy(), which) > 0.95


def test_segments_are_probed_and_compared(parts: Any) -> None:
    segments, generator = parts["segments"], np.random.default_rng(0)
    grey = np.repeat(np.arange(3), 40)
    images = 80.0 * grey[:, None, None, None] + generator.normal(0, 4, (120, 3, 16, 16)) + 40
    images[:, 0] += 40 * (np.arange(16) < 8)  # the left half is red
    order = generator.permutation(120)
    data = parts["colours"].dataset(images[order], grey[order], (60, 10))
    assert data.test.context["grey"].shape == (50, 1, 8, 8)
    found = segments.of_clusters(data, "grey", 3, 4)
    assert found["accuracy"][0] == 1.0
    assert found["permuted"][0] == pytest.approx(1 / 3, abs=0.15)
    assert found["agreement"]["grey"] == pytest.approx(1.0)
    assert abs(found["agreement"]["colour"]) < 0.05
    left = np.zeros((50, 4, 4), int)
    left[:, :, :2] = 1
    assert segments.agreement(segments.clusters(data, "colour", 2, 4)[1], left) > 0.95
    read = parts["colours"].joined(data.test.context["grey"], data.test.x)
    small = parts["colours"].smaller(images[order][70:]) / 255
    off = np.abs(read.numpy() - small.clip(0, 1))
    assert off.max() < 1.2 * 2 / 255 / 0.564 + 0.01  # half a level of a channel, and what it does to green
