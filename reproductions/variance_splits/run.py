"""Where the variance goes, and what decides it: one experiment per word.

    python reproductions/variance_splits/run.py spread planted ...      # makes records/<experiment>.json
    python reproductions/variance_splits/run.py tables                  # the README's tables, from the records

A row that is in a record is not made again. MNIST is read from ELBOWROOM_DATA, or fetched.
"""

import argparse
import importlib

import torch

EXPERIMENTS = {
    "tables": "tables.run",
    "figures": "drawing.run",
    "spread": "spread.run",
    "planted": "planted.run",
    "over-training": "noise.over_training",
    "fixed-noise": "noise.at_fixed_noise",
    "fixed-noise-mnist": "noise.on_mnist",
    "linear-mnist": "linear.on_mnist",
    "equal-d": "linear.shares",
    "beta-zero": "limits.autoencoder",
    "collapsed": "limits.collapsed",
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
