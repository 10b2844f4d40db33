import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from elbowroom.data import fetch_data, formats, list_data, load_data, named
from elbowroom.numerics import InputError, Support

RNG = np.random.default_rng(0)
AT_HAND = os.environ.get("ELBOWROOM_DATA")


def images(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save_idx(path: Path, array: np.ndarray) -> Path:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return path


def idx_set(folder: Path) -> tuple[list[Path], np.ndarray, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    x, y = images(14, 28, 28), RNG.integers(0, 10, 14).astype(np.uint8)
    parts = [x[:10], y[:10], x[10:], y[10:]]
    files = [file.name for file in named.NAMED["mnist"].files]
    return [save_idx(folder / name, part) for name, part in zip(files, parts, strict=True)], x, y


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A cache of its own, and no folder of data."""
    monkeypatch.delenv("ELBOWROOM_DATA", raising=False)
    monkeypatch.setattr(named, "_cache", lambda: tmp_path / "cache")
    return tmp_path


def test_idx(tmp_path):
    paths, x, y = idx_set(tmp_path)
    raw = formats.read_idx_sets(paths)
    np.testing.assert_array_equal(raw.x, x)
    np.testing.assert_array_equal(raw.labels, y)
    assert raw.official == (0, 4)
    assert raw.support == Support("grid", 256)


def test_amat_and_packed_bits_agree(tmp_path):
    parts = {
        name: RNG.integers(0, 2, (n, 784), dtype=np.uint8) for name, n in [("train", 5), ("valid", 3), ("test", 2)]
    }
    for name, part in parts.items():
        np.savetxt(tmp_path / f"{name}.amat", part, fmt="%d")
    np.savez(tmp_path / "bits.npz", **{name: np.packbits(part, axis=1) for name, part in parts.items()})
    text = formats.read_amat_sets([tmp_path / f"{name}.amat" for name in parts])
    bits = formats.read_packed_bits([tmp_path / "bits.npz"])
    np.testing.assert_array_equal(text.x.reshape(10, 784), np.concatenate(list(parts.values())))
    np.testing.assert_array_equal(text.x, bits.x)
    assert text.official == bits.official == (3, 2)


def test_burda_omniglot(tmp_path):
    x, y = RNG.random((7, 28, 28)), np.array([0, 3, 1, 49, 2, 2, 5])
    columns = x.transpose(0, 2, 1).reshape(7, 784).T  # MATLAB's order: column by column
    one_hot = np.eye(50)[y].T
    content = {
        "data": columns[:, :5],
        "testdata": columns[:, 5:],
        "target": one_hot[:, :5],
        "testtarget": one_hot[:, 5:],
    }
    savemat(tmp_path / "chardata.mat", content)
    raw = formats.read_burda_omniglot([tmp_path / "chardata.mat"])
    np.testing.assert_array_equal(raw.x, x)
    np.testing.assert_array_equal(raw.labels, y)
    assert raw.official == (0, 2)


def test_frey_faces(tmp_path):
    x = images(6, 28, 20)
    savemat(tmp_path / "frey_rawface.mat", {"ff": x.reshape(6, 560).T})
    np.savez(tmp_path / "frey.npz", images=x)
    np.testing.assert_array_equal(formats.read_frey_mat([tmp_path / "frey_rawface.mat"]).x, x)
    np.testing.assert_array_equal(formats.read_frey_npz([tmp_path / "frey.npz"]).x, x)


def test_cifar_archive(tmp_path):
    x, y = images(12, 3, 32, 32), RNG.integers(0, 10, 12).astype(np.uint8)
    rows = np.concatenate([y[:, None], x.reshape(12, -1)], axis=1)
    names = ["test_batch.bin", *(f"data_batch_{i}.bin" for i in (3, 1, 2, 5, 4))]
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        for name in names:
            first = 10 if name == "test_batch.bin" else 2 * int(name[11]) - 2
            content = rows[first : first + 2].tobytes()
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    raw = formats.read_cifar_archive([tmp_path / "cifar.tar.gz"])
    np.testing.assert_array_equal(raw.x, x)
    np.testing.assert_array_equal(raw.labels, y)
    assert raw.official == (0, 2)


def test_cifar_sprites(tmp_path):
    x, y = images(2000, 32, 32, 3), RNG.integers(0, 10, 5000).astype(np.uint8)
    for name, part in [("train_00", x[:1000]), ("test_00", x[1000:])]:
        sheet = np.block([[[part[40 * row + column]] for column in range(40)] for row in range(25)])
        Image.fromarray(sheet).save(tmp_path / f"{name}.webp", lossless=True, quality=0, method=0)
    np.save(tmp_path / "labels_train.npy", y)
    np.save(tmp_path / "labels_test1000.npy", y[2000:3000])
    raw = formats.read_cifar_sprites(sorted(tmp_path.iterdir()))
    np.testing.assert_array_equal(raw.x, x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(raw.labels, np.concatenate([y[:1000], y[2000:3000]]))
    assert raw.official == (0, 1000)


def test_svhn(tmp_path):
    x, y = images(9, 32, 32, 3), np.array([10, 1, 2, 3, 4, 5, 9, 10, 8])
    for name, rows in [("train", slice(0, 6)), ("test", slice(6, 9))]:
        savemat(tmp_path / f"{name}.mat", {"X": x[rows].transpose(1, 2, 3, 0), "y": y[rows, None]})
    raw = formats.read_svhn([tmp_path / "train.mat", tmp_path / "test.mat"])
    np.testing.assert_array_equal(raw.x, x.transpose(0, 3, 1, 2))
    assert raw.labels.tolist() == [0, 1, 2, 3, 4, 5, 9, 0, 8]
    assert raw.official == (0, 3)


def save_dsprites(path: Path) -> np.ndarray:
    x = RNG.integers(0, 2, (12, 64, 64), dtype=np.uint8)
    classes = np.zeros((12, 6), np.int64)
    classes[:, 1] = np.arange(12) % 2  # no heart among them: names must not shift
    pickled = np.array({"title": "dSprites"}, dtype=object)
    np.savez(path, imgs=x, latents_classes=classes, metadata=pickled)
    return x


def test_dsprites_leaves_the_pickle_unread_and_loads_by_name(empty):
    folder = empty / "cache" / "dsprites"
    folder.mkdir(parents=True)
    x = save_dsprites(folder / named.NAMED["dsprites"].files[0].name)
    data = load_data("dsprites", flat=False, validation=2, test=2)
    assert data.event == (1, 64, 64)
    assert data.support == Support("binary")
    assert data.label_names == ["square", "ellipse", "heart"]
    assert torch.equal(data.train.x[:, 0], torch.from_numpy(x)[data.train.index].float())
    assert torch.equal(data.train.labels, data.train.index % 2)
    assert data.train.context["label"].shape == (8, 3)


def test_official_parts_are_kept_and_come_last(empty, monkeypatch):
    (empty / "binarized_mnist").mkdir()
    parts = {"train": 6, "valid": 3, "test": 4}
    bits = {name: RNG.integers(0, 256, (n, 98), dtype=np.uint8) for name, n in parts.items()}
    np.savez(empty / "binarized_mnist" / "static_binarized_mnist_packbits.npz", **bits)
    monkeypatch.setenv("ELBOWROOM_DATA", str(empty))
    data = load_data("binarized-mnist")
    assert data.validation.index.tolist() == [6, 7, 8]
    assert data.test.index.tolist() == [9, 10, 11, 12]
    assert sorted(data.train.index.tolist()) == list(range(6))
    np.testing.assert_array_equal(data.test.x.numpy(), np.unpackbits(bits["test"], axis=1))
    assert data.official == ("validation", "test")
    for part in ("validation", "test"):
        with pytest.raises(InputError, match=f"official {part} part"):
            load_data("binarized-mnist", **{part: 2})


def test_a_changed_file_is_refused(empty):
    paths, _, _ = idx_set(empty / "cache" / "mnist")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz.* another checksum"):
        load_data("mnist")
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be unpacked"):
        load_data("mnist")


def test_sha256sums_beside_the_folders_are_heeded(empty, monkeypatch):
    (empty / "freyfaces").mkdir()
    path = empty / "freyfaces" / "freyfaces_u8.npz"
    np.savez(path, images=images(500, 28, 20))
    monkeypatch.setenv("ELBOWROOM_DATA", str(empty))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (empty / "SHA256SUMS").write_text(f"{digest}  ./freyfaces/freyfaces_u8.npz\n")
    assert len(load_data("frey-faces").train) == 100
    (empty / "SHA256SUMS").write_text(f"{'0' * 64}  ./freyfaces/freyfaces_u8.npz\n")
    with pytest.raises(InputError, match="SHA256SUMS"):
        load_data("frey-faces")


def serve(monkeypatch, folder: Path, broken: bool = False) -> list[str]:
    """Downloads come from a folder; the addresses asked for are recorded."""
    asked = []

    class Downloader:
        def __call__(self, url, target, pup):
            asked.append(url)
            content = (folder / url.rsplit("/", 1)[1]).read_bytes()
            Path(target).write_bytes(content[:50] if broken else content)
            if broken == "network":
                raise ConnectionError("reset by peer")

    monkeypatch.setattr(pooch, "HTTPDownloader", Downloader)
    return asked


def test_fetch_downloads_once_and_checks(empty, monkeypatch, capsys):
    source = empty / "server"
    paths, x, _ = idx_set(source)
    sums = [hashlib.md5(gzip.decompress(p.read_bytes())).hexdigest() for p in paths]
    known = named.NAMED["mnist"]
    files = tuple(replace(file, md5=md5) for file, md5 in zip(known.files, sums, strict=True))
    monkeypatch.setitem(named.NAMED, "mnist", replace(known, files=files, validation=2))
    asked = serve(monkeypatch, source)
    assert not {row.name: row.at_hand for row in list_data()}["mnist"]
    folder = fetch_data("mnist")
    assert folder == empty / "cache" / "mnist"
    assert asked == [file.url for file in files]
    assert "Downloading mnist" in capsys.readouterr().err
    data = load_data("mnist")
    assert len(asked) == 4
    assert data.test.index.tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(data.test.x.numpy(), x[10:].reshape(4, 784))
    assert {row.name: row.at_hand for row in list_data()}["mnist"]


@pytest.mark.parametrize(
    ("broken", "words"), [(True, "checksum|unpacked"), ("network", "ConnectionError.*ELBOWROOM_DATA")]
)
def test_a_broken_download_leaves_nothing(empty, monkeypatch, broken, words):
    idx_set(empty / "server")
    serve(monkeypatch, empty / "server", broken)
    with pytest.raises(InputError, match=words) as caught:
        fetch_data("mnist")
    assert "\n" not in str(caught.value)
    assert not [p for p in (empty / "cache").rglob("*") if p.is_file()]


def test_a_folder_that_is_none(empty, monkeypatch):
    monkeypatch.setenv("ELBOWROOM_DATA", str(empty / "nowhere"))
    with pytest.raises(InputError, match=r"ELBOWROOM_DATA names .*nowhere"):
        load_data("mnist")


def test_digits_need_no_download(empty):
    assert (fetch_data("digits") / "digits.csv.gz").is_file()
    assert [row.name for row in list_data() if row.at_hand] == ["digits"]


def test_broken_named_files_are_one_clear_sentence(tmp_path):
    short = tmp_path / "short.gz"
    short.write_bytes(gzip.compress(b"\0\0\x08\x03" + np.array([9, 28, 28], ">u4").tobytes() + b"\0" * 10))
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"")
    other = tmp_path / "other.npz"
    np.savez(other, images=np.zeros((3, 4)))
    for read, path in [
        (formats.read_idx, short),
        (formats.read_idx, nothing),
        (formats.read_amat, nothing),
        (formats.read_amat, short),
        (lambda p: formats.read_frey_npz([p]), other),
        (lambda p: formats.read_frey_npz([p]), nothing),
        (lambda p: formats.read_frey_mat([p]), short),
        (lambda p: formats.read_dsprites([p]), other),
        (lambda p: formats.read_cifar_archive([p]), short),
        (lambda p: formats.read_svhn([p, p]), nothing),
    ]:
        with pytest.raises(InputError, match="fetch it again") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not AT_HAND, reason="ELBOWROOM_DATA names no folder of data")
@pytest.mark.parametrize(
    ("name", "sizes", "classes", "support"),
    [
        ("mnist", [50_000, 10_000, 10_000], 10, Support("grid", 256)),
        ("binarized-mnist", [50_000, 10_000, 10_000], None, Support("binary")),
        ("frey-faces", [1565, 200, 200], None, Support("grid", 256)),
    ],
)
def test_sets_at_hand(name, sizes, classes, support):
    if not {row.name: row.at_hand for row in list_data()}[name]:
        pytest.skip(f"{name} is not at hand")
    data = load_data(name)
    assert [len(part) for part in data.parts.values()] == sizes
    assert (None if data.label_names is None else len(data.label_names)) == classes
    assert data.support == support
    if name == "mnist":
        assert data.notes[0].startswith("Columns that never change: 67 of 784")
        assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
