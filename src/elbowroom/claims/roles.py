"""Which argument of somebody's loss is which: names as they are common, and outputs that answer to all of them."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from elbowroom.numerics import InputError

__all__ = ["ROLES", "SPREADS", "Outputs", "Plan", "plans_of", "role_of", "spread_of"]

ROLES = ("recon", "x", "mu", "spread")
SPREADS = {
    "log-variance": "the log of the variance",
    "log-std": "the log of the standard deviation",
    "variance": "the variance",
    "std": "the standard deviation",
}

_RECON = r"""recon\w* x_?recon\w* \w*_recon\w* x_?rec rec x_?hat y_?hat x_?tilde x_?prime out\w* decod\w* pred\w*
y_?pred
    x_?pred generated gen\w* logits x_?logits? xr x_?out x_?mean mean_?x mu_?x x_?mu p_?x px\w* rebuilt fake"""
_X = r"""x xs y input\w* target\w* data\w* images? imgs? orig\w* x_?orig y_?true x_?true real x_?real batch\w* sample\w*
    gt features x_?in label\w* ground_?truth observ\w* xb true"""
_MU = r"""mu mus m mean means z_?mean z_?mu mu_?z mean_?z latent_?mean latent_?mu q_?z?_?mu?(ean)? mu_?q enc\w*mean
    enc\w*mu loc mu_?enc"""
_Z = r"z zs z_?samples? latents? codes? sampled?_?z"
_Q = r"q qz q_?z posteriors? dists? q_?dist q_?z_?x qz_?x distribution"


def _is(words: str, name: str) -> bool:
    return any(re.fullmatch(word, name) for word in words.split())


def spread_of(name: str) -> str | None:
    """What a name says that an encoder's second output is, in the words of `SPREADS`; None where it says nothing."""
    flat = name.lower().replace("_", "")
    if re.search(
        r"logvar|logv$|logv(ar)?s|lv$|^lv|logsigma2|logs2|logsigmasq|logsig2|logsigmasquared|logcov|logvariance", flat
    ):
        return "log-variance"
    if re.search(r"log(std|sigma|sig|scale|sd|stddev)|(rho)$", flat):
        return "log-std"
    if re.search(r"var|sigma2|sigmasq|cov|qv$|qzv$|sigma_?squared", flat):
        return "variance"
    return "std" if re.search(r"std|sigma|sd$|scale|^s$|sig$", flat) else None


def role_of(name: str) -> str | None:
    """The role of an argument or an entry by its name: one of `ROLES`, "z", "q", or None."""
    flat = name.lower().strip("_")
    for role, words in (("x", r"x"), ("recon", _RECON), ("z", _Z), ("q", _Q), ("mu", _MU)):
        if _is(words, flat):
            return role
    if spread_of(flat):
        return "spread"
    return "x" if _is(_X, flat) else None


class Outputs(dict):
    """What a model returned, whatever a loss takes it for: a tuple, a mapping or an object with attributes.

    Parameters
    ----------
    order : tuple of str
        The roles in the order in which they are unpacked.
    values : dict
        What each role is.
    """

    def __init__(self, order: tuple[str, ...], values: dict[str, Any]) -> None:
        super().__init__(values)
        self.__dict__["order"] = order
        self.__dict__["asked"] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter([self[role] for role in self.order])

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            return self[self.order[key]]
        if isinstance(key, slice):
            return [self[role] for role in self.order[key]]
        role = key if key in ROLES else role_of(str(key))
        if role is None or not dict.__contains__(self, role):
            raise KeyError(key)
        self.asked[role] = str(key)
        return dict.__getitem__(self, role)

    def __contains__(self, key: Any) -> bool:
        return dict.__contains__(self, role_of(str(key)))

    def get(self, key: Any, default: Any = None) -> Any:
        """As a mapping's."""
        return self[key] if key in self else default  # noqa: SIM401

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self:
            raise AttributeError(name)
        return self[name]


