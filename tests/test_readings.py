"""Only q reads x: refused by name, and by asking the functions themselves."""

import pytest
import torch
from torch import Size, Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

import elbowroom as er
from elbowroom import likelihoods, posteriors, priors
from elbowroom.components import Component
from elbowroom.distributions import Autoregressive
from elbowroom.networks import MLP
from elbowroom.numerics import Batch, Given, InputError
from elbowroom.vae import check_readings

D = 6


def batch(n: int = 8) -> Batch:
    return Batch(torch.rand(n, D, generator=torch.Generator().manual_seed(0)), torch.arange(n))


def model(
    prior: Component | None = None, likelihood: Component | None = None, encoder: nn.Module | None = None
) -> er.VAE:
    torch.manual_seed(0)
    return er.VAE(
        prior or priors.StandardNormal(2),
        posteriors.DiagonalNormal(encoder or MLP([D, 8, 4]), 2),
        likelihood or likelihoods.Normal(MLP([2, 8, D]), D, scale=0.5),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"likelihood": likelihoods.Normal(MLP([D + 2, D]), D, given=("z", "x"))},
        {"likelihood": likelihoods.Bernoulli(MLP([D, D]), D, given=("x",))},
        {"prior": posteriors.DiagonalNormal(MLP([D, 4]), 2)},
        {"prior": posteriors.Flow(MLP([D, 8]), 2, context=4)},
    ],
)
def test_x_in_given_of_prior_and_likelihood_is_refused_by_name(part: dict[str, Component]) -> None:
    with pytest.raises(InputError, match=r"Only q\(z | x\) may read x"):
        model(**part)


class Reads(likelihoods.Normal):
    """Reads x without saying so."""

    def forward(self, given: Given) -> Distribution:
        return Independent(Normal(super().forward(given).mean * 0.5 + 0.5 * given["x"], 0.5), 1)


