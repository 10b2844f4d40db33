"""Odd but legal arguments give what plain ones give, and illegal ones the package's own error, at every public door.

Every public callable whose annotations speak of numbers or arrays has a line in `odd_calls` that says how it is called;
one without a line fails by name.
"""

import dataclasses
import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_calls import CALLS, METHODS, NO_DOOR, ROWS, SLOW, labelled, run
from test_docstrings import PUBLIC
from torch import Tensor, nn

import elbowroom as er
from elbowroom import cli
from elbowroom.numerics import CapabilityError, Estimate, InputError

few = settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ONCE = {"training.fit", *(name for name in CALLS if name.startswith("remedies."))}  # what trains
DOORS = {"models.Recipe", "numerics.Support", "sweeps.Range"}  # dataclasses that people make


def flat(hint: Any) -> list[Any]:
    """The members of a union."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else [hint]
    return [hint] if parts == [hint] else [part for one in parts for part in flat(one)]


def kinds(name: str, parameter: inspect.Parameter, hint: Any) -> set[str]:
    """What an annotation lets people give."""
    found = set()
    for part in flat(hint):
        origin = get_origin(part) or part
        if origin in (int, float, bool, str):
            found.add(origin.__name__)
        elif origin is Literal:
            found.add("str")
        elif part is types.NoneType:
            found.add("None")
        elif origin in (list, tuple, Sequence):
            inside = {one for one in get_args(part) if one is not Ellipsis}
            found |= {f"{one.__name__}s" for one in inside if one in (int, float) and len(inside) == 1} or {"other"}
        elif "SupportsArray" in str(part):
            found.add("array")
        elif isinstance(origin, type) and issubclass(origin, np.ndarray):
            found.add("array" if get_args(part)[1:] == (np.dtype[Any],) else "own array")
        else:
            found.add("other")
    if hint is Any and name == "examples":
        found = {"array"}
    if parameter.default is None:
        found.add("None")
    return found


def arguments(function: Any) -> dict[str, set[str]]:
    """The arguments that are numbers, or arrays of them, with what they may be."""
    inner = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    hints = get_type_hints(inner)
    wanted = {"int", "float", "bool", "ints", "floats", "array", "own array"}
    every = {
        name: kinds(name, one, hints[name])
        for name, one in inspect.signature(inner).parameters.items()
        if name in hints and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    }
    return {name: found for name, found in every.items() if found & wanted}


def short(name: str) -> str:
    return ".".join([name.split(".")[1], name.split(".")[-1]])


def doors() -> Iterator[tuple[str, Any]]:
    """Public callables that take numbers or arrays."""
    for name, found in PUBLIC.items():
        record = dataclasses.is_dataclass(found) and short(name) not in DOORS
        if record or getattr(found, "_is_protocol", False) or (inspect.isclass(found) and issubclass(found, Exception)):
            continue
        if short(name) not in NO_DOOR and arguments(found):
            yield short(name), found


EVERY = {**dict(doors()), **{name: function for name, (function, _) in METHODS.items()}}


def test_every_public_callable_is_called() -> None:
    assert set(EVERY) == set(CALLS) | set(METHODS)
    assert {short(name) for name in PUBLIC} >= set(NO_DOOR)


def call(name: str, **odd: Any) -> Any:
    """The call with some arguments in place of the plain ones, always from the same random state."""
    torch.manual_seed(0)
    plain = values(name)
    found = EVERY[name](**{**plain, **odd})
    return plain["vae"].state_dict() if name == "training.fit" else found


def values(name: str) -> dict[str, Any]:
    """The plain value of every argument, given or by default."""
    plain = (METHODS[name][1] if name in METHODS else CALLS[name])()
    defaults = {n: p.default for n, p in inspect.signature(EVERY[name]).parameters.items() if p.default is not p.empty}
    return {**defaults, **plain}


def odd(value: Any, may: set[str]) -> list[Any]:
    """The same value in other hands."""
    if isinstance(value, bool):
        return [np.bool_(value), np.array(value)] if "bool" in may else []
    if isinstance(value, int | float) and may & {"int", "float"}:
        whole = "int" in may and "float" not in may
        kept = isinstance(value, int) or float(np.float32(value)) == value
        narrow = [np.float32(value), torch.tensor(float(value))] if kept and value < 2**20 else []
        own = [np.int64(value), np.int8(value % 100)][: 1 + (value < 100)] if isinstance(value, int) else []
        return [np.float64(value), np.array(value), *own, *narrow, *([float(value)] if whole else [])]
    if isinstance(value, list | tuple) and may & {"ints", "floats"}:
        return [np.array(value), list(value), tuple(value), torch.tensor(value), list(np.array(value))]
    if isinstance(value, np.ndarray) and may & {"array", "own array"}:
        return odd_arrays(value, "array" in may)
    return []


def odd_arrays(x: np.ndarray, any_type: bool) -> list[Any]:
    """The same numbers in another layout."""
    axes = tuple(range(x.ndim))
    strided = np.repeat(x, 2, 0)[::2]
    read_only = x.copy()
    read_only.setflags(write=False)
    found = [np.flip(np.flip(x, axes).copy(), axes), strided, np.asfortranarray(x), read_only]
    return [*found, x.astype(x.dtype.newbyteorder(">")), x.tolist()] if any_type else found


def wrong(name: str, may: set[str]) -> list[Any]:
    """What cannot be meant."""
    found: list[Any] = [1j, object()] if "other" not in may else []
    if may & {"int", "float", "ints", "floats"} and "other" not in may:
        found += [] if "bool" in may else [True, np.bool_(True)]
        found += [float("nan"), np.float64("inf")]
    if "int" in may and "float" not in may:
        found += [1.5, np.float32(2.5)]
    if not may & {"str", "None", "other"}:
        found.append(None)
    if not may & {"str", "other"}:
        found.append("several")
    if "ints" in may:
        found += [[1.5], [True], ["a"], [float("nan")], [None]]
    if "floats" in may:
        found += [[float("inf")], [True], ["a"]]
    if name == "seed":
        found += [-1, 2**63, np.int64(-3), 10**30]
    return found


def same(one: Any, other: Any) -> None:
    """Equal but for rounding, which another layout may change, whatever they are."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
    elif isinstance(one, np.ndarray):
        np.testing.assert_allclose(
            one, other, rtol=1e-6, atol=1e-9
        ) if one.dtype.kind == "f" else np.testing.assert_array_equal(one, other)
    elif isinstance(one, nn.Module):
        assert getattr(one, "arguments", None) is None or er.recipes.recipe_of(one) == er.recipes.recipe_of(other)
        same(one.state_dict(), other.state_dict())
    elif isinstance(one, Estimate):
        same(one.values, other.values)
        assert one.budget.draws == other.budget.draws
    elif isinstance(one, er.data.Dataset):
        assert one.sha256 == other.sha256
        same(one.train.x, other.train.x)
    elif isinstance(one, er.numerics.Batch):
        same(one.x.double(), other.x.double())
    elif dataclasses.is_dataclass(one):
        for field in (field for field in dataclasses.fields(one) if field.compare):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, int | float | str):
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in SLOW])
def test_odd_is_equal_to_plain(name: str) -> None:
    own = values(name)
    forms = {n: odd(own[n], may) for n, may in arguments(EVERY[name]).items()}
    expected = call(name)

    @settings(few, max_examples=1 if name in ONCE else few.max_examples)
    @given(st.fixed_dictionaries({n: st.sampled_from(range(len(of))) for n, of in forms.items() if of}))
    def equal(drawn: dict[str, int]) -> None:
        same(call(name, **{n: forms[n][i] for n, i in drawn.items()}), expected)

    equal()


