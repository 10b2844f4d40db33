import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError, Support

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


def test_npy(tmp_path):
    np.save(tmp_path / "mine.npy", X)
    data = load_data(tmp_path / "mine.npy", labels=Y)
    np.testing.assert_array_equal(everything(data), X)
    assert data.name == "mine"
    assert data.source == str(tmp_path / "mine.npy")


@pytest.mark.parametrize("key", ["x", "data", "images", "whatever"])
def test_npz(tmp_path, key):
    path = tmp_path / "mine.npz"
    if key == "whatever":
        np.savez(path, **{key: X})
    else:
        np.savez(path, **{key: X, "y": Y, "group": Y + 1})
        assert labels_of(load_data(str(path))) == ["0", "1"] * 4
        assert labels_of(load_data(path, labels="group")) == ["1", "2"] * 4
    np.testing.assert_array_equal(everything(load_data(str(path))), X)


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


def save_images(folder, pixels, mode):
    folder.mkdir(parents=True, exist_ok=True)
    for i, p in enumerate(pixels):
        Image.fromarray(p).convert(mode).save(folder / f"{i:03}.png")


def test_folder_of_grey_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (6, 5, 4), dtype=np.uint8)
    save_images(tmp_path, pixels, "L")
    (tmp_path / "readme.txt").write_text("no image")
    data = load_data(tmp_path)
    assert (data.support, data.event, data.image_shape) == (Support("grid", 256), (20,), (5, 4))
    np.testing.assert_array_equal(everything(data), pixels.reshape(6, 20))
    assert data.label_names is None


def test_folder_of_colour_images_labelled_by_subfolders(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    save_images(tmp_path / "cats", pixels[:3], "RGB")
    save_images(tmp_path / "dogs", pixels[3:], "RGB")
    data = load_data(str(tmp_path))
    assert data.event == (3, 5, 4)
    np.testing.assert_array_equal(everything(data), pixels.transpose(0, 3, 1, 2))
    assert labels_of(data) == ["cats"] * 3 + ["dogs"] * 3


def test_folder_of_black_and_white_images_is_binary(tmp_path):
    save_images(tmp_path, np.random.default_rng(0).integers(0, 2, (6, 4, 4), dtype=np.uint8) * 255, "1")
    assert load_data(tmp_path).support == Support("binary")


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def npy(path, array):
    np.save(path, array, allow_pickle=True)
    return path


def text(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def mixed_sizes(folder):
    Image.new("L", (4, 4)).save(folder / "a.png")
    Image.new("L", (5, 4)).save(folder / "b.png")
    return folder


def mixed_places(folder):
    Image.new("L", (4, 4)).save(folder / "a.png")
    (folder / "sub").mkdir()
    Image.new("L", (4, 4)).save(folder / "sub" / "b.png")
    return folder


def deep_image(folder):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "deep.png")
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: d / "nowhere.csv", "no file or folder .*nowhere.csv"),
        (lambda d: text(d / "t.xlsx", "x"), "'t.xlsx' has an ending that is not known.*npy"),
        (lambda d: cut(npz(d / "t.npz", x=X), 200), "t.npz.*cannot be read"),
        (lambda d: cut(npz(d / "t.npz", x=X), 0), "t.npz.*cannot be read"),
        (lambda d: npz(d / "t.npz", a=X, b=X), "holds 'a', 'b'"),
        (lambda d: npz(d / "t.npz", x=np.array([{}, 1])), "cannot be read"),
        (lambda d: cut(npy(d / "t.npy", X), 150), "t.npy.*cannot be read"),
        (lambda d: npy(d / "t.npy", np.array([{}, 1])), "t.npy.*cannot be read"),
        (lambda d: npy(d / "t.npy", np.arange(3)), "'t.npy' has shape"),
        (lambda d: text(d / "t.csv", b"\x89PNG\xff\xfe\x00"), "t.csv.*cannot be read"),
        (lambda d: text(d / "t.csv", ""), "'t.csv' is empty"),
        (lambda d: text(d / "t.csv", "a,b\n"), "no rows"),
        (lambda d: text(d / "t.csv", "a,b\n1,2\n3\n"), "ragged: line 3 has 1 cell between commas, and not 2"),
        (
            lambda d: text(d / "t.csv", "b,c\n2,x\ny,z\n"),
            "'b' holds numbers, and words such as 'y' in line 3",
        ),
        (lambda d: text(d / "t.csv", "a,b\n1,2\n3,inf\n"), "infinite.*row 1, column 'b'"),
        (lambda d: d, "holds no images"),
        (mixed_sizes, "'a.png' is 4×4, 'b.png' is 5×4"),
        (mixed_places, "beside subfolders"),
        (deep_image, "'deep.png' has more than 8 bits"),
        (lambda d: text(d / "bad.png", "no image").parent, "bad.png.*cannot be read"),
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
