"""One guarded connection: Django believes itself in an open transaction, and it never commits.

A guarded connection is Django's own, whose class is swapped for a subclass while
smoke tests run on its thread. It is in a *virtual* transaction: to Django it is
inside an outermost ``atomic``, but nothing is sent before a test uses it. The
first use begins the real transaction in the vendor's own way (see
``postgresql``, ``mysql``, ``sqlite``), one that the server itself refuses to commit.

It must be the class that is swapped: ``Atomic.__enter__`` reads
``in_atomic_block`` before anything connects, so a hook that runs at the first
query comes too late for a test that begins with ``with atomic():``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from django.db.utils import DatabaseError, Error, InterfaceError

from ..exceptions import Refused
from .lending import Kept, Lender
from .limits import Clock, Limits
from .statements import changes_the_session, transaction_statement

TransactionState = dict[str, Any]

_MARGIN = 0.25
"""Seconds that a server allows beyond a test's limit. Its limit is the net below the run's
own, for a process that cannot act any more; the run's own says more of what happened."""


class Frame(Protocol):
    """A stretch of work that is rolled back as a whole: a test, or a class with its fixtures."""

    subject: str
    databases: frozenset[str] | None
    read_only: frozenset[str]
    lasting: bool
    begun: bool
    copies: Sequence[GuardedConnection]

    def state_before(self, connection: GuardedConnection) -> TransactionState | None:
        """What Django knew of the transaction before the frame; ``None`` of an outermost one."""


class Owner(Protocol):
    """The session of a thread, as its connections see it."""

    limits: Limits
    lender: Lender | None
    clock: Clock | None
    ended: str | None
    facts: dict[str, Any]
    """What was learnt of a database in this run, by its alias."""

    def __hash__(self) -> int:
        """A session is itself only."""

    @property
    def frame(self) -> Frame:
        """The innermost frame; raises ``Refused`` where there is none."""

    def remaining(self) -> float:
        """Seconds that a transaction which begins now may take."""

    def patience(self) -> float:
        """When, on the monotonic clock, a wait for a free connection is in vain."""


def _marker() -> Any:
    """An outermost block that lets a durable block stand inside it, as in Django's TestCase."""
    block = cast(Any, Atomic(None, savepoint=True, durable=False))
    block._from_testcase = True
    return block


def _pristine() -> TransactionState:
    return {
        "in_atomic_block": True,
        "commit_on_exit": True,
        "needs_rollback": False,
        "rollback_exc": None,
        "closed_in_transaction": False,
        "savepoint_ids": [],
        "atomic_blocks": [_marker()],
        "run_on_commit": [],
        "run_commit_hooks_on_set_autocommit_on": False,
    }


class Level:
    """One real begin, or one real savepoint, and the frame that it belongs to."""

    __slots__ = ("frame", "savepoint")

    def __init__(self, frame: Frame, savepoint: str | None) -> None:
        self.frame = frame
        self.savepoint = savepoint


