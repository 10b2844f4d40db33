"""The contest of the demo: the study of digits with a Normal and with the truncated normal of `likelihoods.auto`.

python benchmarks/digits_contest.py        # two studies; records/digits_contest.json
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import write_record

import elbowroom as er


def normal_model(data: Any, latents: int = 16, widths: tuple[int, int] = (256, 256)) -> er.VAE:
    """The study's default network with a Normal likelihood whose scale is predicted."""
    torch.manual_seed(0)
    dimensions = math.prod(data.event)
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(er.networks.mlp([dimensions, *widths, 2 * latents]), latents),
        er.likelihoods.Normal(
            er.networks.mlp([latents, *reversed(widths), 2 * dimensions]), data.event, scale="predicted"
        ),
        preprocess=data.preprocess,
    )


def contest(data: Any, model: er.VAE | None) -> dict[str, Any]:
    """One study: what its record says of the last table."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = er.study(data, Path(folder) / "study", model=model, progress=False)
        record = json.loads((done.page.parent / "study.json").read_text(encoding="utf-8"))
    rows = {f"{row['name']}, {row['estimate']['estimator']}": row for row in record["evidence"]}
    estimates = {name: er.Estimate.from_dict(row["estimate"]) for name, row in rows.items()}
    return {
        "sentence": done.sentence,
        "chosen": record["chosen"],
        "test": {name: [e.mean, e.se_mc, e.se_points, e.direction] for name, e in estimates.items()},
        "settings": {name: row["setting"] for name, row in rows.items()},
        "difference": record["difference"],
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    data = er.load_data("digits")
    numbers = {"normal": contest(data, normal_model(data)), "auto": contest(data, None)}
    write_record("digits_contest", numbers)
    for name, found in numbers.items():
        print(f"{name}: {found['sentence']} ({found['seconds']:.0f} s)")


if __name__ == "__main__":
    main()
