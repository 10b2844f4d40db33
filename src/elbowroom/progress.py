"""Progress on standard error, of what takes more than two seconds: a bar on a terminal, elsewhere lines."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

__all__ = ["Progress", "say", "within"]

_PATIENCE = 2.0
_LINE_EVERY = 15.0

_open: list["Progress"] = []  # tasks within tasks: the innermost that is slow is shown
_places: list[str] = []
_lock = threading.RLock()


@contextmanager
def within(place: str) -> Iterator[None]:
    """Say in every bar that is opened inside what it is a part of.

    Parameters
    ----------
    place : str
        Such as "stage 2 of 7". The time left that a bar shows is then said to be of this part alone.

    Yields
    ------
    None
        While the part lasts.

    Examples
    --------
    >>> with within("stage 2 of 7"), Progress("training", 3, show=False) as bar:
    ...     bar.title
    'stage 2 of 7: training'
    """
    _places.append(place)
    try:
        yield
    finally:
        _places.pop()


def say(words: str, *, show: bool = True) -> None:
    """Print a line on standard error, above the bar where there is one.

    Parameters
    ----------
    words : str
        The line.
    show : bool, default True
        Whether to print it.

    Examples
    --------
    >>> say("nothing", show=False)
    """
    if show:
        print(": ".join([*_places, words]), file=sys.stderr)


class Progress:
    """Show how far a task is, on standard error, while it is open as a context.

    A task that is done within two seconds shows nothing, and of tasks within tasks the innermost slow one is shown.
    Time left is said only where some steps are done.

    Parameters
    ----------
    title : str
        What the task is called.
    total : int or None
        Number of its steps; None where they are not counted.
    show : bool, default True
        Whether to show anything.

    Examples
    --------
    >>> with Progress("training", total=3, show=False) as progress:
    ...     progress.advance(rate=12.3)
    """

    def __init__(self, title: str, total: int | None, *, show: bool = True) -> None:
        self.title, self.total, self.show = ": ".join([*_places, title]), total, show
        self._doing = self.title
        self.done = self._before = 0
        self._numbers, self._of = "", " of this part" if _places else ""
        self._bar: Any = None
        self._task: Any = None
        self._closed = threading.Event()

    def __enter__(self) -> "Progress":
        self._start = time.monotonic()
        self._last_line = self._start + _PATIENCE - _LINE_EVERY  # the first line comes after two seconds
        if self.show:
            with _lock:
                _open.append(self)
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def doing(self, what: str) -> None:
        """Say what is being done now, beside the title.

        Parameters
        ----------
        what : str
            In words, such as the name of a model that is fitted.
        """
        self._doing = f"{self.title}: {what}"

    def resume(self, steps: int) -> None:
        """Count steps as done before, at no cost of time.

        Parameters
        ----------
        steps : int
            How many.
        """
        self.done = self._before = steps

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
        if self.show:
            self._numbers = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._show()

    def _watch(self) -> None:
        """Show the task although none of its steps ends: from a thread of its own."""
        while not self._closed.wait(_PATIENCE):
            self._show()

    def _show(self) -> None:
        with _lock:
            now = time.monotonic()
            if now - self._start < _PATIENCE or self._closed.is_set() or _open[-1] is not self:
                return
            if sys.stderr.isatty():
                self._show_bar(now)
            elif now - self._last_line >= _LINE_EVERY:
                self._last_line = now
                print(f"{self._doing}: {self._text(now)}", file=sys.stderr)

    def _show_bar(self, now: float) -> None:
        for other in _open[:-1]:
            other._hide()
        if self._bar is None:
            self._bar, self._task = _make_bar(self._doing, self.total)
        self._bar.update(self._task, description=self._doing, completed=self.done, shown=self._text(now))

    def _text(self, now: float) -> str:
        """How much is done, the numbers, and the time left where it can be told."""
        if self.total is None:
            return f"{now - self._start:.0f} s so far"
        said, steps = [f"{self.done:,} of {self.total:,}", self._numbers], self.done - self._before
        if steps > 0:
            said.append(f"{(now - self._start) / steps * (self.total - self.done):.0f} s left{self._of}")
        return "  ".join(filter(None, said))

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with _lock:
            self._hide()
            if self in _open:
                _open.remove(self)


def _make_bar(title: str, total: int | None) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"))
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    bar.start()
    return bar, bar.add_task(title, total=total, shown="")
