"""A function run as its plain operations gives what it gives, or is run as it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import Elbo, Geco, Iwae, LinearSchedule
from elbowroom.training import TrainingStep, traced
from elbowroom.training.adam import Adam
from elbowroom.training.engines import Stacked
from elbowroom.training.traced import Traced


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced, "_PLAIN", 0)


def calls(function: Callable[..., Any], *arguments: Any) -> Traced:
    """Traced after the calls that write it down and try it."""
    one = Traced(function)
    for _ in range(3):
        torch.testing.assert_close(one(*arguments), function(*arguments), rtol=0.0, atol=0.0)
    return one


def test_what_is_written_down_is_run_for_each_shape() -> None:
    seen: list[int] = []

    def function(parts: dict[str, Tensor], x: Tensor) -> dict[str, Any]:
        seen.append(len(x))
        return {"a": (x @ parts["w"], x.sum()), "b": parts["w"].exp()}

    generator = torch.Generator().manual_seed(0)
    w, x = torch.randn(3, 2, generator=generator), torch.randn(5, 3, generator=generator)
    one = calls(function, {"w": w}, x)
    seen.clear()
    for rows in (x, x[:4], x):
        torch.testing.assert_close(one({"w": 2 * w}, rows)["a"][0], rows @ (2 * w))
    assert seen == [4, 4]  # once as it is, once to write it down


def test_gradients_of_a_stack_are_the_same_bits() -> None:
    slopes = vmap(grad_and_value(lambda w, x: (x @ w).sigmoid().square().sum()), in_dims=(0, None))
    calls(slopes, torch.linspace(-1, 1, 12).view(2, 3, 2), torch.linspace(0, 1, 15).view(5, 3))


def looks(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def remembers() -> Callable[[Tensor], Tensor]:
    times: list[int] = []

    def function(x: Tensor) -> Tensor:
        times.append(1)
        return x * len(times)

    return function


def test_a_function_that_decides_by_values_is_called_as_it_is() -> None:
    one = Traced(looks)
    for sign in (1.0, 1.0, -1.0, 1.0, -1.0):
        assert one(torch.tensor([sign, sign])).tolist() == [1.0, 1.0]


def test_one_that_differs_from_what_was_written_down_is_called_as_it_is() -> None:
    one = Traced(remembers())
    found = [one(torch.ones(1)).item() for _ in range(4)]
    assert found == sorted(set(found))  # never the same again


@pytest.mark.parametrize(
    "objective", [lambda: Elbo(schedule=LinearSchedule(4)), lambda: Geco(3.0), lambda: Iwae(draws=3)]
)
def test_a_stack_of_sizes_trains_to_the_same_bits(
    objective: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = er.load_data(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).numpy())

    def trained(plain: int) -> list[dict[str, Tensor]]:
        monkeypatch.setattr(traced, "_PLAIN", plain)
        vaes = [er.models.build({"latents": d, "widths": [4]}, data) for d in (1, 3)]
        steps = [TrainingStep(vae, objective()).train() for vae in vaes]
        stack, generator = Stacked(steps, [Adam(clip=1.0)] * len(steps)), torch.Generator().manual_seed(1)
        for i in range(6):
            batch = Batch(torch.randn(7, 3, generator=generator), torch.arange(7))
            noise = stack.noises([step.draw_noise(3, 7, generator) for step in steps])
            stack.update(batch, noise, torch.tensor(float(i)))
        return [stack.state(i) for i in range(2)]

    for one, other in zip(trained(0), trained(100), strict=True):
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], rtol=1e-6, atol=1e-7)


def test_a_flow_is_written_down_though_its_base_looks_at_its_numbers() -> None:
    data = er.load_data(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).numpy())
    words = {"latents": 2, "widths": [4], "posterior": {"kind": "flow-posterior", "transforms": 1, "hidden": [4]}}
    steps = [TrainingStep(er.models.build(words, data), Elbo()).train() for _ in range(2)]
    stack, generator = Stacked(steps, [Adam()] * 2), torch.Generator().manual_seed(1)
    for i in range(3):
        batch = Batch(torch.randn(7, 3, generator=generator), torch.arange(7))
        noise = stack.noises([step.draw_noise(3, 7, generator) for step in steps])
        stack.update(batch, noise, torch.tensor(float(i)))
    (function,) = stack._functions.values()
    assert [written is not None for written in function._written.values()] == [True]
    with pytest.raises(ValueError, match="parameter scale"):
        torch.distributions.Normal(0.0, -1.0)  # whose numbers are looked at again
