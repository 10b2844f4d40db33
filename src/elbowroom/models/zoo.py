"""Models by the names of the literature: words of a recipe, and where each was proposed. No classes."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elbowroom.numerics import InputError

from .cell_models import CELL_MODELS

__all__ = ["Named", "named", "zoo"]


@dataclass(frozen=True)
class Named:
    """A model of the literature.

    Parameters
    ----------
    name : str
        As `elbowroom fit … --model NAME` takes it.
    paper : str
        Authors, title and year.
    words : mapping or None
        The words of its recipe in which it differs from the default one; None where there is no recipe.
    said : str, default ""
        What the name does not say: what was decided here, or why there is no recipe.

    Examples
    --------
    >>> named("beta-vae").words
    {'objective': {'kind': 'elbo', 'beta': 4.0}}
    """

    name: str
    paper: str
    words: Mapping[str, Any] | None
    said: str = field(default="")


def _objective(kind: str, **options: Any) -> dict[str, Any]:
    return {"objective": {"kind": kind, **options}}


def _flow(kind: str) -> dict[str, Any]:
    return {"posterior": {"kind": "flow-posterior", "flow": kind}}


_LINEAR = {"kind": "linear-schedule", "steps": 1_000}
_CYCLES = {"kind": "cyclical-schedule", "steps": 4_000, "cycles": 4}
_TO_25 = {"kind": "linear-schedule", "steps": 4_000}

_LABELS = "Kingma, Rezende, Mohamed & Welling, Semi-supervised learning with deep generative models (2014)"
_M2 = {"classes": "label", "objective": {"kind": "semi-supervised", "weight": 0.1}}

_ZOO = (
    Named("vae", "Kingma & Welling, Auto-encoding variational Bayes (2014)", {}),
    Named("beta-vae", "Higgins et al., β-VAE (2017)", _objective("elbo", beta=4.0)),
    Named(
        "annealed-vae",
        "Bowman et al., Generating sentences from a continuous space (2016)",
        _objective("elbo", schedule=_LINEAR),
        "The weight rises in 1,000 steps.",
    ),
    Named(
        "cyclical-vae",
        "Fu et al., Cyclical annealing schedule (2019)",
        _objective("elbo", schedule=_CYCLES),
        "Four cycles in 4,000 steps.",
    ),
    Named(
        "capacity-vae",
        "Burgess et al., Understanding disentangling in β-VAE (2018)",
        _objective("capacity", capacity=25.0, weight=1_000.0, schedule=_TO_25),
        "The capacity rises to 25 nats in 4,000 steps.",
    ),
    Named(
        "free-bits-vae",
        "Kingma et al., Improved variational inference with inverse autoregressive flow (2016)",
        _objective("free-bits", allowance=0.25, per="dimension"),
    ),
    Named(
        "geco",
        "Rezende & Viola, Taming VAEs (2018)",
        None,
        "Say the tolerance: objective={kind: geco, tolerance: …}.",
    ),
    Named(
        "multi-rate-vae",
        "Bae et al., Multi-rate VAE: Train once, get the full rate-distortion curve (2023)",
        _objective("multi-rate"),
        "Its networks read log β as an input; the paper's scale and shift their units by it.",
    ),
    Named(
        "sigma-vae",
        "Rybkin, Daniilidis & Levine, Simple and effective VAE training with calibrated decoders (2021)",
        {"likelihood": {"kind": "normal", "scale": "optimal"}},
        "For continuous and dequantised data.",
    ),
    Named(
        "linear-vae",
        "Lucas, Tucker, Grosse & Norouzi, Don't blame the ELBO! (2019)",
        {"widths": [], "likelihood": {"kind": "normal", "scale": "shared"}},
        "Probabilistic PCA; for continuous and dequantised data.",
    ),
    Named(
        "iwae",
        "Burda, Grosse & Salakhutdinov, Importance weighted autoencoders (2016)",
        _objective("iwae", draws=5),
    ),
    Named(
        "miwae",
        "Rainforth et al., Tighter variational bounds are not necessarily better (2018)",
        _objective("iwae", draws=64, groups=8),
    ),
    Named(
        "ciwae",
        "Rainforth et al., Tighter variational bounds are not necessarily better (2018)",
        _objective("iwae", draws=64, elbo=0.5),
    ),
    Named(
        "dreg-iwae",
        "Tucker, Lawson, Gu & Maddison, Doubly reparameterized gradient estimators (2019)",
        _objective("iwae", draws=5, gradient="doubly-reparameterised"),
    ),
    Named(
        "vimco",
        "Mnih & Rezende, Variational inference for Monte Carlo objectives (2016)",
        _objective("iwae", draws=5, gradient="vimco"),
        "The bound of iwae; q is moved by scores, for latents of any kind.",
    ),
    Named("wake-sleep", "Hinton, Dayan, Frey & Neal, The wake-sleep algorithm (1995)", {"objective": "wake-sleep"}),
    Named(
        "reweighted-wake-sleep",
        "Bornschein & Bengio, Reweighted wake-sleep (2015)",
        {"objective": "reweighted-wake-sleep"},
    ),
    Named(
        "aggressive-vae",
        "He, Spokoyny, Neubig & Berg-Kirkpatrick, Lagging inference networks and posterior collapse (2019)",
        {"objective": "aggressive"},
        "Aggressive until the mutual information on validation no longer climbs.",
    ),
    Named(
        "sa-vae",
        "Kim, Wiseman, Miller, Sontag & Rush, Semi-amortized variational autoencoders (2018)",
        {"objective": "semi-amortised"},
    ),
    Named(
        "monte-carlo-em",
        "Kingma & Welling, Auto-encoding variational Bayes (2014)",
        {"objective": "monte-carlo-em"},
        "The comparison of its figure 3; a q is trained beside, at the chains' draws.",
    ),
    Named(
        "full-covariance-vae",
        "Kingma & Welling, An introduction to variational autoencoders (2019)",
        {"posterior": "full-normal"},
    ),
    Named("planar-vae", "Rezende & Mohamed, Variational inference with normalizing flows (2015)", _flow("planar")),
    Named("radial-vae", "Rezende & Mohamed, Variational inference with normalizing flows (2015)", _flow("radial")),
    Named(
        "iaf-vae",
        "Kingma et al., Improved variational inference with inverse autoregressive flow (2016)",
        _flow("iaf"),
    ),
    Named("nsf-vae", "Durkan, Bekasov, Murray & Papamakarios, Neural spline flows (2019)", _flow("nsf")),
    Named(
        "hvae",
        "Rezende, Mohamed & Wierstra, Stochastic backpropagation and approximate inference (2014)",
        {"latents": [16, 8]},
        "Two stochastic layers of which q draws the lower first.",
    ),
    Named(
        "ladder",
        "Sønderby et al., Ladder variational autoencoders (2016)",
        {
            "latents": [16, 8],
            "posterior": "ladder",
            "network": {"kind": "mlp", "norm": "batch"},
            "objective": {"kind": "elbo", "schedule": _LINEAR},
        },
        "Two stochastic layers; batch normalisation, and the weight of the rate rises in 1,000 steps.",
    ),
    Named("vampprior", "Tomczak & Welling, VAE with a VampPrior (2018)", {"prior": "vamp-prior"}),
    Named(
        "gmvae",
        "Dilokthanakul et al., Deep unsupervised clustering with Gaussian mixture VAEs (2016)",
        {"prior": "mixture-prior"},
        "Its prior, a learned mixture; q(z | x) has no class beside.",
    ),
    Named(
        "svae",
        "Davidson et al., Hyperspherical variational auto-encoders (2018)",
        {"prior": "sphere-prior", "posterior": "von-mises-fisher"},
        "Measured by the ELBO and importance weights: annealing works on the real line.",
    ),
    Named(
        "concrete-vae",
        "Maddison, Mnih & Teh, The Concrete distribution (2017)",
        {"prior": "relaxed-categorical-prior", "posterior": "relaxed-categorical-posterior"},
        "A bound on log p(x) of the relaxed model; latents is its number of classes.",
    ),
    Named(
        "siwae",
        "Morningstar et al., Automatic differentiation variational inference with mixtures (2021)",
        {"posterior": {"kind": "mixture-posterior", "components": 4}, **_objective("iwae", draws=5)},
        "One draw of each of four components stands in every importance weight.",
    ),
    Named(
        "bayesian-pca",
        "Bishop, Bayesian PCA (1999)",
        {"prior": "relevance-prior", "widths": [], "likelihood": {"kind": "normal", "scale": "shared"}},
        "Superfluous latents are switched off, slowly; for continuous and dequantised data.",
    ),
    Named("flow-prior-vae", "Chen et al., Variational lossy autoencoder (2017)", {"prior": "flow-prior"}),
    Named(
        "m1",
        _LABELS,
        {},
        "A VAE that knows no labels; a classifier of scikit-learn reads its codes.",
    ),
    Named(
        "m2",
        _LABELS,
        _M2,
        "For data loaded with observed='label'; the weight is the paper's, and short trainings want 10.",
    ),
    Named(
        "m1-m2",
        _LABELS,
        {"latents": [16, 16], **_M2},
        "For data loaded with observed='label'; z of m1 is trained jointly, where the paper trains it first, or is "
        "kept (`models.build(below=)`).",
    ),
    Named(
        "beta-tc-vae",
        "Chen, Li, Grosse & Duvenaud, Isolating sources of disentanglement in VAEs (2018)",
        _objective("beta-tc", beta=6.0),
    ),
    Named("factor-vae", "Kim & Mnih, Disentangling by factorising (2018)", _objective("total-correlation", weight=6.4)),
    Named(
        "dip-vae",
        "Kumar, Sattigeri & Balakrishnan, Variational inference of disentangled latent concepts (2018)",
        _objective("dip", of="means"),
    ),
    Named(
        "dip-vae-ii",
        "Kumar, Sattigeri & Balakrishnan, Variational inference of disentangled latent concepts (2018)",
        _objective("dip", of="draws"),
    ),
    Named(
        "info-vae",
        "Zhao, Song & Ermon, InfoVAE (2019)",
        _objective("discrepancy", rate=0.5, weight=9.5),
        "α = 0.5 and λ = 10 of the paper; no bound on log p(x).",
    ),
    Named(
        "wae",
        "Tolstikhin, Bousquet, Gelly & Schölkopf, Wasserstein auto-encoders (2018)",
        _objective("discrepancy", rate=0.0, weight=10.0),
        "With the discrepancy and a normal encoder; what is trained is no density of x.",
    ),
    Named(
        "rate-distortion-autoencoder",
        "Alemi et al., Fixing a broken ELBO (2018)",
        _objective("rate-distortion"),
        "Squares; a distance of your own stands for no density.",
    ),
    *(Named(**one) for one in CELL_MODELS),
    Named(
        "vq-vae",
        "van den Oord, Vinyals & Kavukcuoglu, Neural discrete representation learning (2017)",
        None,
        "Its code is the nearest of a book, not a draw of q(z | x), so its loss bounds no log p(x).",
    ),
    Named(
        "vae-gan",
        "Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016)",
        None,
        "Its decoder is trained by a discriminator and has no density of x.",
    ),
    Named(
        "aae",
        "Makhzani, Shlens, Jaitly, Goodfellow & Frey, Adversarial autoencoders (2016)",
        {"objective": "adversarial"},
        "A critic takes the place of the rate, so nothing bounds log p(x).",
    ),
    Named(
        "ae",
        "Hinton & Salakhutdinov, Reducing the dimensionality of data with neural networks (2006)",
        None,
        "Without q(z | x) there is no density; objective={kind: elbo, beta: 0} trains the decoder alone.",
    ),
    Named(
        "rae",
        "Ghosh et al., From variational to deterministic autoencoders (2020)",
        None,
        "Its encoder is deterministic, so that there is no q(z | x) to bound log p(x) with.",
    ),
    Named(
        "ms-ssim-vae",
        "Snell et al., Learning to generate images with perceptual similarity metrics (2017)",
        None,
        "A similarity stands for no density; for images: objective={kind: rate-distortion, distance: ms-ssim, weight: "
        "100}.",
    ),
    Named(
        "hrq-vae",
        "Hosking, Tang & Lapata, Hierarchical sketch induction for paraphrase generation (2022)",
        None,
        "Its codes are the nearest of a book at each level, so its loss bounds no log p(x); vq-vae is its one level.",
    ),
    Named(
        "hamiltonian-vae",
        "Caterini, Doucet & Sejdinovic, Hamiltonian variational auto-encoder (2018)",
        None,
        "Left out: it puts steps of HMC into q; `ais` and `bdmc` put annealed ones beside any q, and say by how much.",
    ),
    Named(
        "riemannian-hamiltonian-vae",
        "Chadebec, Mantoux & Allassonnière, Geometry-aware Hamiltonian variational auto-encoder (2020)",
        None,
        "Left out, as hamiltonian-vae is; its samples are drawn by a learned metric, and not from p(z).",
    ),
    Named(
        "poincare-vae",
        "Mathieu, Le Lan, Maddison, Tomioka & Teh, Continuous hierarchical representations with Poincaré VAEs (2019)",
        None,
        "Left out: it has a density, but no prior and posterior are built for its latents, in a hyperbolic ball.",
    ),
    Named(
        "piwae",
        "Rainforth et al., Tighter variational bounds are not necessarily better (2018)",
        None,
        "Two objectives: procedures.Procedure of a Phase for the posterior (miwae) and one for the rest (iwae).",
    ),
)


def zoo() -> list[Named]:
    """The models of the literature that are known by name.

    Returns
    -------
    list of Named
        Those with a recipe, and those that have none, with the reason.

    Examples
    --------
    >>> [one.name for one in zoo()][:3]
    ['vae', 'beta-vae', 'annealed-vae']
    """
    return list(_ZOO)


def named(name: str) -> Named:
    """A model of the literature by its name.

    Parameters
    ----------
    name : str
        As in `zoo`.

    Returns
    -------
    Named
        Its words.

    Raises
    ------
    InputError
        For a name that is not known.

    Examples
    --------
    >>> named("iwae").paper
    'Burda, Grosse & Salakhutdinov, Importance weighted autoencoders (2016)'
    """
    by_name = {one.name: one for one in _ZOO}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, 1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"There is no model {name!r}; `elbowroom zoo` lists them.{guess}")
    return by_name[name]


def words_of(name: str) -> dict[str, Any]:
    """The words of a named model's recipe; InputError where there are none."""
    found = named(name)
    if found.words is None:
        raise InputError(f"The model {name!r} has no recipe: {found.said}")
    return dict(found.words)
