"""What all the databases of one thread share while smoke tests run on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import Any, Literal

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from smoketest.exceptions import Refused

from . import scope, threads
from .adoption import TransactionState
from .guard import GuardedConnection
from .lending import Lender
from .limits import Clock, Limits
from .proofs import Proofs
from .vendors import adopt

Databases = Collection[str] | Literal["__all__"]


class Session:
    """The guarded connections of one thread, from the first frame to :meth:`close`.

    Opening it sends nothing and connects to nothing.
    """

    def __init__(
        self,
        limits: Limits,
        deadline: float | None = None,
        lender: Lender | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        self.limits = limits
        self.deadline = deadline
        """When the run must be over, on the monotonic clock."""
        self.lender = lender
        """Where connections come from and go back to; ``None``: each frame's end closes none."""
        self.proofs = proofs
        """Where to keep what is known of transactions, if the run is to be verified."""
        self.facts: dict[str, Any] = {} if lender is None else lender.facts
        """What was learnt of a database in this run, by its alias."""
        self.clock: Clock | None = None
        self.frames: list[Rollback] = []
        self.ended: str | None = None
        """Why the thread may use no database any more."""
        self.connections: list[GuardedConnection] = []
        self.is_stray = False
        """Whether its thread is one that a test has started or handed work to."""
        self._closing = threading.RLock()
        """Held by who closes it, and by who cuts its thread off: not both at once."""

    def guard(self, wrappers: Collection[BaseDatabaseWrapper]) -> None:
        """Guard ``wrappers`` until :meth:`close`."""
        self.connections += [adopt(wrapper, self) for wrapper in wrappers]

    @property
    def frame(self) -> Rollback:
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
        if self.frame.lasting:
            limit = self.deadline
        else:
            limit = None if self.clock is None else self.clock.expires
        if limit is None:
            return self.limits.timeout
        return max(limit - monotonic(), 0.001)

    def patience(self) -> float:
        """When, on the monotonic clock, a wait for a free connection is in vain."""
        if self.deadline is not None and self is current():
            return self.deadline
        return monotonic() + self.limits.lock_timeout

    @property
    def subject(self) -> str:
        """What is tested, for messages, also when the thread may do no more for it."""
        return self.frames[-1].subject

    def leave(self, frame: Rollback) -> None:
        """Roll back all that happened since ``frame`` was entered.

        Every database is rolled back, also when one of them fails; the errors
        come out together.
        """
        try:
            _take_all(self._steps_out_of(frame))
        finally:
            while self.frames and self.frames.pop() is not frame:
                pass
            for copy in frame.copies:
                copy.release()

    def _steps_out_of(self, frame: Rollback) -> Iterator[Step]:
        while self.frames and self.frames[-1] is not frame:
            yield self.frames[-1].undo  # a class fixture whose end never came
        for connection in self.with_copies():
            if not connection.is_untouched(frame):
                yield partial(connection.undo, frame)

    def close(self) -> None:
        """Give every connection back as it was; those that the session opened are closed."""
        with self._closing:
            for connection in self.connections:
                connection.release()
            self.connections = []

    def abandon(self, reason: str) -> None:
        """Cut the thread off from its databases; safe to call from any other thread.

        Whatever the thread tries later is refused with ``reason``, and what it
        holds open at a server is ended there.
        """
        self.ended = reason
        with self._closing:
            strays = [partial(frame.end_strays, reason) for frame in self.frames]
            _take_all([*strays, *(connection.forsake for connection in self.with_copies())])

    def with_copies(self) -> list[GuardedConnection]:
        """Return the thread's connections, and those that tests have made of them."""
        return [*self.connections, *(copy for frame in self.frames for copy in frame.copies)]


Step = Callable[[], None]


def _take_all(steps: Iterable[Step]) -> None:
    """Take all ``steps``, also when one of them fails; the errors come out together."""
    errors = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the others come first; raised below
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("Rolling back failed on several databases", errors)


_current = threading.local()


def current() -> Session | None:
    """The session of this thread, if one is open; a stray thread has none."""
    return getattr(_current, "session", None)


def _guard_here(wrapper: BaseDatabaseWrapper) -> None:
    """Guard a connection that was made on this thread, where a session is open."""
    session = current()
    if session is not None:
        session.guard([wrapper])


def refuse_nested_run() -> None:
    """Raise ``Refused`` inside a smoke test."""
    if scope.current() is not None:
        raise Refused(
            "A run was started inside a smoke test. Two runs on one thread cannot both roll "
            "back its databases. Call the code that the other tests verify instead."
        )


@contextmanager
def guarded_thread(
    limits: Limits,
    deadline: float | None = None,
    lender: Lender | None = None,
    proofs: Proofs | None = None,
) -> Iterator[Session]:
    """Guard every database of this thread for several frames, to share their connections.

    ``deadline`` is when all of it must be over, on the monotonic clock.
    """
    threads.install(_guard_here)
    session = Session(limits, deadline, lender, proofs)
    session.guard(connections.all(initialized_only=True))  # the others as they are made
    _current.session = session
    try:
        yield session
    finally:
        _current.session = None
        session.close()


