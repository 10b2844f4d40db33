"""Words that do not go together, refused when a recipe is read."""

from typing import Any

from torch import nn

from elbowroom.components import Component
from elbowroom.numerics import InputError

from .words import Word, classes_of, instance_of, split, takes

__all__ = ["refuse_misfits"]


def refuse_misfits(prior: Word, posterior: Word, objective: Word, *, layers: int = 1, classes: bool = False) -> None:
    """Refuse a prior and a posterior over different things, and an objective that asks of them what they do not have.

    Parameters
    ----------
    prior, posterior, objective : str or mapping
        Words of a recipe.
    layers : int, default 1
        Stochastic layers of the model.
    classes : bool, default False
        Whether a block of classes stands beside them.

    Raises
    ------
    InputError
        With the reason and the way out; also for an objective whose numbers are out of range.
    """
    pair = _Pair(prior, posterior, layers, classes)
    kind, options = split("objective", objective)
    rules = pair.rules()
    if _complete(kind, options):
        rules += _of_objective(kind, instance_of("objective", kind, options, {"critic": nn.Identity()}), pair)
    for wrong, said in rules:
        if wrong:
            raise InputError(said)


class _Pair:
    """A prior and a posterior by their words: p and q."""

    def __init__(self, prior: Word, posterior: Word, layers: int, classes: bool) -> None:
        self.p, p_class = _class_of("prior", prior)
        self.q, q_class = _class_of("posterior", posterior)
        self.family = split("posterior", posterior)[1].get("family")
        self.layers, self.beside_classes = layers, classes
        self.p_form, self.q_form = p_class.form, q_class.form
        self.p_over, self.q_over = p_class.over, q_class.over
        self.ladder, self.calls = self.q == "ladder", "posterior" in takes(p_class)

    def rules(self) -> list[tuple[bool, str]]:
        """What of the two does not go together, and the sentence about it."""
        p, q = f"The prior {self.p!r}", f"the posterior {self.q!r}"
        numbers = "real numbers"
        return [
            (
                self.ladder and self.layers == 1,
                "A ladder has two stochastic layers or more: say their sizes, latents=[20, 10], or take "
                "posterior='diagonal-normal'.",
            ),
            (
                self.layers > 1 and self.q_over != numbers,
                f"Layers below the top have normal priors, over real numbers, and {q} is over {self.q_over}: take one "
                f"over real numbers, or a single layer.",
            ),
            (
                self.calls and self.layers > 1 and not self.ladder,
                f"{p} calls the top layer's q on pseudo-inputs, and that reads the layer below: take "
                f"posterior='ladder', whose top reads x.",
            ),
            (
                self.beside_classes and self.ladder,
                "A ladder draws its top layer first, given x, and a block of classes belongs to that layer: take "
                "posterior='diagonal-normal', or leave classes= out.",
            ),
            (
                self.beside_classes and self.calls,
                f"{p} calls q at pseudo-inputs, whose class nobody knows: take prior='mixture-prior', or leave "
                f"classes= out.",
            ),
            (
                self.calls and self.laid_out,
                f"{p} is a mixture of draws of q at pseudo-inputs, and {q} lays its classes or components out: take "
                f"posterior='diagonal-normal'.",
            ),
            (
                self.p_over == "classes" and self.q_over == "the simplex",
                f"{q[0].upper()}{q[1:]} is relaxed and {p[0].lower()}{p[1:]} over classes, so that nothing bounds log "
                f"p(x): take prior='relaxed-categorical-prior', or posterior='categorical-posterior', which is exact.",
            ),
            (
                self.p_over != self.q_over,
                f"{p} is over {self.p_over}, and {q} over {self.q_over}: take two that are over the same.",
            ),
        ]

    @property
    def closed(self) -> bool:
        """Whether the KL of every layer is closed."""
        from_normal = self.p_form == "independent normal" and "normal" in self.q_form
        from_uniform = self.p_form == "uniform" and self.family != "logit-normal"
        alike = self.q_form == self.p_form and self.q_form in ("classes", "grid of classes", "sphere")
        alone = (self.layers == 1 or self.ladder) and not self.beside_classes  # a class that is known has no q
        return (from_normal or from_uniform or alike) and alone

    @property
    def by_element(self) -> bool:
        """Whether it is a sum over elements."""
        return self.closed and self.q_form in ("independent normal", "classes", "grid of classes", "bounded")

    @property
    def path(self) -> bool:
        """Whether the draw carries a gradient and q has parameters of its own."""
        return self.q_form not in ("classes", "grid of classes", "other") and not self.beside_classes

    @property
    def no_path(self) -> str:
        """What has no such posterior."""
        return "a block of classes" if self.beside_classes else repr(self.q)

    @property
    def what(self) -> str:
        """What it is that a pass lays out, where it lays anything out."""
        return "the classes of the recipe" if self.beside_classes else f"the classes or components of {self.q!r}"

    @property
    def laid_out(self) -> bool:
        """Whether a pass sums over q's classes or components and does not draw one."""
        return self.q_form in ("classes", "mixture") or self.beside_classes