class Skips(nn.Module):
    """An encoder that keeps what it saw, and the decoder of a U-net that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.kept = MLP([D, 8, 4]), MLP([2 + D, 8, D]), torch.zeros(1, D)

    def encode(self, x: Tensor) -> Tensor:
        self.kept = x.detach()
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(torch.cat([z, self.kept[-1:].expand(len(z), -1)], -1))


class Calls(nn.Module):
    def __init__(self, owner: nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.owner, self.name)(x)


class ReadingPrior(Component):
    def forward(self, given: Given) -> Distribution:
        return Independent(Normal(given["x"][..., :2], 1.0), 1)


def with_skips() -> er.VAE:
    skips = Skips()
    return model(encoder=Calls(skips, "encode"), likelihood=likelihoods.Normal(Calls(skips, "decode"), D, scale=0.5))


class Meets(Skips):
    """The decoder is told the mean of the batch that the encoder saw."""

    def encode(self, x: Tensor) -> Tensor:
        self.kept = x.detach().mean(0, keepdim=True)
        return self.encoder(x)


def told_by(skips: nn.Module) -> er.VAE:
    return model(encoder=Calls(skips, "encode"), likelihood=likelihoods.Normal(Calls(skips, "decode"), D, scale=0.5))


class Stashes(er.preprocess.Identity):
    """A map that keeps the x it saw, for a decoder to read."""

    def __init__(self, skips: Skips) -> None:
        super().__init__()
        self.skips = [skips]

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.skips[0].kept = x.detach()
        return super().cells(x, noise)


def stashed() -> er.VAE:
    skips = Skips()
    vae = model(likelihood=likelihoods.Normal(Calls(skips, "decode"), D, scale=0.5))
    vae.preprocess = Stashes(skips)
    return vae


READERS = {
    "undeclared in p(x | z)": lambda: model(likelihood=Reads(MLP([2, 8, D]), D, scale=0.5)),
    "undeclared in p(z)": lambda: model(prior=ReadingPrior(2)),
    "a skip connection": with_skips,
    "the mean of a batch": lambda: told_by(Meets()),
    "through preprocessing": stashed,
}


@pytest.mark.parametrize("name", READERS)
def test_a_hidden_reading_is_found_before_training_and_before_evidence(name: str) -> None:
    data = er.load_data(batch(60).x.numpy(), preprocess="none")
    said = r"p\(z\) changes" if "p(z)" in name else r"p\(x | z\) changes"
    with pytest.raises(InputError, match=said):
        er.fit(READERS[name](), data, epochs=1, progress=False)
    for estimator in (er.evidence.elbo, er.evidence.iwae, er.evidence.ais):
        with pytest.raises(InputError, match=said):
            estimator(READERS[name](), batch())
    with pytest.raises(InputError, match=said):
        er.evidence.ais(READERS[name]().target(batch()))
    alike = Batch(batch(1).x.expand(5, -1), torch.arange(5))
    with pytest.raises(InputError, match=said):
        check_readings(READERS[name](), alike)


HONEST = {
    "batch norm": lambda: model(encoder=MLP([D, 8, 4], norm="batch")),
    "dropout": lambda: model(encoder=nn.Sequential(nn.Linear(D, 8), nn.Dropout(0.5), nn.Linear(8, 4))),
    "the batch's best scale": lambda: model(likelihood=likelihoods.Normal(MLP([2, D]), D, scale="optimal")),
    "a mixture prior": lambda: model(prior=priors.Mixture(2)),
    "neighbours": lambda: model(
        likelihood=likelihoods.Autoregressive(
            MLP([2, D]), likelihoods.Normal(None, D, scale="feature"), image_shape=(2, 3)
        )
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_models_pass_and_are_left_as_they_were(name: str) -> None:
    vae = HONEST[name]()
    for parameter in vae.parameters():
        nn.init.normal_(parameter, std=0.5)
    vae.train()
    before = {key: value.clone() for key, value in vae.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    check_readings(vae, batch())
    assert torch.equal(torch.rand(3), expected)
    assert all(part.training for part in vae.modules())
    assert all(torch.equal(value, before[key]) for key, value in vae.state_dict().items())


def test_a_vamp_prior_may_call_the_encoder_on_its_own_pseudo_inputs() -> None:
    vae = model()
    vae = er.VAE(priors.Vamp(vae.posterior["z"], D, pseudo_inputs=3), vae.posterior["z"], vae.likelihood)
    check_readings(vae, batch())


class Causal(likelihoods.Likelihood):
    """A chain over x that reads what `shift` lets it read: 1 the element before, 0 itself, −1 the one after."""

    def __init__(self, shift: int, fronts: list[list[int]] | None = None) -> None:
        super().__init__(D)
        self.shift, self.fronts = shift, [torch.tensor(f) for f in (fronts or [[i] for i in range(D)])]

    def forward(self, given: Given) -> Distribution:
        lead = given["z"].shape[:2]

        def conditional(value: Tensor, at: Tensor | None) -> Distribution:
            before = value.roll(self.shift, -1)
            edge = torch.arange(D) >= self.shift if self.shift > 0 else torch.ones(D, dtype=torch.bool)
            logits = (given["z"].sum(-1, keepdim=True) + torch.where(edge, before, 0.0)).expand(*lead, D)
            return Bernoulli(logits=logits if at is None else logits[..., at])

        return Autoregressive(conditional, self.fronts, lead, Size([D]), given["z"])

    def check(self, support: er.Support) -> None:
        pass


def test_a_causal_reading_is_proved_by_its_order() -> None:
    binary = Batch((batch().x > 0.5).float(), batch().index)
    check_readings(model(likelihood=Causal(1)), binary)
    for wrong in (Causal(0), Causal(-1), Causal(1, [[5], [4], [3], [2], [1], [0]])):
        with pytest.raises(InputError, match="drawn later, or the element itself"):
            check_readings(model(likelihood=wrong), binary)
    with pytest.raises(InputError, match="name every element of x once"):
        check_readings(model(likelihood=Causal(1, [[0], [1], [1], [2], [3], [4]])), binary)


def test_what_p_reads_as_context_stands_in_the_quantity() -> None:
    grey = batch().x.mean(1, keepdim=True)
    vae = model(likelihood=likelihoods.Normal(MLP([3, 8, D]), D, scale=0.5, given=("z", "grey")))
    some = Batch(batch().x, batch().index, {"grey": grey})
    check_readings(vae, some)
    assert "lower bound on log p(x | grey)" in str(er.evidence.iwae(vae, some, draws=5))
    told = er.VAE(
        priors.StandardNormal(2),
        posteriors.DiagonalNormal(MLP([D + 1, 4]), 2, given=("x", "grey")),
        likelihoods.Normal(MLP([2, 8, D]), D, scale=0.5),
    )
    assert told.quantity == "log p(x)"


def test_a_model_says_what_it_is() -> None:
    vae = model(prior=priors.Mixture(2, components=3), likelihood=likelihoods.Normal(MLP([2, D]), D, floor=0.25))
    text = str(vae)
    for words in (
        "p(z)       mixture-prior (components 3, floor 0.01, covariance diagonal) over (2,)",
        "q(z | x)   diagonal-normal (network mlp 6-8-4, spread softplus, floor 1e-05) over (2,)",
        "p(x | z)   normal (network mlp 2-6, scale shared, floor 0.25) over (6,); σ 1, floored at 0.25",
        "preprocess  identity",
        "bounds on log p(x), in nats",
    ):
        assert " ".join(words.split()) in " ".join(text.split())


def test_a_density_that_answers_by_chance_is_none() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, 0.5, training=True)

    vae = model(likelihood=likelihoods.Normal(nn.Sequential(MLP([2, D]), Always()), D, scale=0.1))
    with pytest.raises(InputError, match="when it is asked twice, so it is no density"):
        er.evidence.elbo(vae, batch())


class Means(nn.Module):
    """A decoder that tells every row the mean of all rows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = MLP([4, 8, D])

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(torch.cat([z, z.mean(0, keepdim=True).expand_as(z)], -1))


@pytest.mark.parametrize(
    "vae",
    [
        lambda: model(likelihood=likelihoods.Normal(Means(), D, scale=0.5)),
        lambda: model(
            encoder=nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 4))
        ),
    ],
)
def test_examples_that_read_one_another_have_no_number_of_their_own(vae) -> None:
    with pytest.raises(InputError, match=r"one example alone|other examples of its batch"):
        er.evidence.iwae(vae(), batch(), draws=4)