_TOO_LATE = (
    "A thread that it started may no longer use a database, because nothing would roll that "
    "back. Wait in the test for the threads that it starts."
)


class Rollback:
    """A frame: a test, or a class with its fixtures, that is rolled back as a whole.

    A context manager, and what :func:`smoketest.isolation.rolled_back` returns.
    """

    begun = False
    """Whether a database was used."""
    ended = False
    states: Mapping[GuardedConnection, TransactionState] = MappingProxyType({})
    """What Django knew of the transactions before, where another frame stands around."""
    copies: Sequence[GuardedConnection] = ()
    """Second connections that the test made by ``connection.copy()``."""
    around: scope.Scope | None = None
    """The frame that this one was entered in."""
    strays: dict[int, Session] | None = None
    """Sessions of other threads that the test has use a database, by their idents."""

    read_only: frozenset[str] = frozenset()
    """Aliases that the test only reads."""
    noted: Sequence[BaseException] = ()
    """What was refused, and what ended a thread that the test had started."""

    def __init__(self, subject: str, databases: Databases, lasting: bool) -> None:
        self.subject = subject
        self.lasting = lasting
        self.databases: frozenset[str] | None = None
        """Aliases that the test may use; ``None`` is every one."""
        if databases != "__all__":
            self.databases, self.read_only = aliases(databases)

    def state_before(self, connection: GuardedConnection) -> TransactionState | None:
        """What Django knew of the transaction before; ``None`` of an outermost frame."""
        return self.states.get(connection)

    def __enter__(self) -> Rollback:
        session: Session | None = getattr(_current, "session", None)
        self._own = session is None
        if session is None:
            threads.install(_guard_here)
            session = _current.session = Session(Limits())
            session.guard(connections.all(initialized_only=True))
        self._session = session
        if session.frames:
            self.states = {c: c.transaction_state() for c in session.with_copies()}
        session.frames.append(self)
        self.around = scope.current()
        scope.become(self)
        return self

    def note(self, error: BaseException) -> None:
        """Keep ``error``, unless it comes after the end."""
        if not self.ended:
            self.noted = [*self.noted, error]

    def undo(self) -> None:
        """Roll back now, so that an error of it can still be reported; later calls do nothing."""
        if not self.ended:
            # First of all: a late thread must not begin what nobody would end.
            self.ended = True
            try:
                if self.strays:
                    self.end_strays(f"{self.subject} has ended. {_TOO_LATE}")
            finally:
                self._session.leave(self)

    def is_on_its_own_thread(self) -> bool:
        """Whether this is the thread that the frame was entered on."""
        return getattr(_current, "session", None) is self._session

    def guard(self, wrapper: BaseDatabaseWrapper) -> None:
        """Guard a connection that was made on the frame's own thread, in the middle of it."""
        self._session.guard([wrapper])

    def connection_elsewhere(self, alias: str) -> GuardedConnection:
        """Return this thread's connection, in a transaction that is rolled back with the frame."""
        session = self._stray(threading.get_ident())
        for connection in session.connections:
            if connection.alias == alias:
                return connection
        session.guard([connections.create_connection(alias)])
        return session.connections[-1]

    def _stray(self, ident: int) -> Session:
        if self.strays is None:
            self.strays = {}
        session = self.strays.get(ident)
        if session is None:
            self.begun = True
            own = self._session
            session = Session(own.limits, own.deadline, own.lender, own.proofs)
            session.is_stray = True
            session.clock = own.clock
            session.frames = [self._twin()]
            self.strays[ident] = session
            if self.ended:
                session.ended = f"{self.subject} has ended. {_TOO_LATE}"
        return session

    def _twin(self) -> Rollback:
        """Return the same frame for another thread."""
        twin = Rollback(self.subject, "__all__", self.lasting)
        twin.databases, twin.read_only = self.databases, self.read_only
        twin.note = self.note  # type: ignore[method-assign]
        return twin

    def end_strays(self, reason: str) -> None:
        """Roll back and close what other threads have begun, whatever they are doing."""
        sessions = list((self.strays or {}).values())
        for session in sessions:
            session.ended = reason
        _take_all(c.end_from_outside for session in sessions for c in session.with_copies())

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.undo()
        finally:
            scope.become(self.around)
            if self._own:
                _current.session = None
                self._session.close()


class ReadOnly(str):
    """An alias that a test only reads; to Django's and pytest's runners it is the alias itself."""

    __slots__ = ()


def marked(databases: Collection[str]) -> frozenset[str]:
    """Return ``databases`` as their aliases, those that end in ``:ro`` as :class:`ReadOnly`."""
    known, read_only = aliases(databases)
    return frozenset(ReadOnly(name) if name in read_only else name for name in known)


def aliases(databases: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the aliases that ``databases`` names, and those of them that it marks ``:ro``."""
    read_only = frozenset(
        name.removesuffix(":ro")
        for name in databases
        if name.endswith(":ro") or isinstance(name, ReadOnly)
    )
    return frozenset(name.removesuffix(":ro") for name in databases), read_only
