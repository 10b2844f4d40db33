"""How the chosen model was trained: its learning curves, its graph, its recipe, and what else made the numbers."""

from collections.abc import Mapping
from typing import Any

from elbowroom import plots
from elbowroom.numerics import count
from elbowroom.plots.style import Sheet
from elbowroom.records import StudyRecord
from elbowroom.runs import History

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["curves", "diagram", "factors", "facts", "recipe_text"]

_LONG = {"train": "train", "measure": "measure", "contest": "baselines", "total": "total"}  # what takes time


def curves(study: StudyRecord) -> Figure:
    """Learning curves of the chosen model."""
    chosen = study.chosen
    title = f"Learning curves of the chosen model: epoch {chosen.best_epoch} of {chosen.epochs} was kept"
    how = (
        "The KL can rise although it is paid for: each nat that the latents learn to carry lowers the distortion by "
        "more than it costs, until the two balance. A "
        "gap between training and validation that widens is overfitting."
    )
    if not study.history:
        why = f"No curves: runs/{chosen.name}/history.jsonl is missing from the study folder."
        return Figure("curves", title, how, missing=why)
    foot = f"Chosen model, {chosen.label}; means over the training and validation sets, nats per example."
    history = History(study.history, best_epoch=chosen.best_epoch)

    def draw(sheet: Sheet) -> None:
        plots.learning_curves(history, figure=sheet)

    return Figure("curves", title, how, foot, svg=both_widths(draw, "curves", title))


def diagram(study: StudyRecord) -> Figure:
    """The plate diagram of the chosen model."""
    how = (
        "Solid arrows: how the model generates x. Dashed arrows: what the encoder reads to infer a latent. Grey is "
        "observed, white is latent."
    )
    recipe = study.recipe
    if recipe is None:
        why = f"No diagram: runs/{study.chosen.name}/recipe.yaml is missing from the study folder."
        return Figure("diagram", "The model", how, missing=why)
    model = plots.graph(recipe)
    blocks = count(len(model.blocks), "latent block")
    context = f" given {', '.join(model.context)}" if model.context else ""
    title = f"The model as a graph: {blocks}, {count(study.chosen.parameters, 'parameter')}{context}"
    examples = study.data.sizes.get("train")

    def draw(sheet: Sheet) -> None:
        plots.plate_diagram(recipe, n=examples, ax=sheet.subplots())

    return Figure("diagram", title, how, svg=both_widths(draw, "diagram", title))


def factors(study: StudyRecord) -> list[tuple[str, str]]:
    """Each factor of the model with the kind of its component: ("p(z)", "standard-normal, 16 values")."""
    if study.recipe is None:
        return []
    factors = []
    for letter, part in (("p", "prior"), ("q", "posterior"), ("p", "likelihood")):
        blocks = study.recipe[part]
        blocks = {("x" if part == "likelihood" else "z"): blocks} if "kind" in blocks else blocks
        default = {"prior": (), "posterior": ("x",), "likelihood": ("z",)}[part]
        for name, component in blocks.items():
            given = component.get("given", default)
            given = [given] if isinstance(given, str) else list(given or ())
            if part == "likelihood" and (size := component.get("size_factor")) and size not in given:
                given.append(size)
            bar = f" | {', '.join(map(str, given))}" if given else ""
            factors.append((f"{letter}({name}{bar})", _component_words(component)))
    return factors


def _component_words(component: Mapping[str, Any]) -> str:
    said = [str(component.get("kind", "your own module"))]
    event = component.get("event")
    if event is not None:
        said.append(("×".join(map(str, event)) if isinstance(event, list) else f"{event}") + " dimensions")
    if isinstance(component.get("scale"), str | int | float):
        said.append(f"scale {component['scale']}")
    network = component.get("network")
    if isinstance(network, Mapping):
        said.append(f"network {_network_words(network)}")
    return ", ".join(said)


def _network_words(network: Mapping[str, Any]) -> str:
    """Its kind and widths; of one that only scales what another reads, that of the other.

    >>> _network_words({"kind": "standardised", "network": {"kind": "mlp", "widths": [14, 256, 32]}})
    'mlp 14–256–32'
    """
    inner, widths = network.get("network"), network.get("widths")
    if isinstance(inner, Mapping):
        return _network_words(inner)
    dashes = " " + "–".join(map(str, widths)) if isinstance(widths, list) else ""
    return f"{network.get('kind', network.get('module', 'your own'))}{dashes}"


def recipe_text(study: StudyRecord) -> str:
    """The recipe of the chosen model as YAML; nothing where the run kept none."""
    import yaml

    return "" if study.recipe is None else yaml.safe_dump(dict(study.recipe), sort_keys=False, allow_unicode=True)


def facts(study: StudyRecord) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings with names and texts: the data, the chosen model, the machine."""
    data, chosen, last = study.data, study.chosen, study.last
    sizes = ", ".join(f"{count(size)} {part}" for part, size in data.sizes.items())
    shape = f"{' × '.join(map(str, data.image_shape or data.event))}, {count(data.dimensions, 'dimension')}"
    if data.image_shape is None and len(data.event) == 1:
        shape = count(data.dimensions, "column")
    of_data = [
        ("name", data.name),
        ("source", data.source),
        ("examples", sizes),
        ("shape", shape),
        ("support", data.support),
        ("split seed", str(data.split_seed)),
        ("SHA-256", data.sha256),
    ]
    versions = [
        ("elbowroom", last.elbowroom),
        ("torch", last.torch),
        ("python", last.python),
        ("processor", last.processor),
        ("threads", str(last.threads)),
    ]
    times = [
        (f"time, {name}", words.seconds(study.seconds[stage]))
        for stage, name in _LONG.items()
        if stage in study.seconds
    ]
    training = [
        *chosen.axes.items(),
        ("parameters", count(chosen.parameters)),
        ("epochs", f"{chosen.epochs}, epoch {chosen.best_epoch} kept"),
        ("training", words.seconds(chosen.seconds)),
    ]
    notes = [("note", note) for note in data.notes]
    columns = [("Columns", list(data.column_rows))] if data.column_rows else []
    if str(chosen.settings.get("likelihood", "auto")) == "auto" and data.why_likelihood:
        training.append(("likelihood", data.why_likelihood))
    return [("Data", of_data + notes), *columns, ("Chosen model", training), ("Machine and versions", versions + times)]
