from ._encode_run import encode_run as encode_run
from ._impute_run import impute_run as impute_run
from ._measure_run import evidence_file as evidence_file
from ._measure_run import measure_run as measure_run
from ._read_run import read_run as read_run
from ._run_data import run_data as run_data
from ._sample_run import sample_run as sample_run
from .history import History as History
