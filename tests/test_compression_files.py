"""Files of compress: what comes back, and what is refused before anything does."""

import contextlib
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import Compressed, compress, container, decompress
from elbowroom.compression.codec import Codec
from elbowroom.compression.container import Reader
from elbowroom.compression.exact_layers import ExactLinear

D = 4
QUIET: dict[str, Any] = {"progress": False}


def model(levels: int = 9, event: Any = D, **how: Any) -> er.VAE:
    torch.manual_seed(0)
    numbers, cells = lik.DiscretisedLogistic(None, event, levels, **how).numbers, int(np.prod(event))
    return er.VAE(
        priors.StandardNormal(2),
        posteriors.DiagonalNormal(networks.Standardised(networks.MLP([cells, 8, 4])), 2),
        lik.DiscretisedLogistic(networks.MLP([2, 8, numbers]), event, levels, **how),
    )


VAE = model()
X = np.random.default_rng(0).integers(0, 9, (50, D))


def written(path: Path, x: Any = X, vae: er.VAE = VAE, **how: Any) -> Compressed:
    return compress(vae, x, path, **{"bounds": False, **QUIET, **how})


DTYPES = ["uint8", "int64", ">f4", "float16", "bool", "float64 with −0.0", "k/8", "gaps"]


@pytest.mark.parametrize(("dtype", "order"), [*((one, "C") for one in DTYPES), ("uint8", "F"), ("gaps", "F")])
def test_npy_files_come_back_byte_by_byte(dtype: str, order: Any, tmp_path: Path) -> None:
    x: Any = {
        "float64 with −0.0": np.where(np.arange(200).reshape(50, D) % 7 == 3, -0.0, X),
        "k/8": (X / 8).astype(np.float32),
        "gaps": np.where(X == 5, np.nan, X),
        "bool": X > 4,
    }.get(dtype)
    x = np.asarray(X.astype(dtype) if x is None else x, order=order)
    x = np.asarray(x.reshape(50, 2, 2), order=order)
    np.save(tmp_path / "x.npy", x)
    file = written(tmp_path / "x.elb", tmp_path / "x.npy", chunk_rows=20)
    assert file.total_bytes == (tmp_path / "x.elb").stat().st_size
    decompress(VAE, tmp_path / "x.elb", out=tmp_path / "y.npy", **QUIET)
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    again = decompress(VAE, tmp_path / "x.elb", **QUIET)
    assert (again.dtype, again.shape, again.tobytes(order)) == (x.dtype, x.shape, x.tobytes(order))
    assert decompress(VAE, tmp_path / "x.elb", chunk=2, **QUIET).tobytes() == x[40:].tobytes()


def test_black_and_white_and_black_images_come_back_with_their_names(tmp_path: Path) -> None:
    vae = model(256, (3, 4, 5))
    rng = np.random.default_rng(1)
    (tmp_path / "in" / "b").mkdir(parents=True)
    images = {name: rng.integers(0, 256, (4, 5, 3), dtype=np.uint8) for name in ("a 1.png", "b/ö.png", "b/c.bmp")}
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / "in" / name)
    (tmp_path / "in" / "a 1.png").rename(tmp_path / "in" / "b" / "a 1.png")
    images["b/a 1.png"] = images.pop("a 1.png")
    written(tmp_path / "x.elb", tmp_path / "in", vae)
    decompress(vae, tmp_path / "x.elb", out=tmp_path / "out", **QUIET)
    found = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*.png")}
    assert set(found) == {name.replace(".bmp", ".png") for name in images}
    for name, image in images.items():
        assert (np.asarray(Image.open(found[name.replace(".bmp", ".png")])) == image).all()
    with pytest.raises(er.InputError, match="not empty"):
        decompress(vae, tmp_path / "x.elb", out=tmp_path / "out", **QUIET)
    bits = model(2)
    black = np.where(X > 4, 255, 0).astype(np.uint8)
    written(tmp_path / "b.elb", black, bits)
    assert decompress(bits, tmp_path / "b.elb", **QUIET).tobytes() == black.tobytes()


