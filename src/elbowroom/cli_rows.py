"""Numbers row by row on the command line: codes, and log p(x), of a run's own data or of other rows."""

from pathlib import Path
from typing import Annotated

import typer

from elbowroom.cli_options import Data, Others, Run, TableFile, as_typed

__all__ = ["COMMANDS"]


def encode(
    run: Run,
    data: Others = None,
    *,
    out: TableFile,
    part: Annotated[str, typer.Option(help="Part of the run's own data: train, validation, test or all.")] = "test",
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise of preprocessing, and of draws.")] = 0,
) -> None:
    """Codes of rows: mean and standard deviation of q(z | x), a row per example with its number and label."""
    from elbowroom.runs import encode_run

    print(encode_run(run, out, data=data, part=part, source=source, seed=seed))


def score(
    run: Run,
    data: Others = None,
    out: TableFile = Path("scores.csv"),
    part: Annotated[str, typer.Option(help="Part of the run's own data: train, validation or test.")] = "test",
    draws: Annotated[int, typer.Option(help="Draws of z per row.")] = 500,
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> None:
    """log p(x) of each row; of other rows also how unusual they are beside the run's test examples."""
    from elbowroom.runs import score_run

    found = score_run(run, out, data=data, part=part, draws=draws, source=source, seed=seed)
    print(as_typed(str(found), {"source": "--source"}))
    print(found.path)


COMMANDS = (encode, score)
