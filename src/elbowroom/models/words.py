"""Words for the parts of a model and for its objective: read from what the rooms hold, never from a list."""

import functools
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from elbowroom import likelihoods, networks, objectives, posteriors, priors, procedures, recipes, training
from elbowroom.networks._preset import PRESETS
from elbowroom.numerics import InputError

__all__ = [
    "SETTINGS",
    "Word",
    "classes_of",
    "instance_of",
    "known_words",
    "label",
    "read_classes",
    "shown",
    "split",
    "takes",
    "text",
]

Word = str | Mapping[str, Any]
"""A kind, or a mapping with its "kind" and its options."""

_SYMBOLS = {"beta": "β", "latents": "d"}
_OF_THE_CALL = (
    "runs",
    "resume",
    "processes",
    "progress",
    "seed",
)  # of one call of `fit_stacked`, and no part of a recipe
SETTINGS = tuple(
    name
    for name, parameter in inspect.signature(training.fit_stacked).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in _OF_THE_CALL
)
"""What a recipe can say of training: the settings of `fit`."""


def classes_of(part: str) -> dict[str, type]:
    """The classes that a word for this part of a model can mean, by kind."""
    rooms = {
        "prior": (priors,),
        "posterior": (posteriors,),
        "likelihood": (likelihoods,),
        "network": (networks,),
        "objective": (objectives, procedures),
    }
    found = {kind: cls for room in rooms[part] for kind, cls in _kinds_in(room).items()}
    others = {"network": {"network", "rows"}, "objective": {"phases", "objective"}}.get(
        part, set()
    )  # made of what words make
    found = {kind: cls for kind, cls in found.items() if not issubclass(cls, objectives.Schedule)}
    return {kind: cls for kind, cls in found.items() if not others & set(takes(cls))}


def known_words() -> dict[str, list[str]]:
    """List the kinds that a recipe can name.

    Returns
    -------
    dict of list
        Field of the recipe → kinds.

    Examples
    --------
    >>> known_words()["network"]
    ['conv', 'mlp', 'residual', 'conv-2018']
    """
    more = {"likelihood": ["auto"], "network": list(PRESETS)}
    fields = ("prior", "posterior", "likelihood", "network", "objective")
    return {part: [*sorted(classes_of(part)), *more.get(part, [])] for part in fields}


def split(part: str, word: Word) -> tuple[str, dict[str, Any]]:
    """Split a word into its kind and its options.

    Parameters
    ----------
    part : str
        Field of the recipe, such as "likelihood".
    word : str or mapping
        A kind, or a mapping with "kind" and options.

    Returns
    -------
    kind : str
        One of `known_words`.
    options : dict
        Empty where there are none.

    Raises
    ------
    InputError
        For a kind that is not known, or options that it cannot have.

    Examples
    --------
    >>> split("likelihood", {"kind": "normal", "scale": "shared"})
    ('normal', {'scale': 'shared'})
    """
    options = dict(word) if isinstance(word, Mapping) else {"kind": word}
    kind, known = options.pop("kind", None), known_words()[part]
    if kind not in known:
        raise InputError(f"There is no {part} {kind!r}; there are: {', '.join(known)}.")
    if options and kind in PRESETS:
        raise InputError(f"The {part} {kind!r} takes no options; got {', '.join(map(str, options))}.")
    if kind == "auto" and (strange := [name for name in options if name not in ("scale", "given")]):
        raise InputError(f"The likelihood 'auto' has no option {strange[0]!r}; it has: scale, given.")
    return str(kind), options


def read_classes(word: Word) -> tuple[str, str]:
    """The name of a block of classes and how its prior is, from a name or a mapping.

    Examples
    --------
    >>> read_classes({"name": "label", "prior": "uniform"})
    ('label', 'uniform')
    """
    options = dict(word) if isinstance(word, Mapping) else {"name": word}
    name, prior = options.pop("name", None), options.pop("prior", "learned")
    if options or not isinstance(name, str) or not name or prior not in ("learned", "uniform"):
        raise InputError(
            f"classes is the name of a block of the data, such as 'label', or {{'name': 'label', 'prior': 'uniform'}} "
            f"(or 'learned'); got {word!r}."
        )
    return name, str(prior)


def takes(cls: type) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class's constructor."""
    return _parameters(cls)


@functools.cache  # asked for every word of every recipe
def _parameters(cls: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters


def instance_of(part: str, kind: str, options: Mapping[str, Any], at_hand: Mapping[str, Any]) -> Any:
    """Make the component or objective that a word means.

    Parameters
    ----------
    part : str
        Field of the recipe, such as "likelihood".
    kind : str
        One of `known_words`.
    options : mapping
        Arguments by name; one that is itself a mapping with a "kind" is built first.
    at_hand : mapping
        Other arguments that the class may ask for by name, as an event or a network.

    Returns
    -------
    Any
        An instance of the class.

    Raises
    ------
    InputError
        For an option that the class does not have, and for an argument that is not given.
    """
    cls = classes_of(part)[kind]
    parameters = takes(cls)
    strange = [name for name in options if name not in parameters]
    if strange:
        has = ", ".join(name for name in parameters if name not in at_hand) or "none"
        raise InputError(f"The {part} {kind!r} has no option {strange[0]!r}; it has: {has}.")
    given = {name: at_hand[name] for name in parameters if name in at_hand}
    given |= {name: recipes.build(value) for name, value in options.items()}
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise InputError(
                f"The {part} {kind!r} needs {name}, which the data do not tell: say it as an option of the word, "
                f"{{'kind': {kind!r}, {name!r}: …}}, or build the model by hand."
            )
    return cls(**given)


def text(value: Any) -> str:
    """A value of a word as a person would write it.

    Examples
    --------
    >>> text(0.30), text((64, 64)), text({"kind": "normal", "scale": "shared"}), text(1_234_567)
    ('0.3', '64–64', 'normal (scale shared)', '1234567')
    """
    if isinstance(value, Mapping):
        options = ", ".join(f"{name} {text(one)}" for name, one in value.items() if name != "kind")
        kind = str(value.get("kind", ""))
        return f"{kind} ({options})".strip() if options else kind
    if isinstance(value, list | tuple):
        return "–".join(map(text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "none" if value is None else str(value)


def shown(settings: Mapping[str, Any]) -> dict[str, str]:
    """Words and their values as a label writes them, β for beta and d for latents."""
    return {_SYMBOLS.get(name, name): text(value) for name, value in settings.items()}


def label(settings: Mapping[str, Any]) -> str:
    """Name a run by the words in which it differs from the others of a sweep.

    Parameters
    ----------
    settings : mapping
        Word → value.

    Returns
    -------
    str
        β stands for beta and d for latents.

    Examples
    --------
    >>> label({"latents": 8, "beta": 1.0}), label({"prior": "mixture"})
    ('d = 8, β = 1', 'prior = mixture')
    """
    return ", ".join(f"{name} = {value}" for name, value in shown(settings).items())


def _kinds_in(room: ModuleType) -> dict[str, type]:
    found = (getattr(room, name) for name in room.__all__)
    return {vars(one)["kind"]: one for one in found if isinstance(one, type) and "kind" in vars(one)}
