from ._audit import audit as audit
from ._fix import fix as fix
from ._identity import identity as identity
from .fixed import Fixed as Fixed
