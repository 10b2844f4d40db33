from ._audit import audit as audit
from ._identity import identity as identity