class Plan:
    """One way of calling a loss: which role, or which outputs, stand in the place of which argument.

    Parameters
    ----------
    places : list of (str or None, role)
        Argument name, or None where it is given by place; and what it is given: a role, or roles in the order in which
        outputs are unpacked.
    """

    def __init__(self, places: list[tuple[str | None, str | tuple[str, ...]]]) -> None:
        self.places = places
        self.asked = {name: role for name, role in places if name and isinstance(role, str)}
        self.used: set[str] = set()

    def __call__(self, fn: Callable[..., Any], values: dict[str, Any], others: dict[str, Any]) -> Any:
        """The loss of these values, by role, and of further arguments by name."""
        given, named, seen = [], dict(others), []
        for name, role in self.places:
            value = values[role] if isinstance(role, str) else Outputs(role, values)
            seen += [value] if isinstance(value, Outputs) else []
            if name is None:
                given.append(value)
            else:
                named[name] = value
        found = fn(*given, **named)
        for one in seen:
            self.asked |= {key: role for role, key in one.asked.items()}
        self.used = {role for _, role in self.places if isinstance(role, str)} | {r for one in seen for r in one.asked}
        return found

    def named(self, role: str) -> str | None:
        """By which name the loss calls a role."""
        return next((name for name, one in self.asked.items() if one == role and name not in ROLES), None)


_ORDERS = (
    ROLES,
    ("x", "recon", "mu", "spread"),
    ("mu", "spread", "recon", "x"),
    ("mu", "spread", "x", "recon"),
    ("recon", "mu", "spread", "x"),
    ("x", "mu", "spread", "recon"),
)


def plans_of(fn: Callable[..., Any], others: dict[str, Any]) -> tuple[list[Plan], list[str]]:
    """Ways of calling a loss, the likeliest first, and the names of its arguments that were not given in `others`.

    Parameters
    ----------
    fn : callable
        The loss.
    others : dict
        Further arguments, by name.

    Returns
    -------
    tuple of (list of Plan, list of str)
        What may be tried.

    Raises
    ------
    InputError
        For an argument without a default of which nobody knows what it is.
    """
    names, star = _asked(fn, others)
    if star:
        return [Plan([(None, role) for role in order]) for order in (("recon", "x", "mu", "spread"), *_ORDERS[1:])], []
    roles = {name: role_of(name) for name in names}
    found: list[Plan] = []
    if len(names) in (1, 2):
        found += _with_outputs(names)
    taken = list(roles.values())
    if None not in taken and len(set(taken)) == len(taken) and (len(names) > 2 or "mu" not in taken):
        found.append(Plan([(name, role) for name, role in roles.items() if role]))
    if len(names) == 4:
        found += [Plan(list(zip(names, order, strict=True))) for order in _ORDERS]
    if not found:
        odd = next((name for name, role in roles.items() if role is None), names[-1] if names else "nothing")
        raise InputError(
            f"The loss asks for {odd!r}, and only a reconstruction, x, mu, logvar and z are known by their names: give "
            f"a "
            f"number for it in others={{{odd!r}: …}}, or wrap the loss as `lambda recon, x, mu, logvar: …`."
        )
    return found, names


def _with_outputs(names: list[str]) -> list[Plan]:
    """All that a model returned as one argument, beside x or with it."""
    if len(names) == 1:
        return [Plan([(names[0], ("recon", "x", "mu", "spread"))])]
    first, second = names
    orders = (("recon", "mu", "spread"), ("recon", "x", "mu", "spread"))
    places = [(first, second), (second, first)]
    if role_of(first) == "x":
        places.reverse()
    return [Plan([(out, order), (x, "x")]) for out, x in places for order in orders]


def _asked(fn: Callable[..., Any], others: dict[str, Any]) -> tuple[list[str], bool]:
    """Names of the arguments that must be given, or are roles, and whether all are given by place."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return [], True
    names: list[str] = []
    for name, one in signature.parameters.items():
        if one.kind is one.VAR_POSITIONAL:
            return [], True
        if name in others or one.kind is one.VAR_KEYWORD:
            continue
        if one.default is one.empty or role_of(name) in ("mu", "spread"):
            names.append(name)
    return names, False
