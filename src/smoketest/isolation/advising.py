"""What to do about an error by which a database kept its promise.

Django's layer refuses in words of ours. What gets below it is refused by the server or
the driver in theirs, of which none speaks of smoke tests.
"""

from __future__ import annotations

from collections.abc import Iterator

_COMMIT = (
    "So the database refuses what would end a smoke test's transaction or outlive it: what"
    " the test does is rolled back at its end. Leave the end of the transaction to the test;"
    " for a part that is undone earlier, use a transaction.atomic() block."
)
_STATEMENT = (
    "The database cut the statement off, because the test's limit was near. Look at what it"
    " does or waits for; if it may take so long, give the test more time with"
    " @timeout(seconds)."
)
_LOCK = (
    "Somebody else holds a lock that the test waited for, longer than SMOKETEST_LOCK_TIMEOUT"
    " allows. Look for a transaction that stays open, on the site or in another session."
)
_READ_ONLY = (
    "The database takes no writes: the test marks the alias with :ro, or the server is a"
    " replica or was set to read-only, by a person or for want of space, or the file must not"
    " be written to. Make it writable again, write to another database, or take the mark away."
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATES = {"57014": _STATEMENT, "55P03": _LOCK, "25006": _READ_ONLY}
# https://mariadb.com/kb/en/mariadb-error-codes/: XAER_RMFAIL, XAER_OUTSIDE,
# ER_STATEMENT_TIMEOUT and MySQL's ER_QUERY_TIMEOUT, ER_LOCK_WAIT_TIMEOUT,
# ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_OPTION_PREVENTS_STATEMENT for read_only
_MYSQL_CODES = {
    1399: _COMMIT,
    1400: _COMMIT,
    1969: _STATEMENT,
    3024: _STATEMENT,
    1205: _LOCK,
    1792: _READ_ONLY,
    1290: _READ_ONLY,
}
# https://www.sqlite.org/rescode.html: SQLITE_AUTH, SQLITE_BUSY, SQLITE_READONLY
_SQLITE_CODES = {23: _COMMIT, 5: _LOCK, 8: _READ_ONLY}

_OUR_CURSOR = "django-smoketest: "
"""What PostgreSQL says where a commit meets the cursor that makes it fail begins so."""


def advice(error: BaseException) -> str:
    """Return what the database meant by ``error`` and what to do, or nothing."""
    return next(filter(None, map(_advice, _chain(error))), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and what Django made it of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _advice(error: BaseException) -> str:
    # The drivers' exceptions have their codes in different places.
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is not None:
        return _COMMIT if _OUR_CURSOR in str(error) else _SQLSTATES.get(state, "")
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        return _SQLITE_CODES.get(code & 0xFF, "")
    is_mysql = type(error).__module__.partition(".")[0] in ("MySQLdb", "pymysql")
    return _MYSQL_CODES.get(error.args[0], "") if is_mysql and error.args else ""
