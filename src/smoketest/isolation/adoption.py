"""How a connection of Django's comes under guard, and gets out of it again.

Its class is swapped for a subclass while smoke tests run on its thread, and what
Django knows of its transaction is set to: inside an outermost ``atomic``. Both are
put back at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from django.db.utils import DatabaseError, InterfaceError

from .lending import Lender
from .limits import Clock, Limits
from .proofs import Proofs

TransactionState = dict[str, Any]


class Frame(Protocol):
    """A stretch of work that is rolled back as a whole: a test, or a class with its fixtures."""

    subject: str
    databases: frozenset[str] | None
    read_only: frozenset[str]
    lasting: bool
    begun: bool
    copies: Sequence[Any]

    def state_before(self, connection: Any) -> TransactionState | None:
        """What Django knew of the transaction before the frame; ``None`` of an outermost one."""

    def note(self, error: BaseException) -> None:
        """Keep a refusal, which the code of the test may swallow."""


class Owner(Protocol):
    """The session of a thread, as its connections see it."""

    limits: Limits
    lender: Lender | None
    clock: Clock | None
    proofs: Proofs | None
    ended: str | None
    facts: dict[str, Any]
    """What was learnt of a database in this run, by its alias."""
    is_stray: bool
    """Whether its thread is one that a test has started or handed work to."""

    def __hash__(self) -> int:
        """A session is itself only."""

    @property
    def frame(self) -> Frame:
        """The innermost frame; raises ``Refused`` where there is none."""

    @property
    def subject(self) -> str:
        """What is tested, for messages, also when the thread may do no more for it."""

    def remaining(self) -> float:
        """Seconds that a transaction which begins now may take."""

    def patience(self) -> float:
        """When, on the monotonic clock, a wait for a free connection is in vain."""


def _marker() -> Any:
    """An outermost block that lets a durable block stand inside it, as in Django's TestCase."""
    block = cast(Any, Atomic(None, savepoint=True, durable=False))
    block._from_testcase = True
    return block


def pristine() -> TransactionState:
    """What Django knows of an outermost block in which nothing has happened."""
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


STATE_FIELDS = tuple(pristine())


def _copied(state: Mapping[str, Any]) -> TransactionState:
    """Return what ``state`` says of a transaction, with lists of its own."""
    copy = {name: state[name] for name in STATE_FIELDS}
    for name in ("savepoint_ids", "atomic_blocks", "run_on_commit"):
        copy[name] = list(copy[name])
    return copy


def _own_settings(shared: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what all threads of the process share, for a test may change it."""
    return {name: {**v} if isinstance(v, dict) else v for name, v in shared.items()}


class Level:
    """One real begin, or one real savepoint, and the frame that it belongs to."""

    __slots__ = ("frame", "savepoint")

    def __init__(self, frame: Frame, savepoint: str | None) -> None:
        self.frame = frame
        self.savepoint = savepoint


class AdoptedConnection(BaseDatabaseWrapper):
    """A connection under guard, and the fields that all parts of the guard share."""

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
    _smoke_evidence: tuple[Mapping[str, str], Callable[[str], None]] | None
    """The marks of the transaction that is to be verified, and what to tell its end."""

    if TYPE_CHECKING:  # Django's, and not in its stubs
        Database: Any
        __class__: Any
        _savepoint: Callable[[str], None]
        _savepoint_rollback: Callable[[str], None]
        _savepoint_commit: Callable[[str], None]
        watch_statement: Callable[..., Any]

    def come_under(self, owner: Owner, original: type[BaseDatabaseWrapper]) -> None:
        """Begin to be guarded for ``owner``, without any traffic."""
        state = {name: getattr(self, name) for name in STATE_FIELDS}
        state["execute_wrappers"] = self.execute_wrappers
        state["settings_dict"] = self.settings_dict
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
            _smoke_evidence=None,
            execute_wrappers=[*self.execute_wrappers, self.watch_statement],
            settings_dict=_own_settings(self.settings_dict),
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

    def transaction_state(self) -> TransactionState:
        """Return a copy of what Django knows about the transaction."""
        return _copied(self.__dict__)

    def _smoke_start(self) -> TransactionState:
        if not self._smoke_outer:
            return pristine()
        state = _copied(self._smoke_before)
        state["atomic_blocks"].append(_marker())
        return state

    def _smoke_forget(self) -> None:
        """Let go of what :meth:`sever` needs; the connection is about to be closed."""
