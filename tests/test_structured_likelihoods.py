"""Likelihoods with correlated residuals: recipes, stacks, extremes, and fields that were planted."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import Matern
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.func import functional_call, grad, stack_module_state, vmap

import elbowroom as er
from elbowroom.distributions import MaternField
from elbowroom.likelihoods import structured
from elbowroom.networks import stackable
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import build, recipe_of

D64 = torch.float64


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=D64, generator=torch.Generator().manual_seed(seed))


FLAT, COLOUR = (48,), (3, 4, 4)
COMPONENTS = {
    "low rank, predicted": lambda net: structured.LowRankNormal(net, FLAT, 2, scale="predicted"),
    "low rank, shared": lambda net: structured.LowRankNormal(net, COLOUR, 2, factor="shared", scale="shared"),
    "sparse, predicted": lambda net: structured.SparsePrecisionNormal(net, FLAT, image_shape=COLOUR, radius=2),
    "sparse, shared": lambda net: structured.SparsePrecisionNormal(net, COLOUR, neighbours="shared", scale="feature"),
    "sparse, fixed scale": lambda net: structured.SparsePrecisionNormal(net, FLAT, image_shape=(6, 8), scale=0.3),
    "matern, predicted": lambda net: structured.MaternNormal(net, COLOUR),
    "matern, shared": lambda net: structured.MaternNormal(net, FLAT, image_shape=COLOUR, scale="shared", order=2),
    "matern, predicted white": lambda net: structured.MaternNormal(
        net, FLAT, image_shape=(6, 8), scale="shared", white="predicted"
    ),
    "matern, fixed scale": lambda net: structured.MaternNormal(net, FLAT, image_shape=(6, 8), scale=0.3),
}


def component(name: str, seed: int = 0) -> structured.Correlated:
    torch.manual_seed(seed)
    made = COMPONENTS[name](er.networks.MLP([2, 8, COMPONENTS[name](None).numbers]))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture(params=COMPONENTS)
def name(request):
    return request.param


def test_components_survive_their_recipe(name):
    made = component(name)
    again = build(recipe_of(made))
    again.load_state_dict(made.state_dict())
    z, x = torch.randn(3, 5, 2), torch.randn(1, 5, *made.event)
    assert again({"z": z}).log_prob(x).shape == (3, 5)
    assert torch.equal(made({"z": z}).log_prob(x), again({"z": z}).log_prob(x))


def test_components_are_densities_of_their_draws(name):
    """log p at a draw is what its noise says: the normal density of whitened numbers and the determinant."""
    p = component(name).double()({"z": normals(3, 5, 2)})
    dense = dense_covariance(p)
    value = p.mean + p.correlated(normals(3, 5, *p.noise_shape))
    rank = len(p.event_shape)
    expected = MultivariateNormal(p.mean.flatten(-rank), dense).log_prob(value.flatten(-rank))
    torch.testing.assert_close(p.log_prob(value), expected, rtol=1e-8, atol=1e-8)


def dense_covariance(p) -> Tensor:
    size, rank = p.noise_shape.numel(), len(p.event_shape)
    units = torch.eye(size, dtype=D64).view(size, 1, 1, *p.noise_shape).expand(size, *p.batch_shape, *p.noise_shape)
    images = p.correlated(units).flatten(-rank)
    return torch.einsum("kabi,kabj->abij", images, images)


def test_stacked_components_are_each_as_alone(name):
    members = [component(name, seed) for seed in (0, 1)]
    assert all(stackable(member) for member in members)
    z, x = torch.randn(1, 5, 2), torch.randn(1, 5, *members[0].event)

    def loss(parameters, buffers, skeleton=members[0]):
        return functional_call(skeleton, (parameters, buffers), ({"z": z},)).log_prob(x).mean()

    together = vmap(grad(loss))(*stack_module_state(members))
    for i, member in enumerate(members):
        alone = grad(loss)(dict(member.named_parameters()), dict(member.named_buffers()))
        for key, slope in alone.items():
            torch.testing.assert_close(together[key][i], slope, rtol=1e-4, atol=1e-5)
            assert key.endswith("raw_mixing") or bool((slope != 0).any()), key


def test_components_stay_finite_whatever_the_network_says(name):
    made = component(name)
    for size in (1e3, -1e3):
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.fill_(size)
        density = made({"z": torch.ones(1, 2, 2)}).log_prob(torch.zeros(1, 2, *made.event))
        density.sum().backward()
        assert bool(torch.isfinite(density).all())
        assert all(bool(torch.isfinite(p.grad).all()) for p in made.parameters())
        assert made({"z": torch.ones(1, 2, 2)}).log_determinant().isfinite().all()


def test_components_refuse_grids_and_shapes_that_are_no_images(name):
    with pytest.raises(InputError, match="grows without limit"):
        component(name).check(Support("grid", 17))
    for kind in (structured.MaternNormal, structured.SparsePrecisionNormal):
        with pytest.raises(InputError, match=r"is over images: .* got event \(7,\) and image_shape \(2, 4\)"):
            kind(nn.Identity(), 7, image_shape=(2, 4))
    with pytest.raises(InputError, match="float32 is no longer positive definite"):
        structured.MaternNormal(nn.Identity(), 8, image_shape=(2, 4), nugget_floor=0.0)


def test_settling_starts_every_scale_at_what_pca_leaves(name):
    made = component(name)
    y = 0.1 * torch.randn(500, *made.event, generator=torch.Generator().manual_seed(0))
    notes = made.settle(y, 0.01, 2)
    if isinstance(made.scale, str):
        assert made.floor_value.item() == pytest.approx(0.01 / 12**0.5)
        assert made.positive(torch.zeros_like(made.offset)).mean().item() == pytest.approx(0.1, abs=0.005)
        assert notes[0].startswith(f"{type(made).__name__}: σ starts at 0.0")


def planted(n: int, length: float, nugget: float, seed: int) -> Tensor:
    """Fields on 8 × 8 pixels, [n, 64]."""
    noise = normals(1, n, 64, seed=seed)
    one = torch.tensor(1.0, dtype=D64)
    return MaternField(0 * noise, one, length * one, nugget * one, (1, 8, 8), flat=True).correlated(noise)[0]


def test_a_planted_field_is_found_again():
    """Length and white share of 2,000 fields, within four standard errors of the Fisher information."""
    y = planted(2000, 2.5, 0.2, seed=1)
    likelihood = structured.MaternNormal(nn.Linear(1, 64), 64, image_shape=(8, 8), scale="shared", start=1.0).double()
    likelihood.network.requires_grad_(False).weight.zero_()
    likelihood.network.bias.zero_()
    learned = [likelihood.raw, likelihood.raw_length, likelihood.raw_nugget]
    optimizer = torch.optim.LBFGS(learned, max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -likelihood({"z": torch.zeros(1, 1, 1, dtype=D64)}).log_prob(y[None]).mean()
        value.backward()
        return value

    optimizer.step(loss)

    def log_variances(length: Tensor, nugget: Tensor, log_scale: Tensor) -> Tensor:
        return MaternField(y[0], log_scale.exp(), length, nugget, (1, 8, 8), flat=True).spectrum.log() + 2 * log_scale

    truth = torch.tensor([2.5, 0.2, 0.0], dtype=D64)
    slopes = torch.stack(torch.autograd.functional.jacobian(log_variances, tuple(truth)), -1).flatten(0, -2)
    errors = (len(y) / 2 * slopes.T @ slopes).inverse().diagonal().sqrt()
    found = torch.stack([likelihood.length_now(), likelihood.nugget_now(), likelihood.common_scale().log()])
    assert bool(((found - truth).abs() < 4 * errors).all()), (found, errors)
    assert errors[0] < 0.1
    (said,) = likelihood.remarks(likelihood({"z": torch.zeros(1, 1, 1, dtype=D64)}))
    assert said.startswith("MaternNormal: length scale 2.")
    assert "pixels, white share" in said


def test_correlated_decoders_beat_the_diagonal_where_residuals_are_correlated():
    """Held-out bounds of small linear VAEs on a one-dimensional signal with a planted field."""
    signal = normals(1000, 1, seed=2) * normals(1, 64, seed=3)
    data = er.load_data((signal + planted(1000, 2.5, 0.2, seed=4)).float().numpy())
    bounds = {}
    for kind, options in (
        (er.likelihoods.Normal, {}),
        (structured.MaternNormal, {"image_shape": (8, 8)}),
        (structured.SparsePrecisionNormal, {"image_shape": (8, 8), "neighbours": "shared"}),
    ):
        torch.manual_seed(0)
        likelihood = kind(nn.Linear(1, 64), 64, scale="shared", **options)
        vae = er.VAE(
            er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(64, 2), 1), likelihood, data.preprocess
        )
        er.fit(vae, data, epochs=30, lr=2e-2, progress=False)
        bounds[kind.__name__] = er.evidence.elbo(vae, data.test, draws=4)
    for name in ("MaternNormal", "SparsePrecisionNormal"):
        gain = bounds[name].values - bounds["Normal"].values
        assert gain.mean() > 10 + 5 * gain.std() / len(gain) ** 0.5, name


def behind_factors(length: float, white: float, latents: int = 2, n: int = 400) -> torch.Tensor:
    """Images 16 × 16: factors that PCA finds, and a field with scikit-learn's Matérn covariance and a white part."""
    generator = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0)), -1).reshape(-1, 2)
    covariance = (1 - white) * Matern(length, nu=1.0)(places) + white * np.eye(256)
    field = generator.normal(size=(n, 256)) @ np.linalg.cholesky(covariance).T
    return torch.tensor(30 * generator.normal(size=(n, latents)) @ generator.normal(size=(latents, 256)) + field)


