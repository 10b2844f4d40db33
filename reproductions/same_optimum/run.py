"""EM, the ELBO at the exact q and a VAE: one optimum on probabilistic PCA and on a mixture; clusters of digits.

    python reproductions/same_optimum/run.py           # record.json, tables, figure; rows that are there stay
    python reproductions/same_optimum/run.py --draw    # the tables and the figure alone

All three ways start at the same parameters and see the same 500 rows in every pass.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clusters import CLUSTERS, clusters
from torch import Tensor, nn

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.exact import GaussianMixture, LinearVAE, ProbabilisticPCA
from elbowroom.numerics import derived_seed
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(3)
ROWS, LOOKS = 500, (1, 2, 5, 10, 20, 50, 100, 200, 400, 1_000)
LATENTS, COMPONENTS = 2, 3
PROBLEMS = ("probabilistic PCA", "mixture")
WAYS = ("EM", "exact-q ELBO", "VAE", "VAE, its ELBO")
RATE, FINAL, DRAWS = 2e-2, 1e-3, 8
Model = dict[str, Tensor]


def rows_of(problem: str) -> Tensor:
    """500 rows: of two latents in eight columns, or of three overlapping components in the plane."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    if problem == "mixture":
        which = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), ROWS, True, generator=generator)
        means = torch.tensor([[-2.0, 0.0], [2.0, 0.5], [0.0, 3.0]], dtype=torch.float64)
        return means[which] + 0.9 * normal(ROWS, 2)
    loads = normal(8, LATENTS) * torch.tensor([1.5, 0.8], dtype=torch.float64)
    return normal(ROWS, LATENTS) @ loads.T + 0.5 * normal(ROWS, 8)


def start(problem: str, x: Tensor, seed: int) -> Model:
    """Where all three begin."""
    generator = torch.Generator().manual_seed(seed)
    if problem == "mixture":
        some = torch.randperm(ROWS, generator=generator)[:COMPONENTS]
        return {"log_weights": torch.full((COMPONENTS,), -math.log(COMPONENTS), dtype=x.dtype)} | {
            "means": x[some].clone(),
            "log_sigma": x.var(0).mean().sqrt().log(),
        }
    loads = 0.1 * torch.randn(x.shape[1], LATENTS, generator=generator, dtype=x.dtype)
    return {"loads": loads, "mean": torch.zeros(x.shape[1], dtype=x.dtype), "log_sigma": torch.zeros((), dtype=x.dtype)}


def exact(problem: str, model: Model) -> ProbabilisticPCA | GaussianMixture:
    """The model in closed form."""
    variance = (2 * model["log_sigma"]).exp()
    if problem == "mixture":
        covariance = variance * torch.eye(2, dtype=variance.dtype)
        weights = model["log_weights"].softmax(0)
        return GaussianMixture(weights, model["means"], covariance.expand(COMPONENTS, 2, 2))
    return ProbabilisticPCA(model["loads"], model["mean"], float(variance))


def log_prob(problem: str, model: Model, x: Tensor) -> float:
    """Mean log p(x), nats."""
    with torch.no_grad():
        return float(exact(problem, model).log_prob(x).mean())


