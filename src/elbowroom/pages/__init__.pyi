from ._audit_table import audit_table as audit_table
from ._fix_table import fix_table as fix_table
from ._report import report as report
from ._verdict_table import verdict_table as verdict_table
from .words import sentence as sentence
