"""The word device where models are trained together."""

import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import elbowroom as er
from elbowroom.training import fit_stacked
from elbowroom.training.recorded import Recorded
from elbowroom.training.traced import Traced

DIGITS = er.load_data("digits")


@pytest.mark.parametrize("word", ["abacus", "cuda"])
def test_devices_that_are_not_there_are_one_sentence(word: str) -> None:
    if word == "cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    vae = er.models.build({"latents": 2, "widths": [4]}, DIGITS)
    for call in (
        lambda: fit_stacked([vae], DIGITS, [er.objectives.Elbo()], device=word, progress=False),
        lambda: er.sweep({"latents": 2}, DIGITS, {}, device=word, progress=False),
        lambda: er.study(DIGITS, device=word, progress=False),
    ):
        with pytest.raises(er.InputError, match=r"device") as caught:
            call()
        assert str(caught.value).endswith(".")


def test_a_generator_of_another_device_begins_anew_and_says_so(tmp_path: Path) -> None:
    run, words = tmp_path / "run", {"latents": 2, "widths": [4]}
    er.fit(er.models.build(words, DIGITS), DIGITS, epochs=1, run=run, progress=False)
    path = run / "training.safetensors"
    with safe_open(path, "pt") as file:
        said = file.metadata()
    tensors = load_file(path)
    name = next(name for name in tensors if "generator" in name)
    save_file(tensors | {name: torch.zeros(16, dtype=torch.uint8)}, path, said)
    history = er.fit(er.models.build(words, DIGITS), DIGITS, epochs=2, run=run, resume=True, progress=False)
    assert any("After epoch 1, which was trained on another device" in note for note in history.notes)
    assert math.isfinite(history.rows[-1]["validation"]["objective"])


class Graph:
    """A graph of kernels that are run here."""

    def replay(self) -> None:
        for written, value in zip(self.found, self.run(), strict=True):
            written.copy_(value)


def test_what_is_recorded_reads_what_stays_and_copies_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(self: Recorded, tensors: tuple[torch.Tensor, ...]) -> None:
        self._read = [*tensors[: self.still], *(one.clone() for one in tensors[self.still :])]
        self._found, graph = self.function(*self._read), Graph()
        graph.found, graph.run = self._found, lambda: self.function(*self._read)  # type: ignore[attr-defined]
        self._graph = graph  # type: ignore[assignment]

    monkeypatch.setattr(Recorded, "_record", record)
    weight, function = torch.ones(3), Recorded(lambda w, x: [w * x], 1)
    first = function(weight, torch.full((3,), 2.0))[0]
    assert first.tolist() == [2.0] * 3
    weight.add_(1)
    assert function(weight, torch.full((3,), 5.0))[0].tolist() == [10.0] * 3
    assert first.tolist() == [10.0] * 3  # the same memory
    assert function(weight.clone() + 1, torch.ones(3))[0].tolist() == [3.0] * 3  # another tensor: recorded anew
    monkeypatch.setattr(Recorded, "_record", lambda self, tensors: (_ for _ in ()).throw(RuntimeError("waits")))
    assert Recorded(lambda x: [x + 1], 0)(torch.ones(1))[0].tolist() == [2.0]
    assert Traced(lambda x: x + 1)(torch.ones(1)).tolist() == [2.0]
