import fractions
import io
import os
import pickle
import struct
import warnings
import zipfile
from decimal import Decimal

import numpy as np
import pytest
import torch
from scipy import sparse

from elbowroom.data import Dataset, load_data
from elbowroom.data.values import Mapped
from elbowroom.numerics import InputError, Support

G = np.random.default_rng(0)
X = G.normal(size=(30, 4))
Y = np.arange(30) % 2
WHOLE = G.integers(-3, 400, (30, 4))
BYTES = G.integers(0, 256, (20, 8, 6), dtype=np.uint8)


def everything(data: Dataset) -> np.ndarray:
    index = torch.cat([part.index for part in data.parts.values()])
    return torch.cat([part.x for part in data.parts.values()])[index.argsort()].numpy()


def codes_of(data: Dataset) -> list[int]:
    index = torch.cat([part.index for part in data.parts.values()])
    return torch.cat([part.labels for part in data.parts.values()])[index.argsort()].tolist()


def said(data: Dataset, words: str) -> bool:
    return any(words in note for note in data.notes)


# Numbers of every kind


@pytest.mark.parametrize(
    "x",
    [
        X.astype(">f8"),
        np.asfortranarray(X),
        X[::-1, ::-1],
        X.astype(np.float16),
        X.astype(np.longdouble),
        X.astype(object),
        X.tolist(),
        tuple(map(tuple, X)),
        np.repeat(X, 2, 0)[::2],
        torch.tensor(X, requires_grad=True),
        torch.tensor(X).bfloat16(),
        torch.tensor(X).t().contiguous().t(),
        [torch.tensor(row, requires_grad=True) for row in X],
        X.astype(str),
        X.astype("S32"),
        WHOLE.astype(">i2"),
        WHOLE.astype(object),
        [[Decimal(int(v)) for v in row] for row in WHOLE],
        [[fractions.Fraction(int(v), 4) for v in row] for row in WHOLE],
        (WHOLE > 100),
        (WHOLE > 100).astype(object),
    ],
    ids=str,
)
def test_numbers_of_every_kind_keep_their_values(x):
    given = [row.tolist() for row in x] if isinstance(x, list | tuple) and torch.is_tensor(x[0]) else x
    expected = given.detach().double().numpy() if torch.is_tensor(given) else np.array(given).astype(np.float64)
    np.testing.assert_array_equal(everything(load_data(x)), expected)


def test_a_matrix_and_a_read_only_array_are_arrays():
    fixed = X.copy()
    fixed.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        np.testing.assert_array_equal(everything(load_data(np.matrix(X))), X)
    np.testing.assert_array_equal(everything(load_data(fixed)), X)


@pytest.mark.parametrize(
    "x",
    [
        np.ma.masked_array(np.where(np.arange(4) == 1, -9999.0, X), np.arange(120).reshape(30, 4) % 4 == 1),
        np.where(np.arange(4) == 1, None, X.astype(object)),
        np.where(np.arange(4) == 1, "", X.astype(str)),
        [[a, float("nan"), c, d] for a, _, c, d in X],
    ],
    ids=["masked", "None", "empty text", "nan"],
)
def test_cells_without_a_value_are_missing(x):
    half = np.arange(30) < 15  # a column without any value would be left out
    x = np.ma.where(half[:, None], X, x) if isinstance(x, np.ma.MaskedArray) else np.where(half[:, None], X, x)
    data = load_data(x)
    assert data.notes[0].startswith("Missing cells: 15 of 120")
    seen = np.where((np.arange(4) == 1) & ~half[:, None], np.nan, X)
    rows = data.train.index.numpy()
    batch = data.train.batch()
    np.testing.assert_array_equal(batch.seen.numpy(), ~np.isnan(seen[rows]))
    np.testing.assert_array_equal(batch.x.numpy()[batch.seen], seen[rows][batch.seen])


def test_a_structured_array_is_a_table_with_names(tmp_path):
    fields = [("a", ">f4"), ("b", "i2"), ("kind", "U3"), ("code", "S2")]
    rows = np.array([(i / 3, i, "uv"[i % 2], "pq"[i % 2]) for i in range(30)], dtype=fields)
    np.save(tmp_path / "t.npy", rows)
    np.savez(tmp_path / "t.npz", rows)
    for source in (rows, np.rec.array(rows), tmp_path / "t.npy", tmp_path / "t.npz"):
        data = load_data(source)
        assert data.columns == ["a", "b", "kind", "code"]
        assert data.classes == {"kind": ["u", "v"], "code": ["p", "q"]}
        np.testing.assert_array_equal(everything(data)[:, 1], np.arange(30))
        np.testing.assert_array_equal(everything(data)[:, 0], rows["a"])
    data = load_data(tmp_path / "t.npy", labels="kind")
    assert (data.columns, codes_of(data)) == (["a", "b", "code"], [0, 1] * 15)


