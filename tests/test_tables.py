"""Discrete VAEs, where the theory of non-identifiability can be read off sums."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import entropy

import elbowroom as er
from elbowroom.exact import Table, train_tables

N, M = 6, 8
generator = torch.Generator().manual_seed(0)
POP = torch.rand(N, generator=generator, dtype=torch.float64).softmax(0)
SHARPNESS = torch.logspace(-1.5, 1.7, 20, dtype=torch.float64)
LOGITS = torch.randn(20, N, M, generator=generator, dtype=torch.float64) + 3 * torch.eye(N, M, dtype=torch.float64)
POSTERIORS = (SHARPNESS[:, None, None] * LOGITS).softmax(-1)


def random_table(lead: tuple[int, ...] = ()) -> Table:
    def rows(*shape: int) -> torch.Tensor:
        return (2 * torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)).softmax(-1)

    return Table(POP, rows(N, M), rows(M), rows(M, N))


def test_every_quantity_is_that_of_the_joint_written_out() -> None:
    table = random_table()
    pop, q, p, px = (np.asarray(part) for part in (table.pop, table.posterior, table.prior, table.conditional))
    rate = sum(pop[x] * entropy(q[x], p) for x in range(N))
    distortion = -sum(pop[x] * q[x, z] * np.log(px[z, x]) for x in range(N) for z in range(M))
    evidence = np.log([sum(p[z] * px[z, x] for z in range(M)) for x in range(N)])
    exact = [entropy(q[x], p * px[:, x] / np.exp(evidence[x])) for x in range(N)]
    assert float(table.rate) == pytest.approx(rate, abs=1e-12)
    assert float(table.distortion) == pytest.approx(distortion, abs=1e-12)
    assert float(table.objective(0.3)) == pytest.approx(distortion + 0.3 * rate, abs=1e-12)
    assert float(table.information) == pytest.approx(
        entropy(pop) + entropy(pop @ q) - entropy((pop[:, None] * q).ravel())
    )
    assert float(table.entropy) == pytest.approx(entropy(pop))
    np.testing.assert_allclose(table.log_evidence, evidence, atol=1e-12)
    np.testing.assert_allclose(table.gap, exact, atol=1e-12)
    np.testing.assert_allclose(table.elbo, evidence - exact, atol=1e-12)
    assert float(POP @ table.elbo) == pytest.approx(-float(table.objective()), abs=1e-12)


def test_any_posterior_models_x_perfectly() -> None:
    """With p* and p*(x | z), −ELBO = H for each of 20 q, and p(x) = pop, whatever I(x; z)."""
    table = Table.optimal(POP, POSTERIORS)
    torch.testing.assert_close(table.objective(), table.entropy.expand(20), rtol=0, atol=1e-9)
    torch.testing.assert_close(table.log_evidence.exp(), POP.expand(20, N), rtol=0, atol=1e-12)
    torch.testing.assert_close(table.gap, torch.zeros(20, N, dtype=torch.float64), rtol=0, atol=1e-12)
    assert table.information.min() < 0.01 * table.entropy
    assert table.information.max() > 0.99 * table.entropy


def test_ends_of_the_line_collapsed_and_copied() -> None:
    """One determined z, and z = x, are both optimal; a z that is never used does no harm."""
    collapsed, copied = torch.zeros(2, N, M, dtype=torch.float64).unbind()
    collapsed[:, 0] = 1.0
    copied[:, :N] = torch.eye(N)
    table = Table.optimal(POP, torch.stack([collapsed, copied]))
    torch.testing.assert_close(table.objective(), table.entropy.expand(2))
    torch.testing.assert_close(table.information, torch.stack([0 * table.entropy, table.entropy]))
    torch.testing.assert_close(table.rate, table.information)


def test_objective_decomposes_and_the_rate_exceeds_the_information_by_the_prior_gap() -> None:
    """R − I = KL(q(z) ‖ p(z)), so the β-VAE's rate is I at the optimal prior alone."""
    table = random_table((5,))
    divergence = [entropy(q, p) for q, p in zip(table.aggregate.numpy(), table.prior.numpy(), strict=True)]
    np.testing.assert_allclose(table.rate - table.information, divergence, atol=1e-12)
    torch.testing.assert_close(table.prior_gap, table.rate - table.information)
    for beta in (0.0, 0.5, 1.0, 4.0):
        parts = table.entropy + (beta - 1) * table.information + beta * table.prior_gap + table.conditional_gap
        torch.testing.assert_close(table.objective(beta), parts, rtol=0, atol=1e-12)
    refit = Table(POP, table.posterior, table.aggregate, table.conditional)
    torch.testing.assert_close(table.objective() - refit.objective(), table.prior_gap)


