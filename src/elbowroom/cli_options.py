"""Options and arguments that several commands of the command line have, with their help."""

import errno
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

__all__ = [
    "Data",
    "Latents",
    "LikelihoodWord",
    "ModelName",
    "Network",
    "Objective",
    "Others",
    "Part",
    "Posterior",
    "Prior",
    "Run",
    "Seed",
    "Source",
    "TableFile",
    "Widths",
    "as_typed",
    "in_options",
    "load_source",
    "resumable",
    "with_loading",
    "with_options",
]

Source = Annotated[
    str, typer.Argument(help="A named data set, a .npy, .npz, .csv, .parquet, .h5ad or 10x file, or an image folder.")
]
Run = Annotated[Path, typer.Argument(help="A run folder, or a study's folder.")]
Data = Annotated[
    str | None, typer.Option("--source", help="The data, where the run's recipe does not find them: a file or a name.")
]
Others = Annotated[
    Path | None,
    typer.Argument(
        help="Other rows: a file with the same columns, or images of the same size; by default the run's own data."
    ),
]
TableFile = Annotated[Path, typer.Option(help="A .csv, .parquet or .npy file.")]
Part = Annotated[str, typer.Option(help="Part of the data: train, validation or test.")]
Seed = Annotated[int, typer.Option(help="Seed of the split, the weights and all noise.")]
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
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="A model of the literature, whose words the others change: `elbowroom zoo` lists them."
    ),
]
Network = Annotated[str | None, typer.Option(help="Network of encoder and decoder: {network}.", show_default="mlp")]
Latents = Annotated[
    str | None,
    typer.Option(
        help="Dimensions of z; 20,10 for two stochastic layers.", show_default="auto, by the number of columns"
    ),
]
Widths = Annotated[
    str | None,
    typer.Option(
        help="Hidden layers of an mlp encoder; the decoder has them in reverse order.",
        show_default="auto, two of 128 or 256",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        help="What is minimised: {objective}; with its numbers, '{{kind: elbo, beta: 0.5}}'.", show_default="elbo"
    ),
]

_LOADING: Mapping[str, tuple[Any, str]] = {
    "preprocess": (str, "What is done to x: auto, dequantise, binarise, binarise-fixed, standardise, none, …"),
    "support": (
        str,
        "Where the values lie: binary, unit, grid, real, counts, categorical or mixed; or one per column, with commas. "
        "Inferred by default.",
    ),
    "labels": (
        str,
        "Column (array of a .npz) with the class of each example, taken out of x: for the colours of the latent plane "
        "and the neighbour accuracy. The model reads it only with --context label.",
    ),
    "context": (
        list[str],
        "Column that encoder and decoder read beside x and z, taken out of x: the model is of log p(x given it). label "
        "is the labels. Give it several times.",
    ),
    "layer": (str, "Of a file of cells: the layer that holds the counts, or raw. X by default."),
    "batch": (
        str,
        "Column (of obs) with the batch of each row, which encoder and decoder read: the model is of log p(x given "
        "batch).",
    ),
    "size_factor": (
        str,
        "How much was counted in each row: observed (its total; the default for cells), latent (a latent with a prior "
        "fitted to totals), none or a column.",
    ),
    "genes": (
        int,
        "Keep so many columns of counts, those that vary most in the training rows; a study keeps 2,000 of cells "
        "unless told.",
    ),
    "drop": (list[str], "Column that is left out. Give it several times."),
    "validation": (float, "Examples by which the epoch and the model are chosen: how many, or below 1 which fraction."),
    "test": (float, "Examples for the final measurements: how many, or below 1 which fraction."),
    "name": (str, "What to call the data; by default the name of the set or of the file."),
}
_DEFAULTS = {"preprocess": "auto", "validation": "0.1", "test": "0.2"}


