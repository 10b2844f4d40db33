"""Both ends of log p(x) on real digits, and whether the upper end may be believed: the if of "upper if mixed".

python reproductions/evidence/bdmc.py train --run runs/mnist50                  # the model of MNIST: a minute or two
python reproductions/two_sided/run.py digits --run runs/mnist50                 # both ends on 100 test digits
python reproductions/two_sided/run.py starts --run runs/mnist50                 # burnt-in start against the exact one
python reproductions/two_sided/run.py modes                                     # models that have several modes
python reproductions/two_sided/run.py show                                      # gap.svg and the tables

Every command goes on where it was stopped: what record.json holds is not measured again. Cost is counted in gradients
of log p(x, z) with respect to z, at one z of one image; one thread.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.evidence import Target, reverse_ais
from elbowroom.evidence._reverse_ais import burnt_in
from elbowroom.evidence.looks import annealed_runs, backwards
from elbowroom.exact import LinearVAE, log_evidence_by_quadrature

sys.path.append(str(Path(__file__).parents[1] / "evidence"))
sys.path.append(str(Path(__file__).parents[2] / "tests"))

import bdmc
from ais_exact import linear, nonlinear
from cost import counted
from fooling_models import fooling_models
from wrong_models import FAULTS, wrong_models

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
CHAINS, LEAPFROG, WARM_UP = 16, 5, 300
BUDGETS = (100,)  # temperatures, of both ways each
DIGITS, GROUP = 100, 25
AIM = 0.1  # nats between the two ends
SIMULATED = {"linear, d = 20": 50, "digits, d = 2": 50, "MNIST, d = 50": 20}
AT, BURNT = {"linear, d = 20": 20, "digits, d = 2": 20, "MNIST, d = 50": 50}, 100  # temperatures, and transitions
FOOLED = 30  # models of a kind
FAR = 0.25  # nats, beside four of its errors, from which a number is off
Array = NDArray[np.float64]


def read() -> dict[str, Any]:
    """The record, or the beginning of one."""
    content: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return {"digits": {}, "starts": {}, "modes": {}} | content


def write(record: dict[str, Any]) -> None:
    write_atomic(RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def trained(run: Path) -> er.VAE:
    """The model of reproductions/evidence, which must have begun as today's code begins."""
    from canaries import both_ends
    from canary import begin

    begin(run, {"epochs": 10} | bdmc.TRAINING, both_ends)
    return er.runs.read_run(run)[0]


def some_digits() -> Any:
    """A hundred test digits, binarised."""
    test = bdmc.load().test
    return test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:DIGITS]]


def digits(run: Path) -> None:
    """Both ends of every digit, group by group, for every budget."""
    record, vae, examples = read(), trained(run), some_digits()
    for temperatures in BUDGETS:
        for first in range(0, DIGITS, GROUP):
            done = record["digits"].setdefault(str(temperatures), [])
            if len(done) * GROUP > first:
                continue
            done.append(group(vae, examples[first : first + GROUP], temperatures))
            write(record)
            gap = np.concatenate([one["upper"] for one in done]) - np.concatenate([one["lower"] for one in done])
            print(f"{temperatures} temperatures, {len(gap)} digits: gap {gap.mean():.4f}", flush=True)


def group(vae: er.VAE, examples: Any, temperatures: int) -> dict[str, Any]:
    """Both ends of some digits, with what they cost."""
    cpu = time.process_time()
    with counted(vae) as work:
        found = reverse_ais(vae, examples, temperatures=temperatures, chains=CHAINS, leapfrog=LEAPFROG, warm_up=WARM_UP)
    return {
        "index": found.lower.index.tolist(),
        "lower": found.lower.values.round(4).tolist(),
        "upper": found.upper.values.round(4).tolist(),
        "lower_variance": found.lower.mc_variance.round(6).tolist(),
        "upper_variance": found.upper.mc_variance.round(6).tolist(),
        "rhat": found.upper.rhat.round(4).tolist(),
        "ess": found.upper.ess.round(2).tolist(),
        "unseen": found.upper.unseen.round(3).tolist(),
        "gradients": work["gradient"],
        "processor_seconds": round(time.process_time() - cpu, 1),
    }


def starts(run: Path) -> None:
    """On simulated x: annealing backwards from a burnt-in draw, and from the z that x came from."""
    record = read()
    makers: dict[str, Callable[[], tuple[er.VAE, Any]]] = {
        "linear, d = 20": lambda: linear()[:2],
        "digits, d = 2": lambda: nonlinear()[:2],
        "MNIST, d = 50": lambda: (trained(run), some_digits()),
    }
    for name, make in makers.items():
        if name not in record["starts"]:
            vae, like = make()
            record["starts"][name] = both_starts(name, vae, like)
            write(record)
            print(name, record["starts"][name], flush=True)


