"""A run folder: recipe, history, the kept model, and a checkpoint that continues the run bit for bit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from elbowroom.atomic import append_line, hold, write_atomic
from elbowroom.numerics import InputError
from elbowroom.vae import VAE, save_model

from .history import History

__all__ = ["Checkpoint", "FORMAT", "RunFolder", "check_same_run", "data_that_differ", "read_recipe"]

FORMAT = 2
"""Version of the run folder: in 1 a checkpoint held the model alone, and "beta" stood beside "train" in a row."""
_READ = (1, 2)
_LOCK = ".training"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a hundred times as fast, for tables of many columns
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass
class Checkpoint:
    """Where a run stands after an epoch: everything that its continuation depends on.

    Parameters
    ----------
    epoch : int
        Epochs done.
    step : int
        Optimizer steps done.
    seconds : float
        Time spent training and validating.
    best_value : float
        Of the epochs so far, the lowest value by which they are chosen.
    history : dict
        The fields of the History.
    state : dict of Tensor
        Parameters and buffers of the model and its objectives.
    best_state : dict of Tensor
        The same at the best epoch so far.
    optimizer : dict of Tensor
        Moments and step counts.
    generator : Tensor
        State of the generator of shuffling and noise.
    """

    epoch: int
    step: int
    seconds: float
    best_value: float
    history: dict[str, Any]
    state: dict[str, Tensor]
    best_state: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    generator: Tensor


_SCALARS = ("epoch", "step", "seconds", "best_value", "history")
_TENSORS = ("state", "best_state", "optimizer")


class RunFolder:
    """recipe.yaml | history.jsonl | training.safetensors | model.safetensors | summary.json in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: IO[str] | None = None

    def open(self, recipe: Mapping[str, Any], resume: bool) -> Checkpoint | None:
        """Begin a run, or find the checkpoint to continue from.

        Parameters
        ----------
        recipe : mapping
            Plain values that make the run what it is; written first where the run is begun.
        resume : bool
            Whether a run in the folder is continued.

        Returns
        -------
        Checkpoint or None
            None where there is none yet.

        Raises
        ------
        InputError
            Where the folder holds a run and `resume` was not given, or holds another run.
        """
        kept = self.path / "recipe.yaml"
        if not kept.exists():
            if resume:
                raise InputError(f"{self.path} holds no run to resume; leave resume= out to begin one.")
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            write_atomic(kept, yaml.dump({"version": FORMAT, **recipe}, Dumper=_Dumper, sort_keys=False))
            return None
        if not resume:
            raise InputError(
                f"{self.path} holds a run already: say resume=True to continue it, or name another folder."
            )
        before = read_recipe(self.path)
        if before["version"] != FORMAT:
            raise InputError(
                f"{self.path} was begun by an older elbowroom (version {before['version']}), whose checkpoint is not "
                f"the whole run: read it with read_run, or train again in another folder."
            )
        check_same_run(self.path, recipe)
        self._lock()
        return self.checkpoint()

    def _lock(self) -> None:
        """Two processes that train in one folder would mix their epochs."""
        self._held = hold(self.path / _LOCK)
        if self._held is None:
            raise InputError(f"{self.path} is being trained by another process: wait for it, or name another folder.")

    def _unlock(self) -> None:
        if self._held is not None:
            self._held.close()
        (self.path / _LOCK).unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process, as where several train one model: the lock stays with the first."""
        return {"path": self.path, "_held": None}

    def rewind(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make these the rows of the history: a run that was killed has written more than its checkpoint knows."""
        write_atomic(self.path / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, or None where the run was stopped before its first."""
        path = self.path / "training.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                scalars = json.loads(file.metadata()["scalars"])
            tensors = load_file(path)
            parts: dict[str, Any] = {part: _under(tensors, part) for part in _TENSORS}
            return Checkpoint(**scalars, **parts, generator=tensors["generator"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error}): delete the folder and train again.") from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint in one step."""
        tensors = {"generator": checkpoint.generator}
        for part in _TENSORS:
            tensors |= {f"{part}.{name}": t.contiguous() for name, t in getattr(checkpoint, part).items()}
        metadata = {"scalars": json.dumps({name: getattr(checkpoint, name) for name in _SCALARS})}
        write_atomic(
            self.path / "training.safetensors", lambda temporary: save_file(tensors, temporary, metadata=metadata)
        )

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one epoch to the history."""
        append_line(self.path / "history.jsonl", row)

    def finish(self, vae: VAE, history: History) -> None:
        """Write the kept model and what was noted."""
        save_model(vae, self.path / "model.safetensors")
        summary = {"best_epoch": history.best_epoch, "selected_by": history.selected_by, "notes": history.notes}
        write_atomic(self.path / "summary.json", json.dumps(summary, indent=1))
        self._unlock()

    def abandon(self) -> None:
        """Take back what was written: a run that came to nothing leaves nothing."""
        self._unlock()
        for name in ("training.safetensors", "history.jsonl", "recipe.yaml"):
            (self.path / name).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()


def check_same_run(path: Path, recipe: Mapping[str, Any]) -> None:
    """Refuse a run folder whose recipe is another.

    Parameters
    ----------
    path : Path
        The run folder.
    recipe : mapping
        What its recipe must say, of the keys that this one has: "model", "data", …

    Raises
    ------
    InputError
        Where one of them differs, and where there is no run.
    """
    before = read_recipe(path)
    if "data" in recipe:
        differ = data_that_differ(before["data"], recipe["data"])
        if differ:
            raise InputError(f"{path} holds a run on other data: {differ}; name another folder.")
    different = [key for key in recipe if key != "data" and _plain(recipe[key]) != before.get(key)]
    if different:
        raise InputError(f"{path} holds another run (its {different[0]} differs): name another folder.")


def data_that_differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What makes the data of a recipe others than these, wherever they lie and whatever they are called.

    Parameters
    ----------
    before : mapping
        `Dataset.summary()` as a recipe holds it.
    now : mapping
        The same of the data at hand.

    Returns
    -------
    str or None
        In words; None where they are the same.
    """
    if before["sha256"] != now["sha256"]:
        return f"their sha256 is {now['sha256'][:12]}… and the run's is {before['sha256'][:12]}…"
    told = ("parts",) if "parts" in before else ("sizes", "official", "split_seed")
    if all(before[name] == now[name] for name in told):
        return None
    if before["sizes"] != now["sizes"]:
        found, kept = (", ".join(f"{n:,} {name}" for name, n in one["sizes"].items()) for one in (now, before))
        return f"they are split into {found}, and the run's into {kept}"
    if before["split_seed"] != now["split_seed"]:
        return f"they are split by seed {now['split_seed']}, and the run's by seed {before['split_seed']}"
    return "other examples stand in their parts than in the run's"


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe of a run folder; InputError where there is none or it is of another version."""
    kept = path / "recipe.yaml"
    if not kept.is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml.")
    try:
        recipe = yaml.load(kept.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{kept} is not YAML any more: restore it, or train again.") from error
    version = recipe.get("version") if isinstance(recipe, dict) else None
    if version not in _READ:
        raise InputError(
            f"{path} is a run of version {version!r}, and this elbowroom reads versions 1 and 2: use the elbowroom "
            f"that wrote it, or train again."
        )
    return dict(recipe)


def _plain(value: Any) -> Any:
    """As YAML would give it back: tuples become lists."""
    return yaml.load(yaml.dump(value, Dumper=_Dumper), _Loader)


def _under(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name[len(part) + 1 :]: t for name, t in tensors.items() if name.startswith(part + ".")}
