"""What every prior, posterior, objective and procedure can do, found in the registry and named nowhere here.

Trained, stacked or one by one with the same result, resumed bit for bit, saved and loaded, measured, drawn from,
studied and shown on a page: a new class is held to all of it by being handed on by its room.
"""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from drawings import sketched
from staged import short_pilots, short_study

import elbowroom as er
from elbowroom.models import Recipe, build, goal, known_words
from elbowroom.models.words import classes_of

PARTS = ("prior", "posterior", "objective")
KINDS = [(part, kind) for part in PARTS for kind in sorted(classes_of(part))]
every = pytest.mark.parametrize(("part", "kind"), KINDS)

LIGHT: dict[str, dict[str, object]] = {
    "flow-prior": {"transforms": 2, "hidden": (8,)},
    "flow-posterior": {"transforms": 2, "hidden": (8,)},
    "aggressive": {"updates": 2, "window": 1},
    "monte-carlo-em": {"transitions": 1, "leapfrog": 2},
    "semi-amortised": {"steps": 1},
}
"""Less work than by default, where that is a test's whole time."""

ROWS = np.random.default_rng(0).normal(size=(80, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
DATA = er.load_data(ROWS.astype(np.float32), name="rows")
KNOWN = np.where(np.arange(80) % 3, (ROWS[:, 0] > 0).astype(int), -1)
LABELLED = er.load_data(ROWS.astype(np.float32), labels=KNOWN, observed="label", name="rows with some labels")


def data_of(recipe: Recipe | er.VAE) -> er.data.Dataset:
    """The data that a recipe, or a model, is made for."""
    classes = recipe.classes is not None if isinstance(recipe, Recipe) else "label" in recipe.posterior
    return LABELLED if classes else DATA


@functools.cache
def words(part: str, kind: str) -> Recipe:
    """The least recipe with this kind; an option that is asked for is 2, and a partner is found where one is needed."""
    said = []
    partners = {"prior": "posterior", "posterior": "prior"}.get(part)
    of_partner = [{partners: word} for word in (known_words()[partners] if partners else [])]
    by_scores = [{**one, "objective": {"kind": "elbo", "gradient": "score"}} for one in of_partner]
    beside = [{}, {"latents": (3, 2)}, {"classes": "label"}, *of_partner, *by_scores]
    for other in beside:
        word: dict[str, object] = {"kind": kind, **LIGHT.get(kind, {})}
        for _ in range(3):
            try:
                recipe = Recipe(latents=3, widths=(8,)).where(**{part: word}, **other)
                build(recipe, data_of(recipe))
                goal(recipe)
                return recipe
            except er.InputError as error:
                said.append(str(error))
                missing = re.search(r"needs (\w+), which the data do not tell", said[-1])
                if not missing:
                    break
                word = {**word, missing[1]: 2}
    raise AssertionError(said)


def trained(recipe: Recipe, epochs: int, run: Path | None = None, resume: bool = False) -> er.VAE:
    vae, data = build(recipe, data_of(recipe)), data_of(recipe)
    er.fit(vae, data, goal(recipe), epochs=epochs, batch_size=16, run=run, resume=resume, select="last", progress=False)
    return vae


@functools.cache
def whole(part: str, kind: str) -> er.VAE:
    """Trained for two epochs by itself, which no test may change."""
    return trained(words(part, kind), 2)


def same(one: er.VAE, other: er.VAE) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different, different


@every
def test_it_resumes_to_the_bit_and_comes_back_from_its_file(part: str, kind: str, tmp_path: Path) -> None:
    recipe, uninterrupted = words(part, kind), whole(part, kind)
    trained(recipe, 1, tmp_path / "run")
    again = trained(recipe, 2, tmp_path / "run", resume=True)
    same(uninterrupted, again)
    loaded = er.load_model(er.save_model(uninterrupted, tmp_path / "m.vae"))
    same(uninterrupted, loaded)
    read, history = er.runs.read_run(tmp_path / "run")
    same(uninterrupted, read)
    assert len(history.rows) == 2
    assert {"rate", "distortion"} <= set(history.rows[-1]["validation"])


@every
def test_stacked_it_trains_as_it_would_alone(part: str, kind: str) -> None:
    recipes = [words(part, kind), words(part, kind).where(seed=1)]
    vaes = [build(recipe, data_of(recipe)) for recipe in recipes]
    goals = [goal(recipe) for recipe in recipes]
    er.fit_stacked(vaes, data_of(recipes[0]), goals, epochs=2, batch_size=16, select="last", progress=False)
    for alone, vae in zip([whole(part, kind), trained(recipes[1], 2)], vaes, strict=True):
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(vae.state_dict()[name], value, rtol=2e-4, atol=2e-5, msg=name)


@every
def test_it_is_measured_and_drawn_from(part: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short_pilots(monkeypatch)
    vae = whole(part, kind)
    test = data_of(vae).test
    rate, distortion, elbo = er.evidence.rate_distortion(vae, test, draws=64)
    assert elbo.mean == pytest.approx(-rate.mean - distortion.mean, rel=1e-5)
    iwae = er.evidence.iwae(vae, test, draws=256)
    assert iwae.mean > elbo.mean - 3 * elbo.se_mc
    few = test[:4]
    if vae.posterior["z"].over != "real numbers" or data_of(vae) is LABELLED:
        with pytest.raises(er.CapabilityError, match=r"^[^\n]+\.$"):
            er.evidence.ais(vae, few)
    elif part != "objective" or vae.state_dict().keys() != whole(part, "elbo").state_dict().keys():
        many = er.evidence.iwae(vae, few, draws=4096)
        ais = er.evidence.ais(vae, few, temperatures=40, chains=16, leapfrog=5, start="prior")
        sure = (many.ess > 100) & (ais.ess > 8)
        error = np.sqrt(many.mc_variance + ais.mc_variance)[sure]
        assert (np.abs(ais.values - many.values)[sure] < 0.2 + 5 * error).all()
    naive = er.evidence.prior_sampling(vae, few, draws=4096)
    assert np.isfinite(naive.values).all()
    assert torch.equal(vae.sample(20, seed=3), vae.sample(20, seed=3))
    assert vae.sample(20, seed=3).isfinite().all()
    assert vae.reconstruct(test).isfinite().all()
    assert all(code.shape[0] == len(test) for code in vae.encode(DATA.test).values())


@pytest.mark.parametrize("part", PARTS)
def test_a_study_sweeps_over_them_to_a_page(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_study(monkeypatch)
    monkeypatch.setattr("elbowroom.pages.embedding._drawing", sketched)
    recipes = [words(part, kind) for kind in sorted(classes_of(part))]
    plain = [r for r in recipes if r.posterior == Recipe().posterior or part == "posterior"]
    plain = [r for r in plain if (r.prior == Recipe().prior or part == "prior") and r.latents == 3 and not r.classes]
    plain = [r for r in plain if r.objective == Recipe().objective or part == "objective"]
    axis = [getattr(recipe, part) for recipe in plain]
    assert len(axis) > 1
    common = {"latents": 3, "widths": (8,)}
    done = er.study(DATA, tmp_path, recipe=common, axes={part: axis}, epochs=1, draws=20, annealed=2, progress=False)
    page = done.page.read_text(encoding="utf-8")
    for word in axis:
        assert (word if isinstance(word, str) else word["kind"]) in page


class Encoder(torch.nn.Module):
    """An encoder as people have it: two heads, a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_variance = (torch.nn.Linear(a, b) for a, b in ((4, 8), (8, 2), (8, 2)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.hidden(x).relu()
        return self.mean(hidden), self.log_variance(hidden)


def adapted(seed: int = 0) -> er.VAE:
    torch.manual_seed(seed)
    return er.adapters.from_modules(Encoder(), torch.nn.Linear(2, 4), er.likelihoods.Normal(None, 4, scale=1.0))


def test_a_plain_pair_of_modules_is_held_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"batch_size": 16, "select": "last", "progress": False}
    short_pilots(monkeypatch)
    uninterrupted, begun, again = adapted(), adapted(), adapted()
    er.fit(uninterrupted, DATA, epochs=3, **settings)
    er.fit(begun, DATA, epochs=1, run=tmp_path / "run", **settings)
    er.fit(again, DATA, epochs=3, run=tmp_path / "run", resume=True, **settings)
    same(uninterrupted, again)
    own = {"encoder": Encoder(), "decoder": torch.nn.Linear(2, 4)}
    read, _ = er.runs.read_run(tmp_path / "run", modules=own)
    same(uninterrupted, read)
    with pytest.raises(er.InputError, match=r"modules=\{'encoder': net\}"):
        er.runs.read_run(tmp_path / "run")
    members = [adapted(seed) for seed in (0, 1)]
    er.fit_stacked(members, DATA, [er.objectives.Elbo()] * 2, epochs=3, **settings)
    for name, value in uninterrupted.state_dict().items():
        torch.testing.assert_close(members[0].state_dict()[name], value, rtol=2e-4, atol=2e-5)
    few = DATA.test[:4]
    gap = er.evidence.ais(uninterrupted, few, temperatures=40, leapfrog=5) - er.evidence.iwae(
        uninterrupted, few, draws=4096
    )
    assert abs(gap.mean) < 0.2 + 5 * gap.se_mc
    short_study(monkeypatch)
    monkeypatch.setattr("elbowroom.pages.embedding._drawing", sketched)
    done = er.study(DATA, tmp_path / "s", recipe=uninterrupted, axes={"beta": [0.5, 1]}, epochs=2, draws=20, annealed=2)
    assert "β = 0.5" in done.page.read_text(encoding="utf-8")
