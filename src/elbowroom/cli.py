"""The command line: parse, call, print."""

import importlib.metadata
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from elbowroom import cli_audit, cli_cells, cli_compression, cli_draws, cli_labels, cli_rows, cli_search
from elbowroom.cli_labels import Label
from elbowroom.cli_options import (
    Data,
    Latents,
    LikelihoodWord,
    ModelName,
    Network,
    Objective,
    Part,
    Posterior,
    Prior,
    Run,
    Seed,
    Source,
    Widths,
    _Command,
    in_options,
    load_source,
    resumable,
    with_loading,
    with_options,
)
from elbowroom.cli_words import recipe_words, said_once, sweep_axes
from elbowroom.evidence.estimators import ESTIMATORS, SETTINGS

__all__ = ["main"]


class _WithWords(_Command):
    """A command whose help lists the words that are known, which takes torch to find out."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from elbowroom.models import known_words

        known = {part: ", ".join(words) for part, words in known_words().items()}
        options: list[Any] = self.params
        for option in options:
            option.help = option.help and option.help.format(**known)
        super().format_help(ctx, formatter)


app = typer.Typer(
    help="Train variational autoencoders, measure them honestly, and see where every nat goes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> bool:
    if asked:
        print(importlib.metadata.version("elbowroom"))
        raise typer.Exit
    return asked


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before a command."""


data_app = typer.Typer(help="Data sets: list them, look at one, download one.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.command(cls=_WithWords)
@with_loading
@resumable()
def study(
    source: Source,
    folder: Annotated[Path | None, typer.Option(help="Where results are written; runs/study-NAME by default.")] = None,
    model: ModelName = None,
    prior: Prior = None,
    posterior: Posterior = None,
    likelihood: LikelihoodWord = None,
    network: Network = None,
    latents: Latents = None,
    widths: Widths = None,
    objective: Objective = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE,VALUE: an axis of the sweep, any word above, number of the objective or setting of the "
            "training (latents=2,8 beta=0.1,1 lr=1e-3,3e-4); give it several times.",
            show_default="latents and noise, where no word says them",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training data per model; by default as many as make 3,000 or 4,000 steps."),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Importance-weighted draws per test example; by default 1,000, of cells fewer.")
    ] = None,
    annealed: Annotated[
        int | None,
        typer.Option(help="Test examples that AIS measures as well; 0 for none, by default 50, of cells fewer."),
    ] = None,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete what the folder holds first.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted study.")] = False,
    device: Annotated[str, typer.Option(help="Where models are trained: cpu, cuda or auto.")] = "cpu",
    loading: Any = None,
) -> None:
    """The main job: data → sweep → chosen model → evidence beside the baselines → report.html."""
    import elbowroom as er
    from elbowroom.pages import verdict_table

    recipe = recipe_words(
        model=model,
        prior=prior,
        posterior=posterior,
        likelihood=likelihood,
        network=network,
        latents=latents,
        widths=widths,
        objective=objective,
    )
    axes = sweep_axes(sweep)
    said_once(axes, {**recipe, "epochs": epochs}, "--sweep")
    data = load_source(source, seed, {"genes": "auto", **loading})
    print(data, file=sys.stderr)
    done = er.study(
        data,
        folder,
        recipe=recipe,
        axes=axes,
        epochs=epochs,
        draws=draws,
        annealed=annealed,
        seed=seed,
        overwrite=overwrite,
        resume=resume,
        device=device,
        command=shlex.join(["elbowroom", *sys.argv[1:]]),
    )
    for label, text in verdict_table(done.page.parent):
        print(f"{label:<26}{text}")
    print(done.page)


@app.command(cls=_WithWords)
@with_loading
@resumable()
def fit(
    source: Source,
    run: Annotated[Path, typer.Option(help="The run folder to write.")],
    model: ModelName = None,
    prior: Prior = None,
    posterior: Posterior = None,
    likelihood: LikelihoodWord = None,
    network: Network = None,
    latents: Latents = None,
    widths: Widths = None,
    objective: Objective = None,
    label: Label = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Examples per step.")] = 100,
    lr: Annotated[float, typer.Option(help="Adam's learning rate.")] = 1e-3,
    clip: Annotated[
        float | None, typer.Option(help="Largest norm of a step's gradient, such as 10, which a study has; none here.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better validation value.")
    ] = None,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the folder.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, …, as Lightning Fabric names it.")] = "cpu",
    loading: Any = None,
) -> None:
    """Train one model into a run folder."""
    import elbowroom as er

    words = recipe_words(
        model=model,
        prior=prior,
        posterior=posterior,
        likelihood=likelihood,
        network=network,
        latents=latents,
        widths=widths,
        objective=objective,
    )
    loading, words = cli_labels.labelled(source, label, loading, words)
    data = load_source(source, seed, loading)
    training: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "clip": clip,
        "patience": patience,
    }
    recipe = er.models.Recipe(seed=seed).where(**words, **training).sized(data)
    vae = er.models.build(recipe, data)
    history = er.fit(
        vae,
        data,
        er.models.goal(recipe),
        **training,
        seed=seed,
        run=run,
        resume=resume,
        device=device,
    )
    for line in (history, *cli_labels.on_validation(vae, recipe, data, seed), run):
        print(line)


