"""Small questions, each with a number: one experiment per word.

    python reproductions/small_answers/run.py scan noise ...       # makes records/<experiment>.json
    python reproductions/small_answers/run.py tables figures       # the README's tables and figures, from the records

A row that is in a record is not made again. MNIST and CIFAR-10 are read from ELBOWROOM_DATA, or fetched.
"""

import argparse
import importlib

import torch

EXPERIMENTS = {
    "scan": "scan.run",
    "quantiles": "noise.quantiles",
    "floors": "noise.floors",
    "cross-entropy": "noise.cross_entropy",
    "gradients": "noise.gradients",
    "balance": "balance.run",
    "latents": "sizes.latents",
    "copies": "sizes.copies",
    "classes": "sizes.classes",
    "spectrum": "sizes.spectrum",
    "one-class": "sizes.one_class",
    "outliers": "sizes.outliers",
    "batch-norm": "sizes.batch_norm",
    "compression": "compression.run",
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