def both_starts(name: str, vae: er.VAE, like: Any) -> dict[str, Any]:
    """Differences per example, mean ± error: of the starts by the mean of −log w, and of the ends from log p(x)."""
    rows = torch.arange(SIMULATED[name]) % len(like)
    batch = like if isinstance(like, er.Batch) else like.rows(rows)
    place = er.Batch(batch.x[rows % len(batch.x)], torch.arange(len(rows)))
    target, exact = vae.target(place).simulate(torch.Generator().manual_seed(1))
    found: dict[str, list[Array]] = {"burnt": [], "exact": [], "worst": [], "places": []}
    settings = (AT[name], CHAINS, LEAPFROG, 0, "1 GiB")
    for up in annealed_runs(target, "both", "sigmoid", *settings):
        z, worst = burnt_in(up, BURNT, 0)
        same = exact[:, up.places].repeat(len(z), 1, 1)
        for key, start in (("burnt", z), ("exact", same)):
            found[key].append(-backwards(up, start, 0).log_weights.mean(0).numpy())
        found["worst"].append(worst.numpy())
        found["places"].append(up.places.numpy())
    order = np.concatenate(found["places"]).argsort()
    burnt, at_exact, worst = (np.concatenate(found[key])[order] for key in ("burnt", "exact", "worst"))
    ends = reverse_ais(target, temperatures=AT[name], chains=CHAINS, leapfrog=LEAPFROG, warm_up=BURNT)
    row = {
        "examples": len(rows),
        "temperatures": AT[name],
        "warm_up": BURNT,
        "burnt_less_exact": mean_and_error(burnt - at_exact),
        "gap": mean_and_error(ends.gap.values),
        "rhat_above": int((worst > 1.1).sum()),
    }
    truth = known(name, vae, target)
    if truth is not None:
        row["lower_less_truth"] = mean_and_error(ends.lower.values - truth)
        row["upper_less_truth"] = mean_and_error(ends.upper.values - truth)
    return row


def known(name: str, vae: er.VAE, target: Any) -> Array | None:
    """log p(x) of the simulated x where it has a closed form, or two dimensions."""
    batch = er.Batch(target._given["x"][0], target.index)
    if name.startswith("linear"):
        return LinearVAE(vae).log_prob(batch).numpy()
    if name.startswith("digits"):
        return np.asarray(log_evidence_by_quadrature(vae, batch, nodes=300).values)
    return None


def mean_and_error(values: Array) -> list[float]:
    return [round(float(values.mean()), 4), round(float(values.std(ddof=1) / math.sqrt(len(values))), 4)]


def fooling() -> dict[str, Callable[[], Target]]:
    """Kinds of models with several modes, whose log p(x) is known."""
    one_mode = torch.full((FOOLED,), FAULTS.index("one mode"))
    kinds: dict[str, Callable[[], Target]] = {
        f"q on one of several modes, d = {d}": partial(wrong_models, "modes", d, one_mode) for d in (5, 20)
    }
    kinds["a spike that q misses, d = 5"] = partial(fooling_models, "spike", 5, FOOLED)
    kinds["two modes apart in one of 20 dimensions"] = partial(fooling_models, "one wrong", 20, FOOLED)
    return kinds


def modes() -> None:
    """How far both ends are from the truth where chains miss modes, and what they say."""
    record = read()
    for kind, make in fooling().items():
        for start in ("posterior", "both"):
            key = f"{kind}, start={start}"
            if key not in record["modes"]:
                record["modes"][key] = fooled(make(), start)
                write(record)
                print(key, record["modes"][key], flush=True)


def fooled(target: Any, start: str) -> dict[str, Any]:
    """Counts of models: off and in which direction, with or without a warning; ends that agree and are wrong."""
    ends = reverse_ais(target, temperatures=50, chains=CHAINS, leapfrog=LEAPFROG, start=start, warm_up=100)
    off = ends.upper.values - target.truth.numpy()
    error = np.sqrt(ends.upper.mc_variance)
    low, high = off < -FAR - 4 * error, off > FAR + 4 * error
    said = np.array([bool(ends.upper.at(np.array([i])).warnings) for i in ends.upper.index])
    return {
        "models": len(off),
        "median_off": round(float(np.median(off)), 3),
        "lowest_off": round(float(off.min()), 2),
        "too_low": int(low.sum()),
        "too_low_and_silent": int((low & ~said).sum()),
        "too_low_ends_within_aim": int((low & (np.abs(ends.gap.values) < AIM)).sum()),
        "too_high": int(high.sum()),
        "right_and_warned": int((~low & ~high & said).sum()),
        "rhat_above": int((ends.upper.rhat > 1.1).sum()),
    }


def show() -> None:
    """Tables, and the figure."""
    record = read()
    tables = (digit_lines(record), noise_lines(record), start_lines(record), mode_lines(record))
    for line in (line for table in tables for line in (*table, "")):
        print(line)
    draw(record)


