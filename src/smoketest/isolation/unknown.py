"""Databases of other vendors: no server refuses, so what can be seen is looked at.

Django's own transaction and a savepoint at its begin: if that is gone at the end, something
has ended the transaction in the middle of the test, and the test does not pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .guard import GuardedConnection

# https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/COMMIT.html is one of those
# that commit before each of them.
_DEFINES = re.compile(
    r"""(?: \s | /\*.*?\*/ | --[^\n]*\n )*
    (?P<verb> alter | comment | create | drop | grant | rename | revoke | truncate )\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class UnknownGuard(GuardedConnection):
    """Refuses what Django knows to commit by the way, and notices what it does not."""

    _smoke_begun: Mapping[str, str]
    """The mark of the transaction, where the backend has savepoints."""

    def _smoke_begin(self) -> None:
        super()._smoke_begin()
        self._smoke_begun = self._smoke_mark() if self.features.uses_savepoints else {}

    def _smoke_has_ended(self) -> bool:
        # To go back to the one mark is to lose the other, which is set later.
        marks = self._smoke_evidence[0] if self._smoke_evidence else self._smoke_begun
        return bool(marks and self._smoke_fault(marks))

    def check_statement(self, sql: str) -> None:
        """Refuse also a change of the schema, where the database commits it at once."""
        super().check_statement(sql)
        match = _DEFINES.match(sql)
        if match and not self.features.can_rollback_ddl:
            self.refuse(f"executed {match['verb'].upper()!r}, which would commit by the way,")