# Sparse


CSR = sparse.random_array((30, 8), density=0.3, format="csr", rng=np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dok", "lil", "dia", "bsr"])
@pytest.mark.parametrize("old", [False, True], ids=["array", "matrix"])
def test_sparse_matrices_of_every_format(tmp_path, kind, old):
    x = CSR.asformat(kind)
    x = getattr(sparse, f"{kind}_matrix")(x) if old else x
    data = load_data(x)
    np.testing.assert_array_equal(everything(data), CSR.toarray())
    if kind not in ("dok", "lil"):
        sparse.save_npz(tmp_path / "x.npz", x)
        assert load_data(tmp_path / "x.npz").sha256 == data.sha256
        assert load_data(tmp_path / "x.npz").notes == data.notes


def test_entries_of_a_sparse_matrix_that_stand_twice_are_added():
    twice = sparse.coo_array(([1.0, 2.0, 0.5], ([0, 0, 2], [1, 1, 0])), shape=(30, 2))
    np.testing.assert_array_equal(everything(load_data(twice))[:3], [[0, 3], [0, 0], [0.5, 0]])


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc"])
def test_sparse_tensors_stay_sparse(layout):
    dense = torch.tensor(CSR.toarray(), dtype=torch.float32)
    options = {"blocksize": (2, 2)} if layout in ("bsr", "bsc") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        data = load_data(getattr(dense, f"to_sparse_{layout}")(**options))
    assert not data.train.values.in_memory
    np.testing.assert_array_equal(everything(data), dense.numpy())
    assert load_data(dense.bfloat16().to_sparse()).sha256 == load_data(dense.bfloat16()).sha256


# Channels


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 12])
def test_channels_come_first_whether_they_came_first_or_last(channels):
    first = images(20, channels, 9, 9)
    last = np.ascontiguousarray(first.transpose(0, 2, 3, 1))
    data, turned = load_data(first), load_data(last)
    np.testing.assert_array_equal(everything(data).reshape(first.shape), first)
    np.testing.assert_array_equal(everything(turned), everything(data))
    assert said(turned, "The channels came last; they now come first.")
    assert not said(data, "channels c")
    assert data.image_shape == turned.image_shape == ((9, 9) if channels == 1 else (channels, 9, 9))


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((20, 3, 5, 3), (3, 5, 3)),
        ((20, 3, 3, 3), (3, 3, 3)),
        ((20, 4, 6, 2), (4, 6, 2)),
        ((20, 1, 5, 3), (5, 3)),
        ((20, 7, 6, 5), (7, 6, 5)),
    ],
)
def test_where_shapes_leave_channels_open_a_note_says_what_was_assumed(shape, event):
    data = load_data(images(*shape))
    assert data.image_shape == event
    words = "1 channel" if shape[1] == 1 else f"{shape[1]} channels"
    assert said(data, f"The shape {shape} was taken for {words} of {shape[2]}×{shape[3]}; if channels come last, give")


def test_three_colours_win_over_four_rows():
    assert load_data(images(20, 4, 4, 3)).event == (3, 4, 4)
    assert load_data(images(20, 3, 4, 4)).event == (3, 4, 4)


def test_an_opaque_fourth_channel_is_dropped():
    x = images(20, 8, 6, 4)
    x[..., 3] = 255
    data = load_data(x)
    assert said(data, "The last of 4 channels is 255 everywhere, as opaque alpha is: dropped.")
    np.testing.assert_array_equal(everything(data), x[..., :3].transpose(0, 3, 1, 2))
    grey = images(20, 2, 8, 6)
    grey[:, 1] = 255
    assert load_data(grey).image_shape == (8, 6)
    assert said(load_data(images(20, 4, 8, 6)), "All four channels are modelled; if the fourth is transparency")


def test_one_image_in_colour_is_no_set_of_grey_ones_without_a_word():
    assert said(load_data(images(30, 45, 3)), "(30, 45, 3) was taken for 30 grey images of 45×3; one image in colour")
    assert load_data(images(30, 45, 5)).notes == []


