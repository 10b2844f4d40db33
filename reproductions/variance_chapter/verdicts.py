"""The chapter's claims about the simple VAE, each judged at three floors of σ, either way."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIMPLE = "normal, σ(z)"
"""The chapter's simple VAE at d = 20: mean and σ of every pixel predicted."""
MODELS: dict[str, Any] = {}
SAMPLES: dict[str, Any] = {}
"""The records, once `read_records` was called."""
FLOORS = {"one grid step's noise": "", "0.01": ", floor 0.01", "0.1": ", floor 0.1"}
"""Least σ of a pixel in [0, 1], and what it adds to a model's name; a grid step's noise is 0.0011."""
HELD, TURNED, LEVEL, NO = "held", "turned round", "not told apart", "did not hold"
Number = tuple[float, float]  # and its standard error


@dataclass(frozen=True)
class Claim:
    """What a figure of the chapter claims, the numbers at a floor in words, and the verdict there."""

    figure: str
    said: str
    measured: Callable[[str], str]
    judged: Callable[[str], str]

    def at(self) -> dict[str, tuple[str, str]]:
        """Numbers and verdict by floor; floors at which a model is not in the records are left out."""
        found = {}
        for floor, words in FLOORS.items():
            try:
                found[floor] = self.measured(words), self.judged(words)
            except KeyError:
                continue
        return found

    def verdict(self) -> str:
        """At how many floors it held, and what happened at the others."""
        verdicts = {floor: verdict for floor, (_, verdict) in self.at().items()}
        others = [f"{verdict} at {floor}" for floor, verdict in verdicts.items() if verdict != HELD]
        missing = [floor for floor in FLOORS if floor not in verdicts]
        others += [f"not measured at {' and '.join(missing)}"] if missing else []
        said = f" ({'; '.join(others)})" if others else ""
        held, count = [verdict for verdict in verdicts.values() if verdict == HELD], len(verdicts)
        return f"held at {len(held)} of {count} floor{'s' * (count > 1)}{said}"


def simple(d: int, floor: str, beta: str = "") -> str:
    """Name of the simple VAE with d latents."""
    if d == 20 and not floor and not beta:
        return SIMPLE
    return f"simple d={d}{floor}" + (f", β={beta}" if beta else "")


def error(name: str) -> Number:
    """Squared error of a model's reconstructions on test, and its standard error; "PCA 10" is PCA's."""
    row = MODELS["pca"][name.split()[1]] if name.startswith("PCA") else MODELS[name]
    return tuple(row["squared_error"])


def changed(name: str) -> float:
    """Share of decoded means that are of another class than the image."""
    return float(MODELS[name]["changed_class"]["value"])


def frechet(name: str) -> Number:
    """Fréchet distance of samples to test images, and its standard error."""
    row = SAMPLES[name]["frechet"]
    return row["distance"], row["se"]


def widest(name: str) -> float:
    """Variance of z in its widest unit, aggregate posterior."""
    return float(MODELS[name]["z"]["greatest"])


def varies(name: str) -> float:
    """Var_z E[x | z] under the prior, over the variance of the data."""
    split = MODELS[name]["variance"]["prior"]
    return float(split["latent"] / split["data"])


def less(a: Number, b: Number, share: float = 1.0) -> str:
    """Whether a lies below share · b, above b, or within two standard errors of what decides."""
    se = 2 * math.hypot(a[1], b[1])
    if a[0] < share * b[0] - (se if share == 1 else 0):
        return HELD
    return TURNED if a[0] > b[0] + se else LEVEL


def over(value: float, least: float) -> str:
    """Whether a share exceeds what the word asks for."""
    return HELD if value > least else NO


def as_good(a: Number, b: Number) -> str:
    """Whether two errors are within a quarter of each other."""
    if max(a[0], b[0]) < 1.25 * min(a[0], b[0]):
        return HELD
    return "better" if a[0] < b[0] else TURNED


def _as_pca(floor: str) -> str:
    verdict = less(error("PCA 10"), error(simple(20, floor)))
    return HELD if verdict == LEVEL else verdict


def _spreads(floor: str) -> str:
    low, high = simple(2, floor, "0.001"), simple(2, floor, "1000")
    words = {(True, True): HELD, (False, True): "large β alone", (True, False): "small β alone"}
    return words.get((widest(low) > 1.5, MODELS[high]["rate"][0] < 0.5), NO)


def _pair(one: str, name_a: str, other: str, name_b: str) -> str:
    return f"{one} {error(name_a)[0]:.1f}, {other} {error(name_b)[0]:.1f}"


def _means(floor: str) -> str:
    name = simple(20, floor)
    return f"Fréchet {frechet(name + ' | mean')[0]:.0f} of means, {frechet(name + ' | ancestral')[0]:.0f} of samples"


def _tops(floor: str) -> str:
    low, high, one = simple(2, floor, "0.001"), simple(2, floor, "1000"), simple(2, floor)
    return (
        f"β = 0.001: variance of z {widest(low):.2g} in the widest unit ({widest(one):.2g} at β = 1), decoded means "
        f"vary by {varies(low):.0%} of the data's variance; β = 1000: rate {MODELS[high]['rate'][0]:.1f}, "
        f"{varies(high):.0%}"
    )


