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
    vae = er.VAE(priors.StandardNormal(3), posteriors.DiagonalNormal(nn.Sequential(nn.Flatten(), nn.Linear(4, 6)), 3), made(cls)).eval()
    x = torch.cat([value_of(vae.likelihood)[0, :2], vae.sample(1).float()])
    return vae, Batch(x, torch.arange(3))


def settings(name: str) -> dict[str, Any]:
    found = {key: SMALL.get(key, value) for key, value in ESTIMATORS[name].settings.items()}
    return found | ({"chains": 8, "draws": 8} if name == "reciprocal" else {}) | ({"draws": 8} if "defended" in name else {})


def asked(vae: er.VAE, rows: Any, annealed: bool = False) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that is asked of a model."""
    for name, one in ESTIMATORS.items():
        if annealed or "leapfrog" not in one.settings:
            yield name, lambda name=name, one=one: one.estimates(one.estimator(vae, rows, **settings(name), progress=True))
    yield "target", lambda: of_target(vae.target(rows))
    yield "encode", lambda: vae.encode(rows)
    yield "reconstruct", lambda: vae.reconstruct(rows)
    yield "sample", lambda: vae.sample(3, seed=1)
    yield "offset", lambda: vae.sample(3, mode="offset", offset=1.0, seed=1)
    yield "check_readings", lambda: check_readings(vae, vae.examples(rows))
    yield "latent_use", lambda: er.metrics.latent_use(vae, rows)
    yield "error", lambda: er.metrics.reconstruction_error(vae, rows)
    yield "budget", lambda: er.metrics.variance_budget(vae, rows, draws=20)
    yield "elbo of a target", lambda: er.evidence.elbo(vae.target(rows), draws=3)


def of_target(whole: Any) -> list[Any]:
    """What samplers ask of the examples."""
    simulated, exact = whole.simulate(torch.Generator(whole.draw_prior(1, 0).device).manual_seed(1))
    found: list[Any] = [exact]
    for target in (whole, whole.rows(slice(1, 2)), whole.pick(torch.tensor([1, 0])), simulated):
        z, log_q = target.draw_posterior(3, 0)
        of = z, target.draw_prior(3, 0)
        found += [log_q, *of, *(log_p(one) for one in of for log_p in (target.log_prior, target.log_likelihood))]
        found += [target.log_posterior(z), target.decoded(z)[1]]
    return found


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


def survey(vae, rows, annealed=False):
    import traceback
    here = {name: outcome(call) for name, call in asked(vae, rows, annealed)}
    with pretended_device() as device:
        there = copy.deepcopy(vae).to(device)
        bad = {}
        for name, call in asked(there, rows, annealed):
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
    bad_words = {k: v[:90] for k, v in here.items() if isinstance(v, str)}
    print('   words:', bad_words)
    return bad
