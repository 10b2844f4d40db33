"""Tables as people have them: what load_data hands on is what stood in the file, or a note says what is left out."""

import csv
import gzip
import io
import math
import re
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

import elbowroom as er
from elbowroom.data import load_data
from elbowroom.data.notation import decimal_mark
from elbowroom.data.tables import read_table

N = 24
X = np.round(np.random.default_rng(0).normal(size=(N, 3)), 4)
ROWS = [[f"{v:.4f}" for v in row] for row in X]
LINES = [",".join(row) for row in ROWS]
NAMES = ["a", "b", "c"]


def all_of(data: er.data.Dataset) -> np.ndarray:
    """The rows in the order of the file, NaN where a cell is missing."""
    x = torch.cat([part.values.take(slice(None)) for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    return x[index.argsort()].double().numpy()


def labels_of(data: er.data.Dataset) -> list[str]:
    codes = torch.cat([part.labels for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    return [data.label_names[code] for code in codes[index.argsort()].tolist()]


def file(folder, text: str | bytes, name: str = "t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(header: str, rows: list[str] = LINES) -> str:
    return "\n".join([header, *rows]) + "\n"


def joined(mark: str, point: str = ".") -> list[str]:
    return [mark.join(row).replace(".", point) for row in ROWS]


SAME = {
    "plain": ("t.csv", table("a,b,c")),
    "Windows line ends": ("t.csv", table("a,b,c").replace("\n", "\r\n")),
    "old Macintosh line ends": ("t.csv", table("a,b,c").replace("\n", "\r")),
    "spaces after commas": ("t.csv", table("a, b, c", [row.replace(",", ", ") for row in LINES])),
    "semicolons": ("t.csv", table("a;b;c", joined(";"))),
    "semicolons and decimal commas": ("t.csv", table("a;b;c", joined(";", ","))),
    "tabs under .csv": ("t.csv", table("a\tb\tc", joined("\t"))),
    "tabs": ("t.tsv", table("a\tb\tc", joined("\t"))),
    "tabs and decimal commas": ("t.tsv", table("a\tb\tc", joined("\t", ","))),
    "bars": ("t.txt", table("a|b|c", joined("|"))),
    "spaces": ("t.txt", table("a b c", joined("  "))),
    "an index of pandas": ("t.csv", table(",a,b,c", [f"{i},{row}" for i, row in enumerate(LINES)])),
    "an index that was read before": ("t.csv", table("Unnamed: 0,a,b,c", [f"{i},{r}" for i, r in enumerate(LINES)])),
    "an index from 1": ("t.csv", table(",a,b,c", [f"{i + 1},{row}" for i, row in enumerate(LINES)])),
    "an index in another order": ("t.csv", table(",a,b,c", [f"{7 * i % N},{row}" for i, row in enumerate(LINES)])),
    "R's table": ("t.txt", table('"a" "b" "c"', [f'"{i + 1}" ' + r for i, r in enumerate(joined(" "))])),
    "R's names of rows": ("t.txt", table('"a" "b" "c"', [f'"car {i}" ' + r for i, r in enumerate(joined(" "))])),
    "a comma after the names": ("t.csv", table("a,b,c,")),
    "a comma after every line": ("t.csv", table("a,b,c,", [row + "," for row in LINES])),
    "a comma after the rows": ("t.csv", table("a,b,c", [row + "," for row in LINES])),
    "empty lines first": ("t.csv", "\n \n" + table("a,b,c")),
    "a comment": ("t.csv", "# exported 2024\n" + table("a,b,c")),
    "a line for Excel": ("t.csv", "sep=;\n" + table("a;b;c", joined(";"))),
    "a line for Excel with a mark of its own": ("t.csv", "sep=^\n" + table("a^b^c", joined("^"))),
    "NumPy's header": ("t.csv", "# " + table("a,b,c")),
    "NumPy's header and spaces": ("t.txt", "# " + table("a b c", joined(" "))),
    "gzip": ("t.csv.gz", gzip.compress(table("a,b,c").encode())),
    "gzip under .csv": ("t.csv", gzip.compress(table("a;b;c", joined(";")).encode())),
    "a byte order mark": ("t.csv", table("a,b,c").encode("utf-8-sig")),
    "UTF-16": ("t.csv", table("a,b,c").encode("utf-16")),
    "UTF-16 without a mark": ("t.csv", table("a,b,c").encode("utf-16-le")),
    "minus signs": ("t.csv", table("a,b,c").replace("-", "−")),
    "numbers in quotes": ("t.csv", table('"a","b","c"', [",".join(f'"{v}"' for v in row) for row in ROWS])),
}


@pytest.mark.parametrize("how", SAME)
def test_one_table_in_every_dress_is_the_same_numbers(tmp_path, how):
    name, text = SAME[how]
    data = load_data(file(tmp_path, text, name))
    np.testing.assert_array_equal(all_of(data), X)
    assert data.columns == NAMES
    assert data.name == "t"
    assert data.train.fill is None
    said = {
        "an index": "index of the rows",
        "R's table": "index of the rows",
        "R's names": "Left out: 'column 1' (24 different words, such as 'car 0' in line 2",
        "a comment": "Passed over above the table: 'exported 2024'.",
        "semicolons and": "Read with a decimal comma: 'a', 'b', 'c'.",
        "tabs and": "Read with a decimal comma: 'a', 'b', 'c'.",
        "a comma after every": "neither a name nor a value",
        "a comma after the rows": "neither a name nor a value",
    }
    expected = [words for start, words in said.items() if how.startswith(start)]
    assert len(data.notes) == len(expected)
    assert all(words in note for words, note in zip(expected, data.notes, strict=True))


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_tables_of_typed_columns(tmp_path, ending):
    frame = pd.DataFrame(X, columns=NAMES).assign(kind=pd.Categorical(["low", "high"] * (N // 2), ["low", "high"]))
    getattr(frame, f"to_{ending}")(tmp_path / f"t.{ending}")
    data = load_data(tmp_path / f"t.{ending}")
    np.testing.assert_array_equal(all_of(data)[:, :3], X)
    assert data.classes == {"kind": ["low", "high"]}


def test_one_column_of_decimal_commas(tmp_path):
    data = load_data(file(tmp_path, table("a", [row[0].replace(".", ",") for row in ROWS])))
    np.testing.assert_array_equal(all_of(data)[:, 0], X[:, 0])
    assert data.notes == ["Read with a decimal comma: 'a'."]


def test_names_are_read_in_the_encoding_that_they_were_written_in(tmp_path):
    text = table("größe,höhe,c")
    data = load_data(file(tmp_path, text.encode("latin-1")))
    assert data.columns == ["größe", "höhe", "c"]
    assert data.notes == ["Read as cp1252, as it is not UTF-8; where letters look wrong, save it as UTF-8."]
    assert load_data(file(tmp_path, text.encode("utf-16"))).columns == ["größe", "höhe", "c"]
    assert load_data(file(tmp_path, text.encode("latin-1") + b"1,2,\x81\n")).notes[0].startswith("Read as latin-1")


LATER = "The first line was taken for the names of the columns"
DATA = "The first line holds no names of columns"
WHOLE = [f"{i % 5},{i % 3},{i % 7}" for i in range(N)]
KINDS = ["setosa", "virginica"]
HEADS = {
    "years above fractions": ("2019,2020,2021", LINES, ["2019", "2020", "2021"], LATER),
    "years above counts": ("2019,2020,2021", WHOLE, ["2019", "2020", "2021"], LATER),
    "running numbers above fractions": ("0,1,2", LINES, ["0", "1", "2"], LATER),
    "numbers above numbers": ("0.5,1.5,2.5", LINES, None, ""),
    "small numbers above small numbers": ("3,1,2", WHOLE, None, ""),
    "a word and years": ("town,2019,2020", [f"t{i},{row}" for i, row in enumerate(joined(","))], None, LATER),
    "a name in two lines": ('"a\n(cm)",b,c', LINES, ["a (cm)", "b", "c"], ""),
    "one name twice": ("a,a,c", LINES, ["a", "a (2)", "c"], "Columns whose name another has"),
    "no name for one": ("a,,c", LINES, ["a", "column 2", "c"], ""),
}


@pytest.mark.parametrize("how", HEADS)
def test_what_the_first_line_is(tmp_path, how):
    first, rows, columns, note = HEADS[how]
    if how == "a word and years":
        rows, columns = [f"t{i},{row[0]},{row[1]}" for i, row in enumerate(ROWS)], ["2019", "2020"]
    data = load_data(file(tmp_path, table(first, rows)))
    assert data.columns == columns
    assert sum(map(len, data.parts.values())) == N + (columns is None)
    assert (note in " ".join(data.notes)) if note else not any("line" in one for one in data.notes)


def test_words_among_those_below_are_no_names(tmp_path):
    rows = [f"{row},{KINDS[i % 2]}" for i, row in enumerate(LINES)]
    data = load_data(file(tmp_path, "\n".join(rows)))
    assert data.columns == ["column 1", "column 2", "column 3", "column 4"]
    assert data.classes == {"column 4": KINDS}
    assert data.notes == [f"{DATA}: it is read as data."]
    np.testing.assert_array_equal(all_of(data), np.column_stack([X, np.arange(N) % 2]))
    assert load_data(file(tmp_path, "\n".join(rows)), labels="column 4").label_names == KINDS


FIRST = [float(row[0]) for row in ROWS]


def with_column(cells: list[str], name: str = "z", mark: str = ",") -> str:
    return table(f"a{mark}{name}", [f"{row[0]}{mark}{cell}" for row, cell in zip(ROWS, cells, strict=True)])


def quoted(numbers: list[str]) -> list[str]:
    return [f'"{number}"' for number in numbers]


THOUSANDS = [1000 + 37 * i for i in range(N)]
NUMBERS = {
    "thousands in quotes": (quoted([f"{v:,}" for v in THOUSANDS]), ",", THOUSANDS, "',' between thousands"),
    "thousands and a point": (quoted([f"{v + 0.5:,}" for v in THOUSANDS]), ",", [v + 0.5 for v in THOUSANDS], "','"),
    "a decimal comma in quotes": (quoted([f"{v},5" for v in THOUSANDS]), ",", [v + 0.5 for v in THOUSANDS], "comma"),
    "points between thousands": ([f"{v:,}".replace(",", ".") + ",5" for v in THOUSANDS], ";",
                                 [v + 0.5 for v in THOUSANDS], "'.' between thousands and a decimal comma"),
    "spaces between thousands": ([f"{v:,}".replace(",", " ") for v in THOUSANDS], ";", THOUSANDS, "' ' between"),
    "thin spaces": ([f"{v:,}".replace(",", "\u202f") + ",25" for v in THOUSANDS], "\t",
                    [v + 0.25 for v in THOUSANDS], "' ' between thousands and a decimal comma"),
    "three decimals after a comma": ([f"{i % 2},{i:03}" for i in range(N)], ";",
                                     [float(f"{i % 2}.{i:03}") for i in range(N)], "a decimal comma"),
    "powers of ten": ([f"{i}.5E{i % 4}" for i in range(N)], ",", [float(f"{i}.5E{i % 4}") for i in range(N)], ""),
    "signs": ([f"+{i}.25" for i in range(N)], ",", [i + 0.25 for i in range(N)], ""),
    "no digit before the point": ([f".{i}5" for i in range(N)], ",", [float(f".{i}5") for i in range(N)], ""),
    "true and false": (["True", "false"] * (N // 2), ",", [1, 0] * (N // 2), "Read as 1 for true"),
    "metres of a map": ([f"{5_411_000 + i / 8:.3f}" for i in range(N)], ",", [5_411_000 + i / 8 for i in range(N)], ""),
    "many digits": ([f"0.{10**16 + 3 * i}" for i in range(N)], ",",
                    [float(f"0.{10**16 + 3 * i}") for i in range(N)], ""),
}  # fmt: skip


@pytest.mark.parametrize("how", NUMBERS)
def test_numbers_are_read_as_they_were_meant(tmp_path, how):
    cells, mark, expected, note = NUMBERS[how]
    data = load_data(file(tmp_path, with_column(cells, mark=mark)), support="real")
    np.testing.assert_array_equal(all_of(data)[:, 1], expected)
    assert [n for n in data.notes if note and note in n] or not note


def test_points_in_a_file_of_decimal_commas_stand_between_thousands(tmp_path):
    rows = [f"{1 + i}.234;{i},5" for i in range(N)]
    x = all_of(load_data(file(tmp_path, table("a;b", rows))))
    np.testing.assert_array_equal(x, [[1000 * (1 + i) + 234, i + 0.5] for i in range(N)])


GROUPS, OTHER_GROUPS = [f"{1 + i}.234" for i in range(N)], [f"{1 + i},234" for i in range(N)]


@pytest.mark.parametrize(("cells", "mark"), [(GROUPS, "point"), (OTHER_GROUPS, "comma")])
def test_marks_that_contradict_each_other_say_nothing_of_numbers_in_groups(tmp_path, cells, mark):
    """Where each is from another source, "1,5" does not make thousands of "47.510": "0.5" stands there too."""
    rows = [f"{cell};{i},5;{i}.25" for i, cell in enumerate(cells)]
    said = f"'{cells[0]}' in line 2, in column 'a', with a decimal {mark} or a {mark} between thousands"
    with pytest.raises(er.InputError, match=re.escape(said)):
        load_data(file(tmp_path, table("a;b;c", rows)))
    x = all_of(load_data(file(tmp_path, table("a;b;c", rows)), drop=["a"]))
    np.testing.assert_array_equal(x, [[i + 0.5, i + 0.25] for i in range(N)])


def test_numbers_in_groups_alone_say_no_mark(tmp_path):
    rows = [f"{one};{other}" for one, other in zip(GROUPS, OTHER_GROUPS, strict=True)]
    with pytest.raises(er.InputError, match="'1,234' in line 2, in column 'b', with a decimal comma or a comma"):
        load_data(file(tmp_path, table("a;b", rows)))
    rows = [f"{i}.5;{other}" for i, other in enumerate(OTHER_GROUPS)]
    x = all_of(load_data(file(tmp_path, table("a;b", rows))))
    np.testing.assert_array_equal(x, [[i + 0.5, 1000 * (1 + i) + 234] for i in range(N)])


@pytest.mark.parametrize(
    ("columns", "mark"),
    [
        ([["1,5", "2"]], ","),
        ([["1.5"]], "."),
        ([["1,234"]], ""),
        ([["1,5"], ["2.5"]], ",."),
        ([["1,5"], ["1.234"]], ","),
        ([["1.234,5"]], ","),
        ([], ""),
    ],
)
def test_the_decimal_mark_that_columns_give_away(columns, mark):
    assert decimal_mark(columns) == mark


MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "?", "#N/A", "<NA>", " ", "n/a"]


@pytest.mark.parametrize("word", [*MISSING, "None", "-", ".", "n.d.", "unknown"])
def test_cells_without_a_value_are_missing_among_numbers(tmp_path, word):
    data = load_data(file(tmp_path, with_column([word if i % 5 == 0 else str(i) for i in range(N)])))
    expected = np.where(np.arange(N) % 5 == 0, np.nan, np.arange(N))
    np.testing.assert_array_equal(all_of(data)[:, 1], expected)
    said = [] if word in MISSING else [f"Read as missing, among numbers: {word!r} in 'z'."]
    assert data.notes == [*said, "Missing cells: 5 of 48 (10.4%)."]


@pytest.mark.parametrize("word", [*MISSING, "-", "."])
def test_cells_without_a_value_are_missing_among_words(tmp_path, word):
    words = [word if i % 5 == 0 else ["red", "blue"][i % 2] for i in range(N)]
    data = load_data(file(tmp_path, with_column(words)))
    assert data.classes == {"z": ["blue", "red"]}
    expected = [math.nan if i % 5 == 0 else 1 - i % 2 for i in range(N)]
    np.testing.assert_array_equal(all_of(data)[:, 1], expected)
    assert len(data.notes) == 1 + (word not in MISSING)


def test_none_is_a_class_of_its_own_among_words_and_said_to_be(tmp_path):
    data = load_data(file(tmp_path, with_column(["None", "red", "blue"] * (N // 3))))
    assert data.classes == {"z": ["None", "blue", "red"]}
    assert data.notes == ["A class of its own is 'None' in 'z'; where it means no value, write NA."]


CLASSES = {
    "underscores": (["1_0", "1_3", "1_2"], "1_3"),
    "leading zeros": (["01000", "01001", "20000"], "01001"),
    "yes and no": (["yes", "no", "yes"], "yes"),
    "few numbers and a word": (["0", "1", "3+"], "3+"),
    "digits of another script": (["\u0661", "\u0662", "\u0663"], "\u0662"),
    "hexadecimal": (["0x1A", "0x1B", "0x1C"], "0x1B"),
}


@pytest.mark.parametrize("how", CLASSES)
def test_what_is_no_number_is_a_class(tmp_path, how):
    words, one = CLASSES[how]
    data = load_data(file(tmp_path, with_column(words * (N // 3))))
    assert data.classes == {"z": sorted(set(words))}
    codes = all_of(data)[:, 1]
    assert [data.classes["z"][int(code)] for code in codes] == words * (N // 3)
    assert one in data.classes["z"]


OUT = {
    "dates": ([f"2024-01-{1 + i % 28:02} 10:00" for i in range(N)],
              "'z' (dates or times; give one as a number, such as days since the first"),
    "German dates": ([f"{1 + i}.01.2024" for i in range(N)], "dates or times"),
    "American dates": ([f"1/{1 + i}/24" for i in range(N)], "dates or times"),
    "months in words": ([f"{1 + i} Jan 2024" for i in range(N)], "dates or times"),
    "times": ([f"{i}:30" for i in range(N)], "dates or times"),
    "names": ([f"person {i}" for i in range(N)], "'z' (24 different words, such as 'person 0' in line 2;"),
    "codes of postal areas": ([f"{i:05}" for i in range(N)], "24 different words, such as '00000' in line 2;"),
    "numbers and a word": ([f"{i}.5" if i != 6 else "12 cm" for i in range(N)],
                           "words such as '12 cm' in line 8;"),
    "numbers with a unit": ([f"{i}%" for i in range(N)], "different words, such as '0%' in line 2"),
    "large whole numbers": ([str(2**60 + i) for i in range(N)], "whole numbers beyond 2^53"),
    "no value": (["", "NA"] * (N // 2), "Left out: 'z' (no value in any row)."),
}  # fmt: skip


@pytest.mark.parametrize("how", OUT)
def test_a_column_that_cannot_be_modelled_is_left_out_by_name(tmp_path, how):
    cells, note = OUT[how]
    data = load_data(file(tmp_path, with_column(cells)))
    assert data.columns == ["a"]
    np.testing.assert_array_equal(all_of(data)[:, 0], FIRST)
    assert len(data.notes) == 1
    assert note in data.notes[0]


ODD = {
    "the rows counted": ([str(i) for i in range(N)], "Counts the rows one by one: 'z'"),
    "a code for no value": ([f"{'-9999' if i % 6 == 0 else i / 4}" for i in range(N)],
                            "-9999 is far from all other values of 'z'"),
    "dates as numbers": ([f"2024{1 + i % 12:02}01" for i in range(N)], "May be dates, written as whole numbers: 'z'"),
}  # fmt: skip


@pytest.mark.parametrize("how", ODD)
def test_numbers_that_may_be_something_else_are_kept_and_noted(tmp_path, how):
    cells, note = ODD[how]
    data = load_data(file(tmp_path, with_column(cells)))
    np.testing.assert_array_equal(all_of(data)[:, 1], [float(cell) for cell in cells])
    assert note in data.notes[0]


def test_a_value_that_is_merely_the_greatest_is_no_code_for_no_value():
    x = np.stack([np.arange(N) * 50.0, np.linspace(0, 999, N)], 1)
    assert not any("far from" in note for note in load_data(x).notes)
    x[3, 1] = -9999
    assert load_data(x).notes == ["-9999 is far from all other values of '1': where it stands for no value, write NA."]


REFUSED = {
    "nothing": ("", "'t.csv' is empty"),
    "empty lines": ("\n\n  \n", "'t.csv' is empty"),
    "names alone": ("a,b\n", "a line of names but no rows"),
    "a short row": (table("a,b,c", [*LINES, "1,2"]), f"ragged: line {N + 2} has 2 cells between commas, and not 3"),
    "a long row": (table("a,b,c", [*LINES, "1,2,3,4"]), f"line {N + 2} has 4 cells"),
    "lines in a cell above": (table("a,b,c", ['"1\n",2,3', *LINES, "1,2"]), f"ragged: line {N + 4} has 2 cells"),
    "a title": ("My table\n" + table("a,b,c"), "has 1 name in line 1, and 3 cells between commas in most rows"),
    "too many names": (table("a,b,c,d"), "has 4 names in line 1, and 3 cells"),
    "decimal commas among commas": (table("a,b", [f"{i},5,{i},25" for i in range(N)]),
                                    "put semicolons between the cells"),
    "a comma in doubt": (with_column([f"1,{100 + i}" for i in range(N)], mark=";").replace(".", ""),
                         "holds '1,100' in line 2, in column 'z'"),
    "NUL bytes": ("a,b\n1,2\n3,\0\n4,5\n", "line 3 holds NUL bytes"),
    "a quote left open": (table("a,b,c", ['1,"2,3', *LINES]), "see whether a quote is open"),
    "a workbook": (b"PK\3\4\0\0", "a workbook or a zip archive"),
    "half of a gzip": (gzip.compress(table("a,b,c").encode())[:50], "cannot be read"),
    "no column left": (table("z", [f"word {i}" for i in range(N)]), "no column of numbers or of classes"),
    "infinity": (with_column(["inf", *map(str, range(1, N))]), "a value that is infinite"),
}  # fmt: skip


def test_a_last_row_of_totals_is_said() -> None:
    """One row of sums among a thousand took 1.7 nats of log p(x) from all others."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(10, 2, 60), rng.normal(0, 1, 60), rng.integers(1, 9, 60)], 1).round(2)
    sums = np.array([x[:, 0].sum(), 0.3, x[:, 2].sum()])
    notes = load_data(pd.DataFrame(np.vstack([x, sums]), columns=["a", "b", "c"])).notes
    assert "The last row holds the sums of the others in 'a', 'c': where it is one of totals, leave it out." in notes
    assert not any("totals" in one for one in load_data(pd.DataFrame(x, columns=["a", "b", "c"])).notes)
    with_gaps = np.where(rng.random(x.shape) < 0.2, np.nan, x)
    notes = load_data(pd.DataFrame(np.vstack([with_gaps, np.nansum(with_gaps, 0)]), columns=["a", "b", "c"])).notes
    assert any("sums of the others in 'a'" in one for one in notes)


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_read_is_one_sentence(tmp_path, how):
    text, words = REFUSED[how]
    with pytest.raises(er.InputError) as caught:
        load_data(file(tmp_path, text))
    assert words in str(caught.value)
    assert str(caught.value).count(". ") == 0
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.rds", "t.xlsx", "t"])
def test_an_ending_that_is_not_known_names_the_way_out(tmp_path, name):
    with pytest.raises(er.InputError, match=r"known are .npy, .npz, .csv.*save a table as .csv"):
        load_data(file(tmp_path, "a,b\n1,2\n", name))


FRAMES = {
    "Int64": (pd.array([1, 2, None, 4] * 6, "Int64"), [1, 2, math.nan, 4] * 6, None),
    "boolean": (pd.array([True, None, False] * 8, "boolean"), [1, math.nan, 0] * 8, None),
    "string": (pd.array(["x", "y", None] * 8, "string"), [0, 1, math.nan] * 8, ["x", "y"]),
    "Float64": (pd.array([1.5, None, 2] * 8, "Float64"), [1.5, math.nan, 2] * 8, None),
    "Arrow": (pd.array([1, 2, None, 4] * 6, "int64[pyarrow]"), [1, 2, math.nan, 4] * 6, None),
    "Decimal": ([Decimal(i) / 8 for i in range(N)], [i / 8 for i in range(N)], None),
    "objects": (pd.Series([1, 2.5, None, np.float32(3)] * 6, dtype=object), [1, 2.5, math.nan, 3] * 6, None),
    "numbers as texts": (["1.5", "2"] * 12, [1.5, 2] * 12, None),
    "truth as objects": (pd.Series([True, None, False] * 8, dtype=object), [1, math.nan, 0] * 8, None),
    "categories of numbers": (pd.Categorical([7, 3] * 12), [1, 0] * 12, ["3", "7"]),
    "many numbers as categories": (pd.Categorical([i / 4 for i in range(N)]), [i / 4 for i in range(N)], None),
    "categories in order": (pd.Categorical(["low", "high"] * 12, ["low", "mid", "high"], ordered=True),
                            [0, 1] * 12, ["low", "high"]),
    "categories with none": (pd.Categorical(["b", None, "a"] * 8), [1, math.nan, 0] * 8, ["a", "b"]),
    "truth as categories": (pd.Categorical([True, False] * 12), [1, 0] * 12, None),
    "sparse": (pd.arrays.SparseArray([0.0, 0.0, 2.5] * 8), [0, 0, 2.5] * 8, None),
}  # fmt: skip


@pytest.mark.parametrize("how", FRAMES)
def test_columns_of_every_type_of_pandas(how):
    cells, expected, words = FRAMES[how]
    frame = pd.DataFrame({"a": X[:, 0], "z": cells}).set_axis(np.arange(N) + 100)
    data = load_data(frame, support="mixed")
    np.testing.assert_array_equal(all_of(data), np.column_stack([X[:, 0], expected]))
    assert data.classes == ({"z": words} if words else {})


@pytest.mark.parametrize(
    "cells",
    [
        pd.date_range("2024", periods=N),
        pd.date_range("2024", periods=N, tz="UTC"),
        pd.to_timedelta(range(N), unit="D"),
        pd.period_range("2024", periods=N, freq="M"),
        pd.Series([date(2024, 1, i + 1) for i in range(N)], dtype=object),
        pd.Categorical(pd.date_range("2024", periods=N)),
    ],
)
def test_dates_of_pandas_are_left_out_by_name(cells):
    data = load_data(pd.DataFrame({"a": X[:, 0], "when": cells}))
    assert data.columns == ["a"]
    assert "Left out: 'when' (dates or times" in data.notes[0]


def test_complex_numbers_are_refused_and_other_things_left_out():
    with pytest.raises(
        er.InputError, match="complex numbers in column 'z': give their real and imaginary parts, or drop it"
    ):
        load_data(pd.DataFrame({"a": X[:, 0], "z": X[:, 0] * 1j}))
    data = load_data(pd.DataFrame({"a": X[:, 0], "z": [[1]] * N, "id": 2**60 + np.arange(N)}))
    assert data.notes[0] == "Left out: 'z' (values of type list, neither numbers nor words)."
    assert "Left out: 'id' (whole numbers beyond 2^53" in data.notes[1]


def test_a_table_of_sparse_columns_stays_sparse():
    dense = np.random.default_rng(0).poisson(0.3, (N, 5)).astype(float)
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(dense), columns=list("abcde"))
    data = load_data(frame)
    assert sparse.issparse(data.train.values.source)
    assert data.sha256 == load_data(dense).sha256
    assert data.columns == list("abcde")


def test_names_that_are_numbers_or_come_in_levels():
    frame = pd.DataFrame({1: X[:, 0], 3: [0, 1] * (N // 2)})
    for name in (3, "3", np.int64(3)):
        data = load_data(frame, labels=name)
        assert (data.columns, data.label_names, data.loading["options"]["labels"]) == (["1"], ["0", "1"], "3")
    levels = pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("u", "a"), ("u", "b"), ("v", "a")]))
    assert load_data(levels).columns == ["u / a", "u / b", "v / a"]
    assert load_data(levels, drop="u / b").columns == ["u / a", "v / a"]


def test_labels_keep_a_stated_order_and_none_are_missing():
    low = pd.Categorical(["low", "high"] * (N // 2), ["low", "mid", "high"], ordered=True)
    frame = pd.DataFrame({"a": X[:, 0], "z": low})
    for data in (load_data(frame, labels="z"), load_data(X, labels=low), load_data(X, labels=frame["z"])):
        assert data.label_names == ["low", "high"]
        assert labels_of(data) == list(low)
    frame.loc[3, "z"] = None
    with pytest.raises(er.InputError, match="1 of the 24 labels are missing: leave out those rows, or the labels"):
        load_data(frame, labels="z")


def test_labels_of_a_file_may_not_be_missing(tmp_path):
    words = ["nan" if i == 4 else ["red", "blue"][i % 2] for i in range(N)]
    with pytest.raises(er.InputError, match="1 of the 24 labels are missing"):
        load_data(file(tmp_path, with_column(words)), labels="z")


@pytest.mark.parametrize("others", [["u", "v"], ["1", "2"]])
def test_a_dash_is_no_class_of_labels_either(tmp_path, others):
    """As among the columns of x; in a table of pandas as in a file."""
    cells = [["-", *others][i % 3] for i in range(N)]
    path = file(tmp_path, with_column(cells))
    for source in (path, pd.DataFrame({"a": X[:, 0], "z": cells})):
        with pytest.raises(er.InputError, match="8 of the 24 labels are missing"):
            load_data(source, labels="z")
        data = load_data(source, labels="z", observed="label", validation=4, test=4)
        assert "Read as missing: '-' in 'z'." in data.notes
        known = {
            int(i): bool(k) for p in data.parts.values() for i, k in zip(p.index, p.observed["label"][1], strict=True)
        }
        assert known == {i: cell != "-" for i, cell in enumerate(cells)}


def test_plus_and_minus_are_two_classes(tmp_path):
    """The minus was read as missing, so that the column had one class and was left out."""
    for others in ([], ["."]):  # strands of a gene table, some without one
        cells = [["+", "-", *others][i % (2 + len(others))] for i in range(N)]
        path = file(tmp_path, with_column(cells))
        data = load_data(path)
        assert data.classes == {"z": ["+", "-"]}
        missing = [note for note in data.notes if note.startswith("Read as missing")]
        assert missing == ["Read as missing, among words: '.' in 'z'."] * len(others)
    assert load_data(file(tmp_path, with_column(["+", "-"] * (N // 2))), labels="z").label_names == ["+", "-"]


def test_columns_can_be_left_out(tmp_path):
    path = file(tmp_path, table("a,b,c"))
    for source in (path, pd.DataFrame(X, columns=NAMES)):
        data = load_data(source, drop=["b"])
        assert data.columns == ["a", "c"]
        np.testing.assert_array_equal(all_of(data), X[:, [0, 2]])
        with pytest.raises(er.InputError, match="has no column 'd' to drop; it has 'a', 'b', 'c'"):
            load_data(source, drop=["d"])
    for source in (X, "digits"):
        with pytest.raises(er.InputError, match="no columns by name, so drop='b' means nothing"):
            load_data(source, drop="b")


def test_a_target_of_regression_is_not_taken_for_classes(tmp_path):
    path = tmp_path / "t.npz"
    for y, why in ((X[:, 0], "fractions, so no classes"), (np.arange(N) * 1.0, "24 different values")):
        np.savez(path, x=X, y=y)
        data = load_data(path)
        assert data.label_names is None
        assert f"Left out: 'y' ({why}" in data.notes[0]
        assert load_data(path, drop=["y"]).notes == []
    np.savez(path, x=X, y=X[:, 0])
    with pytest.raises(er.InputError, match="fractions or infinite values: labels are classes"):
        load_data(path, labels="y")
    np.savez(path, x=X, y=np.arange(N) % 2 * 1.0)
    assert load_data(path).label_names == ["0", "1"]


def test_rows_with_none_have_missing_cells():
    rows = [[None if i == 4 and j == 1 else float(v) for j, v in enumerate(row)] for i, row in enumerate(X)]
    expected = X.copy()
    expected[4, 1] = np.nan
    for source in (rows, np.array(rows, dtype=object)):
        np.testing.assert_array_equal(all_of(load_data(source)), expected)


NUMBER = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: float(f"{v:.6g}")),
    st.integers(-(10**6), 10**6).map(float),
    st.floats(-1e30, 1e30, allow_nan=False),
    st.just(math.nan),
)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), n=st.integers(5, 12), columns=st.integers(1, 4))
def test_what_pandas_writes_in_any_dialect_comes_back(tmp_path_factory, data, n, columns):
    """The independent answer is the frame itself: its numbers and its missing cells, column by column."""
    x = np.array([[data.draw(NUMBER) for _ in range(columns)] for _ in range(n)])
    assume(not np.isnan(x).all(0).any())
    frame = pd.DataFrame(x, columns=[f"v{i}" for i in range(columns)])
    mark, point = data.draw(st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ".")]))
    index, absent = data.draw(st.booleans()), data.draw(st.sampled_from(["", "NA", "NULL", "?"]))
    end, code = data.draw(st.sampled_from(["\n", "\r\n"])), data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    path = tmp_path_factory.mktemp("t") / data.draw(st.sampled_from(["t.csv", "t.txt", "t.csv.gz"]))
    text = frame.to_csv(sep=mark, decimal=point, index=index, na_rep=absent, lineterminator=end, quoting=quoting)
    path.write_bytes(gzip.compress(text.encode(code)) if path.suffix == ".gz" else text.encode(code))
    found = load_data(path, support="real", validation=1, test=1)
    np.testing.assert_array_equal(all_of(found), x)
    assert found.columns == list(frame.columns)
    assert (found.train.fill is not None) == bool(np.isnan(x).any())


CELL = st.sampled_from(["1", "2.5", "-3", "NA", "", "red", "blue", "None", "-", "01", "1_3", "2024-01-05", "True",
                        "1,5", "12 000", "?"])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(CELL, min_size=8, max_size=20))
def test_no_cell_changes_without_a_word(tmp_path_factory, cells):
    """Read by Python's csv and float: a column is these numbers, or these words, or it is left out by name."""
    path = tmp_path_factory.mktemp("t") / "t.csv"
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([["a", "z"], *([f"{i}.5", cell] for i, cell in enumerate(cells))])
    path.write_text(buffer.getvalue())
    data = load_data(path, validation=1, test=1)
    notes = " ".join(data.notes)
    if data.columns == ["a"]:
        assert "Left out: 'z'" in notes or "'z' is always" in notes
        return
    got, words = all_of(data)[:, 1], data.classes.get("z")
    absent = {"NA", "", "?"} | ({"-"} if "Read as missing" in notes else set())
    absent |= {"None"} if "Read as missing" in notes and not words else set()
    for cell, value in zip(cells, got, strict=True):
        if cell in absent:
            assert np.isnan(value)
        elif words:
            assert words[int(value)] == cell
        elif cell == "True":
            assert value == 1
        else:
            assert value == float(cell.replace(" ", "").replace(",", "."))


def test_a_table_says_which_line_a_row_is(tmp_path):
    path = file(tmp_path, '\n# note\n"a",b\n1,"x\ny"\n\n2,z\n')
    found = read_table(path)
    assert [found.origin.row(i) for i in range(2)] == ["line 5", "line 7"]
    assert found.frame.iloc[:, 1].tolist() == ["x\ny", "z"]