def _of_objective(kind: str, asked: Any, pair: _Pair) -> list[tuple[bool, str]]:
    """What the objective asks and the two do not have, and the sentence about it."""
    q, by_score = pair.q, getattr(asked, "gradient", None) in ("score", "vimco")
    path = "needs a posterior with parameters of its own, drawn with a gradient, and"
    kl = f"The KL of the posterior {q!r} from the prior {pair.p!r}{' beside a block of classes' * pair.beside_classes}"
    drawn = ("reweighted-wake-sleep", "total-correlation", "adversarial", "dip", "discrepancy", "aggressive")
    without_draws_of_q = ("prior-sampling",)

    def asks(name: str, value: str) -> bool:
        return getattr(asked, name, None) == value

    return [
        (
            pair.q_form == "grid of classes" and not by_score and kind not in without_draws_of_q,
            f"The posterior {q!r} draws a class in every cell, and such a draw carries no gradient: take "
            f"{{'kind': 'elbo', 'gradient': 'score', 'draws': 4}}.",
        ),
        (asks("kl", "closed") and not pair.closed, f"{kl} has no closed form: leave out kl='closed'."),
        (
            asks("kl", "sticking-the-landing") and not pair.path,
            f"kl='sticking-the-landing' {path} {pair.no_path} is none: leave it out.",
        ),
        (
            asks("gradient", "doubly-reparameterised") and (pair.laid_out or not pair.path),
            f"A doubly reparameterised gradient {path} {pair.no_path} is none: take gradient='plain'.",
        ),
        (
            asks("gradient", "doubly-reparameterised") and pair.layers > 1,
            "A doubly reparameterised gradient is biased where layers of q read one another: take gradient='plain'.",
        ),
        (
            asks("per", "dimension") and not pair.by_element,
            f"{kl} has no closed form by dimension: take per='block'.",
        ),
        (
            kind == "beta-tc"
            and (pair.q_form not in ("independent normal", "bounded") or pair.layers > 1 or pair.beside_classes),
            f"The parts of the rate need one layer of independent elements and nothing beside it, which {q!r} has not: "
            f"take 'elbo'.",
        ),
        (
            kind in drawn and pair.laid_out,
            f"The objective {kind!r} compares draws of z, and {pair.what} are laid out and not drawn: take 'elbo' or "
            f"'iwae'.",
        ),
        (
            kind == "monte-carlo-em" and (pair.laid_out or pair.q_over != "real numbers"),
            f"The objective 'monte-carlo-em' moves z by Hamiltonian chains over real numbers, and "
            f"{pair.what if pair.laid_out else repr(q) + ' is over ' + pair.q_over}"
            f"{' are laid out' if pair.laid_out else ''}: take 'elbo' or 'iwae'.",
        ),
        (
            getattr(asked, "of_classes", False) and not pair.beside_classes,
            f"The objective {kind!r} needs a block of classes that is known for some examples: say classes='label' for "
            f"data loaded with observed='label', or take 'elbo'.",
        ),
        (
            kind == "prior-sampling" and pair.beside_classes,
            "The objective 'prior-sampling' draws every block from the prior, the classes that are known too: take "
            "'elbo' or 'iwae'.",
        ),
        (
            kind == "multi-rate" and pair.calls,
            f"The prior {pair.p!r} calls q at pseudo-inputs, and the objective 'multi-rate' lets q read the weight of "
            f"the rate too: take prior='mixture-prior', or 'elbo'.",
        ),
        (
            kind == "semi-amortised" and (pair.layers > 1 or pair.ladder or pair.beside_classes),
            "The objective 'semi-amortised' refines q by example, and a block of several reads the draws of another: "
            "take 'elbo', or one block.",
        ),
        (
            kind == "dip" and pair.q_form in ("other", "simplex"),
            f"The objective 'dip' needs the mean and the variance of q, which {q!r} has not: take 'elbo'.",
        ),
    ]


def _complete(kind: str, options: dict[str, Any]) -> bool:
    """Whether the objective has all that it must be told; if not, `goal` says what it lacks."""
    needed = (p for p in takes(classes_of("objective")[kind]).values() if p.default is p.empty)
    return all(one.name in options or one.name == "critic" for one in needed)


def _class_of(part: str, word: Word) -> tuple[str, type[Component]]:
    kind, _ = split(part, word)
    return kind, classes_of(part)[kind]
