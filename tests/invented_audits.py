"""Audits that nobody made: plausible numbers of a model that is ill, of a healthy one, and of one that tells little."""

import base64
import json
from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from elbowroom.numerics import Budget, Estimate
from elbowroom.records import (
    AuditRecord,
    ChangesRecord,
    CollapseCurve,
    ContextRecord,
    DataRecord,
    FindingRecord,
    FixRecord,
    IdentityRecord,
    InformationRecord,
    LatentRecord,
    Number,
    PicturesRecord,
    PriceRecord,
    PriorGapRecord,
    SampleGapRecord,
    StepRecord,
    Summary,
    UnitChangeRecord,
)

N = 50
THRESHOLDS = {
    "collapsed": (0.5, "share of units"),
    "inference lagging": (0.5, "nats"),
    "overconfident encoder": (10.0, "points"),
    "holes in the prior": (2.0, "nats"),
    "noise mis-scaled": (1.0, "nats"),
    "residuals correlated": (0.1, "correlation"),
    "overfitted": (3.0, "nats"),
    "underfitted": (2.0, "nats"),
    "no bound": (0.5, "nats"),
}
"""Of faults that are looked for, in the units of their numbers; made up."""


def bound(mean, estimator, *, spread=20.0, noise=0.0, direction="lower", seed=0, draws=64):
    """An estimate of log p(x) over the same examples, of which all have an example's own share in common."""
    common, own = np.random.default_rng(7).normal(size=N), np.random.default_rng(seed).normal(size=N)
    values = mean + spread * (common - common.mean()) + noise * (own - own.mean())
    budget = Budget(draws, 0, 1.0)
    kind = {"quantity": "log p(x)", "estimator": estimator, "direction": direction}
    return Estimate.of(values, 0.04, np.arange(N) * 7, budget=budget, data="d1g1t5", **kind)


def identity(elbo=-98.2, amortisation=2.1, approximation=1.05, upper=0.3, seed=0):
    """Of these parts; another seed has other noise."""
    refined = elbo + amortisation
    log_p = refined + approximation
    return IdentityRecord(
        log_p=bound(log_p, "AIS, 200 temperatures", noise=1.6, seed=seed + 1, draws=12),
        refined=bound(refined, "ELBO with 64 draws", noise=1.0, seed=seed + 2),
        elbo=bound(elbo, "ELBO with 64 draws", noise=0.4, seed=seed + 3),
        refined_half=bound(refined - 0.05, "ELBO with 64 draws", noise=1.0, seed=seed + 4),
        upper=None
        if upper is None
        else bound(
            log_p + upper, "AIS, 200 temperatures, backwards", noise=1.6, seed=seed + 5, direction="upper if mixed"
        ),
    )


def findings(**found):
    """Every fault, with those that were found in words of their cause: collapsed="decoder needs no z"."""
    return tuple(_finding(name, found.get(name.replace(" ", "_").replace("-", "_"))) for name in THRESHOLDS)


def _finding(name, cause):
    threshold, unit = THRESHOLDS[name]
    there = cause is not None
    value = threshold * (1.9 if there != (name == "collapsed") else 0.3)
    why = f", as the {cause}" if cause else ""
    said = f"the number is {value:.3g} {unit} (found above {threshold:g}){why}."
    sentence = f"{name.capitalize()}: {said}" if cause is not None else f"Not {name}: {said}"
    return FindingRecord(name, cause is not None, Number(value, 0.1 * value), threshold, unit, cause or "", sentence)


def changes(pictures=True):
    """What six units do: rows of bars that grow, or the columns of a table that change."""
    named = (("glucose", "pressure", "age"), (1.2, -0.5, 0.1))
    units = tuple(UnitChangeRecord(unit, 1.0, 4.1 - 0.4 * unit, 0.9 - 0.1 * unit, *named) for unit in range(6))
    grey = np.tile(np.linspace(0, 255, 8).astype(np.uint8), (6, 5, 8, 1)) // np.arange(1, 6)[:, None, None].astype(
        np.uint8
    )
    pixels = base64.b64encode(grey.tobytes()).decode("ascii")
    shown = PicturesRecord((6, 5, 8, 8), (-2.0, -1.0, 0.0, 1.0, 2.0), 0.0, 16.0, pixels)
    return ChangesRecord(units, 32, shown if pictures else None)


