"""What would be run next: the command, or the call, that made a study, with something else in it."""

import ast
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["again"]

_FLAGS = ("--resume", "--overwrite")
_UNKNOWN, _HIDDEN = "…", "_NOT_SHOWN_"


def again(command: str, folder: str, axes: Mapping[str, Sequence[Any]] | None = None, **words: Any) -> str:
    """The same study with other words, in another folder.

    Parameters
    ----------
    command : str
        What made the study, as typed or as called in Python.
    folder : str
        Where the new one goes.
    axes : mapping of str to sequence, optional
        What it sweeps over in place of the old axes.
    **words : Any
        Epochs, and words of its recipe.

    Returns
    -------
    str
        Empty where no words can be told from what was said: the command makes a page of a single run, or the recipe of
        a call stands in a variable.

    Examples
    --------
    >>> again("elbowroom study digits --sweep beta=1 --resume", "st", {"beta": [0.1, 1]}, latents=32)
    'elbowroom study digits --sweep beta=0.1,1 --latents 32 --folder st'
    >>> again('er.study("digits", recipe={"latents": 2})', "st", epochs=10, widths=[64])
    "er.study('digits', 'st', recipe={'latents': 2, 'widths': [64]}, epochs=10)"
    """
    try:
        if command.startswith("er.study("):
            return _called(command, folder, axes, words)
        tokens = shlex.split(command)
    except (ValueError, SyntaxError):  # nobody types such a command, but a record may hold it
        return ""
    return _typed(tokens, folder, axes, words) if tokens[1:2] == ["study"] else ""


def _typed(tokens: list[str], folder: str, axes: Mapping[str, Sequence[Any]] | None, words: Mapping[str, Any]) -> str:
    changed = [*words, "folder", *(["sweep"] if axes else [])]
    kept, skip = [], False
    for token in _without_axes(tokens, words):
        name = token.removeprefix("--").partition("=")[0]
        if not skip and token not in _FLAGS and not (token.startswith("--") and name in changed):
            kept.append(token)
        skip = not skip and token.startswith("--") and name in changed and "=" not in token
    for name, values in (axes or {}).items():
        kept += ["--sweep", f"{name}={','.join(map(_text, values))}"]
    for name, value in words.items():
        kept += [f"--{name}", ",".join(map(_text, value)) if isinstance(value, list | tuple) else _text(value)]
    return shlex.join([*kept, "--folder", folder])


def _without_axes(tokens: Sequence[str], words: Mapping[str, Any]) -> list[str]:
    """Without the axes of words that are said now: who says both is refused.

    >>> _without_axes(["study", "x.npy", "--sweep", "latents=2,8", "--sweep=beta=1"], {"latents": 4})
    ['study', 'x.npy', '--sweep=beta=1']
    """
    kept: list[str] = []
    for token in tokens:
        behind = kept[-1:] == ["--sweep"]
        if (behind or token.startswith("--sweep=")) and token.removeprefix("--sweep=").partition("=")[0] in words:
            del kept[len(kept) - behind :]
        else:
            kept.append(token)
    return kept


def _text(value: Any) -> str:
    """As the command line reads it, which is YAML."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else re.sub(r'"([a-z-]+)"', r"\1", json.dumps(value))


def _called(command: str, folder: str, axes: Mapping[str, Sequence[Any]] | None, words: Mapping[str, Any]) -> str:
    call = ast.parse(command.replace(_UNKNOWN, _HIDDEN), mode="eval").body
    assert isinstance(call, ast.Call)
    given = {str(one.arg): one.value for one in call.keywords}
    of_recipe = {name: value for name, value in words.items() if name != "epochs"}
    if of_recipe:
        before = given.get("recipe", ast.Dict([], []))
        if not isinstance(before, ast.Dict) or _HIDDEN in ast.unparse(before):
            return ""
        given["recipe"] = _expression({**ast.literal_eval(before), **of_recipe})
    if isinstance(swept := given.get("axes"), ast.Dict):
        others = {key: one for key, one in zip(swept.keys, swept.values, strict=True) if _value(key) not in words}
        given["axes"] = ast.Dict(list(others), list(others.values()))
    if axes:
        given["axes"] = _expression({name: list(values) for name, values in axes.items()})
    if "epochs" in words:
        given["epochs"] = _expression(words["epochs"])
    for name in ("resume", "overwrite"):
        given.pop(name, None)
    call.args[1:] = [_expression(folder)]
    call.keywords = [ast.keyword(name, value) for name, value in given.items()]
    return ast.unparse(call).replace(_HIDDEN, _UNKNOWN)


def _expression(value: Any) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


def _value(key: ast.expr | None) -> Any:
    return key.value if isinstance(key, ast.Constant) else None
