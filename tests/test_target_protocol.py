"""Every estimator on a target that nobody here made: probabilistic PCA by hand, against scikit-learn's score."""

import contextlib
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import elbowroom as er
from elbowroom import evidence
from elbowroom.evidence import simulated_examples
from elbowroom.evidence import target as target_module
from elbowroom.exact import log_evidence_by_quadrature
from elbowroom.numerics import CapabilityError, InputError, keyed_normal
from elbowroom.vae import outside

N, D, LATENTS, WIDER = 12, 6, 2, 1.2
F64 = torch.float64
ANNEALING = {"temperatures": 60, "chains": 16, "leapfrog": 4}


def table() -> np.ndarray:
    images = load_digits().data
    return images[:, np.argsort(images.var(0))[-D:]] / 16


PPCA = PCA(LATENTS).fit(table())
NOISE = PPCA.noise_variance_
WEIGHTS = PPCA.components_.T * np.sqrt(PPCA.explained_variance_ - NOISE)
PRECISION = np.eye(LATENTS) + WEIGHTS.T @ WEIGHTS / NOISE
SPREAD = WIDER * np.linalg.cholesky(np.linalg.inv(PRECISION))  # of q: the posterior's, a little wider
COVARIANCE = SPREAD @ SPREAD.T


class ByHand:
    """The eight members and no more."""

    dim = LATENTS

    def __init__(self, x: np.ndarray, index: Tensor) -> None:
        self.x, self.index = x, index
        self.mean = (x - PPCA.mean_) @ WEIGHTS / NOISE @ np.linalg.inv(PRECISION)

    def log_prior(self, z: Tensor) -> Tensor:
        return -0.5 * z.square().sum(-1) - LATENTS / 2 * math.log(2 * math.pi)

    def log_likelihood(self, z: Tensor) -> Tensor:
        away = torch.as_tensor(self.x - PPCA.mean_) - z @ torch.as_tensor(WEIGHTS).T
        return -0.5 * away.square().sum(-1) / NOISE - D / 2 * math.log(2 * math.pi * NOISE)

    def log_posterior(self, z: Tensor) -> Tensor:
        away = (z - torch.as_tensor(self.mean)) @ torch.as_tensor(np.linalg.inv(SPREAD)).T
        return self.log_prior(away) - float(np.log(np.diag(SPREAD)).sum())

    def draw_posterior(self, draws: int, seed: int, first_draw: int = 0) -> tuple[Tensor, Tensor]:
        z = torch.as_tensor(self.mean) + self.draw_prior(draws, seed, first_draw) @ torch.as_tensor(SPREAD).T
        return z, self.log_posterior(z)

    def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Tensor:
        return keyed_normal((LATENTS,), draws, self.index, seed, first_draw=first_draw).double()

    def rows(self, rows: slice) -> "ByHand":
        return type(self)(self.x[rows], self.index[rows])


class WithOffers(ByHand):
    """What some estimators ask for beside."""

    quantity = "log p(pixels)"

    def simulate(self, generator: torch.Generator) -> tuple["WithOffers", Tensor]:
        z = torch.randn(1, len(self.x), LATENTS, generator=generator, dtype=F64)
        noise = torch.randn(len(self.x), D, generator=generator, dtype=F64)
        x = PPCA.mean_ + z[0].numpy() @ WEIGHTS.T + math.sqrt(NOISE) * noise.numpy()
        return WithOffers(x, self.index), z

    def decoded(self, z: Tensor) -> tuple[Independent, Tensor]:
        mean = z @ torch.as_tensor(WEIGHTS).T + torch.as_tensor(PPCA.mean_)
        return Independent(Normal(mean, math.sqrt(NOISE)), 1), torch.as_tensor(self.x)[None]


def made(kind: type = WithOffers, n: int = N) -> ByHand:
    return kind(table()[:n], torch.arange(n) + 5)


def exact(x: np.ndarray | None = None) -> np.ndarray:
    return PPCA.score_samples(table()[:N] if x is None else x)


def within(found: er.Estimate, truth: np.ndarray, slack: float = 0.0) -> None:
    apart = np.abs(found.values - truth)
    assert np.all(apart < 4.5 * np.sqrt(found.mc_variance) + slack + 1e-9), apart