def with_options(name: str, options: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command more options, of which it gets those that were given in one dict.

    Parameters
    ----------
    name : str
        The command's argument that gets them.
    options : mapping
        Option → its annotation.

    Returns
    -------
    callable
        A decorator of commands.

    Examples
    --------
    >>> with_options("more", {"lr": float, "clip": float})(lambda more: print(more))(lr=0.1, clip=None)
    {'lr': 0.1}
    """
    return functools.partial(_decorated, name, options)


def _decorated(name: str, options: Mapping[str, Any], command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def with_all(**given: Any) -> None:
        asked = {option: given.pop(option) for option in options}
        command(**given, **{name: {option: value for option, value in asked.items() if value not in (None, [])}})

    own = [one for one in inspect.signature(command).parameters.values() if one.name != name]
    more = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for option, annotation in options.items()
    ]
    with_all.__signature__ = inspect.Signature(own + more)  # type: ignore[attr-defined]
    return with_all


with_loading = with_options(
    "loading",
    {
        name: Annotated[kind | None, typer.Option(help=text, show_default=_DEFAULTS.get(name, False))]
        for name, (kind, text) in _LOADING.items()
    },
)
"""Give a command the options of `load_data`, in its argument `loading`."""


def load_source(source: str, seed: int, loading: Mapping[str, Any]) -> Any:
    """The data of a command.

    Parameters
    ----------
    source : str
        A name or a file.
    seed : int
        Of the split.
    loading : mapping
        What `with_loading` hands over; a support is a word for all columns, or several with commas, one for each.

    Returns
    -------
    Dataset
        As `load_data` returns it.

    Examples
    --------
    >>> load_source("digits", 0, {"test": 100.0}).summary()["sizes"]["test"]
    100
    """
    import elbowroom as er

    words = [word.strip() for word in loading.get("support", "").split(",")]
    return er.load_data(source, seed=seed, **({**loading, "support": words} if len(words) > 1 else loading))


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C says how to go on; typer alone would end in silence.

    Yields
    ------
    None
        While a command runs.

    Examples
    --------
    >>> with resumable():
    ...     pass
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        words = str(stop) or "interrupted; the same command with --resume goes on."
        print(f"elbowroom: {words}", file=sys.stderr)
        raise typer.Exit(130) from None


class _Command(TyperCommand):
    """A command whose errors name its options, where a call in Python has arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        from elbowroom.numerics import CapabilityError, InputError

        try:
            return super().invoke(ctx)
        except (InputError, CapabilityError) as error:
            raise type(error)(as_typed(str(error), self._options())) from error
        except Exception as error:
            if not _is_of_the_disk(error):
                raise
            left = "".join(f"; {note.rstrip('.')}" for note in getattr(error, "__notes__", ()))
            raise InputError(f"The disk does not take what is written ({error}){left}.") from error

    def _options(self) -> dict[str, str]:
        options = {str(one.name): max(one.opts, key=len) for one in self.params if one.opts[0].startswith("-")}
        return {"resume": "--resume", **options}


def _is_of_the_disk(error: Exception) -> bool:
    """Whether a disk is full or a folder may not be written, which is no fault of the program."""
    known = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
    return getattr(error, "errno", None) in known or "(os error 28)" in str(error)  # as safetensors says it


def as_typed(sentence: str, options: Mapping[str, str]) -> str:
    """A sentence for callers in Python in the words of the command line.

    Parameters
    ----------
    sentence : str
        It writes an argument as `name=` or `name=value`.
    options : mapping
        Argument → option; arguments without one are left.

    Returns
    -------
    str
        With options.

    Examples
    --------
    >>> as_typed("Say resume=True or labels='kind', or leave seed= out.", {"resume": "--resume", "labels": "--labels"})
    'Say --resume or --labels kind, or leave seed= out.'
    """

    def typed(found: re.Match[str]) -> str:
        option, value = options.get(found["name"]), found["value"].strip("'\"")
        if option is None:
            return found[0]
        return option if value in ("", "True") else f"{option} {value}"

    return re.sub(r"""(?<![\w-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|"[^"]*"|-?\w+(?:\.\w+)*|)""", typed, sentence)


def in_options(message: str, typed: Sequence[str]) -> str:
    """A refusal that names an argument, in the words of who typed an option.

    Parameters
    ----------
    message : str
        Of an error, which names the argument first, or after "an entry of".
    typed : sequence of str
        The command line, in words.

    Returns
    -------
    str
        The same with options that were typed in the place of arguments, an axis of a sweep among them.

    Examples
    --------
    >>> in_options("epochs must be a whole number; got 'abc'.", ["study", "digits", "--sweep", "epochs=abc"])
    "--sweep epochs must be a whole number; got 'abc'."
    >>> in_options("epochs and batch_size must be 1 or more; got 0 and 100.", ["fit", "digits", "--epochs", "0"])
    '--epochs and batch_size must be 1 or more; got 0 and 100.'
    >>> in_options("iwae has no setting 'betas'; it has draws.", ["evidence", "runs/x", "--betas", "1"])
    'iwae has no setting --betas; it has draws.'
    >>> in_options("A seed is a whole number from 0; got -1.", ["fit", "digits", "--seed=-1"])
    '--seed is a whole number from 0; got -1.'
    """
    options = {word.partition("=")[0] for word in typed if word.startswith("-")}
    after = {word for before, word in itertools.pairwise(typed) if before == "--sweep"}
    swept = {
        axis.removeprefix("--sweep=").partition("=")[0] for axis in (*after, *typed) if "=" in axis or axis in after
    }

    def option(name: str) -> str:
        dashed = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
        return dashed if dashed in options else f"--sweep {name}" if name in swept else name

    def quoted(name: str) -> str:
        return option(name) if option(name) != name else repr(name)

    if option("seed") != "seed":
        message = re.sub(r"^A seed is", f"{option('seed')} is", message)
    message = re.sub(_FIRST, lambda found: found[1] + option(found[2]), message)
    message = re.sub(r"(?<= has no setting )'(\w+)'", lambda found: quoted(found[1]), message)
    return re.sub(r"^(\S+ and )(\w+)(?= must be )", lambda found: found[1] + option(found[2]), message)


_FIRST = r"^((?:an entry of |The values of )?)(\w+)(?=[ ,:])"
