"""Which SQL statements end or replace a transaction, whatever layer sends them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from sqlparse import split

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


Split = Callable[[str], Iterable[str]]
"""Takes a string of SQL apart, at the semicolons between its statements."""


def transaction_statement(sql: str, parse: Split = split) -> str | None:
    """Return the first statement in ``sql`` that would end the transaction, or ``None``.

    Comments and case are ignored. It exists to give a test a message in words;
    the server refuses the statement in any case, unless it is a ROLLBACK.
    """
    if match := _ENDS_TRANSACTION.match(sql):
        return match["statement"]
    if not may_be_several(sql) and "/*" not in sql:
        return None
    # Only a parser can tell a second statement from a semicolon in a literal.
    for statement in parse(sql):
        if match := _ENDS_TRANSACTION.match(statement):
            return match["statement"]
    return None


def may_be_several(sql: str) -> bool:
    """Whether something follows a semicolon in ``sql``, be it in a literal."""
    _, semicolon, rest = sql.partition(";")
    return bool(semicolon and rest.strip())


# https://www.postgresql.org/docs/current/sql-syntax-lexical.html. A doubled quote is taken
# for the end of one literal and the beginning of the next.
_POSTGRESQL = re.compile(
    r"""(?P<literal>
        (?<![\w$]) e'(?:[^'\\]|\\.|'')*(?:'|\Z)
      | '[^']*(?:'|\Z)
      | "[^"]*(?:"|\Z)
      | (?<![\w$]) \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? (?:\$(?P=tag)\$|\Z)
    ) | --[^\n]* | /\* | ;""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_EDGE_OF_COMMENT = re.compile(r"/\*|\*/")
_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)


def split_postgresql(sql: str) -> Iterator[str]:
    """Yield the statements in ``sql``, without comments, as PostgreSQL takes them.

    To it a backslash in a literal is one character, ``#`` an operator, and comments nest.
    """
    if _BODY.search(sql):  # of a function, whose statements have semicolons of their own
        yield from split(sql)
        return
    statement, at = "", 0
    while match := _POSTGRESQL.search(sql, at):
        statement += sql[at : match.start()] + (match["literal"] or " ")
        at = match.end()
        if match[0] == "/*":
            at = _end_of_comment(sql, at)
        elif match[0] == ";":
            yield statement
            statement = ""
    yield statement + sql[at:]


def _end_of_comment(sql: str, at: int) -> int:
    depth = 1
    for edge in _EDGE_OF_COMMENT.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def _changing(undone: str) -> re.Pattern[str]:
    """Return what finds a change of the session; a SET of what is ``undone`` is none."""
    return re.compile(
        r"(?:^|;)"
        + _COMMENT_OR_SPACE
        + _EXECUTABLE_COMMENT
        + rf"""(?:
            (?: prepare | listen | deallocate | discard | use | handler | call | do ) \b
          | create \s+ (?:or\s+replace\s+)? temporary \b
          | set \s+ (?! \s | (?: {undone} ) \b)
        )""",
        re.IGNORECASE | re.VERBOSE | re.DOTALL,
    )


_CHANGES_SESSION = _changing("local | transaction | constraints")
_CHANGES_SESSION_OF_MYSQL = _changing("transaction | constraints")
"""SET LOCAL is another word for SET SESSION there."""
_CHANGES_SESSION_BY_THE_WAY = re.compile(
    r"""\b(?: pg_(?:try_)?advisory_lock(?:_shared)? | get_lock | set_config ) \s* \(
      | @ \w+ \s* :=
      | \binto \s+ @""",
    re.IGNORECASE | re.VERBOSE,
)
_BY_THE_WAY = ("lock", "set_config", "@")
"""One of them is in whatever the expression above finds; to look for it is ten times as slow."""


Changes = Callable[[str], bool]
"""Tells whether a string of SQL may leave something in the session."""


def changes_the_session(sql: str, begins: re.Pattern[str] = _CHANGES_SESSION) -> bool:
    """Whether ``sql`` may leave something in the session that a rollback does not undo.

    Session variables, advisory locks, prepared statements: a connection that has
    seen one is not lent to the next test.
    """
    find = begins.search if may_be_several(sql) else begins.match
    if find(sql):
        return True
    lowered = sql.lower()
    return any(word in lowered for word in _BY_THE_WAY) and (
        _CHANGES_SESSION_BY_THE_WAY.search(sql) is not None
    )


def changes_the_session_of_mysql(sql: str) -> bool:
    """Do the same for MySQL and MariaDB."""
    return changes_the_session(sql, _CHANGES_SESSION_OF_MYSQL)