def test_equal_channels_and_black_and_white_are_noted():
    grey = np.repeat(images(20, 1, 8, 6), 3, 1)
    assert said(load_data(grey), "The three channels are equal everywhere: x[:, :1] holds the same images")
    two = np.where(images(20, 8, 6) > 99, 255, 0).astype(np.uint8)
    data = load_data(two)
    assert said(data, "The values are 0 and 255 alone: x // 255 is binary")
    np.testing.assert_array_equal(everything(data), two.reshape(20, -1))


@pytest.mark.parametrize(("high", "levels"), [(65_535, 65_536), (4_000, 4_096), (300, 1_024)])
def test_images_of_sixteen_bits_are_a_grid(high, levels):
    x = np.random.default_rng(0).integers(0, high, (20, 8, 6), dtype=np.uint16)
    x[0, 0, 0] = high
    data = load_data(x)
    assert data.support == load_data(x.astype(">u2")).support == Support("grid", levels)
    assert said(data, f"the greatest {high:,}, were taken for greys on")
    assert load_data(x, support="counts").support == Support("counts")
    assert load_data(x.reshape(20, -1)).support == Support("counts")


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint32])
def test_greys_in_other_whole_numbers_are_the_same_grid(kind):
    """As pydicom and Pillow read files of 16 bits; 64 bits are NumPy's own whole numbers, and may be counts."""
    x = np.random.default_rng(0).integers(0, 4_000, (20, 8, 6))
    x[0, 0, 0] = 4_000
    data = load_data(x.astype(kind))
    assert data.support == Support("grid", 4_096)
    assert data.sha256 == load_data(x.astype(np.uint16)).sha256
    assert said(data, f"Images of {8 * np.dtype(kind).itemsize}-bit numbers, the greatest 4,000, were taken for greys")
    assert load_data(x).support == load_data(x * 50).support == Support("counts")


def test_images_of_whole_numbers_below_zero_say_that_their_density_is_bare():
    x = np.random.default_rng(0).integers(-1_000, 3_000, (20, 8, 6)).astype(np.int16)
    x[0, 0, 0] = -1_000
    assert said(
        load_data(x), "Images of whole numbers, the least -1,000, have a density, which on a grid grows without"
    )
    assert load_data(x + np.int16(1_000)).support == Support("grid", 4_096)


def test_images_of_two_values_have_ties_too():
    x = np.where(images(20, 8, 6) > 99, 1.0, -1.0)
    assert said(load_data(x), "Ties: only 2 different values, 2 apart at the closest")
    assert load_data((x + 1) / 2).support == Support("binary")


# Grey levels on another scale


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    "scale",
    [lambda k: k / 255, lambda k: k * (1 / 255), lambda k: k / 127.5 - 1, lambda k: (k / 255 - 0.5) / 0.5],
    ids=["k/255", "k·(1/255)", "k/127.5 − 1", "normalised"],
)
def test_grey_levels_on_another_scale_are_turned_back(kind, scale):
    x = scale(BYTES.astype(np.float32 if kind == np.float16 else kind)).astype(kind)
    data = load_data(x)
    assert data.support == Support("grid", 256)
    np.testing.assert_array_equal(everything(data), BYTES.reshape(20, -1))
    assert data.sha256 == load_data(BYTES).sha256
    assert said(data, "a density over these would grow without bound: x is k, on the grid 0…255")
    kept = load_data(x, support="unit" if x.min() >= 0 else "real")
    np.testing.assert_array_equal(everything(kept), x.reshape(20, -1))
    np.testing.assert_array_equal(everything(load_data(x, preprocess="none")), x.reshape(20, -1))


def test_other_levels_tables_and_gaps():
    k = G.integers(0, 17, (50, 8, 8))
    assert load_data(k / 16).support == load_data(k / 8 - 1).support == Support("grid", 17)
    np.testing.assert_array_equal(everything(load_data(k / 16)), k.reshape(50, 64))
    deep = G.integers(0, 65_536, (20, 8, 8))
    data = load_data((deep / 65_535).astype(np.float32))
    np.testing.assert_array_equal(everything(data), deep.reshape(20, -1))
    assert data.support == Support("grid", 65_536)
    table = BYTES.reshape(20, -1) / 255
    assert load_data(table).support == Support("grid", 256)
    table[3, 4] = np.nan
    data = load_data(table)
    assert data.support == Support("grid", 256)
    assert data.notes[0].startswith("All values are k/255")


