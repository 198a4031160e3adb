"""What all the databases of one thread share while smoke tests run on it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseError

from ..exceptions import Refused
from . import guard


def _wrappers() -> list[BaseDatabaseWrapper]:
    """This thread's connections, without those whose configuration is beyond use."""
    wrappers = []
    for alias in connections:
        try:
            wrappers.append(connections[alias])
        except ImproperlyConfigured:
            continue  # the test that uses it gets this error; the others need not
    return wrappers


Databases = Collection[str] | Literal["__all__"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may cost a database, in seconds."""

    lock_timeout: float = 2.0
    """How long a statement may wait for a lock."""
    timeout: float = 10.0
    """How long a statement may run where the test has no expiry of its own."""


class Frame:
    """A stretch of work that is rolled back as a whole: a test, or a class with its fixtures."""

    __slots__ = ("copies", "databases", "lasting", "states", "subject")

    def __init__(self, subject: str, databases: frozenset[str] | None, lasting: bool) -> None:
        self.subject = subject
        self.lasting = lasting
        self.databases = databases
        self.states: dict[guard.GuardedConnection, guard.TransactionState] = {}
        self.copies: list[guard.GuardedConnection] = []


class Session:
    """The guarded connections of one thread, from the first frame to :meth:`close`.

    Opening it sends nothing and connects to nothing.
    """

    def __init__(self, limits: Limits, deadline: float | None = None) -> None:
        self.limits = limits
        self.frames: list[Frame] = []
        self.expires: float | None = None
        """When the test that is under way must be over, on the monotonic clock."""
        self.deadline = deadline
        """When the run must be over."""
        self.ended: str | None = None
        self.lock = threading.Lock()
        self.connections = [guard.adopt(wrapper, self) for wrapper in _wrappers()]

    @property
    def frame(self) -> Frame:
        """The innermost frame; raises ``Refused`` where no test is under way."""
        if self.ended is not None:
            raise Refused(self.ended)
        if not self.frames:
            raise Refused(
                "A database was used between two smoke tests. What happens there belongs to no "
                "test, so nothing would roll it back. Do it in setUp, in a test, or in setUpClass."
            )
        return self.frames[-1]

    def remaining(self) -> float:
        """Seconds that a transaction which begins now may take, at least a millisecond.

        What a class fixture begins lasts for all of its tests, so only the run's
        deadline bounds it.
        """
        limit = self.deadline if self.frame.lasting else self.expires
        if limit is None:
            return self.limits.timeout
        return max(limit - monotonic(), 0.001)

    def enter(self, subject: str, databases: Databases, lasting: bool = False) -> Frame:
        """Begin a frame; what ``databases`` does not name is refused inside it."""
        named = None if databases == "__all__" else frozenset(databases)
        frame = Frame(subject, named, lasting)
        if self.frames:
            frame.states = {c: c.transaction_state() for c in self.connections}
        self.frames.append(frame)
        return frame

    def leave(self, frame: Frame) -> None:
        """Roll back all that happened since ``frame`` was entered.

        Every database is rolled back, also when one of them fails; the errors
        come out together.
        """
        errors = []
        for connection in [*self.connections, *frame.copies]:
            try:
                connection.undo(frame)
            except Exception as error:  # noqa: BLE001 - the others come first; raised below
                errors.append(error)
        for copy in frame.copies:
            copy.release()
        while self.frames and self.frames.pop() is not frame:
            pass
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("Rolling back failed on several databases", errors)

    def close(self) -> None:
        """Give every connection back as it was; those that the session opened are closed."""
        for connection in self.connections:
            connection.release()
        self.connections = []

    def abandon(self, reason: str) -> None:
        """Cut the thread off from its databases; safe to call from any other thread.

        Whatever the thread tries later is refused with ``reason``, and what it
        holds open at a server is ended there.
        """
        self.ended = reason
        for connection in [*self.connections, *(c for f in self.frames for c in f.copies)]:
            connection.sever()


_current = threading.local()


def current() -> Session | None:
    """The session of this thread, if one is open."""
    return getattr(_current, "session", None)


@contextmanager
def guarded_thread(limits: Limits, deadline: float | None = None) -> Iterator[Session]:
    """Guard every database of this thread for several frames, to share their connections.

    ``deadline`` is when all of it must be over, on the monotonic clock.
    """
    if current() is not None:
        raise Refused(
            "A run was started inside a smoke test. Two runs on one thread cannot both roll "
            "back its databases. Call the code that the other tests verify instead."
        )
    session = Session(limits, deadline)
    _current.session = session
    try:
        yield session
    finally:
        _current.session = None
        session.close()


class Rollback:
    """The context manager that :func:`rolled_back` returns."""

    __slots__ = ("_databases", "_frame", "_lasting", "_own", "_session", "_subject")

    def __init__(self, subject: str, databases: Databases, lasting: bool) -> None:
        self._subject = subject
        self._databases = databases
        self._lasting = lasting
        self._own = False
        self._session: Session | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> Rollback:
        session = current()
        if session is None:
            session = _current.session = Session(Limits())
            self._own = True
        self._session = session
        self._frame = session.enter(self._subject, self._databases, self._lasting)
        return self

    def undo(self) -> None:
        """Roll back now, so that an error of it can still be reported; later calls do nothing."""
        frame, self._frame = self._frame, None
        if frame is not None and self._session is not None:
            self._session.leave(frame)

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.undo()
        finally:
            if self._own and self._session is not None:
                _current.session = None
                self._session.close()


def must_run_inline() -> bool:
    """Whether tests can only see this thread's data on this very thread.

    That is so inside the caller's transaction (a project's own ``TestCase``),
    whose rows no other connection can see, and with SQLite in memory, where
    another connection may be another, empty database.
    """
    return any(
        wrapper.in_atomic_block or (wrapper.vendor == "sqlite" and wrapper.is_in_memory_db())  # type: ignore[attr-defined]
        for wrapper in _wrappers()
    )


def lost_a_lock(error: BaseException) -> bool:
    """Whether ``error`` is a database's word that somebody else held a lock for too long."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if getattr(cause, "sqlstate", None) in _LOST_SQLSTATES:
            return True
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _LOST_SQLITE:
            return True
        if isinstance(cause, DatabaseError) and cause.args[:1] and cause.args[0] in _LOST_MYSQL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


# https://www.postgresql.org/docs/current/errcodes-appendix.html:
# serialization_failure, deadlock_detected, lock_not_available
_LOST_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
# https://www.sqlite.org/rescode.html: SQLITE_BUSY, SQLITE_LOCKED
_LOST_SQLITE = frozenset({5, 6})
# https://mariadb.com/kb/en/mariadb-error-codes/: ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
_LOST_MYSQL = frozenset({1205, 1213})
