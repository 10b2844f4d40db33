from ._audit_run import AuditedRun as AuditedRun
from ._audit_run import audit_run as audit_run
from ._audit_scvi import audit_scvi as audit_scvi
from ._fix_run import FixRun as FixRun
from ._fix_run import fix_run as fix_run
from ._report_run import report_run as report_run
from .study import Study as Study
from .study import study as study
