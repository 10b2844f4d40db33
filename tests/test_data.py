import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris

from elbowroom.data import Dataset, Examples, describe, load_data
from elbowroom.numerics import InputError, Support, keyed_uniform
from elbowroom.preprocess import Affine, Binarise, Chain, Dequantise, Identity, Standardise
from elbowroom.recipes import build, recipe_of


def everything(data: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """x and index of the three parts, put back into the order of the source."""
    x = torch.cat([part.x for part in data.parts.values()])
    index = torch.cat([part.index for part in data.parts.values()])
    order = index.argsort()
    return x[order], index[order]


def grid(n: int = 30, columns: int = 3) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, 9, (n, columns))
    x[0], x[1] = 0, 8
    return x


def real(n: int = 30, columns: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(2.0, 5.0, (n, columns))


def test_digits_are_scikit_learns():
    digits, source = load_data("digits"), load_digits()
    x, index = everything(digits)
    assert torch.equal(x, torch.from_numpy(source.data).float())
    assert torch.equal(index, torch.arange(1797))
    assert [len(part) for part in digits.parts.values()] == [1200, 200, 397]
    for part in digits.parts.values():
        assert torch.equal(part.labels, torch.from_numpy(source.target)[part.index])
        assert torch.equal(part.context["label"].argmax(1), part.labels)
        assert part.context["label"].sum() == len(part)
        assert part.data == digits.sha256
    assert digits.support == Support("grid", 17)
    assert (digits.levels, digits.event, digits.image_shape) == (17, (64,), (8, 8))
    assert digits.label_names == list("0123456789")
    assert digits.notes == ["Columns that never change: 3 of 64 (0, 32, 39)."]
    assert recipe_of(digits.preprocess) == {"kind": "dequantise", "levels": 17, "event": [64], "higher": False}


def test_summary_and_description_say_what_the_data_are():
    digits = load_data("digits", seed=4)
    summary = digits.summary()
    assert summary["sizes"] == {"train": 1200, "validation": 200, "test": 397}
    assert summary["split_seed"] == 4
    assert summary["sha256"] == digits.sha256
    assert isinstance(build(summary["preprocess"]), Dequantise)
    text = describe(digits)
    assert text == str(digits)
    for words in ("images 8×8", "integer grid 0…16", "dequantise (levels 17)", "test 397; seed 4", digits.sha256):
        assert words in text


def test_the_split_is_seeded_and_the_hash_is_not():
    one, again, other = load_data("digits"), load_data("digits"), load_data("digits", seed=1)
    assert torch.equal(one.test.index, again.test.index)
    assert not torch.equal(one.test.index, other.test.index)
    assert one.sha256 == other.sha256
    assert load_data(grid()).sha256 != load_data(grid() + 1).sha256
    assert load_data(grid()).sha256 == load_data(torch.from_numpy(grid()).float()).sha256
    assert load_data(grid(), labels=[0, 1] * 15).sha256 != load_data(grid()).sha256


def test_flat_or_not():
    flat, images = load_data("digits"), load_data("digits", flat=False)
    assert images.event == (1, 8, 8)
    assert images.image_shape == flat.image_shape == (8, 8)
    assert torch.equal(images.train.x.flatten(1), flat.train.x)
    assert images.sha256 == flat.sha256
    assert images.preprocess.noise_shape == (1, 8, 8)


def test_colour_images_keep_their_shape_and_channels_come_first():
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3), dtype=np.uint8)
    data = load_data(x)
    assert data.event == data.image_shape == (3, 4, 5)
    assert torch.equal(everything(data)[0], torch.from_numpy(x).permute(0, 3, 1, 2).float())
    assert data.support == Support("grid", 256)
    assert any("channels" in note for note in data.notes)
    assert load_data(x, flat=True).event == (60,)
    assert load_data(x.transpose(0, 3, 1, 2)).sha256 == data.sha256