def _refuse_transaction_statements(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection: GuardedConnection = context["connection"]
    text = sql if isinstance(sql, str) else str(sql)
    if not connection._smoke_busy:
        connection.check_statement(text)
    with connection._smoke_in_use:
        try:
            return execute(sql, params, many, context)
        except Error as error:
            if connection.is_refusal(error):
                connection.refuse(f"executed {shorten(text, 60)!r}, which would outlive it,", error)
            raise


class GuardedConnection(BaseDatabaseWrapper):
    """What the guarded classes of all vendors share; see the module's docstring."""

    _smoke_session: Owner
    _smoke_levels: list[Level]
    _smoke_busy: bool
    _smoke_original: type[BaseDatabaseWrapper]
    _smoke_before: TransactionState
    """The state that the connection had before, and gets back."""
    _smoke_outer: bool
    """Whether it was inside the caller's transaction already."""
    _smoke_own: bool
    """Whether it was not connected before: what connects is the session's, to close."""
    _smoke_in_use: threading.RLock
    """Held while a statement runs, so that another thread can tell."""
    _smoke_connected: tuple[str, ...]
    """Names of the fields that connecting set, which go with the connection."""
    _smoke_kept: bool
    """Whether the connection was open before, and may have been closed by the server."""
    _smoke_changed: bool
    """Whether something was changed that outlives a transaction."""

    if TYPE_CHECKING:  # Django's, and not in its stubs
        Database: Any
        __class__: Any
        _savepoint: Callable[[str], None]
        _savepoint_rollback: Callable[[str], None]
        _savepoint_commit: Callable[[str], None]

    # -- being guarded, and no longer

    def come_under(self, owner: Owner, original: type[BaseDatabaseWrapper]) -> None:
        """Begin to be guarded for ``owner``, without any traffic."""
        state = {name: getattr(self, name) for name in _STATE_FIELDS}
        state["execute_wrappers"] = self.execute_wrappers
        self.__dict__.update(
            _smoke_session=owner,
            _smoke_levels=[],
            _smoke_busy=False,
            _smoke_original=original,
            _smoke_before=state,
            _smoke_outer=self._is_in_transaction(),
            _smoke_own=self.connection is None,
            _smoke_in_use=threading.RLock(),
            _smoke_connected=(),
            _smoke_kept=False,
            _smoke_changed=False,
            execute_wrappers=[*self.execute_wrappers, _refuse_transaction_statements],
        )
        self.__dict__.update(self._smoke_start())

    def _is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or in the mode where one is always open."""
        return self.in_atomic_block or (self.connection is not None and not self.autocommit)

    def release(self) -> None:
        """Become Django's connection again, closed if the session had opened it."""
        self._smoke_forget()
        if self._smoke_own:
            with self._as_outside(), suppress(DatabaseError, InterfaceError):
                super().close()
        self.__dict__.update(self._smoke_before)
        self.__class__ = self._smoke_original
        for name in [name for name in self.__dict__ if name.startswith("_smoke_")]:
            del self.__dict__[name]

    @contextmanager
    def _as_outside(self) -> Iterator[None]:
        """Let Django's own methods see a connection outside of any transaction."""
        state = self.transaction_state()
        self.in_atomic_block = False
        self.savepoint_ids, self.atomic_blocks = [], []
        self.needs_rollback = False
        try:
            with self._smoke_by_itself():
                yield
        finally:
            self.__dict__.update(state)

    @contextmanager
    def _smoke_by_itself(self) -> Iterator[None]:
        """What the block does is not the test's: it is not refused, and no wrapper sees it.

        A wrapper may send statements of its own, which would come before the begin.
        """
        busy, self._smoke_busy = self._smoke_busy, True
        wrappers, self.execute_wrappers = self.execute_wrappers, []
        try:
            yield
        finally:
            wrappers += self.execute_wrappers  # what a receiver of connection_created has added
            self.execute_wrappers = wrappers
            self._smoke_busy = busy

    # -- frames

    def transaction_state(self) -> TransactionState:
        """Return a copy of what Django knows about the transaction."""
        state = {name: getattr(self, name) for name in _STATE_FIELDS}
        for name in ("savepoint_ids", "atomic_blocks", "run_on_commit"):
            state[name] = list(state[name])
        return state

    def undo(self, frame: Frame) -> None:
        """Roll back what happened in ``frame``, and forget what Django noted meanwhile."""
        try:
            while self._smoke_levels and self._smoke_levels[-1].frame is frame:
                level = self._smoke_levels.pop()
                self._undo_level(level)
        finally:
            state = frame.state_before(self)
            if state is not None:
                self.__dict__.update(state)
            else:
                self.__dict__.update(self._smoke_start())
            if self.connection is not None and not self._smoke_levels:
                self._smoke_give_back()

    def is_untouched(self, frame: Frame) -> bool:
        """Whether there is nothing to undo: Django knows only that a transaction is open."""
        return (
            not self._smoke_levels
            and not self._smoke_outer
            and frame.state_before(self) is None
            and self.connection is None
            and self.in_atomic_block
            and self.commit_on_exit
            and len(self.atomic_blocks) == 1
            and not (
                self.needs_rollback
                or self.closed_in_transaction
                or self.savepoint_ids
                or self.run_on_commit
                or self.run_commit_hooks_on_set_autocommit_on
            )
        )

    def _smoke_start(self) -> TransactionState:
        if not self._smoke_outer:
            return _pristine()
        state = {**self._smoke_before}
        for name in ("savepoint_ids", "atomic_blocks", "run_on_commit"):
            state[name] = list(state[name])
        state["atomic_blocks"].append(_marker())
        return state

    def _undo_level(self, level: Level) -> None:
        try:
            with self._smoke_by_itself():
                if level.savepoint is None:
                    self._smoke_rollback()
                else:
                    self.needs_rollback = False
                    self._savepoint_rollback(level.savepoint)
                    self._savepoint_commit(level.savepoint)
        except Exception as error:
            self._smoke_drop()
            if level.savepoint is None and self._smoke_is_lost(error):
                raise Refused(
                    f"The connection to {self.alias!r} was lost before the end of the test "
                    f"({error}). The server has rolled back what the test did. "
                    "Look into the server's log for the reason."
                ) from error
            raise

    def _smoke_is_lost(self, error: Exception) -> bool:
        return isinstance(error, (self.Database.OperationalError, self.Database.InterfaceError))

    def _smoke_drop(self) -> None:
        """Close a connection whose state is unknown: the server rolls back what it held."""
        self._smoke_levels.clear()
        self._smoke_close_driver()
        self._smoke_return(None)

    def _smoke_close_driver(self) -> None:
        self._smoke_forget()
        driver, self.connection = self.connection, None
        if driver is not None:
            # It was broken already, which is why it is closed.
            with suppress(self.Database.Error):
                driver.close()

    # -- where the connection comes from, and goes to

    def _smoke_obtain(self, frame: Frame) -> None:
        """Connect, or take a connection over from another test of the run."""
        lender = self._smoke_session.lender
        kept = None
        if lender is not None and self._smoke_own:
            kept = self._smoke_borrow(lender, frame)
        if kept is None:
            self._smoke_connect()
        else:
            self.__dict__.update(kept.fields, connection=kept.driver)
            self._smoke_connected = tuple(kept.fields)
            self._smoke_kept = True

    def _smoke_borrow(self, lender: Lender, frame: Frame) -> Kept | None:
        session, clock = self._smoke_session, self._smoke_session.clock
        waits = lender.would_wait(session, self.alias, frame.databases)
        if waits and clock is not None:
            clock.pause()  # others hold the connections; that is not the test's fault
        try:
            return lender.borrow(session, self.alias, frame.databases, session.patience())
        except TimeoutError:
            raise Refused(
                f"{frame.subject} found no free connection to {self.alias!r}. The run holds at "
                "most SMOKETEST_MAX_CONNECTIONS to one database, and one only to SQLite; other "
                "tests, or the test itself on another thread, had them all. Allow more, or do "
                "the work on one thread."
            ) from None
        finally:
            if waits and clock is not None:
                clock.resume()

    def _smoke_connect(self) -> None:
        state = self.transaction_state()
        before = dict(self.__dict__)
        try:
            with self.wrap_database_errors:
                self.connect()
        except BaseException:
            self._smoke_close_driver()
            self._smoke_return(None)
            raise
        finally:
            self.__dict__.update(state)
        self._smoke_kept = False
        self._smoke_connected = tuple(
            name
            for name, value in self.__dict__.items()
            if name != "connection"
            and name not in _STATE_FIELDS
            and (name not in before or before[name] is not value)
        )

    def _smoke_give_back(self) -> None:
        """At the end of the outermost frame, let another test of the run have the connection."""
        if self._smoke_session.lender is None or not self._smoke_own:
            return
        if self._smoke_changed or self._smoke_session.ended is not None:
            self._smoke_changed = False
            self._smoke_drop()
            return
        fields = {name: self.__dict__[name] for name in self._smoke_connected}
        driver, self.connection = self.connection, None
        self._smoke_return(Kept(driver, fields))

    def _smoke_return(self, kept: Kept | None) -> None:
        lender = self._smoke_session.lender
        if lender is not None and self._smoke_own:
            lender.give_back(self._smoke_session, self.alias, kept)

    def end_from_outside(self) -> None:
        """Roll back and close, called from another thread than the one that uses it."""
        if self._smoke_in_use.acquire(blocking=False):
            try:
                if self._smoke_levels:
                    with suppress(self.Database.Error):
                        self._smoke_rollback()
                self._smoke_drop()
            finally:
                self._smoke_in_use.release()
        else:
            self.sever()
            self._smoke_return(None)

    # -- the begin

    def ensure_connection(self) -> None:
        """Connect and begin at the first use in a frame; refuse what the frame does not allow."""
        if self._smoke_busy:
            super().ensure_connection()
            return
        session = self._smoke_session
        frame = session.frame
        if frame.databases is not None and self.alias not in frame.databases:
            self._refuse_alias(frame)
        levels = self._smoke_levels
        if levels and levels[-1].frame is frame:
            if self.connection is None or self.closed_in_transaction:
                self.refuse("used a connection that had been closed in its transaction")
            return
        with self._smoke_by_itself():
            self._smoke_open_level(frame)

    def _smoke_open_level(self, frame: Frame) -> None:
        frame.begun = True
        if self.connection is None:
            self._smoke_obtain(frame)
        if self._smoke_levels or self._smoke_outer:
            savepoint = f"smoketest_{len(self._smoke_levels)}"
            self._savepoint(savepoint)
            self._smoke_levels.append(Level(frame, savepoint))
        else:
            self._smoke_begin_or_drop()
            self._smoke_levels.append(Level(frame, None))

    def _smoke_begin_or_drop(self) -> None:
        try:
            with self.wrap_database_errors:
                self._smoke_begin()
        except BaseException as error:
            if self._smoke_kept and isinstance(error, Error):
                # The server closed it since the last test; that is not this test's fault.
                self._smoke_close_driver()
                self._smoke_connect()
                self._smoke_begin_or_drop()
            else:
                self._smoke_drop()
                raise

    # -- what a vendor knows better

    def _smoke_begin(self) -> None:
        """Begin a transaction that cannot be committed; Django's own begin, in general."""
        with self._as_outside():
            super().set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    def _smoke_rollback(self) -> None:
        """Roll back, and leave the connection as it was before the begin."""
        with self._as_outside():
            self._rollback()
            super().set_autocommit(True)

    @property
    def _smoke_read_only(self) -> bool:
        """Whether the server is to refuse writes in the transaction that begins now."""
        return self.alias in self._smoke_session.frame.read_only

    def _smoke_remaining(self) -> float:
        """Seconds that the transaction which begins now may take."""
        return self._smoke_session.remaining() + _MARGIN

    def _smoke_forget(self) -> None:
        """Let go of what :meth:`sever` needs; the connection is about to be closed."""

    def forsake(self) -> None:
        """Sever it, and let the run have its place, whatever its thread does."""
        with suppress(self.Database.Error):
            self.sever()
        self._smoke_return(None)

    def sever(self) -> None:
        """End at the server what this connection does; called from another thread."""

    # -- what a test must not do

    def check_statement(self, sql: str) -> None:
        """Refuse ``sql`` if it would end the transaction, and note what outlives one."""
        if statement := transaction_statement(sql):
            self.refuse(f"executed {statement.upper()!r}")
        self._smoke_changed |= changes_the_session(sql)

    def is_refusal(self, error: Exception) -> bool:
        """Whether ``error`` is the server's way to refuse a commit."""
        return False

    def refuse(self, what: str, cause: Exception | None = None) -> NoReturn:
        """Raise ``Refused`` for a test that did ``what``, such as ``"called commit()"``."""
        raise Refused(
            f"{self._smoke_session.frame.subject} {what} on the database {self.alias!r}. "
            "What a smoke test does is rolled back at its end, in one transaction that must "
            "stay open until then. Leave the end of the transaction to the test; for a part "
            "that is undone earlier, use a transaction.atomic() block."
        ) from cause

    def _refuse_alias(self, frame: Frame) -> NoReturn:
        raise Refused(
            f"{frame.subject} used the database {self.alias!r}, which its `databases` does not "
            f"name. A test touches only what it declares, so that what it may lock is known. "
            f"Add {self.alias!r} to `databases`, or route the query to "
            f"{' or '.join(map(repr, sorted(frame.databases or ()))) or 'no database'}."
        )

    def commit(self) -> None:
        """Refused."""
        if not self._smoke_busy:
            self.refuse("called commit()")
        super().commit()

    def rollback(self) -> None:
        """Refused."""
        if not self._smoke_busy:
            self.refuse("called rollback()")
        super().rollback()

    def _commit(self) -> None:
        if not self._smoke_busy:
            self.refuse("called _commit()")
        super()._commit()  # type: ignore[misc]

    def _rollback(self) -> None:
        if not self._smoke_busy:
            self.refuse("called _rollback()")
        super()._rollback()  # type: ignore[misc]

    def _set_autocommit(self, autocommit: bool) -> None:
        if not self._smoke_busy:
            self.refuse("called _set_autocommit()")
        super()._set_autocommit(autocommit)  # type: ignore[misc]

    def connect(self) -> None:
        """Refused: the new connection would not be in the test's transaction."""
        if not self._smoke_busy:
            self.refuse("called connect()")
        super().connect()

    def _nodb_cursor(self) -> NoReturn:
        self.refuse("connected to the server without its database")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self.refuse("copied or pickled the connection")

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        """Refused."""
        if not self._smoke_busy:
            self.refuse("called set_autocommit()")
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    def get_autocommit(self) -> bool:
        """False, without asking: to Django a transaction is open."""
        if self._smoke_busy:
            return super().get_autocommit()
        return False

    def close(self) -> None:
        """Refused."""
        if not self._smoke_busy:
            if not self._smoke_levels:
                return  # nothing is open
            self.refuse("closed the connection")
        super().close()

    def close_if_unusable_or_obsolete(self) -> None:
        """Do nothing: the end of a request inside a test is not the end of the test."""

    def close_if_health_check_failed(self) -> None:
        """Do nothing: another connection would not have the test's transaction."""

    @contextmanager
    def temporary_connection(self) -> Iterator[Any]:
        """Yield a cursor; Django's own would close the connection, and end the transaction."""
        with self.cursor() as cursor:
            yield cursor

    def copy(self, alias: str | None = None) -> Any:
        """Return a second connection that is guarded and rolled back as well."""
        copy: GuardedConnection = super().copy(alias)
        copy.come_under(self._smoke_session, self._smoke_original)
        frame = self._smoke_session.frame
        frame.copies = [*frame.copies, copy]
        return copy


_STATE_FIELDS = tuple(_pristine())
