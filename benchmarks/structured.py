"""What correlated residuals cost: the structured Gaussians beside independent ones, on images of two sizes.

    diagonal               independent Normals, σ predicted: what every ratio is to
    low rank, predicted    diagonal plus rank 20, factor predicted
    low rank, shared       the same with one factor and one σ per element
    torch's low rank       torch's LowRankMultivariateNormal with the predicted factor (its float32 is not exact)
    sparse 1, sparse 2     sparse Cholesky factor of the precision, radius 1 and 2, predicted
    Matérn                 a stationary field times a predicted σ; for colour images with a mixing of channels

Timed are the log-density of a batch with its gradient to every parameter, and a draw, from parameters that are there:
the network that predicts them is left out. Cases run in turn; each ratio is taken within a round, to the mean of the
diagonal's two runs around the case. First it is checked that all agree with the diagonal where nothing is correlated.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from record import write_record
from torch import Tensor
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, Normal

from elbowroom.distributions import LowRankNormal, MaternField, SparsePrecisionNormal
from elbowroom.distributions.sparse_precision_normal import later_neighbours

LIMITS = {"density and gradient": 0.05, "draw": 0.05}  # seconds per 64 × 64 colour image, any structure
BATCH, RANK, SIGMA = 32, 20, 0.1
IMAGES = {"28x28": (1, 28, 28), "64x64 colour": (3, 64, 64)}

Case = tuple[Callable[..., Distribution], list[Tensor]]


def cases(image: tuple[int, ...], tied: float = 1.0) -> Iterator[tuple[str, Case]]:
    """Name, distribution and parameters of each structure; tied=0 takes the correlations away."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    mean, sigma = torch.zeros(BATCH, *image), torch.full((BATCH, *image), SIGMA)
    yield "diagonal", (lambda m, s: Independent(Normal(m, s, validate_args=False), 3, False), [mean, sigma])
    factor = tied * SIGMA * randn(BATCH, RANK, *image)
    yield "low rank, predicted", (low_rank, [mean, sigma, factor])
    yield "low rank, shared", (low_rank, [mean, sigma[0].clone(), factor[0].clone()])
    yield "torch's low rank", (torchs_low_rank, [mean, sigma, factor])
    for radius in (1, 2):
        ties = tied * 0.1 / SIGMA * randn(BATCH, len(later_neighbours(radius, image[0])), *image)
        yield f"sparse {radius}", (sparse(image, radius), [mean, -sigma.log(), ties])
    nugget = torch.tensor(1 - 0.5 * tied)
    colours = [torch.linalg.cholesky(torch.eye(3) * (1 - 0.5 * tied) + 0.5 * tied)] if image[0] == 3 else []
    yield "Matérn", (matern(image), [mean, sigma, torch.tensor(2.0), nugget, *colours])


def low_rank(mean: Tensor, sigma: Tensor, factor: Tensor) -> Distribution:
    return LowRankNormal(mean, sigma, factor, 3, validate_args=False)


def torchs_low_rank(mean: Tensor, sigma: Tensor, factor: Tensor) -> Distribution:
    return LowRankMultivariateNormal(mean.flatten(1), factor.flatten(2).mT, sigma.flatten(1) ** 2, validate_args=False)


def sparse(image: tuple[int, ...], radius: int) -> Callable[..., Distribution]:
    def neighbourhood(mean: Tensor, log_diagonal: Tensor, ties: Tensor) -> Distribution:
        return SparsePrecisionNormal(mean, log_diagonal, ties, image, radius, validate_args=False)

    return neighbourhood


def matern(image: tuple[int, ...]) -> Callable[..., Distribution]:
    def field(
        mean: Tensor, sigma: Tensor, length: Tensor, nugget: Tensor, mixing: Tensor | None = None
    ) -> Distribution:
        return MaternField(mean, sigma, length, nugget, image, mixing=mixing, validate_args=False)

    return field


def shaped(p: Distribution, x: Tensor) -> Tensor:
    return x.reshape(p.batch_shape + p.event_shape)


def density_and_gradient(kind: Callable[..., Distribution], parameters: list[Tensor], x: Tensor) -> None:
    p = kind(*parameters)
    torch.autograd.grad(p.log_prob(shaped(p, x)).mean(), parameters)


@torch.no_grad()
def draw(kind: Callable[..., Distribution], parameters: list[Tensor], x: Tensor) -> None:
    kind(*parameters).rsample()


WORK = {"density and gradient": density_and_gradient, "draw": draw}


def check_agreement(image: tuple[int, ...], x: Tensor) -> None:
    """Raise where a structure without correlations is not the diagonal."""
    expected = None
    for _, (kind, parameters) in cases(image, tied=0.0):
        p = kind(*parameters)
        found = p.log_prob(shaped(p, x))
        expected = found if expected is None else expected
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2 * math.sqrt(image[0]))


def seconds(work: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats / BATCH


def measured(image: tuple[int, ...], what: str, rounds: int, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds per example and ratio to the diagonal, for each structure."""
    x = SIGMA * torch.randn(BATCH, *image, generator=torch.Generator().manual_seed(1))
    check_agreement(image, x)
    jobs: dict[str, Callable[[], None]] = {}
    for name, (kind, parameters) in cases(image):
        leaves = [p.requires_grad_() for p in parameters]
        jobs[name] = lambda kind=kind, leaves=leaves: WORK[what](kind, leaves, x)  # type: ignore[misc]
    for work in jobs.values():
        work()  # once unmeasured
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    ratios: dict[str, list[float]] = {name: [] for name in jobs if name != "diagonal"}
    for _ in range(rounds):
        before = seconds(jobs["diagonal"], repeats)
        for name in ratios:
            here, after = seconds(jobs[name], repeats), seconds(jobs["diagonal"], repeats)
            taken[name].append(here)
            taken["diagonal"].append(after)
            ratios[name].append(2 * here / (before + after))
            before = after
    return {
        name: {"seconds_per_example": spread(taken[name])} | ({"ratio": spread(ratios[name])} if name in ratios else {})
        for name in jobs
    }


def spread(values: list[float]) -> dict[str, float]:
    """Least, median and greatest."""
    ends = {"least": min(values), "median": statistics.median(values), "greatest": max(values)}
    return {name: float(f"{value:.3g}") for name, value in ends.items()}


def main() -> None:
    """Measure, print, and write records/structured.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    results: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]] = {}
    for size, image in IMAGES.items():
        results[size] = {what: measured(image, what, rounds, 10 if image[0] == 1 else 2) for what in WORK}
        for what, rows in results[size].items():
            print(f"{size}, {what}")
            for name, row in rows.items():
                ratio = f"{row['ratio']['median']:8.1f} ×" if "ratio" in row else " " * 10
                print(f"  {1e3 * row['seconds_per_example']['median']:9.3f} ms {ratio}  {name}")
    within = {
        what: all(row["seconds_per_example"]["median"] < limit for row in results["64x64 colour"][what].values())
        for what, limit in LIMITS.items()
    }
    numbers = {
        "batch": BATCH,
        "rank": RANK,
        "rounds": rounds,
        "how": "one run, cases in turn; ratio to the mean of the diagonal's runs before and after, median over rounds",
        "limits_seconds_per_example": LIMITS,
        "within_limits": within,
        "results": results,
    }
    print(f"written: {write_record('structured', numbers)}")


if __name__ == "__main__":
    main()