def table(n: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "name": [f"row {i}" for i in range(n)],
            "age": rng.integers(18, 80, n),
            "height": np.round(rng.normal(170, 10, n), 1),
            "kind": rng.choice(["u", "v", "w, x"], n),
            "said": np.where(rng.random(n) < 0.2, None, rng.choice(["yes", "no"], n)),
            "ok": rng.random(n) < 0.3,
            "sign": rng.choice([-1, 1], n),
            "gap": np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 5, n)),
            "same": 7,
            "visits": np.concatenate([rng.poisson(30, n - 1) * rng.integers(1, 40, n - 1), [0]]),
        }
    )


def test_tables_come_back_with_values_types_and_names(tmp_path: Path) -> None:
    frame = table()
    vae = er.models.build(
        {"latents": 2, "widths": [8]}, er.load_data(frame.drop(columns="name"), validation=10, test=10)
    )
    for family in vae.likelihood.families:
        family.offset.data.zero_() if hasattr(family, "offset") else None
    frame.loc[3, "height"] = 171.25  # off the grid of 0.1, which stands beside
    frame.loc[5, "height"] = 1e300
    frame["gap"] = frame["gap"].where(frame["gap"] != 0, -0.0)
    file = written(tmp_path / "t.elb", frame, vae)
    pd.testing.assert_frame_equal(decompress(vae, tmp_path / "t.elb", **QUIET), frame, check_exact=True)
    assert file.mask_bits > 0
    assert file.cells_beside == 2 + int((frame["gap"] == 0).sum())
    frame[:30].to_csv(tmp_path / "t.csv", index=False)
    written(tmp_path / "c.elb", tmp_path / "t.csv", vae)
    decompress(vae, tmp_path / "c.elb", out=tmp_path / "u.csv", **QUIET)
    assert (tmp_path / "u.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
    with pytest.raises(er.InputError, match="has no column 'age'"):
        written(tmp_path / "t.elb", frame.drop(columns="age"), vae)
    with pytest.raises(er.InputError, match="'z', a word that the model does not know"):
        written(tmp_path / "t.elb", frame.assign(kind="z"), vae)
    with pytest.raises(er.InputError, match="of type datetime64"):
        written(tmp_path / "t.elb", frame.assign(name=pd.Timestamp("2020-01-01")), vae)


def refused(path: Path, vae: er.VAE = VAE, **how: Any) -> str:
    """The sentence in which a file is refused; nothing is written."""
    out = path.with_name("out.npy")
    with pytest.raises(er.InputError) as raised:
        decompress(vae, path, out=out, **QUIET, **how)
    assert not out.exists()
    assert not list(path.parent.glob(".out*"))
    said = str(raised.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_another_model_and_other_numbers_are_refused_before_anything_comes_out(
    tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / "x.elb"
    written(path, chunk_rows=20)
    assert "another size" in refused(path, model(9, 5))
    other = model()
    next(other.likelihood.parameters()).data.view(-1)[0] += 1e-3
    assert "another model" in refused(path, other)
    forward = ExactLinear.forward
    monkeypatch.setattr(ExactLinear, "forward", lambda layer, x: forward(layer, x) + 1e-6)
    assert "returns other numbers" in refused(path)
    probe = Reader(path).head["probe"]
    monkeypatch.setattr(Codec, "probe", lambda codec: bytes.fromhex(probe))  # the chunks have check words of their own
    said = refused(path)
    assert "return other numbers" in said or "is damaged" in said
    monkeypatch.undo()
    # 1e-6 on one output in a thousand, which no mass may notice: the check word does
    monkeypatch.setattr(ExactLinear, "forward", lambda layer, x: _nudged(forward(layer, x)))
    assert "returns other numbers" in refused(path)


def _nudged(out: torch.Tensor) -> torch.Tensor:
    out.view(-1)[0] += 1e-6
    return out


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.elb"
    written(path, chunk_rows=20)
    good, rng = path.read_bytes(), np.random.default_rng(3)
    for trial in range(120):
        content = bytearray(good)
        at = int(rng.integers(len(good)))
        if trial % 3 == 0:
            content[at] ^= 1 << int(rng.integers(8))
        elif trial % 3 == 1:
            del content[at:]
        else:
            content[at:at] = rng.bytes(int(rng.integers(1, 5)))
        path.write_bytes(content)
        refused(path)
    path.write_bytes(b"")
    assert "its first bytes are others" in refused(path)
    path.write_bytes(good[:8] + b"\x09" + good[9:])
    assert "of version 9" in refused(path)


def forged(good: bytes, change: Callable[[dict[str, Any]], Any], beside: bytes | None = None) -> bytes:
    """The file with another head, and checksums that fit it."""
    start = struct.Struct("<8sHHIII")
    magic, version, flags, size, _, beside_size = start.unpack(good[: start.size])
    head = json.loads(zlib.decompress(good[start.size : start.size + size]))
    chunks, rest = head["chunks"], good[start.size + size :]
    change(head)
    packed = zlib.compress(json.dumps(head).encode())
    index, rest = rest[: chunks * 36], rest[chunks * 36 + 4 :]
    stored, rest = rest[:beside_size], rest[beside_size + 4 :]
    stored = stored if beside is None else beside
    parts = [start.pack(magic, version, flags, len(packed), zlib.crc32(packed), len(stored)), packed, index]
    ends = [struct.pack("<I", zlib.crc32(packed + index)), stored, struct.pack("<I", zlib.crc32(stored)), rest]
    return b"".join([*parts, *ends])


HOSTILE: dict[str, Any] = {
    "rows": [0, 10**15, 9, 1.5, None, True],
    "cells": [0, 3, 10**12],
    "chunks": [0, 10**9, -3],
    "settings": [None, [], {"bits": 99}, {"bits": 16, "cap": 17, "low": [], "high": [], "seen": None}],
    "source": [
        None, {}, {"kind": []}, {"kind": "pickle"}, {"kind": "table", "columns": []},
        {"kind": "images", "names": ["../x"]},
        {"kind": "array", "dtype": "O", "shape": [10, 4]}, {"kind": "array", "dtype": "<f8", "shape": [10, 10**9]},
    ],
    "model": ["00", None], "probe": ["00", None],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_heads_are_refused_though_their_checksums_fit(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.elb"
    written(path, X[:10])
    good = path.read_bytes()
    for value in HOSTILE[name]:
        path.write_bytes(forged(good, lambda head, value=value: head.update({name: value})))
        refused(path)


def test_what_unpacks_to_more_than_the_ceiling_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "x.elb"
    written(path, X[:10])
    good = path.read_bytes()
    path.write_bytes(forged(good, lambda head: None))
    assert (decompress(VAE, path, **QUIET) == X[:10]).all()
    monkeypatch.setattr(container, "_LARGEST_BESIDE", 10_000)
    path.write_bytes(forged(good, lambda head: None, zlib.compress(bytes(10_001))))
    assert "what stands beside" in refused(path)


def test_names_of_images_cannot_leave_their_folder(tmp_path: Path) -> None:
    vae, path = model(256, (1, 2, 2)), tmp_path / "x.elb"
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(np.full((2, 2), i, np.uint8)).save(tmp_path / "in" / f"{i}.png")
    written(path, tmp_path / "in", vae)
    good = path.read_bytes()
    for names in (
        ["../a.png", "b.png"],
        ["/a.png", "b.png"],
        ["a.png", "a.png"],
        ["a.png"],
        ["a\\b.png", "c.png"],
        [1, 2],
    ):
        path.write_bytes(forged(good, lambda head, names=names: head["source"].update(names=names)))
        with pytest.raises(er.InputError, match="damaged"):
            decompress(vae, path, out=tmp_path / "out", **QUIET)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (X + 100, "0…8"),
        (X.astype(object), "Arrays of object"),
        (X * 1j, "Arrays of complex128"),
        (X[:, :3], "have 3 values each"),
        (X[:0], "has no rows"),
        (np.ma.masked_equal(X, 3), "loses its mask"),
        ("nowhere.npy", "cannot be read"),
        ("x.pdf", "is none of what is compressed"),
        (pd.DataFrame(X), "knows no columns by name"),
        ([[1, 2]], "A list is not compressed"),
    ],
)
def test_data_that_no_file_can_hold_are_refused(data: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(er.InputError, match=why):
        written(tmp_path / "x.elb", data)
    assert not list(tmp_path.iterdir())


def test_the_command_line_brings_digits_back(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from elbowroom.cli import main

    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [4]}, digits)
    er.fit(vae, digits, epochs=1, run=tmp_path / "run", **QUIET)
    np.save(tmp_path / "x.npy", digits.test.rows(slice(0, 60)).x.numpy().astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    for typed in ("compress run x.npy --out x.elb", "decompress run x.elb --out y.npy"):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *typed.split()])
        with contextlib.suppress(SystemExit):
            main()
    said = capsys.readouterr().out
    assert "−ELBO of the rounded model" in said
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_a_network_of_the_users_own_is_refused(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2 * D)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.layer(z).sin()

    vae = er.VAE(VAE.prior["z"], VAE.posterior["z"], lik.DiscretisedLogistic(Own(), D, 9))
    with pytest.raises(er.CapabilityError, match="A Own cannot be made exact"):
        written(tmp_path / "x.elb", X, vae)


def test_no_file_is_left_that_could_not_be_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "x.elb"
    counts = er.VAE(VAE.prior["z"], VAE.posterior["z"], lik.Poisson(nn.Linear(2, D), D))
    normal = er.VAE(VAE.prior["z"], VAE.posterior["z"], lik.Normal(nn.Linear(2, D), D, scale=1.0))
    for vae, largest, step in ((counts, 1e16, None), (counts, 1e19, None), (normal, 1.0, 1e30), (normal, 1e17, 1.0)):
        x = np.where(np.arange(D) == 1, largest, X.astype(float))
        with pytest.raises(er.InputError, match=r"could not be read again|beyond 2⁵³"):
            written(path, x, vae, step=step)
    with pytest.raises(er.InputError, match="the shape"):
        written(path, X.reshape(50, *[1] * 16, D))
    images = model(levels=256, event=(4, 4))
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "in" / "at 10:30.png")
    with pytest.raises(er.InputError, match="names of images"):
        written(path, tmp_path / "in", images)
    monkeypatch.setattr(container, "_LARGEST_HEAD", 300)
    with pytest.raises(er.InputError, match="its head"):
        written(path)
    assert not path.exists()


def test_odd_places_and_odd_kinds_of_data_are_refused_in_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    sized = lik.Poisson(nn.Linear(2, D), D, size_factor="s", size_scale="log")
    p = {"z": VAE.prior["z"], "s": priors.StandardNormal(1)}
    q = {"z": VAE.posterior["z"], "s": posteriors.DiagonalNormal(nn.Linear(D, 2), 1)}
    for data, out, why in (
        (X, tmp_path, "is a folder"), (tmp_path / "x.npy", tmp_path / "x.npy", "the data themselves"),
        (torch.from_numpy(X).bfloat16(), tmp_path / "x.elb", "is no array"),
        (X.astype(np.longdouble), tmp_path / "x.elb", "64 bits"),
    ):  # fmt: skip
        with pytest.raises(er.InputError, match=why):
            written(out, data)
    assert (np.load(tmp_path / "x.npy") == X).all()
    written(tmp_path / "x.elb", X, er.VAE(p, q, sized))
    assert (decompress(er.VAE(p, q, sized), tmp_path / "x.elb", **QUIET) == X).all()


def test_a_few_cells_that_the_model_cannot_hold_stand_beside(tmp_path: Path) -> None:
    x = X.astype(float)
    x[7, 2], x[8, 1], x[9, 0], x[10, 3] = np.inf, -3, 2.5, 1e300
    file = written(tmp_path / "x.elb", x, bounds=True)
    assert decompress(VAE, tmp_path / "x.elb", **QUIET).tobytes() == x.tobytes()
    assert file.bound is not None
    assert file.beside_bytes < 60
    assert "outliers, levels beyond the last, −0.0): 4;" in str(file)
    with pytest.raises(er.InputError, match="outside what the model was made for"):
        written(tmp_path / "x.elb", X + 3)
