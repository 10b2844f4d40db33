"""One module whose forward returns everything, in whatever order and form: found out, or refused in a sentence."""

import dataclasses
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import elbowroom as er
from elbowroom.adapters import from_forward, from_modules
from elbowroom.exact import log_evidence_by_quadrature

D, L, N = 12, 2, 20
Returned = namedtuple("Returned", "logvar recon mu")


@dataclasses.dataclass
class Answer:
    mu: Tensor
    recon_x: Tensor
    log_var: Tensor
    loss: Tensor


SPREADS = {
    "log σ²": lambda raw: (0.5 * raw).exp(),
    "log σ": torch.exp,
    "σ": lambda raw: raw,
    "σ²": torch.sqrt,
    "σ before softplus": functional.softplus,
    "σ² before softplus": lambda raw: functional.softplus(raw).sqrt(),
}


class Tutorial(nn.Module):
    """The shape that tutorials have; what differs between them are switches."""

    def __init__(self, spread: str = "log σ²", form: str = "tuple", shape: tuple = (D,), draws: str = "always") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.Tanh())
        self.fc_mu, self.fc_spread = nn.Linear(8, L), nn.Linear(8, L)
        self.back = nn.Sequential(nn.Linear(L, 8), nn.Tanh(), nn.Linear(8, D))
        self.spread, self.form, self.shape, self.draws = spread, form, shape, draws

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        raw = self.fc_spread(h)
        return self.fc_mu(h), raw.exp() if self.spread in ("σ", "σ²") else raw

    def reparameterize(self, mu: Tensor, raw: Tensor) -> Tensor:
        if self.draws == "never" or (self.draws == "in training" and not self.training):
            return mu
        return mu + SPREADS[self.spread](raw) * torch.randn_like(mu)

    def decode(self, z: Tensor) -> Tensor:
        return self.back(z).view(-1, *self.shape)

    def forward(self, x: Tensor):
        mu, raw = self.encode(x)
        z = self.reparameterize(mu, raw)
        recon = self.decode(z)
        return {
            "tuple": lambda: (recon, mu, raw),
            "with x": lambda: [recon, x, mu, raw],
            "reversed": lambda: (raw, mu, recon),
            "with z": lambda: (recon, z, mu, raw),
            "mapping": lambda: {"log_var": raw, "loss": raw.sum(), "mean": mu, "x_hat": recon},
            "named": lambda: Returned(raw, recon, mu),
            "dataclass": lambda: Answer(mu, recon, raw, raw.sum()),
            "nested": lambda: (recon, (mu, raw)),
            "distribution": lambda: (recon, torch.distributions.Normal(mu, SPREADS[self.spread](raw))),
        }[self.form]()


def normal(event=D) -> er.likelihoods.Normal:
    return er.likelihoods.Normal(None, event, scale=1.0)


def rows(*event: int) -> Tensor:
    return torch.rand(N, *(event or (D,)), generator=torch.Generator().manual_seed(1))


