import sys

import numpy as np
import pandas as pd
import pytest
import torch

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError

X = np.arange(24).reshape(8, 3)
Y = np.array([0, 1] * 4)


def everything(data: Dataset) -> np.ndarray:
    x = torch.cat([part.x for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    return x[index.argsort()].numpy()


def labels_of(data: Dataset) -> list[str]:
    codes = torch.cat([part.labels for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    return [data.label_names[code] for code in codes[index.argsort()].tolist()]


def test_csv_with_and_without_names_quotes_and_a_byte_order_mark(tmp_path):
    rows = "\n".join(",".join(map(str, row)) for row in X)
    (tmp_path / "plain.csv").write_text(rows)
    (tmp_path / "named.csv").write_text('\ufeff"a, first",b,c\n' + rows + "\n\n", encoding="utf-8")
    plain, named = load_data(tmp_path / "plain.csv"), load_data(tmp_path / "named.csv")
    for data in (plain, named):
        np.testing.assert_array_equal(everything(data), X)
    assert plain.columns is None
    assert named.columns == ["a, first", "b", "c"]
    assert plain.sha256 == named.sha256 == load_data(X).sha256


def test_csv_labels_may_be_words(tmp_path):
    lines = ["a,kind,b"] + [f"{i},{'left' if i % 2 else 'right'},{i * 0.5}" for i in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = load_data(tmp_path / "t.csv", labels="kind")
    assert data.columns == ["a", "b"]
    assert labels_of(data) == ["right", "left"] * 4
    np.testing.assert_array_equal(everything(data), np.stack([np.arange(8), np.arange(8) * 0.5], 1))


def test_parquet(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=["u", "v"] * 4)
    frame.to_parquet(tmp_path / "t.parquet")
    data = load_data(tmp_path / "t.parquet", labels="kind")
    np.testing.assert_array_equal(everything(data), X)
    assert labels_of(data) == ["u", "v"] * 4


def test_parquet_without_its_extra_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        load_data(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'elbowroom\[parquet\]'"):
        load_data(tmp_path / "t.parquet")


def text(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: d / "nowhere.csv", "no file or folder .*nowhere.csv"),
        (lambda d: text(d / "t.xlsx", "x"), "'t.xlsx' has an ending that is not known.*npy"),
        (lambda d: text(d / "t.csv", b"\x89PNG\xff\xfe\x00"), "t.csv.*cannot be read"),
        (lambda d: text(d / "t.csv", ""), "'t.csv' is empty"),
        (lambda d: text(d / "t.csv", "a,b\n"), "no rows"),
        (lambda d: text(d / "t.csv", "a,b\n1,2\n3\n"), "ragged: line 3 has 1 cell between commas, and not 2"),
        (
            lambda d: text(d / "t.csv", "b,c\n2,x\ny,z\n"),
            "'b' holds numbers, and words such as 'y' in line 3",
        ),
        (lambda d: text(d / "t.csv", "a,b\n1,2\n3,inf\n"), "infinite.*line 3, column 'b'"),
    ],
)
def test_bad_files_are_one_clear_sentence(tmp_path, make, words):
    path = make(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        load_data(path)
    assert "\n" not in str(caught.value)


def test_a_label_column_that_is_not_there(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    np.savez(tmp_path / "t.npz", x=X)
    np.save(tmp_path / "t.npy", X)
    for path, words in [("t.csv", "it has 'a', 'b'"), ("t.npz", "it holds x"), ("t.npy", "no columns")]:
        with pytest.raises(InputError, match=words):
            load_data(tmp_path / path, labels="kind")
