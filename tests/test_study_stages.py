"""A study in stages: each leaves its record, which is read where nothing changed, and says how to go on after it."""

import importlib
import json
import shutil

import numpy as np
import pytest
from drawings import sketched
from staged import short_study

import elbowroom as er
from elbowroom.pages import sentence
from elbowroom.records import STAGES, read_stage, read_study, stage_file
from elbowroom.runs import measure_run, sample_run

SMALL = {
    "recipe": {"latents": 2, "widths": [8]},
    "axes": {"beta": (0.5, 1.0)},
    "epochs": 2,
    "draws": 8,
    "annealed": 2,
    "progress": False,
}
LATER = [stage for stage in STAGES if stage != "load"]
"""What is not run whenever there are data, to know which they are."""
MODULE = importlib.import_module("elbowroom.studies.study")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of whole numbers on a grid, few of them, to be read in one way or another."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "made.npy"
    np.save(path, np.clip(rng.normal(8 + 3 * rng.normal(size=(300, 1)), 2, size=(300, 6)).round(), 0, 16).astype(int))
    return lambda **options: er.load_data(path, validation=100, test=40, **options)


@pytest.fixture(scope="module")
def data(made):
    return made()


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Few baselines and steps, and no page, which reads what is tested here."""
    short_study(patch)
    patch.setattr(MODULE, "report", lambda folder: folder / "report.html")


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    hurry(monkeypatch)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of a study that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return er.study(data, tmp_path_factory.mktemp("whole") / "study", **SMALL).record.folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it, to be spoiled."""
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """The stages that are run, and "fit" for every training, as they come."""
    called: list[str] = []
    for stage in LATER:
        _counted(monkeypatch, MODULE, stage, called)
    _counted(monkeypatch, importlib.import_module("elbowroom.sweeps._sweep"), "fit_stacked", called)
    return called


def _counted(monkeypatch, module, name: str, called: list[str]) -> None:
    plain = getattr(module, name)

    def counted(*arguments, **options):
        called.append(name)
        return plain(*arguments, **options)

    monkeypatch.setattr(module, name, counted)


def fails(monkeypatch, stage: str, error: BaseException) -> None:
    def stop(*arguments, **options):
        raise error

    monkeypatch.setattr(MODULE, stage, stop)


def said(folder, stage: str):
    """What a stage's file says, but for times."""

    def timeless(value):
        if isinstance(value, dict):
            return {name: timeless(one) for name, one in value.items() if name not in ("seconds", "command", "made")}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    return json.dumps(timeless(json.loads(stage_file(folder, stage).read_text())))


def test_a_study_goes_on_at_the_stage_that_failed(data, whole, tmp_path, monkeypatch, runs) -> None:
    """It fails at every stage in turn, and goes on from there to the next."""
    folder, names, resume = tmp_path / "study", list(STAGES), {}
    for stage, passed in zip(LATER, [[], *([one] for one in LATER)], strict=False):
        before = names[: names.index(stage)]
        earlier = [one for one in before if one not in passed]
        kept = [stage_file(folder, one).read_bytes() for one in earlier if resume]
        with monkeypatch.context() as patch:
            fails(patch, stage, RuntimeError("the disk is full"))
            with pytest.raises(RuntimeError, match="the disk is full") as caught:
                er.study(data, folder, **resume, **SMALL)
        (note,) = caught.value.__notes__
        assert note == (
            f"The stage {stage!r} failed; what came before is in {folder}: the same call with resume=True goes on "
            "there."
        )
        assert [one for one in names if stage_file(folder, one).exists()] == before
        assert [one for one in runs if one != "fit_stacked"] == passed
        assert runs.count("fit_stacked") == (passed == ["train"])
        assert [stage_file(folder, one).read_bytes() for one in earlier if resume] == kept
        runs.clear()
        resume = {"resume": True}
    done = er.study(data, folder, **resume, **SMALL)
    assert runs == [LATER[-1]]
    assert [said(folder, one) for one in names] == [said(whole, one) for one in names]
    assert done.sentence == sentence(read_study(whole))
    assert np.array_equal(done.vae.sample(3).numpy(), er.runs.read_run(read_study(whole).run)[0].sample(3).numpy())


def test_a_finished_study_is_read(data, copy, runs) -> None:
    files = {stage: stage_file(copy, stage).read_bytes() for stage in STAGES}
    done = er.study(data, copy, resume=True, **SMALL)
    assert runs == []
    assert {stage: stage_file(copy, stage).read_bytes() for stage in STAGES} == files
    bounds = read_stage(copy, "measure").record.bounds
    assert [(name, e.mean) for name, e in done.evidence] == [(name, e.mean) for name, e in bounds.items()]
    assert isinstance(done.vae, er.VAE)
    assert done.chosen == done.record.chosen


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"draws": 16}, ["measure", "account", "audit"]),
        ({"annealed": 0}, ["measure", "account", "audit"]),
        ({"axes": {"beta": (0.5, 1.0, 2.0)}}, ["train", "fit_stacked", "choose", "measure", "account", "audit"]),
        ({"progress": False, "command": "elbowroom study digits"}, []),
    ],
    ids=["draws", "annealed", "one model more", "nothing"],
)
def test_changed_settings_run_again_only_what_depends_on_them(data, copy, runs, changed, again) -> None:
    done = er.study(data, copy, resume=True, **SMALL | changed)
    assert runs == again
    assert set(done.record.evidence.bounds) == {"ELBO", f"IWAE-{changed.get('draws', 8)}"}
    assert len(done.record.sweep.models) == len(changed.get("axes", SMALL["axes"])["beta"])
    assert done.record.not_run == []


