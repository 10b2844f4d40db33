"""A search that two processes share through a real PostgreSQL, which is started for it and stopped after it.

make search-postgres
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna

_TRIALS = 6
_NONE = (
    "No PostgreSQL server on this machine (initdb and pg_ctl are neither on the PATH nor in /usr/lib/postgresql): "
    "apt-get install postgresql, brew install postgresql, or put the folder of its programs on the PATH."
)
_ROWS = np.random.default_rng(0).normal(size=(400, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
_SPACE = ["--latents", "1,2,3", "--depth", "1,2", "--width", "8,16", "--beta", "0.2..2"]


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    here = shutil.which("initdb")
    found = [Path(here).resolve().parent] if here else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found or not (found[-1] / "pg_ctl").exists():
        sys.exit(_NONE)
    return found[-1]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def as_postgres() -> dict[str, Any]:
    """The server refuses to run as root: then by the user that its package made."""
    try:
        import pwd

        user = pwd.getpwnam("postgres")
    except (ImportError, KeyError):
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own in a folder; its URL."""
    where, who, port = programs(), as_postgres(), free_port()
    data = folder / "server"
    data.mkdir()
    if who:
        folder.chmod(0o755)
        shutil.chown(data, who["user"], who["group"])
    how: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/", **who}
    subprocess.run([where / "initdb", "-D", data / "db", "-U", "elbowroom", "-A", "trust", "--no-sync"], **how)
    options = f"-p {port} -h 127.0.0.1 -k {data}"
    subprocess.run([where / "pg_ctl", "-D", data / "db", "-l", data / "log", "-o", options, "-w", "start"], **how)
    try:
        yield f"postgresql://elbowroom@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([where / "pg_ctl", "-D", data / "db", "-m", "fast", "-w", "stop"], **how)


def searched(folder: Path, url: str) -> list[list[str]]:
    """What two processes print that are begun at once."""
    words = ["rows.npy", "--runs", "runs", "--storage", url, "--trials", str(_TRIALS), *_SPACE, "--epochs", "10"]
    command = [sys.executable, "-m", "elbowroom", "search", *words, "--draws", "16"]
    begun = [subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in begun]
    assert not any(process.returncode for process in begun), [process.returncode for process in begun]
    return said


def shares(url: str) -> list[int]:
    """How many trials each process has trained: together as many as asked for, no point and no folder twice."""
    storage = url.replace("postgresql:", "postgresql+psycopg:")
    (name,) = optuna.get_all_study_names(storage)
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    attrs = [
        one.user_attrs for one in optuna.load_study(study_name=name, storage=storage).trials if one.state in states
    ]
    assert len(attrs) == len({one["run"] for one in attrs}) == len({str(one["settings"]) for one in attrs}) == _TRIALS
    by = [one["by"] for one in attrs]
    return [by.count(one) for one in sorted(set(by))]


def main() -> None:
    """Start the server, search, look, stop it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rows.npy", _ROWS)
        with server(folder) as url:
            one, other = searched(folder, url)
            assert one == other, (one, other)
            found = shares(url)
        assert len(found) == 2, found
    print("\n".join(one[:-1]))
    print(f"{_TRIALS} trials through {url}, {found[0]} by one process and {found[1]} by the other.")


if __name__ == "__main__":
    main()
