"""Networks against plain matrix products, torch's functional forms, and hand counts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from elbowroom.networks import MLP, ConvNet, ResNet, preset, stackable
from elbowroom.networks.layers import side_by_side
from elbowroom.numerics import InputError
from elbowroom.recipes import build, recipe_of

IMAGE = (2, 7, 10)
KINDS = {
    "mlp": (lambda: MLP([140, 24, 6]), IMAGE),
    "mlp-group": (lambda: MLP([140, 32, 6], norm="group", activation="gelu"), IMAGE),
    "mlp-batch": (lambda: MLP([140, 24, 6], norm="batch"), IMAGE),
    "encoder": (lambda: ConvNet(IMAGE, 3, channels=(4, 6), parts=2, dense=8), IMAGE),
    "encoder-group": (lambda: ConvNet(IMAGE, 3, channels=(16, 32), norm="group"), IMAGE),
    "decoder": (lambda: ConvNet(5, IMAGE, channels=(4, 6), parts=2, dense=8, output="tanh"), (5,)),
    "decoder-group": (lambda: ConvNet(5, IMAGE, channels=(16, 32), norm="group"), (5,)),
    "residual-encoder": (lambda: ResNet(IMAGE, 6, channels=(16, 32)), IMAGE),
    "residual-decoder": (lambda: ResNet(5, IMAGE, channels=(16, 32), blocks=2), (5,)),
    "conv-2018-encoder": (lambda: preset("conv-2018", image=IMAGE, latents=3)[0], IMAGE),
    "conv-2018-decoder": (lambda: preset("conv-2018", image=IMAGE, latents=5)[1], (5,)),
}
BATCH_NORMED = {"mlp-batch", "conv-2018-encoder", "conv-2018-decoder"}


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def made(kind, seed=0):
    torch.manual_seed(seed)
    make, event = KINDS[kind]
    return make(), torch.randn(6, *event)


def count(module):
    return sum(p.numel() for p in module.parameters())


# --- every network ---------------------------------------------------------------------------------------


def test_recipe_makes_the_same_network(kind):
    network, x = made(kind)
    network(x)  # moves the running statistics, so that they have to travel too
    again = build(recipe_of(network))
    assert list(again.state_dict()) == list(network.state_dict())
    assert recipe_of(again) == recipe_of(network)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_an_example_alone_and_in_a_batch(kind):
    network, x = made(kind)
    network, x = network.double().eval(), x.double()
    alone = torch.cat([network(row[None]) for row in x])
    torch.testing.assert_close(network(x), alone, rtol=1e-10, atol=1e-12)


def test_gradient_reaches_every_parameter(kind):
    network, x = made(kind)
    network(x).square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None
        # Batch norm subtracts what a bias before it adds; such a bias has gradient zero and changes nothing.
        if kind not in BATCH_NORMED or p.ndim > 1:
            assert p.grad.abs().max() > 1e-7, name


def test_stacked_networks_equal_one_by_one(kind):
    assert stackable(made(kind)[0]) == (kind not in BATCH_NORMED)
    if kind in BATCH_NORMED:
        return
    members, x = [made(kind, seed)[0].double() for seed in range(3)], made(kind)[1].double()
    parameters, buffers = stack_module_state(members)
    together = vmap(lambda p, b: functional_call(members[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([m(x) for m in members]), rtol=1e-10, atol=1e-12)


# --- mlp -------------------------------------------------------------------------------------------------


def test_linear_mlp_is_a_matrix_product():
    network = MLP([5, 3]).double()
    weight, bias = network.parameters()
    x = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(network(x), x @ weight.T + bias)


def test_mlp_by_hand_with_a_label_and_an_image():
    network = MLP([3 + 12, 7, 2], output="sigmoid").double()
    first, a, second, b = network.parameters()
    label, x = torch.eye(3).double()[[0, 2]], torch.randn(2, 3, 2, 2, dtype=torch.float64)
    flat = torch.cat([label, x.reshape(2, 12)], 1)
    hidden = flat @ first.T + a
    by_hand = torch.sigmoid((hidden * torch.sigmoid(hidden)) @ second.T + b)
    torch.testing.assert_close(network(label, x), by_hand)


def test_mlp_adds_nothing_to_a_bare_sequential():
    network = MLP([784, 200, 200, 100], activation="relu")
    assert [type(m) for m in network.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    x = torch.randn(100, 784)
    assert side_by_side([x], 784, "x") is x
    assert count(network) == 784 * 200 + 200 + 200 * 200 + 200 + 200 * 100 + 100


# --- convolutions ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    c=st.integers(1, 3),
    h=st.integers(1, 41),
    w=st.integers(1, 41),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    steps=st.integers(1, 4),
    parts=st.integers(1, 2),
)
def test_there_and_back_for_every_image_size(c, h, w, kernel, stride, steps, parts):
    options = {"channels": (2,) * steps, "kernel": kernel, "stride": stride, "parts": parts}
    encoder, decoder = ConvNet((c, h, w), 3, **options), ConvNet(3, (c, h, w), **options)
    code = encoder(torch.zeros(2, c, h, w))
    assert code.shape == (2, 3 * parts)
    smallest = [math.ceil(side / stride**steps) for side in (h, w)]
    assert encoder.network.head[-1].in_features == 2 * math.prod(smallest)
    assert decoder(code[:, :3]).shape == (2, parts * c, h, w)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 28, 28), (3, 32, 32), (1, 20, 28), (3, 64, 64)])
def test_preset_and_residual_fit_the_sizes_of_the_named_sets(shape):
    x = torch.zeros(2, *shape)
    for encoder, decoder in (preset("conv-2018", image=shape, latents=4), (ResNet(shape, 8), ResNet(4, shape))):
        assert encoder(x).shape == (2, 8)
        assert decoder(torch.zeros(2, 4)).shape == x.shape


def test_encoder_equals_the_functional_form():
    network = ConvNet((2, 7, 10), 3, channels=(4, 5), context=2, dense=6, activation="leaky-relu").double()
    w1, b1, w2, b2, dense, b3, last, b4 = network.parameters()
    x, label = torch.randn(3, 2, 7, 10, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    h = F.leaky_relu(F.conv2d(x, w1, b1, stride=2, padding=1), 0.2)
    h = F.leaky_relu(F.conv2d(h, w2, b2, stride=2, padding=1), 0.2)
    h = F.leaky_relu(torch.cat([h.reshape(3, -1), label], 1) @ dense.T + b3, 0.2)
    torch.testing.assert_close(network(x, label), h @ last.T + b4)


def test_decoder_is_the_adjoint_of_strided_convolutions():
    network = ConvNet(3, (2, 7, 10), channels=(4, 5), context=2, activation="relu").double()
    dense, b1, w1, b2, w2, b3 = network.parameters()
    z, label = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    h = torch.relu(torch.cat([z, label], 1) @ dense.T + b1).reshape(2, 5, 2, 3)
    h = torch.relu(conv2d_input((2, 4, 4, 5), w1, h, stride=2, padding=1) + b2[:, None, None])
    by_hand = conv2d_input((2, 2, 7, 10), w2, h, stride=2, padding=1) + b3[:, None, None]
    torch.testing.assert_close(network(z, label), by_hand)


def test_a_residual_block_adds_to_its_input():
    network = ResNet((1, 8, 8), 4, channels=(16,), blocks=2)
    plain = ConvNet((1, 8, 8), 4, channels=(16,), norm="group")
    blocks = network.network.body[3:]
    for block in blocks:
        nn.init.zeros_(block.change[-1].weight)
        nn.init.zeros_(block.change[-1].bias)
    plain.network.body.load_state_dict(network.network.body[:3].state_dict())
    plain.network.head.load_state_dict(network.network.head.state_dict())
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(network(x), plain(x))
    assert len(blocks) == 2


def test_output_activation_leaves_the_second_part_free():
    torch.manual_seed(0)
    squashed = ConvNet(3, (2, 5, 5), channels=(4,), parts=2, output="tanh")
    free = build({**recipe_of(squashed), "output": None})
    free.load_state_dict(squashed.state_dict())
    z = 30 * torch.randn(4, 3)
    raw = free(z)
    assert raw[:, :2].abs().max() > 1
    torch.testing.assert_close(squashed(z), torch.cat([raw[:, :2].tanh(), raw[:, 2:]], 1))


# --- the preset conv-2018 --------------------------------------------------------------------------------


def test_conv_2018_has_the_parameters_of_the_post():
    encoder, decoder = preset("conv-2018", latents=20)
    convolutions = (3 * 3 * 3 * 32 + 32) + (3 * 3 * 32 * 64 + 64) + (3 * 3 * 64 * 128 + 128)
    dense = 4 * 4 * 128 * 1024 + 1024
    batch_norm = 2 * (32 + 64 + 128 + 1024)
    heads = 2 * (1024 * 20 + 20)
    assert count(encoder) == convolutions + dense + batch_norm + heads == 2_234_920
    dense = 20 * 4 * 4 * 512 + 4 * 4 * 512
    transposed = (5 * 5 * 512 * 128 + 128) + (5 * 5 * 128 * 64 + 64) + (5 * 5 * 64 * 3 + 3)
    batch_norm = 2 * (4 * 4 * 512 + 128 + 64)
    assert count(decoder) == dense + transposed + batch_norm == 2_036_995


def test_conv_2018_layers_in_order():
    encoder, decoder = preset("conv-2018", context=10)
    kinds = [type(m) for m in encoder.network.body]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3
    assert [type(m) for m in decoder.network.head] == [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU]
    up = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert [type(m) for m in decoder.network.body] == [*up, *up, nn.ConvTranspose2d]
    assert recipe_of(encoder)["activation"] == "leaky-relu"
    x, y = torch.randn(2, 3, 32, 32), torch.eye(10)[:2]
    assert encoder(x, y).shape == (2, 256)
    assert decoder(torch.randn(2, 128), y).abs().max() < 1


def test_batch_norm_has_two_phases():
    encoder, _ = preset("conv-2018", image=(1, 8, 8), latents=2)
    x = torch.randn(16, 1, 8, 8)
    first, norm = encoder.network.body[:2]
    h = first(x)
    together = encoder.train()(x)
    torch.testing.assert_close(norm.running_mean, 0.1 * h.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * h.var((0, 2, 3), correction=1))
    assert (encoder(x[:8]) - together[:8]).abs().max() > 1e-2  # training: an example depends on its batch
    encoder.eval()
    before = norm.running_mean.clone()
    torch.testing.assert_close(encoder(x[:8]), encoder(x)[:8], rtol=1e-4, atol=1e-6)
    assert torch.equal(norm.running_mean, before)


# --- stacking and bad input ------------------------------------------------------------------------------


def test_stackable_sees_what_is_nested():
    assert stackable(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.GroupNorm(1, 2)))
    assert stackable(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)))
    for layer in (nn.BatchNorm2d(2), nn.Dropout(), nn.AlphaDropout(), nn.RReLU()):
        assert not stackable(nn.Sequential(nn.Linear(2, 2), nn.Sequential(layer)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MLP([3]), "at least two widths"),
        (lambda: MLP([3, 0]), r"1 or more; got \(3, 0\)"),
        (lambda: MLP([3, -2]), "whole numbers"),
        (lambda: MLP([3, 4, 2], activation="swish"), "no activation 'swish'; choose from: silu"),
        (lambda: MLP([3, 4, 2], norm="layer"), "no normalisation 'layer'; choose from: batch, group"),
        (lambda: MLP([3, 2])(torch.zeros(5, 4)), r"widths\[0\] of the mlp is 3, but the inputs bring 4 "),
        (lambda: MLP([3, 2])(torch.zeros(5, 3), torch.zeros(5, 2)), r"bring 3 \+ 2 = 5 numbers"),
        (lambda: ConvNet((28, 28), 2), r"shape \(C, H, W\)"),
        (lambda: ConvNet(784, 20), "use mlp"),
        (lambda: ConvNet((1, 8, 8), (1, 8, 8)), "the other a number"),
        (lambda: ConvNet((1, 8, 8), 0), "outputs must be"),
        (lambda: ConvNet((1, 8, 8), 2, kernel=4), "kernel must be odd"),
        (lambda: ConvNet((1, 8, 8), 2, channels=()), "channels"),
        (lambda: ConvNet((1, 8, 8), 2, dense=0), "parts and dense"),
        (lambda: ConvNet((1, 8, 8), 2, context=-1), "context cannot be negative"),
        (lambda: ConvNet((1, 8, 8), 2)(torch.zeros(5, 64)), r"images \(1, 8, 8\); it got \(64,\)"),
        (lambda: ConvNet((1, 8, 8), 2)(torch.zeros(5, 1, 8, 8), torch.zeros(5, 10)), r"128 \+ 10 = 138"),
        (lambda: ConvNet(2, (1, 8, 8))(torch.zeros(5, 3)), r"inputs \+ context is 2, but the inputs bring 3"),
        (lambda: ResNet((1, 8, 8), 2, blocks=0), "blocks"),
        (lambda: preset("resnet-50"), "no preset 'resnet-50'"),
    ],
)
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(InputError, match=says):
        make()
