from .page import report as report
from .verdicts import verdict_table as verdict_table
