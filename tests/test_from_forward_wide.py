"""What a module does beyond [0, 1] before it draws, or to what it decodes: found, or refused in a sentence."""

import math

import numpy as np
import pytest
import torch
from test_from_forward import D, L, Tutorial, normal
from torch import Tensor, nn

import elbowroom as er
from elbowroom.adapters import from_forward

CLAMP = 4.0


class Linear(nn.Module):
    """mu and log σ² are linear in x, so that large x reach whatever is done to them."""

    returned = drawn = staticmethod(lambda mu, log_var: (mu, log_var))

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(D, 2 * L), nn.Linear(L, D)

    def forward(self, x: Tensor):
        mu, log_var = self.encoder(x).chunk(2, -1)
        center, wide = self.drawn(mu, log_var)
        return self.decoder(center + (0.5 * wide).exp() * torch.randn_like(center)), *self.returned(mu, log_var)


def of(drawn=lambda mu, log_var: (mu, log_var), returned=lambda mu, log_var: (mu, log_var)) -> Linear:
    made = Linear()
    made.drawn, made.returned = drawn, returned
    return made


def clamped(mu: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
    return mu, log_var.clamp(-CLAMP, CLAMP)


def large(n: int = 40) -> Tensor:
    return 10 * torch.randn(n, D, generator=torch.Generator().manual_seed(2))


def elbo_of(mu: Tensor, log_var: Tensor, x: Tensor, decoder: nn.Linear) -> Tensor:
    """In closed form, for a linear decoder and a noise of 1."""
    weights, variance = decoder.weight.detach().double(), log_var.double().exp()
    off = x.double() - decoder(mu).detach().double()
    squares = off.square().sum(-1) + variance @ weights.square().sum(0)
    kl = 0.5 * (mu.double().square() + variance - 1 - log_var.double()).sum(-1)
    return -0.5 * (squares + D * math.log(2 * math.pi)) - kl


@pytest.mark.parametrize(
    "drawn",
    [
        clamped,
        lambda mu, log_var: (mu.clamp(-3, 3), log_var),
        lambda mu, log_var: (5 * (mu / 5).tanh() if bool((mu.abs() > 5).any()) else mu, log_var),
        lambda mu, log_var: (nn.functional.hardtanh(mu, -2.5, 2.5), log_var),
        lambda mu, log_var: (mu, log_var.clamp_max(2.0)),
        lambda mu, log_var: (mu, log_var.clamp_min(-12.0)),
    ],
)
def test_what_is_done_to_mu_or_the_spread_before_the_draw_is_refused(drawn) -> None:
    with pytest.raises(
        er.InputError, match=r"^Its draws are mu \+ σ · ε for random x in \[0, 1\] and not for ran"
    ) as at:
        from_forward(of(drawn), normal())
    assert (
        "before it draws, or to z after (a clamp?). Return what the draw uses, or give rows of your data by x="
        in str(at.value)
    )
    assert "\n" not in str(at.value)


@pytest.mark.parametrize("which", ["encoder alone returns it unclamped", "both are returned"])
def test_a_clamp_whose_result_is_returned_is_the_modules_own_q(which: str) -> None:
    def both(mu: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return log_var, *clamped(mu, log_var)

    model, x = of(clamped, clamped if "alone" in which else both), large()
    found = er.evidence.elbo(from_forward(model, normal()), x, draws=4000)
    mu, log_var = model.encoder(x).detach().chunk(2, -1)
    assert bool((log_var.abs() > CLAMP).any())
    apart = found.values - elbo_of(*clamped(mu, log_var), x, model.decoder).numpy()
    assert np.all(np.abs(apart) < 5 * np.sqrt(found.mc_variance) + 1e-3)


def test_own_rows_say_whether_a_clamp_is_reached() -> None:
    few = 0.5 * large().clamp(-2, 2)
    vae = from_forward(of(clamped), normal(), x=few)
    assert "with one ε for the 40 rows given" in vae.assumed[1]
    assert vae.assumed[2].startswith(
        "Its draws are mu + σ · ε for the rows given and not for random x from 0 to 10: its"
    )
    model = of(clamped)
    found = er.evidence.elbo(vae, few, draws=4000)
    apart = found.values - elbo_of(*model.encoder(few).detach().chunk(2, -1), few, model.decoder).numpy()
    assert np.all(np.abs(apart) < 5 * np.sqrt(found.mc_variance) + 1e-3)


@pytest.mark.parametrize("at", [slice(0, 1), slice(70, 71), slice(0, 80)])
def test_own_rows_that_reach_a_clamp_are_refused(at: slice) -> None:
    x = 0.5 * large(80).clamp(-2, 2)
    x[at] *= 20
    with pytest.raises(er.InputError, match=r"^Its draws are mu \+ σ · ε for other x and not for rows that were"):
        from_forward(of(clamped), normal(), x=x)


def test_rows_are_on_the_users_scale() -> None:
    scaled = er.preprocess.Affine(0.01)
    assert len(from_forward(of(clamped), normal(), x=20 * large(), preprocess=scaled).assumed) > 4
    levels = er.preprocess.Dequantise(256, (D,))
    grey = torch.randint(0, 256, (50, D), generator=torch.Generator().manual_seed(0))
    assert "the 50 rows given" in from_forward(of(clamped), normal(), x=grey, preprocess=levels).assumed[1]
    data = er.load_data(large(100).numpy() / 10)
    assert "rows given and random x from" in from_forward(of(), normal(), x=data.train).assumed[1]


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(3, 7), "x has rows of shape \\(7,\\), and the likelihood is of \\(12,\\)"),
        (torch.zeros(3, D), "two rows that differ"),
        (torch.full((3, D), math.nan), "missing cells"),
        (torch.zeros(0, D), "no rows"),
        (np.array([["a"] * D]), "number"),
    ],
)
def test_rows_that_cannot_be_asked_with_are_refused(x, says: str) -> None:
    with pytest.raises(er.InputError, match=says):
        from_forward(of(), normal(), x=x)


