"""The choice among the models of a sweep: by which error two are told apart, which is smaller, what was asked for."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import elbowroom as er
from elbowroom.claims import _check_claim
from elbowroom.models import build
from elbowroom.records import ModelRecord, Number, Summary, SweepRecord
from elbowroom.runs import History
from elbowroom.studies import pictures
from elbowroom.studies.calibrated import calibration_of
from elbowroom.studies.choose import choose as choose_in_study
from elbowroom.studies.train import _stands
from elbowroom.sweeps import Swept, choose
from elbowroom.sweeps.standings import Entry, smallest, standings

DATA = er.load_data(np.random.default_rng(0).normal(size=(80, 3)), name="made")
VAES = {latents: build({"latents": latents, "widths": [4]}, DATA) for latents in (1, 2, 3)}
NOISE = np.random.default_rng(1).normal(size=400)


def bound(values, quantity: str = "log p(x)") -> er.Estimate:
    return er.Estimate.of(values, quantity=quantity, estimator="IWAE-4", direction="lower")


def member(latents: int, values, seed: int | None = None, rate: float = 1.0, quantity: str = "log p(x)") -> Swept:
    settings = {"latents": latents} if seed is None else {"latents": latents, "seed": seed}
    name, iwae = er.models.label(settings), bound(values, quantity)
    about = bound(np.full(2, rate)), bound(np.full(2, 10.0 - rate)), iwae, iwae
    return Swept(name, name, settings, VAES[latents], History([]), *about, latents, None)


def test_examples_are_paired_and_the_smallest_within_an_error_is_chosen() -> None:
    """The examples vary by 10 nats each; the differences by 0.1, so that 0.02 nats are told apart and 0.002 are not."""
    hard, small = 10 * NOISE, 0.1 * np.random.default_rng(2).normal(size=400)
    small -= small.mean()
    near = choose([member(1, hard - 0.002 + small), member(2, hard), member(3, hard - 0.001)])
    assert near.model.settings == {"latents": 1}
    assert "d = 1 is the smallest within one standard error of the best, d = 2" in near.reason
    far = choose([member(1, hard - 0.02 + small), member(2, hard), member(3, hard)])
    assert far.model.settings == {"latents": 2}
    assert [round(one.behind, 3) for one in far.standings] == [0.02, 0.0, 0.0]
    assert far.standings[0].se_behind == pytest.approx(small.std(ddof=1) / 20)
    assert "d = 2 has the best score" in str(far)


def test_seeds_are_an_error_of_their_own() -> None:
    """0.2 nats over all examples alike are sure with one seed, and chance where seeds differ by as much."""
    one = [member(1, NOISE - 0.2), member(2, NOISE)]
    assert choose(one).model.settings["latents"] == 2
    shifts = (0.0, 0.9, -0.5)
    small = [member(1, NOISE - 0.2 + shift, seed) for seed, shift in enumerate(shifts)]
    large = [member(2, NOISE - shift, seed) for seed, shift in enumerate(shifts)]
    found = choose([*large, *small])
    assert found.model.settings == {"latents": 1, "seed": 1}  # the best of its seeds
    differences = [0.2 - 2 * shift for shift in shifts]
    standing = found.standings[1]
    if standing.behind < 0 or found.standings[0].behind > 0:
        standing = found.standings[0]
    assert standing.se_behind == pytest.approx(np.std(differences, ddof=1) / math.sqrt(3))
    assert "over 3 seeds" in found.reason


def test_of_one_size_the_best_is_chosen_and_of_equals_the_first() -> None:
    rows = [
        replace(member(1, [bound, bound]), name=name, label=name, settings={"beta": beta})
        for name, beta, bound in (("a", 1, math.nan), ("b", 2, -3.0), ("c", 3, -3.0), ("d", 4, -9.0))
    ]
    lost, first, second, low = rows
    assert choose([lost, low, first, second]).model is first
    assert choose([second, first]).model is second
    assert "1 model without a finite bound is left out" in choose([lost, low]).reason
    with pytest.raises(er.InputError, match="No model of the sweep has a finite bound"):
        choose([lost])
    with pytest.raises(er.InputError, match="bound different things, a score and log p"):
        choose([first, member(2, [-1.0, -1.0], quantity="a score")])


def test_a_setting_that_lost_a_seed_is_not_flattered_by_those_it_kept() -> None:
    """Seed 0 is hard for both: d = 1 diverged on it, d = 2 is the better one on the seed that both have."""
    lost, easy = member(1, np.full(400, math.nan), 0), member(1, NOISE + 4.0, 1)
    hard, best = member(2, NOISE, 0), member(2, NOISE + 5.0, 1)
    for choice in (choose([lost, easy, hard, best]), choose(iter([lost, easy, hard, best]))):
        assert (choice.model, len(choice.standings), choice.standings[0].best_entry) == (best, 1, 3)
        assert choice.reason.endswith(
            "1 model without a finite bound is left out. 1 model of that setting with other seeds is left out."
        )
    far = choose([replace(lost, iwae=easy.iwae, rate=bound(np.full(2, 9.0))), easy, hard, best], goal="rate", target=2)
    assert far.model.settings["latents"] == 2
    assert "1 model beyond the target is left out. 1 model of that setting" in far.reason
    every = choose([lost, easy, replace(hard, iwae=lost.iwae), best])
    assert every.model is best
    assert "No setting kept all of its seeds" in every.reason


def test_a_limit_that_is_no_number_is_said_to_be_none() -> None:
    with pytest.raises(er.InputError, match="No model of the sweep has a finite rate on validation"):
        choose([member(1, NOISE, rate=math.nan)], goal="rate", target=2.0)


def test_a_target_limits_the_one_and_chooses_by_the_other() -> None:
    swept = [member(latents, NOISE, rate=rate) for latents, rate in ((1, 2.0), (2, 5.0), (3, 8.0))]
    assert choose(swept, goal="rate", target=6.0).model.settings == {"latents": 2}  # distortion 5 where the rate is 5
    assert choose(swept, goal="distortion", target=5.0).model.settings == {
        "latents": 2
    }  # rate 5, where 8 is as allowed
    with pytest.raises(er.InputError, match=r"rate of 1 nats or less; the least is 2.* of d = 1"):
        choose(swept, goal="rate", target=1.0)
    for asked in ({"goal": "rate"}, {"goal": "density", "target": 3.0}):
        with pytest.raises(er.InputError, match="need target=, in nats"):
            choose(swept, **asked)
    with pytest.raises(er.InputError, match="give those of the sweep by data="):
        choose(swept, goal="samples")


def test_a_model_of_a_wrong_noise_scale_is_judged_calibrated() -> None:
    """σ = 1 on digits in [0, 1]: as it is it loses to a worse model whose scale is right."""
    data = er.load_data("digits")
    words = {"latents": 4, "widths": [32], "epochs": 8}
    scales = [{"kind": "normal", "scale": scale} for scale in (1.0, "shared")]
    swept = er.sweep(words, data, {"likelihood": scales}, draws=4, progress=False)
    plain, calibrated = choose(swept), choose(swept, data=data)
    assert plain.model is swept[1]
    by_label = {one.label: one for one in calibrated.standings}
    assert len(by_label) == 2
    found = er.remedies.calibrate(swept[0].vae, data, draws=4).iwae_after
    assert found.mean == pytest.approx(calibrated.standings[0].value)
    assert found.mean > swept[0].iwae.mean + 20


def test_what_it_is_wanted_for_decides() -> None:
    """β = 300 has no use of z: it tells no label; by representation it is not chosen, whatever its size."""
    data = er.load_data("digits")
    words = {"latents": 4, "widths": [32], "epochs": 12, "lr": 1e-2}
    swept = er.sweep(words, data, {"beta": [0.1, 300.0]}, draws=4, progress=False)
    probe = choose(swept, goal="representation", data=data)
    assert probe.model is swept[0]
    collapsed = probe.standings[1]
    assert collapsed.value < -2.0 < -1.5 < probe.standings[0].value <= 0  # −log 10 says nothing
    codes = [swept[0].vae.encode(part)["z"].double().numpy() for part in (data.train, data.validation)]
    told = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000)).fit(codes[0], data.train.labels)
    assert probe.standings[0].value == pytest.approx(-log_loss(data.validation.labels, told.predict_proba(codes[1])))
    bits = choose(swept, goal="compression")
    assert bits.standings[0].value == pytest.approx(swept[0].elbo.mean / math.log(2))
    samples = choose(swept, goal="samples", data=data)
    told = er.metrics.classifier_two_sample(
        data.validation.batch().x, swept[0].vae.sample(len(data.validation)), seed=0
    )
    assert samples.standings[0].value == pytest.approx(-told.log_odds)


def test_a_study_chooses_as_the_sweep_does() -> None:
    """The record holds no values by example, but how far behind each setting is, over seeds, and the error of that."""
    hard, small = 10 * NOISE, 0.1 * np.random.default_rng(2).normal(size=400)
    plain = [member(1, hard - 0.002 + small - small.mean()), member(2, hard), member(3, hard - 5.0)]
    seeds = [
        member(d, NOISE + at, seed) for d, shifts in ((1, (-3, 4)), (2, (1, 1.2))) for seed, at in enumerate(shifts)
    ]
    alike = [replace(one, vae=VAES[1]) for one in seeds]  # of one size: the better mean, not the better seed
    for swept in (plain, seeds, alike, [*seeds[:3], replace(seeds[3], iwae=bound([math.nan, 1.0]))]):
        stands = _stands(swept)
        records = tuple(_record(one, stands.get(one.name, {})) for one in swept)
        found, expected = choose_in_study(SweepRecord(records)), choose(swept)
        assert (found.name, found.reason) == (expected.model.name, expected.reason)
    older = choose_in_study(SweepRecord(tuple(_record(one, {}) for one in plain)))
    assert older.label == "d = 2"  # of a record that does not say, the best


def _record(one: Swept, stands: dict[str, Number]) -> ModelRecord:
    sizes = sum(p.numel() for p in one.vae.parameters()), one.vae.latents, one.active
    bounds = (Summary.of(each) for each in (one.rate, one.distortion, one.elbo, one.iwae))
    settings = dict(one.settings)
    return ModelRecord(one.name, one.label, settings, {}, 1, 1, 0.0, *sizes, *bounds, None, None, **stands)


def test_one_standing_alone_is_its_own_best() -> None:
    (only,) = standings([Entry("a", "a", (1, 10), -3.0, 0.5)])
    assert smallest([only]) is only
    assert (only.behind, only.within) == (0.0, True)


def test_what_was_measured_otherwise_is_not_compared() -> None:
    """Of other data, another split, another scale or other draws: their bounds differ by that alone."""
    x = np.random.default_rng(3).poisson(5.0, (80, 3)).astype(float)
    words = {"latents": 1, "widths": [4], "epochs": 1}
    data = er.load_data(x, support="counts")
    mine = er.sweep(words, data, {}, draws=2, progress=False)
    for other in (
        er.load_data(10 * x, support="counts"),
        er.load_data(x, support="counts", seed=1),
        er.load_data(x, support="real"),
    ):
        theirs = er.sweep(words, other, {"lr": [1e-4]}, draws=2, progress=False)
        with pytest.raises(er.InputError, match="other data, or on another split or scale"):
            choose([*mine, *theirs])
        if other.support.kind == data.support.kind:
            with pytest.raises(er.InputError, match="data= is not what the models were measured on"):
                choose(mine, data=other)
    more = er.sweep(words, data, {"lr": [1e-4]}, draws=3, progress=False)
    with pytest.raises(er.InputError, match=r"by IWAE-2 and lr = 0\.0001 by IWAE-3"):
        choose([*mine, *more])
    assert choose([*mine, *more], goal="compression").standings[1].seeds == 1


def test_models_of_the_same_settings_are_no_seeds_of_each_other() -> None:
    """As where two models are read along β: averaged they would be a model that nobody has."""
    one, two = (replace(member(latents, NOISE), settings={"beta": 0.5}, label="β = 0.5") for latents in (1, 2))
    for pair in ([one, two], [one, one], [member(1, NOISE, 0), replace(member(2, NOISE, 1), settings={"latents": 1})]):
        with pytest.raises(er.InputError, match="do not differ in their seed alone"):
            choose(pair)


def test_sweeps_of_other_words_are_no_seeds_of_each_other() -> None:
    """Their axes say the same, a seed, and the weight of the rate that each has fixed differs."""
    data = er.load_data("digits", progress=False)
    words = {"latents": 2, "widths": [8], "epochs": 1}
    seeds = {0.1: 0, 1.0: 1}
    apart = [
        er.sweep(words | {"beta": beta}, data, {"seed": [seed]}, draws=2, progress=False)
        for beta, seed in seeds.items()
    ]
    with pytest.raises(er.InputError, match="do not differ in their seed alone"):
        choose([*apart[0], *apart[1]])
    more = er.sweep(words | {"beta": 0.1}, data, {"seed": [2]}, draws=2, progress=False)
    assert choose([*apart[0], *more]).standings[0].seeds == 2
    assert more[0].recipe is not None
    assert (more[0].recipe.seed, more[0].recipe.latents) == (2, 2)


def test_a_score_that_is_no_number_is_never_chosen_and_places_are_of_the_models_that_were_given() -> None:
    lost, good, best = member(1, [math.nan, 1.0]), member(2, NOISE - 9.0), member(3, NOISE)
    broken = replace(good, elbo=bound(np.full(400, math.nan)), distortion=bound(np.full(2, math.nan)))
    for asked in ({"goal": "compression"}, {"goal": "rate", "target": 9.0}):
        found = choose([lost, broken, best], **asked)
        assert (found.model, found.standings[0].best_entry) == (best, 2)
        assert "d = 3 is the only setting left" in found.reason
        assert "2 models without a finite bound are left out." in found.reason
    with pytest.raises(er.InputError, match="finite score for goal='compression'"):
        choose([broken], goal="compression")
    few = choose([replace(good, rate=bound(np.full(2, 3.0))), best], goal="rate", target=2.0)
    assert few.reason.startswith("d = 3 is the only setting left")
    assert few.reason.endswith("1 model beyond the target is left out.")


def test_a_model_that_is_chosen_calibrated_is_measured_calibrated_and_the_reason_says_so() -> None:
    data = er.load_data("digits")
    words = {"latents": 2, "widths": [8], "epochs": 1, "likelihood": {"kind": "normal", "scale": 1.0}}
    found = choose(er.sweep(words, data, {}, draws=3, seed=4, progress=False), data=data)
    model = found.model
    assert model.rate.mean + model.distortion.mean == pytest.approx(-model.elbo.mean)
    assert "1 model judged calibrated; chosen is the only one, noise scale" in found.reason


def test_codes_that_are_told_the_labels_are_no_representation_of_them() -> None:
    data = er.load_data("digits", context=["label"])
    swept = er.sweep({"latents": 2, "widths": [8], "epochs": 1}, data, {}, draws=2, progress=False)
    with pytest.raises(er.InputError, match=r"q\(z \| x, label\) is given them"):
        choose(swept, goal="representation", data=data)


def test_one_seed_is_not_surer_than_several() -> None:
    """Beside three seeds one alone: its mean varies as one seed of the others does."""
    shifts = (0.0, 0.9, -0.5)
    large = [member(2, NOISE + shift, seed) for seed, shift in enumerate(shifts)]
    small = [member(1, NOISE + 0.8, 0)]
    deviation = np.std(shifts, ddof=1)
    found = choose([*large, *small])
    assert found.standings[0].se_behind == pytest.approx(deviation * math.sqrt(1 + 1 / 3))
    assert found.standings[1].se == pytest.approx(math.hypot(deviation, NOISE.std(ddof=1) / 20))
    turned = choose([*reversed(large), member(1, NOISE - 0.2, 0), member(1, NOISE + 0.7, 1), member(1, NOISE - 0.7, 2)])
    assert turned.standings[1].behind == pytest.approx(0.2)
    assert turned.standings[1].se_behind == pytest.approx(0, abs=1e-12)  # paired by seed, in whatever order they come


def test_what_is_measured_on_some_of_validation_is_not_of_its_first_class(monkeypatch) -> None:
    """As an official part of a folder of images is, which is sorted by its classes."""
    monkeypatch.setattr("elbowroom.studies.calibrated._MEASURED", 100)
    monkeypatch.setattr("elbowroom.sweeps.goals._MOST_SAMPLES", 100)
    x = np.random.default_rng(0).normal(size=(900, 1)) * 0.1
    data = er.load_data(x, name="made", validation=400)
    order = torch.from_numpy(np.argsort(data.validation.x[:, 0].numpy()))
    ordered = replace(data, validation=data.validation[order])
    vae = build({"latents": 1, "widths": [4], "likelihood": {"kind": "normal", "scale": 3.0}}, data)
    gain, whole = calibration_of(vae, ordered, 0).gain, er.remedies.calibrate(vae, ordered, draws=8).gain
    assert gain.value == pytest.approx(whole.mean, abs=3 * gain.se)
    told = [
        choose(er.sweep(vae, part, {}, epochs=1, draws=2, progress=False, lr=1e-9), goal="samples", data=part)
        for part in (ordered, data)
    ]
    assert told[0].standings[0].value == pytest.approx(told[1].standings[0].value, abs=0.2)
    some = ordered.validation.some(30)
    assert len(set(some.index.tolist())) == 30
    assert data.validation.some(400) is data.validation


def test_samples_are_compared_row_by_row_under_its_context_and_only_with_whole_rows() -> None:
    """Two classes far apart: under the labels of their rows the samples of a model that reads them can stand beside."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    x = rng.normal(size=(600, 2)) + 4 * labels[:, None]
    words = {"latents": 1, "widths": [8], "epochs": 2}
    data = er.load_data(x, labels=labels, context=["label"], validation=200)
    (one,) = er.sweep(words, data, {}, draws=2, progress=False)
    rows = data.validation.batch()
    drawn = one.vae.sample(200, seed=3, context={"label": rows.context["label"]})
    told = er.metrics.classifier_two_sample(rows.x, drawn, seed=3)
    assert choose([one], goal="samples", data=data, seed=3).standings[0].value == pytest.approx(-told.log_odds)
    x[::7, 0] = math.nan
    gaps = er.load_data(x, validation=200)
    (one,) = er.sweep(words, gaps, {}, draws=2, progress=False)
    with pytest.raises(er.InputError, match="compares whole rows, and cells are missing"):
        choose([one], goal="samples", data=gaps)


