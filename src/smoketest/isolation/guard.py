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

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from django.db.utils import DatabaseError, InterfaceError

from ..exceptions import Refused
from .statements import transaction_statement

if TYPE_CHECKING:
    from .session import Frame, Session

TransactionState = dict[str, Any]


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
    connection = context["connection"]
    if not connection._smoke_busy and (
        statement := transaction_statement(sql if isinstance(sql, str) else str(sql))
    ):
        connection._refuse(f"executed {statement.upper()!r}")
    return execute(sql, params, many, context)


class GuardedConnection(BaseDatabaseWrapper):
    """What the guarded classes of all vendors share; see the module's docstring."""

    _smoke_session: Session
    _smoke_levels: list[Level]
    _smoke_busy: bool
    _smoke_original: type[BaseDatabaseWrapper]
    _smoke_before: TransactionState
    """The state that the connection had before, and gets back."""
    _smoke_outer: bool
    """Whether it was inside the caller's transaction already."""
    _smoke_own: bool
    """Whether it was not connected before: what connects is the session's, to close."""

    if TYPE_CHECKING:  # Django's, and not in its stubs
        Database: Any
        __class__: Any
        _savepoint: Callable[[str], None]
        _savepoint_rollback: Callable[[str], None]
        _savepoint_commit: Callable[[str], None]
        _rollback: Callable[[], None]

    # -- being guarded, and no longer

    def release(self) -> None:
        """Become Django's connection again, closed if the session had opened it."""
        self._smoke_busy = True
        self._smoke_forget()
        if self._smoke_own:
            with self._as_outside(), suppress(DatabaseError, InterfaceError):
                super().close()
        self.__dict__.update(self._smoke_before)
        self.__class__ = self._smoke_original
        for name in _OWN_FIELDS:
            del self.__dict__[name]

    @contextmanager
    def _as_outside(self) -> Iterator[None]:
        """Let Django's own methods see a connection outside of any transaction."""
        state = self.transaction_state()
        busy, self._smoke_busy = self._smoke_busy, True
        self.in_atomic_block = False
        self.savepoint_ids, self.atomic_blocks = [], []
        self.needs_rollback = False
        try:
            yield
        finally:
            self.__dict__.update(state)
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
            state = frame.states.get(self)
            self.__dict__.update(self._smoke_start() if state is None else state)

    def _smoke_start(self) -> TransactionState:
        if not self._smoke_outer:
            return _pristine()
        state = {**self._smoke_before}
        for name in ("savepoint_ids", "atomic_blocks", "run_on_commit"):
            state[name] = list(state[name])
        state["atomic_blocks"].append(_marker())
        return state

    def _undo_level(self, level: Level) -> None:
        self._smoke_busy = True
        try:
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
        finally:
            self._smoke_busy = False

    def _smoke_is_lost(self, error: Exception) -> bool:
        return isinstance(error, (self.Database.OperationalError, self.Database.InterfaceError))

    def _smoke_drop(self) -> None:
        """Close a connection whose state is unknown: the server rolls back what it held."""
        self._smoke_levels.clear()
        self._smoke_forget()
        driver, self.connection = self.connection, None
        if driver is not None:
            # It was broken already, which is why it is closed.
            with suppress(self.Database.Error):
                driver.close()

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
                self._refuse("used a connection that had been closed in its transaction")
            return
        self._smoke_busy = True
        try:
            self._smoke_open_level(frame)
        finally:
            self._smoke_busy = False

    def _smoke_open_level(self, frame: Frame) -> None:
        if self.connection is None:
            state = self.transaction_state()
            try:
                with self.wrap_database_errors:
                    self.connect()
            finally:
                self.__dict__.update(state)
        if self._smoke_levels or self._smoke_outer:
            savepoint = f"smoketest_{len(self._smoke_levels)}"
            self._savepoint(savepoint)
            self._smoke_levels.append(Level(frame, savepoint))
        else:
            try:
                with self.wrap_database_errors:
                    self._smoke_begin()
            except BaseException:
                self._smoke_drop()
                raise
            self._smoke_levels.append(Level(frame, None))

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

    def _smoke_remaining(self) -> float:
        """Seconds that the transaction which begins now may take."""
        return self._smoke_session.remaining()

    def _smoke_forget(self) -> None:
        """Let go of what :meth:`sever` needs; the connection is about to be closed."""

    def sever(self) -> None:
        """End at the server what this connection does; called from another thread."""

    # -- what a test must not do

    def _refuse(self, what: str) -> NoReturn:
        raise Refused(
            f"{self._smoke_session.frame.subject} {what} on the database {self.alias!r}. "
            "What a smoke test does is rolled back at its end, in one transaction that must "
            "stay open until then. Leave the end of the transaction to the test; for a part "
            "that is undone earlier, use a transaction.atomic() block."
        )

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
            self._refuse("called commit()")
        super().commit()

    def rollback(self) -> None:
        """Refused."""
        if not self._smoke_busy:
            self._refuse("called rollback()")
        super().rollback()

    def _commit(self) -> None:
        if not self._smoke_busy:
            self._refuse("called _commit()")
        super()._commit()  # type: ignore[misc]

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        """Refused."""
        if not self._smoke_busy:
            self._refuse("called set_autocommit()")
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
            self._refuse("closed the connection")
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
        wrapper = super().copy(alias)
        wrapper.__class__ = self._smoke_original
        copy = adopt(wrapper, self._smoke_session)
        self._smoke_session.frame.copies.append(copy)
        return copy


_STATE_FIELDS = tuple(_pristine())
_OWN_FIELDS = tuple(
    name for name in GuardedConnection.__annotations__ if name.startswith("_smoke_")
)
_guarded_classes: dict[type[BaseDatabaseWrapper], type[GuardedConnection]] = {}


def guarded_class(original: type[BaseDatabaseWrapper]) -> type[GuardedConnection]:
    """Return the guarded subclass of a backend's ``DatabaseWrapper``; made once for each."""
    if original not in _guarded_classes:
        bases = (_vendor_guard(original.vendor), original)
        _guarded_classes[original] = type(f"Guarded{original.__name__}", bases, {})
    return _guarded_classes[original]


def _vendor_guard(vendor: str) -> type[GuardedConnection]:
    if vendor == "postgresql":
        from .postgresql import PostgreSQLGuard

        return PostgreSQLGuard
    if vendor == "mysql":
        from .mysql import MySQLGuard

        return MySQLGuard
    if vendor == "sqlite":
        from .sqlite import SQLiteGuard

        return SQLiteGuard
    return GuardedConnection


def adopt(wrapper: BaseDatabaseWrapper, session: Session) -> GuardedConnection:
    """Guard ``wrapper`` for ``session``, without any traffic, and return it."""
    state = {name: getattr(wrapper, name) for name in _STATE_FIELDS}
    state["execute_wrappers"] = wrapper.execute_wrappers
    original = type(wrapper)
    wrapper.__dict__.update(
        _smoke_session=session,
        _smoke_levels=[],
        _smoke_busy=False,
        _smoke_original=original,
        _smoke_before=state,
        _smoke_outer=wrapper.in_atomic_block,
        _smoke_own=wrapper.connection is None,
        execute_wrappers=[*wrapper.execute_wrappers, _refuse_transaction_statements],
    )
    wrapper.__class__ = guarded_class(original)
    guarded = cast(GuardedConnection, wrapper)
    guarded.__dict__.update(guarded._smoke_start())
    return guarded
