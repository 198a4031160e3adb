"""Tables of MySQL and MariaDB whose engine has no transactions: no rollback reaches them.

The server can say after a rollback that something stays, but not what. So a write to such
a table is looked for before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlparse import split

from .statements import may_be_several

# In comments of the kind /*!40000 ... */ stands what is executed.
_WRITES = re.compile(
    r"""(?: \s | /\*(?!!).*?\*/ | /\*!\d* | --\s[^\n]*\n | \#[^\n]*\n | \( )*
    (?: (?: set \s+ statement \b .*? \b for | analyze (?:\s+ format \s*=\s* \w+)?
          | prepare \s+ \S+ \s+ from | execute \s+ immediate ) [\s'"]+ )?
    (?: insert | update | delete | replace | load | with )\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"[\w$]+")
_VALUE = re.compile(
    r"""(?P<value> '(?:[^'\\]|\\.|'')*' )
    | "(?:[^"\\]|\\.|"")*" | `[^`]*` | --\s[^\n]* | \#[^\n]* | /\*.*?\*/""",
    re.VERBOSE | re.DOTALL,
)
"""And what a quote has no meaning in."""
_TARGET = re.compile(
    r"""\s* (?:
        (?:insert|replace)\b (?P<into> (?:`[^`]*`|[^`(])*?) (?: \( | \b(?:select|set|table|with)\b )
      | update\b (?P<update> (?:`[^`]*`|[^`])*?) \bset\b
      | delete\b (?P<delete> (?:`[^`]*`|[^`])*?) (?: \b(?:where|order|limit|returning)\b | $ )
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Where a plain statement has the tables that it writes to, before any value or condition."""
_COMMENT = re.compile(r"--|/\*|\#")
_EXECUTES_A_VALUE = re.compile(r"\b(?:prepare|immediate)\b", re.IGNORECASE)
_TABLES_WITHOUT_TRANSACTIONS = """
    SELECT t.table_name, t.engine
    FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_type = 'BASE TABLE' AND COALESCE(e.transactions, 'NO') <> 'YES' AND
"""
_HERE = "t.table_schema = DATABASE()"
_ANYWHERE = "t.table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
# MariaDB only. It counts those that a procedure makes, too.
_TEMPORARY_TABLES_MADE = r"SHOW SESSION STATUS LIKE 'Com\_create\_temporary\_table'"


def tables_without_transactions(cursor: Any) -> dict[str, str]:
    """Return the names of such tables of the cursor's database, in lower case, with their engines.

    A view of them is none of them.
    """
    cursor.execute(_TABLES_WITHOUT_TRANSACTIONS + _HERE)
    return {name.lower(): engine for name, engine in cursor.fetchall()}


def can_only_be_temporary(cursor: Any) -> bool:
    """Whether what no rollback reached goes with the cursor's session.

    So it is if that has made temporary tables, and no other on the server could be meant.
    """
    cursor.execute(_TEMPORARY_TABLES_MADE)
    if not any(int(count) for _, count in cursor.fetchall()):
        return False
    cursor.execute(_TABLES_WITHOUT_TRANSACTIONS + _ANYWHERE)
    return not cursor.fetchall()


def may_write(sql: str) -> bool:
    """Whether a statement in ``sql`` begins like one that writes to a table."""
    statements = split(sql) if may_be_several(sql) else [sql]
    return any(map(_WRITES.match, statements))


def first_written(sql: str, tables: Collection[str]) -> str | None:
    """Return the first of ``tables``, by the alphabet, that ``sql`` writes to.

    Where that is not plain to see it returns one that ``sql`` names anywhere.
    """
    if not tables:
        return None  # as nearly everywhere: no need to read a long INSERT
    words = {word.lower() for word in _WORD.findall(_part_with_targets(sql))}
    return min(words.intersection(tables), default=None)


def _part_with_targets(sql: str) -> str:
    if _EXECUTES_A_VALUE.search(sql):
        return sql
    sql = _VALUE.sub(lambda match: " " if match["value"] else match[0], sql)
    if may_be_several(sql) or _COMMENT.search(sql):
        return sql
    match = _TARGET.match(sql)
    return sql if match is None else match[match.lastgroup or 0]
