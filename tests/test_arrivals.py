"""Whoever waits for a module is told when it is imported, and the module is as ever."""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from smoketest import arrivals
from smoketest.arrivals import when_imported

NAME = "arriving.late"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with the module that is waited for; nothing of it is left."""
    (tmp_path / "arriving").mkdir()
    (tmp_path / "arriving/__init__.py").write_text("")
    (tmp_path / "arriving/late.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "arriving"
    arrivals._awaited.pop(NAME, None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "arriving"]:
        del sys.modules[name]


def test_it_is_told_when_the_module_is_imported_and_not_before() -> None:
    seen: list[ModuleType] = []
    when_imported(NAME, seen.append)
    importlib.import_module("arriving")
    assert seen == []
    module = importlib.import_module(NAME)
    assert seen == [module]


def test_it_is_told_when_all_of_the_module_is_there() -> None:
    seen: list[int] = []
    when_imported(NAME, lambda module: seen.append(module.VALUE))
    importlib.import_module(NAME)
    assert seen == [1]


def test_it_is_told_at_once_where_the_module_is_there() -> None:
    module = importlib.import_module(NAME)
    seen: list[ModuleType] = []
    when_imported(NAME, seen.append)
    assert seen == [module]


def test_it_is_told_again_when_the_module_is_reloaded() -> None:
    seen: list[ModuleType] = []
    when_imported(NAME, seen.append)
    module = importlib.import_module(NAME)
    assert importlib.reload(module) is module
    assert seen == [module, module]


def test_the_module_keeps_its_own_loader_and_its_source() -> None:
    when_imported(NAME, lambda module: None)
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert spec.loader.get_source(NAME) == "VALUE = 1\n"  # type: ignore[union-attr]
    module = importlib.import_module(NAME)
    assert type(module.__loader__) is type(importlib.import_module("arriving").__loader__)
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module) == "VALUE = 1\n"


def test_a_module_that_is_not_there_is_not_found_as_ever() -> None:
    when_imported("arriving.never", lambda module: None)
    try:
        with pytest.raises(ModuleNotFoundError, match=r"arriving\.never"):
            importlib.import_module("arriving.never")
    finally:
        del arrivals._awaited["arriving.never"]


def test_an_import_that_is_under_way_on_another_thread_is_waited_for(package: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    sys.modules["arriving_gate"] = gate = ModuleType("arriving_gate")
    vars(gate).update(begun=begun, go_on=go_on)
    (package / "late.py").write_text(
        "import arriving_gate\n"
        "arriving_gate.begun.set()\n"
        "assert arriving_gate.go_on.wait(30)\n"
        "VALUE = 1\n"
    )
    seen: list[int] = []
    try:
        with ThreadPoolExecutor(2) as pool:
            importing = pool.submit(importlib.import_module, NAME)
            assert begun.wait(30)
            waiting = pool.submit(when_imported, NAME, lambda module: seen.append(module.VALUE))
            go_on.set()
            waiting.result(), importing.result()
    finally:
        del sys.modules["arriving_gate"]
    assert seen == [1]
