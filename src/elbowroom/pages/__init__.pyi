from .page import report as report
from .records import Record as Record
from .records import read_record as read_record
from .verdicts import verdict_table as verdict_table
