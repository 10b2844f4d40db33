"""Options and arguments that several commands of the command line have, with their help."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Labels",
    "Latents",
    "LikelihoodWord",
    "Network",
    "Objective",
    "Posterior",
    "Preprocessing",
    "Prior",
    "Run",
    "Seed",
    "Source",
    "Supports",
    "Widths",
    "in_options",
]

Source = Annotated[str, typer.Argument(help="A named data set, or a .npy, .npz, .csv, .parquet file or image folder.")]
Run = Annotated[Path, typer.Argument(help="A run folder, or a study's folder.")]
Seed = Annotated[int, typer.Option(help="Seed of the split, the weights and all noise.")]
Preprocessing = Annotated[
    str, typer.Option(help="What is done to x: auto, dequantise, binarise, binarise-fixed, standardise, none, …")
]

Supports = Annotated[
    str | None,
    typer.Option(
        help="Where the values lie: binary, unit, grid, real, counts, categorical or mixed; or one per column, with "
        "commas. Inferred by default."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Column (array of a .npz) with the class of each example, taken out of x: for the colours of the latent "
        "plane and the neighbour accuracy. The model does not read it."
    ),
]
Prior = Annotated[str | None, typer.Option(help="p(z): {prior}.", show_default="standard-normal")]
Posterior = Annotated[str | None, typer.Option(help="q(z | x): {posterior}.", show_default="diagonal-normal")]
LikelihoodWord = Annotated[
    str | None,
    typer.Option(
        "--likelihood",
        help="p(x | z): {likelihood}. A word or, with options, YAML: '{{kind: normal, scale: shared}}'; so for the "
        "prior, posterior, network and objective.",
        show_default="auto",
    ),
]
Network = Annotated[str | None, typer.Option(help="Network of encoder and decoder: {network}.", show_default="mlp")]
Latents = Annotated[int | None, typer.Option(help="Dimensions of z.", show_default="16")]
Widths = Annotated[
    str | None,
    typer.Option(
        help="Hidden layers of an mlp encoder; the decoder has them in reverse order.", show_default="256,256"
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        help="What is minimised: {objective}; with its numbers, '{{kind: elbo, beta: 0.5}}'.", show_default="elbo"
    ),
]


def in_options(message: str, typed: Sequence[str]) -> str:
    """A refusal that names an argument, in the words of who typed an option.

    Parameters
    ----------
    message : str
        Of an error, which names the argument first, after "an entry of", or before "=".
    typed : sequence of str
        The command line, in words.

    Returns
    -------
    str
        The same with options that were typed in the place of arguments, an axis of a sweep among them.

    Examples
    --------
    >>> in_options("latents must be a whole number; got 'abc'.", ["study", "digits", "--sweep", "latents=abc"])
    "--sweep latents must be a whole number; got 'abc'."
    >>> in_options("epochs and batch_size must be 1 or more; got 0 and 100.", ["fit", "digits", "--epochs", "0"])
    '--epochs and batch_size must be 1 or more; got 0 and 100.'
    >>> in_options("A seed is a whole number from 0; got -1.", ["fit", "digits", "--seed=-1"])
    '--seed is a whole number from 0; got -1.'
    """
    options = {word.partition("=")[0] for word in typed if word.startswith("-")}
    after = {word for before, word in itertools.pairwise(typed) if before == "--sweep"}
    swept = {
        axis.removeprefix("--sweep=").partition("=")[0] for axis in (*after, *typed) if "=" in axis or axis in after
    }

    def option(name: str) -> str:
        dashed = f"--{name.replace('_', '-')}"
        return dashed if dashed in options else f"--sweep {name}" if name in swept else name

    if option("seed") != "seed":
        message = re.sub(r"^A seed is", f"{option('seed')} is", message)
    message = re.sub(_FIRST, lambda found: found[1] + option(found[2]), message)
    message = re.sub(r"^(--\S+ and )(\w+)", lambda found: found[1] + option(found[2]), message)
    return re.sub(r"\b([a-z_]+)=(?=\S)", lambda found: _shown(found[1], option(found[1])), message)


_FIRST = r"^((?:an entry of |The values of )?)(\w+)(?=[ ,:])"


def _shown(name: str, option: str) -> str:
    return f"{name}=" if option == name else f"{option} "
