"""Commands that draw from a run under contexts, move its examples to others, and ask which context they are of."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elbowroom.cli_options import Data, Part, Run
from elbowroom.cli_words import pairs_of

__all__ = ["COMMANDS"]

Out = Annotated[
    Path,
    typer.Option(
        help="A .csv or .parquet with the names of columns and classes, a .npy, a .png of images, or a folder of them."
    ),
]
_VALUE = "NAME=VALUE of a context that the model reads: a class by its name (label=3), or a number; several times."


def sample(
    run: Run,
    out: Out,
    n: Annotated[int, typer.Option("-n", help="How many draws.")] = 64,
    given: Annotated[
        list[str] | None,
        typer.Option(help=f"{_VALUE} What is not given is drawn with rows of the training data.", show_default=False),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="ancestral draws as the model says; mean and offset show means of p(x | z).")
    ] = "ancestral",
    offset: Annotated[float, typer.Option(help="Standard deviations that mode offset adds to the mean.")] = 0.0,
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of z and of x.")] = 0,
) -> None:
    """Draw from a trained run."""
    from elbowroom.progress import Progress
    from elbowroom.runs import sample_run

    how: dict[str, Any] = {"mode": mode, "offset": offset, "source": source, "seed": seed}
    with Progress("sampling", None):
        print(sample_run(run, out, n=n, given=given_words(given), **how))


def transfer(
    run: Run,
    out: Out,
    given: Annotated[
        list[str] | None,
        typer.Option(help=f"{_VALUE} Without any these are reconstructions.", show_default=False),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", help="How many examples, the first of the part.", show_default="64, or all of fewer"),
    ] = None,
    part: Part = "test",
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise of preprocessing.")] = 0,
) -> None:
    """Examples under another context: their z is kept, and the decoder reads what is given in its place."""
    from elbowroom.runs import transfer_run

    print(transfer_run(run, out, given=given_words(given), n=n, part=part, source=source, seed=seed))


def classify(
    run: Run,
    out: Annotated[Path, typer.Option(help="A .csv, .parquet or .npy file: decisions and probabilities.")],
    context: Annotated[
        str | None, typer.Option(help="Which context, where the model reads several of classes.")
    ] = None,
    prior: Annotated[str, typer.Option(help="p(class): frequencies of the training rows, or uniform.")] = "frequencies",
    estimator: Annotated[
        str, typer.Option(help="How log p(x | class) is estimated: iwae, defended-iwae, ais, elbo or prior.")
    ] = "iwae",
    draws: Annotated[
        int | None, typer.Option(help="Draws per example and class, but for ais.", show_default="500")
    ] = None,
    part: Part = "test",
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> None:
    """Classes by Bayes' rule, log p(x | class) + log p(class), of a model that reads them as a context."""
    from elbowroom.runs import classify_run

    how: dict[str, Any] = {} if draws is None else {"draws": draws}
    how |= {"context": context, "prior": prior, "estimator": estimator, "part": part, "source": source}
    print(classify_run(run, out, **how, seed=seed), out, sep="\n")


def given_words(given: list[str] | None) -> dict[str, str]:
    """Contexts that were typed.

    Parameters
    ----------
    given : list of str or None
        NAME=VALUE each.

    Returns
    -------
    dict of str to str
        Name → value.

    Raises
    ------
    InputError
        For one without a value, and for one that is given twice.

    Examples
    --------
    >>> given_words(["label=3", "age=40"])
    {'label': '3', 'age': '40'}
    """
    from elbowroom.numerics import InputError

    pairs = pairs_of(given, "--given", way_out="rows are drawn under one value, so leave one out")
    for name, value in pairs.items():
        if not value:
            raise InputError(f"--given is NAME=VALUE, such as label=3; got {name!r}.")
    return pairs


COMMANDS = (sample, transfer, classify)
"""Functions that are a command each."""
