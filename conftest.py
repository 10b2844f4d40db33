"""Annotations of elbowroom, shapes included, are checked at run time while the tests run, one thread each."""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import jaxtyping  # noqa: E402
import torch  # noqa: E402
import typechecked  # noqa: E402

gc.disable()  # until everything has been imported, of which nothing becomes garbage
torch.set_num_threads(1)
jaxtyping.jaxtyped = typechecked.jaxtyped  # which the hook calls by this name
jaxtyping.install_import_hook("elbowroom", "typechecked.check")


def pytest_collection_finish() -> None:
    """Half a million objects of imported code stay to the end: what looks for garbage need not go through them."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(autouse=True)
def _annotations_are_checked_again() -> None:
    """Every test checks the first calls of each function, whatever tests before it called."""
    typechecked.begin()


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    """Figures that examples make for a notebook would stay open until the last test."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def _no_clock_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars and lines that come after two seconds never come: no test depends on how busy the machine is."""
    from elbowroom import progress

    monkeypatch.setattr(progress, "_PATIENCE", 3_600.0)


@pytest.fixture(autouse=True, scope="session")
def _audits_of_studies_are_short() -> Iterator[None]:
    """A study's last stage looks at hardly any examples; audits have tests of their own."""
    from staged import short_audit

    study = importlib.import_module("elbowroom.studies.study")
    whole = study.audit

    def short(*arguments: Any, **options: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            short_audit(patch)
            return whole(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "audit", short)
        yield


@pytest.fixture(autouse=True)
def _the_audit_of_the_example_is_short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the doctest, which prints no number of it."""
    if request.node.name == "elbowroom.ledger._audit.audit":
        from staged import short_audit

        short_audit(monkeypatch)


@pytest.fixture
def pilots_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annealing whose step sizes were found at a few temperatures, not at 50 where a test anneals over 6."""
    from staged import short_pilots

    short_pilots(monkeypatch)


@pytest.fixture
def pages_are_sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose words are read, and whose like is drawn to the last line in another test."""
    from drawings import sketched

    monkeypatch.setattr("elbowroom.pages.embedding._drawing", sketched)


@pytest.fixture(scope="module")
def pages_are_drawn_once() -> Iterator[None]:
    """Pages that share figures share their drawings; what draws them has tests of its own, which draw afresh."""
    from drawings import drawn_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("elbowroom.pages.embedding._drawing", drawn_once)
        yield
