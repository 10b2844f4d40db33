from ._identity import identity as identity