@pytest.mark.parametrize(("length", "white"), [(4.0, 0.3), (1.5, 0.6)])
def test_a_planted_field_is_where_length_and_white_share_begin(length: float, white: float) -> None:
    likelihood = structured.MaternNormal(nn.Linear(2, 256), 256, image_shape=(16, 16), scale="shared")
    notes = likelihood.settle(behind_factors(length, white), None, 2)
    assert likelihood.length_now().item() == pytest.approx(length, rel=0.2)
    assert likelihood.nugget_now().item() == pytest.approx(white, abs=0.06)
    assert "likeliest" in notes[-1]
    fixed = structured.MaternNormal(nn.Linear(2, 256), 256, image_shape=(16, 16), scale="shared", length=3.0)
    fixed.settle(behind_factors(length, white), None, 2)
    assert fixed.length_now().item() == pytest.approx(3.0, rel=1e-5)


def test_a_predicted_white_share_is_each_images_own() -> None:
    likelihood = structured.MaternNormal(None, 64, image_shape=(8, 8), scale=0.5, white="predicted", length=2.0)
    numbers = torch.randn(1, 3, 2, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(2)
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = likelihood.double().distribution(numbers, {}).log_prob(x)
    for i in range(3):
        share = 1e-3 + (1 - 2e-3) * torch.sigmoid(numbers[1][0, i].mean())
        one = torch.ones((), dtype=torch.float64)
        alone = MaternField(numbers[0][:, i], 0.5 * one, 2 * one, share, (1, 8, 8), flat=True)
        torch.testing.assert_close(found[0, i], alone.log_prob(x[:, i])[0], rtol=1e-6, atol=1e-6)
