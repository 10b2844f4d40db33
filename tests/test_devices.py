"""A model on another device gives the numbers that it gives on the CPU, from rows on the CPU: every part, unnamed.

The device is a pretended one: see pretend_device.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Pretended, pretended_device
from test_components import classes, made, over_classes, value_of
from test_contracts import DATA, KINDS, words
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import elbowroom as er
from elbowroom import likelihoods, posteriors, priors
from elbowroom.evidence import ESTIMATORS
from elbowroom.models import build, goal
from elbowroom.numerics import Batch, Estimate
from elbowroom.training import TrainingStep
from elbowroom.vae import check_readings

SMALL = {"draws": 3, "temperatures": 3, "chains": 3, "leapfrog": 1, "warm_up": 8, "betas": [0.5]}
PARTS = [(part, kind) for part, kind in KINDS if part != "objective"]
LIKELIHOODS = classes(likelihoods)


def of_part(part: str, kind: str) -> tuple[er.VAE, Batch]:
    torch.manual_seed(0)
    return build(words(part, kind), DATA).eval(), DATA.test[:2].rows(slice(None))


def of_likelihood(cls: Any) -> tuple[er.VAE, Batch]:
    """A model over 4 numbers with this likelihood."""
    torch.manual_seed(0)
    vae = er.VAE(priors.StandardNormal(3), posteriors.DiagonalNormal(nn.Linear(4, 6), 3), made(cls)).eval()
    return vae, Batch(value_of(vae.likelihood)[0, :2], torch.arange(2))


def settings(name: str) -> dict[str, Any]:
    found = {key: SMALL.get(key, value) for key, value in ESTIMATORS[name].settings.items()}
    return found | ({"chains": 8, "draws": 8} if name == "reciprocal" else {})


def asked(vae: er.VAE, rows: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that is asked of a model."""
    for name, one in ESTIMATORS.items():
        yield name, lambda name=name, one=one: one.estimates(one.estimator(vae, rows, **settings(name), progress=True))
    yield "encode", lambda: vae.encode(rows)
    yield "reconstruct", lambda: vae.reconstruct(rows)
    yield "sample", lambda: vae.sample(3, seed=1)
    yield "check_readings", lambda: check_readings(vae, vae.examples(rows))
    yield "latent_use", lambda: er.metrics.latent_use(vae, rows)


def numbers(found: Any) -> list[np.ndarray]:
    """All numbers of a result, which tell nothing of a device."""
    leaves = tree_leaves(found)
    out = []
    for one in leaves:
        if isinstance(one, Estimate):
            out += [x for x in (one.values, one.mc_variance, one.ess, one.khat, one.rhat) if x is not None]
        elif isinstance(one, Tensor | np.ndarray):
            out.append(one.numpy(force=True) if isinstance(one, Tensor) else one)
    return out


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return numbers(call())
    except (er.CapabilityError, er.InputError) as error:
        return str(error)


def survey(vae, rows):
    import traceback
    here = {name: outcome(call) for name, call in asked(vae, rows)}
    with pretended_device() as device:
        there = copy.deepcopy(vae).to(device)
        bad = {}
        for name, call in asked(there, rows):
            try:
                found = outcome(call)
            except Exception as e:
                tb = traceback.extract_tb(e.__traceback__)
                where = [f"{f.filename.split('src/')[-1]}:{f.lineno}" for f in tb if "/src/elbowroom" in f.filename]
                bad[name] = f"{type(e).__name__} {str(e)[:150]} @ {where[-3:]}"
                continue
            want = here[name]
            if isinstance(want, str) or isinstance(found, str):
                if want != found: bad[name] = (found if isinstance(found, str) else "no error", want if isinstance(want,str) else "no error")
            else:
                for a, b in zip(want, found, strict=True):
                    try: np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
                    except AssertionError as e: bad[name] = str(e)[:300]
    return bad
