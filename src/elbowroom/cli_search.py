"""The command of a search: which words are varied, between which values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from elbowroom.cli_options import (
    ModelName,
    Objective,
    Seed,
    Source,
    load_source,
    resumable,
    with_loading,
    with_options,
)
from elbowroom.cli_words import pairs_of, recipe_words, said_once, typed_values

__all__ = ["COMMANDS"]

_AXES = {
    "latents": "Dimensions of z",
    "depth": "Hidden layers of encoder and decoder, 0 for linear ones",
    "width": "Units of each hidden layer",
    "prior": "p(z)",
    "posterior": "q(z | x)",
    "likelihood": "p(x | z)",
    "network": "Network of encoder and decoder",
    "beta": "β, or another weight of the rate",
    "lr": "Adam's learning rate",
}
_HOW = "one value for all trials, several with commas to try, or LOW..HIGH for all between."
_with_axes = with_options(
    "axes", {name: Annotated[str | None, typer.Option(help=f"{what}: {_HOW}")] for name, what in _AXES.items()}
)


@with_loading
@_with_axes
@resumable()
def search(
    source: Source,
    runs: Annotated[Path, typer.Option(help="The folder for the trials; the same command goes on in it.")],
    trials: Annotated[int, typer.Option(help="Models to train, those of earlier calls and other processes too.")] = 24,
    seconds: Annotated[
        float | None, typer.Option(help="After which no trial is begun, and a running one waits for the next call.")
    ] = None,
    goal: Annotated[
        str, typer.Option(help="density, compression, samples, representation, or rate and distortion with a target.")
    ] = "density",
    target: Annotated[float | None, typer.Option(help="Nats per example, for the goals rate and distortion.")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUES of any other word, number of the objective or setting of the training; give it several "
            "times. Without any values to try: latents, depth, width, prior, likelihood and β.",
            show_default=False,
        ),
    ] = None,
    model: ModelName = None,
    objective: Objective = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training data; by default as many as make 3,000 or 4,000 steps.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="URL of a database that several processes or machines share, postgresql://USER@HOST/DATABASE; by "
            "default a file in the folder."
        ),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe learns from the trials before; random does not.")] = "tpe",
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials whose calibrated bound lags behind the others'.")
    ] = True,
    draws: Annotated[int, typer.Option(help="Draws of z per validation example, for the bounds.")] = 100,
    seed: Seed = 0,
    axes: Any = None,
    loading: Any = None,
) -> None:
    """Search over latents, depth, width, prior, decoder and β jointly: each trial a run folder, then the choice."""
    import elbowroom as er

    others, own = pairs_of(space, "--space"), recipe_words(model=model, objective=objective, epochs=epochs)
    said_once(others, {**axes, **own}, "--space")
    words, varied = _words_and_axes({**axes, **others})
    words |= own
    found = er.search(
        {"seed": seed, **words},
        load_source(source, seed, loading),
        varied or None,
        trials=trials,
        seconds=seconds,
        goal=goal,
        target=target,
        sampler=sampler,  # type: ignore[arg-type]
        prune=prune,
        runs=runs,
        storage=storage,
        draws=draws,
        seed=seed,
    )
    print(*found.trials, found, runs / found.choice.model.name, sep="\n")


def _words_and_axes(typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Words of which there is one value, and axes of which there are several, or a range."""
    words, axes = dict[str, Any](), dict[str, Any]()
    for name, text in typed.items():
        values = _range(name, text) or typed_values(name, text)
        if isinstance(values, list) and len(values) == 1 and name not in ("depth", "width"):
            words[name] = values[0]
        else:
            axes[name] = values
    return words, axes


def _range(name: str, text: str) -> Any:
    """LOW..HIGH, or None."""
    low, dots, high = text.partition("..")
    if not dots:
        return None
    from elbowroom.numerics import InputError
    from elbowroom.sweeps import Range

    ends = typed_values(name, f"{low},{high}")
    if len(ends) != 2 or not all(isinstance(one, int | float) for one in ends):
        raise InputError(f"{name}: a range is two numbers, LOW..HIGH; got {text!r}.")
    return Range(*ends)


COMMANDS = (search,)
"""Functions that are a command each."""
