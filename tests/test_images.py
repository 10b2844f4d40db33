import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError, Support
from elbowroom.runs.image_folder import write_images

G = np.random.default_rng(0)
GREY = G.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = G.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
WHITE = 255


def everything(data: Dataset) -> np.ndarray:
    index = torch.cat([part.index for part in data.parts.values()])
    return torch.cat([part.x for part in data.parts.values()])[index.argsort()].numpy()


def greys(data: Dataset) -> np.ndarray:
    return everything(data).reshape(-1, *data.image_shape)


def labels_of(part) -> list[str]:
    return part.labels.tolist()


def words(data: Dataset) -> str:
    return " | ".join(data.notes)


def save(folder: Path, pixels, mode: str | None = None, ending: str = "png", **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, p in enumerate(pixels):
        picture = Image.fromarray(p)
        (picture.convert(mode) if mode else picture).save(folder / f"{i:03}.{ending}", **options)
    return folder


def png(path: Path, values: np.ndarray, colour_type: int) -> None:
    """A .png of 16 bits a value, which Pillow does not write in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


# What a folder holds besides images


def test_hidden_files_are_left_out_and_said(tmp_path):
    save(tmp_path / "data", GREY)
    for place in ("._000.png", ".cache/001.png", "__MACOSX/data/._000.png", ".ipynb_checkpoints/000-checkpoint.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"\0\5\26\7")
    for name in (".DS_Store", "Thumbs.db", "data/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    data = load_data(tmp_path)
    np.testing.assert_array_equal(greys(data), GREY)
    assert "Left out: 4 hidden files with endings of images, such as '" in data.notes[0]
    assert data.label_names is None
    assert words(data).count("Left out") == 1
    assert "All images lie in 'data', which is therefore no label." in data.notes


def test_files_that_are_no_images_are_counted_in_one_note(tmp_path):
    save(tmp_path, GREY)
    for name in ("a.txt", "b.txt", "c.JSON", "README"):
        (tmp_path / name).write_text("x")
    assert load_data(tmp_path).notes == [
        "Left out: 4 files that are no images: .txt 2, .json 1, without an ending 1.",
    ]


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "webp", "pgm", "pnm", "tiff", "bmp", "gif", "tga", "jp2"])
def test_every_ending_that_pillow_opens_is_read(tmp_path, ending):
    lossless = {"webp": {"lossless": True}}.get(ending, {})
    save(tmp_path, GREY[:3])
    save(tmp_path / "other", GREY[3:], ending=ending.lower(), **lossless)
    for i, path in enumerate(sorted((tmp_path / "other").iterdir())):
        path.rename(tmp_path / f"{i + 3:03}.{ending}")
    (tmp_path / "other").rmdir()
    assert all("stored in colour, given one channel: 3 of 6" in note for note in load_data(tmp_path).notes)
    got = greys(load_data(tmp_path))
    assert got.shape == (6, 5, 4)
    np.testing.assert_array_equal(got[:3], GREY[:3])
    np.testing.assert_allclose(got[3:], GREY[3:], atol=90 if ending in ("jfif", "jpe", "JPG") else 0)


def test_files_without_an_ending_are_known_by_their_content(tmp_path):
    for path in list(save(tmp_path, GREY).iterdir()):
        path.rename(path.with_suffix(""))
    (tmp_path / "README").write_text("about")
    os.mkfifo(tmp_path / "pipe")
    data = load_data(tmp_path)
    np.testing.assert_array_equal(greys(data), GREY)
    assert data.notes == ["Left out: 2 files that are no images: without an ending 2."]


def test_folders_that_are_links_are_followed_but_not_round_in_circles(tmp_path):
    save(tmp_path / "elsewhere", GREY)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "in").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    assert len(greys(load_data(folder))) == 6


# Parts and labels


def parts_tree(folder: Path, *parts: str, classes=("cat", "dog")) -> Path:
    for i, part in enumerate(parts):
        for j, name in enumerate(classes):
            save(folder / part / name, [np.full((4, 4), 40 * i + 20 * j + k, np.uint8) for k in range(3)])
    return folder


def test_train_and_test_folders_are_the_split_and_their_folders_the_labels(tmp_path):
    data = load_data(parts_tree(tmp_path, "test", "train", "valid"))
    assert data.official == ("validation", "test")
    assert [sorted(part.x[:, 0].tolist()) for part in data.parts.values()] == [
        [40, 41, 42, 60, 61, 62],  # train
        [80, 81, 82, 100, 101, 102],  # validation
        [0, 1, 2, 20, 21, 22],  # test
    ]
    assert data.label_names == ["cat", "dog"]
    for part, first in ((data.train, 40), (data.validation, 80), (data.test, 0)):
        assert (part.x[:, 0] >= first + 20).long().tolist() == labels_of(part)
    assert "label" not in words(data)


@pytest.mark.parametrize(
    ("names", "official", "sizes"),
    [
        (("Training", "Testing"), ("test",), 6),
        (("train_set", "test_set"), ("test",), 6),
        (("train", "validation"), ("validation",), 6),
        (("train", "dev", "test-data"), ("validation", "test"), 6),
    ],
)
def test_names_of_parts_in_other_words(tmp_path, names, official, sizes):
    data = load_data(parts_tree(tmp_path, *names))
    assert data.official == official
    assert all(len(data.parts[part]) == sizes for part in official)
    assert data.label_names == ["cat", "dog"]


def test_parts_inside_folders_outside_and_inside(tmp_path):
    for outer in ("images/train", "images/test"):
        save(tmp_path / outer / "png", GREY[:3])
    data = load_data(tmp_path)
    assert (len(data.test), data.label_names) == (3, None)
    assert "All images lie in 'images', which is therefore no label." in data.notes
    for name in ("a", "b"):  # classes first, parts inside
        for part in ("train", "test"):
            save(tmp_path / "inside" / name / part, GREY[:2])
    data = load_data(tmp_path / "inside")
    assert (len(data.test), data.label_names, sorted(labels_of(data.test))) == (4, ["a", "b"], [0, 0, 1, 1])


def test_classes_that_only_one_part_has_are_named(tmp_path):
    parts_tree(tmp_path, "train", classes=("cat", "dog"))
    parts_tree(tmp_path, "test", classes=("dog", "emu"))
    data = load_data(tmp_path)
    assert data.label_names == ["cat", "dog", "emu"]
    assert labels_of(data.test) == [1, 1, 1, 2, 2, 2]
    assert "Classes without an image in train: emu." in data.notes
    assert "Classes without an image in test: cat." in data.notes


def test_a_test_part_without_labels_leaves_none(tmp_path):
    parts_tree(tmp_path, "train")
    save(tmp_path / "test", GREY[:, :4])
    data = load_data(tmp_path)
    assert (len(data.test), data.label_names) == (6, None)
    assert any("images of test have no class folders" in note for note in data.notes)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train", "tram"):
        save(tmp_path / name, GREY[:3])
    data = load_data(tmp_path)
    assert (data.label_names, data.official) == (["bus", "train", "tram"], ())


def test_the_label_of_nested_folders_is_the_first(tmp_path):
    save(tmp_path / "cat" / "black", GREY[:2])
    save(tmp_path / "cat" / "white", GREY[2:3])
    save(tmp_path / "dog", GREY[3:])
    data = load_data(tmp_path)
    index = torch.cat([part.index for part in data.parts.values()])
    codes = torch.cat([part.labels for part in data.parts.values()])[index.argsort()]
    assert codes.tolist() == [0, 0, 0, 1, 1, 1]
    assert "3 images lie in folders inside class folders ('cat/black'): the label is the first." in data.notes


def test_labels_given_for_numbered_images_say_their_order(tmp_path):
    for i in range(12):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i}.png")
    data = load_data(tmp_path, labels=np.arange(12) % 2)
    assert everything(data)[:4, 0].tolist() == [0, 1, 10, 11]
    assert any("order of their names as text: 0.png, 1.png, 10.png, …" in note for note in data.notes)
    assert not any("order" in note for note in load_data(tmp_path).notes)


# Pixels


def test_colour_images_come_channels_first(tmp_path):
    data = load_data(save(tmp_path, COLOUR))
    assert (data.event, data.support, data.notes) == ((3, 5, 4), Support("grid", 256), [])
    np.testing.assert_array_equal(everything(data), COLOUR.transpose(0, 3, 1, 2))


def rgba(alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([COLOUR, np.broadcast_to(alpha, (6, 5, 4))[..., None]], -1).astype(np.uint8)


def test_an_opaque_alpha_channel_is_dropped_and_transparent_parts_are_laid_over_white(tmp_path):
    opaque = load_data(save(tmp_path / "opaque", rgba(np.array(255))))
    np.testing.assert_array_equal(everything(opaque), COLOUR.transpose(0, 3, 1, 2))
    assert opaque.notes == ["Images with an alpha channel that is opaque everywhere, which was dropped: 6 of 6."]
    alpha = G.integers(0, 256, (6, 5, 4))
    alpha[:, 0] = 0
    data = load_data(save(tmp_path / "laid", rgba(alpha)))
    share = alpha[..., None] / 255
    expected = (share * COLOUR + (1 - share) * WHITE).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(everything(data), expected, atol=0.51)
    assert (everything(data)[:, :, 0] == WHITE).all()
    assert "Images with transparent parts, which were laid over white: 6 of 6." in data.notes
    other = rgba(alpha)
    other[..., :3][alpha == 0] = 7  # what no eye sees is no data
    assert load_data(save(tmp_path / "same", other)).sha256 == data.sha256


@pytest.mark.parametrize("how", ["LA", "P", "1", "L"])
def test_transparency_of_grey_and_of_palettes(tmp_path, how):
    for i, pixels in enumerate(GREY):
        picture = Image.fromarray(pixels)
        if how == "LA":
            picture.putalpha(Image.fromarray(np.where(pixels < 100, 0, 255).astype(np.uint8)))
            picture.save(tmp_path / f"{i}.png")
            expected = np.where(GREY < 100, WHITE, GREY)
        elif how == "1":
            Image.fromarray(pixels > 99).save(tmp_path / f"{i}.png", transparency=0)
            expected = np.ones_like(GREY)
        else:
            picture.convert(how).save(tmp_path / f"{i}.png", transparency=int(pixels[0, 0]))
            expected = np.where(GREY[:, :1, :1] == GREY, WHITE, GREY)
    data = load_data(tmp_path)
    assert data.image_shape == (5, 4)
    np.testing.assert_array_equal(greys(data), expected)
    assert "laid over white: 6 of 6" in words(data)


@pytest.mark.parametrize("mode", ["P", "RGB", "LA", "RGBA"])
def test_grey_images_have_one_channel_however_they_are_stored(tmp_path, mode):
    data = load_data(save(tmp_path, GREY, mode))
    np.testing.assert_array_equal(greys(data), GREY)
    said = {"LA": "opaque everywhere", "RGBA": "opaque everywhere"}.get(
        mode, "Grey images that are stored in colour, given one channel: 6 of 6."
    )
    assert said in words(data)


def test_grey_images_among_coloured_ones_are_said(tmp_path):
    save(tmp_path, GREY)
    Image.fromarray(COLOUR[0]).save(tmp_path / "z.png")
    data = load_data(tmp_path)
    assert data.notes == ["Grey images among coloured ones, given three equal channels: 6 of 7."]
    np.testing.assert_array_equal(everything(data)[:6], np.repeat(GREY[:, None], 3, 1))


def test_black_and_white_images_are_binary_with_one_bit_or_eight(tmp_path):
    bits = np.random.default_rng(1).integers(0, 2, (40, 4, 4), dtype=np.uint8)
    one = load_data(save(tmp_path / "one", bits * 255, "1"))
    eight = load_data(save(tmp_path / "eight", bits * 255))
    for data in (one, eight):
        assert data.support == Support("binary")
        np.testing.assert_array_equal(greys(data), bits)
    assert one.notes == []
    assert eight.notes == ["The images hold black (0) and white (255) alone: they are binary, 0 and 1."]


def test_inks_become_rgb(tmp_path):
    data = load_data(save(tmp_path, np.zeros((4, 5, 4, 3), np.uint8), "CMYK", "jpg"))
    assert "Images in the inks CMYK, which were turned into RGB: 4 of 4." in data.notes
    assert data.event == (20,)


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
@pytest.mark.parametrize(("high", "levels"), [(65_536, 65_536), (4_000, 4_096), (200, 256)])
def test_greys_of_sixteen_bits_keep_their_levels(tmp_path, ending, high, levels):
    deep = G.integers(0, high, (6, 5, 4), dtype=np.uint16)
    deep[0, 0, 0] = high - 1
    data = load_data(save(tmp_path, deep, ending=ending))
    np.testing.assert_array_equal(greys(data), deep)
    assert data.support == Support("grid", levels)
    assert f"greys of 16 bits, the greatest {high - 1:,}: a grid of {levels:,} levels" in words(data)


@pytest.mark.parametrize(("step", "top"), [(16, 4_095), (257, 255)])
def test_greys_of_fewer_bits_that_were_spread_over_sixteen_are_noted(tmp_path, step, top):
    deep = step * G.integers(0, top, (6, 5, 4), dtype=np.uint16, endpoint=True)
    deep[0, 0, :2] = step, step * top
    for data in (load_data(save(tmp_path, deep)), load_data(deep)):
        assert f"All levels are multiples of {step}: what knows it gains" in words(data)
        assert f"x // {step} holds the same images on 0…{top:,}." in words(data)
    assert "multiples" not in words(load_data(deep // step + 1))


def test_floats_of_tiff_are_real_numbers(tmp_path):
    reals = G.normal(size=(6, 5, 4)).astype(np.float32)
    data = load_data(save(tmp_path, reals, ending="tif"))
    np.testing.assert_array_equal(greys(data), reals)
    assert data.support.kind != "grid"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_images_stand_upright_as_exif_says(tmp_path, ending, orientation):
    turns = {2: np.fliplr, 3: lambda p: np.rot90(p, 2), 6: lambda p: np.rot90(p, 1), 8: lambda p: np.rot90(p, -1)}
    scene = np.add.outer(np.arange(0, 80, 10), np.arange(0, 96, 6)).astype(np.uint8)  # 8 × 16
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(ending, {})
    stored = np.ascontiguousarray(turns[orientation](scene))
    save(tmp_path, [scene, scene], ending=ending, **lossless)
    for name in ("x", "y"):
        Image.fromarray(stored).save(tmp_path / f"{name}.{ending}", exif=exif, **lossless)
    data = load_data(tmp_path)
    assert "Images turned upright as their EXIF data say: 2 of 4." in data.notes
    np.testing.assert_allclose(greys(data), np.stack([scene] * 4), atol=2)


# Frames


def stack(path: Path, frames, **options) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)


@pytest.mark.parametrize("ending", ["gif", "tif", "png", "webp"])
def test_every_frame_is_an_example_with_the_label_of_its_file(tmp_path, ending):
    frames = G.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    options = {"webp": {"lossless": True}}.get(ending, {})
    for i, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        stack(tmp_path / name / f"0.{ending}", frames[i], **options)
    Image.fromarray(frames[0, 0]).save(tmp_path / "b" / "1.png")
    data = load_data(tmp_path)
    np.testing.assert_array_equal(greys(data), np.concatenate([*frames, frames[0, :1]]))
    index = torch.cat([part.index for part in data.parts.values()])
    codes = torch.cat([part.labels for part in data.parts.values()])[index.argsort()]
    assert codes.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert any(note.startswith("2 of the 3 files hold several frames, 7 in all: each frame") for note in data.notes)
    given = load_data(tmp_path, labels=["u", "v", "w"])
    assert [len(given.label_names), len(labels_of(given.train))] == [3, len(given.train)]


def test_pages_of_several_modes_turn_up_as_the_richest(tmp_path):
    pages = [Image.fromarray(GREY[0]), Image.fromarray(COLOUR[0]), *map(Image.fromarray, GREY[1:4])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    expected = np.stack([np.asarray(page.convert("RGB")) for page in pages]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(everything(load_data(tmp_path)), expected)


def test_the_second_picture_inside_a_photograph_is_left_out_in_a_note(tmp_path):
    photo = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    for i in range(4):
        Image.fromarray(photo).save(
            tmp_path / f"{i}.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]
        )
    data = load_data(tmp_path)
    assert len(everything(data)) == 4
    assert "Photographs with a second picture inside (MPO), of which the first was read: 4." in data.notes


def test_a_file_of_frames_is_a_set_of_images(tmp_path):
    stack(tmp_path / "stack.tif", GREY)
    data = load_data(tmp_path / "stack.tif")
    np.testing.assert_array_equal(greys(data), GREY)
    assert data.notes[0].startswith("The file holds several frames, 6 in all")


# Sentences


def cut(folder: Path) -> Path:
    photo = G.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    save(folder, [photo] * 2, ending="jpg")
    (folder / "001.jpg").write_bytes((folder / "001.jpg").read_bytes()[:700])
    return folder


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path.parent


def sizes(folder: Path) -> Path:
    save(folder, GREY)
    Image.new("L", (9, 5)).save(folder / "z.png")
    return folder


def frame_sizes(folder: Path) -> Path:
    stack(folder / "stack.tif", [GREY[0], GREY[1, :3]])
    return folder


def beside(folder: Path) -> Path:
    save(folder / "sub", GREY)
    return save(folder, GREY)


def deep_beside(folder: Path) -> Path:
    save(folder, GREY)
    Image.fromarray(np.full((5, 4), 60_000, np.uint16)).save(folder / "deep.png")
    return folder


def deep_colours(folder: Path) -> Path:
    png(folder / "deep.png", G.integers(0, 65_536, (5, 4, 3)), 2)
    return folder


def deep_colours_of_ppm(folder: Path) -> Path:
    return write(folder / "deep.ppm", b"P6\n4 5\n65535\n" + bytes(4 * 5 * 6))


def beyond(folder: Path) -> Path:
    return save(folder, np.full((2, 5, 4), 70_000, np.int32), ending="tif")


def odd_one(folder: Path) -> Path:
    parts_tree(folder, "train", "test")
    save(folder / "extras", GREY)
    return folder


def no_train(folder: Path) -> Path:
    return parts_tree(folder, "val", "test")


def dangling(folder: Path) -> Path:
    save(folder, GREY)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda d: d, "holds no images that can be read: give one that does"),
        (lambda d: write(d / "a.txt", b"x"), r"holds no images that can be read, only .txt 1: save them as .png"),
        (lambda d: write(d / "a.heic", b"x"), r"holds no images that can be read, only .heic 1"),
        (
            lambda d: write(d / "images.zip", b"PK"),
            "holds no images that can be read, but 'images.zip': unpack it first",
        ),
        (lambda d: write(d / "images.zip", b"PK") / "images.zip", "'images.zip' is an archive: unpack it, and give"),
        (lambda d: write(d / "x.tar.gz", b"") / "x.tar.gz", "'x.tar.gz' is an archive: unpack it, and give"),
        (lambda d: save(d, GREY[:1]), "holds one image, '000.png': give a folder with two or more"),
        (lambda d: save(d, GREY[:1]) / "000.png", "holds one image, '000.png': give a folder with two or more"),
        (sizes, "differ in size: 6 of 7 are 4×5 as '000.png' is, the others are not .'z.png' is 9×5.: resize them"),
        (frame_sizes, "differ in size: 'stack.tif' has a frame of 4×3 where others have 4×5"),
        (beside, r"holds images .'000.png'. beside subfolders with images .'sub'.: use one or the other"),
        (cut, r"001.jpg' cannot be read .image file is truncated"),
        (lambda d: write(save(d, GREY) / "z.png", b""), r"z.png' cannot be read .no image that Pillow knows"),
        (lambda d: write(save(d, GREY) / "z.png", b"<html>404</html>"), r"z.png' cannot be read .no image that"),
        (deep_beside, "differ in depth: 'deep.png' has 16 bits a value, '005.png' 8 bits a value"),
        (deep_colours, "'deep.png' has colours of 16 bits, of which 8 would be lost: save it with 8, or give a .npy"),
        (deep_colours_of_ppm, "'deep.ppm' has colours of 16 bits"),
        (beyond, "'000.tif' has values from 70,000 to 70,000, beyond greys of 16 bits"),
        (odd_one, "holds 'test', 'train' beside 'extras': subfolders are parts or classes"),
        (no_train, "holds 'test' and 'val' but no 'train' to learn from"),
        (dangling, "gone.png' cannot be read .*No such file"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, make, sentence):
    folder = make(tmp_path)
    with pytest.raises(InputError, match=sentence) as caught:
        load_data(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_sentence(tmp_path):
    save(tmp_path / "a", GREY)
    save(tmp_path / "b", GREY).chmod(0)
    with pytest.raises(InputError, match=r"b' cannot be read .Permission denied"):
        load_data(tmp_path)


def test_images_beyond_the_memory_are_refused_before_they_are_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr("elbowroom.data.memory._memory", lambda: 100)
    with pytest.raises(
        InputError, match=r"The images need 0 GB .6 × 5 × 4 of uint8., and this machine has 0: make them"
    ):
        load_data(save(tmp_path, GREY))


# Samples as a folder


@pytest.mark.parametrize(
    ("x", "support", "ending"),
    [
        (np.random.default_rng(1).integers(0, 2, (40, 5, 4)), Support("binary"), ".png"),
        (GREY, Support("grid", 256), ".png"),
        (COLOUR.transpose(0, 3, 1, 2), Support("grid", 256), ".png"),
        (np.random.default_rng(1).integers(0, 65_536, (6, 5, 4)), Support("grid", 65_536), ".png"),
        (np.random.default_rng(1).normal(size=(6, 5, 4)).astype(np.float32), Support("real"), ".tif"),
    ],
)
def test_a_folder_of_samples_is_read_as_they_were(tmp_path, x, support, ending):
    folder = write_images(tmp_path / "new", x.reshape(len(x), -1), x.shape[1:], str(support))
    assert sorted(p.name for p in folder.iterdir())[:2] == [f"0001{ending}", f"0002{ending}"]
    data = load_data(folder)
    np.testing.assert_array_equal(greys(data), x)
    assert data.support == support


def test_other_levels_and_means_are_scaled_to_bytes(tmp_path):
    x = np.random.default_rng(1).integers(0, 17, (6, 5, 4))
    folder = write_images(tmp_path / "levels", x, (5, 4), str(Support("grid", 17)))
    np.testing.assert_array_equal(greys(load_data(folder)), np.round(x * 255 / 16))
    means = np.random.default_rng(1).random((6, 1, 5, 4))  # of bits, or of numbers in [0, 1]
    for kind in ("binary", "unit"):
        folder = write_images(tmp_path / kind, means, (1, 5, 4), str(Support(kind)))
        np.testing.assert_array_equal(greys(load_data(folder)), np.round(means[:, 0] * 255))


@pytest.mark.parametrize("values", [(-1.0, 1.0), (2.0, 5.0), (0.0, 255.0)])
def test_two_other_values_than_0_and_1_and_their_means_are_kept(tmp_path, values):
    """They were cut off at 0 and 1: images of 2 and 5 were white all over."""
    x = np.array(values)[np.random.default_rng(1).integers(0, 2, (6, 5, 4))]
    x[0] = np.mean(values)
    folder = write_images(tmp_path / "new", x, (5, 4), str(Support("binary", values=values)))
    np.testing.assert_array_equal(greys(load_data(folder, support="real")), x)


@pytest.mark.parametrize(
    ("x", "shape", "support", "sentence"),
    [
        (np.zeros((2, 3)), None, Support("real"), "are no images, so no folder of images"),
        (np.zeros((2, 5, 3, 3)), (5, 3, 3), Support("unit"), "do not hold 5 channels: write to a .npy"),
        (np.full((2, 3, 3), np.nan), (3, 3), Support("real"), "do not hold values that are not finite"),
        (np.zeros((2, 3, 3, 3)), (3, 3, 3), Support("real"), "in colour hold 256 levels, and these data are real"),
    ],
)
def test_what_image_files_do_not_hold_is_refused(tmp_path, x, shape, support, sentence):
    with pytest.raises(InputError, match=sentence):
        write_images(tmp_path / "new", x, shape, str(support))
    assert not (tmp_path / "new").exists()


def test_samples_are_not_written_among_other_files(tmp_path):
    save(tmp_path, GREY)
    with pytest.raises(InputError, match="exists and is not empty: name a new folder"):
        write_images(tmp_path, GREY, (5, 4), str(Support("grid", 256)))
