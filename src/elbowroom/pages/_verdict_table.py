"""The verdict for the terminal."""

from pathlib import Path

from elbowroom.numerics import count
from elbowroom.records import read_study

from . import words
from .advice import advice

__all__ = ["verdict_table"]


def verdict_table(folder: str | Path) -> list[tuple[str, str]]:
    """At most ten rows for the terminal: the page's verdict and what it rests on.

    Parameters
    ----------
    folder : str or Path
        Of a study that has got as far as `measure`; where stages after it have not been run, the first row says so.

    Returns
    -------
    list of (str, str)
        A label and a text each, in one line; numbers in nats unless they say otherwise.

    Raises
    ------
    InputError
        Where there is no such study, or a record is missing, damaged or of another version.

    Examples
    --------
    >>> verdict_table("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no study folder no-such-folder: give the folder that \
`elbowroom study` wrote.
    """
    study = read_study(folder)
    chosen, verdict = study.chosen, study.account.verdict if study.account else None
    rows = [("verdict", words.sentence(study))]
    if verdict:
        rows += [(figure.label, words.figure_text(figure)) for figure in verdict.figures]
        rows.append(("comparison", words.contest(study.difference, study.direction)))
    rows.append(("chosen", f"{chosen.label}; {words.latents_text(study.evidence.latents)}"))
    rows.append(("reconstruction", words.reconstruction_text(study)))
    rows.append(("computing", words.seconds(study.seconds["total"])))
    if found := advice(study):
        more = f" ({count(len(found) - 1)} more on the page)" if len(found) > 1 else ""
        rows.append(("next", f"{found[0].sentence} Worth {found[0].worth}.{more}"))
    return rows