def test_a_gate_that_opens_in_training_is_told_after_it() -> None:
    class Gated(Skips):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.zeros(()))

        def encode(self, x: Tensor) -> Tensor:
            self.kept = x
            return self.encoder(x)

        def decode(self, z: Tensor) -> Tensor:
            kept = self.kept if len(self.kept) == len(z) else torch.zeros(len(z), D)
            return self.decoder(torch.cat([z, 0 * kept], -1)) + self.gate * kept

    data = er.load_data(batch(60).x.numpy(), preprocess="none")
    history = er.fit(told_by(Gated()), data, epochs=3, lr=0.1, progress=False)
    assert any("only q(z | x) may read x" in note for note in history.notes)


def test_blocks_in_a_ring_and_of_two_kinds_are_refused() -> None:
    ring = {
        "a": posteriors.DiagonalNormal(MLP([2, 4]), 2, given=("b",)),
        "b": posteriors.DiagonalNormal(MLP([2, 4]), 2, given=("a",)),
    }
    both = {name: posteriors.DiagonalNormal(MLP([D, 4]), 2) for name in "ab"}
    with pytest.raises(InputError, match="read themselves or one another in a ring: break it"):
        er.VAE(ring, both, likelihoods.Normal(MLP([4, D]), D, given=("a", "b")))
    mixed = model(prior=priors.Categorical(2))
    with pytest.raises(InputError, match="over classes and its posterior over real numbers"):
        er.evidence.iwae(mixed, batch())


def test_x_outside_the_support_of_the_likelihood_has_no_score() -> None:
    vae = model(likelihood=likelihoods.Bernoulli(MLP([2, D]), D))
    with pytest.raises(InputError, match=r"^8 of 8 rows lie outside what the model was made for, 0 or 1: "):
        er.evidence.iwae(vae, batch())


def test_what_is_observed_stands_in_the_quantity_and_is_a_block_of_the_model() -> None:
    known = torch.zeros(8, 2), torch.arange(8) < 4
    some = Batch(batch().x, batch().index, observed={"z": known})
    assert "log p(x, z where known)" in str(er.evidence.iwae(model(), some, draws=4))
    for share, said in ((torch.ones(8).bool(), "log p(x, z)"), (torch.zeros(8).bool(), "log p(x)")):
        other = Batch(batch().x, batch().index, observed={"z": (known[0], share)})
        assert er.evidence.iwae(model(), other, draws=4).quantity == said
    with pytest.raises(InputError, match="'Z' is observed and the model has only z"):
        er.evidence.iwae(model(), Batch(batch().x, batch().index, observed={"Z": known}))
    with pytest.raises(InputError, match=r"values of shape \(1,\)"):
        er.evidence.iwae(model(), Batch(batch().x, batch().index, observed={"z": (known[0][:, :1], known[1])}))


def test_a_module_that_keeps_a_tensor_can_be_trained_after_evidence() -> None:
    class Keeps(nn.Module):
        table: Tensor | None = None

        def __init__(self) -> None:
            super().__init__()
            self.inner = MLP([2, D])

        def forward(self, z: Tensor) -> Tensor:
            self.table = torch.linspace(0.5, 1.5, D) if self.table is None else self.table
            return self.inner(z) * self.table

    vae = model(likelihood=likelihoods.Normal(Keeps(), D, scale=0.5))
    er.evidence.iwae(vae, batch(), draws=4)
    vae(batch(), vae.draw_noise(1, 8, torch.Generator())).log_likelihood.mean().backward()
    assert vae.likelihood.network.inner.layers[-1].weight.grad is not None


def test_what_is_observed_is_checked_before_training_too() -> None:
    for name, value, words in (("Y", [0, 1] * 30, "'Y' is observed"), ("z", torch.zeros(60, 1).numpy(), "of shape")):
        data = er.load_data(batch(60).x.numpy(), observed={name: value}, preprocess="none")
        with pytest.raises(InputError, match=words):
            er.fit(model(), data, epochs=1, progress=False)


def test_a_latent_block_may_have_the_name_of_a_context_and_x_may_not() -> None:
    """Labelled data always carry the context "label"; a model that infers it draws over it."""
    torch.manual_seed(0)
    vae = er.VAE(
        {"label": priors.Categorical(3), "z": priors.StandardNormal(2)},
        {
            "label": posteriors.Categorical(MLP([D, 3]), 3),
            "z": posteriors.DiagonalNormal(MLP([D + 3, 4]), 2, given=("x", "label")),
        },
        likelihoods.Normal(MLP([5, D]), D, scale=0.5, given=("z", "label")),
    )
    told = Batch(batch().x, batch().index, {"label": torch.ones(8, 3)})
    assert er.evidence.elbo(vae, told, draws=4).mean == er.evidence.elbo(vae, batch(), draws=4).mean
    with pytest.raises(InputError, match="A context cannot be called 'x'"):
        er.evidence.elbo(vae, Batch(batch().x, batch().index, {"x": batch().x}))
