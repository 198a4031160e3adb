"""Marks each transaction, where the run is to be verified, and looks for the mark at its end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from typing import NoReturn

from smoketest.exceptions import Refused

from .adoption import Frame
from .refusing import RefusingConnection


class VerifiableConnection(RefusingConnection):
    """Can tell whether its transaction lasted until the rollback."""

    def _smoke_note_begin(self, frame: Frame) -> None:
        proofs = self._smoke_session.proofs
        if proofs is not None:
            marks = self._smoke_mark()
            self._smoke_evidence = marks, proofs.begun(self.alias, frame.subject, marks)

    def _smoke_note_callers(self, frame: Frame) -> None:
        """Take note of a use inside the caller's own transaction, which proves nothing."""
        proofs = self._smoke_session.proofs
        if proofs is not None:
            proofs.begun(self.alias, frame.subject, {"callers": ""})("")

    def _smoke_end(self) -> None:
        """Roll back, and keep what is known of the transaction.

        Raises ``Refused`` if the transaction has ended before, as far as that costs nothing.
        """
        has_ended = self._smoke_has_ended()
        self._smoke_end_with_evidence()
        if has_ended:
            self._smoke_blame()

    def _smoke_has_ended(self) -> bool:
        """Whether the transaction is known to be over, without asking the server."""
        return False

    def _smoke_blame(self, cause: Exception | None = None) -> NoReturn:
        raise Refused(
            f"{self._smoke_session.subject} ended its transaction on the database "
            f"{self.alias!r} before the test was over, below all that refuses to. What it did "
            "there may be committed. Look for it, and remove it by hand; then leave the end of "
            "the transaction to the test."
        ) from cause

    def _smoke_end_with_evidence(self) -> None:
        evidence, self._smoke_evidence = self._smoke_evidence, None
        if evidence is None:
            self._smoke_rollback()
            return
        marks, ended = evidence
        fault = self._smoke_fault(marks)
        if fault:
            ended(fault)  # before a rollback that may have nothing to roll back, and say so
        self._smoke_rollback()
        if not fault:
            ended("")

    def _smoke_rollback(self) -> None:
        """Roll back, and leave the connection as it was before the begin."""
        raise NotImplementedError

    def _smoke_mark(self) -> Mapping[str, str]:
        """Mark the transaction that has just begun, in a way that it cannot survive.

        No test can make the savepoint again, for none can guess its name.
        """
        name = f"smoketest_{secrets.token_hex(8)}"
        self._smoke_tell(self.ops.savepoint_create_sql(name))
        return {"savepoint": name}

    def _smoke_fault(self, marks: Mapping[str, str]) -> str:
        """Return what is wrong with the transaction, ``""`` for nothing or if nobody can tell."""
        try:
            self._smoke_tell(self.ops.savepoint_rollback_sql(marks["savepoint"]))
        except self.Database.Error as error:
            if self._smoke_lacks_savepoint(error):
                return f"its transaction had ended before the test did ({str(error).strip()})"
        return ""

    def _smoke_tell(self, statement: str) -> None:
        """Execute it below Django, whose connections know one thread only."""
        with closing(self.connection.cursor()) as cursor:
            cursor.execute(statement)

    def _smoke_lacks_savepoint(self, error: Exception) -> bool:
        """Whether ``error`` says that a savepoint does not exist, and not that nobody answers."""
        return not isinstance(error, self.Database.InterfaceError)
