"""Claims are read as they are printed, and hold or not by what the model has in closed form."""

import math

import pytest
import torch
from museum import models

import elbowroom as er
from elbowroom.claims.claim_text import claim_of

BITS = math.log(2)
READ = {
    "ELBO −98.2": ("ELBO", None, -98.2, 0.05),
    "-ELBO: 98.2": ("ELBO", None, -98.2, 0.05),
    "loss = 105.3": ("ELBO", None, -105.3, 0.05),
    "IWAE-5000: -86.41 ± 0.1": ("IWAE", 5000, -86.41, 0.005),
    "IWAE (k=50) −88": ("IWAE", 50, -88.0, 0.5),
    "log p(x) ≥ -1,234.5 nats": ("log-likelihood", None, -1234.5, 0.05),
    "NLL 92.1": ("log-likelihood", None, -92.1, 0.05),
    "3.20 bits/dim": ("log-likelihood", None, -3.2 * 10 * BITS, 0.005 * 10 * BITS),
    "ELBO 2.5 bpd": ("ELBO", None, -2.5 * 10 * BITS, 0.05 * 10 * BITS),
    "ELBO -120 bits": ("ELBO", None, -120 * BITS, 0.5 * BITS),
    "negative log-likelihood 1.2e3": ("log-likelihood", None, -1200.0, 50.0),
}


@pytest.mark.parametrize("text", READ)
def test_a_claim_is_read_as_it_is_printed(text: str) -> None:
    found = claim_of(text, 10)
    quantity, draws, value, step = READ[text]
    assert (found.quantity, found.draws) == (quantity, draws)
    assert (found.value, found.step) == (pytest.approx(value), pytest.approx(step))
    assert found.error == pytest.approx(0.1 if "±" in text else 0.0)
    assert found.as_said(found.value, 10) == pytest.approx(found.said)


@pytest.mark.parametrize(
    ("text", "words"), [("ELBO", "holds no number"), ("98.2", "names no quantity"), ("IWAE -88.1", "says no K")]
)
def test_a_claim_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(er.InputError, match=words):
        claim_of(text, 10)


def test_numbers_of_one_model_hold_in_every_unit_and_the_exact_one_is_the_measured_one() -> None:
    vae, x = models.exact(), models.data().test
    log_p = models.log_p(x.x).mean().item()
    for text in (
        f"log p(x) {log_p:.3f}",
        f"NLL {-log_p:.2f}",
        f"{-log_p / models.ELEMENTS / BITS:.4f} bits/dim",
        f"ELBO {log_p:.1f}",
        f"IWAE-16 {log_p:.3f}",
    ):
        found = er.check_claim(vae, x, text, draws=20)
        assert found.outcome == "holds", str(found)
        assert found.measured is not None
        assert found.measured.mean == pytest.approx(log_p, abs=0.05)


def test_a_number_between_the_bound_and_log_p_is_possible_and_one_above_is_not() -> None:
    vae, x = models.vae_of(models.encoder(widen=4.0)), models.data().test
    bound = er.evidence.elbo(vae, x, draws=64).mean
    log_p = models.log_p(x.x).mean().item()
    between = er.check_claim(vae, x, f"ELBO {0.35 * bound + 0.65 * log_p:.4f}")
    above = er.check_claim(models.exact(), x, f"ELBO {log_p + 1.0:.4f}")
    assert between.outcome == "possible"
    assert between.sound
    assert above.outcome == "too high"
    assert above.upper is not None
    assert above.upper.value == pytest.approx(log_p, abs=4 * (above.upper.se or 0.0))


def test_what_was_said_with_an_error_holds_within_it() -> None:
    vae, x = models.exact(), models.data().test
    log_p = models.log_p(x.x).mean().item()
    assert er.check_claim(vae, x, f"log p(x) {log_p - 0.8:.2f} ± 0.4").outcome == "holds"
    assert er.check_claim(vae, x, f"log p(x) {log_p - 0.83:.2f}").outcome != "holds"


def test_some_of_the_examples_allow_for_the_others() -> None:
    vae, data = models.exact(), models.data()
    log_p = models.log_p(data.test.x).mean().item()
    found = er.check_claim(vae, data, f"log p(x) {log_p:.3f}", n=60)
    assert found.measured is not None
    assert (found.outcome, len(found.measured)) == ("holds", 60)


def test_a_number_far_below_is_of_another_model() -> None:
    found = er.check_claim(models.exact(), models.data().test, "log p(x) -812.77")
    assert found.outcome == "unexplained"
    assert "another model" in found.verdict
    assert not found.sound


def test_an_evaluation_that_fails_is_refused_and_one_that_reads_nothing_is_named() -> None:
    vae, x = models.exact(), models.data().test
    with pytest.raises(er.InputError, match="failed \\(KeyError"):
        er.check_claim(vae, x, "ELBO -8", evaluate=lambda model, x: {}["elbo"])
    found = er.check_claim(vae, x, "ELBO -8", evaluate=lambda model, x: -8.0)
    assert "x unused" in found.names
    twice = er.check_claim(vae, x, "ELBO -8", evaluate=lambda model, x: models.log_p(x).sum())
    assert "sum for a mean" in twice.names


def test_what_is_no_vae_is_refused() -> None:
    with pytest.raises((er.InputError, TypeError)):
        er.check_claim(torch.nn.Linear(2, 2), torch.zeros(3, 2), "ELBO -8")  # type: ignore[arg-type]
    with pytest.raises(er.InputError, match="n and draws"):
        er.check_claim(models.exact(), models.data().test, "ELBO -8", n=1)
