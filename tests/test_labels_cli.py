"""Labels from the command line, predictions, and whether rows without a label help."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import elbowroom as er
from elbowroom import cli
from elbowroom.metrics import unlabelled_gain
from elbowroom.models import Recipe, build, goal
from elbowroom.runs import predict_run
from elbowroom.runs.new_rows import new_rows

rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 240)
X = np.eye(3)[Y] * 4 + rng.normal(size=(240, 3))
WORDS = np.array(["u", "v", "w"])


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr(sys, "argv", ["elbowroom", *shlex.split(line)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose label is empty in two rows of three; one column holds words."""
    path = tmp_path_factory.mktemp("labels") / "t.csv"
    frame = pd.DataFrame(X, columns=list("abc")).assign(side=np.where(X[:, 0] > 1, "left", "right"))
    frame["kind"] = np.where(np.arange(240) % 3 == 0, WORDS[Y], "")
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(table: Path) -> tuple[Path, str]:
    """A run of it, and what was printed."""
    folder = table.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        options = "--epochs 5 --batch-size 12 --lr 0.03 --latents 2 --widths 16 --validation 60"
        assert run(patch, f"fit {table} --label kind --run {folder} {options}") == 0
    return folder, "\n".join(said)


def test_a_column_with_empty_cells_is_learned_and_scored(fitted: tuple[Path, str]) -> None:
    _, said = fitted
    assert "bounds neither log p(x, y) nor log p(x)" in said
    assert "labelled rows, log score" in said
    assert "Brier score" in said
    assert "unlabelled rows" in said.lower()


