"""Which SQL statements end or replace a transaction, whatever layer sends them."""

from __future__ import annotations

import re

import sqlparse

_COMMENT_OR_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|\#[^\n]*(?:\n|$)|/\*(?!!).*?\*/|;)*"
# MySQL runs what stands in /*!40000 ... */, so the mark is passed over, not the comment.
_EXECUTABLE_COMMENT = r"(?:/\*!\d*\s*)?"

_ENDS_TRANSACTION = re.compile(
    _COMMENT_OR_SPACE
    + _EXECUTABLE_COMMENT
    + r"""(?P<statement>
        commit | end | abort | begin | start\s+transaction | xa | prepare\s+transaction
      | rollback (?! \s+ (?:work\s+|transaction\s+)? to \b)
      | set \s+ (?:[^;']*,\s*)? (?:session\s+|local\s+|@@(?:session\.|local\.)?)? autocommit
      | close \s+ (?:all | "?smoketest_no_commit"?)
    )\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def transaction_statement(sql: str) -> str | None:
    """Return the first statement in ``sql`` that would end the transaction, or ``None``.

    Comments and case are ignored. It exists to give a test a message in words;
    the server refuses the statement in any case.
    """
    if match := _ENDS_TRANSACTION.match(sql):
        return match["statement"]
    _, semicolon, rest = sql.partition(";")
    if not semicolon or not rest.strip():
        return None
    # Only a parser can tell a second statement from a semicolon in a literal.
    for statement in sqlparse.split(sql):
        if match := _ENDS_TRANSACTION.match(statement):
            return match["statement"]
    return None


_CHANGES_SESSION = re.compile(
    r"""\b(?: pg_(?:try_)?advisory_lock(?:_shared)? | get_lock | set_config ) \s* \(
      | @ \w+ \s* :=
      | (?:^|;) \s* (?:
            prepare | listen | deallocate | discard | use | handler
          | create \s+ (?:or\s+replace\s+)? temporary
          | set \s+ (?!local\b|transaction\b|constraints\b)
        ) \b""",
    re.IGNORECASE | re.VERBOSE,
)


def changes_the_session(sql: str) -> bool:
    """Whether ``sql`` may leave something in the session that a rollback does not undo.

    Session variables, advisory locks, prepared statements: a connection that has
    seen one is not lent to the next test.
    """
    return _CHANGES_SESSION.search(sql) is not None
