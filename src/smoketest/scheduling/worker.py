"""A thread that runs tests until none is waiting, or until it is let go."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from smoketest import client, isolation, timeouts
from smoketest.options import Options
from smoketest.units import Host, Unit, UnitRunner


class Work(Host, Protocol):
    """What there is to do, and what for."""

    waiting: deque[Unit | None]
    """Units that nobody has begun; each worker takes the first. ``None`` lets it end."""
    options: Options
    deadline: float
    """When all of it must be over, on the monotonic clock."""
    lender: isolation.Lender
    proofs: isolation.Proofs | None

    def limits(self) -> isolation.Limits:
        """What a test may cost a database."""

    def end(self, worker: Worker) -> None:
        """Take note that ``worker`` does no more."""


class Worker(threading.Thread):
    """A thread that runs units until none is waiting, or until it is let go.

    A daemon: a test that never ends must not keep the process from ending.
    """

    def __init__(self, work: Work) -> None:
        super().__init__(name="smoketest", daemon=True)
        self.error: BaseException | None = None
        """What went wrong beside the tests: an error of ours."""
        self._work = work
        self._session: isolation.Session | None = None
        self._runner: UnitRunner | None = None
        self._let_go = False

    @property
    def stretch(self) -> timeouts.Stretch | None:
        """What it does now, if that has a limit."""
        return None if self._runner is None else self._runner.stretch

    def run(self) -> None:
        """Run units; the connections are closed at the end."""
        work = self._work
        client.begin_thread(work.options.host)
        try:
            with isolation.guarded_thread(
                work.limits(), work.deadline, work.lender, work.proofs
            ) as session:
                self._session = session
                self._run_units(UnitRunner(work, session, work.options))
        except BaseException as error:  # noqa: BLE001 - raised where the results are collected
            if not self._let_go:
                self.error = error
        finally:
            work.end(self)

    def _run_units(self, runner: UnitRunner) -> None:
        self._runner = runner
        waiting = self._work.waiting
        while not (self._let_go or runner.is_abandoned):
            try:
                unit = waiting.popleft()
            except IndexError:
                return
            if unit is None:
                return
            runner.run(unit)

    def abandon(self) -> None:
        """Begin nothing any more; what is under way is not touched."""
        self._let_go = True
        if self._runner is not None:
            self._runner.abandon()

    def abandon_unit(self) -> UnitRunner:
        """Do the same to a worker that has something under way; return who runs that."""
        assert self._runner is not None  # noqa: S101 - for the types
        self.abandon()
        return self._runner

    def departure(self, stretch: timeouts.Stretch) -> timeouts.LetGo:
        """Return what is left to end once ``stretch`` is abandoned."""
        assert self._session is not None  # noqa: S101 - for the types
        return timeouts.LetGo(stretch, self, self._session.abandon)
