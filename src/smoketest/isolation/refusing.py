"""What a test must not do with a connection, refused in words.

The server refuses as well, from whatever layer it comes; but its own words say
nothing about smoke tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import shorten
from typing import Any, NoReturn

from django.db.utils import Error
from sqlparse import split

from smoketest.exceptions import Refused

from .adoption import Frame
from .borrowing import BorrowingConnection
from .statements import Changes, Split, changes_the_session, transaction_statement


class RefusingConnection(BorrowingConnection):
    """Refuses what would end the transaction, or would happen outside of it."""

    _smoke_split: Split = staticmethod(split)
    _smoke_lasts: Changes = staticmethod(changes_the_session)

    def watch_statement(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Pass a statement on, unless it must be refused; Django's ``execute_wrappers`` call it."""
        text = sql if isinstance(sql, str) else str(sql)
        if not self._smoke_busy:
            self.ensure_connection()  # a cursor of the test before has not asked for it
            self.check_statement(text)
        with self._smoke_in_use:
            try:
                return execute(sql, params, many, context)
            except Error as error:
                if self.is_refusal(error):
                    self.refuse(f"executed {shorten(text, 60)!r}, which would outlive it,", error)
                raise

    def check_statement(self, sql: str) -> None:
        """Refuse ``sql`` if it would end the transaction, and note what outlives one."""
        if statement := transaction_statement(sql, self._smoke_split):
            self.refuse(f"executed {statement.upper()!r}")
        self._smoke_changed |= self._smoke_lasts(sql)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let a block of the driver's own use the connection; nobody closes it meanwhile."""
        with self._smoke_in_use:
            if not self._smoke_busy:
                self._smoke_session.frame  # noqa: B018 - raises where the test has ended
            yield

    def change_driver(self, what: str) -> None:
        """Note that a test did ``what`` with the driver's connection, which no rollback undoes."""
        self._smoke_changed = True

    def is_refusal(self, error: Exception) -> bool:
        """Whether ``error`` is the server's way to refuse a commit."""
        return False

    def refuse(self, what: str, cause: Exception | None = None, *, noted: bool = True) -> NoReturn:
        """Raise ``Refused`` for a test that did ``what``, such as ``"called commit()"``.

        It is ``noted`` unless what was tested is the same without it.
        """
        frame = self._smoke_session.frame
        error = Refused(
            f"{frame.subject} {what} on the database {self.alias!r}. "
            "What a smoke test does is rolled back at its end, in one transaction that must "
            "stay open until then. Leave the end of the transaction to the test; for a part "
            "that is undone earlier, use a transaction.atomic() block."
        )
        if noted:
            frame.note(error)
        raise error from cause

    def _refuse_alias(self, frame: Frame) -> NoReturn:
        error = Refused(
            f"{frame.subject} used the database {self.alias!r}, which its `databases` does not "
            f"name. A test touches only what it declares, so that what it may lock is known. "
            f"Add {self.alias!r} to `databases`, or route the query to "
            f"{' or '.join(map(repr, sorted(frame.databases or ()))) or 'no database'}."
        )
        frame.note(error)
        raise error

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
        self.refuse("copied or pickled the connection", noted=False)

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
            self.refuse("closed the connection", noted=False)
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
        copy: RefusingConnection = super().copy(alias)
        copy.come_under(self._smoke_session, self._smoke_original)
        frame = self._smoke_session.frame
        frame.copies = [*frame.copies, copy]
        return copy