def check(vae: er.VAE, model: Tutorial, x: Tensor) -> None:
    """q and p(x | z) are those of the module, by its parts."""
    noise = torch.randn(3, N, L)
    terms = vae(er.Batch(x, torch.arange(N)), {"z": noise})
    mu, raw = model.encode(x)
    z = mu + SPREADS[model.spread](raw) * noise
    torch.testing.assert_close(terms.z["z"].flatten(2), z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        terms.p_x.mean.flatten(2), torch.stack([model.back(one) for one in z]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "form", ["tuple", "with x", "reversed", "with z", "mapping", "named", "dataclass", "nested", "distribution"]
)
def test_the_outputs_are_found_in_any_order_and_form(form: str) -> None:
    model, x = Tutorial(form=form), rows()
    check(from_forward(model, normal()), model, x)


@pytest.mark.parametrize("spread", list(SPREADS))
@pytest.mark.parametrize("draws", ["always", "in training"])
def test_what_the_spread_is_is_read_off_the_modules_own_draws(spread: str, draws: str) -> None:
    model, x = Tutorial(spread, draws=draws), rows()
    vae = from_forward(model, normal())
    check(vae, model, x)
    assert f"{spread} output '2'" in vae.assumed[1]
    assert ("in training mode alone" in vae.assumed[1]) == (draws == "in training")
    assert model.training  # left as it was


def test_an_argument_that_keeps_its_default_is_said() -> None:
    class Optional(Tutorial):
        def forward(self, x: Tensor, y: Tensor | None = None):
            return super().forward(x)

    assert any("also takes y, left as by default" in one for one in from_forward(Optional(), normal()).assumed)


def test_a_forward_that_never_draws_is_said_to_have_no_elbo() -> None:
    model, x = Tutorial(draws="never"), rows()
    vae = from_forward(model, normal())
    check(vae, model, x)
    assert "never draws z" in vae.assumed[1]
    assert "none" in vae.assumed[1]


def test_images_float64_and_a_module_of_parts_without_a_forward() -> None:
    model = Tutorial(shape=(1, 3, 4))
    check(from_forward(model, normal((1, 3, 4))), model, rows(1, 3, 4))
    vae = from_forward(Tutorial().double(), normal())
    assert vae.dtype == torch.float64

    class Parts(Tutorial):
        forward = nn.Module.forward

    parts = Parts("σ", draws="in training")  # as BB-ANS's models are
    vae = from_forward(parts, normal())
    check(vae, parts, rows())
    assert "σ output" in vae.assumed[1]


class Squashed(Tutorial):
    def forward(self, x: Tensor):
        recon, *others = super().forward(x)
        return torch.sigmoid(recon), *others


def test_what_the_forward_does_to_its_decoders_result_is_done_here_too() -> None:
    model, x = Squashed(), rows()
    vae = from_forward(model, normal())
    z = torch.randn(1, 5, L)
    torch.testing.assert_close(vae.likelihood({"z": z}).mean[0], torch.sigmoid(model.back(z[0])))
    assert "sigmoid of decode(z)" in vae.assumed[2]
    bits = from_forward(model, er.likelihoods.Bernoulli(None, D))
    torch.testing.assert_close(bits.likelihood({"z": z}).mean[0], torch.sigmoid(model.back(z[0])), rtol=1e-4, atol=1e-5)
    assert bits.assumed[-1] == "What the decoder returns are means in [0, 1]."
    expected = from_modules(_Pair(model), _Mean(model), er.likelihoods.Bernoulli(None, D))
    found = [er.evidence.elbo(one, x.round(), draws=4).values for one in (bits, expected)]
    np.testing.assert_allclose(*found, rtol=1e-5)


class _Pair(nn.Module):
    def __init__(self, model: Tutorial) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor):
        return self.model.encode(x)


class _Mean(_Pair):
    def forward(self, z: Tensor):
        return torch.sigmoid(self.model.back(z))


class Inline(nn.Module):
    """Everything in forward but the decoder, which has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.to_x = nn.Linear(D, 2 * L), nn.Linear(L, D)

    def forward(self, x: Tensor):
        mu, raw = self.encoder(x).chunk(2, -1)
        return self.to_x(mu + raw.exp() * torch.randn_like(mu)), mu, raw


def test_a_decoder_of_another_name_is_named() -> None:
    torch.manual_seed(0)
    with pytest.raises(er.InputError, match=r"No method or submodule of a usual name .* decode="):
        from_forward(Inline(), normal())
    vae = from_forward(Inline(), normal(), decode="to_x")
    assert "log σ output '2'" in vae.assumed[1]
    with pytest.raises(er.InputError, match="decode='nothing' names no method"):
        from_forward(Inline(), normal(), decode="nothing")


class Spatial(nn.Module):
    """Latents that are images, batch norm, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU())
        self.head = nn.Conv2d(4, 4, 1)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(2, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)
        )

    def forward(self, x: Tensor):
        mu, log_var = self.head(self.down(x)).chunk(2, 1)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        return self.decoder(z), mu, log_var