@pytest.mark.parametrize("name", [name for name in EVERY if name not in SLOW and "seed" in arguments(EVERY[name])])
def test_a_seed_that_32_bits_do_not_hold_is_one_as_any_other(name: str) -> None:
    call(name, seed=2**40)


@pytest.mark.parametrize("name", EVERY)
def test_nonsense_is_refused_in_the_packages_own_words(name: str) -> None:
    for argument, may in arguments(EVERY[name]).items():
        if "own array" in may or "array" in may:
            continue
        for value in wrong(argument, may):
            with pytest.raises((InputError, CapabilityError)) as raised:
                call(name, **{argument: value})
            said = str(raised.value)
            assert said.endswith("."), said
            assert "\n" not in said


TRIES = {int: ["several", "1.5"], float: ["much", "nan"]}
BELOW = {"epochs", "batch_size", "draws", "annealed", "patience", "latents", "points", "n", "seed"}


def options() -> Iterator[tuple[str, str, str]]:
    """Command, option and a value that cannot be meant, of every option that is a number."""
    top: Any = typer.main.get_command(cli.app)
    commands = {name: one for name, one in top.commands.items() if name != "data"}
    commands |= {f"data {name}": one for name, one in top.commands["data"].commands.items()}
    for command, one in commands.items():
        takes = inspect.signature(one.callback).parameters
        for option in one.params:
            hint = get_args(takes[option.name].annotation)[0]
            wanted = {inside for part in flat(hint) for inside in (part, *get_args(part))}
            tries = [value for kind, values in TRIES.items() if kind in wanted for value in values]
            for value in [*tries, *(["-1"] if tries and option.name in BELOW else [])]:
                yield command, option.opts[0], value


