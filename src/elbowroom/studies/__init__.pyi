from .measured import evidence_file as evidence_file
from .measured import measure_run as measure_run
from .study import Study as Study
from .study import study as study
from .train import AXES as AXES
from .trained import run_data as run_data
from .trained import sample_run as sample_run
