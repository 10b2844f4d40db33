"""What every benchmark writes: its numbers, and what they were measured on."""

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import elbowroom
from elbowroom.atomic import write_atomic

RECORDS = Path(__file__).parent / "records"


def write_record(name: str, numbers: dict[str, Any]) -> Path:
    """Write benchmarks/records/NAME.json: the numbers of one run beside the machine and the versions."""
    path = RECORDS / f"{name}.json"
    record = {"benchmark": name, "made": datetime.date.today().isoformat(), "machine": machine(), **numbers}
    write_atomic(path, json.dumps(record, indent=2) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Processor, cores, threads, versions, and how busy the machine was when it was asked."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "elbowroom": version(),
    }


def processor() -> str:
    """The processor's name where the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def version() -> str:
    """The version of elbowroom that is installed."""
    from importlib.metadata import version as installed

    return installed(elbowroom.__name__)
