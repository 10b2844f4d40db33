"""Progress: a bar on a terminal, a line now and then elsewhere, nothing for what takes under two seconds."""

import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

_PATIENCE = 2.0
_LINE_EVERY = 15.0


class Progress:
    """Show how far a task is, on standard error; numbers given to `advance` stand beside the bar.

    >>> with Progress("training", total=3, show=False) as progress:
    ...     progress.advance(rate=12.3)
    """

    def __init__(self, title: str, total: int, show: bool = True) -> None:
        self.title, self.total, self.show = title, total, show
        self.done = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        self._start = self._last_line = time.monotonic()
        return self

    def advance(self, steps: int = 1, **numbers: float) -> None:
        """Take `steps` further; `numbers` are shown with their names."""
        self.done += steps
        if not self.show:
            return
        now = time.monotonic()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        if sys.stderr.isatty():
            self._advance_bar(now, shown)
        elif now - self._last_line > _LINE_EVERY:
            self._last_line = now
            left = (now - self._start) / self.done * (self.total - self.done)
            print(f"{self.title}: {self.done:,} of {self.total:,}  {shown}  {left:.0f} s left", file=sys.stderr)

    def _advance_bar(self, now: float, shown: str) -> None:
        if self._bar is None:
            if now - self._start < _PATIENCE:
                return
            self._bar, self._task = _make_bar(self.title, self.total)
        self._bar.update(self._task, completed=self.done, shown=shown)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _make_bar(title: str, total: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[shown]}"))
    bar = Bar(*columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.start()
    return bar, bar.add_task(title, total=total, shown="")
