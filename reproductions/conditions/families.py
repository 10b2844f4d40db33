"""Is "condition lost" found where a condition is lost, and not where it is not? Conditional models of planted worlds.

    python reproductions/conditions/families.py           # records/families.json, world by world
    python reproductions/conditions/families.py tables    # the README's tables

A world is one of those of `tests/planted_worlds.py`, other seeds: z of a known density, a known decoder, known noise.
The first numbers of z are the condition, so that log p(x | c) and the mean of x given c are known.
"""

import copy
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parents[1] / "tests"), str(HERE.parent)]

import growing  # noqa: E402
import planted_worlds as planted  # noqa: E402
from growing import Row, by  # noqa: E402
from planted_worlds import HELD_OUT, World, worlds_of  # noqa: E402

import elbowroom as er  # noqa: E402
from elbowroom.ledger.symptoms import Symptoms  # noqa: E402
from elbowroom.ledger.symptoms_of_condition import condition_lost  # noqa: E402
from elbowroom.ledger.verdict import verdict  # noqa: E402
from elbowroom.records import Number  # noqa: E402

EPOCHS, LR, WIDTH, TOLD = 100, 6e-3, 32, 150
NEAR = 1.0  # nats of log p(x | c) below the planted density within which a model counts as healthy
WORLDS = (
    *worlds_of("normal", [(2, 6, 800)], 510),
    *worlds_of("bernoulli", [(2, 14, 1000)], 540),
    *worlds_of("poisson", [(2, 8, 800)], 560),
    *worlds_of("normal", [(3, 8, 1000)], 530, decoder="folded"),
    *worlds_of("bernoulli", [(3, 16, 1000)], 550, decoder="waves"),
    *worlds_of("normal", [(2, 9, 800), (4, 12, 1000)], 520, decoder="waves"),
    *worlds_of("poisson", [(3, 10, 1000)], 570, decoder="folded"),
    *worlds_of("normal", [(3, 10, 1000)], 580),
)
READS_C: dict[str, Any] = {"prior": {"kind": "normal-prior", "given": ["c"]}}
WAYS: dict[str, dict[str, Any]] = {"prior": READS_C, "decoder": {}, "both": READS_C}
"""What reads c: p(z | c), p(x | z, c), or both."""

TRAINED: dict[str, dict[str, tuple[int, float]]] = {
    "prior": {"healthy 0": (0, 1.0), "healthy 1": (1, 1.0), "β = 30": (0, 30.0), "β = 1,000": (0, 1_000.0)},
    "decoder": {"healthy 0": (0, 1.0), "healthy 1": (1, 1.0), "β = 0.3": (0, 0.3), "β = 0.05": (0, 0.05)},
    "both": {"healthy 0": (0, 1.0), "healthy 1": (1, 1.0), "β = 30": (0, 30.0)},
}
"""By way: name of a model → seed and β."""


class Record(growing.Record):
    """The record beside those of `run.py`."""

    folder = HERE / "records"


@dataclass(frozen=True)
class Conditional:
    """A world of which the first numbers of z are the condition."""

    world: World

    @property
    def known(self) -> int:
        """How many numbers the condition has."""
        return max(1, self.world.latents - 2)

    def rows(self) -> tuple[planted.Array, planted.Array]:
        """x and all of z."""
        drawn = np.random.default_rng(self.world.seed)
        planted._weights(self.world, drawn)
        n = self.world.rows + 2 * HELD_OUT
        return planted._planted(self.world, n), planted._latents(self.world, n, drawn)

    def data(self, *, shuffled: bool = False) -> er.data.Dataset:
        """The data; `shuffled`: conditions that were dealt to the wrong rows."""
        x, z = self.rows()
        c = z[:, : self.known]
        c = np.random.default_rng(self.world.seed).permutation(c) if shuffled else c
        support = {"normal": "real", "bernoulli": "binary", "poisson": "counts"}[self.world.kind]
        held = {"validation": HELD_OUT, "test": HELD_OUT, "seed": self.world.seed, "progress": False}
        return er.load_data(x, support=support, context={"c": c}, name=self.world.name, **held)

    def truth(self) -> er.VAE:
        """The planted p(x | c), with a q that knows nothing."""
        whole, hidden = planted.truth(self.world), self.world.latents - self.known
        kinds: dict[str, Callable[..., Any]] = {
            "normal": lambda *args, **words: er.likelihoods.Normal(*args, scale=self.world.sigma, **words),
            "bernoulli": er.likelihoods.Bernoulli,
            "poisson": er.likelihoods.Poisson,
        }
        decoder = _Reordered(whole.likelihood.network)
        likelihood = kinds[self.world.kind](decoder, self.world.columns, given=("z", "c"))
        encoder = torch.nn.Linear(self.world.columns, 2 * hidden)
        torch.nn.init.zeros_(encoder.weight)
        torch.nn.init.zeros_(encoder.bias)
        return er.VAE(er.priors.StandardNormal(hidden), er.posteriors.DiagonalNormal(encoder, hidden), likelihood)


