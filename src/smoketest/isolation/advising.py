"""What to do about an error by which a database kept its promise.

Django's layer refuses in words of ours. What gets below it is refused by the server or
the driver in theirs, of which none speaks of smoke tests.
"""

from __future__ import annotations

from collections.abc import Iterator

from .sqlstates import sqlstate

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

_WHOLE = (
    "A smoke test is one transaction, from its begin to its end, and it is rolled back. What the"
    " database only does outside of a transaction, or at its very beginning, has no place in a"
    " smoke test."
)
_OVERTAKEN = (
    "The database undid the test's work because of what others did at the same time: a deadlock,"
    " a change to the same rows, or on a standby a change of the primary's that was to be applied."
    " Run it again. If it comes often, let the test hold its transaction for a shorter time; on a"
    " standby, look at hot_standby_feedback and max_standby_streaming_delay."
)
_OVERTAKEN_FILE = (
    "Somebody else wrote to the file after the test had read it, so the test cannot write any"
    " more, however long it waits. Run it again. If it comes often, let the test write before it"
    " reads, or only read."
)
_NO_TEMPORARY_TABLES = (
    "MySQL 8.0.29 and newer have no temporary tables in the transaction of a smoke test (it is one"
    " of XA, so that nothing can be committed) while xa_detach_on_prepare is ON. Where nobody"
    " prepares transactions of XA, an administrator can switch it off: SET PERSIST"
    " xa_detach_on_prepare = OFF. Or keep smoke tests away from temporary tables."
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATES = {
    "57014": _STATEMENT,  # query_canceled
    "55P03": _LOCK,  # lock_not_available
    "25006": _READ_ONLY,  # read_only_sql_transaction
    "25001": _WHOLE,  # active_sql_transaction
    "2D000": _WHOLE,  # invalid_transaction_termination
    "40001": _OVERTAKEN,  # serialization_failure, and the conflicts of a standby
    "40P01": _OVERTAKEN,  # deadlock_detected
}
# https://mariadb.com/kb/en/mariadb-error-codes/
# https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
_MYSQL_CODES = {
    1399: _COMMIT,  # XAER_RMFAIL
    1400: _COMMIT,  # XAER_OUTSIDE
    1969: _STATEMENT,  # ER_STATEMENT_TIMEOUT
    3024: _STATEMENT,  # ER_QUERY_TIMEOUT
    1205: _LOCK,  # ER_LOCK_WAIT_TIMEOUT
    1213: _OVERTAKEN,  # ER_LOCK_DEADLOCK
    1792: _READ_ONLY,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1290: _READ_ONLY,  # ER_OPTION_PREVENTS_STATEMENT, of read_only
    1836: _READ_ONLY,  # ER_READ_ONLY_MODE, of innodb_read_only
    3989: _READ_ONLY,  # ER_SCHEMA_READ_ONLY
    4091: _NO_TEMPORARY_TABLES,  # ER_XA_TEMP_TABLE
}
# https://www.sqlite.org/rescode.html: SQLITE_AUTH, SQLITE_BUSY, SQLITE_READONLY
_SQLITE_CODES = {23: _COMMIT, 5: _LOCK, 8: _READ_ONLY}
_SQLITE_BUSY_SNAPSHOT = 517

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
    if (state := sqlstate(error)) is not None:
        return _COMMIT if _OUR_CURSOR in str(error) else _SQLSTATES.get(state, "")
    if (code := getattr(error, "sqlite_errorcode", None)) is not None:
        if code == _SQLITE_BUSY_SNAPSHOT:
            return _OVERTAKEN_FILE
        return _SQLITE_CODES.get(code & 0xFF, "")
    is_mysql = type(error).__module__.partition(".")[0] in ("MySQLdb", "pymysql")
    return _MYSQL_CODES.get(error.args[0], "") if is_mysql and error.args else ""