def test_until_a_stage_has_been_made_again_the_old_records_stand_together(data, copy, monkeypatch) -> None:
    before = {stage: stage_file(copy, stage).read_bytes() for stage in STAGES}
    with monkeypatch.context() as patch:
        fails(patch, "measure", RuntimeError())
        with pytest.raises(RuntimeError):
            er.study(data, copy, resume=True, **SMALL | {"draws": 16})
    assert {stage: stage_file(copy, stage).read_bytes() for stage in STAGES} == before
    with monkeypatch.context() as patch:
        fails(patch, "account", RuntimeError())
        with pytest.raises(RuntimeError):
            er.study(data, copy, resume=True, **SMALL | {"draws": 16})
    study = read_study(copy)
    assert (study.not_run, list(study.evidence.bounds)) == (["account", "audit"], ["ELBO", "IWAE-16"])
    assert study.contest is not None


@pytest.mark.parametrize("error", [er.InputError("No rival came."), er.CapabilityError("No rival came.")])
def test_a_refusal_keeps_its_type_and_says_how_to_go_on(data, copy, monkeypatch, error) -> None:
    for stage in ("contest", "account"):
        stage_file(copy, stage).unlink()
    fails(monkeypatch, "contest", error)
    with pytest.raises(type(error)) as caught:
        er.study(data, copy, resume=True, command="elbowroom study digits --draws 8 --resume", **SMALL)
    assert str(caught.value) == (
        f"The stage 'contest' failed: No rival came; what came before is in {copy}: "
        "`elbowroom study digits --draws 8 --resume` goes on there."
    )
    assert caught.value.__cause__ is error


def test_the_page_names_the_stages_that_have_not_been_run(copy, monkeypatch) -> None:
    monkeypatch.setattr("elbowroom.pages.embedding._drawing", sketched)
    for stage in ("contest", "account"):
        stage_file(copy, stage).unlink()
    page = er.report(copy).read_text(encoding="utf-8")
    assert "the stages contest and account have not been run" in page


def test_an_interrupted_stage_says_how_to_go_on(data, copy, monkeypatch) -> None:
    stage_file(copy, "measure").unlink()
    fails(monkeypatch, "measure", KeyboardInterrupt())
    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted in the stage 'measure'; what came before .* goes on there"
    ):
        er.study(data, copy, resume=True, **SMALL)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_damaged_record_is_made_again(data, whole, copy, runs, stage) -> None:
    path = stage_file(copy, stage)
    path.write_text(path.read_text()[:-40])
    assert stage_file(copy, stage).exists()
    er.study(data, copy, resume=True, **SMALL)
    assert runs == [one for one in LATER if one == stage]
    assert [said(copy, one) for one in STAGES] == [said(whole, one) for one in STAGES]


def test_other_data_are_refused_and_nothing_is_lost(made, data, copy) -> None:
    before = {path: path.read_bytes() for path in copy.glob("*.json")}
    for other in (made(seed=1), made(preprocess="none")):
        with pytest.raises(er.InputError, match="is a study of other data, or of the same split or preprocessed"):
            er.study(other, copy, resume=True, **SMALL)
    with pytest.raises(
        er.InputError, match="holds runs of another recipe, other axes or other data: name another"
    ) as no:
        er.study(data, copy, resume=True, **SMALL | {"recipe": {"latents": 3}})
    assert "goes on there" not in str(no.value)
    assert {path: path.read_bytes() for path in copy.glob("*.json")} == before


def test_runs_of_an_older_study_are_not_trained_again(data, whole, copy, runs) -> None:
    for stage in STAGES:
        stage_file(copy, stage).unlink()
    (copy / "study.json").write_text("{}")
    with pytest.raises(er.InputError, match=r"study\.json was written by an older elbowroom: `elbowroom study"):
        er.report(copy)
    er.study(data, copy, resume=True, **SMALL)
    assert runs == LATER
    assert said(copy, "measure") == said(whole, "measure")


def test_a_study_is_a_run_from_its_choice_on(copy, tmp_path) -> None:
    for stage in ("account", "contest", "measure"):
        stage_file(copy, stage).unlink()
    (found,) = measure_run(copy, "iwae", draws=4, progress=False)
    assert found.estimator == "IWAE-4"
    assert sample_run(copy, tmp_path / "s.npy", n=2).exists()
    with pytest.raises(er.InputError, match=r"holds no 4-measure\.json, so it is no study that has been measured"):
        er.report(copy)
    stage_file(copy, "choose").unlink()
    with pytest.raises(er.InputError, match="is no run folder"):
        measure_run(copy, "iwae")


def test_a_ready_model_of_ones_own_modules_goes_on_too(data, tmp_path, monkeypatch, runs) -> None:
    """No recipe can make its networks, so its weights are read into a copy of it."""
    import torch

    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(torch.nn.Linear(6, 4), 2),
        er.likelihoods.Normal(torch.nn.Linear(2, 6), 6, scale="shared"),
        preprocess=data.preprocess,
    )
    settings = {**SMALL, "recipe": vae, "axes": {"beta": (0.5, 1.0)}}
    with monkeypatch.context() as patch:
        fails(patch, "measure", RuntimeError())
        with pytest.raises(RuntimeError):
            er.study(data, tmp_path / "study", **settings)
    runs.clear()
    done = er.study(data, tmp_path / "study", resume=True, **settings)
    assert runs == ["measure", "contest", "account", "audit"]
    again = er.evidence.iwae(done.vae, data.validation, draws=100)
    assert done.chosen.iwae.mean == pytest.approx(again.mean, rel=1e-6)