def test_information_is_paired_by_example_and_sure_where_the_examples_can_show_no_more() -> None:
    data = er.load_data(np.random.default_rng(0).normal(size=(80, 3)), name="made")
    rates = np.abs(NOISE)
    sizes = [replace(member(d, NOISE), rate=bound(rates * f), active=d) for d, f in ((1, 1.0), (2, 1.99))]
    found = choose(sizes, goal="representation", data=data)
    apart = rates * (1 - 1.99 / 2)
    assert found.model.settings == {"latents": 1}
    assert found.standings[1].se_behind == pytest.approx(apart.std(ddof=1) / 20)
    full = choose([replace(one, rate=bound(rates + 9)) for one in sizes], goal="representation", data=data)
    assert full.standings[1].se_behind == pytest.approx(0, abs=1e-12)


def test_what_is_shown_of_a_sorted_part_is_of_all_its_classes(monkeypatch) -> None:
    """The map of latents, rows beside samples, contexts of samples, and the rows of a printed number."""
    for name in ("_MAP", "_STRIPS"):
        monkeypatch.setattr(f"elbowroom.studies.pictures.{name}", 40)
    labels = np.repeat(np.arange(4), 100)
    data = er.load_data(np.eye(4)[labels] + 0.1, labels=labels, context="label", test=100, validation=100)
    order = {part: torch.argsort(data.parts[part].labels) for part in ("validation", "test")}
    data = replace(data, **{part: data.parts[part][rows] for part, rows in order.items()})
    vae = build({"latents": 2, "widths": [4]}, data)
    assert set(pictures._map(vae, data)["latent_labels"].tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert pictures._contexts(vae, data, 40)["label"].sum(0).min() > 3
    test, train = _check_claim._parts(vae, data, 40)
    assert {len(test), len(train)} == {40}
    assert test.batch().x.argmax(1).unique().tolist() == [0, 1, 2, 3]
