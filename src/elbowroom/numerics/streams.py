"""Numbers that keep the noise of different uses of one seed apart."""

__all__ = [
    "BACKWARDS",
    "BURN_IN",
    "CURVE_PILOT",
    "DRAWN",
    "IMPUTATION",
    "KERNELS",
    "PILOT",
    "PRIOR",
    "RECIPROCAL_PILOT",
    "SECOND_LOOK",
    "SECOND_START",
    "SIMULATION",
    "TRANSITIONS",
]

# Streams of `keyed_normal` under one seed. Latent blocks have those from 0, one each, for posterior and prior draws.
PRIOR = 1024
"""`prior_sampling`'s draws, apart from the encoder's of the same seed."""
TRANSITIONS = 4096
"""Momenta and acceptances of Hamiltonian transitions."""

# Uses of `derived_seed`: each makes a seed whose streams are independent of all others.
PILOT = 0xA15
"""Pilot runs of annealing."""
CURVE_PILOT = 0xD157
"""Pilot runs of rate–distortion curves."""
RECIPROCAL_PILOT = 0xD
"""Pilot runs of chains that stay at the posterior."""
SIMULATION = 0xB1D
"""Examples that a model simulates."""
BACKWARDS = 0xBAC
"""Annealing downwards, from draws of the posterior."""
BURN_IN = 0xB12
"""Chains that stay at the posterior, and where they begin there, before annealing downwards."""
IMPUTATION = 0x1F7
"""Missing cells that are filled in, and the chains of those that need them."""
SECOND_START = 0x2D5
"""Chains that start at the prior, beside others that start at the encoder."""
SECOND_LOOK = 0x2D1
"""Pilot runs of the examples that looked bad in a first."""
KERNELS = 0x2DE
"""Chains that start where those of a pilot run have been."""
DRAWN = 0xD2A
"""Plain draws of the starts, of which the heaviest are kept."""
