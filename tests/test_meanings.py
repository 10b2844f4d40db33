"""Examples whose numbers mean something else than a model's are refused, and those that mean the same are not."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import elbowroom as er
from elbowroom.evidence import elbo
from elbowroom.vae import load_model, save_model

WORDS = ["ant", "bee", "cat"]
SMALL = {"latents": 1, "widths": [4]}


def built(data, **words):
    return er.models.build({**SMALL, **words}, data)


def frame(words, n: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.normal(size=n), "y": rng.normal(size=n), "kind": np.resize(words, n)})


OTHERS = [["ant", "bee", "dog"], ["zoo", "bee", "cat"]]


@pytest.mark.parametrize("words", OTHERS)
@pytest.mark.parametrize(
    ("asked", "reads"),
    [
        ({"labels": "kind", "context": "label"}, {}),
        ({"labels": "kind", "observed": "label"}, {"classes": "label"}),
        ({"context": "kind"}, {}),
        ({"observed": {"kind": "kind"}}, {"classes": "kind"}),
    ],
)
def test_other_classes_are_refused_wherever_they_stand(words, asked, reads, tmp_path) -> None:
    data, other = er.load_data(frame(WORDS), **asked), er.load_data(frame(words), **asked)
    vae = built(data, **reads)
    save_model(vae, tmp_path / "model")
    for one in (vae, load_model(tmp_path / "model")):
        assert len(elbo(one, data.test, draws=2))
        with pytest.raises(er.InputError, match="in these examples and 'ant', 'bee', 'cat' in the model's"):
            elbo(one, other.test, draws=2)


def test_classes_that_the_model_does_not_read_may_be_others() -> None:
    vae = built(er.load_data(frame(WORDS), labels="kind"))
    assert len(elbo(vae, er.load_data(frame(OTHERS[0]), labels="kind").test, draws=2))


def test_bayes_rule_does_not_name_classes_of_other_labels() -> None:
    data = er.load_data(frame(WORDS), labels="kind", context="label")
    other = er.load_data(frame(OTHERS[0]), labels="kind", context="label")
    with pytest.raises(er.InputError, match="'ant', 'bee', 'dog' in these examples"):
        er.evidence.classify(built(data), data, examples=other.test, draws=2)


RNG = np.random.default_rng(1)
GREYS = RNG.integers(0, 256, (60, 4, 4)).astype(np.uint8)


def folder(path, images) -> object:
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i}.png")
    return path


def test_images_that_were_turned_to_another_scale_are_refused(tmp_path) -> None:
    vae = built(er.load_data(folder(tmp_path / "grey", GREYS)))
    white = np.where(GREYS > 127, 255, 0).astype(np.uint8)
    black_and_white = er.load_data(folder(tmp_path / "white", white))
    with pytest.raises(er.InputError, match=r"0 and 255, and were taken for 0 and 1, and the model .* 0…255"):
        elbo(vae, black_and_white.test, draws=2)
    for coarse, said in ((GREYS // 17 / 15, r"k/15"), (white / 255, "0 and 1"), (GREYS // 17 / 7.5 - 1, r"2k/15 − 1")):
        with pytest.raises(er.InputError, match=f"values of these examples are {said}"):
            elbo(vae, er.load_data(coarse).test, draws=2)


def test_the_same_levels_on_another_scale_are_taken(tmp_path) -> None:
    on_files, as_bytes = er.load_data(folder(tmp_path / "grey", GREYS)), er.load_data(GREYS)
    as_floats = er.load_data(GREYS / 255)
    for one in (on_files, as_bytes, as_floats):
        vae = built(one)
        assert elbo(vae, as_bytes.test, draws=2).mean == elbo(vae, as_floats.test, draws=2).mean
        assert len(elbo(vae, on_files.test, draws=2))


def test_levels_that_were_said_are_taken_as_they_are() -> None:
    vae = built(er.load_data(GREYS))
    few = er.load_data((GREYS // 128).astype(np.uint8), support=er.Support("grid", 256))
    assert len(elbo(vae, few.test, draws=2))
    assert len(elbo(vae, (GREYS // 128).reshape(60, 16), draws=2))  # an array says nothing of itself


def test_a_model_of_real_numbers_refuses_levels() -> None:
    scaled = GREYS / 127.5 - 1
    vae = built(er.load_data(scaled, support="real"))
    with pytest.raises(er.InputError, match="and the model learned from real numbers"):
        elbo(vae, er.load_data(scaled).test, draws=2)


def with_constant(column: int, width: int = 6) -> np.ndarray:
    x = np.random.default_rng(2).normal(size=(80, width))
    x[:, column] = 4.0
    return x


def test_arrays_that_lost_other_columns_are_refused() -> None:
    data = er.load_data(with_constant(2))
    vae = built(data)
    assert data.event == (5,)
    assert len(elbo(vae, er.load_data(with_constant(2)).test, draws=2))
    with pytest.raises(er.InputError, match=r"the columns '4' were left out .* and of the model's '2'"):
        elbo(vae, er.load_data(with_constant(4)).test, draws=2)
    alone = er.load_data(np.delete(with_constant(2), 2, 1))
    assert len(elbo(vae, alone.test, draws=2))
    with pytest.raises(er.InputError, match="and of the model's none"):
        elbo(built(alone), data.test, draws=2)


def test_genes_that_were_chosen_of_an_array_are_known_by_their_places() -> None:
    rates = np.ones(12)
    first, second = rates.copy(), rates.copy()
    first[:4], second[8:] = 9.0, 9.0
    draw = lambda rate: np.random.default_rng(3).negative_binomial(1, 1 / (1 + rate), (90, 12))  # noqa: E731
    one, other = (er.load_data(draw(rate), support="counts", genes=4) for rate in (first, second))
    with pytest.raises(er.InputError, match="were left out"):
        elbo(built(one), other.test, draws=2)


def test_places_of_columns_are_those_of_the_source() -> None:
    x = with_constant(1)
    x[:, 0] = np.nan
    data = er.load_data(x)
    assert any("'1' is always 4" in note for note in data.notes)
    assert dict(data.train.coding)["columns left out"] == ("0", "1")
