"""Every threshold of the verdict, set on families A and B of `reproductions/verdicts` before family C was trained."""

__all__ = [
    "AMORTISATION",
    "BEYOND_CLASSICS",
    "CONDITION",
    "COVERAGE",
    "ERRORS",
    "GENERALISATION",
    "NOISE_GAIN",
    "NOISE_SHARE",
    "OBJECTIVE",
    "PRIOR_GAP",
    "RATE",
    "RESIDUAL_GAIN",
    "TRUE_RATE",
]

ERRORS = 2.0
"""Standard errors by which a number must pass its threshold."""

RATE = 0.1
"""Collapsed: nats of KL(q(z | x) ‖ p(z)), of all units together, below which q is the prior."""

TRUE_RATE = 0.2
"""Of a collapsed model: nats of KL(p(z | x) ‖ p(z)) above which the true posterior is not the prior."""

NOISE_SHARE = 1.0
"""Of a collapsed model: greatest eigenvalue of what the units in use leave, in units of the noise variance, below which
no unit more pays (Lucas et al. 2019)."""

AMORTISATION = 0.5
"""Inference lagging: nats that the encoder loses against the best q of its family."""

COVERAGE = 10.0
"""Overconfident encoder: points by which the 90 % intervals of q hold less of the true posterior."""

PRIOR_GAP = 0.2
"""Holes in the prior: nats that a density fitted to q(z) gains over p(z) on other examples."""

NOISE_GAIN = 0.2
"""Noise mis-scaled: nats that the best scale or temperature wins."""

RESIDUAL_GAIN = 0.3
"""Residuals correlated: nats that correlated noise wins."""

GENERALISATION = 0.5
"""Overfitted: nats of log p(x) that training examples have more than those of test."""

BEYOND_CLASSICS = 0.5
"""Underfitted: nats by which a classic that was fitted to other rows fits the training data better,
what holes, noise and residuals win set aside where these are found."""

OBJECTIVE = 0.05
"""No bound: nats between what the objective says and the ELBO, where it is no bound by how it is made."""

CONDITION = 50.0
"""Condition lost: percent of what a straight line from the context explains of x that the context does not explain in
the model. It was fixed beforehand, and checked on the planted worlds of `reproductions/conditions`."""
