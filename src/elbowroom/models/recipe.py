"""A recipe: what a model is and what trains it, in plain values."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elbowroom.data import Dataset
from elbowroom.networks import MLP
from elbowroom.numerics import InputError, derived_seed, plain, plain_arguments
from elbowroom.numerics.seeded import seeded

from .misfits import refuse_misfits
from .sizes import AUTO, latents_for, widths_for
from .words import SETTINGS, Word, classes_of, instance_of, read_classes, split, takes
from .zoo import words_of

__all__ = ["Recipe", "as_recipe", "goal"]


@plain_arguments
@dataclass(frozen=True)
class Recipe:
    """What a model is and how it is trained, in words and numbers that can be written as YAML and read back.

    A word is a kind, or a mapping with "kind" and options, such as {"kind": "normal", "scale": "shared"}; `known_words`
    lists the kinds.

    Parameters
    ----------
    prior : str or mapping, default "standard-normal"
        A word for p(z).
    posterior : str or mapping, default "diagonal-normal"
        A word for q(z | x).
    likelihood : str or mapping, default "auto"
        A word for p(x | z); "auto" takes what the support of the data asks for.
    network : str or mapping, default "mlp"
        A word for encoder and decoder; those other than "mlp" are for images (C, H, W). Hidden layers of an mlp decoder
        that are not those of the encoder reversed are said here: {"kind": "mlp", "decoder": []} is a linear one.
    latents : int or sequence of int or "auto", default "auto"
        Dimensions of z, or classes where prior and posterior are categorical; "auto" is a size that the columns of the
        data bear, as `sized` says. Several sizes, [20, 10], make as many
        stochastic layers, from the one that the decoder reads, "z", to the top, "z2": the prior is the top's, each
        other layer has a normal given the one above. With the posterior "ladder" each is drawn given x and the layers
        above; with another each is drawn given the one below.
    widths : sequence of int or "auto", default "auto"
        Hidden layers of an "mlp" encoder; the decoder has them in reverse order. "auto" is two, as wide as the data
        ask for (`sized`).
    context : sequence of str or str, default "auto"
        Names of contexts of the data, such as "label", which the networks of q(z | x), of p(x | z) and of lower layers
        read beside x or z: the model is then of log p(x | context). "auto" are those that `load_data` was told by
        name, for every part whose word does not say `given` itself; "none", or [], none. The prior of the top layer
        reads them where its word says so: prior={"kind": "normal-prior", "given": ["label"]}.
    seed : int, default 0
        Of the weights, and of the shuffling and noise of training.
    objective : str or mapping, default "elbo"
        A word for what is minimised, with its numbers as options: {"kind": "elbo", "beta": 0.5}.
    training : mapping, default {}
        Settings of `fit`, such as epochs, batch_size and lr.
    classes : str or mapping, optional
        The name of a block of the data that is known for some examples, such as "label" (`load_data(observed=)`), which
        is then a latent block of classes: q(y | x), q(z | x, y), p(x | z, y), summed over the classes where y is not
        known. With several layers y belongs to the top one: q(y | z), q(z2 | z, y), p(z | z2, y), and p(x | z) reads z
        alone. p(y) is learned; {"name": "label", "prior": "uniform"} fixes it.

    Raises
    ------
    InputError
        For a word that is not known, and for an objective that asks of prior and posterior what they do not have.

    Examples
    --------
    >>> Recipe(latents=2).where(beta=0.5, lr=1e-4).to_dict()["objective"]
    {'kind': 'elbo', 'beta': 0.5}
    """

    prior: Word = "standard-normal"
    posterior: Word = "diagonal-normal"
    likelihood: Word = "auto"
    network: Word = "mlp"
    latents: int | Sequence[int] | str = AUTO
    widths: Sequence[int] | str = AUTO
    context: Sequence[str] | str = AUTO
    seed: int = 0
    objective: Word = "elbo"
    training: Mapping[str, Any] = field(default_factory=dict)
    classes: Word | None = None

    def __post_init__(self) -> None:
        for part in ("prior", "posterior", "likelihood", "network", "objective"):
            split(part, getattr(self, part))
        for name in ("latents", "widths"):
            if isinstance(value := getattr(self, name), str) and value != AUTO:
                raise InputError(f"{name} must be whole numbers or 'auto'; got {value!r}.")
        if self.latents != AUTO and min(self.layers, default=0) < 1:
            raise InputError(f"latents must be 1 or more; got {self.latents}.")
        if self.latents != AUTO and len(self.layers) == 1:
            object.__setattr__(self, "latents", self.layers[0])
        if isinstance(self.context, str) and self.context != AUTO:
            object.__setattr__(self, "context", () if self.context == "none" else (self.context,))
        known = self.block_of_classes is not None
        refuse_misfits(self.prior, self.posterior, self.objective, layers=self.depth, classes=known)
        strange = [name for name in self.training if name not in SETTINGS]
        if strange:
            raise InputError(f"Training has no setting {strange[0]!r}; it has: {', '.join(SETTINGS)}.")
        for one in dataclasses.fields(self):
            value = plain(getattr(self, one.name))
            object.__setattr__(self, one.name, tuple(value) if isinstance(value, list) else value)

    def where(self, **words: Any) -> "Recipe":
        """The same recipe with other words.

        Parameters
        ----------
        **words : Any
            Fields of the recipe, options of its objective, or settings of training, by name; or `model`, the name of a
            model in `zoo`, whose words come before the others.

        Returns
        -------
        Recipe
            A new one.

        Raises
        ------
        InputError
            For a name that is none of these.

        Examples
        --------
        >>> Recipe().where(objective={"kind": "elbo", "draws": 2}, beta=2.0).objective
        {'kind': 'elbo', 'draws': 2, 'beta': 2.0}
        """
        words, names = plain(words), [one.name for one in dataclasses.fields(self)]
        if "model" in words:
            return self.where(**words_of(words.pop("model"))).where(**words)
        recipe = dataclasses.replace(self, **{name: words.pop(name) for name in names if name in words})
        kind, options = split("objective", recipe.objective)
        theirs = takes(classes_of("objective")[kind])
        known = dict.fromkeys([*names, *theirs, *SETTINGS])
        for name in words:
            if name not in known:
                raise InputError(f"A recipe has no word {name!r}; it has: {', '.join(known)}.")
        options |= {name: words.pop(name) for name in list(words) if name in theirs}
        objective = {"kind": kind, **options} if options else kind
        return dataclasses.replace(recipe, objective=objective, training={**recipe.training, **words})

    def sized(self, data: Dataset) -> "Recipe":
        """The same recipe with numbers for "auto": the latents and widths that data of this shape are given.

        Parameters
        ----------
        data : Dataset
            Its columns and training rows are counted, its values are not read.

        Returns
        -------
        Recipe
            Without "auto" latents and widths.

        Examples
        --------
        >>> import elbowroom as er
        >>> sized = Recipe().sized(er.load_data("digits"))
        >>> sized.latents, sized.widths
        (16, (256, 256))
        """
        latents = latents_for(data) if self.latents == AUTO else self.latents
        widths = widths_for(data) if self.widths == AUTO else self.widths
        return dataclasses.replace(self, latents=latents, widths=widths)

    def contexts_of(self, data: Dataset, beside: Sequence[str] = ()) -> tuple[str, ...]:
        """Names of the contexts that the networks of the recipe read on this data set.

        Parameters
        ----------
        data : Dataset
            Which knows the contexts that it was told by name.
        beside : sequence of str, default ()
            What the likelihood reads itself, as a size factor; "auto" leaves it to that.

        Returns
        -------
        tuple of str
            Each once.

        Raises
        ------
        InputError
            For a context that the data do not have.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits", context="label")
        >>> Recipe().contexts_of(digits), Recipe(context="none").contexts_of(digits)
        (('label',), ())
        """
        if self.context == AUTO:
            return tuple(name for name in data.conditions if name not in beside)
        for name in self.context:
            if name not in data.train.context:
                there = ", ".join(data.train.context) or "none"
                raise InputError(f"The recipe reads the context {name!r}, which the data lack (they have: {there}).")
        return tuple(dict.fromkeys(self.context))

    @property
    def depth(self) -> int:
        """How many stochastic layers there are."""
        return 1 if isinstance(self.latents, int | str) else len(self.latents)

    @property
    def layers(self) -> tuple[int, ...]:
        """Sizes of the stochastic layers, from the one that the decoder reads to the top.

        Examples
        --------
        >>> Recipe(latents=2).layers, Recipe(latents=[20, 10]).layers
        ((2,), (20, 10))
        """
        if isinstance(self.latents, str):
            raise InputError("How many latents 'auto' are is for the data to say: ask recipe.sized(data).")
        return (self.latents,) if isinstance(self.latents, int) else tuple(self.latents)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the encoder's hidden layers.

        Examples
        --------
        >>> Recipe(widths=[64, 32]).hidden
        (64, 32)
        """
        if isinstance(self.widths, str):
            raise InputError("How wide 'auto' is is for the data to say: ask recipe.sized(data).")
        return tuple(self.widths)

    @property
    def model(self) -> tuple[Any, ...]:
        """The words that make the model, those of its training apart."""
        words = self.prior, self.posterior, self.likelihood, self.network, self.latents, self.widths
        return *words, self.context, self.classes

    @property
    def block_of_classes(self) -> tuple[str, str] | None:
        """Name of the block of classes, and "learned" or "uniform" of its prior; None where there is no such block.

        Examples
        --------
        >>> Recipe(classes="label").block_of_classes
        ('label', 'learned')
        """
        if self.classes is None:
            return None
        return read_classes(self.classes)

    def trains_by(self, name: str) -> bool:
        """Whether the objective has an option of this name.

        Examples
        --------
        >>> Recipe().trains_by("beta"), Recipe().trains_by("lr")
        (True, False)
        """
        return name in takes(classes_of("objective")[split("objective", self.objective)[0]])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, lists in place of tuples: Recipe(**values) is the recipe again."""
        return {one.name: plain(getattr(self, one.name)) for one in dataclasses.fields(self)}


def as_recipe(words: Recipe | Mapping[str, Any]) -> Recipe:
    """A recipe, or the default one with these words."""
    return words if isinstance(words, Recipe) else Recipe().where(**words)


def goal(recipe: Recipe | Mapping[str, Any]) -> Any:
    """Make the objective, or the procedure, that a recipe is trained by.

    Parameters
    ----------
    recipe : Recipe or mapping
        A recipe, or the words in which it differs from the default one.

    Returns
    -------
    Objective or Procedure
        What `fit` takes. Where it has parameters of its own they are drawn by the recipe's seed; a critic of z is an
        mlp of the recipe's widths.

    Raises
    ------
    InputError
        For an objective with a critic, whose sizes "auto" does not say: `Recipe.sized` fills them in.

    Examples
    --------
    >>> goal({"beta": 0.5}).beta
    tensor(0.5000)
    """
    recipe = as_recipe(recipe)
    kind, options = split("objective", recipe.objective)
    if not recipe.trains_by("critic"):
        return instance_of("objective", kind, options, {})
    with seeded(derived_seed(recipe.seed, 1)):
        critic = MLP([sum(recipe.layers), *recipe.hidden, 1])
        return instance_of("objective", kind, options, {"critic": critic})
