"""What is taken out of operations that were written down changes no bit; SiLU in one pass is what it is alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functionalize, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from elbowroom.networks import MLP
from elbowroom.training.shortened import shorten
from elbowroom.training.silu import with_one_pass


def operations(graph: Any) -> list[str]:
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def shortened(function: Callable[..., Any], *tensors: Tensor, functional: bool = True) -> tuple[Any, list[str]]:
    graph = make_fx(functionalize(function) if functional else function)(*tensors)
    before = operations(graph)
    shorten(graph, list(tensors))
    return graph, before


def same(function: Callable[..., Any], graph: Any, *tensors: Tensor) -> None:
    for found, expected in zip(graph(*tensors), function(*tensors), strict=True):
        assert torch.equal(found, expected)


def twice_over(x: Tensor) -> tuple[Tensor, ...]:
    y = (x.view(x.shape).expand(x.shape).detach() * 1).sum(0)
    return y + torch.ones_like(y) + torch.full((), 2.0), x.sum(0).exp(), x.sum(0).exp()


def test_what_changes_nothing_or_was_found_is_left_out() -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    graph, before = shortened(twice_over, x)
    left = operations(graph)
    assert len(before) > 10
    assert left.count("aten.sum.dim_IntList") == 1
    assert not {"aten.view.default", "aten.expand.default", "aten.ones_like.default", "aten.full.default"} & set(left)
    for other in (x, -x, x.t().contiguous().t(), x * torch.nan):
        for found, expected in zip(graph(other), twice_over(other), strict=True):
            assert torch.equal(found.nan_to_num(), expected.nan_to_num())


def test_what_is_returned_is_never_an_argument_nor_returned_twice() -> None:
    x = torch.ones(3)
    graph, _ = shortened(lambda x: (x * 1, x.exp(), x.exp(), torch.ones_like(x)), x)
    found = graph(x)
    assert len({one.data_ptr() for one in (x, *found)}) == 5
    found[3].zero_()
    same(lambda x: (x * 1, x.exp(), x.exp(), torch.ones_like(x)), graph, x)


def test_what_is_returned_may_be_written_into() -> None:
    function = lambda x: (torch.ones_like(x)[1:], torch.zeros(3).view(1, 3), x + torch.ones_like(x))  # noqa: E731
    x = torch.ones(4)
    graph, _ = shortened(function, x)
    for one in graph(x)[:2]:
        one[..., 0] = 7.0
    same(function, graph, x)


def test_a_graph_that_writes_into_tensors_stays_as_it_is() -> None:
    def writes(x: Tensor) -> tuple[Tensor]:
        y = torch.zeros_like(x)
        y.add_(x)
        return (y.view(y.shape),)

    graph, before = shortened(writes, torch.ones(2), functional=False)
    assert operations(graph) == before
    for _ in range(2):
        same(writes, graph, torch.ones(2))


def test_numbers_that_look_alike_are_not_one() -> None:
    function = lambda x: (x * 0.0, x * -0.0, x + 1, (x > 0) + 1)  # noqa: E731
    x = torch.tensor([1.0, -1.0])
    graph, _ = shortened(function, x)
    for found, expected in zip(graph(x), function(x), strict=True):
        assert torch.equal(torch.signbit(found), torch.signbit(expected))
        assert torch.equal(found, expected)


def one_pass(network: nn.Module) -> nn.Module:
    with_one_pass(network)
    return network


def test_every_place_of_a_shared_activation_is_changed() -> None:
    act = nn.SiLU()
    network = one_pass(nn.Sequential(nn.Linear(2, 2), act, nn.Linear(2, 2), act))
    assert not any(type(part) is nn.SiLU for part in network.modules())
    assert list(network.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_what_it_is_alone_forth_and_back(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.cat([10 * torch.randn(400, generator=generator), torch.tensor([0.0, 90.0, -90.0])]).to(dtype)
    found = []
    for act in (nn.SiLU(), one_pass(nn.Sequential(nn.SiLU()))):
        at = x.clone().requires_grad_()
        found.append(((y := act(at)), *torch.autograd.grad(y.square().sum(), at)))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def test_its_second_derivative_is_right() -> None:
    x = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    act = one_pass(nn.Sequential(nn.SiLU()))
    assert torch.autograd.gradcheck(act, x)
    assert torch.autograd.gradgradcheck(act, x)


@pytest.mark.parametrize("lanes", [(0, None), (None, 0), (0, 0), (0, 1)])
def test_mapped_over_models_it_gives_each_its_own_slopes(lanes: tuple[int | None, int | None]) -> None:
    generator = torch.Generator().manual_seed(2)
    w = torch.randn(*[3] * (lanes[0] is not None), 4, 5, generator=generator)
    x = torch.randn(*((6, 4) if lanes[1] is None else (3, 6, 4) if lanes[1] == 0 else (6, 3, 4)), generator=generator)
    act = one_pass(nn.Sequential(nn.SiLU()))
    slopes = vmap(grad_and_value(lambda w, x: act(x @ w).square().sum()), in_dims=lanes)
    found, _ = slopes(w, x)
    for i in range(3):
        own = (w if lanes[0] is None else w[i]).clone().requires_grad_()
        of = x if lanes[1] is None else x.select(lanes[1], i)
        (expected,) = torch.autograd.grad(nn.functional.silu(of @ own).square().sum(), own)
        torch.testing.assert_close(found[i], expected)


def test_torch_would_take_more_passes() -> None:
    def of(network: nn.Module) -> list[str]:
        loss = lambda x: network(x).sum()  # noqa: E731
        return operations(make_fx(functionalize(vmap(torch.func.grad(loss))))(torch.randn(2, 3, 4)))

    alone = of(MLP([4, 4, 1]))
    assert "aten.silu_backward.default" in of(one_pass(MLP([4, 4, 1])))
    assert len(of(one_pass(MLP([4, 4, 1])))) < len(alone)