def rate_of_q() -> np.ndarray:
    mean = made().mean
    trace, log_det = np.trace(COVARIANCE), np.linalg.slogdet(COVARIANCE)[1]
    return 0.5 * (trace + np.square(mean).sum(1) - LATENTS - log_det)


def distortion_of_q() -> np.ndarray:
    """−E_q log p(x | z) per feature."""
    target = made()
    error = np.square(target.x - PPCA.mean_ - target.mean @ WEIGHTS.T)
    spread = np.diag(WEIGHTS @ COVARIANCE @ WEIGHTS.T)
    return 0.5 * ((error + spread) / NOISE + math.log(2 * math.pi * NOISE))


def test_rate_distortion_and_elbo_are_the_closed_forms() -> None:
    found = evidence.rate_distortion(made(ByHand), draws=2000)
    within(found.rate, rate_of_q())
    within(found.distortion, distortion_of_q().sum(1))
    within(found.elbo, -rate_of_q() - distortion_of_q().sum(1))
    assert found.elbo.quantity == "log p(x)"
    assert found.elbo.index.tolist() == list(range(5, 5 + N))
    assert np.all(found.elbo.values < exact())
    within(evidence.elbo(made(ByHand), draws=2000), -rate_of_q() - distortion_of_q().sum(1))
    with pytest.raises(CapabilityError, match="no closed form: use kl='sampled'"):
        evidence.elbo(made(), draws=2, kl="closed")


def test_importance_weighted_bounds_reach_log_p() -> None:
    for found in (evidence.iwae(made(ByHand), draws=2000), evidence.iwae_curve(made(), draws=2000).estimates[-1]):
        within(found, exact())
        assert (found.direction, found.khat.max() < 0.7) == ("lower", True)
    within(evidence.prior_sampling(made(ByHand), draws=20_000), exact(), slack=0.02)


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_annealing_reaches_log_p(start: str) -> None:
    found = evidence.ais(made(ByHand), start=start, **ANNEALING)
    within(found, exact(), slack=0.01)
    assert found.se_mc < 0.1


def test_bounds_from_both_ends_enclose_log_p_of_what_is_simulated() -> None:
    found = evidence.bdmc(made(n=60), **ANNEALING | {"temperatures": 30})
    assert found.gap_limit < 0.1
    assert found.lower.quantity == "log p(pixels)"
    entropy = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * PPCA.get_covariance())[1]
    assert abs(found.lower.mean + entropy) < 4 * found.lower.se_total
    both = evidence.simulated_against_real(made(), **ANNEALING)
    assert both.real.shortfall.mean == pytest.approx(both.simulated.shortfall.mean, abs=0.05)


def test_reciprocal_sampling_reaches_log_p() -> None:
    found = evidence.reciprocal_sampling(made(ByHand), draws=4000, leapfrog=5, warm_up=20)
    within(found, exact(), slack=0.01)
    assert found.unmixed == 0


def test_the_curve_adds_to_log_p_at_beta_one() -> None:
    found = evidence.rate_distortion_curve(made(ByHand), betas=(0.5, 1.0), **ANNEALING)
    within(found.rates[1], -exact() - found.distortions[1].values, slack=0.05)
    squared = evidence.rate_distortion_curve(made(), betas=(0.5 / NOISE,), distortion="squared error", **ANNEALING)
    normaliser = D / 2 * math.log(2 * math.pi * NOISE)
    within(squared.rates[0], -exact() - squared.distortions[0].values * 0.5 / NOISE - normaliser, slack=0.05)


def test_features_have_their_closed_forms() -> None:
    found = evidence.conditional_log_likelihood(made(), draws=2000)
    within(found.per_example, -distortion_of_q().sum(1))
    assert np.all(np.abs(found.per_feature + distortion_of_q()) < 4.5 * np.sqrt(found.mc_variance))