def test_spatial_latents_go_through_everything(tmp_path) -> None:
    torch.manual_seed(0)
    model, x = Spatial(), rows(1, 4, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vae = from_forward(model, normal((1, 4, 4)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())  # statistics too
    assert vae.prior["z"].event == (2, 2, 2)
    assert vae.encode(x)["z"].shape == (N, 2, 2, 2)
    assert vae.reconstruct(x).shape == (N, 1, 4, 4)
    assert vae.sample(3).shape == (3, 1, 4, 4)
    few = x[:2]
    many = er.evidence.iwae(vae, few, draws=4000)
    assert er.evidence.elbo(vae, few, draws=50).mean < many.mean
    apart = er.evidence.ais(vae, few, temperatures=12, leapfrog=2, chains=8) - many
    assert abs(apart.mean) < 4 * apart.se_mc + 0.1
    path = er.save_model(vae, tmp_path / "model.safetensors")
    again = er.load_model(path, modules=dict.fromkeys(("encoder", "decoder"), Spatial()))
    np.testing.assert_array_equal(er.evidence.elbo(again, x, draws=8).values, er.evidence.elbo(vae, x, draws=8).values)
    assert again.assumed == vae.assumed


def test_encoder_and_decoder_have_weights_of_their_own_where_they_can_be_told_apart() -> None:
    model = Tutorial()
    vae = from_forward(model, normal())
    q, p = ({id(one) for one in part.parameters()} for part in (vae.posterior, vae.likelihood))
    assert p == {id(one) for one in model.back.parameters()}
    assert p | q == {id(one) for one in model.parameters()}
    assert not p & q

    class Whole(Tutorial):
        def forward(self, x: Tensor):
            h = self.body(x)
            mu, raw = self.fc_mu(h), self.fc_spread(h)
            return self.decode(self.reparameterize(mu, raw)), mu, raw

        encode = None

    whole = from_forward(Whole(), normal())
    assert "neither trains alone" in whole.assumed[-1]
    assert er.evidence.elbo(whole, rows(), draws=4).mean == pytest.approx(er.evidence.elbo(vae, rows(), draws=4).mean)
    frozen = from_forward(Tutorial().requires_grad_(False), normal())
    assert "neither trains alone" not in frozen.assumed[-1]


def test_it_trains_and_agrees_with_quadrature() -> None:
    data = er.load_data(rows(D).repeat(10, 1).numpy() + 0.1 * np.random.default_rng(0).normal(size=(10 * N, D)))
    vae = from_forward(Tutorial(), normal(), preprocess=data.preprocess)
    before = er.evidence.elbo(vae, data.test, draws=20).mean
    er.fit(vae, data, epochs=1, progress=False)
    exact = log_evidence_by_quadrature(vae, data.test[:2], nodes=100)
    found = er.evidence.iwae(vae, data.test[:2], draws=2000)
    assert er.evidence.elbo(vae, data.test, draws=20).mean > before
    assert abs((found - exact).mean) < 4 * (found - exact).se_mc + 0.005


class Labelled(Tutorial):
    def forward(self, x: Tensor, y: Tensor):
        return super().forward(x)


class Skips(Tutorial):
    def decode(self, z: Tensor, h: Tensor) -> Tensor:
        return self.back(z) + h

    def forward(self, x: Tensor):
        mu, raw = self.encode(x)
        return self.decode(self.reparameterize(mu, raw), x), mu, raw


class Flowing(Tutorial):
    def reparameterize(self, mu: Tensor, raw: Tensor) -> Tensor:
        z = super().reparameterize(mu, raw)
        return z + torch.sinh(z)


class Restless(Tutorial):
    def encode(self, x: Tensor):
        mu, raw = super().encode(x)
        return functional.dropout(mu, 0.5), raw


class Plain(Tutorial):
    def forward(self, x: Tensor):
        mu, _ = self.encode(x)
        return self.decode(mu), mu


class Deep(Tutorial):
    def forward(self, x: Tensor):
        mu, raw = self.encode(x)
        h = self.back[:2](self.reparameterize(mu, raw))
        return self.decoder(h), mu, raw

    @property
    def decoder(self):
        return self.back[2]


class Doubled(Tutorial):
    def forward(self, x: Tensor):
        recon, mu, raw = super().forward(x)
        return 2 * recon + 1, mu, raw


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: from_forward(Labelled(), normal()), er.CapabilityError, "needs y beside x, so it is a model of x giv"),
        (lambda: from_forward(Skips(), normal()), er.CapabilityError, "decode reads 2 things and not z alone"),
        (lambda: from_forward(Flowing(), normal()), er.CapabilityError, "no mu \\+ σ · ε for any two of the outputs"),
        (lambda: from_forward(Restless(), normal()), er.InputError, "'1', mu of q, changes from call to call"),
        (lambda: from_forward(Plain(), normal()), er.CapabilityError, "no spread at all"),
        (lambda: from_forward(Deep(), normal()), er.InputError, "decoder does not read z, but something that was made"),
        (lambda: from_forward(Doubled(), normal()), er.InputError, "does something to decode\\(z\\) before"),
        (lambda: from_forward(Tutorial(), normal(7)), er.InputError, "does not take x of the likelihood's event \\(7,"),
        (lambda: from_forward(Tutorial().half(), normal()), er.InputError, "torch.float16, too coarse"),
        (lambda: from_forward(nn.Module(), normal()), er.InputError, "no forward, and no encode either"),
        (lambda: from_forward(Tutorial().forward, normal()), er.InputError, "model is an nn.Module; got a method"),
        (lambda: from_forward(Tutorial(), "normal"), er.InputError, "made with network=None"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(make, error, says: str) -> None:
    with pytest.raises(error, match=says) as found:
        make()
    assert "\n" not in str(found.value)