def _option(setting: str) -> Any:
    """An option of the type of the setting's defaults, which its help says."""
    users: dict[str, list[str]] = {}
    for name, entry in ESTIMATORS.items():
        if setting in entry.settings:
            default = entry.settings[setting]
            kind = list[type(default[0])] if isinstance(default, list) else type(default)  # type: ignore[misc]
            text = ", ".join(map(str, default)) if isinstance(default, list) else str(default)
            users.setdefault(text, []).append(name)
    defaults = "; ".join(f"{text} for {', '.join(names)}" for text, names in users.items())
    return Annotated[kind | None, typer.Option(help=f"{SETTINGS.get(setting, setting)} (by default {defaults}).")]


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings of all estimators as options."""
    options = {name: _option(name) for entry in ESTIMATORS.values() for name in entry.settings}
    return with_options("settings", options)(command)


@app.command(cls=_Command)
@_with_settings
@resumable()
def evidence(
    run: Run,
    estimator: Annotated[str, typer.Option(help=f"How: {', '.join(ESTIMATORS)}.")] = "iwae",
    points: Annotated[int | None, typer.Option(help="Examples of the part that are measured; all by default.")] = None,
    part: Part = "test",
    source: Data = None,
    memory: Annotated[str, typer.Option(help="What one pass may hold in memory.")] = "1 GiB",
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the same command was interrupted.")] = False,
    settings: Any = None,
) -> None:
    """log p(x) of a trained run, or what else an estimator measures, with both errors; also in RUN/evidence.json."""
    from elbowroom.runs import evidence_file, measure_run

    where: dict[str, Any] = {"part": part, "points": points, "source": source, "memory": memory}
    found = measure_run(run, estimator, **where, seed=seed, resume=resume, **settings)
    together = ESTIMATORS[estimator].together(found)
    for line in (*found, together) if together else found:
        print(line)
    print(evidence_file(run))


@app.command(cls=_Command)
@resumable()
def impute(
    run: Run,
    out: Annotated[Path, typer.Option(help="A .csv file: the table completed with medians. More stand beside it.")],
    columns: Annotated[
        str | None,
        typer.Option(help="Columns, with commas, predicted from the others and compared with what they hold."),
    ] = None,
    imputations: Annotated[int, typer.Option(help="Completed tables to draw.")] = 10,
    part: Annotated[
        str | None,
        typer.Option(help="Rows: all, or those of one part.", show_default="all; test with --columns"),
    ] = None,
    draws: Annotated[int, typer.Option(help="Weighted draws of z per row.")] = 500,
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> None:
    """Fill in missing cells, or predict columns from the others: medians, 95 % intervals, several completed tables."""
    from elbowroom.runs import impute_run

    how: dict[str, Any] = {"imputations": imputations, "part": part, "draws": draws, "source": source, "seed": seed}
    for line in impute_run(run, out, columns=columns and [one.strip() for one in columns.split(",")], **how):
        print(line)


@app.command(cls=_Command)
@resumable()
def report(run: Run, source: Data = None) -> None:
    """The page of a study, made again from its records; of a run, which is measured first."""
    import elbowroom as er
    from elbowroom.progress import Progress
    from elbowroom.records import holds_study

    if (run / "recipe.yaml").exists() and not holds_study(run):
        print(er.studies.report_run(run, source=source, command=shlex.join(["elbowroom", *sys.argv[1:]])))
        return
    if source is not None and holds_study(run):
        raise er.InputError(
            f"{run} is a study, whose page is made of its records and reads no data: leave source= out."
        )
    with Progress("drawing the page", None):
        print(er.report(run))


_ROOMS = (cli_rows, cli_draws, cli_labels, cli_audit, cli_search, cli_compression, cli_cells)
for room in _ROOMS:
    for command in room.COMMANDS:
        app.command(cls=_WithWords if room is cli_search else _Command)(command)


@app.command(cls=_Command)
def zoo() -> None:
    """Models of the literature by name, with their recipes and papers."""
    import elbowroom as er
    from elbowroom.models.words import text

    for one in er.zoo():
        words = "no recipe" if one.words is None else ", ".join(f"{k}: {text(v)}" for k, v in one.words.items())
        print(
            f"{one.name:<28}{words or 'the default recipe'}\n{'':<28}{one.paper}.{' ' + one.said if one.said else ''}"
        )


@data_app.command("list")
def list_sets() -> None:
    """The named data sets."""
    from elbowroom.data import list_data

    for row in list_data():
        here = "at hand" if row.at_hand else "download"
        print(f"{row.name:<18}{row.examples:>10}  {row.size:>8}  {here:<9} {row.what}")


@data_app.command("show", cls=_Command)
@with_loading
def show_set(source: Source, seed: Seed = 0, loading: Any = None) -> None:
    """What a data set holds: sizes, support, splits, hash, and what to know about it."""
    print(load_source(source, seed, loading))


@data_app.command("fetch", cls=_Command)
def fetch_set(name: Annotated[str, typer.Argument(help="A named data set.")]) -> None:
    """Download a named data set into the cache and check it."""
    from elbowroom.data import fetch_data

    print(fetch_data(name))


def main() -> None:
    """Run the command line; what cannot be used is one sentence on standard error and exit code 2.

    Examples
    --------
    >>> import contextlib
    >>> from unittest.mock import patch
    >>> with patch.object(sys, "argv", ["elbowroom", "data", "list"]), contextlib.suppress(SystemExit):
    ...     main()  # doctest: +ELLIPSIS
    digits ...
    """
    # Threads that wait by spinning make a step fifty times slower where another program has one of the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from elbowroom.numerics import CapabilityError, InputError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: with words on how to go on
    try:
        app()
    except (InputError, CapabilityError) as error:
        print(f"elbowroom: {in_options(str(error), sys.argv[1:])}", file=sys.stderr)
        sys.exit(2)