def context(rate=18.2, distortion=80.0, n=397, pictures=True):
    """Of a model of eight latents, of which six carry something."""
    about = {"quantity": "log p(x)", "estimator": "ELBO with 64 draws", "direction": "lower"}
    budget = Budget(64, 0)
    elbo, rates, distortions = (
        Summary(mean=mean, se_mc=0.05, se_total=se, n=n, budget=budget, **about)
        for mean, se in ((-rate - distortion, 1.1), (rate, 0.2), (distortion, 1.1))
    )
    kl = (4.1, 3.9, 3.2, 2.9, 2.2, 1.89, 0.006, 0.004)
    return ContextRecord(
        elbo=elbo,
        rate=rates,
        distortion=distortions,
        generalisation=Number(1.4, 0.5),
        prior_gap=PriorGapRecord(
            Number(0.8, 0.1),
            Number(3.2, 0.2),
            "mixture of 10 Gaussians",
            n,
            "KL(q(z) ‖ p(z)) lies between 0.80 ± 0.10 and 3.20 ± 0.20 nats.",
        ),
        information=InformationRecord(Number(15.0, 0.1), 16.2, 10_897),
        latents=LatentRecord(kl, tuple(one > 0.01 for one in kl), 0.01, n, "z1, z2", None),
        collapse=CollapseCurve((0.001, 0.01, 0.1, 1.0, 10.0), (0.0, 0.25, 0.25, 0.25, 1.0), 0.01),
        samples=SampleGapRecord(Number(0.4, 0.03), Number(0.1, 0.03), Number(0.3, 0.04), "logistic regression", 400),
        changes=changes(pictures),
    )


PRICES = (
    PriceRecord(
        "calibrate",
        Number(2.5, 0.25),
        397,
        1.0,
        "Another scale of the noise wins 2.50 ± 0.25 nats.",
        Number(0.0, 0.0),
        Number(-2.5, 0.25),
    ),
    PriceRecord(
        "refit_prior",
        Number(0.8, 0.1),
        397,
        2.0,
        "A mixture as the prior wins 0.80 ± 0.10 nats.",
        Number(-0.8, 0.1),
        Number(0.0, 0.0),
    ),
    PriceRecord("structured_residual", Number(-0.02, 0.1), 397, 2.0, "Correlated noise wins nothing that is sure."),
)
CERTIFIED = (
    "certified by elbowroom 0.1.0: log p(x) of digits ≥ −95.05 nats (± 0.03 draws, ± 2.8 examples; AIS, 50 test "
    "examples), gap 3.15 ± 0.25, torch 2.13.0, data d1g1t5"
)


def healthy(**changes):
    """A model without a fault."""
    common = {"quantity": "log p(x)", "n": N, "name": "digits", "data": "d1g1t5", "seed": 0, "certified": CERTIFIED}
    versions = {"elbowroom": "0.1.0", "torch": "2.13.0", "python": "3.11.9"}
    whole = AuditRecord(
        **common, identity=identity(), findings=findings(), context=context(), prices=PRICES, versions=versions,
        seconds=41.0,
    )  # fmt: skip
    return replace(whole, **changes)


def ill(**changes):
    """A model that is collapsed, whose noise is wrong and whose prior has holes."""
    found = findings(collapsed="decoder needs no z", noise_mis_scaled="", holes_in_the_prior="")
    assumed = ("log_var is taken for the logarithm of the variance.",)
    about = {"findings": found, "assumed": assumed, "quick": True, "context": context(pictures=False)}
    return healthy(**about | changes)


def without_anything(**changes):
    """A model that cannot be audited."""
    missing = ("log p(x): the decoder has no likelihood.", "context: the encoder has no density.")
    empty = {"identity": None, "findings": (), "context": None, "prices": (), "missing": missing, "certified": ""}
    return healthy(**empty | changes)


def fix_record(**changes):
    """A fix that calibrated the noise and refitted the prior, and tried one remedy in vain and one not at all."""
    data = DataRecord(
        name="digits", source="scikit-learn", sha256="d1g1t5", sizes={"train": 1200, "validation": 200, "test": 397},
        official=(), split_seed=0, support="integer grid 0…16", kind="grid", seen="unit", levels=17, event=(64,),
        image_shape=(8, 8), columns=None, classes={}, label_names=None, preprocess={}, notes=(),
    )  # fmt: skip
    steps = (
        StepRecord("calibrate", True, Number(2.5, 0.2), Number(2.4, 0.2), Number(18.2, 0.2), Number(77.5, 1.0), 1.2),
        StepRecord("refit_prior", True, Number(0.8, 0.1), Number(0.7, 0.1), Number(17.4, 0.2), Number(77.5, 1.0), 4.0),
        StepRecord("refine_inference", False, Number(-0.1, 0.1), Number(0.0, 0.1), seconds=9.0),
        StepRecord("structured_residual", False, said="The data are no images."),
    )
    after = healthy(
        identity=identity(elbo=-94.9, amortisation=2.0, approximation=1.0, seed=10), context=context(17.4, 77.5)
    )
    before, command = ill(), "elbowroom fix runs/ill --run runs/fixed"
    bounds = (before.identity.elbo, after.identity.elbo)
    whole = FixRecord("runs/ill", *bounds, before, after, steps, data, 31.0, command)
    return replace(whole, **changes)


def write_fix(folder, record, event=(64,)):
    """The folder of a fixed run, with pictures of noise."""
    folder.mkdir(parents=True)
    (folder / "fix.json").write_text(json.dumps(record.to_dict()))
    names = ("held_out", "reconstructions_before", "reconstructions_after", "samples_before", "samples_after")
    draws = np.random.default_rng(0).uniform(0, 16, (len(names), 16, *event)).astype(np.float32)
    save_file(dict(zip(names, draws, strict=True)), folder / "pictures.safetensors")
    return folder