@pytest.mark.parametrize(
    ("values", "support", "kind"),
    [
        (grid(), Support("grid", 9), Dequantise),
        (grid() > 4, Support("binary"), Identity),
        (np.random.default_rng(0).random((40, 3)), Support("unit"), Identity),
        (grid() / 8.5, Support("real", step=1 / 8.5), Chain),
        (real(), Support("real"), Standardise),
        (grid() * 1000, Support("counts"), Identity),
    ],
)
def test_support_is_inferred_and_decides_the_preprocessing(values, support, kind):
    data = load_data(values)
    assert data.support.kind == support.kind
    assert data.support.step == pytest.approx(support.step)
    assert type(data.preprocess) is kind


def test_support_can_be_stated():
    assert load_data(grid(), support="counts").support == Support("counts")
    assert load_data(grid(), support=Support("grid", 20)).preprocess.levels == 20
    assert load_data(grid(), support="categorical").support == Support("categorical", 9)
    assert isinstance(load_data(grid(), support="real").preprocess, Standardise)


@pytest.mark.parametrize("stated", ["binary", "unit", Support("grid", 8)])
def test_a_support_that_does_not_hold_the_data_is_refused(stated):
    with pytest.raises(InputError, match="reach from 0 to 8"):
        load_data(grid(), support=stated)


@pytest.mark.parametrize("stated", ["grid", "counts", "categorical"])
def test_fractions_on_a_whole_support_are_refused(stated):
    with pytest.raises(InputError, match="fractions"):
        load_data(np.abs(real()), support=stated)


def test_preprocessing_words():
    data = load_data(grid(), preprocess="dequantise-symmetric")
    y, _ = data.preprocess(data.train.x, torch.rand(data.train.x.shape))
    assert y.min() >= -1
    assert y.max() <= 1
    assert data.preprocess.step == pytest.approx(2 / 9)
    assert isinstance(load_data(grid(), preprocess="none").preprocess, Identity)
    assert isinstance(load_data(grid(), preprocess="binarise").preprocess, Binarise)
    own = Affine(3.0)
    assert load_data(real(), preprocess=own).preprocess is own


def test_standardising_learns_from_train_alone():
    data = load_data(real(200), preprocess="standardise")
    train = data.train.x.double().numpy()
    np.testing.assert_allclose(data.preprocess.mean.numpy(), train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.preprocess.std.numpy(), train.std(0), rtol=1e-6)


def test_standardising_a_grid_dequantises_first():
    x = np.random.default_rng(0).integers(0, 9, (20_000, 2))
    step = load_data(x, preprocess="standardise").preprocess
    assert isinstance(step, Chain)
    uniform = (81 - 1 + 1) / 12 / 81  # variance of (x + u) / 9, x uniform on 0…8
    np.testing.assert_allclose(step.steps[1].std.numpy(), np.sqrt(uniform), rtol=0.02)


def test_fixed_binarisation_is_keyed_by_row_and_seed():
    fixed = load_data("digits", preprocess="binarise-fixed", seed=3)
    assert fixed.support == Support("binary")
    assert isinstance(fixed.preprocess, Identity)
    expected = keyed_uniform((64,), fixed.test.index, 3) * 16 < torch.from_numpy(load_digits().data)[fixed.test.index]
    assert torch.equal(fixed.test.x, expected.float())
    assert any("seed 3" in note for note in fixed.notes)
    assert fixed.sha256 != load_data("digits").sha256


def test_examples_are_chosen_by_slice_list_mask_and_tensor():
    part = load_data("digits").test
    mask = part.labels == 3
    for chosen, rows in [
        (part[5:9], torch.arange(5, 9)),
        (part[[2, 7]], torch.tensor([2, 7])),
        (part[torch.tensor([4])], torch.tensor([4])),
        (part[np.array([4, 1])], torch.tensor([4, 1])),
        (part[mask], mask.nonzero()[:, 0]),
        (part[mask.numpy()], mask.nonzero()[:, 0]),
        (part[-1], torch.tensor([396])),
        (part[[]], torch.tensor([], dtype=torch.long)),
    ]:
        assert isinstance(chosen, Examples)
        assert len(chosen) == len(rows)
        assert torch.equal(chosen.x, part.x[rows])
        assert torch.equal(chosen.index, part.index[rows])
        assert torch.equal(chosen.labels, part.labels[rows])
        assert torch.equal(chosen.batch().context["label"], part.context["label"][rows])


