"""Files of compress hold what training reads of the same data: as many rows, in the same order, turned the same way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import Compressed, compress, compress_lossy, decompress
from elbowroom.compression.cells import Cells
from elbowroom.compression.container import Reader
from elbowroom.compression.known import Known
from elbowroom.compression.sources import source_of

QUIET: dict[str, Any] = {"progress": False}
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 4, 6, 3), dtype=np.uint8)


def model(event: Any, levels: int = 256) -> er.VAE:
    torch.manual_seed(0)
    cells = int(np.prod(event))
    encoder = networks.Standardised(networks.MLP([cells, 8, 4]))
    decoder = networks.MLP([2, 8, lik.DiscretisedLogistic(None, event, levels).numbers])
    family = lik.DiscretisedLogistic(decoder, event, levels)
    return er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(encoder, 2), family)


def written(vae: er.VAE, data: Any, out: Path) -> Compressed:
    return compress(vae, data, out, bounds=False, chunk_rows=5, **QUIET)


def rows_of(data: er.data.Dataset) -> NDArray[Any]:
    """All examples in the order of the source."""
    parts = [part for part in data.parts.values() if len(part)]
    order = np.argsort(np.concatenate([part.index.numpy() for part in parts]))
    return np.concatenate([part[:].x.numpy() for part in parts])[order]


def rows_in(data: Any, vae: er.VAE) -> NDArray[Any]:
    source = source_of(data, vae, Cells(vae.double()), Known((), {}))
    return source.rows(slice(0, len(source)))


@pytest.mark.parametrize("event", [(3, 4, 6), (72,)])
@pytest.mark.parametrize("kind", ["npy", "Fortran", "npz", "array", "tensor", "mapping"])
def test_channels_that_come_last_are_read_first_and_come_back_last(kind: str, event: Any, tmp_path: Path) -> None:
    x = np.asarray(COLOURS, order="F" if kind == "Fortran" else "C")
    x = x.astype(np.float64)
    x[3, 1, 2, 1] = -0.0
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(12))
    data: Any = {
        "array": x, "tensor": torch.from_numpy(x), "mapping": {"x": x, "y": np.arange(12)}, "npz": tmp_path / "x.npz",
    }.get(kind, tmp_path / "x.npy")  # fmt: skip
    loaded = er.load_data(x, flat=len(event) == 1, test=2, validation=2, **QUIET)
    assert np.array_equal(rows_in(data, model(event)), rows_of(loaded))
    written(model(event), data, tmp_path / "x.elb")
    again = decompress(model(event), tmp_path / "x.elb", **QUIET)
    again = again["x"] if isinstance(again, dict) else again
    assert again.tobytes() == np.ascontiguousarray(x).tobytes()
    assert (again.shape, again.dtype) == (x.shape, x.dtype)
    if kind in ("npy", "Fortran"):
        decompress(model(event), tmp_path / "x.elb", out=tmp_path / "y.npy", **QUIET)
        assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    assert Reader(tmp_path / "x.elb").path.read_bytes()[8] == 4
    some = decompress(model(event), tmp_path / "x.elb", chunk=1, **QUIET)
    assert np.array_equal(some["x"] if isinstance(some, dict) else some, x[5:10])


def test_a_lossy_file_gives_channels_back_where_they_were(tmp_path: Path) -> None:
    vae = model((3, 4, 6))
    last = compress_lossy(vae, COLOURS, tmp_path / "x.elb", **QUIET)
    first = compress_lossy(vae, COLOURS.transpose(0, 3, 1, 2), tmp_path / "y.elb", **QUIET)
    assert last.squared_error == first.squared_error
    found = (decompress(vae, tmp_path / f"{name}.elb", **QUIET) for name in "xy")
    assert np.array_equal(next(found), next(found).transpose(0, 2, 3, 1))


def test_arrays_of_the_models_own_shape_are_taken_as_they_are(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (9, 8, 8, 3))
    written(model((8, 8, 3)), x, tmp_path / "x.elb")
    assert np.array_equal(decompress(model((8, 8, 3)), tmp_path / "x.elb", **QUIET), x)
    assert (tmp_path / "x.elb").read_bytes()[8] == 1


@pytest.mark.parametrize("shape", [(12, 6, 4, 3), (12, 3, 6, 4), (12, 4, 18), (12, 72), (12, 3, 24)])
def test_other_shapes_of_as_many_values_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(er.InputError, match=r"are of shape .* and the model is over \(3, 4, 6\)"):
        written(model((3, 4, 6)), COLOURS.reshape(shape), tmp_path / "x.elb")


def test_a_head_that_turns_what_has_no_channels_is_refused(tmp_path: Path) -> None:
    from test_compression_files import forged

    written(model((3, 4, 6)), COLOURS, tmp_path / "x.elb")
    good = (tmp_path / "x.elb").read_bytes()
    for change in ({"channels": "first"}, {"channels": 1}, {"shape": [12, 72]}):
        (tmp_path / "x.elb").write_bytes(forged(good, lambda head, c=change: head["source"].update(c)))
        with pytest.raises(er.InputError, match="damaged"):
            decompress(model((3, 4, 6)), tmp_path / "x.elb", **QUIET)


def in_parts(**others: Any) -> dict[str, Any]:
    x = COLOURS.reshape(12, 72)
    return {"y_test": np.arange(4), "x_test": x[8:], "x_train": x[:6], "x_val": x[6:8], **others}


def test_parts_of_an_archive_are_read_one_after_another_and_come_back_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **in_parts(names=np.array(["a", "b"])))
    assert np.array_equal(rows_in(tmp_path / "x.npz", model(72)), rows_of(er.load_data(tmp_path / "x.npz", **QUIET)))
    written(model(72), tmp_path / "x.npz", tmp_path / "x.elb")
    decompress(model(72), tmp_path / "x.elb", out=tmp_path / "y.npz", **QUIET)
    there, back = np.load(tmp_path / "x.npz"), np.load(tmp_path / "y.npz")
    assert list(back) == list(there)
    assert all(back[name].tobytes() == there[name].tobytes() for name in there)
    with pytest.raises(er.InputError, match="leave chunk out"):
        decompress(model(72), tmp_path / "x.elb", chunk=0, **QUIET)
    for x in (np.zeros((4, 72)), np.zeros((4, 71), np.uint8)):
        with pytest.raises(er.InputError, match=r"'x_train' .* 'x_test'"):
            written(model(72), in_parts(x_test=x), tmp_path / "x.elb")


def test_hostile_parts_of_an_archive_are_refused(tmp_path: Path) -> None:
    from test_compression_files import forged

    written(model(72), in_parts(), tmp_path / "x.elb")
    good = (tmp_path / "x.elb").read_bytes()
    for parts in ({}, [], {"x_train": 12}, {"x_train": 6, "x_val": 2, "x_test": 5}, {"x_train": 1.0, "x_val": 11}):
        (tmp_path / "x.elb").write_bytes(forged(good, lambda head, p=parts: head["source"].update(parts=p)))
        with pytest.raises(er.InputError, match="damaged"):
            decompress(model(72), tmp_path / "x.elb", **QUIET)


def test_data_beside_labels_need_no_name_of_their_own(tmp_path: Path) -> None:
    for names in ({"X": COLOURS, "Y": np.arange(12)}, {"pixels": COLOURS, "labels": np.arange(12)}):
        written(model((3, 4, 6)), names, tmp_path / "x.elb")
        back = decompress(model((3, 4, 6)), tmp_path / "x.elb", **QUIET)
        assert {name: back[name].tolist() for name in back} == {name: names[name].tolist() for name in names}


def test_a_lossy_file_of_an_archive_holds_its_x_and_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=COLOURS, y=np.arange(12))
    file = compress_lossy(model((3, 4, 6)), tmp_path / "x.npz", tmp_path / "x.elb", **QUIET)
    assert "Not in the file, and not given back: 'y'; 'x' comes back alone, as an array." in str(file)
    alone = compress_lossy(model((3, 4, 6)), COLOURS, tmp_path / "y.elb", **QUIET)
    found = [decompress(model((3, 4, 6)), tmp_path / f"{name}.elb", **QUIET) for name in "xy"]
    assert np.array_equal(*found)
    assert file.squared_error == alone.squared_error
    several = compress_lossy(model(72), in_parts(), tmp_path / "x.elb", **QUIET)
    assert "'x_train', 'x_val' and 'x_test' come back one after another, as one array" in str(several)
    assert decompress(model(72), tmp_path / "x.elb", **QUIET).shape == (12, 72)


def test_levels_that_were_moved_to_minus_one_are_refused_with_the_way_out(tmp_path: Path) -> None:
    x = (COLOURS / 127.5 - 1).astype(np.float32)
    vae = model(er.load_data(x, **QUIET).event)
    for write in (compress, compress_lossy):
        with pytest.raises(er.InputError, match=r"−1 and 1.*np\.rint\(\(x \+ 1\) \* 127\.5\)\.astype\(np\.uint8\)"):
            write(vae, x, tmp_path / "x.elb", **QUIET)
    assert np.array_equal(np.rint((x + 1) * 127.5).astype(np.uint8), COLOURS)
