"""Commands of the audit: where a model's nats go, and winning them back."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from elbowroom.cli_options import Data, Run, resumable

__all__ = ["COMMANDS"]

Seed = Annotated[int, typer.Option(help="Seed of all noise, and of which examples are taken.")]


@resumable()
def audit(
    run: Annotated[Path, typer.Argument(help="A run folder, a study's folder, or a model.pt of scvi-tools.")],
    cells: Annotated[
        Path | None, typer.Argument(help="Of a model.pt: the .h5ad that it was trained with.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="In seconds, with larger errors, which are said.")] = False,
    n: Annotated[
        int | None, typer.Option("-n", help="Test examples for log p(x).", show_default="100, quick 20")
    ] = None,
    both_ends: Annotated[
        bool, typer.Option("--both-ends", help="Bound log p(x) from above as well, if the chains mix.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="A file that gets the record too, beside RUN/audit.json.")] = None,
    source: Data = None,
    seed: Seed = 0,
) -> None:
    """Where a model's nats go, and what is wrong with it; also in RUN/audit.json and RUN/audit.html.

    A model.pt of scvi-tools is loaded by scvi-tools itself, where it is installed; its pages go beside it.
    """
    import elbowroom as er
    from elbowroom.pages import audit_table

    how: dict[str, Any] = {"quick": quick, "n": n, "both_ends": both_ends, "seed": seed, "path": json}
    if (cells is None) == (run.suffix == ".pt") or (cells is not None and source is not None):
        raise er.InputError(
            "`elbowroom audit model.pt cells.h5ad` takes a model of scvi-tools and the cells that it was trained with; "
            "of a run folder the data are found by its recipe, or by --source."
        )
    done = (
        er.studies.audit_run(run, **how, source=source) if cells is None else er.studies.audit_scvi(run, cells, **how)
    )
    _print(audit_table(done.record), done.page)


@resumable()
def fix(
    run: Run,
    new: Annotated[Path, typer.Option("--run", help="The run folder to write.")],
    seconds: Annotated[float, typer.Option(help="How long remedies are tried.")] = 300.0,
    source: Data = None,
    seed: Seed = 0,
) -> None:
    """Win nats back: remedies one by one, kept where they pay on validation; before and after on test."""
    import elbowroom as er
    from elbowroom.pages import fix_table

    command = shlex.join(["elbowroom", *sys.argv[1:]])
    done = er.studies.fix_run(run, new, seconds=seconds, source=source, seed=seed, command=command)
    _print(fix_table(done.record), done.page)


def _print(rows: list[tuple[str, str]], page: Path) -> None:
    for label, text in rows:
        print(f"{label:<26}{text}")
    print(page)


COMMANDS = (audit, fix)
"""Functions that are a command each."""
