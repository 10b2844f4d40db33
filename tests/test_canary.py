"""A record's canary: quiet where the code computes the same, heard where it does not, and said where it cannot look."""

import importlib
import json
import sys
from functools import partial
from pathlib import Path

import pytest

import elbowroom as er

REPRODUCTIONS = Path(__file__).parents[1] / "reproductions"


@pytest.fixture(scope="module")
def canary():
    sys.path.insert(0, str(REPRODUCTIONS))
    yield importlib.import_module("canary")
    sys.path.remove(str(REPRODUCTIONS))


@pytest.fixture
def record(canary, tmp_path, monkeypatch):
    monkeypatch.setattr(canary, "ROOT", tmp_path)
    monkeypatch.setattr(canary, "STEPS", 2)  # an epoch are enough here
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"elbo": -3.0}, indent=1))
    return path


def steps(canary, width: int = 16, beta: float = 1.0) -> dict[str, list[float]]:
    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [width]}, digits)
    return canary.first_steps(vae, digits, er.objectives.Elbo(beta), batch_size=20, seed=0)


def test_a_changed_model_is_heard_and_the_same_one_is_not(canary, record, capsys) -> None:
    same = canary.Canary(record, "row", partial(steps, canary))
    assert not canary.check([same])
    assert "without a canary" in capsys.readouterr().out
    canary.keep(record, [same])
    assert json.loads(record.read_text())["elbo"] == -3.0
    assert canary.check([same])
    assert "1 as recorded, 0 differ" in capsys.readouterr().out
    for change in ({"width": 17}, {"beta": 0.5}):
        assert not canary.check([canary.Canary(record, "row", partial(steps, canary, **change))])
        assert "differ            record.json: row: " in capsys.readouterr().out


def test_what_cannot_be_looked_at_is_said(canary, record, capsys) -> None:
    away = canary.Canary(record, "row", dict, needs=("digits", "no such data"))
    assert canary.check([away])
    said = capsys.readouterr().out
    assert "not checked       record.json: row: no such data is not at hand" in said
    assert "1 not checked" in said


def test_rounding_is_no_difference(canary) -> None:
    was = {"elbo": [-100.0, 0.0, float("nan")], "gone": [1.0]}
    assert list(canary.differences(was, {"elbo": [-100.009, 1e-7, float("nan")], "gone": [1.0]})) == []
    assert len(list(canary.differences(was, {"elbo": [-100.02, 1e-7, float("nan")]}))) == 2
    for rounding, heard in ((2.5, 0), (1.5, 1)):
        now = {"elbo": [-100.02, 0.0, float("nan")], "gone": [1.0]}
        assert len(list(canary.differences(was, now, rounding))) == heard


def test_old_run_folders_are_not_taken_up_unless_asked(canary, tmp_path) -> None:
    run, now = tmp_path / "run", {"training": [1.0]}
    assert canary.begin(run, {"epochs": 2}, lambda: now) == now
    run.mkdir()
    assert canary.begin(run, {"epochs": 2}, lambda: now) == now
    for recipe, numbers in (({"epochs": 3}, now), ({"epochs": 2}, {"training": [1.1]})):
        with pytest.raises(SystemExit, match="begun by another recipe or other code"):
            canary.begin(run, recipe, lambda numbers=numbers: numbers)
        assert canary.begin(run, recipe, lambda numbers=numbers: numbers, take_up=True) is None
    unknown = tmp_path / "old"
    unknown.mkdir()
    with pytest.raises(SystemExit):
        canary.begin(unknown, {"epochs": 2}, lambda: now)


def test_records_of_digits_are_as_todays_code_gives_them(canary, monkeypatch) -> None:
    folder = REPRODUCTIONS / "tables"
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    found = importlib.import_module("canaries").canaries()
    for name in set(sys.modules) - before & {"run", "canaries"}:
        del sys.modules[name]
    assert canary.check(found)


@pytest.fixture
def of_folder(monkeypatch):
    """A module of a folder, whose modules' names are used in other folders too."""
    mine = {path.stem for path in REPRODUCTIONS.glob("*/*.py")}
    for name in mine:
        monkeypatch.delitem(sys.modules, name, raising=False)

    def load(folder: str, name: str):
        monkeypatch.syspath_prepend(str(REPRODUCTIONS / folder))
        return importlib.import_module(name)

    yield load
    for name in mine:
        sys.modules.pop(name, None)


def test_the_chapters_readme_says_what_its_records_say(of_folder) -> None:
    tables = of_folder("variance_chapter", "tables")
    text = tables.README.read_text(encoding="utf-8")
    assert tables.readme(text) == text, "python reproductions/variance_chapter/tables.py"
    assert all(f"<!-- {name} -->" in text for name in (*tables.TABLES, "moved"))


def test_the_table_of_missing_cells_says_what_its_record_says(of_folder) -> None:
    run = of_folder("missing_cells", "run")
    table = "\n".join(run.lines(json.loads((run.HERE / "record.json").read_text())))
    assert table in (run.HERE / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_small_answers_say_what_their_records_say(of_folder, capsys) -> None:
    tables = of_folder("small_answers", "tables")
    tables.run()
    assert capsys.readouterr().out == (tables.HERE / "tables.md").read_text(encoding="utf-8"), "run.py tables"