def test_it_says_at_which_x_it_was_asked() -> None:
    assert from_forward(of(), normal()).assumed[1].endswith("one ε for random x in [0, 1] and from -100 to 100.")


class Narrow(Linear):
    """A loss inside, as of cross-entropy, that takes x in [0, 1] alone."""

    most = 1.0

    def forward(self, x: Tensor):
        assert bool((x >= 0).all())
        assert bool((x <= self.most).all())
        return super().forward(x)


def test_a_module_of_x_in_01_alone_is_taken_and_it_is_said() -> None:
    said = from_forward(Narrow(), normal()).assumed[1]
    assert said.endswith("one ε for random x in [0, 1] alone, as it answers no larger ones.")
    wider = Narrow()
    wider.most = 10.0
    assert from_forward(wider, normal()).assumed[1].endswith("for random x in [0, 1] and from 0 to 10.")


class Logged(Linear):
    """Counts, whose logarithm is no number below −1."""

    def forward(self, x: Tensor):
        return super().forward(x.log1p())


def test_nan_below_zero_and_overflow_are_no_failure() -> None:
    assert from_forward(Logged(), normal()).assumed[1].endswith("in [0, 1] and from -1 to 100.")
    cubic = lambda mu, log_var: (mu, log_var**3 + log_var**5)  # noqa: E731
    assert " and from -10 to 10" in from_forward(of(cubic, cubic), normal()).assumed[1]  # beyond, σ is too large


class Words(Tutorial):
    """Whole numbers below 2 as places in a table; another x is none."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 1)

    def encode(self, x: Tensor):
        return super().encode(self.table(x.long())[..., 0])


def test_an_embedding_is_asked_with_what_it_takes() -> None:
    assert from_forward(Words(), normal()).assumed[1].endswith("for random x in [0, 1] and from -1 to 1.")  # cut off
    bits = torch.randint(0, 2, (9, D), generator=torch.Generator().manual_seed(0))
    assert "the 9 rows given" in from_forward(Words(), normal(), x=bits).assumed[1]


class Cropped(Linear):
    """A reconstruction that is clamped after its decoder."""

    def forward(self, x: Tensor):
        recon, *others = super().forward(x)
        return recon.clamp(-6, 6), *others


def test_a_clamped_reconstruction_is_refused_or_said() -> None:
    says = (
        r"^Output '0' is decoder\(z\) for random x in .* not for random x from .* something to decoder\(z\) \(a clamp"
    )
    with pytest.raises(er.InputError, match=says):
        from_forward(Cropped(), normal())
    vae = from_forward(Cropped(), normal(), x=0.1 * large())
    assert any(one.startswith("Output '0' is decoder(z) for the rows given and not for") for one in vae.assumed)


class Pinned(Linear):
    """mu is decoded, clamped, and never drawn around."""

    def forward(self, x: Tensor):
        mu, log_var = self.encoder(x).chunk(2, -1)
        return self.decoder(mu.clamp(-3, 3)), mu, log_var


def test_a_clamped_mu_that_is_decoded_is_refused() -> None:
    with pytest.raises(er.InputError, match="something to mu \\(a clamp\\?\\) before it decodes it"):
        from_forward(Pinned(), normal())


class Training(Linear):
    """Draws in training mode alone."""

    def drawn(self, mu: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
        return (mu, log_var.clamp(-CLAMP, CLAMP)) if self.training else (mu, log_var - 2000)


def test_draws_in_training_mode_are_asked_far_too() -> None:
    with pytest.raises(er.InputError, match="before it draws"):
        from_forward(Training(), normal())


class Routed(nn.Module):
    """Each x goes to the expert that its mean chooses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.experts = nn.ModuleList(nn.Linear(D, 2 * L) for _ in range(4))
        self.decoder = nn.Linear(L, D)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.bucketize(x.mean(-1), torch.tensor([-1.0, 0.3, 1.0], dtype=x.dtype))
        out = x.new_zeros(len(x), 2 * L)
        for i, expert in enumerate(self.experts):
            out = torch.where((place == i).unsqueeze(-1), expert(x), out) if bool((place == i).any()) else out
        return out.chunk(2, -1)

    def forward(self, x: Tensor):
        mu, log_var = self.encode(x)
        return self.decoder(mu + (0.5 * log_var).exp() * torch.randn_like(mu)), mu, log_var


def test_parts_that_other_x_need_stay_with_the_encoder() -> None:
    model, x = Routed(), large()
    vae = from_forward(model, normal())
    mu, log_var = model.encode(x)
    q = vae.posterior["z"]({"x": x.unsqueeze(0)})
    torch.testing.assert_close(q.base_dist.loc[0], mu)
    torch.testing.assert_close(q.base_dist.scale[0], (0.5 * log_var).exp(), rtol=1e-3, atol=1e-4)