def test_sizes_of_parts():
    sizes = lambda **asked: [len(p) for p in load_data(grid(50), **asked).parts.values()]  # noqa: E731
    assert sizes() == [35, 5, 10]
    assert sizes(validation=7, test=0.5) == [18, 7, 25]
    assert sizes(validation=0, test=0) == [50, 0, 0]
    assert [len(p) for p in load_data(grid(4)).parts.values()] == [2, 1, 1]


@settings(max_examples=50, deadline=None)
@given(n=st.integers(4, 60), seed=st.integers(0, 1000))
def test_parts_are_a_partition(n, seed):
    data = load_data(grid(n), seed=seed)
    x, index = everything(data)
    assert torch.equal(index, torch.arange(n))
    assert torch.equal(x, torch.from_numpy(grid(n)).float())


def test_dataframes_and_their_labels():
    iris = load_iris(as_frame=True).frame
    iris["target"] = [f"species {i}" for i in iris["target"]]
    data = load_data(iris, labels="target", name="iris")
    assert data.columns == list(load_iris().feature_names)
    assert data.label_names == ["species 0", "species 1", "species 2"]
    x, _ = everything(data)
    np.testing.assert_allclose(x.numpy(), load_iris().data, rtol=1e-6)
    assert data.name == "iris"
    assert load_data(pd.DataFrame({"a": pd.array([1, 2, 3, 0], "Int64"), "b": [True, False] * 2})).levels == 4


def test_labels_of_any_kind_become_codes():
    data = load_data(grid(6), labels=[20.0, 10.0, 20.0, 10.0, 30.0, 30.0], validation=0, test=0)
    back = data.train.labels[data.train.index.argsort()]
    assert back.tolist() == [1, 0, 1, 0, 2, 2]
    assert data.label_names == ["10", "20", "30"]
    assert load_data("digits", labels=np.arange(1797) % 2).label_names == ["0", "1"]


