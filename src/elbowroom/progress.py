"""Progress on standard error: a bar on a terminal, elsewhere a line every 15 seconds; a bar only after two seconds."""

import sys
import threading
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

_PATIENCE = 2.0
_LINE_EVERY = 15.0


class Progress:
    """Show how far a task is, on standard error, while it is open as a context.

    Parameters
    ----------
    title : str
        What the task is called.
    total : int
        Number of its steps.
    show : bool, default True
        Whether to show anything.

    Examples
    --------
    >>> with Progress("training", total=3, show=False) as progress:
    ...     progress.advance(rate=12.3)
    """

    def __init__(self, title: str, total: int, *, show: bool = True) -> None:
        self.title, self.total, self.show = title, total, show
        self.done = 0
        self._doing = title
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        self._start = self._last_line = time.monotonic()
        if self.show and sys.stderr.isatty():  # a first step that is long is not waited for
            self._timer = threading.Timer(_PATIENCE, self._show_bar)
            self._timer.daemon = True
            self._timer.start()
        return self

    def doing(self, what: str) -> None:
        """Say what is being done now, beside the title.

        Parameters
        ----------
        what : str
            In words, such as the name of a model that is fitted.
        """
        self._doing = f"{self.title}: {what}"
        with self._lock:
            if self._bar is not None:
                self._bar.update(self._task, description=self._doing)

    def advance(self, steps: int = 1, **numbers: float) -> None:
        """Count steps as done.

        Parameters
        ----------
        steps : int, default 1
            How many.
        **numbers : float
            Shown beside the bar with their names.
        """
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
            print(f"{self._doing}: {self.done:,} of {self.total:,}  {shown}  {left:.0f} s left", file=sys.stderr)

    def _advance_bar(self, now: float, shown: str) -> None:
        if self._bar is None:
            if now - self._start < _PATIENCE:
                return
            self._show_bar()
        self._bar.update(self._task, completed=self.done, shown=shown)

    def _show_bar(self) -> None:
        with self._lock:
            if self._bar is None:
                self._bar, self._task = _make_bar(self._doing, self.total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
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
