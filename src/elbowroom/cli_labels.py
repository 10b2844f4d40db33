"""Labels on the command line: a column some of whose cells may be empty, and predictions by what learned it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from elbowroom.cli_options import Data, Others, Run, TableFile

__all__ = ["COMMANDS", "Label", "labelled", "on_validation"]

Label = Annotated[
    str | None,
    typer.Option(
        help="Column with classes to predict, empty or -1 where they are not known: the model is M2, which learns from "
        "both kinds of rows. 'label' for the labels that a named set or an image folder brings."
    ),
]


def labelled(
    source: str, label: str | None, loading: Mapping[str, Any], words: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `load_data` and words of a recipe with a column of classes that may be missing.

    Parameters
    ----------
    source : str
        The data.
    label : str or None
        The column; None changes nothing.
    loading : mapping
        Options of `load_data`.
    words : mapping
        Words of the recipe; a model or an objective that was said stays.

    Returns
    -------
    loading, words : dict
        With the labels as the block "label".

    Examples
    --------
    >>> labelled("digits", "label", {}, {"latents": 2})
    ({'observed': 'label'}, {'classes': 'label', 'objective': 'semi-supervised', 'latents': 2})
    """
    from elbowroom.data.named import NAMED
    from elbowroom.numerics import InputError

    if label is None:
        return dict(loading), dict(words)
    if "labels" in loading:
        raise InputError("--label is the class to predict and --labels colours figures: give one of the two.")
    own = label == "label" and (source in NAMED or Path(source).is_dir())
    said = {"classes": "label"} | ({} if "model" in words else {"objective": "semi-supervised"})
    return {**loading, **({} if own else {"labels": label}), "observed": "label"}, said | dict(words)


def on_validation(vae: Any, recipe: Any, data: Any, seed: int) -> Iterator[str]:
    """Lines about predictions on labelled validation rows, and whether rows without a label helped.

    Parameters
    ----------
    vae : VAE
        The trained model.
    recipe : Recipe
        What it was made and trained by.
    data : Dataset
        What it was trained on.
    seed : int
        Of the training that leaves out the rows without a label.

    Yields
    ------
    str
        Nothing where the recipe has no classes.

    Examples
    --------
    >>> import elbowroom as er
    >>> list(on_validation(None, er.models.Recipe(), None, 0))
    []
    """
    from elbowroom.metrics import unlabelled_gain
    from elbowroom.numerics import InputError
    from elbowroom.runs.predictions import probabilities

    if recipe.block_of_classes is None:
        return
    name = recipe.block_of_classes[0]
    value, known = data.validation.observed[name]
    if bool(known.any()):
        p = probabilities(vae, name, data.validation, seed)
        yield f"validation: {_scores(p[known.numpy()], value.argmax(1)[known].numpy())}"
    try:
        yield f"note: {unlabelled_gain(vae, recipe, data, seed=seed).remark}"
    except InputError as reason:
        yield f"note: Whether rows without a label help was not compared. {reason}"


def predict(
    run: Run,
    data: Others = None,
    out: TableFile = Path("predictions.csv"),
    part: Annotated[str, typer.Option(help="Part of the run's own data: train, validation, test or all.")] = "test",
    source: Data = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise of preprocessing.")] = 0,
) -> None:
    """Classes of rows and their probabilities, by a run that was fitted with --label; scores where labels are known."""
    from elbowroom.metrics import doubtful_labels
    from elbowroom.numerics import count
    from elbowroom.runs import predict_run

    found = predict_run(run, out, data=data, part=part, source=source, seed=seed)
    known = found.labels >= 0
    if known.any():
        print(_scores(found.probabilities[known], found.labels[known]))
    doubtful = [] if part in ("train", "all") and data is None else doubtful_labels(found.probabilities, found.labels)
    if doubtful:
        several, shown = len(doubtful) > 1, ", ".join(map(str, doubtful[:10]))
        where = f"the surest in lines {shown} of the table, from 0" if several else f"line {shown} of the table, from 0"
        print(
            f"note: {count(len(doubtful), 'label')} {'are' if several else 'is'} contradicted with a probability of "
            f"95 % or more ({where}): look whether {'they are' if several else 'it is'} right."
        )
    print(found.path)


def _scores(p: Any, codes: Any) -> str:
    from elbowroom.metrics import brier_score, log_score, reliability

    right = (p.argmax(1) == codes).mean()
    return (
        f"accuracy {right:.1%} of {len(codes):,} labelled rows, log score {log_score(p, codes).value:.3f} nats, Brier "
        f"score {brier_score(p, codes).value:.3f}, {reliability(p, codes)}"
    )


COMMANDS = (predict,)