def test_what_is_no_grid_of_grey_levels_is_left_as_it_is():
    reals = G.random((50, 8, 8))
    levels = np.round(255 * reals) / 255
    almost = levels.copy()
    almost[-1, -1, -1] += 1e-4
    fifths = G.integers(0, 6, (50, 4)) / 5  # of a table, whose columns may be shares
    coarse = reals.astype(np.float16)
    for x in (reals, almost, levels * 1.5, fifths, coarse, np.full((50, 8, 8), 0.2), levels - 0.3):
        np.testing.assert_array_equal(everything(load_data(x)), x.reshape(len(x), -1).astype(np.float64))


# Files


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("key", ["x", "X", "data", "images", "Images", "whatever", "arr_0"])
def test_the_data_of_a_file_are_found_by_name(tmp_path, key):
    path = save(tmp_path / "mine.npz", **{key: X, "Y": Y})
    data = load_data(path)
    np.testing.assert_array_equal(everything(data), X)
    assert (codes_of(data), data.name, data.source) == (Y.tolist(), "mine", str(path))
    assert load_data(path, labels="Y").loading["options"]["labels"] == "Y"


def test_arrays_that_are_left_out_are_named(tmp_path):
    path = save(tmp_path / "m.npz", x=X, y=Y, group=Y, mask=X > 0)
    data = load_data(path)
    assert "Arrays of the file that were left out: group, mask." in data.notes
    assert said(data, "If 'mask' says which cells are missing, write NaN into x there: it was not read.")
    assert load_data(path, labels="group", context="mask").notes[0] == "Arrays of the file that were left out: y."


@pytest.mark.parametrize("names", ["x_{}", "{}_images", "X{}", "data_{}"])
def test_parts_in_a_file_are_the_official_split(tmp_path, names):
    parts = {"test": slice(0, 5), "train": slice(5, 20), "val": slice(20, 30)}
    x = {names.format(part): X[rows] for part, rows in parts.items()}
    y = {f"y_{part}": Y[rows] for part, rows in parts.items()}
    data = load_data(save(tmp_path / "m.npz", **x, **y))
    assert data.official == ("validation", "test")
    for part, rows in zip(data.parts.values(), ("train", "val", "test"), strict=True):
        order = part.index.argsort()
        np.testing.assert_array_equal(part.x[order], X[parts[rows]])
        np.testing.assert_array_equal(part.labels[order], Y[parts[rows]])


def test_a_test_part_beside_x(tmp_path):
    data = load_data(save(tmp_path / "m.npz", x=X[:20], x_test=X[20:], y=Y[:20]))
    assert (data.official, len(data.test), data.label_names) == (("test",), 10, None)
    assert data.notes == ["Left out: 'y' (labels of some parts of the data alone)."]


@pytest.mark.parametrize(
    ("y", "names", "words"),
    [
        (np.array(["a", "b"] * 15), ["a", "b"], None),
        (np.array([b"a", b"b"] * 15), ["a", "b"], None),
        (np.eye(2)[Y], ["0", "1"], None),
        (Y[:, None].astype(float), ["0", "1"], None),
        (X[:, 0], None, "Left out: 'y' ("),
        (G.integers(0, 2, (30, 3)), None, "Left out: 'y' ("),
        (
            np.array(["a", "b"] * 15, dtype=object),
            None,
            "Left out: 'y' (Python objects, which are pickled; save them as texts",
        ),
        (np.zeros((30, 2, 2)), None, "Left out: 'y' ("),
    ],
)
def test_labels_of_a_file_that_are_no_classes_are_left_out_in_a_note(tmp_path, y, names, words):
    data = load_data(save(tmp_path / "m.npz", x=X, y=y))
    assert data.label_names == names
    assert codes_of(data) == Y.tolist() if names else said(data, words)
    assert not said(data, "Arrays of the file")
    assert load_data(tmp_path / "m.npz", drop="y").notes == []


def test_one_hot_labels_are_read_by_name_too(tmp_path):
    assert codes_of(load_data(save(tmp_path / "m.npz", x=X, kind=np.eye(2)[Y]), labels="kind")) == Y.tolist()


def test_a_regression_target_may_be_a_context(tmp_path):
    data = load_data(save(tmp_path / "m.npz", x=X, y=X[:, 0]), context="y")
    assert data.train.context["y"].shape == (21, 1)


