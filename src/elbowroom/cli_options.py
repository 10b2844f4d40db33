"""Options and arguments that several commands of the command line have, with their help."""

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