WRITE = ("annotate", "sample", "transfer", "classify", "encode", "impute", "score", "compress")


def test_the_options_are_found() -> None:
    own = {
        "annotate",
        "sample",
        "transfer",
        "classify",
        "encode",
        "impute",
        "predict",
        "score",
        "compress",
        "decompress",
    }
    commands = {"study", "fit", "evidence", *own, "audit", "fix", "search", "data show"}
    assert {command for command, _, _ in options()} == commands


@pytest.mark.parametrize(("command", "option", "value"), list(options()))
def test_a_wrong_option_is_refused_by_its_name(
    command: str, option: str, value: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    np.savetxt(tmp_path / "t.csv", ROWS, delimiter=",", header="a,b,c", comments="")
    subject = (
        tmp_path / "t.csv"
        if command in ("study", "fit", "search", "data show")
        else labelled()
        if command == "classify"
        else run()
    )
    writes = dict.fromkeys(WRITE, "--out") | {
        "study": "--folder",
        "fit": "--run",
        "fix": "--run",
        "search": "--runs",
    }
    new = tmp_path / ("new.csv" if command == "impute" else "new.npy")
    more = [writes[command], str(new)] if command in writes else []
    data = {"annotate": ["cells.h5ad"], "compress": ["rows.npy"]}.get(command, [])
    words = [*command.split(), str(subject), *data, *more, option, value]
    monkeypatch.setattr("sys.argv", ["elbowroom", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2, said
    assert option in said
    assert "Traceback" not in said
    assert not new.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--sweep latents=abc", "--sweep latents must be whole numbers or 'auto'; got 'abc'."),
        (
            "--sweep latents=1.5,2",
            "--sweep latents must be a whole number or a word or a list of whole numbers; got 1.5.",
        ),
        ("--sweep latents", "The values of --sweep latents must be a list, at least one and all distinct; got []."),
        ("--widths abc", "an entry of --widths must be a whole number; got 'abc'."),
        ("--seed -1", "--seed is a whole number from 0; got -1."),
        ("--epochs 0", "--epochs must be 1 or more; got 0."),
    ],
)
def test_a_study_is_refused_in_the_words_that_were_typed(words: str, said: str, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["elbowroom", "study", "digits", "--folder", "nowhere", *words.split()])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.splitlines()[-1] == f"elbowroom: {said}"
