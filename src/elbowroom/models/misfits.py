"""Words that do not go together, refused when a recipe is read."""

from typing import Any

from torch import nn

from elbowroom.components import Form
from elbowroom.numerics import InputError

from .words import Word, classes_of, instance_of, split, takes

__all__ = ["refuse_misfits"]


def refuse_misfits(prior: Word, posterior: Word, objective: Word) -> None:
    """Refuse an objective that asks of prior and posterior what they do not have.

    Parameters
    ----------
    prior, posterior, objective : str or mapping
        Words of a recipe.

    Raises
    ------
    InputError
        With the reason and the way out; also for an objective whose numbers are out of range.
    """
    kind, options = split("objective", objective)
    if not _complete(kind, options):
        return
    asked = instance_of("objective", kind, options, {"critic": nn.Identity()})
    for wrong, said in _rules(kind, asked, *_form("prior", prior), *_form("posterior", posterior)):
        if wrong:
            raise InputError(said)


def _rules(kind: str, asked: Any, p: str, p_form: Form, q: str, q_form: Form) -> list[tuple[bool, str]]:
    """What is wrong where, and the sentence about it."""
    closed = p_form == q_form == "classes" or (p_form == "independent normal" and "normal" in q_form)
    by_element = p_form == q_form and q_form in ("independent normal", "classes")
    path = "needs a posterior with parameters of its own, drawn with a gradient, and"
    no_path, kl = q_form in ("classes", "other"), f"The KL of the posterior {q!r} from the prior {p!r}"
    drawn = ("reweighted-wake-sleep", "total-correlation", "adversarial", "dip", "discrepancy")

    def asks(name: str, value: str) -> bool:
        return getattr(asked, name, None) == value

    return [
        (asks("kl", "closed") and not closed, f"{kl} has no closed form: leave out kl='closed'."),
        (
            asks("kl", "sticking-the-landing") and no_path,
            f"kl='sticking-the-landing' {path} {q!r} is none: leave it out.",
        ),
        (
            asks("gradient", "doubly-reparameterised") and no_path,
            f"A doubly reparameterised gradient {path} {q!r} is none: take gradient='plain'.",
        ),
        (asks("per", "dimension") and not by_element, f"{kl} has no closed form by dimension: take per='block'."),
        (
            kind == "beta-tc" and q_form != "independent normal",
            f"The parts of the rate need independent elements, which {q!r} has not: take 'elbo'.",
        ),
        (
            kind in drawn and q_form == "classes",
            f"The objective {kind!r} compares draws of z, and classes are not drawn: take 'elbo' or 'iwae'.",
        ),
        (
            kind == "dip" and q_form == "other",
            f"The objective 'dip' needs the mean and the variance of q, which {q!r} has not: take 'elbo'.",
        ),
    ]


def _complete(kind: str, options: dict[str, Any]) -> bool:
    """Whether the objective has all that it must be told; if not, `goal` says what it lacks."""
    needed = (p for p in takes(classes_of("objective")[kind]).values() if p.default is p.empty)
    return all(one.name in options or one.name == "critic" for one in needed)


def _form(part: str, word: Word) -> tuple[str, Form]:
    kind, _ = split(part, word)
    return kind, getattr(classes_of(part)[kind], "form", "other")
