"""A fixed run for the terminal."""

from elbowroom.numerics import count, with_error
from elbowroom.records import FixRecord, StepRecord

from .audit import number
from .fix import fix_sentence

__all__ = ["fix_table"]

_STEPS = 6


def fix_table(record: FixRecord) -> list[tuple[str, str]]:
    """At most ten rows for the terminal: what was won on test, and by which remedies.

    Parameters
    ----------
    record : FixRecord
        Of a fixed run, as `read_fix` reads it.

    Returns
    -------
    list of (str, str)
        A label and a text each, in one line; nats per example.

    Examples
    --------
    >>> from elbowroom.records import read_fix
    >>> fix_table(read_fix("no-such-folder").record)
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no no-such-folder/fix.json: give the folder that ...
    """
    rows = [("verdict", fix_sentence(record))]
    for label, won in (("ELBO won", record.won), ("log p(x) won", record.won_log_p)):
        if won is not None:
            rows.append((label, f"{with_error(won.mean, won.se_total)} nats, {count(len(won), 'test example')}"))
    tried = [one for one in record.steps if one.gain is not None]
    rows += [("kept" if one.kept else "not kept", _step(one)) for one in tried[:_STEPS]]
    if len(tried) > _STEPS:
        rows[-1] = (rows[-1][0], f"{rows[-1][1]} ({count(len(tried) - _STEPS)} more on the page)")
    if untried := len(record.steps) - len(tried):
        rows.append(("not tried", f"{count(untried)}, each with its reason on the page"))
    return rows


def _step(one: StepRecord) -> str:
    assert one.gain is not None
    return f"{one.remedy}: {number(one.gain)} nats of ELBO on validation"
