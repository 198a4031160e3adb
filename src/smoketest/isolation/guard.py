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

from contextlib import suppress
from typing import Any

from django.db.utils import Error

from smoketest.exceptions import Refused

from .adoption import Frame, Level
from .announcing import AnnouncedConnection
from .verifying import VerifiableConnection

_MARGIN = 0.25
"""Seconds that a server allows beyond a test's limit. Its limit is the net below the run's
own, for a process that cannot act any more; the run's own says more of what happened."""


class GuardedConnection(VerifiableConnection, AnnouncedConnection):
    """What the guarded classes of all vendors share; see the module's docstring."""

    _smoke_attributes: tuple[str, ...] = ()
    """Attributes of the driver's connection that a test can set, and the next would have."""
    _smoke_set_up: list[Any]
    """Their values at the begin."""
    _smoke_driver: Any
    """The driver's connection at the begin."""

    def undo(self, frame: Frame) -> None:
        """Roll back what happened in ``frame``, and forget what Django noted meanwhile."""
        try:
            while self._smoke_levels and self._smoke_levels[-1].frame is frame:
                level = self._smoke_levels.pop()
                self._undo_level(level)
        finally:
            self._smoke_call_off(frame)
            state = frame.state_before(self)
            if state is not None:
                self.__dict__.update(state)
            else:
                self.__dict__.update(self._smoke_start())
            if self.connection is not None and not self._smoke_levels:
                if self._smoke_own:
                    self._smoke_rest()
                self._smoke_give_back()

    def is_untouched(self, frame: Frame) -> bool:
        """Whether there is nothing to undo: Django knows only that a transaction is open."""
        return (
            not self._smoke_levels
            and not self._smoke_announced
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

    def _undo_level(self, level: Level) -> None:
        try:
            with self._smoke_by_itself():
                self._smoke_refuse_if_stuck()
                if level.savepoint is None:
                    self._smoke_take_driver_back()
                    self._smoke_changed |= self._smoke_look_at_driver() != self._smoke_set_up
                    self._smoke_end()
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

    def _smoke_take_driver_back(self) -> None:
        # A test may have put another in its place, and left this one to hold locks.
        self.connection = self._smoke_driver

    def _smoke_refuse_if_stuck(self) -> None:
        """Raise ``Refused`` if the driver would wait for the test, which has ended."""

    def _smoke_is_lost(self, error: Exception) -> bool:
        return isinstance(error, (self.Database.OperationalError, self.Database.InterfaceError))

    def end_from_outside(self) -> None:
        """Roll back and close, called from another thread than the one that uses it.

        Raises ``Refused`` if the transaction has ended before, as far as that is known.
        """
        if self._smoke_in_use.acquire(blocking=False):
            try:
                self._smoke_end_and_drop()
            finally:
                self._smoke_in_use.release()
        else:
            self.sever()
            self._smoke_return(None)

    def _smoke_end_and_drop(self) -> None:
        has_ended = False
        if self._smoke_levels:
            self._smoke_take_driver_back()
            has_ended = self._smoke_has_ended()
        try:
            # To close it rolls back. To roll back before would let it be used meanwhile.
            if self._smoke_levels and self._smoke_evidence is not None:
                with suppress(self.Database.Error), self._smoke_by_itself():
                    self._smoke_end_with_evidence()
        finally:
            self._smoke_drop()
        if has_ended:
            self._smoke_blame()

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
            if not self._smoke_levels:
                self._smoke_note_callers(frame)
            savepoint = f"smoketest_{len(self._smoke_levels)}"
            self._savepoint(savepoint)
            self._smoke_levels.append(Level(frame, savepoint))
        else:
            self._smoke_begin_or_drop(frame)
            self._smoke_levels.append(Level(frame, None))
        self._smoke_announce(frame)

    def _smoke_begin_or_drop(self, frame: Frame) -> None:
        try:
            with self.wrap_database_errors:
                if self._smoke_own:
                    self._smoke_wake()
                self._smoke_begin()
            self._smoke_driver = self.connection
            self._smoke_set_up = self._smoke_look_at_driver()
            self._smoke_note_begin(frame)
        except BaseException as error:
            if self._smoke_kept and isinstance(error, Error):
                # The server closed it since the last test; that is not this test's fault.
                self._smoke_close_driver()
                self._smoke_connect()
                self._smoke_begin_or_drop(frame)
            else:
                self._smoke_drop()
                raise

    def _smoke_begin(self) -> None:
        """Begin a transaction that cannot be committed; Django's own begin, in general."""
        with self._as_outside():
            super().set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    def _smoke_rollback(self) -> None:
        """Roll back, and leave the connection as it was before the begin."""
        with self._as_outside():
            self._rollback()
            super().set_autocommit(True)

    def _smoke_rest(self) -> None:
        """Let the driver refuse everything until the next begin: a cursor may have been kept."""

    def _smoke_wake(self) -> None:
        """Let the driver be as it was before it rested, if it did."""

    def _smoke_look_at_driver(self) -> list[Any]:
        """Return how the driver's connection is set up: no rollback undoes what a test changes."""
        return [getattr(self.connection, name, None) for name in self._smoke_attributes]

    @property
    def _smoke_read_only(self) -> bool:
        """Whether the server is to refuse writes in the transaction that begins now."""
        return self.alias in self._smoke_session.frame.read_only

    def _smoke_remaining(self) -> float:
        """Seconds that the transaction which begins now may take."""
        return self._smoke_session.remaining() + _MARGIN

    def forsake(self) -> None:
        """Sever it, and let the run have its place, whatever its thread does."""
        with suppress(self.Database.Error):
            self.sever()
        self._smoke_return(None)

    def sever(self) -> None:
        """End at the server what this connection does; called from another thread."""