def _offsets(floor: str) -> str:
    name = simple(20, floor)
    at = [frechet(f"{name} | {mode}")[0] for mode in ("offset -2", "offset -1", "mean", "offset 1", "offset 2")]
    return f"Fréchet {', '.join(f'{one:.0f}' for one in at)} at α = −2 … 2"


def _equally_good(floor: str) -> str:
    name = simple(20, floor)
    most = max(frechet(f"{name} | offset {a}")[0] for a in (-2, -1, 1, 2))
    return HELD if most < 1.2 * frechet(f"{name} | mean")[0] else NO


CLAIMS = (
    Claim(
        "5.4", "d = 2: blurry; sometimes another digit",
        lambda f: f"squared error {error(simple(2, f))[0]:.1f}, {changed(simple(2, f)):.0%} change class",
        lambda f: over(changed(simple(2, f)), 0.05),
    ),
    Claim(
        "5.5", "d = 20: still imperfect",
        lambda f: f"squared error {error(simple(20, f))[0]:.1f}, {changed(simple(20, f)):.0%} change class",
        lambda f: over(changed(simple(20, f)), 0.02),
    ),
    Claim(
        "5.6", "PCA with ten components does as well as the simple VAE with twenty",
        lambda f: _pair("PCA-10", "PCA 10", "VAE", simple(20, f)), _as_pca,
    ),
    Claim(
        "5.7", "ancestral samples imperfect, lacking diversity",
        lambda f: f"precision {_near(f)['precision']:.0%}, recall {_near(f)['recall']:.0%}, "
        f"Fréchet {frechet(simple(20, f) + ' | ancestral')[0]:.0f}",
        lambda f: over(0.5, _near(f)["recall"]),
    ),
    Claim(
        "5.9", "a small β reconstructs much better, d = 20",
        lambda f: _pair("β = 0.01", simple(20, f, "0.01"), "β = 1", simple(20, f)),
        lambda f: less(error(simple(20, f, "0.01")), error(simple(20, f)), 0.8),
    ),
    Claim(
        "5.10", "σ = 1 is noticeably better than σ(z), d = 2",
        lambda f: _pair("σ = 1", "σ=1 d=2", "σ(z)", simple(2, f)),
        lambda f: less(error("σ=1 d=2"), error(simple(2, f))),
    ),
    Claim(
        "5.11", "the same, d = 20",
        lambda f: _pair("σ = 1", "σ=1 d=20", "σ(z)", simple(20, f)),
        lambda f: less(error("σ=1 d=20"), error(simple(20, f))),
    ),
    Claim(
        "5.12", "means look better than samples of the same model", _means,
        lambda f: less(frechet(simple(20, f) + " | mean"), frechet(simple(20, f) + " | ancestral")),
    ),
    Claim(
        "5.13", "σ = 0.0001 is as good as a small β, d = 2",
        lambda f: _pair("σ = 0.0001", "σ=0.0001 d=2", "β = 0.001", simple(2, f, "0.001")),
        lambda f: as_good(error("σ=0.0001 d=2"), error(simple(2, f, "0.001"))),
    ),
    Claim(
        "5.14", "the same, d = 20",
        lambda f: _pair("σ = 0.0001", "σ=0.0001 d=20", "β = 0.01", simple(20, f, "0.01")),
        lambda f: as_good(error("σ=0.0001 d=20"), error(simple(20, f, "0.01"))),
    ),
    Claim("5.15", "μ + ασ looks as good for every α", _offsets, _equally_good),
    Claim("5.16", "small β spreads the latent, large β leaves the average digit", _tops, _spreads),
    Claim(
        "5.17", "one digit: small β varied, large β all alike",
        lambda f: f"decoded means vary by {varies(_digit(f, '0.001')):.0%} and {varies(_digit(f, '1000')):.0%} "
        "of the data's variance",
        lambda f: over(varies(_digit(f, "0.001")), varies(_digit(f, "1000"))),
    ),
)  # fmt: skip


def _near(floor: str) -> dict[str, float]:
    found: dict[str, float] = SAMPLES[f"{simple(20, floor)} | ancestral"]["precision_recall"]
    return found


def _digit(floor: str, beta: str) -> str:
    return f"digit 3, {simple(2, floor, beta)}"


def verdict(figure: str) -> str:
    """A claim's verdict as a sentence."""
    said = next(claim for claim in CLAIMS if claim.figure == figure).verdict()
    return said[0].upper() + said[1:] + "."


def measured(figure: str) -> str:
    """A claim's numbers at every floor that was measured."""
    found = next(claim for claim in CLAIMS if claim.figure == figure).at()
    return "; ".join(f"floor {floor}: {numbers}" for floor, (numbers, _) in found.items()) + "."


def read_records() -> None:
    """Fill MODELS and SAMPLES."""
    for store, name in ((MODELS, "models"), (SAMPLES, "samples")):
        found: dict[str, Any] = json.loads((HERE / "records" / f"{name}.json").read_text())
        store.update({row: value for row, value in found.items() if row != "canary"})
