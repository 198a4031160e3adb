"""Imports modules, and goes on without one whose import does not end.

A module that waits for something as it is imported would keep the run that asks for it
from answering, and after that every other one: they would wait for its import lock. So
a module is imported on a thread of its own, which is given up in the end, and which
nobody waits for again.
"""

from __future__ import annotations

import sys
import threading
from contextvars import copy_context
from datetime import UTC, datetime
from importlib import import_module
from time import monotonic
from types import ModuleType, TracebackType

from django.db import connections

GRACE = 0.5
"""Seconds for each module after one that has used up the time of all."""


class _Import(threading.Thread):
    """The import of one module."""

    def __init__(self, name: str) -> None:
        super().__init__(name=f"smoketest-imports {name}", daemon=True)
        self.since = datetime.now(UTC)
        self.begun = monotonic()
        self.given_up = False
        """Whether somebody has waited for it in vain."""
        self.module: ModuleType | None = None
        self.error: BaseException | None = None
        # Not _context: from Python 3.14 on, that is Thread's own.
        self._caller_context = copy_context()
        self._module_name = name

    def run(self) -> None:
        """Import the module."""
        try:
            self.module = self._caller_context.run(import_module, self._module_name)
        except BaseException as error:  # noqa: BLE001 - raised where the module is wanted
            self.error = error
        finally:
            connections.close_all()  # this thread's, for what it has asked a database

    def too_long(self) -> TimeoutError:
        """Return the error that says so; its traceback is where the import stands now."""
        since = self.since.isoformat(timespec="seconds")
        error = TimeoutError(f"it is still being imported since {since}")
        return error.with_traceback(_where(self.ident))


_under_way: dict[str, _Import] = {}
"""By the module's name, the whole process's."""
_looking = threading.Lock()


class Importer:
    """Imports the modules of one run, which begins now.

    All together have as long as one test, and half of the run's ``deadline`` at most. One
    that hangs has used that up, and what comes after it has :data:`GRACE`, until three
    quarters of the deadline are over. So there is time left to say so, and for the rest.
    """

    def __init__(self, timeout: float, deadline: float) -> None:
        """Take the limit of a test and the deadline of the run, in seconds."""
        begin = monotonic()
        self._share = min(timeout, deadline / 2)
        self._until = begin + self._share
        self._latest = begin + 0.75 * deadline

    def load(self, name: str) -> ModuleType:
        """Return the module ``name``; raises what its import raises.

        Raises ``TimeoutError`` where the import does not end in time, and at once where
        an earlier run has given it up and it has had as long as this run would give it.
        """
        with _looking:
            running = _under_way.get(name)
            if running is None:
                if _is_imported(name):
                    return import_module(name)
                running = _Import(name)
                running.start()  # which may fail: then there is nothing under way
                _under_way[name] = running
        return self._outcome(running, name)

    def _outcome(self, running: _Import, name: str) -> ModuleType:
        until = min(max(self._until, monotonic() + GRACE), self._latest)
        if running.given_up:
            until = min(until, running.begun + self._share)
        running.join(max(0.0, until - monotonic()))
        if running.is_alive():
            running.given_up = True
            raise running.too_long()
        _under_way.pop(name, None)
        if running.error is not None:
            raise running.error
        return running.module or import_module(name)


def given_up() -> list[threading.Thread]:
    """Return the threads of imports that nobody waits for any more, and that have not ended."""
    return [running for running in _under_way.values() if running.given_up]


def _is_imported(name: str) -> bool:
    """Whether ``name`` is there, and no other thread is at its import."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def _where(thread: int | None) -> TracebackType | None:
    """Return where ``thread`` stands, as if an exception came from there."""
    traceback = None
    frame = sys._current_frames().get(thread or 0)
    while frame is not None and frame.f_code is not _Import.run.__code__:
        traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return traceback
