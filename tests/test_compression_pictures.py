"""Folders of images in files of compress: as many pictures as training reads, upright, in the same order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_compression_sources import COLOURS, QUIET, RNG, model, rows_in, rows_of, written

import elbowroom as er
from elbowroom.compression import decompress

GREYS = RNG.integers(0, 256, (12, 4, 6), dtype=np.uint8)


def in_frames(folder: Path, ending: str) -> None:
    for name, part in (("b", slice(0, 5)), ("a", slice(5, 12))):
        first, *others = map(Image.fromarray, GREYS[part])
        first.save(folder / f"{name}.{ending}", save_all=True, append_images=others)


def turned(folder: Path) -> None:
    for i, one in enumerate(GREYS):
        exif = Image.Exif()
        exif[0x0112] = 6 if i % 2 else 1
        picture = Image.fromarray(one)
        picture = picture.rotate(90, expand=True) if i % 2 else picture
        picture.save(folder / f"{i:02d}.png", exif=exif)


def in_modes(*modes: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for i, one in enumerate(GREYS):
            Image.fromarray(one).convert(modes[i % len(modes)]).save(folder / f"{i:02d}.png")

    return make


def transparent(folder: Path) -> None:
    for i, one in enumerate(COLOURS):
        Image.fromarray(np.dstack([one, GREYS[i]])).save(folder / f"{i:02d}.png")


def deep(folder: Path) -> None:
    for i, one in enumerate(GREYS):
        Image.fromarray(one.astype(np.uint16) * 257).save(folder / f"{i:02d}.png")


FOLDERS: dict[str, Callable[[Path], None]] = {
    "tiff": lambda folder: in_frames(folder, "tiff"),
    "gif": lambda folder: in_frames(folder, "gif"),
    "turned": turned,
    "grey in colour": in_modes("RGB"),
    "alpha that is opaque": in_modes("RGBA"),
    "grey with alpha": in_modes("LA"),
    "several modes": in_modes("L", "1", "RGBA", "P"),
    "bits": in_modes("1"),
    "transparent": transparent,
    "deep": deep,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_images_are_read_as_training_reads_them_and_come_back(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    FOLDERS[name](tmp_path / "in")
    data = er.load_data(tmp_path / "in", test=2, validation=2, **QUIET)
    vae = model(data.event, data.support.levels or 2)
    assert np.array_equal(rows_in(tmp_path / "in", vae), rows_of(data))
    file = written(model(data.event, data.support.levels or 2), tmp_path / "in", tmp_path / "x.elb")
    assert file.rows == len(GREYS)
    decompress(model(data.event, data.support.levels or 2), tmp_path / "x.elb", out=tmp_path / "out", **QUIET)
    assert len(list((tmp_path / "out").iterdir())) == len(GREYS)
    again = er.load_data(tmp_path / "out", test=2, validation=2, **QUIET)
    assert np.array_equal(rows_of(again), rows_of(data))


def test_what_was_changed_in_pictures_is_said(tmp_path: Path) -> None:
    for name, said in (
        ("tiff", "2 of the 2 files hold several frames, 12 in all"),
        ("turned", "Images turned upright as their EXIF data say: 6 of 12."),
        ("transparent", "Images with transparent parts, which were laid over white: 12 of 12."),
        ("grey in colour", "given one channel: 12 of 12."),
    ):
        (tmp_path / name).mkdir()
        FOLDERS[name](tmp_path / name)
        vae = model((3, 4, 6) if name == "transparent" else 24)
        account = str(written(vae, tmp_path / name, tmp_path / "x.elb"))
        assert "Pictures come back as training reads them" in account
        assert said in account


def test_frames_keep_their_order_and_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    in_frames(tmp_path / "in", "tiff")
    for data, rows in ((tmp_path / "in", np.r_[5:12, 0:5]), (tmp_path / "in" / "b.tiff", np.r_[0:5])):
        written(model(24), data, tmp_path / "x.elb")
        out = tmp_path / data.stem
        out = decompress(model(24), tmp_path / "x.elb", out=tmp_path / f"{data.stem}-back", **QUIET)
        assert np.array_equal([np.asarray(Image.open(path)) for path in sorted(out.iterdir())], GREYS[rows])
    assert sorted(path.name for path in out.iterdir())[:2] == ["b-0000.png", "b-0001.png"]


def test_pictures_of_greys_fit_a_model_of_colours(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    in_modes("L")(tmp_path / "in")
    written(model((3, 4, 6)), tmp_path / "in", tmp_path / "x.elb")
    decompress(model((3, 4, 6)), tmp_path / "x.elb", out=tmp_path / "out", **QUIET)
    back = np.asarray(Image.open(tmp_path / "out" / "03.png"))
    assert np.array_equal(back, np.dstack([GREYS[3]] * 3))