def digit_lines(record: dict[str, Any]) -> Iterator[str]:
    yield "| temperatures | digits | gradients per digit | lower | upper if mixed | gap, nats | R-hat above 1.1 |"
    yield "|---|---|---|---|---|---|---|"
    for temperatures, groups in sorted(record["digits"].items(), key=lambda item: int(item[0])):
        lower, upper, gap = ends_of(groups)
        cost = sum(one["gradients"] for one in groups) / len(gap)
        unmixed = int((column(groups, "rhat") > 1.1).sum())
        cells = [with_error(values) for values in (lower, upper, gap)]
        yield f"| {temperatures} | {len(gap)} | {cost:,.0f} | {' | '.join(cells)} | {unmixed} |".replace("-", "−")


def noise_lines(record: dict[str, Any]) -> Iterator[str]:
    """Gaps by R-hat beside the spread that the draws of both ends explain; digits that more chains would bring near."""
    groups = record["digits"][str(BUDGETS[0])]
    gap, mixed = ends_of(groups)[2], column(groups, "rhat") <= 1.1
    spread = np.sqrt(column(groups, "lower_variance") + column(groups, "upper_variance"))
    yield "| digits | gap, nats | gaps spread by | the draws explain | within 0.1 |"
    yield "|---|---|---|---|---|"
    for name, some in (("R-hat up to 1.1", mixed), ("R-hat above 1.1", ~mixed)):
        explained, near = np.sqrt((spread[some] ** 2).mean()), int((np.abs(gap[some]) < AIM).sum())
        cells = f"{with_error(gap[some])} | {gap[some].std():.3f} | {explained:.3f} | {near}"
        yield f"| {name} ({some.sum()}) | {cells} |"
    yield ""
    for times in (1, 4, 16, 64):
        within = sum(math.erf(AIM / one / math.sqrt(2 / times)) for one in spread)
        yield f"{CHAINS * times} chains: {within:.0f} of {len(gap)} digits within {AIM} if draws alone keep ends apart"


def column(groups: list[dict[str, Any]], name: str) -> Array:
    return np.concatenate([one[name] for one in groups])


def ends_of(groups: list[dict[str, Any]]) -> tuple[Array, Array, Array]:
    lower, upper = (column(groups, end) for end in ("lower", "upper"))
    return lower, upper, upper - lower


def with_error(values: Array) -> str:
    mean, error = mean_and_error(values)
    return f"{mean:.3f} ± {error:.3f}" if error < 1 else f"{mean:.2f} ± {error:.1f}"


def start_lines(record: dict[str, Any]) -> Iterator[str]:
    yield "| model | x | burnt in − exact start, nats | lower − log p | upper − log p | gap | R-hat above 1.1 |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in record["starts"].items():
        keys = ("burnt_less_exact", "lower_less_truth", "upper_less_truth", "gap")
        cells = ["{:.3f} ± {:.3f}".format(*row[key]) if key in row else "not known" for key in keys]
        yield f"| {name} | {row['examples']} | {' | '.join(cells)} | {row['rhat_above']} |".replace(" -", " −")


def mode_lines(record: dict[str, Any]) -> Iterator[str]:
    yield "| models | start | off, median | too low | of these silent | ends agree to 0.1 | too high | right, warned |"
    yield "|---|---|---|---|---|---|---|---|"
    for key, row in record["modes"].items():
        kind, _, start = key.rpartition(", start=")
        counts = ("too_low", "too_low_and_silent", "too_low_ends_within_aim", "too_high", "right_and_warned")
        cells = " | ".join(str(row[name]) for name in counts)
        yield f"| {kind} ({row['models']}) | {start} | {row['median_off']:.2f} | {cells} |".replace("| -", "| −")


def draw(record: dict[str, Any]) -> None:
    """The gap of every digit, sorted, by budget."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "two-sided", "svg.fonttype": "none"})
    figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for temperatures, groups in sorted(record["digits"].items(), key=lambda item: int(item[0])):
        gap = ends_of(groups)[2]
        place = np.linspace(0, 1, len(gap))
        ax.plot(place, np.sort(gap), label=f"{temperatures} temperatures, mean {gap.mean():.3f}")
    ax.axhspan(-AIM, AIM, color="0.9", zorder=0)
    ax.set(xlabel="share of the digits, sorted", ylabel="upper if mixed − lower, nats", title="")
    ax.legend(frameon=False)
    figure.savefig(HERE / "gap.svg", metadata={"Date": None})


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=["digits", "starts", "modes", "show"])
    asked.add_argument("--run", type=Path, default=Path("runs/mnist50"))
    options = asked.parse_args()
    torch.set_num_threads(1)
    if options.what in ("digits", "starts"):
        {"digits": digits, "starts": starts}[options.what](options.run)
    else:
        {"modes": modes, "show": show}[options.what]()
    if options.what != "show":
        from canaries import canaries
        from canary import keep

        keep(RECORD, canaries())


if __name__ == "__main__":
    main()