def test_files_are_read_by_their_content(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").rename(tmp_path / "array.npz")
    save(tmp_path / "x.npz", x=X).rename(tmp_path / "archive.npy")
    for name, kind in (("array.npz", ".npy"), ("archive.npy", ".npz")):
        data = load_data(tmp_path / name)
        np.testing.assert_array_equal(everything(data), X)
        assert data.notes == [f"By its content {name!r} is a {kind} file, and was read as one."]


@pytest.mark.parametrize("x", [np.asfortranarray(X), X.astype(">f8"), X.astype(np.float16), X > 0, X.astype(str)])
def test_arrays_on_disk(tmp_path, x, monkeypatch):
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", x=x)
    expected = x.astype(np.float64)
    for name in ("x.npy", "x.npz"):
        np.testing.assert_array_equal(everything(load_data(tmp_path / name)), expected)
    monkeypatch.setattr("elbowroom.data.array_files._MAPPED_FROM", 1)
    data = load_data(tmp_path / "x.npy")
    np.testing.assert_array_equal(everything(data), expected)
    assert isinstance(data.train.values, Mapped) == (x.dtype.kind != "U")


# Sentences


def claim(shape: str, there: int = 32) -> bytes:
    """An array file whose header claims a shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(there)


def archive(content: bytes, name: str = "x.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(name, content)
    return file.getvalue()


def saved(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def broken_csr() -> bytes:
    good = {"format": b"csr", "shape": (4, 4), "data": np.ones(2), "indptr": [0, 1, 2, 2, 2]}
    return zipped(**{key: np.array(value) for key, value in good.items()}, indices=np.array([0, 9]))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "t.npy",
            claim("(125000000, 1000)"),
            r"claims 125,000,000 × 1,000 values of float64, 1,000,000,000,000 bytes, .*32",
        ),
        (
            "t.npz",
            archive(claim("(125000000, 1000)")),
            r"'x' in 't.npz' cannot be read: its header claims 125,000,000 × 1",
        ),
        ("t.npy", claim("(-1, 2)"), r"cannot be read .a header with the shape .-1, 2."),
        ("t.npy", claim("(True, 2)"), r"cannot be read .a header with the shape .True, 2."),
        ("t.npy", claim("(" * 90), "cannot be read"),
        (
            "t.npy",
            saved(X)[:300],
            "header claims 30 × 4 values of float64, 960 bytes, and the file holds 172",
        ),
        ("t.npy", saved(X)[:60], "cannot be read"),
        ("t.npy", b"", r"cannot be read .it is empty."),
        ("t.npz", zipped(x=X)[:200], "cannot be read"),
        ("t.npz", zipped(x=X)[:-30], "cannot be read"),
        ("t.npz", b"\x89HDF\r\n", r"cannot be read .it is HDF5."),
        ("t.npy", b"\x1f\x8b\x08", r"cannot be read .it is compressed by gzip."),
        ("t.npy", pickle.dumps(X), r"cannot be read .it is a pickle, which is never read."),
        ("t.npy", b"1,2,3\n", r"cannot be read .it is no .npy."),
        (
            "t.npy",
            saved(np.array([[1, 2.5]] * 9, object)),
            "'t.npy' holds Python objects, which are pickled, and pickles",
        ),
        ("t.npz", zipped(x=np.array([{}, 1])), "'x' in 't.npz' holds Python objects, which are pickled"),
        ("t.npz", archive(b"x", "data.pkl"), "'t.npz' holds no arrays: name the data 'x'"),
        ("t.npz", zipped(a=X, b=X), "'t.npz' holds 'a', 'b': name the data 'x', 'data' or 'images'"),
        (
            "t.npz",
            zipped(x_train=X, x_test=X[:, :2]),
            r"'x_train' of shape .30, 4. and 'x_test' of shape .30, 2.: parts",
        ),
        (
            "t.npz",
            zipped(x_train=images(20, 8, 6), x_test=images(9, 8, 6) / 255),
            "'t.npz' holds 'x_train' in whole numbers to 255 and 'x_test' in fractions to 1, as if one had been",
        ),
        (
            "t.npz",
            zipped(x_train=images(20, 8, 6) / 127.5 - 1, x_val=images(9, 8, 6), x_test=images(9, 8, 6) / 127.5 - 1),
            "'t.npz' holds 'x_val' in whole numbers to 255 and 'x_train' in fractions to 1",
        ),
        ("t.npz", zipped(x=X, y=Y[:9]), r"The labels have shape .9,. for 30 examples"),
        ("t.npz", zipped(x=X, y=np.where(Y > 0, np.nan, Y)), "15 of the 30 labels are missing"),
        ("t.npz", broken_csr(), "'.*t.npz' cannot be read"),
        ("t.npy", saved(np.float64(3)), r"'t.npy' has shape ..: one row per example"),
        ("t.npy", saved(np.arange(3)), r"'t.npy' has shape .3,.: one row per example is needed; one column"),
        ("t.npy", saved(np.zeros((0, 3))), r"data are empty .shape .0, 3.."),
        ("t.npy", saved(np.zeros((4, 3, 0))), "data are empty"),
        ("t.npy", saved(X + 1j), "'t.npy' holds complex numbers: give real and imaginary parts as columns"),
        ("t.npy", saved(np.zeros(9, [("a", "f4", 3)])), "'t.npy' has fields that hold several values"),
    ],
    ids=lambda one: "bytes" if isinstance(one, bytes) else None,  # an archive's hold the time of day
)
def test_files_that_cannot_be_read_are_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        load_data(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_parts_of_one_scale_are_joined_whatever_their_types(tmp_path):
    grey, few = images(20, 8, 6), (images(9, 8, 6) > 99).astype(np.uint8)
    for parts in (
        {"x_train": grey.astype(np.float32), "x_test": grey},
        {"x_train": grey / 255, "x_test": few},
        {"x_train": grey, "x_test": few},
        {"x_train": X, "x_test": np.where(X > 1, np.nan, X)},
    ):
        (tmp_path / "t.npz").write_bytes(zipped(**parts))
        assert len(everything(load_data(tmp_path / "t.npz"))) == sum(map(len, parts.values()))


def test_what_the_memory_cannot_hold_is_not_allocated(tmp_path, monkeypatch):
    bomb = claim("(40000, 100)", 32_000_000)
    (tmp_path / "t.npz").write_bytes(archive(bomb))
    assert (tmp_path / "t.npz").stat().st_size < 50_000
    monkeypatch.setattr("elbowroom.data.memory._memory", lambda: 20_000_000)
    with pytest.raises(
        InputError, match=r"values of 'x' in 't.npz' need 0 GB .40,000 × 100 of float64.*save it as .npy"
    ):
        load_data(tmp_path / "t.npz")


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"x.npy' is neither a file nor a folder"):
        load_data(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (np.arange(20).astype("datetime64[D]")[:, None], r"holds datetime64.D. values: give numbers, such as days"),
        (np.arange(20).astype("timedelta64[h]")[:, None], r"holds timedelta64.h. values: give numbers"),
        (X + 0j, "holds complex numbers"),
        (torch.tensor(X + 0j), "holds complex numbers"),
        ([[1, 2], [3]], "is ragged: every row needs the same number of values"),
        ((X, Y), "is ragged: .*labels beside x are given as labels="),
        (np.array([["1_3", "2"]] * 20), "no numbers, such as '1_3': give numbers, or a DataFrame"),
        (np.array([["a", "2"]] * 20), "no numbers, such as 'a'"),
        (np.array([[{}, 2]] * 20), "no numbers, such as {}"),
        (np.array([[2**60 + 1, 2]] * 20, object), "whole numbers beyond 2.53, which floats merge"),
        ({"a": [1, 2]}, r"is a dict: pandas.DataFrame.x. makes a table"),
        (
            torch.utils.data.TensorDataset(torch.tensor(X)),
            r"is a TensorDataset: give its values, such as dataset.tensors",
        ),
        ((row for row in X), r"is a generator: give list.x."),
        (io.BytesIO(b"1,2"), "is a BytesIO: give an array, a tensor"),
        (None, "is a NoneType: give an array"),
        (3.5, "is a float: give an array"),
        (np.float64(3), r"has shape ..: one row per example is needed"),
        (torch.zeros(3, 4, 5).to_sparse(), "of layout torch.sparse_coo and 3 dimensions: give a dense one"),
        (
            torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
            "is a tensor that is nested: give an array",
        ),
        (torch.empty(3, 2, device="meta"), "is a tensor that has no values: give an array"),
        (sparse.coo_array(np.ones(4)), r"is sparse, of shape .4,."),
        (np.zeros((10, 4, 3, 8, 8)), r"films and volumes make each picture an example, x.reshape.-1, \*x.shape.2:.."),
    ],
)
def test_what_are_no_numbers_is_one_sentence(source, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        load_data(source)
    assert "\n" not in str(caught.value)
