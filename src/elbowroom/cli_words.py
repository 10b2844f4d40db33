"""What is typed behind options, as the values that it means."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["pairs_of", "recipe_words", "said_once", "sweep_axes", "typed_values"]


def recipe_words(**given: Any) -> dict[str, Any]:
    """The words of a recipe that were given, read as YAML; several widths or latents stand in a list.

    Parameters
    ----------
    **given : Any
        Word → what was typed, None where nothing was.

    Returns
    -------
    dict
        Word → value.

    Examples
    --------
    >>> recipe_words(widths="64,32", prior=None, objective="{kind: elbo, beta: 1e-1}")
    {'widths': [64, 32], 'objective': {'kind': 'elbo', 'beta': 0.1}}
    """
    said = {name: value for name, value in given.items() if value is not None}
    return {name: _yaml(name, f"[{value}]" if _is_list(name, value) else value) for name, value in said.items()}


def _is_list(name: str, value: Any) -> bool:
    several = name == "widths" and value != "auto"
    return several or (name == "latents" and "," in str(value) and "[" not in str(value))


def sweep_axes(given: list[str] | None) -> dict[str, Any] | None:
    """Axes of a sweep that were typed.

    Parameters
    ----------
    given : list of str or None
        NAME=VALUE,VALUE each.

    Returns
    -------
    dict or None
        Name → list of values; None where nothing was given.

    Raises
    ------
    InputError
        For an axis that is given twice.

    Examples
    --------
    >>> sweep_axes(["latents=2,8"])
    {'latents': [2, 8]}
    """
    return {name: typed_values(name, values) for name, values in pairs_of(given, "--sweep").items()} or None


def pairs_of(
    given: Sequence[str] | None, option: str, *, way_out: str = "say all its values at once, with commas"
) -> dict[str, str]:
    """What an option that is typed several times says of each name.

    Parameters
    ----------
    given : sequence of str or None
        NAME=VALUES each.
    option : str
        As it is typed.
    way_out : str, default "say all its values at once, with commas"
        What to do instead of saying a name twice.

    Returns
    -------
    dict of str to str
        Name → what stands behind the first "=", without spaces around it.

    Raises
    ------
    InputError
        Where a name comes twice, of which one would be dropped.

    Examples
    --------
    >>> pairs_of(["latents=2,8", "beta=1"], "--sweep")
    {'latents': '2,8', 'beta': '1'}
    """
    from elbowroom.numerics import InputError

    pairs: dict[str, str] = {}
    for name, _, values in (one.partition("=") for one in given or ()):
        if name.strip() in pairs:
            raise InputError(f"{option} {name.strip()} is given twice: {way_out}.")
        pairs[name.strip()] = values.strip()
    return pairs


def said_once(axes: Mapping[str, Any] | None, words: Mapping[str, Any], option: str) -> None:
    """Refuse a name that has an axis and an option of its own, of which one would be dropped.

    Parameters
    ----------
    axes : mapping or None
        Of a sweep or a search, by name.
    words : mapping
        What was said by options of their own, by name; None where nothing was.
    option : str
        By which axes are typed.

    Raises
    ------
    InputError
        Which name, and by which options.

    Examples
    --------
    >>> said_once({"latents": [2, 8]}, {"prior": "vamp-prior"}, "--sweep")
    """
    from elbowroom.numerics import InputError

    for name in axes or ():
        if words.get(name) is not None:
            own = f"--{name.replace('_', '-')}"
            raise InputError(f"{own} and {option} {name} say the same: leave one of the two out.")


def typed_values(name: str, values: str) -> list[Any]:
    """Values with commas between them, read as YAML.

    Parameters
    ----------
    name : str
        Of what has them.
    values : str
        What was typed.

    Returns
    -------
    list
        Of words, numbers, or mappings.

    Examples
    --------
    >>> typed_values("prior", "standard-normal, {kind: mixture-prior, components: 5}, 1e-3")
    ['standard-normal', {'kind': 'mixture-prior', 'components': 5}, 0.001]
    """
    return list(_yaml(name, f"[{values}]"))


def _yaml(name: str, text: Any) -> Any:
    """What a text means; numbers such as 1e-3 too, which YAML takes for words."""
    import yaml

    from elbowroom.numerics import InputError

    try:
        return _numbers(yaml.safe_load(text)) if isinstance(text, str) else text
    except yaml.YAMLError as error:
        raise InputError(f"{name}: {text!r} is no YAML; write a word, or '{{kind: word, option: value}}'.") from error


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