def test_quadrature_is_the_score() -> None:
    found = log_evidence_by_quadrature(made(ByHand), nodes=400)
    np.testing.assert_allclose(found.values, exact(), rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "member"),
    [
        (lambda t: evidence.bdmc(t, **ANNEALING), "simulate"),
        (lambda t: evidence.simulated_against_real(t, **ANNEALING), "simulate"),
        (lambda t: evidence.conditional_log_likelihood(t, draws=2), "decoded"),
        (lambda t: evidence.rate_distortion_curve(t, betas=[1.0], distortion="squared error", **ANNEALING), "decoded"),
    ],
)
def test_a_missing_offer_is_named(call, member: str) -> None:
    with pytest.raises(
        CapabilityError, match=rf"asks a target for {member}\(.* which this ByHand does not have: add it"
    ):
        call(made(ByHand))


def linear_vae() -> er.VAE:
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(D, 2 * LATENTS), nn.Linear(LATENTS, D)
    likelihood = er.likelihoods.Normal(decoder, D, scale=0.5)
    return er.VAE(er.priors.StandardNormal(LATENTS), er.posteriors.DiagonalNormal(encoder, LATENTS), likelihood)


ESTIMATORS = {
    "elbo": lambda m, *x, **s: evidence.elbo(m, *x, draws=3, **s),
    "rate_distortion": lambda m, *x, **s: evidence.rate_distortion(m, *x, draws=3, **s).elbo,
    "iwae": lambda m, *x, **s: evidence.iwae(m, *x, draws=64, **s),
    "iwae_curve": lambda m, *x, **s: evidence.iwae_curve(m, *x, draws=64, **s).estimates[0],
    "prior_sampling": lambda m, *x, **s: evidence.prior_sampling(m, *x, draws=64, **s),
    "ais": lambda m, *x, **s: evidence.ais(m, *x, temperatures=4, chains=2, leapfrog=1, **s),
    "bdmc": lambda m, *x, **s: evidence.bdmc(m, *x, temperatures=4, chains=2, leapfrog=1, **s).lower,
    "simulated_against_real": lambda m, *x, **s: (
        evidence.simulated_against_real(m, *x, temperatures=4, chains=2, leapfrog=1, **s).real.shortfall
    ),
    "reciprocal_sampling": lambda m, *x, **s: evidence.reciprocal_sampling(
        m, *x, draws=16, chains=4, warm_up=2, leapfrog=1, **s
    ),
    "rate_distortion_curve": lambda m, *x, **s: evidence.rate_distortion_curve(
        m, *x, betas=[1.0], temperatures=4, chains=2, leapfrog=1, **s
    ).rates[0],
    "conditional_log_likelihood": lambda m, *x, **s: (
        evidence.conditional_log_likelihood(m, *x, draws=3, **s).per_example
    ),
}


@pytest.mark.parametrize("name", [*ESTIMATORS, "quadrature"])
def test_a_vae_needs_examples_and_a_target_has_its_own(name: str) -> None:
    estimator = ESTIMATORS.get(name, log_evidence_by_quadrature)
    with pytest.raises(InputError, match="no examples to measure; give them beside the VAE"):
        estimator(linear_vae())
    with pytest.raises(InputError, match="A Target has its examples already"):
        estimator(made(), table()[:3])


class Read:
    """Rows of a matrix that count how many are read at a time."""

    def __init__(self, n: int) -> None:
        self.index, self.most = torch.arange(n), 0

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, positions: slice) -> er.Batch:
        index = self.index[positions]
        self.most = max(self.most, len(index))
        x = torch.randn(len(self), D, generator=torch.Generator().manual_seed(0))
        return er.Batch(x[positions], index)


