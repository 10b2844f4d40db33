"""The forum's question, mechanism by mechanism: one experiment per word.

    python reproductions/forum_question/run.py scan counts ...       # makes records/<experiment>.json
    python reproductions/forum_question/run.py tables figures         # tables and figures of the README, from records

A row that is in a record is not made again. MNIST and the single-cell counts are read from ELBOWROOM_DATA.
"""

import argparse
import importlib

import torch

EXPERIMENTS = {
    "scan": "scan.run",
    "decoder": "decoder.run",
    "overfitting": "fitting.overfitting",
    "stopping": "fitting.stopping",
    "condition": "condition.run",
    "counts": "counts.run",
    "threshold": "linear.run",
    "sizes": "sizes.run",
    "curve": "curve.run",
    "sandwich": "sandwich.run",
    "canaries": "canaries.write",
    "tables": "tables.run",
    "figures": "drawing.run",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=list(EXPERIMENTS))
    torch.set_num_threads(1)
    for word in parser.parse_args().what:
        module, name = EXPERIMENTS[word].split(".")
        getattr(importlib.import_module(module), name)()


if __name__ == "__main__":
    main()
