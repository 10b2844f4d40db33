"""How long it takes to import elbowroom beside torch, and to be told how its command line is used.

Every case runs in a fresh process, all cases in turn within a round, so that a busy moment touches all of them.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from record import write_record

TOUCH = "import elbowroom as er; er.VAE, er.fit, er.priors, er.likelihoods"
LIMITS = {"import elbowroom": 0.3, TOUCH: 0.3}  # seconds above import torch
HELP_LIMIT = 0.5  # seconds


def commands() -> dict[str, list[str]]:
    """The cases: each a command line."""
    console = shutil.which("elbowroom", path=str(Path(sys.executable).parent))
    if console is None:
        sys.exit("The command elbowroom is not beside this Python: install the package into its environment.")
    code = ("pass", "import torch", *LIMITS)
    return {line: [sys.executable, "-c", line] for line in code} | {"elbowroom --help": [console, "--help"]}


def seconds(command: list[str]) -> float:
    """Wall time of one fresh process, from its start to its end."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return taken


def main() -> None:
    """Measure, print, and write records/import_time.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cases = commands()
    for command in cases.values():
        seconds(command)  # once unmeasured: bytecode is compiled, files are in the cache
    taken = [{name: seconds(command) for name, command in cases.items()} for _ in range(rounds)]

    times = {name: spread([r[name] for r in taken]) for name in cases}
    above = {name: spread([r[name] - r["import torch"] for r in taken]) for name in LIMITS}
    for name, numbers in times.items():
        print(f"{numbers['median']:6.3f} s  {name}")
    for name, numbers in above.items():
        print(f"{numbers['median']:+6.3f} s  {name}, above import torch (at most {LIMITS[name]})")
    numbers = {
        "rounds": rounds,
        "seconds": times,
        "seconds_above_torch": above,
        "limits": {"seconds_above_torch": LIMITS, "elbowroom --help": HELP_LIMIT},
        "within_limits": times["elbowroom --help"]["median"] < HELP_LIMIT
        and all(above[name]["median"] <= limit for name, limit in LIMITS.items()),
    }
    print(f"written: {write_record('import_time', numbers)}")


def spread(values: list[float]) -> dict[str, float]:
    """Least, median and greatest, in seconds."""
    ends = {"least": min(values), "median": statistics.median(values), "greatest": max(values)}
    return {name: round(value, 4) for name, value in ends.items()}


if __name__ == "__main__":
    main()
