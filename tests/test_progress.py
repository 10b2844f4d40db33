"""What people see of how far a task is: nothing of short ones, of slow ones the innermost, and no unknown time."""

import sys
import threading
from types import SimpleNamespace

import pytest

from elbowroom import progress
from elbowroom.progress import Progress, say, within


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass where a test says so; the watching thread sleeps."""
    now = [100.0]
    monkeypatch.setattr(progress, "_PATIENCE", 2.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "_watch", lambda self: None)
    return now


def test_nothing_is_said_of_two_seconds_then_a_line_at_once_and_every_fifteen(clock, capsys):
    with Progress("training", 100) as bar:
        for second in range(1, 41):
            clock[0] = 100.0 + second
            bar.advance(rate=second / 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 2 of 100  rate 0.5  98 s left",
        "training: 17 of 100  rate 4.25  83 s left",
        "training: 32 of 100  rate 8  68 s left",
    ]


def test_time_left_is_said_of_the_part_alone_and_not_where_no_step_is_done(clock, capsys):
    with within("stage 2 of 8 (train)"), Progress("training", 10) as bar:
        clock[0] += 3
        bar.resume(4)
        bar._show()
        clock[0] += 17
        bar.advance(2)
    assert capsys.readouterr().err.splitlines() == [
        "stage 2 of 8 (train): training: 4 of 10",
        "stage 2 of 8 (train): training: 6 of 10  40 s left of this part",
    ]


def test_the_innermost_slow_task_is_shown(clock, capsys):
    with Progress("fit", None) as outer:
        clock[0] += 5
        outer._show()
        with Progress("epochs", 3) as inner:
            clock[0] += 16
            outer._show()
            inner.doing("warm-up")
            inner._show()
        clock[0] += 1
        outer._show()
    outer._show()
    assert capsys.readouterr().err.splitlines() == ["fit: 5 s so far", "epochs: warm-up: 0 of 3", "fit: 22 s so far"]


def test_a_task_whose_steps_do_not_end_is_shown_by_a_thread(monkeypatch):
    starts, shown, printed = iter([0.0]), threading.Event(), []
    monkeypatch.setattr(progress, "_PATIENCE", 0.01)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(starts, 3.0)))
    monkeypatch.setattr(progress, "print", lambda words, file: (printed.append(words), shown.set()), raising=False)
    with Progress("loading", None):
        assert shown.wait(30)
    assert printed == ["loading: 3 s so far"]


def test_a_bar_on_a_terminal_gives_way_to_an_inner_one_and_comes_back(clock, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    made, stopped = [], []

    class Bar:
        def update(self, task, **fields):
            made[-1] |= fields

        def stop(self):
            stopped.append(made[-1]["description"])

    monkeypatch.setattr(progress, "_make_bar", lambda title, total: (Bar(), made.append({"title": title})))
    with Progress("outer", None) as outer:
        clock[0] += 3
        outer._show()
        with Progress("inner", 2) as inner:
            clock[0] += 3
            inner.advance()
        outer._show()
    assert [one["title"] for one in made] == ["outer", "inner", "outer"]
    assert stopped == ["outer", "inner", "outer"]
    assert made[1]["shown"] == "1 of 2  3 s left"


def test_what_is_not_to_be_shown_is_not(clock, capsys):
    with Progress("training", 3, show=False) as bar:
        clock[0] += 60
        bar.advance()
        say("words", show=False)
    with within("stage 1 of 8 (load)"):
        say("read from st")
    assert capsys.readouterr().err == "stage 1 of 8 (load): read from st\n"
