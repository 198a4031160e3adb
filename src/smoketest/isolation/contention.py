"""Which errors mean that somebody else held a lock for too long."""

from __future__ import annotations

from django.db.utils import DatabaseError

from .sqlstates import sqlstate

# https://www.postgresql.org/docs/current/errcodes-appendix.html:
# serialization_failure, deadlock_detected, lock_not_available
_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
# https://www.sqlite.org/rescode.html: SQLITE_BUSY, SQLITE_LOCKED
_SQLITE_CODES = frozenset({5, 6})
# https://mariadb.com/kb/en/mariadb-error-codes/: ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
_MYSQL_CODES = frozenset({1205, 1213})


def lost_a_lock(error: BaseException) -> bool:
    """Whether ``error``, or what it came from, is a lost deadlock or lock wait.

    That of an import, too: of two threads that import from both ends of a circle, Python lets
    one go on with half a module.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if _is_contention(cause) or _is_half_a_module(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _is_contention(error: BaseException) -> bool:
    # The drivers' exceptions have their codes in different places:
    # psycopg's SQLSTATE, sqlite3's sqlite_errorcode, MySQLdb's first argument.
    if sqlstate(error) in _SQLSTATES:
        return True
    if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _SQLITE_CODES:
        return True
    return isinstance(error, DatabaseError) and bool(error.args) and error.args[0] in _MYSQL_CODES


def _is_half_a_module(error: BaseException) -> bool:
    if isinstance(error, ImportError):
        return not isinstance(error, ModuleNotFoundError)
    if isinstance(error, AttributeError):
        return "partially initialized module" in str(error)
    return type(error).__name__ == "_DeadlockError"  # of the import machinery, and in no module