class _Reordered(torch.nn.Module):
    """The planted decoder, which reads c first, of z and c."""

    def __init__(self, decoder: torch.nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.decoder(torch.cat([c.to(z.dtype), z], 1))
        return out


def recipe(one: Conditional, way: str, seed: int) -> er.models.Recipe:
    """The right likelihood, and as many latents as the world has."""
    likelihood: dict[str, Any] = {"kind": one.world.kind}
    if one.world.kind == "normal":
        likelihood["scale"] = "shared"
    if way == "prior":
        likelihood["given"] = ["z"]
    words = {"latents": one.world.latents, "widths": [WIDTH], "likelihood": likelihood, "seed": seed}
    return er.models.Recipe().where(**words, **WAYS[way])


def fitted(one: Conditional, way: str, data: er.data.Dataset, asked: dict[str, tuple[int, float]]) -> list[er.VAE]:
    """Models of one way, trained as one stack where they can be."""
    vaes = [er.models.build(recipe(one, way, seed), data) for seed, _ in asked.values()]
    goals = [er.objectives.Elbo(beta) for _, beta in asked.values()]
    how = {"epochs": EPOCHS, "lr": LR, "lr_final": LR / 20, "progress": False, "processes": 1}
    er.fit_stacked(vaes, data, goals, seed=[seed for seed, _ in asked.values()], **how)
    return vaes


def models(one: Conditional) -> Iterator[tuple[str, str, str, er.VAE]]:
    """What was built ("healthy", "lost", or "between"), the way, how, and the model."""
    for way, asked in TRAINED.items():
        for (how, (_, beta)), vae in zip(asked.items(), fitted(one, way, one.data(), asked), strict=True):
            built = "healthy" if beta == 1 else "lost" if beta == 1_000 else "between"
            yield built, way, how, vae
            if way == "decoder" and how == "healthy 0":
                for factor in (0.0, 0.5, 0.9):
                    built = "lost" if factor == 0 else "between"
                    yield built, way, f"weights of c × {factor:g}", _cut(vae, factor)
        shuffled = {"c of other rows": (0, 1.0)}
        yield "lost", way, *shuffled, fitted(one, way, one.data(shuffled=True), shuffled)[0]


def _cut(vae: er.VAE, factor: float) -> er.VAE:
    """The decoder's first weights of c, scaled."""
    other = copy.deepcopy(vae)
    first = next(part for part in other.likelihood.modules() if isinstance(part, torch.nn.Linear))
    with torch.no_grad():
        first.weight[:, vae.latents :] *= factor
    return other


def measured(world: str) -> Row:
    """Every model of a world: the audit's number, what of c the model shows of what the planted density shows, nats."""
    one = Conditional(next(w for w in WORLDS if w.name == world))
    data, truth = one.data(), one.truth()
    own = condition_lost(truth, data, data.test, 0)
    found = []
    for built, way, how, vae in models(one):
        lost, held, shown, reads = condition_lost(vae, data, data.test, 0)
        names = ("condition", "condition_held", "condition_shown", "decoder_reads")
        (finding,), _ = verdict(Symptoms(**dict(zip(names, (lost, held, shown, reads), strict=True))))
        row: Row = {"built": built, "way": way, "how": how, "lost": pair(lost), "found": finding.found}
        row["truly lost"] = 100 * (1 - shown.value / own[2].value)
        found.append(row | ({"below": below(truth, vae, data)} if built == "healthy" else {}))
    return {"line": pair(own[1]), "planted": pair(own[2]), "models": found}


def pair(number: Number) -> list[float]:
    """Value and standard error."""
    return [number.value, number.se or 0.0]


def below(truth: er.VAE, vae: er.VAE, data: er.data.Dataset) -> list[float]:
    """log p(x | c) of the planted density minus the model's on the same test rows, and its error, nats."""
    rows = data.test[:TOLD]
    own, other = (
        er.evidence.iwae(er.remedies.refine(vae, rows, steps=200, draws=1).vae, rows, draws=256) for vae in (truth, vae)
    )
    return [(own - other).mean, (own - other).se_total]


def rows() -> list[Row]:
    """Of all models, those without a fault that missed the planted density set apart."""
    found = []
    for world in Record.made("families"):
        for one in world["models"]:
            far = one["built"] == "healthy" and one["below"][0] > NEAR
            how = "β = 1" if one["built"] == "healthy" else one["how"]
            found.append(one | {"world": world["world"], "built": "far" if far else one["built"], "how": how})
    return found


ORDER = ("healthy", "far", "lost", "between")
TOLD_APART = (-math.inf, 25, 50, 75, math.inf)


def tables() -> None:
    """Print the tables of the README."""
    print("| built | how | c reaches x by | models | called lost | lost, % | truly lost, % | nats below |")
    print("|---" * 8 + "|")
    every = sorted(rows(), key=lambda r: (ORDER.index(r["built"]), r["how"], r["way"]))
    for (built, how, way), some in by(every, "built", "how", "way").items():
        called = sum(one["found"] for one in some)
        cells = [span([one["lost"][0] for one in some], 0), span([one["truly lost"] for one in some], 0)]
        cells.append(span([one["below"][0] for one in some], 2) if "below" in some[0] else "–")
        print(f"| {built} | {how} | {way} | {len(some)} | {called} | {' | '.join(cells)} |")
    print("\n| truly lost, % | models | called lost |\n|---|---|---|")
    for low, high in itertools.pairwise(TOLD_APART):
        inside = [one["found"] for one in every if low <= one["truly lost"] < high]
        ends = f"below {high:g}" if low == -math.inf else f"{low:g} to {min(high, 100):g}"
        print(f"| {ends} | {len(inside)} | {sum(inside)} |")


def span(values: list[float], digits: int) -> str:
    """Median, least and greatest."""
    middle, *ends = (
        f"{round(value, digits) + 0.0:.{digits}f}" for value in (np.median(values), min(values), max(values))
    )
    return f"{middle} ({' … '.join(ends)})".replace("-", "−")


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] == ["tables"]:
        tables()
        return
    record = Record("families", epochs=EPOCHS, lr=LR, width=WIDTH)
    record.rows([{"world": world.name} for world in WORLDS], measured)
    from canaries import canaries
    from canary import keep

    keep(record.path, canaries())


if __name__ == "__main__":
    main()