def test_gradient_descent_finds_the_closed_form() -> None:
    """From uniform prior and decoder, at a fixed q."""
    q = POSTERIORS[1:9:2]
    flat = torch.ones(4, M, N, dtype=torch.float64) / N
    start = Table(POP, q, flat.sum(-1) / M, flat)
    trained, best = train_tables(start, fixed_posterior=True, lr=0.1, steps=1000), Table.optimal(POP, q)
    torch.testing.assert_close(trained.posterior, q)
    torch.testing.assert_close(trained.prior, best.prior, rtol=0, atol=1e-6)
    torch.testing.assert_close(trained.conditional, best.conditional, rtol=0, atol=1e-3)
    torch.testing.assert_close(trained.objective(), best.objective(), rtol=0, atol=1e-5)


def test_the_gradient_by_q_vanishes_at_beta_one_alone() -> None:
    logits = POSTERIORS[10].log().requires_grad_()
    best = Table.optimal(POP, logits.detach().softmax(-1))

    def gradient(beta: float) -> torch.Tensor:
        table = Table(POP, logits.softmax(-1), best.prior, best.conditional)
        return torch.autograd.grad(table.objective(beta), logits)[0]

    assert gradient(1.0).abs().max() < 1e-15
    information = Table.optimal(POP, logits.softmax(-1)).information
    expected = torch.autograd.grad(information, logits)[0]
    for beta in (0.99, 1.01):
        torch.testing.assert_close(gradient(beta), (beta - 1) * expected)


def test_a_weight_beside_one_takes_the_information_to_an_end() -> None:
    """Trained by gradient on all three tables, the objective is H + (β − 1) I."""
    start = Table.optimal(POP, POSTERIORS[[4, 8, 10, 12]])
    three = Table(POP, *(part.expand(3, *part.shape) for part in (start.posterior, start.prior, start.conditional)))
    beta = torch.tensor([0.99, 1.0, 1.01], dtype=torch.float64)[:, None]
    trained = train_tables(three, beta, steps=1500)
    most, same, none = trained.information
    torch.testing.assert_close(
        trained.objective(beta), trained.entropy + (beta - 1) * trained.information, rtol=0, atol=1e-5
    )
    assert (most > trained.entropy - 0.02).all()
    torch.testing.assert_close(same, start.information, rtol=0, atol=0.005)
    assert (none < 0.005).all()


def test_shared_tables_fit_only_some_posteriors() -> None:
    """A decoder of rank r loses I at r = 0, nothing at r = n − 1, and less with every rank between."""
    start = Table.optimal(POP, POSTERIORS[[4, 8, 10, 12]])
    gaps = []
    for rank in range(N):
        shared = train_tables(start, rank=rank, fixed_posterior=True, steps=400)
        torch.testing.assert_close(shared.objective() - shared.entropy, shared.conditional_gap, rtol=0, atol=1e-6)
        centred = shared.conditional.log() - shared.conditional.log().mean(-1, keepdim=True)
        assert (torch.linalg.matrix_rank(centred, rtol=1e-9) <= rank + 1).all()
        gaps.append(shared.conditional_gap)
    torch.testing.assert_close(gaps[0], start.information, rtol=0, atol=1e-9)
    torch.testing.assert_close(gaps[-1], torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-4)
    assert all((later < earlier).all() for earlier, later in pairwise(gaps))


def test_shared_tables_choose_a_posterior_they_can_fit() -> None:
    """With q free as well, H is reached again, at another q than the one training began with."""
    start = Table.optimal(POP, POSTERIORS[[10, 12]])
    trained = train_tables(start, rank=1, steps=1500)
    torch.testing.assert_close(trained.objective(), trained.entropy.expand(2), rtol=0, atol=1e-3)
    assert (trained.information < start.information - 0.05).all()


def test_what_is_no_table_is_refused() -> None:
    good = Table.optimal(POP, POSTERIORS[0])
    with pytest.raises(er.InputError, match=r"the prior \[8\]"):
        Table(POP, good.posterior, good.prior[:3], good.conditional)
    with pytest.raises(er.InputError, match="row of the conditional"):
        Table(POP, good.posterior, good.prior, 2 * good.conditional)
    with pytest.raises(er.InputError, match="row of the pop"):
        Table(
            torch.tensor([2.0, -1.0, 0, 0, 0, 0], dtype=torch.float64), *(good.posterior, good.prior), good.conditional
        )