def test_notes_on_constant_repeated_and_leaked_rows(tmp_path):
    frame = pd.DataFrame({"a": np.arange(20) % 3, "b": 4, "c": np.arange(20) // 2})
    assert load_data(frame).notes == ["Columns left out: 1 of 3 ('b' is always 4)."]
    notes = load_data(np.repeat(real(5), 10, axis=0)).notes
    assert "Rows that repeat an earlier one: 45 of 50." in notes
    assert "Test rows that also stand in train: 10 of 10." in notes
    twice = np.concatenate([real(40), real(40)[:10]])
    parts = {"x_train": twice[:30], "x_val": twice[30:40], "x_test": twice[30:35]}
    assert "Test rows that also stand in validation: 5 of 5." in load_parts(tmp_path, parts).notes
    parts["x_test"] = twice[35:40] + 1.0
    assert not any("stand in" in note for note in load_parts(tmp_path, parts).notes)


def load_parts(folder, parts):
    np.savez(folder / "parts.npz", **parts)
    return load_data(folder / "parts.npz")


def test_an_infinite_value_of_a_file_is_found_by_its_line(tmp_path):
    frame = with_hole(np.inf)
    (tmp_path / "t.csv").write_text("# a comment\n" + frame.to_csv(index=False))
    with pytest.raises(InputError, match=r"2 values that are infinite .*, first in line 5, column 'b'"):
        load_data(tmp_path / "t.csv")


def test_ties_of_grey_levels_over_255_are_dequantised():
    grey = np.random.default_rng(0).integers(0, 256, (1_000, 6)) / 255
    assert all(one.step == pytest.approx(1 / 255) for one in load_data(grey).support.columns)
    assert load_data(real(200)).notes == []


def test_the_hash_is_of_x_and_labels():
    data = load_data(grid(), labels=[0, 1] * 15)
    digest = hashlib.sha256(b"30 examples of 3")
    digest.update(grid().astype("<f4").tobytes())
    digest.update(np.array([0, 1] * 15, "<i8").tobytes())
    assert data.sha256 == digest.hexdigest()


def with_hole(value: float) -> pd.DataFrame:
    frame = pd.DataFrame(real(6), columns=["a", "b", "c"])
    frame.loc[2:3, "b"] = value
    return frame


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: load_data(np.empty((0, 3))), "empty"),
        (lambda: load_data(np.empty((5, 0))), "empty"),
        (lambda: load_data([[1.0, 2.0]]), "one example"),
        (lambda: load_data(with_hole(np.inf)), "2 values that are infinite.*first in row 2, column 'b'"),
        (lambda: load_data(with_hole(np.inf).to_numpy()), "2 values.*first in row 2, column 1"),
        (lambda: load_data(with_hole(1e300)), "beyond 32-bit floats, first in row 2, column 'b'"),
        (lambda: load_data(np.full((2, 4, 4), -np.inf)), r"32 values.*first in example 0, at \(0, 0\)"),
        (lambda: load_data(np.float64(3.0)), r"shape \(\)"),
        (lambda: load_data(np.arange(5.0)), r"one column\? use x\[:, None\]"),
        (lambda: load_data(np.zeros((2, 1, 2, 2, 2))), r"shape \(2, 1, 2, 2, 2\)"),
        (lambda: load_data([[1.0, 2.0], [3.0]]), "ragged"),
        (lambda: load_data([["a", "b"], ["c", "d"]]), "give numbers"),
        (lambda: load_data(pd.DataFrame({"colour": ["red", "blue"]})), "2 different words, such as 'red' in row 0"),
        (lambda: load_data(with_hole(0.0), labels="species"), "no column 'species'.*'a', 'b', 'c'"),
        (lambda: load_data(grid(), labels="species"), "'species'"),
        (lambda: load_data(grid(), labels=[0, 1, 2]), r"shape \(3,\) for 30 examples"),
        (lambda: load_data(grid(), labels=np.linspace(0, 1, 30)), "fractions"),
        (lambda: load_data(grid(3000), labels=np.arange(3000)), "3,000 distinct values"),
        (lambda: load_data("minst"), "did you mean 'mnist'"),
        (lambda: load_data("Fashion_MNIST"), "did you mean 'fashion-mnist'"),
        (lambda: load_data(grid(), support="integers"), "no support 'integers'"),
        (lambda: load_data(grid(), preprocess="whiten"), "no preprocessing 'whiten'"),
        (lambda: load_data(real(), preprocess="dequantise"), "grid or binary; these are real numbers"),
        (lambda: load_data(real(), preprocess="binarise"), "grid or binary or unit"),
        (lambda: load_data(real(), preprocess="binarise-fixed"), "real numbers"),
        (lambda: load_data(real(), preprocess=Dequantise(9, (3,))), "real numbers"),
        (lambda: load_data(grid(3)), "3 examples are too few"),
        (lambda: load_data(grid(), validation=20, test=20), "too few"),
        (lambda: load_data(grid(), test=1.5), "test= is a fraction"),
        (lambda: load_data(grid(), validation=float("nan")), "validation(=| must)"),
        (lambda: load_data("digits", validation=-1), "validation(=| must)"),
    ],
)
def test_bad_input_is_one_clear_sentence(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_standardising_never_hides_a_grid() -> None:
    """Zeros and ones are dequantised first; counts, whose range is open, are refused in words."""
    rng = np.random.default_rng(0)
    binary = load_data(rng.integers(0, 2, (50, 3)), preprocess="standardise")
    y = binary.preprocess(binary.train.x, torch.rand(len(binary.train), 3))[0]
    assert len(y.unique()) > 2 * 3
    with pytest.raises(InputError, match="these are counts"):
        load_data(rng.poisson(400, (50, 3)), preprocess="standardise")