class Counted(WithOffers):
    """A target that counts in how many groups it was asked for."""

    most = 0

    def rows(self, rows: slice) -> "Counted":
        found = super().rows(rows)
        Counted.most = max(Counted.most, len(found.x))
        return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_more_than_a_group_is_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the memory, the numbers are those of all at once; with little, few rows are read at a time."""
    monkeypatch.setattr(simulated_examples, "_AT_ONCE", 3)
    monkeypatch.setattr(outside, "_MOST_ROWS_AT_ONCE", 3)
    few, vae = Read(6), linear_vae()
    for little in 2_000 * 2 ** np.arange(12):  # the least that holds an example
        with contextlib.suppress(InputError):
            found = ESTIMATORS[name](vae, few, memory=int(little))
            break
    whole = ESTIMATORS[name](vae, Read(6))
    assert few.most <= 3
    np.testing.assert_allclose(found.values, whole.values, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(Counted, "most", 0)
    ESTIMATORS[name](made(Counted, 6), memory=2 * int(little))
    assert Counted.most <= 4  # of 6; an example that looks bad gets more chains, which the least memory has room for


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_vaes_own_target_is_measured_as_the_vae(name: str) -> None:
    vae, x = linear_vae(), Read(6).rows(slice(None))
    target = vae.target(x)
    for _ in range(2):  # what the first pass left behind must not spoil the gradients of the next
        values = ESTIMATORS[name](target).values
    if name != "prior_sampling":  # a stream of its own
        settings = {"kl": "sampled"} if name in ("elbo", "rate_distortion") else {}
        np.testing.assert_allclose(values, ESTIMATORS[name](vae, x, **settings).values, rtol=1e-5)


def test_what_is_neither_is_told_what_it_lacks() -> None:
    class Less:
        index, dim = torch.arange(2), 2

    with pytest.raises(InputError, match=r"this Less has no log_prior: see evidence\.Target"):
        target_module.subject_of(Less())
    with pytest.raises(InputError, match=r"VAE with examples or a Target, and this Linear has no index"):
        target_module.subject_of(nn.Linear(2, 2), table())
    listed = made(ByHand)
    listed.index = [1, 2]
    with pytest.raises(InputError, match="index is one whole number per example"):
        target_module.subject_of(listed)
    with pytest.raises(InputError, match="no examples; give at least one"):
        target_module.subject_of(made(n=0))


@pytest.mark.parametrize(
    ("member", "wrong"),
    [
        ("log_likelihood", lambda found: found[..., 0]),
        ("log_likelihood", lambda found: found.unsqueeze(-1)),
        ("log_prior", lambda found: found.T),
        ("log_posterior", lambda found: found.sum()),
        ("draw_prior", lambda found: found.transpose(0, 1)),
    ],
)
def test_shapes_that_would_broadcast_are_refused(member: str, wrong) -> None:
    target = made(ByHand)
    kind = type("Wrong", (ByHand,), {member: lambda self, *given: wrong(getattr(ByHand, member)(self, *given))})
    with pytest.raises(InputError, match=r"A target.s .* of 3 draws at one example has shape"):
        target_module.subject_of(kind(target.x, target.index))


def test_draws_that_are_not_keyed_are_refused() -> None:
    """Passes continue a run of draws: one that began again would count the same draws twice, unnoticed."""

    class Again(ByHand):
        def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Tensor:
            return super().draw_prior(draws, seed)

    class Unkeyed(ByHand):
        def draw_posterior(self, draws: int, seed: int, first_draw: int = 0) -> tuple[Tensor, Tensor]:
            z = torch.randn(draws, len(self.x), LATENTS, dtype=F64)
            return z, self.log_posterior(z)

    for kind, member in ((Again, "draw_posterior"), (Unkeyed, "draw_posterior")):
        with pytest.raises(InputError, match=rf"{member} gives another third draw .*keyed_normal"):
            target_module.subject_of(made(kind))


@pytest.mark.parametrize("fault", ["sums over the batch", "always the first", "another log q"])
def test_targets_that_are_right_at_one_example_alone_are_refused(fault: str) -> None:
    class Wrong(ByHand):
        def log_likelihood(self, z: Tensor) -> Tensor:
            found = super().log_likelihood(z)
            return found.sum(1, keepdim=True).expand_as(found) if fault == "sums over the batch" else found

        def rows(self, rows: slice) -> "Wrong":
            index = self.index[rows]
            return Wrong(self.x[: len(index)] if fault == "always the first" else self.x[rows], index)

        def draw_posterior(self, draws: int, seed: int, first_draw: int = 0) -> tuple[Tensor, Tensor]:
            z, log_q = super().draw_posterior(draws, seed, first_draw)
            return z, log_q - 3 if fault == "another log q" else log_q

    words = "log_posterior does: one is wrong" if fault == "another log q" else "of its second example changes"
    with pytest.raises(InputError, match=words):
        evidence.iwae(Wrong(table()[:N], torch.arange(N)), draws=5)