def moments(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """Means of z given x [n, d], and the covariance that all have: probabilistic PCA."""
    loads, variance = model["loads"], (2 * model["log_sigma"]).exp()
    m = loads.T @ loads + variance * torch.eye(LATENTS, dtype=x.dtype)
    return torch.linalg.solve(m, loads.T @ (x - model["mean"]).T).T, variance * torch.linalg.inv(m)


def em_step(problem: str, model: Model, x: Tensor) -> Model:
    """The best parameters at the posterior of these."""
    if problem == "mixture":
        shares = exact(problem, model).posterior(x)
        size = shares.sum(0)
        means = shares.T @ x / size[:, None]
        squares = (shares * (x[:, None] - means).square().sum(2)).sum() / x.numel()
        return {"log_weights": (size / ROWS).log(), "means": means, "log_sigma": squares.log() / 2}
    z, covariance = moments(model, x)
    wide = torch.cat([z, torch.ones(ROWS, 1, dtype=x.dtype)], 1)
    second = wide.T @ wide
    second[:LATENTS, :LATENTS] += ROWS * covariance
    both = torch.linalg.solve(second, wide.T @ x).T
    squares = (x.square().sum() - (both * (x.T @ wide)).sum()) / x.numel()
    return {"loads": both[:, :LATENTS], "mean": both[:, LATENTS], "log_sigma": squares.log() / 2}


def by_em(problem: str, x: Tensor, seed: int, looks: tuple[int, ...]) -> list[float]:
    """log p(x) after so many steps of EM."""
    model, found = start(problem, x, seed), []
    for step in range(1, looks[-1] + 1):
        model = em_step(problem, model, x)
        found += [log_prob(problem, model, x)] if step in looks else []
    return found


def expected(problem: str, model: Model, x: Tensor) -> Tensor:
    """Mean of E log p(x, z) over the exact posterior, which is held: its gradient is that of the ELBO, and of log p."""
    if problem == "mixture":
        with torch.no_grad():
            shares = exact(problem, model).posterior(x)
        return (shares * exact(problem, model).log_joint(x)).sum(1).mean()
    with torch.no_grad():
        z, covariance = moments(model, x)
    error = (x - model["mean"] - z @ model["loads"].T).square().sum(1).mean()
    error = error + ((model["loads"] @ covariance) * model["loads"]).sum()
    return -error / (2 * (2 * model["log_sigma"]).exp()) - x.shape[1] * model["log_sigma"]


def by_exact_elbo(problem: str, x: Tensor, seed: int, looks: tuple[int, ...]) -> list[float]:
    """log p(x) after so many passes of Adam on the ELBO at the exact posterior, five batches each."""
    model = {name: value.requires_grad_() for name, value in start(problem, x, seed).items()}
    adam, generator, found = torch.optim.Adam(model.values(), lr=RATE), torch.Generator().manual_seed(seed), []
    for step in range(1, looks[-1] + 1):
        for some in torch.randperm(ROWS, generator=generator).split(100):
            adam.zero_grad()
            (-expected(problem, model, x[some])).backward()
            adam.step()
        adam.param_groups[0]["lr"] = rate(step)
        found += [log_prob(problem, model, x)] if step in looks else []
    return found


def rate(passes: int) -> float:
    """Adam's rate after so many passes."""
    return RATE * (FINAL / RATE) ** (passes / LOOKS[-1])


def dataset(x: Tensor) -> er.data.Dataset:
    """All rows to train on; some are the validation too."""
    data = er.load_data(x.float().numpy(), preprocess="none", validation=2, test=2, progress=False)
    every = er.data.Examples(x.float(), torch.arange(ROWS))
    data.train, data.validation, data.test = every, every[:50], every
    return data


def vae_of(problem: str, x: Tensor, seed: int) -> er.VAE:
    """The model with an encoder: linear for probabilistic PCA, a small network to the classes for the mixture."""
    torch.manual_seed(derived_seed(seed, 1))
    model, columns = start(problem, x, seed), x.shape[1]
    hidden = COMPONENTS if problem == "mixture" else LATENTS
    decoder = nn.Linear(hidden, columns, bias=problem != "mixture")
    with torch.no_grad():
        decoder.weight.copy_(model["means"].T if problem == "mixture" else model["loads"])
        if decoder.bias is not None:
            decoder.bias.zero_()
    sigma = float(model["log_sigma"].exp())
    likelihood = er.likelihoods.Normal(decoder, columns, scale="shared", start=sigma, floor=0.01)
    if problem == "mixture":
        encoder = er.networks.MLP([columns, 32, COMPONENTS])
        return er.VAE(er.priors.Categorical(COMPONENTS), er.posteriors.Categorical(encoder, COMPONENTS), likelihood)
    posterior = er.posteriors.DiagonalNormal(nn.Linear(columns, 2 * LATENTS), LATENTS)
    return er.VAE(er.priors.StandardNormal(LATENTS), posterior, likelihood)


def readings(problem: str, vae: er.VAE, x: Tensor) -> tuple[float, float]:
    """Mean log p(x) of the VAE in closed form, and its ELBO."""
    if problem != "mixture":
        return float(LinearVAE(vae).log_prob(x.float()).mean()), float(LinearVAE(vae).elbo(x.float()).mean())
    model = {
        "log_weights": vae.prior["z"].logits.detach().flatten().double(),
        "means": vae.likelihood.network.weight.detach().T.double(),
        "log_sigma": vae.likelihood.common_scale().detach().double().log(),
    }
    with torch.no_grad():
        shares = vae.posterior["z"]({"x": x.float()[None]}).probs[0].double()
    known = exact(problem, model)
    return float(known.log_prob(x).mean()), float(known.elbo(x, shares).mean())


class Watched(er.procedures.Procedure):
    """The plain procedure, with a look at the model after some epochs."""

    alone = "Its looks are at one model."

    def __init__(self, read: Callable[[], tuple[float, float]], looks: tuple[int, ...]) -> None:
        super().__init__({"vae": er.procedures.Phase(er.objectives.Elbo(draws=DRAWS))})
        self.read, self.looks, self.epoch, self.found = read, looks, 0, list[tuple[float, float]]()

    def after_epoch(self, means: Mapping[str, float]) -> None:
        """Look."""
        self.epoch += 1
        self.found += [self.read()] if self.epoch in self.looks else []


def by_vae(problem: str, x: Tensor, seed: int, looks: tuple[int, ...]) -> list[list[float]]:
    """log p(x) and ELBO of a VAE after so many passes; the rate falls as for the exact q."""
    vae = vae_of(problem, x, seed)
    watched = Watched(lambda: readings(problem, vae, x), looks)
    settings = {"lr": RATE, "lr_final": FINAL, "batch_size": 100, "select": "last", "seed": seed, "progress": False}
    er.fit(vae, dataset(x), watched, epochs=looks[-1], **settings)
    return [[one[part] for one in watched.found] for part in (0, 1)]


def optimum(problem: str, x: Tensor) -> float:
    """The greatest log p(x): in closed form, or the best of ten runs of EM from other starts."""
    if problem == "mixture":
        return max(by_em(problem, x, 1_000 + seed, (2_000,))[0] for seed in range(10))
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    return er.exact.stationary_points(values, LATENTS)[0].log_prob


def curves(problem: str, seed: int, looks: tuple[int, ...] = LOOKS) -> dict[str, Any]:
    """log p(x) over the passes by every way, and the optimum."""
    x = rows_of(problem)
    found = {"EM": by_em(problem, x, seed, looks), "exact-q ELBO": by_exact_elbo(problem, x, seed, looks)}
    found["VAE"], found["VAE, its ELBO"] = by_vae(problem, x, seed, looks)
    return {"optimum": optimum(problem, x), **found}


def rows() -> dict[str, Callable[[], dict[str, Any]]]:
    """What is computed, by the name of the row."""
    made = {f"{p}, seed {seed}": partial(curves, p, seed) for p in PROBLEMS for seed in SEEDS}
    return made | {f"digits, seed {seed}": partial(clusters, seed) for seed in SEEDS}


def over_seeds(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean over seeds, and its standard error."""
    found = np.array(values)
    errors = found.std(0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.full(found.shape[1:], np.nan)
    return found.mean(0), errors


def at_hand(record: dict[str, Any], what: str) -> list[dict[str, Any]]:
    """The rows that are there, of all seeds."""
    return [record[f"{what}, seed {seed}"] for seed in SEEDS if f"{what}, seed {seed}" in record]


def tables(record: dict[str, Any]) -> Iterator[str]:
    """Markdown: how far each way is below the optimum, over the passes; clusters of digits."""
    for problem in PROBLEMS:
        every = at_hand(record, problem)
        name, top = problem[0].upper() + problem[1:], every[0]["optimum"]
        yield f"{name}, starts: {len(every)}; nats below the optimum, {top:.4f} per row".replace("-", "−")
        yield ""
        yield f"| passes | {' | '.join(WAYS)} |"
        yield "|---" * (len(WAYS) + 1) + "|"
        below = {way: over_seeds([[one["optimum"] - v for v in one[way]] for one in every]) for way in WAYS}
        for i, look in enumerate(LOOKS):
            cells = [
                f"{mean[i]:.4f} ± {error[i]:.4f}".replace("-", "−").replace(" ± nan", "")
                for mean, error in below.values()
            ]
            yield f"| {look} | {' | '.join(cells)} |"
        yield ""
    yield "| clusters of digits (test) | accuracy | NMI |"
    yield "|---|---|---|"
    for name in CLUSTERS:
        mean, error = over_seeds([one[name] for one in at_hand(record, "digits")])
        yield f"| {name} | {mean[0]:.3f} ± {error[0]:.3f} | {mean[1]:.3f} ± {error[1]:.3f} |"


def draw(record: dict[str, Any]) -> None:
    """figure.svg: the curves of both problems, and the optimum."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "same-optimum"}):
        figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
        for axis, problem in zip(axes, PROBLEMS, strict=True):
            every = at_hand(record, problem)
            shown = {way: over_seeds([one[way] for one in every]) for way in WAYS}
            series = [Series(way, list(LOOKS), *map(list, found)) for way, found in shown.items()]
            series.append(Series("optimum", list(LOOKS), [every[0]["optimum"]] * len(LOOKS), None, "dashed"))
            top = every[0]["optimum"]
            lines(
                series, across=f"passes, {problem}", up="nats per row", log_x=True, limits=(top - 3, top + 0.2), ax=axis
            )
        figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    """Compute what is not there, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the tables and the figure")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name, make in rows().items() if not parser.parse_args().draw else ():
        if name not in record:
            from canaries import keep_row

            record[name] = make()
            write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            keep_row(name)
            record = json.loads(RECORD.read_text(encoding="utf-8"))
            print(name, record[name], flush=True)
    path = HERE / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->\n")
    said = "\n".join(tables(record))
    write_atomic(path, f"{head}<!-- table -->\n{said}\n<!-- end -->{rest.partition('<!-- end -->')[2]}")
    draw(record)


if __name__ == "__main__":
    main()
