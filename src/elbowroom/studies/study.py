"""`study`: one call takes data to a chosen, measured VAE and a page, stage by stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbowroom.data import Dataset
from elbowroom.models import Recipe
from elbowroom.numerics import Estimate, InputError, plain_arguments
from elbowroom.pages import report, sentence
from elbowroom.records import DataRecord, ModelRecord, StudyRecord, SweepRecord, read_study
from elbowroom.training.device import device_named
from elbowroom.vae import VAE

from .account import account
from .asked import called, typed
from .audit import audit
from .choose import choose
from .contest import contest
from .load import data_of, load
from .measure import MeasureBudget, measure
from .stages import Stages
from .train import Models, train, training_of

__all__ = ["Study", "measured", "study"]


@dataclass(frozen=True)
class Study:
    """What a study leaves.

    Parameters
    ----------
    vae : VAE
        The chosen model.
    chosen : ModelRecord
        Its words, and what it measures on validation.
    evidence : list of (str, Estimate)
        Bounds on log p(x) of the test examples, by name.
    sentence : str
        The verdict.
    page : Path
        report.html.
    record : StudyRecord
        The records of all stages.
    """

    vae: VAE
    chosen: ModelRecord
    evidence: list[tuple[str, Estimate]]
    sentence: str
    page: Path
    record: StudyRecord

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.page}"


@plain_arguments
def study(
    data: Dataset | Any,
    folder: str | Path | None = None,
    *,
    recipe: Recipe | Mapping[str, Any] | VAE | None = None,
    axes: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    draws: int | None = None,
    annealed: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    progress: bool = True,
    command: str | None = None,
) -> Study:
    """Data → a sweep over words of a recipe → one model chosen on validation → its evidence on test → report.html.

    A study is a row of stages: load, train, choose, measure, contest, account, audit, and the page. Each leaves a
    record in the folder, and a study that is resumed reads the records of the stages whose inputs have not changed.

    Parameters
    ----------
    data : Dataset or Any
        A data set, or what `er.load_data` makes one of: a name such as "digits", a path, an array or a table.
    folder : str or Path, optional
        Where the runs, the records and the page are written; default runs/study-NAME.
    recipe : Recipe, mapping or VAE, optional
        What all models have in common, as `er.sweep` takes it: a `models.Recipe`, the words in which it differs from
        the default one, such as {"latents": 8}, or a ready VAE. By default the default recipe.
    axes : mapping of str to sequence, optional
        Word → the values that are tried, as `er.sweep` takes it; a model is trained for every combination. By default
        what the recipe leaves open: several "latents", and noise that depends on z or does not ("likelihood", its
        scale). What the recipe says is not varied, nor is anything of a ready VAE.
    epochs : int, optional
        Passes over the training data for every model whose recipe does not say them; by default as many as make 4,000
        steps of 100 rows, or 3,000 of 32 where there are fewer than 1,000, and at most 400; of cells as many as a page
        within minutes affords, and fewer models where a pass is dear. The learning rate falls
        from 0.003 to 0.0003, unless the recipe or an axis says one, and gradients are clipped to a norm of 10, unless
        the recipe says `clip`. Where it does not fall, a model stops sooner if its
        validation value has not improved for a tenth of the epochs, at least 10, counted after the objective's
        schedule; a recipe's own patience, which may be None, stands before that.
    draws : int, optional
        Draws of z per test example for the importance-weighted bound (IWAE); by default 1,000.
    annealed : int, optional
        How many test examples are measured by annealed importance sampling (AIS) too, with 100 temperatures and 12
        chains each; 0 for none, by default 50. Cells have fewer draws, examples, temperatures and chains by default, as
        many as a page within minutes affords, and the page says so.
    seed : int, default 0
        Seed of the split, the training and all estimates. The weights are drawn by it too, unless `recipe` brings its
        own seed (a `Recipe`) or its own weights (a VAE).
    overwrite : bool, default False
        Delete what the folder holds.
    resume : bool, default False
        Go on with what the folder holds.
    device : str, default "cpu"
        Where models are trained and compared on validation, as `er.sweep` takes it; all else is done on the CPU.
    progress : bool, default True
        Whether a line on standard error says how far it is.
    command : str, optional
        What was typed, for the page and for saying how to go on; default this call in Python.

    Returns
    -------
    Study
        Its fields: `vae` (the chosen model), `chosen` (its record: words, and what it measures on validation),
        `evidence` (pairs of a name and an Estimate of log p(x) on test), `sentence` (the verdict), `page` (the path of
        report.html) and `record` (the records of all stages). Printed, the verdict and the path.

    Raises
    ------
    InputError
        Where the folder holds a study already or one of other data, and as `load_data`, `sweep` and `fit` do, all of
        it before anything is trained; later, and then with what the stages before have left, as a stage does.
    CapabilityError
        Where the model lacks what a stage asks of it.

    Examples
    --------
    >>> study("digits", draws=0)
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: draws must be 1 or more; got 0.
    """
    for name, number, least in (("draws", draws, 1), ("annealed", annealed, 0), ("epochs", epochs, 1)):
        if number is not None and number < least:
            raise InputError(f"{name} must be {least} or more; got {number}.")
    options: dict[str, tuple[Any, Any]] = {
        "recipe": (recipe, None),
        "axes": (axes, None),
        "epochs": (epochs, None),
        "draws": (draws, None),
    }
    options |= {"annealed": (annealed, None), "seed": (seed, 0), "device": (device, "cpu")}
    device_named(device)
    asked = typed(command) if command else called(data, folder, options)
    data = data_of(data, seed, progress)
    about = load(data)
    training = training_of(recipe, axes, epochs, data, seed)
    folder = Path(folder) if folder is not None else Path("runs") / f"study-{data.name}"
    stages = Stages(folder, overwrite=overwrite, resume=resume, asked=asked, progress=progress)
    models = Models(folder / "runs", recipe if isinstance(recipe, VAE) else None)
    budget = MeasureBudget(draws, annealed, seed)

    stages.record("load", lambda: about, about.identity)
    swept = stages.record(
        "train",
        lambda: train(data, about, training, models, resume=resume, device=device, progress=progress),
        training.settings,
        models.hold,
    )
    return measured(stages, data, about, models, swept, budget, progress)


def measured(
    stages: Stages,
    data: Dataset,
    about: DataRecord,
    models: Models,
    swept: SweepRecord,
    budget: MeasureBudget,
    progress: bool,
) -> Study:
    """The stages after training.

    Parameters
    ----------
    stages : Stages
        In which `load` and `train` have been recorded.
    data : Dataset
        Of the study.
    about : DataRecord
        The record of `load`.
    models : Models
        Those that were trained.
    swept : SweepRecord
        The record of `train`.
    budget : MeasureBudget
        How much is measured.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    Study
        The whole.
    """
    choice = stages.record("choose", lambda: choose(swept), {})
    found = stages.record(
        "measure",
        lambda: measure(data, about, models, swept, choice, budget, progress=progress),
        budget._asdict(),
    )
    rivals = stages.record("contest", lambda: contest(data, seed=budget.seed, progress=progress), {"seed": budget.seed})
    stages.record("account", lambda: account(about, swept, choice, found, rivals), {})
    stages.record(
        "audit",
        lambda: audit(data, about, models, choice, seed=budget.seed, progress=progress),
        {"seed": budget.seed},
    )
    with stages.going_on("page"):
        page = report(stages.folder)
    bounds, record = list(found.bounds.items()), read_study(stages.folder)
    return Study(models[choice.name], swept.model(choice.name), bounds, sentence(record), page, record)