def test_predictions_are_q_of_the_model(fitted: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder, _ = fitted
    out = folder.parent / "p.csv"
    assert run(monkeypatch, f"predict {folder} --out {out}") == 0
    assert "accuracy" in capsys.readouterr().out
    found = pd.read_csv(out, keep_default_na=False)
    assert list(found.columns) == ["row", "label", "class", "label=u", "label=v", "label=w"]
    rows = found["row"].to_numpy()
    vae, _ = er.runs.read_run(folder)
    p = vae.encode(er.runs.run_data(folder).test)["label"].double().numpy()
    order = np.argsort(er.runs.run_data(folder).test.index.numpy())
    np.testing.assert_allclose(found.iloc[:, 3:].to_numpy(), p[order] / p[order].sum(1, keepdims=True), rtol=1e-6)
    assert (found["class"] == WORDS[Y[rows]]).mean() > 0.9
    assert (found["label"] == np.where(rows % 3 == 0, WORDS[Y[rows]], "")).all()
    every = predict_run(folder, folder.parent / "all.parquet", part="all", progress=False)
    assert (len(every.probabilities), (every.labels >= 0).sum()) == (240, 80)
    assert (every.labels[::3] == Y[::3]).all()


def test_other_rows_are_predicted_by_the_names_of_columns(fitted: tuple[Path, str], table: Path) -> None:
    """Another order of columns, none of labels: the same probabilities as of the run's own rows."""
    folder, _ = fitted
    every = predict_run(folder, folder.parent / "a.csv", part="all", progress=False)
    frame = pd.read_csv(table)[["side", "c", "b", "a"]]
    frame.to_csv(folder.parent / "new.csv", index=False)
    found = predict_run(folder, folder.parent / "b.csv", data=folder.parent / "new.csv", progress=False)
    assert (found.classes, found.labels.max()) == (("u", "v", "w"), -1)
    np.testing.assert_allclose(found.probabilities, every.probabilities, atol=1e-5)
    for change, said in (
        (frame.drop(columns="b"), "has no column 'b', which the model was fitted to"),
        (frame.assign(side="up"), r"'side' holds 'up', which the model does not know \('left', 'right'\)"),
        (frame.assign(a="many"), "holds 'many' where the model knows numbers"),
        (frame.assign(a="2020-01-01"), "holds '2020-01-01' where the model knows numbers"),
        (frame.assign(a=[2**53 + i for i in range(240)]), "'a' holds whole numbers beyond 2\\^53, which floats merge"),
        (frame[["a", *frame]].set_axis(["a", *frame], axis=1), "has two columns named 'a': leave out the one"),
    ):
        change.to_csv(folder.parent / "bad.csv", index=False)
        with pytest.raises(er.InputError, match=said):
            predict_run(folder, folder.parent / "c.csv", data=folder.parent / "bad.csv", progress=False)
    with pytest.raises(er.InputError, match="There is no file"):
        predict_run(folder, folder.parent / "c.csv", data=folder.parent / "none.csv", progress=False)
    with pytest.raises(er.InputError, match="The part is"):
        predict_run(folder, folder.parent / "c.csv", part="rest", progress=False)


KNOWN = {"columns": ["a", "b", "side", "grade"], "classes": {"side": ["left", "right"], "grade": ["1", "2", "x"]}}
READ = {
    "decimal commas": (
        "a;b;side;grade\n3,14;6.000,5; left ;1\n-;1,5;-;2\n",
        [[3.14, 6000.5, 0, 0], [np.nan, 1.5, np.nan, 1]],
    ),
    "thousands": (
        'a,b,side,grade\n3.14,"6,000",right,x\n2,"7,001",,\n',
        [[3.14, 6000, 1, 2], [2, 7001, np.nan, np.nan]],
    ),
    "marks of no value": ("a,b,side,grade\n1,.,left,2\nn.d.,5,--,x\n", [[1, np.nan, 0, 1], [np.nan, 5, np.nan, 2]]),
    "true and false": ("a,b,side,grade\n1,TRUE,left,1\n2,false,left,x\n", [[1, 1, 0, 0], [2, 0, 0, 2]]),
    "nothing in a column": ("a,b,side,grade\n1,,left,1\n2,,left,2\n", [[1, np.nan, 0, 0], [2, np.nan, 0, 1]]),
}


@pytest.mark.parametrize("how", READ)
def test_rows_to_predict_are_read_as_those_to_learn_from(tmp_path: Path, how: str) -> None:
    text, expected = READ[how]
    (tmp_path / "t.csv").write_text(text)
    np.testing.assert_array_equal(new_rows(KNOWN, tmp_path / "t.csv"), expected)
    numbers = er.load_data(tmp_path / "t.csv", drop=["side", "grade"], validation=0, test=0, support="real")
    both = [list(KNOWN["columns"]).index(name) for name in numbers.columns]
    np.testing.assert_array_equal(all_rows(numbers), np.array(expected)[:, both])


def all_rows(data: er.data.Dataset) -> np.ndarray:
    batch = data.train.batch()
    x = batch.x.double() if batch.seen is None else batch.x.double().masked_fill(~batch.seen, np.nan)
    return x[batch.index.argsort()].numpy()


def test_names_that_training_gave_twice_are_found_again(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,a,b\n1,2,3\n2,4,6\n")
    read = er.load_data(tmp_path / "t.csv", validation=0, test=0, support="real")
    np.testing.assert_array_equal(new_rows({"columns": read.columns}, tmp_path / "t.csv"), all_rows(read))
    np.testing.assert_array_equal(new_rows({"columns": ["a (2)", "b"]}, tmp_path / "t.csv"), [[2, 3], [4, 6]])


def pictures(folder: Path, images: np.ndarray) -> Path:
    """A folder of images, every second one on its side with EXIF data that say so."""
    folder.mkdir()
    for i, values in enumerate(images):
        picture, exif = Image.fromarray(values), Image.Exif()
        if i % 2:
            exif[0x0112] = 6
            picture = picture.rotate(90, expand=True)
        picture.save(folder / f"{i:03}.png", exif=exif)
    return folder


GREYS = np.random.default_rng(3).integers(0, 256, (40, 4, 5)).astype(np.uint8)
GREYS[:, 0, 0], GREYS[0, 0, 1] = 0, 255
COLOURS = np.stack([GREYS, 255 - GREYS, GREYS // 2], -1)
BITS = (GREYS > 127) * np.uint8(255)
LEARNED = {  # what was learned from, and what is read as that is
    "greys": (GREYS, {"a.npy": GREYS, "a.npz": GREYS, "a": GREYS, "b.npy": GREYS.reshape(40, 20)}),
    "k/255": (GREYS.astype("f4") / 255, {"a.npy": GREYS / 255, "b.npy": GREYS, "one.npy": GREYS[:1] / 255, "a": GREYS}),
    "-1 to 1": (GREYS.astype("f4") / 127.5 - 1, {"a.npz": GREYS.astype("f4") / 127.5 - 1, "b.npy": GREYS[:3]}),
    "colours": (COLOURS, {"a.npy": COLOURS, "b.npy": COLOURS.transpose(0, 3, 1, 2), "a": COLOURS}),
    "folder": (None, {"a.npy": GREYS, "a": GREYS, "one": GREYS[:1]}),
}


@pytest.mark.parametrize("how", LEARNED)
def test_arrays_and_images_are_read_as_those_to_learn_from(tmp_path: Path, how: str) -> None:
    source, others = LEARNED[how]
    data = er.load_data(pictures(tmp_path / "train", GREYS) if source is None else source, validation=0, test=0)
    known, coding = data.summary(), dict(data.train.coding)
    for name, values in others.items():
        path = tmp_path / name
        if path.suffix == ".npy":
            np.save(path, values)
        elif path.suffix == ".npz":
            np.savez(path, x=values, y=np.arange(len(values)) % 2)
        else:
            pictures(path, values)
        np.testing.assert_array_equal(new_rows(known, path, coding), all_rows(data)[: len(values)], err_msg=name)


def test_images_of_8_bits_are_refused_by_a_model_of_16(tmp_path: Path) -> None:
    """Beside 65,536 levels they are nearly black, and were measured, coded and encoded as that without a word."""
    deep = er.load_data(pictures(tmp_path / "deep", GREYS.astype(np.uint16) * 257), validation=5, test=5)
    eight = er.load_data(pictures(tmp_path / "eight", GREYS), validation=5, test=5)
    vae = er.models.build({"latents": 1, "widths": [4]}, deep)
    assert vae.encode(deep.test)["z"].shape == (5, 1)
    with pytest.raises(er.InputError, match="levels 0…255, and the model learned from levels 0…65,535"):
        vae.encode(eight.test)
    for read in (
        lambda: new_rows(deep.summary(), tmp_path / "eight", dict(vae.coding)),
        lambda: er.compression.compress(vae, tmp_path / "eight", tmp_path / "x.elb", progress=False),
    ):
        with pytest.raises(er.InputError, match="8 bits and the model learned from greys of more"):
            read()


def test_black_and_white_is_what_it_was_in_training(tmp_path: Path) -> None:
    greys, bits = (
        er.load_data(pictures(tmp_path / name, images), validation=0, test=0)
        for name, images in (("greys", GREYS), ("bits", BITS))
    )
    white = pictures(tmp_path / "white", np.full((2, 4, 5), 255, np.uint8))
    for data, path, expected in (
        (greys, tmp_path / "bits", BITS.reshape(40, 20)),
        (bits, tmp_path / "bits", BITS.reshape(40, 20) // 255),
        (bits, white, np.ones((2, 20))),
        (greys, white, np.full((2, 20), 255)),
    ):
        np.testing.assert_array_equal(new_rows(data.summary(), path, dict(data.train.coding)), expected)
    colours = er.load_data(pictures(tmp_path / "colours", COLOURS), validation=0, test=0)
    found = new_rows(colours.summary(), tmp_path / "greys", dict(colours.train.coding))
    np.testing.assert_array_equal(found, np.repeat(GREYS[:, None], 3, 1))


def test_columns_left_out_of_an_array_are_left_out_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 3))
    rows[:, 1] = np.nan
    data = er.load_data(rows, validation=0, test=0)
    np.save(tmp_path / "new.npy", rows)
    found = new_rows(data.summary(), tmp_path / "new.npy", dict(data.train.coding))
    np.testing.assert_array_equal(found, rows[:, [0, 2]])


def test_what_is_no_array_of_the_model_is_one_sentence(tmp_path: Path) -> None:
    data = er.load_data(GREYS.astype("f4") / 255, validation=0, test=0)
    for name, values, said in (
        (
            "turned",
            GREYS.transpose(0, 2, 1),
            r"'turned.npy' have shape \(5, 4\) each and .* learned from \(4, 5\): give",
        ),
        ("odd", GREYS / 7.3, r"'odd.npy' are neither k/255, as those .*, nor whole levels 0…255: give them on one"),
        ("bits", BITS // 255, "neither k/255"),
        ("named", np.zeros(3, [("a", float), ("b", float)]), "'named.npy' holds columns with names"),
    ):
        np.save(tmp_path / f"{name}.npy", values)
        with pytest.raises(er.InputError, match=said):
            new_rows(data.summary(), tmp_path / f"{name}.npy", dict(data.train.coding))
    with pytest.raises(er.InputError, match="holds no images"):
        new_rows(data.summary(), tmp_path, {})


def test_a_folder_is_predicted_as_the_run_s_own_rows_are(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", GREYS)
    data = er.load_data(folder, labels=np.arange(40) % 2, observed="label", validation=4, test=4)
    recipe = Recipe(latents=1, widths=[4], classes="label")
    er.fit(build(recipe, data), data, goal(recipe), epochs=1, run=tmp_path / "run", progress=False)
    every = predict_run(tmp_path / "run", tmp_path / "a.csv", part="all", source=data, progress=False)
    found = predict_run(tmp_path / "run", tmp_path / "b.csv", data=folder, progress=False)
    assert found.probabilities.shape == (40, 2)
    np.testing.assert_allclose(found.probabilities, every.probabilities, atol=1e-5)


def test_a_run_without_classes_predicts_nothing(tmp_path: Path) -> None:
    data = er.load_data("digits")
    vae = build({"latents": 1, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, batch_size=600, run=tmp_path / "run", progress=False)
    with pytest.raises(er.InputError, match=r"0 blocks of classes .* fit with --label COLUMN"):
        predict_run(tmp_path / "run", tmp_path / "p.csv", progress=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--label nokind", "no column 'nokind'"),
        ("--label a", "fractions or infinite"),
        ("--label kind --labels kind", "give one of the two"),
        ("--label kind --objective discrepancy", "the classes of the recipe are laid out"),
    ],
)
def test_what_cannot_be_a_label_is_one_sentence(
    table: Path, tmp_path: Path, options: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert run(monkeypatch, f"fit {table} --run {tmp_path / 'run'} {options}") == 2
    assert said in capsys.readouterr().err


def planted(wrong: bool) -> er.data.Dataset:
    """Four groups, far apart along one column and less far along the other; the label is the side along one of them.

    A class of a linear model takes the far sides, and leaves the near ones to the latent: right where these are the
    labels, and wrong where the near ones are.
    """
    draw = np.random.default_rng(1)
    near, far = draw.integers(0, 2, (2, 500))
    x, y = np.c_[8.0 * far, 3.0 * near] + draw.normal(size=(500, 2)), near if wrong else far
    shown = er.load_data(x, labels=y, observed="label", validation=200, test=20)
    data = er.load_data(x, labels=np.where(draw.random(500) < 0.1, y, -1), observed="label", validation=200, test=20)
    data.validation = shown.validation  # in the same order
    return data


@pytest.mark.parametrize("wrong", [True, False])
def test_unlabelled_rows_lower_the_accuracy_where_the_model_of_x_is_wrong(wrong: bool) -> None:
    training = {"epochs": 20, "batch_size": 28, "lr": 0.04}
    words = {"latents": 1, "widths": [], "likelihood": {"kind": "normal", "scale": "feature"}, "classes": "label"}
    recipe = Recipe(**words, objective={"kind": "semi-supervised", "weight": 0.003}, training=training)
    data = planted(wrong)
    vae = build(recipe, data)
    er.fit(vae, data, goal(recipe), progress=False, **training)
    found = unlabelled_gain(vae, recipe, data)
    print(found)
    assert (found.gain.value < -2 * found.gain.se) == wrong
    assert ("Unlabelled rows lower the accuracy by" in found.remark) == wrong
    assert ("leave these rows out" in found.remark) == wrong


def test_what_cannot_be_compared_is_said() -> None:
    data = er.load_data(X, labels=np.where(np.arange(240) % 30 == 0, Y, -1), observed="label")
    recipe = Recipe(latents=1, widths=[4], classes="label")
    with pytest.raises(er.InputError, match="too few to compare accuracies"):
        unlabelled_gain(build({"latents": 1, "widths": [4]}, data), recipe, data)
    whole = er.load_data(X, labels=Y, observed="label")
    with pytest.raises(er.InputError, match="Every training row has a label"):
        unlabelled_gain(build({"latents": 1, "widths": [4]}, whole), recipe, whole)
    with pytest.raises(er.InputError, match="names no block of classes"):
        unlabelled_gain(build({"latents": 1, "widths": [4]}, whole), Recipe(), whole)
